//! The CIM wire form: the JSON that a business and Patchbay exchange. [`parse`] reads what a business posts,
//! [`mod@write`] appends what is posted to it, [`body`] reads rich bodies, [`adapt`] turns them into plain text.
//! Nothing here draws an id, reads a clock or fails on keys it does not know.
//!
//! What is read is taken in the spirit of the peers that write it: enum text in any case, numbers as texts,
//! the older spellings (`channelsessionId`, `mediaURL`) and the older place (`header.channelSession`).
//!
//! CIM leaves the keys of `schedulingMetaData` open. Ours, all optional, there or as attributes of
//! `channelData.additionalAttributes` (the first place wins):
//!
//! | key | value |
//! |---|---|
//! | `sendAt` | not to be sent before: epoch milliseconds, as number or text, or RFC 3339 |
//! | `expiresAt` | not to be sent after: likewise |
//! | `validityPeriod` | seconds, or a text with units (`2h 30m`), counted from when it may first be sent |

pub mod adapt;
pub mod body;
mod check;
mod choice;
mod error;
mod header;
mod lenient;
pub mod markdown;
mod rule;
mod time;
pub mod write;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use adapt::{Adapted, Marks, NotSendable, plain_text_of, words_of};
pub use choice::choice;
pub use error::Error;
pub use lenient::{List, Number, Object, Text};
pub use rule::Rule;

use crate::{
    content::{BodyType, Content},
    id::{MESSAGE_ID_BYTES_MAX, MessageId, Timestamp},
};
use header::{Header, identifier};
use lenient::{Child, Scalar};

/// The largest message, as JSON, in bytes.
pub const MESSAGE_JSON_BYTES_MAX: usize = 1 << 20;
/// The longest text of a PLAIN body, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The largest rich body, as JSON, in bytes.
pub const BODY_JSON_BYTES_MAX: usize = 256 * 1024;
/// The largest `channelData`, as JSON, in bytes.
pub const CHANNEL_DATA_BYTES_MAX: usize = 16 * 1024;
/// The longest address of a customer or a service, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 256;
/// The longest conversation id, session id, sender's name or intent, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// The most messages in one request.
pub const ITEMS_MAX: usize = 1_000;
/// The longest validity period: 366 days, in milliseconds.
pub const VALIDITY_MS_MAX: u64 = 366 * 24 * 3_600_000;
/// The greatest request priority.
pub const PRIORITY_MAX: u8 = 10;

/// A CIM message from the business.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its id; the router draws one when there is none.
    pub id: Option<MessageId>,
    /// The customer's address, as written (`channelCustomerIdentifier`).
    pub customer: Box<str>,
    /// The business's address, as written: it names the channel.
    pub service_identifier: Box<str>,
    /// The type of channel, where the sender names one (`channelTypeCode`, `channelType`).
    pub channel_type: Option<Box<str>>,
    /// What it asks for beyond being sent.
    pub intent: Intent,
    /// The message replied to or updated.
    pub original_message_id: Option<MessageId>,
    /// The id at the channel's provider, if the sender knows one.
    pub provider_message_id: Option<Box<str>>,
    /// Given back in notifications.
    pub conversation_id: Option<Box<str>>,
    /// The session, as the business calls it.
    pub channel_session_id: Option<Box<str>>,
    /// Who wrote it.
    pub sender: Option<Sender>,
    /// 0 (bulk) to 10 (most urgent); nothing: the channel's default.
    pub priority: Option<u8>,
    /// When the sender says it was written.
    pub timestamp: Option<Timestamp>,
    /// When it may be sent.
    pub scheduling: Scheduling,
    /// What it says.
    pub content: Content,
    /// The whole `channelData` as it came, when it says more than the two addresses (priority 0, nulls and
    /// empty lists say nothing).
    pub channel_data_json: Option<Box<str>>,
}

/// The intent of a message (`header.intent`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Intent {
    /// To be sent.
    #[default]
    None,
    /// To be sent as a reply to the original message.
    ReplyTo,
    /// To replace the original message.
    Update,
    /// To open a session.
    StartChat,
    /// To end the session.
    EndChat,
    /// Any other, in upper case.
    Other(Box<str>),
}

/// Who wrote a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// Its id; may be empty.
    pub id: Box<str>,
    /// Its kind.
    pub kind: SenderKind,
    /// Its name; may be empty.
    pub name: Box<str>,
}

/// The kinds of sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the wire's own words")]
pub enum SenderKind {
    Agent,
    Bot,
    Customer,
    App,
    Connector,
    System,
    /// None given, or one this version does not know.
    #[default]
    Unknown,
}

/// When a message may be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// Not before.
    pub send_at: Option<Timestamp>,
    /// For how long it is worth sending, from when it may first be sent.
    pub validity_ms: Option<u64>,
    /// Not after.
    pub expires_at: Option<Timestamp>,
}

