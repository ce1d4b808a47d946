//! Viber's REST Bot API: every request is a POST, answered with 200 and a status in the body;
//! webhooks are signed with the token. Does not simulate subscriptions, broadcasting rights and
//! devices.

use serde_json::{Value, json};

use crate::{
    contract::{
        About, AccountLine, Context, Credential, Effect, Fault, Handshake, Inbound, Kind, Message, Provider,
        ReportStatus, RetryPolicy, StatusReport, UnsupportedEvent, WebhookConfig, or, overlay, put,
    },
    toolkit::{
        http::{Outgoing, Request, Response, text},
        media::File,
        sign,
    },
};

/// Reports that each of a customer's devices sends, also of messages from the customer.
const ECHOES: [&str; 3] = ["delivered", "seen", "client_status"];

/// Maximum size of a request, in bytes.
const REQUEST_MAX: usize = 30 * 1024;
/// Maximum number of receivers of a broadcast.
const BROADCAST_MAX: usize = 300;

pub(crate) struct Viber;

pub(crate) static VIBER: Viber = Viber;

static ABOUT: About = About {
    name: "viber",
    title: "Viber",
    credentials: &[
        Credential {
            key: "auth_token",
            default: "0123456789abcdef-0123456789abcdef-0123456789abcdef",
            purpose: "the token of all calls; signs webhooks",
        },
        Credential { key: "bot", default: "shop", purpose: "the bot's name" },
    ],
    batch_max: 1,
    // Viber retries for an hour, with undocumented pauses.
    retry: RetryPolicy { attempts_max: 6, factor: 2, after_answers: true, obeys_retry_after: false },
    polls: false,
    customer: "q7Zx0AbCdEfGhIjK/1==",
};

const NAMES: [&str; 25] = [
    "ok",
    "invalidUrl",
    "invalidAuthToken",
    "badData",
    "missingData",
    "receiverNotRegistered",
    "receiverNotSubscribed",
    "publicAccountBlocked",
    "publicAccountNotFound",
    "publicAccountSuspended",
    "webhookNotSet",
    "receiverNoSuitableDevice",
    "tooManyRequests",
    "apiVersionNotSupported",
    "incompatibleWithVersion",
    "publicAccountNotAuthorized",
    "inchatReplyMessageNotAllowed",
    "publicAccountIsNotInline",
    "noPublicChat",
    "cannotSendBroadcast",
    "broadcastNotAllowed",
    "unsupportedCountry",
    "paymentUnsupported",
    "freeMessagesExceeded",
    "noBalance",
];

fn status(code: usize) -> Response {
    let name = NAMES.get(code).copied().unwrap_or("generalError");
    Response::json(200, &json!({"status": code, "status_message": name, "chat_hostname": "SN-SIM"}))
}

/// Returns a message token above 2^53, like Viber's own.
fn token(salt: u64, cx: &Context<'_>) -> u64 {
    (1 << 62) | (cx.large(salt) << 9)
}

fn keyboard(body: &Value, message: &mut Message) -> Result<(), usize> {
    for place in ["/keyboard/Buttons", "/rich_media/Buttons"] {
        let all = body.pointer(place).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for button in all {
            let kind = text(button, "/ActionType").unwrap_or("reply");
            let known = ["reply", "open-url", "location-picker", "share-phone", "none"].contains(&kind);
            let columns = button.get("Columns").map_or(Some(6), Value::as_u64);
            let rows = button.get("Rows").map_or(Some(1), Value::as_u64);
            let most = if place.starts_with("/k") { 2 } else { 7 };
            let fits = columns.is_some_and(|n| (1..=6).contains(&n))
                && rows.is_some_and(|n| (1..=most).contains(&n));
            if !known || !fits || (kind != "none" && button.get("ActionBody").is_none()) {
                return Err(3);
            }
            message.buttons.push(text(button, "/Text").unwrap_or_default().to_owned());
        }
    }
    let broken = body.get("keyboard").is_some_and(|keyboard| text(keyboard, "/Type") != Some("keyboard"));
    if broken { Err(3) } else { Ok(()) }
}

