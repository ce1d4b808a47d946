//! Telegram's Bot API: four ways to pass arguments, updates by webhook or long-poll, no receipts.
//! With `echo_ms`, what the business sends comes back as Telegram repeats it. Does not simulate
//! rights in groups, editing history and payments.

mod check;
mod update;

use channels::url::percent_decode;
use serde_json::{Value, json};

use self::{
    check::{Arguments, album, check, number, word},
    update::{bot, chat, content, message_kind, with_size, within},
};
use crate::{
    contract::{
        About, AccountLine, Context, Credential, Effect, Fault, Inbound, Kind, Message, Provider,
        ReportStatus, RetryPolicy, StatusReport, UnsupportedEvent, WebhookConfig, or, overlay, put,
    },
    toolkit::{
        http::{Outgoing, Request, Response},
        media::File,
    },
};

/// Maximum duration of a long-poll, in seconds.
const POLL_S_MAX: u64 = 50;
/// A successful answer without a message id, for the fault `without_id`.
const DONE: &str = r#"{"ok":true,"result":true}"#;

pub(crate) struct Telegram;

pub(crate) static TELEGRAM: Telegram = Telegram;

static ABOUT: About = About {
    name: "telegram",
    title: "Telegram",
    credentials: &[
        Credential {
            key: "token",
            default: "700001:AAsimulatedsimulatedsimulatedsimul1",
            purpose: "the bot's token in every path",
        },
        Credential {
            key: "secret_token",
            default: "sim-secret-token",
            purpose: "sent to the webhook that the simulator starts with; empty: none",
        },
        Credential { key: "username", default: "shop_bot", purpose: "the bot's name" },
    ],
    batch_max: 1,
    // Telegram retries for a day, with pauses of up to two minutes.
    retry: RetryPolicy { attempts_max: 20, factor: 2, after_answers: true, obeys_retry_after: true },
    polls: true,
    customer: "5550001",
};

fn ok(result: &Value) -> Response {
    Response::json(200, &json!({"ok": true, "result": result}))
}

fn error(code: u16, description: &str) -> Response {
    Response::json(code, &json!({"ok": false, "error_code": code, "description": description}))
}

fn bad_request(why: &str) -> Response {
    error(400, &format!("Bad Request: {why}"))
}

fn unauthorized() -> Response {
    error(401, "Unauthorized")
}

/// Collects the arguments of a call from its query, form, JSON or parts.
fn arguments(request: &Request) -> Option<Arguments> {
    const OBJECTS: [&str; 7] = [
        "reply_markup",
        "reply_parameters",
        "entities",
        "caption_entities",
        "media",
        "options",
        "allowed_updates",
    ];
    let mut all = Arguments::new();
    let mut pairs = request.query_fields();
    match request.content_type() {
        "application/json" => all.extend(request.json()?.as_object()?.clone()),
        "multipart/form-data" => {
            for part in request.multipart()? {
                let value = match part.file_name {
                    Some(_) => format!("attach://{}", part.name),
                    None => String::from_utf8_lossy(&part.content).into_owned(),
                };
                pairs.push(part.name, value);
            }
        }
        _ => pairs.extend(request.form().unwrap_or_default()),
    }
    for (key, value) in pairs.iter() {
        let object = OBJECTS.contains(&key).then(|| serde_json::from_str(value).ok()).flatten();
        all.insert(key.to_owned(), object.unwrap_or_else(|| value.into()));
    }
    Some(all)
}

/// Returns the message object of an answer.
fn answer(message: &Message, id: u64, cx: &Context<'_>) -> Value {
    let mut answer =
        json!({"message_id": id, "from": bot(cx), "chat": chat(&message.to), "date": cx.seconds()});
    for key in ["business_connection_id", "message_thread_id"] {
        if let Some(value) = message.request.get(key) {
            put(&mut answer, key, value.clone());
        }
    }
    let file =
        |kind| with_size(kind, json!({"file_id": cx.large(5).to_string(), "file_unique_id": cx.hex(5, 12)}));
    match message.kind.as_str() {
        "message" => put(&mut answer, "text", message.text.as_str()),
        "photo" => put(&mut answer, "photo", json!([file("photo")])),
        kind @ ("video" | "document" | "audio" | "voice" | "animation" | "sticker") => {
            put(&mut answer, kind, file(kind))
        }
        _ => {}
    }
    if !message.media.is_empty() && !message.text.is_empty() {
        put(&mut answer, "caption", message.text.as_str());
    }
    answer
}

