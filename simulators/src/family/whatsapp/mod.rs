//! WhatsApp over Meta's Cloud API and over 360dialog: equal messages and webhooks behind different
//! addresses and credentials. Does not simulate template approval and tiers.

mod check;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use self::check::check;
use crate::{
    contract::{
        About, AccountLine, Context, Effect, Fault, Handshake, Inbound, Kind, Message, OutsideWindow,
        Provider, ReportStatus, RetryPolicy, Signature, StatusReport, UnsupportedEvent, WebhookConfig, or,
        overlay, put,
    },
    family::meta,
    toolkit::{
        http::{Outgoing, Request, Response, escaped, text},
        media::File,
        sign,
    },
};

/// The API through which the business reaches WhatsApp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    CloudApi,
    Dialog360,
}

/// A WhatsApp number.
pub(crate) struct WhatsApp {
    pub(crate) about: About,
    pub(crate) access: Access,
}

/// Meta retries for 7 days, with growing pauses.
pub(crate) const RETRY: RetryPolicy =
    RetryPolicy { attempts_max: 10, factor: 2, after_answers: true, obeys_retry_after: false };

fn success() -> Response {
    Response::json(200, &json!({"success": true}))
}

fn dialog_error(status: u16, message: &str) -> Response {
    Response::json(
        status,
        &json!({"meta": {"success": false, "http_code": status, "developer_message": message,
        "details": []}}),
    )
}

fn send(request: &Request, cx: &Context<'_>) -> Effect {
    let Some(body) = request.json().filter(Value::is_object) else {
        return Effect::Answer(meta::error(
            400,
            100,
            0,
            "Invalid parameter: the body is not a JSON object",
            cx,
        ));
    };
    if text(&body, "/status") == Some("read") {
        return Effect::Answer(match text(&body, "/message_id") {
            Some(_) => success(),
            None => meta::error(400, 100, 0, "The parameter message_id is required.", cx),
        });
    }
    match check(&body, cx.media) {
        Err(error) => Effect::Answer(meta::error(400, error.code, 0, &error.message, cx)),
        Ok(mut message) => {
            message.id = wamid(&message.to, true, &cx.hex(1, 18).to_uppercase());
            cx.credential("number").clone_into(&mut message.from);
            let mut sent = json!({"id": message.id});
            if message.kind == "template" {
                put(&mut sent, "message_status", "accepted");
            }
            let input = text(&body, "/to").or_else(|| text(&body, "/recipient"));
            let contact = json!({"input": input, "wa_id": message.to});
            let answer = json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [sent]});
            Effect::Accept(vec![message], Response::json(200, &answer))
        }
    }
}

/// Returns a message's id: a record of the customer's address, whether the business sent it, and
/// the token by which the chat knows it.
fn wamid(customer: &str, is_sent: bool, token: &str) -> String {
    let sized = |text: &str| {
        let mut field = vec![0x18, text.len().min(127) as u8];
        field.extend(text.as_bytes());
        field
    };
    let direction = if is_sent { 0x11 } else { 0x12 };
    let record = [vec![0x1c], sized(customer), vec![0x15, 2, 0, direction], sized(token), vec![0]].concat();
    format!("wamid.{}", STANDARD.encode(record))
}

fn upload(request: &Request, cx: &Context<'_>) -> Effect {
    let parts = request.multipart().unwrap_or_default();
    let field = |name: &str| parts.iter().find(|part| part.name == name);
    let said = |name: &str| field(name).map(|part| String::from_utf8_lossy(&part.content).into_owned());
    if said("messaging_product").as_deref() != Some("whatsapp") {
        return Effect::Answer(meta::error(400, 100, 0, "The parameter messaging_product is required.", cx));
    }
    let Some(file) = field("file").filter(|file| !file.content.is_empty()) else {
        return Effect::Answer(meta::error(400, 100, 0, "The parameter file is required.", cx));
    };
    let mime = said("type").or_else(|| file.mime.clone()).unwrap_or_default();
    if !mime.contains('/') {
        return Effect::Answer(meta::error(400, 100, 0, "Param type must be a media type", cx));
    }
    let id = cx.large(3).to_string();
    let name = file.file_name.clone().unwrap_or_default();
    let answer = Response::json(200, &json!({"id": id}));
    Effect::Store(File { id, mime, name, content: file.content.clone() }, answer)
}