/// Returns the message without id and recipient, or the status of its refusal.
fn check(body: &Value) -> Result<Message, usize> {
    let own = |pointer: &str| text(body, pointer).unwrap_or_default();
    let within = |pointer: &str, most: usize| own(pointer).chars().count() <= most;
    let name = text(body, "/sender/name").ok_or(4_usize)?;
    if name.is_empty() || !within("/sender/name", 28) || !within("/tracking_data", 4_000) {
        return Err(3);
    }
    let kind = own("/type");
    let mut message = Message {
        from: name.to_owned(),
        kind: kind.to_owned(),
        text: own("/text").to_owned(),
        request: body.clone(),
        ..Message::default()
    };
    let size = body.get("size").and_then(Value::as_u64);
    let media = own("/media").starts_with("http") && within("/media", 2_000);
    let good = match kind {
        "text" if own("/text").is_empty() => return Err(4),
        "text" => within("/text", 7_000),
        "picture" if body.get("text").is_none() => return Err(4),
        "picture" => media && within("/text", 512),
        "video" | "file" if size.is_none() => return Err(4),
        "video" => media && size <= Some(26 * 1024 * 1024) && within("/text", 512),
        "file" if own("/file_name").is_empty() => return Err(4),
        "file" => {
            media
                && size <= Some(50 * 1024 * 1024)
                && within("/file_name", 256)
                && own("/file_name").contains('.')
        }
        "contact" if own("/contact/phone_number").is_empty() => return Err(4),
        "contact" => within("/contact/name", 28) && within("/contact/phone_number", 18),
        "location" => ["/location/lat", "/location/lon"].iter().all(|pointer| {
            let value = body.pointer(pointer);
            value.is_some_and(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()).is_some())
        }),
        "url" => media,
        "sticker" => body.get("sticker_id").is_some_and(Value::is_u64),
        "rich_media" => body.pointer("/rich_media/Buttons").is_some_and(Value::is_array),
        "" if body.get("keyboard").is_some() => true,
        "" => return Err(4),
        _ => false,
    };
    if !good {
        return Err(3);
    }
    if media {
        message.media.push(own("/media").to_owned());
    }
    keyboard(body, &mut message)?;
    Ok(message)
}

fn send(body: &Value, to: &[&str], cx: &Context<'_>) -> Effect {
    if cx.webhook.is_none() {
        return Effect::Answer(status(10));
    }
    if to.is_empty() || to.iter().any(|to| to.is_empty()) {
        return Effect::Answer(status(4));
    }
    match check(body) {
        Err(code) => Effect::Answer(status(code)),
        Ok(message) => {
            let token = token(1, cx);
            let id = token.to_string();
            let all = to.iter().map(|to| Message { id: id.clone(), to: (*to).to_owned(), ..message.clone() });
            let mut answer = json!({"status": 0, "status_message": "ok", "message_token": token,
                "chat_hostname": "SN-SIM", "billing_status": 1});
            if to.len() > 1 {
                put(&mut answer, "failed_list", json!([]));
            }
            Effect::Accept(all.collect(), Response::json(200, &answer))
        }
    }
}

fn set_webhook(body: &Value, cx: &Context<'_>) -> Effect {
    let url = text(body, "/url").unwrap_or_default();
    if url.is_empty() {
        let answer = status(0);
        return Effect::SetWebhook { webhook: None, handshake: None, failed: answer.clone(), answer };
    }
    let list =
        |value: &Value| value.as_array()?.iter().map(|event| event.as_str().map(str::to_owned)).collect();
    let events: Option<Vec<String>> = body.get("event_types").and_then(list);
    let webhook = WebhookConfig { url: url.to_owned(), events: events.clone(), ..WebhookConfig::default() };
    let answer =
        json!({"status": 0, "status_message": "ok", "chat_hostname": "SN-SIM", "event_types": events});
    Effect::SetWebhook {
        webhook: Some(webhook),
        handshake: VIBER.handshake(url, cx),
        answer: Response::json(200, &answer),
        failed: status(1),
    }
}