fn send(method: &str, arguments: &Arguments, cx: &Context<'_>) -> Effect {
    let is_album = method == "sendmediagroup";
    let checked = if is_album {
        album(arguments, cx.media)
    } else {
        check(method, arguments, cx.media).map(|one| vec![one])
    };
    match checked {
        Err(why) => Effect::Answer(bad_request(&why)),
        Ok(mut messages) => {
            let mut results = Vec::new();
            for (message, place) in messages.iter_mut().zip(0..) {
                // Each message of an album has its own id, unique within the chat.
                let id = cx.growing() * 10 % (1 << 31) + place;
                message.id = format!("{}:{id}", message.to);
                cx.credential("username").clone_into(&mut message.from);
                results.push(answer(message, id, cx));
            }
            let result = if is_album { Value::Array(results) } else { results.pop().unwrap_or_default() };
            Effect::Accept(messages, ok(&result))
        }
    }
}

fn set_webhook(arguments: &Arguments) -> Effect {
    let url = word(arguments, "url");
    let done = Response::json(200, &json!({"ok": true, "result": true, "description": "Webhook was set"}));
    if url.is_empty() {
        return Effect::SetWebhook { webhook: None, handshake: None, failed: done.clone(), answer: done };
    }
    // Telegram requires TLS; loopback needs none.
    let local =
        ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|start| url.starts_with(start));
    if !url.starts_with("https://") && !local {
        return Effect::Answer(bad_request("bad webhook: An HTTPS URL must be provided for webhook"));
    }
    let secret = word(arguments, "secret_token");
    let legal =
        secret.len() <= 256 && secret.bytes().all(|o| o.is_ascii_alphanumeric() || b"_-".contains(&o));
    if !legal {
        return Effect::Answer(bad_request("secret token contains unallowed characters"));
    }
    let list =
        |value: &Value| value.as_array()?.iter().map(|kind| kind.as_str().map(str::to_owned)).collect();
    let hook = WebhookConfig {
        url: url.to_owned(),
        secret: Some(secret.to_owned()).filter(|secret| !secret.is_empty()),
        events: arguments.get("allowed_updates").and_then(list),
        ..WebhookConfig::default()
    };
    Effect::SetWebhook { webhook: Some(hook), handshake: None, failed: done.clone(), answer: done }
}

fn get_updates(arguments: &Arguments, cx: &Context<'_>) -> Effect {
    let conflict = if cx.webhook.is_some() {
        "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
    } else {
        "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
    };
    let conflict = error(409, conflict);
    if cx.webhook.is_some() {
        return Effect::Answer(conflict);
    }
    let limit = number(arguments, "limit").unwrap_or(100).clamp(1, 100);
    let timeout = number(arguments, "timeout").and_then(|s| u64::try_from(s).ok()).unwrap_or_default();
    Effect::Poll {
        offset: number(arguments, "offset").unwrap_or_default(),
        limit: usize::try_from(limit).unwrap_or(100),
        timeout_ms: timeout.min(POLL_S_MAX) * 1_000,
        conflict,
    }
}