impl WhatsApp {
    fn is_dialog(&self) -> bool {
        self.access == Access::Dialog360
    }

    fn lookup(&self, file: &File, cx: &Context<'_>) -> Response {
        let hash = cx.hex(4, 16);
        // 360dialog returns Meta's own address, which its clients must rewrite.
        let origin = if self.is_dialog() { "https://lookaside.fbsbx.com" } else { cx.base };
        let url =
            format!("{origin}/whatsapp_business/attachments/?mid={}&ext=1790000000&hash={hash}", file.id);
        let body = json!({"messaging_product": "whatsapp", "url": url, "mime_type": file.mime, "sha256": file.sha256(),
            "file_size": file.content.len().to_string(), "id": file.id});
        let body = body.to_string();
        let body = if self.is_dialog() { body.replace('/', "\\/") } else { body };
        Response::new(200, "application/json", body)
    }

    fn media(&self, request: &Request, id: &str, cx: &Context<'_>) -> Effect {
        match (request.method.as_str(), cx.media.get(id)) {
            ("GET", Some(file)) => Effect::Answer(self.lookup(file, cx)),
            ("DELETE", Some(_)) => Effect::Remove(id.to_owned(), success()),
            _ if self.is_dialog() => Effect::Answer(dialog_error(404, "not found")),
            _ => Effect::Answer(meta::unknown(cx)),
        }
    }

    fn content(request: &Request, cx: &Context<'_>) -> Effect {
        let file = request.query("mid").and_then(|id| cx.media.get(&id));
        Effect::Answer(match file {
            Some(file) => Response::new(200, &file.mime, file.content.clone()),
            None => Response::text(404, "not found"),
        })
    }

    fn call_cloud(&self, request: &Request, cx: &Context<'_>) -> Effect {
        if !meta::has_token(request, cx.credential("access_token")) {
            return Effect::Answer(meta::bad_token(cx));
        }
        let (phone, waba) = (cx.credential("phone_number_id"), cx.credential("business_account_id"));
        let path = meta::path(request);
        let pieces: Vec<&str> = path.iter().map(String::as_str).collect();
        match (request.method.as_str(), pieces.as_slice()) {
            ("POST", [id, "messages"]) if *id == phone => send(request, cx),
            ("POST", [id, "media"]) if *id == phone => upload(request, cx),
            ("POST", [id, "register"]) if *id == phone => Effect::Answer(success()),
            ("POST", [id, "subscribed_apps"]) if *id == waba => subscribe(request, cx),
            ("DELETE", [id, "subscribed_apps"]) if *id == waba => Effect::Answer(success()),
            ("GET", [id, "subscribed_apps"]) if *id == waba => {
                let mut app = json!({"whatsapp_business_api_data": {"id": "1", "name": "simulated"}});
                if let Some(hook) = cx.webhook {
                    put(&mut app, "override_callback_uri", hook.url.as_str());
                }
                Effect::Answer(Response::json(200, &json!({"data": [app]})))
            }
            ("GET", ["whatsapp_business", "attachments"]) => Self::content(request, cx),
            ("GET", [id]) if *id == phone => Effect::Answer(Response::json(
                200,
                &json!({
                "display_phone_number": cx.credential("number"), "verified_name": "Simulated",
                "code_verification_status": "VERIFIED", "quality_rating": "GREEN", "id": phone}),
            )),
            (_, [id]) => self.media(request, id, cx),
            _ => Effect::Answer(meta::unknown(cx)),
        }
    }

    fn call_dialog(&self, request: &Request, cx: &Context<'_>) -> Effect {
        if request.header("d360-api-key") != Some(cx.credential("api_key")) {
            return Effect::Answer(dialog_error(401, "Invalid api key"));
        }
        let segments = request.segments();
        let pieces: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), pieces.as_slice()) {
            ("POST", ["messages"]) => send(request, cx),
            ("POST", ["media"]) => upload(request, cx),
            ("GET", ["v1", "configs", "webhook"]) => {
                let hook = cx.webhook.cloned().unwrap_or_default();
                Effect::Answer(Response::json(200, &json!({"url": hook.url, "headers": headers(&hook)})))
            }
            ("POST", ["v1", "configs", "webhook"]) => configure(request),
            ("GET", ["whatsapp_business", "attachments"]) => Self::content(request, cx),
            (_, [id]) => self.media(request, id, cx),
            _ => Effect::Answer(dialog_error(403, "path not allowed")),
        }
    }
}