impl Scheduling {
    /// The instant after which it is not to be sent, for a message accepted `now`: the earlier of both limits.
    pub fn expiry(&self, now: Timestamp) -> Option<Timestamp> {
        let first = self.send_at.map_or(now, |send_at| send_at.max(now));
        let by_validity = self.validity_ms.map(|ms| first.plus_ms(ms));
        match (by_validity, self.expires_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow)]
    header: Child<Header<'a>>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// Reads one CIM message.
///
/// # Errors
/// When it is no JSON, lacks what it needs or exceeds a limit; the text of the error says what to change.
pub fn parse(json: &[u8]) -> Result<Message, Error> {
    let text = text_of(json)?;
    let envelope: Child<Envelope<'_>> =
        serde_json::from_str(text).map_err(|error| error::malformed(text, text, &error))?;
    let envelope = match envelope {
        Child::Is(envelope) => envelope,
        Child::Absent => return Err(Error::missing("the message", "send an object with header and body")),
        Child::Wrong(found) => {
            return Err(Error::wrong_type("the message", found, "an object with header and body"));
        }
    };
    let id = identifier("id", envelope.id, MESSAGE_ID_BYTES_MAX)?;
    let fields = match envelope.header {
        Child::Is(header) => header.resolve(text)?,
        Child::Absent => return Err(Error::missing("header", "an object with channelData")),
        Child::Wrong(found) => return Err(Error::wrong_type("header", found, "an object")),
    };
    let content = content_of(text, envelope.body, &fields.intent)?;
    Ok(Message { id: id.map(MessageId::new), content, ..fields })
}

fn text_of(json: &[u8]) -> Result<&str, Error> {
    if json.len() > MESSAGE_JSON_BYTES_MAX {
        return Err(Error::too_long("the message", json.len(), MESSAGE_JSON_BYTES_MAX));
    }
    std::str::from_utf8(json).map_err(|error| Error::NotUtf8 { offset: error.valid_up_to() })
}

/// Reads a part of `whole` that was skipped before.
fn nested<'a, T: Deserialize<'a>>(whole: &str, raw: &'a RawValue) -> Result<Child<T>, Error> {
    serde_json::from_str(raw.get()).map_err(|error| error::malformed(whole, raw.get(), &error))
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct BodyHead<'a> {
    #[serde(borrow, rename = "type")]
    body_type: Scalar<'a>,
    #[serde(borrow)]
    markdown_text: Scalar<'a>,
}

fn content_of(whole: &str, raw: Option<&RawValue>, intent: &Intent) -> Result<Content, Error> {
    let may_be_empty = !matches!(intent, Intent::None | Intent::ReplyTo | Intent::Update);
    let empty = || Content::Text("".into());
    let Some(raw) = raw else {
        let fix = "an object with type, such as {\"type\":\"PLAIN\",\"markdownText\":\"Hello\"}";
        return if may_be_empty { Ok(empty()) } else { Err(Error::missing("body", fix)) };
    };
    let head: BodyHead<'_> = match nested(whole, raw)? {
        Child::Is(head) => head,
        Child::Absent if may_be_empty => return Ok(empty()),
        Child::Absent => return Err(Error::missing("body", "an object with type and its fields")),
        Child::Wrong(found) => return Err(Error::wrong_type("body", found, "an object")),
    };
    let body_type = match &head.body_type {
        Scalar::Text(text) => BodyType::from_wire(text.trim()),
        Scalar::Absent | Scalar::Null if may_be_empty => return Ok(empty()),
        Scalar::Absent | Scalar::Null => {
            return Err(Error::missing("body.type", "a body type, such as PLAIN"));
        }
        other => return Err(Error::wrong_type("body.type", other.kind(), "a text, such as PLAIN")),
    };
    if body_type != BodyType::Plain {
        return check::rich(whole, raw, body_type);
    }
    let path = "body.markdownText";
    match head.markdown_text {
        Scalar::Text(text) if text.len() > TEXT_BYTES_MAX => {
            Err(Error::too_long(path, text.len(), TEXT_BYTES_MAX))
        }
        Scalar::Text(text) if may_be_empty || !text.trim().is_empty() => {
            Ok(Content::Text(text.into_owned().into()))
        }
        Scalar::Absent | Scalar::Null if may_be_empty => Ok(empty()),
        Scalar::Text(_) | Scalar::Absent | Scalar::Null => Err(Error::missing(path, "the text to send")),
        other => Err(Error::wrong_type(path, other.kind(), "a text")),
    }
}

/// The messages of one request: a JSON array, lines of JSON (NDJSON), or a single message.
///
/// # Errors
/// When the request is no text, its array is malformed, or it holds more than [`ITEMS_MAX`]. What is wrong
/// with a single message is found by [`parse`], each by itself.
pub fn items(json: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let text = std::str::from_utf8(json).map_err(|error| Error::NotUtf8 { offset: error.valid_up_to() })?;
    let items: Vec<&[u8]> = if text.trim_start().starts_with('[') {
        let raw: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|error| error::malformed(text, text, &error))?;
        raw.into_iter().map(|item| item.get().as_bytes()).collect()
    } else if is_lines(text) {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.take(ITEMS_MAX + 1).map(str::as_bytes).collect()
    } else {
        vec![json]
    };
    if items.len() > ITEMS_MAX {
        let (size, size_max) = (items.len(), ITEMS_MAX);
        return Err(Error::TooLong { path: "the request".into(), size, size_max, unit: "items" });
    }
    Ok(items)
}

/// Whether the first line is a whole object and a second one follows: a single message over several lines is
/// not.
fn is_lines(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let whole = |line: &str| line.starts_with('{') && line.ends_with('}');
    lines.next().is_some_and(whole) && lines.next().is_some_and(|line| line.starts_with('{'))
}

#[cfg(test)]
mod tests;
