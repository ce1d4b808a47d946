//! Webhook events of Telnyx, which VoIP.ms also sends. `data.id` is the event's id and
//! `data.payload.id` the message's; only the latter may identify a message.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    contract::{
        EventKind, InEvent, InMessage, InReceipt, MediaRef, Received, Report,
        events::{Fate, fate, note_unknown, row},
        http::Malformed,
    },
    toolkit::{
        group::{self, GroupNumbers},
        inbound_body, json,
    },
};

const INBOUND: &str = "the state of a customer's message on its way to us";
const RCS: &str = "RCS agents are not offered";
const REGISTRATION: &str = "about the registration of brands and campaigns, at an address of its own";

/// Every event of Telnyx's messaging reference that may come to a messaging webhook, the states of
/// a part, and the kinds of automatic answers to keywords.
pub const EVENTS: &[EventKind] = &[
    row("event", "message.received", Fate::Message),
    row("event", "message.sent", Fate::Receipt),
    row("event", "message.finalized", Fate::Receipt),
    row("event", "message.read", Fate::Ignored(RCS)),
    row("event", "10dlc.brand.update", Fate::Ignored(REGISTRATION)),
    row("event", "10dlc.campaign.update", Fate::Ignored(REGISTRATION)),
    row("event", "10dlc.phone_number.update", Fate::Ignored(REGISTRATION)),
    row("direction", "inbound", Fate::Message),
    row("direction", "outbound", Fate::Ignored("our own message: some set-ups send it back")),
    row("status", "queued", Fate::Receipt),
    row("status", "sending", Fate::Receipt),
    row("status", "sent", Fate::Receipt),
    row("status", "delivered", Fate::Receipt),
    row("status", "delivery_unconfirmed", Fate::Receipt),
    row("status", "sending_failed", Fate::Receipt),
    row("status", "delivery_failed", Fate::Receipt),
    row("status", "expired", Fate::Receipt),
    row("status", "webhook_delivered", Fate::Ignored(INBOUND)),
    row("status", "webhook_failed", Fate::Ignored(INBOUND)),
    row("status", "received", Fate::Ignored(INBOUND)),
    row("keyword", "stop", Fate::Notice),
    row("keyword", "start", Fate::Notice),
    row("keyword", "help", Fate::Message),
];

/// The events of the same form that VoIP.ms and the General interface send, and the classic
/// callback of VoIP.ms.
pub const GENERAL_EVENTS: &[EventKind] = &[
    row("callback", "message", Fate::Message),
    row("event", "message.received", Fate::Message),
    row("event", "message.sent", Fate::Receipt),
    row("event", "message.finalized", Fate::Receipt),
    row("direction", "inbound", Fate::Message),
    row("direction", "outbound", Fate::Ignored("our own message: some set-ups send it back")),
    row("status", "queued", Fate::Receipt),
    row("status", "sending", Fate::Receipt),
    row("status", "sent", Fate::Receipt),
    row("status", "delivery_unconfirmed", Fate::Receipt),
    row("status", "delivered", Fate::Receipt),
    row("status", "read", Fate::Receipt),
    row("status", "sending_failed", Fate::Receipt),
    row("status", "delivery_failed", Fate::Receipt),
    row("status", "expired", Fate::Receipt),
    row("status", "webhook_delivered", Fate::Ignored(INBOUND)),
    row("status", "received", Fate::Ignored(INBOUND)),
    row("keyword", "stop", Fate::Notice),
    row("keyword", "start", Fate::Notice),
    row("keyword", "help", Fate::Message),
];

/// How a provider's webhooks in this form are read.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// The treatment of each event.
    pub events: &'static [EventKind],
    /// The words for the state of a part.
    pub statuses: &'static [(&'static str, Report)],
    /// The number of members of a group that one message reaches; 0: only one number.
    pub members_max: usize,
}

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

