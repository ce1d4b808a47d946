//! Where a message belongs at Telegram: a chat, and within it a forum topic, the topic of a
//! channel's direct messages, or a business connection. Each is a session of its own. The spelling
//! that the business gets (`-1001;topic=7`) leads back to the same place.

use std::fmt;

use serde_json::{Map, Value};

use crate::{contract::url, toolkit::json};

/// The topic in which a forum's messages without a topic are; it must not be named when sending.
const GENERAL: i64 = 1;

/// A place where messages are exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChatPlace {
    /// The number of a chat, or `@name` of a public one.
    pub(super) chat: String,
    pub(super) within: Within,
}

/// The part of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// The chat itself, or the topic General of a forum.
    Chat,
    /// A topic of a forum, or of a private chat with topics.
    Topic(i64),
    /// A topic of a channel's direct messages.
    Direct(i64),
    /// A chat of the business account that this connection lets us speak for. It shares nothing but
    /// its number with the bot's own chat.
    Business(String),
}

/// Maximum length of a business connection's id, in octets; longer ones are not addresses.
const CONNECTION_BYTES_MAX: usize = 128;

impl ChatPlace {
    /// Parses an address.
    pub(super) fn parse(address: &str) -> Option<Self> {
        let (chat, within) = match address.trim().split_once(';') {
            Some((chat, within)) => (chat, Some(within)),
            None => (address.trim(), None),
        };
        let number = chat.parse::<i64>().ok().map(|chat| chat.to_string());
        let named = || {
            let name = chat.strip_prefix('@').unwrap_or_default();
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            is_name.then(|| chat.to_owned())
        };
        let chat = number.or_else(named)?;
        let within = match within.map(|within| within.split_once('=').unwrap_or_default()) {
            None => Within::Chat,
            Some(("topic", topic)) => Within::Topic(topic.parse().ok().filter(|topic| *topic > 0)?),
            Some(("direct", topic)) => Within::Direct(topic.parse().ok().filter(|topic| *topic > 0)?),
            Some(("business", id)) => {
                let id = url::percent_decode(id);
                let fits = (1..=CONNECTION_BYTES_MAX).contains(&id.len());
                Within::Business(Some(id).filter(|_| fits)?)
            }
            _ => return None,
        };
        let within = if within == Within::Topic(GENERAL) { Within::Chat } else { within };
        Some(Self { chat, within })
    }

    /// Reads the place of a message.
    ///
    /// A reply in a group has a `message_thread_id` as well; only in a topic is it a place.
    pub(super) fn of(message: &Value) -> Option<Self> {
        let chat = json::some_text(message, "/chat/id")?.into_owned();
        let is_topic = message.get("is_topic_message").and_then(Value::as_bool) == Some(true);
        let topic = json::number(message, "/message_thread_id").filter(|_| is_topic);
        let within = if let Some(id) = json::some_text(message, "/business_connection_id") {
            Within::Business(id.into_owned())
        } else if let Some(topic) = json::number(message, "/direct_messages_topic/topic_id") {
            Within::Direct(topic)
        } else if let Some(topic) = topic.filter(|topic| *topic != GENERAL) {
            Within::Topic(topic)
        } else {
            Within::Chat
        };
        Some(Self { chat, within })
    }

    /// Returns the name of a message here. The numbers of messages are unique in a chat, whatever
    /// its topics, and each business connection counts its own.
    pub(super) fn message(&self, number: &str) -> String {
        match &self.within {
            Within::Business(_) => format!("{self}:{number}"),
            _ => format!("{}:{number}", self.chat),
        }
    }

    /// Adds the fields that direct a call to this place.
    pub(super) fn direct(&self, fields: &mut Map<String, Value>) {
        fields.insert("chat_id".into(), self.chat.as_str().into());
        match &self.within {
            Within::Chat => None,
            Within::Topic(topic) => fields.insert("message_thread_id".into(), (*topic).into()),
            Within::Direct(topic) => fields.insert("direct_messages_topic_id".into(), (*topic).into()),
            Within::Business(id) => fields.insert("business_connection_id".into(), id.as_str().into()),
        };
    }
}

impl fmt::Display for ChatPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chat)?;
        match &self.within {
            Within::Chat => Ok(()),
            Within::Topic(topic) => write!(f, ";topic={topic}"),
            Within::Direct(topic) => write!(f, ";direct={topic}"),
            Within::Business(id) => write!(f, ";business={}", url::percent_encode(id)),
        }
    }
}

/// Returns the number of the message with a name that [`ChatPlace::message`] made, which may have a
/// suffix of ours.
pub(super) fn number_of(name: &str) -> Option<i64> {
    let (place, number) = name.split('#').next()?.rsplit_once(':')?;
    ChatPlace::parse(place)?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_leads_back_to_its_place() {
        let message = |own: Value| {
            let mut message = json!({"message_id": 5, "chat": {"id": -1_001, "type": "supergroup"}});
            message.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
            message
        };
        for (own, address, name) in [
            (json!({}), "-1001", "-1001:5"),
            // A reply thread of a group is not a topic (tdlib/telegram-bot-api, issue 447).
            (json!({"message_thread_id": 7}), "-1001", "-1001:5"),
            (json!({"message_thread_id": 7, "is_topic_message": true}), "-1001;topic=7", "-1001:5"),
            // General takes no message_thread_id (issue 798).
            (json!({"message_thread_id": 1, "is_topic_message": true}), "-1001", "-1001:5"),
            (json!({"direct_messages_topic": {"topic_id": 77}}), "-1001;direct=77", "-1001:5"),
            (json!({"business_connection_id": "b-1_Z"}), "-1001;business=b-1_Z", "-1001;business=b-1_Z:5"),
            (
                json!({"business_connection_id": "a;b:=/"}),
                "-1001;business=a%3Bb%3A%3D%2F",
                "-1001;business=a%3Bb%3A%3D%2F:5",
            ),
        ] {
            let place = ChatPlace::of(&message(own)).unwrap();
            assert_eq!((place.to_string(), place.message("5")), (address.into(), name.into()));
            assert_eq!(ChatPlace::parse(address).as_ref(), Some(&place));
            assert_eq!(number_of(name), Some(5));
        }
        for other in ["callback:777", "update:90001", "poll:p1:5550001:0:90031", "moved:-777:-100777"] {
            assert_eq!(number_of(other), None, "{other}");
        }
        for wrong in [
            "",
            "Ann",
            ";topic=7",
            "5;",
            "5;topic=",
            "5;topic=x",
            "5;topic=0",
            "5;room=1",
            "5;business=",
            "@",
            "5;topic",
        ] {
            assert_eq!(ChatPlace::parse(wrong).map(|place| place.to_string()), None, "{wrong}");
        }
        assert_eq!(
            ChatPlace::parse(" @news;topic=01 ").unwrap().to_string(),
            "@news;topic=1".strip_suffix(";topic=1").unwrap()
        );
    }

    proptest! {
        #[test]
        fn every_place_leads_back(chat in any::<i64>(), kind in 0..4, number in 2..i64::MAX, id in "\\PC{1,20}") {
            let within = match kind {
                0 => Within::Chat,
                1 => Within::Topic(number),
                2 => Within::Direct(number),
                _ => Within::Business(id),
            };
            let place = ChatPlace { chat: chat.to_string(), within };
            let back = ChatPlace::parse(&place.to_string());
            prop_assert_eq!(number_of(&place.message("12#edit3")), Some(12));
            prop_assert_eq!(back, Some(place));
        }
    }
}