impl Provider for Telegram {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn did<'a>(&self, cx: &Context<'a>) -> &'a str {
        cx.credential("username")
    }

    fn handle(&self, request: &Request, cx: &Context<'_>) -> Effect {
        let token = cx.credential("token");
        if let Some(path) = request.path.strip_prefix("/file/bot") {
            // Clients may percent-encode the colon of the token.
            let path = percent_decode(path);
            let id = path.strip_prefix(token).and_then(|path| path.strip_prefix("/files/"));
            let id = id.and_then(|name| name.split('.').next()).unwrap_or_default();
            return Effect::Answer(match cx.media.get(id) {
                Some(file) => Response::new(200, "application/octet-stream", file.content.clone()),
                None => error(404, "Not Found"),
            });
        }
        let Some((given, method)) = request.path.strip_prefix("/bot").and_then(|path| path.split_once('/'))
        else {
            return Effect::Answer(error(404, "Not Found"));
        };
        if percent_decode(given) != token {
            return Effect::Answer(unauthorized());
        }
        let Some(arguments) = arguments(request) else {
            return Effect::Answer(bad_request("can't parse request"));
        };
        let method = method.to_ascii_lowercase();
        match method.as_str() {
            "getme" => {
                let mut me = bot(cx);
                overlay(
                    &mut me,
                    &json!({"can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false}),
                );
                Effect::Answer(ok(&me))
            }
            "getupdates" => get_updates(&arguments, cx),
            "setwebhook" => set_webhook(&arguments),
            "deletewebhook" => set_webhook(&Arguments::new()),
            "getwebhookinfo" => {
                let mut info = json!({"url": cx.webhook.map_or("", |hook| &hook.url),
                    "has_custom_certificate": false, "pending_update_count": 0, "max_connections": 40});
                if let Some(kinds) = cx.webhook.and_then(|hook| hook.events.as_ref()) {
                    put(&mut info, "allowed_updates", json!(kinds));
                }
                Effect::Answer(ok(&info))
            }
            "getfile" => Effect::Answer(match cx.media.get(word(&arguments, "file_id")) {
                Some(file) => {
                    let ending = file.name.rsplit('.').next().unwrap_or("bin");
                    ok(&json!({"file_id": file.id, "file_unique_id": "u", "file_size": file.content.len(),
                        "file_path": format!("files/{}.{ending}", file.id)}))
                }
                None => bad_request("invalid file_id"),
            }),
            "sendchataction" if !word(&arguments, "action").is_empty() => Effect::Answer(ok(&json!(true))),
            "answercallbackquery" if arguments.contains_key("callback_query_id") => {
                Effect::Answer(ok(&json!(true)))
            }
            "deletemessage" if number(&arguments, "message_id").is_some() => Effect::Answer(ok(&json!(true))),
            "editmessagetext" | "editmessagecaption" | "editmessagereplymarkup"
                if number(&arguments, "message_id").is_some() =>
            {
                Effect::Answer(ok(
                    &json!({"message_id": number(&arguments, "message_id"), "date": cx.seconds(),
                    "chat": chat(&number(&arguments, "chat_id").unwrap_or_default().to_string())}),
                ))
            }
            method if method.starts_with("send") => send(method, &arguments, cx),
            _ => Effect::Answer(error(404, "Not Found: method not found")),
        }
    }

    fn fault(&self, fault: Fault<'_>, _cx: &Context<'_>) -> Response {
        match fault {
            Fault::Throttled { after_s } => Response::json(429, &json!({"ok": false, "error_code": 429,
                "description": format!("Too Many Requests: retry after {after_s}"), "parameters": {"retry_after": after_s}}))
                .with("retry-after", after_s.to_string()),
            Fault::Unavailable { status } => error(status, "Internal Server Error"),
            Fault::Rejected { code } => {
                // A description may follow the code: `400:chat not found`.
                let (code, why) = code.split_once(':').unwrap_or((code, ""));
                match code.parse().ok().filter(|code| (400..600).contains(code)).unwrap_or(403) {
                    403 => error(403, &format!("Forbidden: {}", or(why, "bot was blocked by the user"))),
                    400 if why.contains("upgraded to a supergroup") => Response::json(400, &json!({"ok": false,
                        "error_code": 400, "description": format!("Bad Request: {why}"),
                        "parameters": {"migrate_to_chat_id": -1_001_000_000_001_i64}})),
                    400 => bad_request(or(why, "chat not found")),
                    other => error(other, or(why, "refused on purpose")),
                }
            }
            Fault::Credentials => unauthorized(),
            Fault::WithoutId => Response::new(200, "application/json", DONE),
        }
    }

    fn inbound(
        &self,
        inbound: &Inbound,
        file: Option<&File>,
        cx: &Context<'_>,
    ) -> Result<Value, UnsupportedEvent> {
        let from: i64 = inbound.from.parse().unwrap_or(5_550_001);
        let user = json!({"id": from, "is_bot": false, "first_name": or(&inbound.name, "Ann"), "username": "ann", "language_code": "de"});
        // `to` may name a group or channel.
        let place = inbound.to.parse::<i64>().unwrap_or(from).to_string();
        let about = inbound.about.rsplit(':').next().and_then(|id| id.parse::<i64>().ok());
        let own = inbound.id.parse::<u64>().unwrap_or_else(|_| cx.growing());
        let written = |number: i64| {
            let mut message =
                json!({"message_id": number, "from": user, "chat": chat(&place), "date": cx.seconds()});
            within(&mut message, &inbound.within);
            message
        };
        let mut update = match inbound.kind {
            Kind::Button | Kind::List => {
                let data = or(&inbound.payload, &inbound.text);
                // Telegram sends the tapped message along, with its buttons.
                let button = json!({"text": or(&inbound.text, data), "callback_data": data});
                let mut tapped = written(about.unwrap_or(1));
                put(&mut tapped, "reply_markup", json!({"inline_keyboard": [[button]]}));
                json!({"callback_query": {"id": cx.large(4).to_string(), "from": user, "message": tapped,
                "chat_instance": "-3", "data": data}})
            }
            Kind::OptOut | Kind::OptIn => {
                let left = inbound.kind == Kind::OptOut;
                let (old, new) = if left { ("member", "kicked") } else { ("kicked", "member") };
                json!({"my_chat_member": {"chat": chat(&place), "from": user, "date": cx.seconds(),
                    "old_chat_member": {"status": old, "user": bot(cx)}, "new_chat_member": {"status": new, "user": bot(cx)}}})
            }
            Kind::Reaction => {
                json!({"message_reaction": {"chat": chat(&place), "message_id": about.unwrap_or(1), "user": user,
                "date": cx.seconds(), "old_reaction": [], "new_reaction": [{"type": "emoji", "emoji": inbound.text}]}})
            }
            // Only a business account's chats tell of it.
            Kind::Delete => {
                let mut gone = json!({"chat": chat(&place), "message_ids": [about.unwrap_or(1)]});
                within(&mut gone, &inbound.within);
                json!({"deleted_business_messages": gone})
            }
            kind => {
                let is_edit = kind == Kind::Edit;
                let number = if is_edit { about.unwrap_or(1) } else { i64::try_from(own).unwrap_or(1) };
                let mut message = written(number);
                overlay(&mut message, &content(&ABOUT, inbound, file)?);
                if is_edit {
                    put(&mut message, "edit_date", cx.seconds());
                } else if let Some(about) = about {
                    put(
                        &mut message,
                        "reply_to_message",
                        json!({"message_id": about, "chat": chat(&place), "date": cx.seconds()}),
                    );
                }
                let is_business = message.get("business_connection_id").is_some();
                json!({message_kind(is_business, is_edit): message})
            }
        };
        put(&mut update, "update_id", own);
        overlay(&mut update, &inbound.extra);
        Ok(update)
    }

    /// Telegram has no receipts, only copies of our own words.
    fn receipt(&self, report: &StatusReport<'_>, cx: &Context<'_>) -> Option<Value> {
        match report.status {
            ReportStatus::Own(name) => update::echo(name, report.message, cx),
            _ => None,
        }
    }

    fn echoes(&self) -> &'static [&'static str] {
        &update::ECHOES
    }

    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing {
        let body = events.first().map(Value::to_string).unwrap_or_default().into_bytes();
        let outgoing = Outgoing::post(url, "application/json", body);
        match cx.webhook.and_then(|hook| hook.secret.as_deref()) {
            Some(secret) => outgoing.with("x-telegram-bot-api-secret-token", cx.signing(secret)),
            None => outgoing,
        }
    }

    fn signature_headers(&self) -> &'static [&'static str] {
        &["x-telegram-bot-api-secret-token"]
    }

    fn webhook(&self, url: String, cx: &Context<'_>) -> WebhookConfig {
        let secret = cx.credential("secret_token");
        WebhookConfig {
            url,
            secret: Some(secret.to_owned()).filter(|secret| !secret.is_empty()),
            ..WebhookConfig::default()
        }
    }

    fn polled(&self, events: Vec<Value>) -> Response {
        ok(&Value::Array(events))
    }

    fn account(&self, cx: &Context<'_>) -> Vec<AccountLine> {
        cx.account(&["token", "secret_token"])
    }
}
