//! The header of a CIM message: its wire form, and its conversion to [`Message`]. Skips unknown
//! keys.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    error::Error,
    handling::HandlingWire,
    lenient::{Child, Scalar, nested},
    message::{
        ADDRESS_BYTES_MAX, CHANNEL_DATA_BYTES_MAX, Intent, Message, NAME_BYTES_MAX, PRIORITY_MAX, Scheduling,
        Sender, SenderKind, VALIDITY_MS_MAX,
    },
    time,
};
use crate::{
    content::Content,
    id::{MESSAGE_ID_BYTES_MAX, MessageId, Timestamp},
};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Header<'a> {
    #[serde(borrow)]
    channel_data: Option<&'a RawValue>,
    #[serde(borrow)]
    channel_session: Child<ChannelSession<'a>>,
    #[serde(borrow)]
    sender: Child<SenderWire<'a>>,
    #[serde(borrow)]
    intent: Scalar<'a>,
    #[serde(borrow)]
    timestamp: Scalar<'a>,
    #[serde(borrow)]
    conversation_id: Scalar<'a>,
    #[serde(borrow)]
    channel_session_id: Scalar<'a>,
    #[serde(borrow, rename = "channelsessionId")]
    channel_session_id_older: Scalar<'a>,
    #[serde(borrow)]
    original_message_id: Scalar<'a>,
    #[serde(borrow)]
    reply_to_message_id: Scalar<'a>,
    #[serde(borrow)]
    provider_message_id: Scalar<'a>,
    #[serde(borrow)]
    scheduling_meta_data: Child<SchedulingWire<'a>>,
}

/// The older place of the header's fields.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ChannelSession<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow)]
    conversation_id: Scalar<'a>,
    #[serde(borrow)]
    channel_data: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct SenderWire<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow, rename = "type")]
    kind: Scalar<'a>,
    #[serde(borrow)]
    sender_name: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct SchedulingWire<'a> {
    #[serde(borrow)]
    send_at: Scalar<'a>,
    #[serde(borrow)]
    validity_period: Scalar<'a>,
    #[serde(borrow)]
    expires_at: Scalar<'a>,
}

#[derive(Default)]
struct ChannelData<'a> {
    customer: Scalar<'a>,
    service: Scalar<'a>,
    priority: Scalar<'a>,
    channel_type: Scalar<'a>,
    scheduling: SchedulingWire<'a>,
    handling: HandlingWire<'a>,
    /// Whether it holds more than the two addresses.
    more: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for ChannelData<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ChannelDataVisitor(ChannelData::default()))
    }
}

struct ChannelDataVisitor<'a>(ChannelData<'a>);

impl<'de: 'a, 'a> Visitor<'de> for ChannelDataVisitor<'a> {
    type Value = ChannelData<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut data = self.0;
        while let Some(key) = map.next_key::<Scalar<'de>>()? {
            let Scalar::Text(key) = key else { continue };
            match &*key {
                "channelCustomerIdentifier" => data.customer = map.next_value()?,
                "serviceIdentifier" => data.service = map.next_value()?,
                "requestPriority" => data.priority = map.next_value()?,
                "channelTypeCode" | "channelType" => {
                    data.channel_type = map.next_value()?;
                    data.more |= !data.channel_type.is_empty();
                }
                "additionalAttributes" => {
                    let attributes: Attributes<'a> = map.next_value()?;
                    data.scheduling = attributes.scheduling;
                    data.handling = attributes.handling;
                    data.more |= attributes.any;
                }
                _ => data.more |= !map.next_value::<Scalar<'de>>()?.is_empty(),
            }
        }
        Ok(data)
    }
}

/// The additional attributes; others than these are not read.
#[derive(Default)]
struct Attributes<'a> {
    scheduling: SchedulingWire<'a>,
    handling: HandlingWire<'a>,
    any: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attribute<'a> {
    #[serde(borrow)]
    key: Scalar<'a>,
    #[serde(borrow)]
    value: Scalar<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Attributes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AttributesVisitor(Attributes::default()))
    }
}

struct AttributesVisitor<'a>(Attributes<'a>);

