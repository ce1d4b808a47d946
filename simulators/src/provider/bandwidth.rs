//! Bandwidth Messaging v2: JSON under Basic authentication; call-backs are arrays of one event,
//! with Basic authentication if configured. Does not simulate rates and registrations.

use serde_json::{Value, json};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    contract::{
        About, AccountLine, Context, Credential, Effect, Fault, Inbound, Message, Provider, ReportStatus,
        RetryPolicy, StatusReport, UnsupportedEvent, or, overlay, put,
    },
    toolkit::{
        http::{Outgoing, Request, Response, text},
        media::File,
        number::is_e164,
    },
};

/// Maximum length of a text, in characters.
const TEXT_MAX: usize = 2_048;
/// Maximum length of a file's address, in bytes.
const URL_MAX: usize = 4_096;
/// Maximum length of a tag, in characters.
const TAG_MAX: usize = 1_024;

pub(crate) struct Bandwidth;

pub(crate) static BANDWIDTH: Bandwidth = Bandwidth;

static ABOUT: About = About {
    name: "bandwidth",
    title: "Bandwidth",
    credentials: &[
        Credential { key: "account_id", default: "9900000", purpose: "the account in the paths of the API" },
        Credential {
            key: "application_id",
            default: "6f2d0a1e-0000-4000-8000-0000000000aa",
            purpose: "the application that each message must name",
        },
        Credential { key: "username", default: "sim-user", purpose: "Basic authentication of the API" },
        Credential { key: "password", default: "sim-password", purpose: "Basic authentication of the API" },
        Credential {
            key: "callback_user_id",
            default: "sim-callback",
            purpose: "Basic authentication of call-backs; empty: none",
        },
        Credential {
            key: "callback_password",
            default: "sim-callback-password",
            purpose: "Basic authentication of call-backs",
        },
        Credential::number("+15550100003"),
    ],
    batch_max: 1,
    retry: RetryPolicy { attempts_max: 10, factor: 2, after_answers: true, obeys_retry_after: false },
    polls: false,
    customer: "+15550100002",
};

fn error(status: u16, kind: &str, description: &str) -> Response {
    Response::json(status, &json!({"type": kind, "description": description}))
}

fn invalid(field: &str, description: &str) -> Effect {
    Effect::Answer(Response::json(
        400,
        &json!({
        "type": "request-validation", "description": "Your request could not be accepted.",
        "fieldErrors": [{"fieldName": field, "description": description}]}),
    ))
}

fn unauthorized() -> Response {
    error(401, "unauthorized", "Authentication Failed").with("www-authenticate", "Basic realm=\"bandwidth\"")
}

fn send(request: &Request, cx: &Context<'_>) -> Effect {
    if request.content_type() != "application/json" {
        return Effect::Answer(error(415, "unsupported-media-type", "Content-Type must be application/json"));
    }
    let Some(body) = request.json().filter(Value::is_object) else {
        return Effect::Answer(error(400, "malformed-json", "The body is not a JSON object"));
    };
    let own = |pointer| text(&body, pointer).unwrap_or_default();
    let to: Vec<&str> = match body.get("to") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let media: Vec<String> = match body.get("media") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect(),
        Some(_) => return invalid("media", "must be a list of URLs"),
    };
    if own("/applicationId") != cx.credential("application_id") {
        return invalid("applicationId", "'applicationId' is not one of this account");
    }
    let Some(first) = to.first().copied() else { return invalid("to", "'to' must not be empty") };
    if to.len() > 10 || to.iter().any(|to| !is_e164(to)) {
        return invalid("to", "'to' must hold up to 10 numbers in E.164");
    }
    let from = own("/from");
    let alphanumeric = from.len() <= 11 && from.bytes().any(|octet| octet.is_ascii_alphabetic());
    let short = (3..=8).contains(&from.len()) && from.bytes().all(|octet| octet.is_ascii_digit());
    if !is_e164(from) && !alphanumeric && !short {
        return invalid("from", "'from' must be in E.164 format");
    }
    let words = own("/text");
    if (words.is_empty() && media.is_empty()) || words.chars().count() > TEXT_MAX {
        return invalid("text", "'text' must have 1 to 2048 characters");
    }
    if media.iter().any(|url| url.len() > URL_MAX || !url.starts_with("http")) {
        return invalid("media", "each must be a URL of up to 4096 characters");
    }
    if own("/tag").chars().count() > TAG_MAX {
        return invalid("tag", "'tag' must have at most 1024 characters");
    }
    let id = format!("{}{}", cx.now_ms, letters(&cx.hex(1, 16)));
    let message = Message {
        id: id.clone(),
        from: from.to_owned(),
        to: first.to_owned(),
        kind: if media.is_empty() { "sms" } else { "mms" }.to_owned(),
        text: words.to_owned(),
        media: media.clone(),
        request: body.clone(),
        ..Message::default()
    };
    let answer = json!({
        "id": id, "owner": from, "from": from, "to": to, "applicationId": own("/applicationId"),
        "time": cx.rfc3339(), "segmentCount": 1, "direction": "out", "text": words, "media": media,
        "tag": own("/tag"), "priority": or(own("/priority"), "default"),
    });
    Effect::Accept(vec![message], Response::json(202, &answer))
}

/// Spells hexadecimal digits as the letters at the end of Bandwidth's ids.
fn letters(hex: &str) -> String {
    hex.bytes()
        .map(|octet| char::from(if octet.is_ascii_digit() { octet - b'0' + b'g' } else { octet }))
        .collect()
}

