//! Webhook events of Telnyx, which VoIP.ms also sends. `data.id` is the event's id and
//! `data.payload.id` the message's; only the latter may identify a message.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    contract::{InEvent, InMessage, InReceipt, MediaRef, Received, Report, http::Malformed},
    toolkit::{inbound_body, json},
};

/// Telnyx's words for the state of a part.
pub const STATUSES: &[(&str, Report)] = &[
    ("queued", Report::Enroute),
    ("sending", Report::Enroute),
    ("sent", Report::Sent),
    ("delivered", Report::Delivered),
    ("delivery_unconfirmed", Report::Sent),
    ("sending_failed", Report::Failed),
    ("delivery_failed", Report::Failed),
    ("expired", Report::Failed),
];

/// Status words of the General interface: those of Telnyx, and `read`.
pub const GENERAL_STATUSES: &[(&str, Report)] = &[
    ("queued", Report::Enroute),
    ("sending", Report::Enroute),
    ("sent", Report::Sent),
    ("delivery_unconfirmed", Report::Sent),
    ("delivered", Report::Delivered),
    ("read", Report::Read),
    ("sending_failed", Report::Failed),
    ("delivery_failed", Report::Failed),
    ("expired", Report::Failed),
];

/// Reads a webhook. Other event types count as ignored.
///
/// # Errors
/// Fails when it is not JSON or lacks a field that every message has.
pub fn read(body: &[u8], statuses: &[(&str, Report)]) -> Result<Received, Malformed> {
    let said = json::parse(body).ok_or_else(|| Malformed::new("the body is not valid JSON"))?;
    let data = json::at(&said, "/data").ok_or_else(|| Malformed::new("data is missing"))?;
    let mut received = Received::default();
    match json::at(data, "/event_type").and_then(Value::as_str) {
        Some("message.received") => received.events = written(data)?,
        Some("message.sent" | "message.finalized") => received.events = reported(data, statuses),
        _ => received.ignored = 1,
    }
    Ok(received)
}

fn written(data: &Value) -> Result<Vec<InEvent>, Malformed> {
    // Some set-ups send our own messages back: they are not a customer's.
    if json::text(data, "/payload/direction").is_some_and(|d| d == "outbound") {
        return Ok(Vec::new());
    }
    let missing = |name: &str| Malformed::new(format!("data.payload.{name} is missing"));
    let needed = |pointer: &str, name: &str| json::some_text(data, pointer).ok_or_else(|| missing(name));
    let customer = needed("/payload/from/phone_number", "from.phone_number")?;
    // Repetitions have equal ids; some senders of the General interface have only the outer one.
    let id = json::some_text(data, "/payload/id").or_else(|| json::some_text(data, "/id"));
    let id = id.ok_or_else(|| missing("id"))?;
    let did = needed("/payload/to/0/phone_number", "to[0].phone_number")?;
    let text = json::text(data, "/payload/text").unwrap_or_default();
    let message = InMessage {
        time: json::time(data, "/payload/received_at"),
        ..InMessage::new(&did, &customer, &id, message::Content::Text("".into()))
    };
    let mut events = inbound_body::messages(message, &text, files(data));
    if let Some(out) = opts(data, &text) {
        events.push(InEvent::OptOut {
            did: (&*did).into(),
            customer: (&*customer).into(),
            out,
            id: (&*id).into(),
        });
    }
    Ok(events)
}

/// Returns the files of `media[].url`, or of `media_urls[]` in the form in which they are sent.
fn files(data: &Value) -> Vec<MediaRef> {
    let of_object = |item: &Value| {
        let owned = |pointer: &str| json::some_text(item, pointer).map(|text| Box::from(&*text));
        Some(MediaRef { locator: owned("/url")?, content_type: owned("/content_type"), file_name: None })
    };
    let of_text = |item: &Value| {
        let locator = item.as_str().filter(|url| !url.is_empty())?.into();
        Some(MediaRef { locator, content_type: None, file_name: None })
    };
    let mut files: Vec<MediaRef> = json::items(data, "/payload/media").iter().filter_map(of_object).collect();
    if files.is_empty() {
        files.extend(json::items(data, "/payload/media_urls").iter().filter_map(of_text));
    }
    files
}

/// Returns whether a message opts out or in again: by the provider's word, or by a keyword alone.
fn opts(data: &Value, text: &str) -> Option<bool> {
    let told = json::some_text(data, "/payload/autoresponse_type")
        .or_else(|| json::some_text(data, "/autoresponse_type"));
    let word = told.unwrap_or(Cow::Borrowed(text)).trim().to_lowercase();
    match word.as_str() {
        "stop" | "stopall" | "stop all" | "unsubscribe" | "opt_out" => Some(true),
        "start" | "unstop" | "opt_in" => Some(false),
        _ => None,
    }
}

/// Error code of a receipt whose customer has opted out.
const OPTED_OUT: &str = "40300";

fn reported(data: &Value, statuses: &[(&str, Report)]) -> Vec<InEvent> {
    let Some(id) = json::some_text(data, "/payload/id") else {
        return vec![InEvent::Broken("data.payload.id is missing".into())];
    };
    let error = json::text(data, "/payload/errors/0/code");
    let words = json::text(data, "/payload/errors/0/title").unwrap_or_default();
    let did = json::text(data, "/payload/from/phone_number").unwrap_or_default();
    let mut events = Vec::new();
    for to in json::items(data, "/payload/to") {
        let Some(status) = json::text(to, "/status") else {
            events.push(InEvent::Broken("data.payload.to[].status is missing".into()));
            continue;
        };
        let customer = json::text(to, "/phone_number").unwrap_or_default();
        let report = Report::of(statuses, &status).unwrap_or(Report::Nothing);
        let failure = error.as_ref().filter(|_| report == Report::Failed);
        let code = failure.map_or_else(|| status.to_string(), |code| format!("{code}: {words}"));
        events.push(InEvent::Receipt(Box::new(InReceipt {
            reference: None,
            id: (&*id).into(),
            report,
            code: code.into(),
            did: (&*did).into(),
            customer: (&*customer).into(),
            watermark_ms: None,
        })));
        if failure.is_some_and(|code| code == OPTED_OUT) {
            events.push(InEvent::OptOut {
                did: (&*did).into(),
                customer: (&*customer).into(),
                out: true,
                id: (&*id).into(),
            });
        }
    }
    events
}