impl<'de: 'a, 'a> Visitor<'de> for AttributesVisitor<'a> {
    type Value = Attributes<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of attributes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut attributes = self.0;
        while let Some(item) = seq.next_element::<Child<Attribute<'a>>>()? {
            attributes.any = true;
            let Child::Is(Attribute { key: Scalar::Text(key), value }) = item else { continue };
            match &*key {
                "sendAt" => attributes.scheduling.send_at = value,
                "validityPeriod" => attributes.scheduling.validity_period = value,
                "expiresAt" => attributes.scheduling.expires_at = value,
                other => attributes.handling.note(other, value),
            }
        }
        Ok(attributes)
    }

    /// Some senders write an object: it is kept with the raw `channelData`, and what a telephone is
    /// to do is read.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut attributes = self.0;
        while let Some((key, value)) = map.next_entry::<Scalar<'a>, Scalar<'a>>()? {
            attributes.any = true;
            if let Scalar::Text(key) = key {
                attributes.handling.note(&key, value);
            }
        }
        Ok(attributes)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(self.0)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(self.0)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(self.0)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(self.0)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(self.0)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(self.0)
    }
}

impl Header<'_> {
    /// Returns the message without its id and content.
    pub(super) fn resolve(self, whole: &str) -> Result<Message, Error> {
        let session = match self.channel_session {
            Child::Is(session) => session,
            Child::Absent => ChannelSession::default(),
            Child::Wrong(found) => {
                return Err(Error::wrong_type("header.channelSession", found, "an object"));
            }
        };
        let (place, raw) = match (self.channel_data, session.channel_data) {
            (Some(raw), _) => ("header.channelData", raw),
            (None, Some(raw)) => ("header.channelSession.channelData", raw),
            (None, None) => {
                let fix = "send an object with channelCustomerIdentifier and serviceIdentifier";
                return Err(Error::missing("header.channelData", fix));
            }
        };
        let data: ChannelData<'_> = match nested(whole, raw)? {
            Child::Is(data) => data,
            Child::Absent => return Err(Error::missing(place, "send an object with the two addresses")),
            Child::Wrong(found) => return Err(Error::wrong_type(place, found, "an object")),
        };
        if raw.get().len() > CHANNEL_DATA_BYTES_MAX {
            return Err(Error::too_long(place, raw.get().len(), CHANNEL_DATA_BYTES_MAX));
        }
        let intent = intent("header.intent", self.intent)?;
        let mut original =
            identifier("header.originalMessageId", self.original_message_id, MESSAGE_ID_BYTES_MAX)?;
        if original.is_none() {
            original = identifier("header.replyToMessageId", self.reply_to_message_id, MESSAGE_ID_BYTES_MAX)?;
        }
        if original.is_none() && matches!(intent, Intent::ReplyTo | Intent::Update) {
            let fix = "give the id of the message that the intent refers to";
            return Err(Error::missing("header.originalMessageId", fix));
        }
        let first = |path, now: Scalar<'_>, older: Scalar<'_>| {
            identifier(path, if now.is_empty() { older } else { now }, NAME_BYTES_MAX)
        };
        let own_session = if self.channel_session_id.is_empty() {
            self.channel_session_id_older
        } else {
            self.channel_session_id
        };
        let priority = priority(place, data.priority)?;
        Ok(Message {
            id: None,
            customer: address(place, "channelCustomerIdentifier", data.customer)?,
            service_identifier: address(place, "serviceIdentifier", data.service)?,
            channel_type: identifier("header.channelData.channelType", data.channel_type, NAME_BYTES_MAX)?,
            intent,
            original_message_id: original.map(MessageId::new),
            provider_message_id: identifier(
                "header.providerMessageId",
                self.provider_message_id,
                ADDRESS_BYTES_MAX,
            )?,
            conversation_id: first("header.conversationId", self.conversation_id, session.conversation_id)?,
            channel_session_id: first("header.channelSessionId", own_session, session.id)?,
            sender: sender(self.sender)?,
            channel_data_json: (data.more || priority.is_some_and(|it| it > 0)).then(|| raw.get().into()),
            priority,
            timestamp: timestamp(self.timestamp)?,
            scheduling: scheduling(self.scheduling_meta_data, data.scheduling)?,
            handling: data.handling.read()?,
            content: Content::Text("".into()),
        })
    }
}