impl Provider for Bandwidth {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn handle(&self, request: &Request, cx: &Context<'_>) -> Effect {
        let good = request.has_basic(cx.credential("username"), cx.credential("password"));
        if !good {
            return Effect::Answer(unauthorized());
        }
        let segments = request.segments();
        let pieces: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["api", "v2", "users", account, rest @ ..] = pieces.as_slice() else {
            return Effect::Answer(Response::json(
                404,
                &json!({"timestamp": cx.rfc3339(), "status": 404,
                "error": "Not Found", "path": request.path}),
            ));
        };
        if *account != cx.credential("account_id") {
            return Effect::Answer(error(403, "forbidden", "Access is denied"));
        }
        match (request.method.as_str(), rest) {
            ("POST", ["messages"]) => send(request, cx),
            ("GET", ["messages"]) => Effect::Answer(Response::json(
                200,
                &json!({
                "totalCount": 0, "pageInfo": {}, "messages": []}),
            )),
            ("GET", ["media", id, ..]) => Effect::Answer(
                cx.file(id).unwrap_or_else(|| error(404, "media-not-found", "The media is not there")),
            ),
            (_, ["messages"]) => {
                Effect::Answer(error(405, "method-not-allowed", "The method is not allowed"))
            }
            _ => Effect::Answer(error(404, "not-found", "No such address")),
        }
    }

    fn fault(&self, fault: Fault<'_>, cx: &Context<'_>) -> Response {
        match fault {
            // Bandwidth documents no Retry-After; the script may add one.
            Fault::Throttled { after_s } => {
                let answer = error(429, "max-message-queue-size-exceeded", "The message queue is full");
                answer.retry_after(after_s)
            }
            Fault::Unavailable { status } => error(status, "server-error", "Unavailable on purpose"),
            Fault::Rejected { code } => error(400, or(code, "request-validation"), "Refused on purpose"),
            Fault::Credentials => unauthorized(),
            Fault::WithoutId => Response::json(202, &json!({"time": cx.rfc3339(), "direction": "out"})),
        }
    }

    fn inbound(
        &self,
        inbound: &Inbound,
        file: Option<&File>,
        cx: &Context<'_>,
    ) -> Result<Value, UnsupportedEvent> {
        let words = inbound.sms_text().ok_or_else(|| UnsupportedEvent::new(&ABOUT, inbound.kind))?;
        let to = or(&inbound.to, cx.credential("number"));
        let new = format!("{}{}", cx.now_ms, letters(&cx.hex(2, 16)));
        let mut event = json!({
            "type": "message-received", "time": cx.rfc3339(), "description": "Incoming message received", "to": to,
            "message": {
                "id": or(&inbound.id, &new), "owner": to, "applicationId": cx.credential("application_id"),
                "time": cx.rfc3339(), "segmentCount": 1, "direction": "in", "to": [to],
                "from": inbound.from.as_str(), "text": words,
            },
        });
        if let Some(file) = file {
            let account = cx.credential("account_id");
            let url = format!("{}/api/v2/users/{account}/media/{}/0/{}", cx.base, file.id, file.name);
            overlay(&mut event, &json!({"message": {"media": [url]}}));
        }
        overlay(&mut event, &inbound.extra);
        Ok(event)
    }

    fn receipt(&self, report: &StatusReport<'_>, cx: &Context<'_>) -> Option<Value> {
        let StatusReport { message, status, code } = *report;
        let kind = match status {
            ReportStatus::Read => return None,
            // Bandwidth reports only MMS as sending.
            ReportStatus::Sent if message.kind == "sms" => return None,
            ReportStatus::Sent => "message-sending",
            ReportStatus::Delivered => "message-delivered",
            ReportStatus::Failed => "message-failed",
            ReportStatus::Own(word) => word,
        };
        let mut event = json!({
            "type": kind, "time": cx.rfc3339(), "description": "ok", "to": message.to,
            "message": {
                "id": message.id, "owner": message.from, "applicationId": cx.credential("application_id"),
                "time": cx.rfc3339(), "segmentCount": 1, "direction": "out", "to": [message.to],
                "from": message.from, "text": "", "media": message.media,
                "tag": text(&message.request, "/tag").unwrap_or_default(),
            },
        });
        if kind == "message-failed" {
            put(&mut event, "errorCode", code.and_then(|code| code.parse::<u64>().ok()).unwrap_or(4_720));
            put(&mut event, "description", "rejected on purpose");
        }
        Some(event)
    }

    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing {
        let body = Value::Array(events.to_vec()).to_string().into_bytes();
        let outgoing = Outgoing::post(url, "application/json; charset=utf-8", body)
            .with("user-agent", "BandwidthAPI/v2".to_owned());
        let user = cx.credential("callback_user_id");
        if user.is_empty() {
            return outgoing;
        }
        let pair = format!("{user}:{}", cx.secret("callback_password"));
        outgoing.with("authorization", format!("Basic {}", STANDARD.encode(pair)))
    }

    fn signature_headers(&self) -> &'static [&'static str] {
        &["authorization"]
    }

    fn account(&self, cx: &Context<'_>) -> Vec<AccountLine> {
        cx.account(&[
            "account_id",
            "application_id",
            "username",
            "password",
            "callback_user_id",
            "callback_password",
        ])
    }
}
