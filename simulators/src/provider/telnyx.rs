//! Telnyx Messaging v2: JSON under a bearer key, webhooks under Ed25519 with a timestamp. Checks
//! text and sender by Telnyx's documentation; does not simulate registrations and prices.

use serde_json::{Value, json};

use crate::{
    contract::{
        About, AccountLine, Context, Credential, Effect, Fault, Inbound, Kind, Message, Provider,
        ReportStatus, RetryPolicy, StatusReport, UnsupportedEvent, or, overlay, put,
    },
    toolkit::{
        http::{Outgoing, Request, Response, text},
        media::File,
        number::is_e164,
        sign,
    },
};

/// Maximum length of a GSM text: ten parts of 153 characters.
const GSM_TEXT_MAX: usize = 1_530;
const MEDIA_MAX: usize = 10;

pub(crate) struct Telnyx;

pub(crate) static TELNYX: Telnyx = Telnyx;

static ABOUT: About = About {
    name: "telnyx",
    title: "Telnyx",
    credentials: &[
        Credential { key: "api_key", default: "KEY0SIMULATED", purpose: "the bearer key of the API" },
        Credential {
            key: "signing_key",
            default: "c2ltdWxhdGVkLXRlbG55eC1lZDI1NTE5LWtleS0wMDE=",
            purpose: "signs webhooks: 32 octets of an Ed25519 key in base64, or any text",
        },
        Credential::number("+15550100004"),
    ],
    batch_max: 1,
    retry: RetryPolicy { attempts_max: 3, factor: 2, after_answers: true, obeys_retry_after: false },
    polls: false,
    customer: "+15550100002",
};

fn error(status: u16, code: &str, title: &str, pointer: &str) -> Response {
    let mut one = json!({"code": code, "title": title, "detail": title,
        "meta": {"url": format!("https://developers.telnyx.com/docs/overview/errors/{code}")}});
    if !pointer.is_empty() {
        put(&mut one, "source", json!({"pointer": pointer}));
    }
    Response::json(status, &json!({"errors": [one]}))
}

fn unauthorized() -> Response {
    error(401, "10009", "Authentication failed", "")
}

/// Returns the refusal of an invalid request.
fn refusal(body: &Value) -> Option<Response> {
    let Some(to) = text(body, "/to") else {
        return Some(error(422, "10004", "Missing required parameter", "/to"));
    };
    let short_code = (3..=8).contains(&to.len()) && to.bytes().all(|octet| octet.is_ascii_digit());
    if !is_e164(to) && !short_code {
        return Some(error(400, "40310", "Invalid 'to' address", "/to"));
    }
    let from = text(body, "/from").unwrap_or_default();
    let profile = text(body, "/messaging_profile_id").unwrap_or_default();
    if from.is_empty() && profile.is_empty() {
        return Some(error(400, "40305", "Invalid 'from' address", "/from"));
    }
    let alphanumeric = from.bytes().any(|octet| octet.is_ascii_alphabetic());
    if alphanumeric && (profile.is_empty() || from.len() > 11) {
        return Some(error(400, "40305", "Invalid 'from' address", "/from"));
    }
    if !from.is_empty() && !alphanumeric && !is_e164(from) && from.len() > 8 {
        return Some(error(400, "40305", "Invalid 'from' address", "/from"));
    }
    let words = text(body, "/text").unwrap_or_default();
    let media = match body.get("media_urls") {
        None | Some(Value::Null) => 0,
        Some(Value::Array(urls)) if urls.len() <= MEDIA_MAX => urls.len(),
        Some(_) => return Some(error(422, "40316", "Invalid media URLs", "/media_urls")),
    };
    if words.is_empty() && media == 0 {
        return Some(error(422, "10004", "Missing required parameter", "/text"));
    }
    let most = if words.is_ascii() { GSM_TEXT_MAX } else { 670 };
    if media == 0 && words.encode_utf16().count() > most {
        return Some(error(400, "40302", "Message too large", "/text"));
    }
    let url = text(body, "/webhook_url").unwrap_or_default();
    if !url.is_empty() && !url.starts_with("http") {
        return Some(error(422, "10015", "Bad Request", "/webhook_url"));
    }
    None
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let all = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
}