fn headers(hook: &WebhookConfig) -> Value {
    let all = hook.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
    Value::Object(all.collect())
}

/// Sets a webhook for this account alone, after its handshake.
fn subscribe(request: &Request, cx: &Context<'_>) -> Effect {
    let body = request.json().unwrap_or_default();
    match (text(&body, "/override_callback_uri"), text(&body, "/verify_token")) {
        (Some(url), Some(token)) => Effect::SetWebhook {
            webhook: Some(WebhookConfig { url: url.to_owned(), ..WebhookConfig::default() }),
            handshake: Some(meta::handshake(url, token, cx)),
            answer: success(),
            failed: meta::error(400, 2_200, 0, "Callback verification failed", cx),
        },
        _ => Effect::Answer(success()),
    }
}

fn configure(request: &Request) -> Effect {
    let body = request.json().unwrap_or_default();
    let Some(url) = text(&body, "/url").filter(|url| url.starts_with("http")) else {
        return Effect::Answer(dialog_error(400, "url is missing"));
    };
    let given = body.get("headers").and_then(Value::as_object).cloned().unwrap_or_default();
    let headers = given.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let hook = WebhookConfig { url: url.to_owned(), headers: headers.collect(), ..WebhookConfig::default() };
    let answer = Response::json(200, &json!({"url": url, "headers": given}));
    Effect::SetWebhook { webhook: Some(hook), handshake: None, failed: answer.clone(), answer }
}

/// Returns the message object of a webhook; `None` for what WhatsApp cannot express.
fn inbound_message(inbound: &Inbound, file: Option<&File>, own: &str) -> Option<Value> {
    let words = inbound.text.as_str();
    let tapped = or(words, "Yes");
    let id = or(&inbound.payload, tapped);
    let about = or(&inbound.about, "wamid.SIMULATED");
    Some(match (inbound.kind, file) {
        (Kind::Text, _) => json!({"type": "text", "text": {"body": words}}),
        (kind, Some(file)) => {
            let name = match kind {
                Kind::Video => "video",
                Kind::Audio => "audio",
                Kind::Document => "document",
                Kind::Sticker => "sticker",
                _ => "image",
            };
            let mut object = json!({"id": file.id, "mime_type": file.mime, "sha256": file.sha256()});
            match kind {
                Kind::Audio => put(&mut object, "voice", true),
                Kind::Sticker => put(&mut object, "animated", false),
                _ if !words.is_empty() => put(&mut object, "caption", words),
                _ => {}
            }
            if kind == Kind::Document {
                put(&mut object, "filename", file.name.as_str());
            }
            let mut message = json!({"type": name});
            put(&mut message, name, object);
            message
        }
        (Kind::Location, _) => json!({"type": "location", "location": {"latitude": inbound.latitude,
            "longitude": inbound.longitude, "name": words}}),
        (Kind::Contact, _) => {
            json!({"type": "contacts", "contacts": [{"name": {"formatted_name": or(words, "Bob B"),
            "first_name": "Bob"}, "phones": [{"phone": or(&inbound.payload, "+15550003333"), "type": "CELL"}]}]})
        }
        (Kind::Button, _) if inbound.about.is_empty() => {
            json!({"type": "button", "context": {"from": own, "id": about},
            "button": {"payload": id, "text": tapped}})
        }
        (Kind::Button, _) => json!({"type": "interactive", "context": {"from": own, "id": about},
            "interactive": {"type": "button_reply", "button_reply": {"id": id, "title": tapped}}}),
        (Kind::List, _) => json!({"type": "interactive", "context": {"from": own, "id": about},
            "interactive": {"type": "list_reply", "list_reply": {"id": id, "title": tapped, "description": ""}}}),
        (Kind::Reaction, _) => json!({"type": "reaction", "reaction": {"message_id": about, "emoji": words}}),
        (Kind::Edit, _) => json!({"type": "edit", "edit": {"original_message_id": about,
            "message": {"type": "text", "text": {"body": words}}}}),
        (Kind::Delete, _) => json!({"type": "revoke", "revoke": {"original_message_id": about}}),
        (Kind::Unsupported, _) => json!({"type": "unsupported", "unsupported": {"type": "poll"}, "errors": [{
            "code": 131_051, "title": "Message type unknown", "error_data": {"details": "not supported"}}]}),
        _ => return None,
    })
}