fn user(id: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "avatar": "https://media.example/a.jpg", "country": "UA", "language": "uk", "api_version": 10})
}

impl Provider for Viber {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn did<'a>(&self, cx: &Context<'a>) -> &'a str {
        cx.credential("bot")
    }

    fn handle(&self, request: &Request, cx: &Context<'_>) -> Effect {
        if let Some(id) = request.path.strip_prefix("/media/") {
            let id = id.split('/').next().unwrap_or_default();
            return Effect::Answer(cx.file(id).unwrap_or_else(|| Response::text(404, "not found")));
        }
        let method = request.path.strip_prefix("/pa/").filter(|_| request.method == http::Method::POST);
        let Some(method) = method else { return Effect::Answer(Response::text(404, "not found")) };
        let body = serde_json::from_slice::<Value>(&request.body).ok().filter(Value::is_object);
        let Some(body) = body.filter(|_| request.body.len() <= REQUEST_MAX) else {
            return Effect::Answer(status(3));
        };
        let given = request.header("x-viber-auth-token").or_else(|| text(&body, "/auth_token"));
        if given != Some(cx.credential("auth_token")) {
            return Effect::Answer(status(2));
        }
        match method {
            "send_message" => send(&body, &[text(&body, "/receiver").unwrap_or_default()], cx),
            "broadcast_message" => {
                let list = body.get("broadcast_list").and_then(Value::as_array).cloned().unwrap_or_default();
                let to: Vec<&str> = list.iter().map(|one| one.as_str().unwrap_or_default()).collect();
                if to.len() > BROADCAST_MAX { Effect::Answer(status(3)) } else { send(&body, &to, cx) }
            }
            "set_webhook" => set_webhook(&body, cx),
            "get_account_info" => Effect::Answer(Response::json(
                200,
                &json!({"status": 0, "status_message": "ok", "id": "pa:1",
                "name": cx.credential("bot"), "uri": cx.credential("bot"), "webhook": cx.webhook.map(|hook| &hook.url),
                "event_types": cx.webhook.and_then(|hook| hook.events.as_ref()), "subscribers_count": 1, "members": []}),
            )),
            "get_user_details" => {
                let one = user(text(&body, "/id").unwrap_or_default(), "Ann");
                Effect::Answer(Response::json(
                    200,
                    &json!({"status": 0, "status_message": "ok", "user": one}),
                ))
            }
            "get_online" => Effect::Answer(Response::json(
                200,
                &json!({"status": 0, "status_message": "ok", "users": []}),
            )),
            _ => Effect::Answer(Response::text(404, "not found")),
        }
    }

    fn fault(&self, fault: Fault<'_>, _cx: &Context<'_>) -> Response {
        match fault {
            Fault::Throttled { .. } => status(12),
            Fault::Unavailable { status } => Response::new(status, "text/html", "<html>unavailable</html>"),
            Fault::Rejected { code } => status(code.parse().unwrap_or(6)),
            Fault::Credentials => status(2),
            Fault::WithoutId => status(0),
        }
    }

    fn inbound(
        &self,
        inbound: &Inbound,
        file: Option<&File>,
        cx: &Context<'_>,
    ) -> Result<Value, UnsupportedEvent> {
        let words = inbound.text.as_str();
        let from = inbound.from.as_str();
        let name = or(&inbound.name, "Ann");
        let url = file.map(|file| format!("{}/media/{}/{}", cx.base, file.id, file.name)).unwrap_or_default();
        let size = file.map_or(0, |file| file.content.len());
        let file_name = file.map(|file| file.name.as_str()).unwrap_or_default();
        let message = match inbound.kind {
            Kind::Text => json!({"type": "text", "text": words}),
            // A tap arrives as a text with the button's action.
            Kind::Button | Kind::List => json!({"type": "text", "text": or(&inbound.payload, words)}),
            Kind::Image => {
                json!({"type": "picture", "media": url, "thumbnail": url, "text": words, "file_name": file_name, "size": size})
            }
            Kind::Video => {
                json!({"type": "video", "media": url, "thumbnail": url, "duration": 1, "size": size, "file_name": file_name, "text": words})
            }
            Kind::Audio | Kind::Document => {
                json!({"type": "file", "media": url, "file_name": file_name, "file_size": size})
            }
            Kind::Sticker => json!({"type": "sticker", "sticker_id": 40_133, "media": url}),
            Kind::Contact => {
                json!({"type": "contact", "contact": {"name": or(words, "Bob"), "phone_number": or(&inbound.payload, "15550001111")}})
            }
            Kind::Location => {
                json!({"type": "location", "location": {"lat": inbound.latitude, "lon": inbound.longitude, "address": words}})
            }
            Kind::OptIn | Kind::OptOut | Kind::Start => Value::Null,
            other => return Err(UnsupportedEvent::new(&ABOUT, other)),
        };
        let token = inbound.id.parse().unwrap_or_else(|_| token(2, cx));
        let mut event = json!({"timestamp": cx.now_ms, "message_token": token, "chat_hostname": "SN-SIM"});
        let more = match inbound.kind {
            Kind::OptIn => json!({"event": "subscribed", "user": user(from, name)}),
            Kind::OptOut => json!({"event": "unsubscribed", "user_id": from}),
            Kind::Start => {
                json!({"event": "conversation_started", "type": "open", "context": inbound.payload,
                "subscribed": false, "user": user(from, name)})
            }
            _ => {
                let mut message = message;
                // What the bot sent last comes back with the answer.
                if !inbound.about.is_empty() {
                    put(&mut message, "tracking_data", inbound.about.as_str());
                }
                json!({"event": "message", "silent": false, "sender": user(from, name), "message": message})
            }
        };
        overlay(&mut event, &more);
        overlay(&mut event, &inbound.extra);
        Ok(event)
    }

    fn receipt(&self, report: &StatusReport<'_>, cx: &Context<'_>) -> Option<Value> {
        let StatusReport { message, status, code } = *report;
        let kind = match status {
            ReportStatus::Sent | ReportStatus::Own("echo") => return None,
            ReportStatus::Read => "seen",
            other => other.name(),
        };
        let wanted = cx.webhook.and_then(|hook| hook.events.as_ref()).filter(|_| !ECHOES.contains(&kind));
        if wanted.is_some_and(|wanted| !wanted.iter().any(|event| event == kind)) {
            return None;
        }
        let token: u64 = message.id.parse().unwrap_or_default();
        let mut event =
            json!({"event": kind, "timestamp": cx.now_ms, "message_token": token, "user_id": message.to});
        if kind == "client_status" {
            put(&mut event, "status", json!({"code": 0, "message": "SUPPORTED_PSP"}));
        }
        if kind == "failed" {
            put(&mut event, "desc", code.unwrap_or("failed on purpose"));
        }
        Some(event)
    }

    /// Viber repeats no message, only reports.
    fn echoes(&self) -> &'static [&'static str] {
        &ECHOES
    }

    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing {
        let body = events.first().map(Value::to_string).unwrap_or_default().into_bytes();
        let signature = sign::hmac_sha256_hex(&cx.secret("auth_token"), &body);
        Outgoing::post(url, "application/json", body).with("x-viber-content-signature", signature)
    }

    fn signature_headers(&self) -> &'static [&'static str] {
        &["x-viber-content-signature"]
    }

    fn handshake(&self, url: &str, cx: &Context<'_>) -> Option<Handshake> {
        let event = json!({"event": "webhook", "timestamp": cx.now_ms, "message_token": token(6, cx), "chat_hostname": "SN-SIM"});
        Some(Handshake { request: self.post(url, &[event], cx), body: None })
    }

    fn account(&self, cx: &Context<'_>) -> Vec<AccountLine> {
        let mut lines = cx.account(&["auth_token"]);
        lines.push(AccountLine::new("name", "Simulated"));
        lines
    }
}