fn send(request: &Request, cx: &Context<'_>) -> Effect {
    let Some(body) = request.json().filter(Value::is_object) else {
        return Effect::Answer(error(400, "10015", "Bad Request", ""));
    };
    if let Some(answer) = refusal(&body) {
        return Effect::Answer(answer);
    }
    let media = strings(body.get("media_urls"));
    let own = |pointer| text(&body, pointer).unwrap_or_default().to_owned();
    let message = Message {
        id: cx.uuid(1),
        from: or(&own("/from"), cx.credential("number")).to_owned(),
        to: own("/to"),
        kind: if media.is_empty() { "SMS" } else { "MMS" }.to_owned(),
        text: own("/text"),
        media,
        callback: Some(own("/webhook_url")).filter(|url| !url.is_empty()),
        request: body.clone(),
        ..Message::default()
    };
    let mut answer = outbound(&message, "queued", cx);
    put(&mut answer, "webhook_url", own("/webhook_url"));
    Effect::Accept(vec![message], Response::json(200, &json!({"data": answer})))
}

/// Returns the message object, as in answers and reports.
fn outbound(message: &Message, status: &str, cx: &Context<'_>) -> Value {
    let at = |done: bool| if done { json!(cx.rfc3339()) } else { Value::Null };
    let media: Vec<Value> = message.media.iter().map(|url| json!({"url": url, "sha256": null})).collect();
    json!({
        "id": message.id, "record_type": "message", "direction": "outbound", "type": message.kind,
        "parts": 1, "encoding": if message.text.is_ascii() { "GSM-7" } else { "UCS-2" },
        "from": {"phone_number": message.from, "carrier": "", "line_type": ""},
        "to": [{"phone_number": message.to, "status": status, "carrier": "", "line_type": ""}],
        "text": message.text, "media": media, "errors": [], "tags": [],
        "messaging_profile_id": "11111111-0000-4000-8000-00000000000b",
        "received_at": cx.rfc3339(), "sent_at": at(status != "queued"),
        "completed_at": at(status.starts_with("deliver")), "valid_until": null, "cost": null,
        "webhook_url": "", "webhook_failover_url": "",
    })
}

fn event(kind: &str, payload: &Value, cx: &Context<'_>) -> Value {
    json!({"data": {
        "event_type": kind, "id": cx.uuid(9), "occurred_at": cx.rfc3339(), "record_type": "event",
        "payload": payload,
    }})
}

impl Provider for Telnyx {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn handle(&self, request: &Request, cx: &Context<'_>) -> Effect {
        if let Some(id) = request.path.strip_prefix("/media/") {
            return Effect::Answer(
                cx.file(id).unwrap_or_else(|| error(404, "10005", "Resource not found", "")),
            );
        }
        if request.bearer() != Some(cx.credential("api_key")) {
            return Effect::Answer(unauthorized());
        }
        match (request.method.as_str(), request.path.as_str()) {
            (
                "POST",
                "/v2/messages"
                | "/v2/messages/long_code"
                | "/v2/messages/short_code"
                | "/v2/messages/number_pool"
                | "/v2/messages/alphanumeric_sender_id",
            ) => send(request, cx),
            ("GET", "/v2/messaging_profiles") => Effect::Answer(Response::json(
                200,
                &json!({
                "data": [{"record_type": "messaging_profile", "id": "11111111-0000-4000-8000-00000000000b",
                    "name": "simulated", "enabled": true}],
                "meta": {"page_number": 1, "page_size": 1, "total_pages": 1, "total_results": 1}}),
            )),
            ("GET", "/v2/phone_numbers/messaging") => Effect::Answer(Response::json(
                200,
                &json!({
                "data": [{"record_type": "messaging_settings", "id": "1293384261075731499",
                    "phone_number": cx.credential("number"), "country_code": "US", "type": "longcode",
                    "messaging_profile_id": "11111111-0000-4000-8000-00000000000b"}],
                "meta": {"page_number": 1, "page_size": 250, "total_pages": 1, "total_results": 1}}),
            )),
            _ => Effect::Answer(error(404, "10005", "Resource not found", "")),
        }
    }