/// Reads an identifier: a text without control characters, or a whole number. Empty reads as
/// `None`.
pub(super) fn identifier(path: &str, value: Scalar<'_>, bytes_max: usize) -> Result<Option<Box<str>>, Error> {
    let text: Cow<'_, str> = match value {
        Scalar::Absent | Scalar::Null => return Ok(None),
        Scalar::Text(text) => text,
        Scalar::Unsigned(number) => number.to_string().into(),
        other => return Err(Error::wrong_type(path, other.kind(), "a text")),
    };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(None);
    }
    if trimmed.len() > bytes_max {
        return Err(Error::too_long(path, trimmed.len(), bytes_max));
    }
    if trimmed.chars().any(char::is_control) {
        let problem = "holds a control character";
        return Err(Error::invalid(path, problem, "remove line breaks, tabs and the like"));
    }
    Ok(Some(trimmed.into()))
}

fn address(place: &str, key: &'static str, value: Scalar<'_>) -> Result<Box<str>, Error> {
    let path = || format!("{place}.{key}");
    if let Scalar::Text(text) = &value {
        // The common case, without building the path.
        let plain = |byte: u8| byte > b' ' && byte < 0x7f;
        if !text.is_empty() && text.len() <= ADDRESS_BYTES_MAX && text.bytes().all(plain) {
            return Ok((&**text).into());
        }
    }
    let fix = match key {
        "serviceIdentifier" => "give the number, page or bot it is sent from",
        _ => "give the customer's address on the channel, such as a phone number",
    };
    identifier(&path(), value, ADDRESS_BYTES_MAX)?.ok_or_else(|| Error::missing(path(), fix))
}

fn intent(path: &str, value: Scalar<'_>) -> Result<Intent, Error> {
    let Some(text) = identifier(path, value, NAME_BYTES_MAX)? else { return Ok(Intent::None) };
    let text = text.to_ascii_uppercase();
    Ok(match &*text {
        "NONE" => Intent::None,
        "REPLY_TO" => Intent::ReplyTo,
        "UPDATE" => Intent::Update,
        "START_CHAT" => Intent::StartChat,
        "END_CHAT" => Intent::EndChat,
        _ => Intent::Other(text.into()),
    })
}

fn sender(value: Child<SenderWire<'_>>) -> Result<Option<Sender>, Error> {
    let wire = match value {
        Child::Is(wire) => wire,
        Child::Absent => return Ok(None),
        Child::Wrong(found) => return Err(Error::wrong_type("header.sender", found, "an object")),
    };
    let kind = match &wire.kind {
        Scalar::Text(text) => SenderKind::from_wire(text),
        other if other.is_empty() => SenderKind::Unknown,
        other => return Err(Error::wrong_type("header.sender.type", other.kind(), "a text")),
    };
    Ok(Some(Sender {
        id: identifier("header.sender.id", wire.id, NAME_BYTES_MAX)?.unwrap_or_default(),
        kind,
        name: identifier("header.sender.senderName", wire.sender_name, NAME_BYTES_MAX)?.unwrap_or_default(),
    }))
}

impl SenderKind {
    fn from_wire(text: &str) -> Self {
        let known = [
            ("AGENT", Self::Agent),
            ("BOT", Self::Bot),
            ("CUSTOMER", Self::Customer),
            ("APP", Self::App),
            ("CONNECTOR", Self::Connector),
            ("SYSTEM", Self::System),
        ];
        let found = known.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        found.map_or(Self::Unknown, |(_, kind)| *kind)
    }
}

fn priority(place: &str, value: Scalar<'_>) -> Result<Option<u8>, Error> {
    let number = match &value {
        other if other.is_empty() => return Ok(None),
        Scalar::Unsigned(number) => u8::try_from(*number).ok(),
        Scalar::Text(text) if text.trim().is_empty() => return Ok(None),
        Scalar::Text(text) => text.trim().parse().ok(),
        Scalar::Negative(_) | Scalar::Float(_) => None,
        other => {
            let path = format!("{place}.requestPriority");
            return Err(Error::wrong_type(path, other.kind(), "a number from 0 to 10"));
        }
    };
    match number.filter(|number| *number <= PRIORITY_MAX) {
        Some(number) => Ok(Some(number)),
        None => {
            let path = format!("{place}.requestPriority");
            let fix = "give a whole number from 0 (bulk) to 10 (most urgent)";
            Err(Error::invalid(path, "is not a valid priority", fix))
        }
    }
}