/// Batches events in every way that Meta may: two in a change, two changes in an entry, and several
/// entries. Messages and statuses never share a change.
fn envelope(events: &[Value], cx: &Context<'_>) -> Value {
    let mut changes: Vec<Value> = Vec::new();
    for event in events {
        let of = |field: &str| event.get(field).is_some();
        if let Some(field) = ["smb_message_echoes", "user_preferences"].iter().find(|field| of(field)) {
            let mut value = event.clone();
            // Echoes have a name of their own within their field.
            if let Some(echoes) = value.as_object_mut().and_then(|value| value.remove("smb_message_echoes")) {
                put(&mut value, "message_echoes", echoes);
            }
            changes.push(json!({"field": field, "value": value}));
            continue;
        }
        let kind = if of("statuses") { "statuses" } else { "messages" };
        let joins = changes.last().and_then(|last| last.get("value")).is_some_and(|last| {
            let room = last.get(kind).and_then(Value::as_array).is_some_and(|items| items.len() < 2);
            room && last.get("metadata") == event.get("metadata")
        });
        match changes.last_mut().and_then(|last| last.get_mut("value")).filter(|_| joins) {
            Some(last) => {
                for key in ["messages", "statuses", "contacts"] {
                    let more = event.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
                    if let Some(items) = last.get_mut(key).and_then(Value::as_array_mut) {
                        let new: Vec<Value> = more
                            .into_iter()
                            .filter(|one| key != "contacts" || !items.contains(one))
                            .collect();
                        items.extend(new);
                    }
                }
            }
            None => changes.push(json!({"field": "messages", "value": event})),
        }
    }
    let waba = cx.credential("business_account_id");
    let entries: Vec<Value> = changes.chunks(2).map(|two| json!({"id": waba, "changes": two})).collect();
    json!({"object": "whatsapp_business_account", "entry": entries})
}

impl Provider for WhatsApp {
    fn about(&self) -> &About {
        &self.about
    }

    fn handle(&self, request: &Request, cx: &Context<'_>) -> Effect {
        if self.is_dialog() { self.call_dialog(request, cx) } else { self.call_cloud(request, cx) }
    }

    fn fault(&self, fault: Fault<'_>, cx: &Context<'_>) -> Response {
        match fault {
            Fault::WithoutId => {
                Response::json(200, &json!({"messaging_product": "whatsapp", "contacts": [], "messages": []}))
            }
            Fault::Credentials if self.is_dialog() => dialog_error(401, "Invalid api key"),
            Fault::Throttled { .. } if self.is_dialog() => dialog_error(429, "endpoint rate limit reached"),
            Fault::Unavailable { status } if self.is_dialog() => {
                dialog_error(status, "upstream not available")
            }
            other => meta::fault(other, 130_429, "131026", cx),
        }
    }

    fn inbound(
        &self,
        inbound: &Inbound,
        file: Option<&File>,
        cx: &Context<'_>,
    ) -> Result<Value, UnsupportedEvent> {
        let own = cx.credential("number");
        // Accepts the business's number or its id.
        let (number, id) = match inbound.to.strip_prefix('+') {
            Some(digits) => (digits, cx.credential("phone_number_id")),
            None if inbound.to == own => (own, cx.credential("phone_number_id")),
            None => (own, or(&inbound.to, cx.credential("phone_number_id"))),
        };
        let from = inbound.from.as_str().trim_start_matches('+');
        let metadata = json!({"display_phone_number": number, "phone_number_id": id});
        if matches!(inbound.kind, Kind::OptOut | Kind::OptIn) {
            let value = if inbound.kind == Kind::OptOut { "stop" } else { "resume" };
            return Ok(json!({"messaging_product": "whatsapp", "metadata": metadata, "user_preferences": [{
                "wa_id": from, "category": "marketing_messages", "value": value, "timestamp": cx.seconds(),
                "detail": format!("User requested to {value} marketing messages")}]}));
        }
        let mut message = inbound_message(inbound, file, number)
            .ok_or_else(|| UnsupportedEvent::new(&self.about, inbound.kind))?;
        let new = wamid(from, false, &cx.hex(2, 20).to_uppercase());
        overlay(
            &mut message,
            &json!({"from": from, "id": or(&inbound.id, &new), "timestamp": cx.seconds().to_string()}),
        );
        if !inbound.about.is_empty()
            && message.get("context").is_none()
            && (inbound.kind == Kind::Text || file.is_some())
        {
            put(&mut message, "context", json!({"from": number, "id": inbound.about}));
        }
        overlay(&mut message, &inbound.extra);
        let name = or(&inbound.name, "Ann");
        Ok(json!({
            "messaging_product": "whatsapp",
            "metadata": metadata,
            "contacts": [{"profile": {"name": name}, "wa_id": from}],
            "messages": [message],
        }))
    }