/// Reads a webhook.
///
/// # Errors
/// Fails when it is not JSON or lacks a field that every message has.
pub fn read(body: &[u8], dialect: Dialect) -> Result<Received, Malformed> {
    let said = json::parse(body).ok_or_else(|| Malformed::new("the body is not valid JSON"))?;
    let data = json::at(&said, "/data").ok_or_else(|| Malformed::new("data is missing"))?;
    let mut received = Received::default();
    let kind = json::text(data, "/event_type").unwrap_or_default();
    match fate(dialect.events, "event", &kind) {
        Some(Fate::Message) => match json::text(data, "/payload/direction") {
            Some(direction) if direction == "outbound" => received.ignored = 1,
            _ => received.events = written(data, dialect)?,
        },
        Some(Fate::Ignored(_)) => received.ignored = 1,
        Some(_) => reported(data, dialect, &mut received),
        None => note_unknown(&mut received.unknown, "event", &kind),
    }
    Ok(received)
}

fn written(data: &Value, dialect: Dialect) -> Result<Vec<InEvent>, Malformed> {
    let missing = |name: &str| Malformed::new(format!("data.payload.{name} is missing"));
    let needed = |pointer: &str, name: &str| json::some_text(data, pointer).ok_or_else(|| missing(name));
    let customer = needed("/payload/from/phone_number", "from.phone_number")?;
    // Repetitions have equal ids; some senders of the General interface have only the outer one.
    let id = json::some_text(data, "/payload/id").or_else(|| json::some_text(data, "/id"));
    let id = id.ok_or_else(|| missing("id"))?;
    let did = needed("/payload/to/0/phone_number", "to[0].phone_number")?;
    let text = json::text(data, "/payload/text").unwrap_or_default();
    let mut message = InMessage {
        time: json::time(data, "/payload/received_at"),
        ..InMessage::new(&did, &customer, &id, message::Content::Text("".into()))
    };
    group_of(data, &did, &customer).address_message(&mut message, dialect.members_max);
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

/// Returns everyone whom a message went to or came from, besides our own number: others of a group
/// stand in `cc`, and some stand in `to`.
fn group_of(data: &Value, own: &str, writer: &str) -> GroupNumbers {
    let numbers = |path: &str| {
        let items = json::items(data, path);
        [group::texts(items, "/phone_number"), group::texts(items, "")].concat()
    };
    let others = [numbers("/payload/to"), numbers("/payload/cc")].concat();
    GroupNumbers::of(own, std::iter::once(writer).chain(others.iter().map(String::as_str)))
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

fn reported(data: &Value, dialect: Dialect, received: &mut Received) {
    let Some(id) = json::some_text(data, "/payload/id") else {
        return received.events.push(InEvent::Broken("data.payload.id is missing".into()));
    };
    let error = json::text(data, "/payload/errors/0/code");
    let words = json::text(data, "/payload/errors/0/title").unwrap_or_default();
    let did = json::text(data, "/payload/from/phone_number").unwrap_or_default();
    // A message to a group is reported for each member, and is the group's.
    let group = group_of(data, &did, "").address(dialect.members_max);
    for to in json::items(data, "/payload/to") {
        let Some(status) = json::text(to, "/status") else {
            received.events.push(InEvent::Broken("data.payload.to[].status is missing".into()));
            continue;
        };
        match fate(dialect.events, "status", &status) {
            Some(Fate::Ignored(_)) => {
                received.ignored += 1;
                continue;
            }
            Some(_) => {}
            None => note_unknown(&mut received.unknown, "status", &status),
        }
        let member: std::sync::Arc<str> = (&*json::text(to, "/phone_number").unwrap_or_default()).into();
        let report = Report::of(dialect.statuses, &status).unwrap_or(Report::Nothing);
        let failure = error.as_ref().filter(|_| report == Report::Failed);
        let code = failure.map_or_else(|| status.to_string(), |code| format!("{code}: {words}"));
        received.events.push(InEvent::Receipt(Box::new(InReceipt {
            reference: None,
            id: (&*id).into(),
            report,
            code: code.into(),
            did: (&*did).into(),
            customer: group.clone().unwrap_or_else(|| member.clone()),
            watermark_ms: None,
        })));
        if failure.is_some_and(|code| code == OPTED_OUT) {
            received.events.push(InEvent::OptOut {
                did: (&*did).into(),
                customer: member,
                out: true,
                id: (&*id).into(),
            });
        }
    }
}