/// Reads when it was written. Nothing is decided by it, so an invalid text reads as `None`.
fn timestamp(value: Scalar<'_>) -> Result<Option<Timestamp>, Error> {
    match value {
        Scalar::Unsigned(ms) => Ok(Some(Timestamp(ms))),
        Scalar::Text(text) => Ok(text.trim().parse().ok().map(Timestamp).or_else(|| time::rfc3339(&text))),
        Scalar::Absent | Scalar::Null | Scalar::Negative(_) | Scalar::Float(_) => Ok(None),
        other => Err(Error::wrong_type("header.timestamp", other.kind(), "epoch milliseconds")),
    }
}

fn scheduling(own: Child<SchedulingWire<'_>>, other: SchedulingWire<'_>) -> Result<Scheduling, Error> {
    let own = match own {
        Child::Is(own) => own,
        Child::Absent => SchedulingWire::default(),
        Child::Wrong(found) => {
            return Err(Error::wrong_type("header.schedulingMetaData", found, "an object"));
        }
    };
    let scheduling = Scheduling {
        send_at: pick(own.send_at, other.send_at, "sendAt", instant)?,
        validity_ms: pick(own.validity_period, other.validity_period, "validityPeriod", validity)?,
        expires_at: pick(own.expires_at, other.expires_at, "expiresAt", instant)?,
    };
    if let (Some(from), Some(to)) = (scheduling.send_at, scheduling.expires_at)
        && to <= from
    {
        let path = "header.schedulingMetaData.expiresAt";
        return Err(Error::invalid(path, "is not after sendAt", "give a later instant, or leave it out"));
    }
    Ok(scheduling)
}

/// Reads the value of the first place that has one.
fn pick<T>(
    own: Scalar<'_>,
    other: Scalar<'_>,
    key: &str,
    read: impl Fn(&str, Scalar<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    if !own.is_empty() {
        return read(&format!("header.schedulingMetaData.{key}"), own).map(Some);
    }
    if !other.is_empty() {
        return read(&format!("header.channelData.additionalAttributes[{key}]"), other).map(Some);
    }
    Ok(None)
}

/// Epoch milliseconds before this instant (1973-03-03) are refused: they were meant as seconds.
const EPOCH_MS_MIN: u64 = 100_000_000_000;
/// Latest instant that is accepted: the end of the year 9999.
const EPOCH_MS_MAX: u64 = 253_402_300_799_999;

fn instant(path: &str, value: Scalar<'_>) -> Result<Timestamp, Error> {
    let ms = match &value {
        Scalar::Unsigned(ms) => Some(*ms),
        Scalar::Text(text) => text.trim().parse().ok().or_else(|| time::rfc3339(text).map(|at| at.0)),
        Scalar::Negative(_) | Scalar::Float(_) => None,
        other => return Err(Error::wrong_type(path, other.kind(), "epoch milliseconds or RFC 3339")),
    };
    match ms {
        Some(ms) if ms < EPOCH_MS_MIN => {
            Err(Error::invalid(path, "lies before 1973", "give milliseconds since 1970, not seconds"))
        }
        Some(ms) if ms <= EPOCH_MS_MAX => Ok(Timestamp(ms)),
        _ => {
            let fix = "give epoch milliseconds, or RFC 3339 such as 2026-01-05T10:00:00Z";
            Err(Error::invalid(path, "is not a valid instant", fix))
        }
    }
}

fn validity(path: &str, value: Scalar<'_>) -> Result<u64, Error> {
    let ms = match &value {
        Scalar::Unsigned(seconds) => seconds.checked_mul(1_000),
        Scalar::Text(text) => time::duration_ms(text),
        Scalar::Negative(_) | Scalar::Float(_) => None,
        other => return Err(Error::wrong_type(path, other.kind(), "seconds, or a text such as 2h")),
    };
    match ms.filter(|ms| (1..=VALIDITY_MS_MAX).contains(ms)) {
        Some(ms) => Ok(ms),
        None => {
            let fix = "give whole seconds or a text such as 2h, up to 366 days";
            Err(Error::invalid(path, "is not a valid period", fix))
        }
    }
}