    fn receipt(&self, report: &StatusReport<'_>, cx: &Context<'_>) -> Option<Value> {
        let StatusReport { message, status, code } = *report;
        let own = cx.credential("number");
        if status == ReportStatus::Own("echo") {
            let echo = json!({"from": own, "to": message.to, "id": message.id, "type": "text",
                "timestamp": cx.seconds().to_string(), "text": {"body": message.text}});
            return Some(json!({"messaging_product": "whatsapp", "smb_message_echoes": [echo],
                "metadata": {"display_phone_number": own, "phone_number_id": cx.credential("phone_number_id")}}));
        }
        let mut report = json!({"id": message.id, "status": status.name(), "timestamp": cx.seconds().to_string(),
            "recipient_id": message.to});
        if let Some(data) = message.request.get("biz_opaque_callback_data") {
            put(&mut report, "biz_opaque_callback_data", data.clone());
        }
        match status {
            ReportStatus::Sent | ReportStatus::Delivered => {
                put(
                    &mut report,
                    "pricing",
                    json!({"billable": true, "pricing_model": "PMP", "type": "regular", "category": "service"}),
                );
            }
            ReportStatus::Failed => {
                let code = code.and_then(|code| code.parse::<u64>().ok()).unwrap_or(131_026);
                put(
                    &mut report,
                    "errors",
                    json!([{"code": code, "title": "Message undeliverable",
                    "message": "Message undeliverable", "error_data": {"details": "failed on purpose"}}]),
                );
            }
            _ => {}
        }
        Some(json!({
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": own, "phone_number_id": cx.credential("phone_number_id")},
            "statuses": [report],
        }))
    }

    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing {
        let body = envelope(events, cx);
        if !self.is_dialog() {
            return meta::post(url, &body, &cx.secret("app_secret"));
        }
        let body = escaped(&body).into_bytes();
        let signature = sign::hmac_sha256_hex(&cx.secret("platform_secret"), &body);
        let mut outgoing = Outgoing::post(url, "application/json", body);
        if cx.signature != Signature::None {
            for (name, value) in cx.webhook.map(|hook| hook.headers.as_slice()).unwrap_or_default() {
                outgoing = outgoing.with(name.to_ascii_lowercase(), cx.signing(value));
            }
        }
        let platform = !cx.credential("platform_secret").is_empty();
        if platform { outgoing.with("x-360dialog-signature", signature) } else { outgoing }
    }

    fn signature_headers(&self) -> &'static [&'static str] {
        &["x-hub-signature-256", "x-360dialog-signature"]
    }

    fn outside_window(&self, message: &Message) -> Option<OutsideWindow> {
        (message.kind != "template").then_some(OutsideWindow::Fails("131047"))
    }

    fn handshake(&self, url: &str, cx: &Context<'_>) -> Option<Handshake> {
        (!self.is_dialog()).then(|| meta::handshake(url, cx.credential("verify_token"), cx))
    }

    fn webhook(&self, url: String, cx: &Context<'_>) -> WebhookConfig {
        let (name, value) = (cx.credential("webhook_header"), cx.credential("webhook_secret"));
        let header = (name.to_owned(), value.to_owned());
        let headers = if name.is_empty() { Vec::new() } else { vec![header] };
        WebhookConfig { url, headers, ..WebhookConfig::default() }
    }

    fn account(&self, cx: &Context<'_>) -> Vec<AccountLine> {
        cx.account(match self.access {
            Access::Dialog360 => &["api_key", "webhook_header", "webhook_secret"],
            Access::CloudApi => {
                &["access_token", "phone_number_id", "business_account_id", "app_secret", "verify_token"]
            }
        })
    }
}