    fn fault(&self, fault: Fault<'_>, cx: &Context<'_>) -> Response {
        match fault {
            Fault::Throttled { after_s } => {
                let answer = error(429, "10011", "Too many requests", "");
                answer.retry_after(after_s)
            }
            Fault::Unavailable { status } => error(status, "10007", "Unexpected error", ""),
            Fault::Rejected { code } => error(400, or(code, "40001"), "Refused on purpose", ""),
            Fault::Credentials => unauthorized(),
            Fault::WithoutId => {
                let mut message = outbound(&Message::default(), "queued", cx);
                put(&mut message, "id", Value::Null);
                Response::json(200, &json!({"data": message}))
            }
        }
    }

    fn inbound(
        &self,
        inbound: &Inbound,
        file: Option<&File>,
        cx: &Context<'_>,
    ) -> Result<Value, UnsupportedEvent> {
        let words = inbound.sms_text().ok_or_else(|| UnsupportedEvent::new(&ABOUT, inbound.kind))?;
        let new = cx.uuid(2);
        let mut payload = json!({
            "id": or(&inbound.id, &new), "record_type": "message", "direction": "inbound",
            "type": if file.is_some() { "MMS" } else { "SMS" }, "encoding": "GSM-7", "parts": 1,
            "from": {"phone_number": inbound.from.as_str(), "carrier": "Simulated", "line_type": "Wireless"},
            "to": [{"phone_number": or(&inbound.to, cx.credential("number")), "status": "webhook_delivered"}],
            "cc": [], "text": words, "media": [], "errors": [], "cost": null,
            "messaging_profile_id": "11111111-0000-4000-8000-00000000000b",
            "received_at": cx.rfc3339(), "sent_at": null, "completed_at": null, "valid_until": null,
        });
        if let Some(file) = file {
            let url = format!("{}/media/{}", cx.base, file.id);
            put(
                &mut payload,
                "media",
                json!([{"url": url, "content_type": file.mime, "size": file.content.len(),
                "hash_sha256": file.sha256()}]),
            );
        }
        let keyword = match inbound.kind {
            Kind::OptOut => "STOP",
            Kind::OptIn => "START",
            _ => "",
        };
        if !keyword.is_empty() {
            put(&mut payload, "autoresponse_type", keyword);
        }
        let mut event = event("message.received", &payload, cx);
        overlay(&mut event, &inbound.extra);
        Ok(event)
    }

    fn receipt(&self, report: &StatusReport<'_>, cx: &Context<'_>) -> Option<Value> {
        let StatusReport { message, status, code } = *report;
        let (kind, status) = match status {
            ReportStatus::Read => return None,
            ReportStatus::Sent => ("message.sent", "sent"),
            ReportStatus::Own(word @ ("sending" | "queued")) => ("message.sent", word),
            ReportStatus::Failed => ("message.finalized", "delivery_failed"),
            other => ("message.finalized", other.name()),
        };
        let mut payload = outbound(message, status, cx);
        if status.ends_with("failed") || status == "expired" {
            put(
                &mut payload,
                "errors",
                json!([{"code": code.unwrap_or("40008"), "title": "Undeliverable",
                "detail": "The recipient could not be reached"}]),
            );
        }
        Some(event(kind, &payload, cx))
    }

    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing {
        let mut event = events.first().cloned().unwrap_or_default();
        overlay(&mut event, &json!({"meta": {"attempt": cx.attempt, "delivered_to": url}}));
        let body = event.to_string().into_bytes();
        let time = cx.seconds().to_string();
        let signed = [time.as_bytes(), b"|", &body].concat();
        let signature = sign::ed25519_base64(&cx.secret("signing_key"), &signed);
        Outgoing::post(url, "application/json", body)
            .with("telnyx-signature-ed25519", signature)
            .with("telnyx-timestamp", time)
    }

    fn signature_headers(&self) -> &'static [&'static str] {
        &["telnyx-signature-ed25519", "telnyx-timestamp"]
    }

    fn account(&self, cx: &Context<'_>) -> Vec<AccountLine> {
        let mut lines = cx.account(&["api_key"]);
        lines.push(AccountLine::new("public_key", sign::ed25519_public(cx.credential("signing_key"))));
        lines
    }
}
