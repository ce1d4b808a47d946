//! Parses what the business posts: a request into messages, and one message into [`Message`]. Never
//! fails on unknown keys.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    check,
    error::{self, Error},
    header::{Header, identifier},
    lenient::{Child, Scalar, nested},
    message::{ITEMS_MAX, Intent, MESSAGE_JSON_BYTES_MAX, Message, TEXT_BYTES_MAX},
};
use crate::{
    content::{BodyType, Content},
    id::{MESSAGE_ID_BYTES_MAX, MessageId},
};

#[derive(Default, Deserialize)]
#[serde(default)]
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
/// When it is malformed, lacks a required field or exceeds a limit. The error's text goes to the
/// sender and tells what to change.
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
        Child::Absent => return Err(Error::missing("header", "send an object with channelData")),
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
        let fix = "send an object with type, such as {\"type\":\"PLAIN\",\"markdownText\":\"Hello\"}";
        return if may_be_empty { Ok(empty()) } else { Err(Error::missing("body", fix)) };
    };
    let head: BodyHead<'_> = match nested(whole, raw)? {
        Child::Is(head) => head,
        Child::Absent if may_be_empty => return Ok(empty()),
        Child::Absent => return Err(Error::missing("body", "send an object with type and its fields")),
        Child::Wrong(found) => return Err(Error::wrong_type("body", found, "an object")),
    };
    let body_type = match &head.body_type {
        Scalar::Text(text) => BodyType::from_wire(text.trim()),
        Scalar::Absent | Scalar::Null if may_be_empty => return Ok(empty()),
        Scalar::Absent | Scalar::Null => {
            return Err(Error::missing("body.type", "give a body type, such as PLAIN"));
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
        Scalar::Text(_) | Scalar::Absent | Scalar::Null => Err(Error::missing(path, "give the text to send")),
        other => Err(Error::wrong_type(path, other.kind(), "a text")),
    }
}

/// Splits a request into its messages: a JSON array, lines of JSON (NDJSON), or a single message.
///
/// # Errors
/// When the request is not UTF-8, its array is malformed, or it holds more than [`ITEMS_MAX`]
/// messages. Errors in a single message are found by [`parse`].
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

/// Returns whether the first line is a complete object and a second one follows. A single message
/// that spans several lines is not.
fn is_lines(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let whole = |line: &str| line.starts_with('{') && line.ends_with('}');
    lines.next().is_some_and(whole) && lines.next().is_some_and(|line| line.starts_with('{'))
}
