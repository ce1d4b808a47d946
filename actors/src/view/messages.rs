//! Lists of messages, and searches among them: the question, its answer, and where the next page
//! begins.

use std::{fmt, str::FromStr, sync::Arc};

use message::{
    ChannelId, Content, MessageId, MessageNo, MessageStatus, Seq, SessionId, StreamId, Timestamp, cim,
    event::Received,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    domain::session::{Outbound, Session},
    view::{SessionIdText, describe::words},
};

/// Maximum number of sessions in which a search for a customer goes on.
pub const SEARCHED_SESSIONS_MAX: usize = 64;
/// Maximum number of characters of a text in a list; the rest is cut.
const ITEM_TEXT_MAX: usize = 1_000;

/// A message in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageItem {
    /// The business's id.
    pub id: MessageId,
    /// The session to which it belongs.
    pub session_id: SessionIdText,
    /// Id of the channel; empty where retention has removed what told it.
    pub channel: ChannelId,
    /// `outbound`, or `inbound` for a customer's.
    pub direction: &'static str,
    /// The customer's address as the business sees it.
    pub customer: Arc<str>,
    /// Our own address.
    pub own: Arc<str>,
    /// Status of the whole message; `RECEIVED` for a customer's.
    pub status: &'static str,
    /// The code of a failure, the provider's or our own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<Box<str>>,
    /// The words of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// When it was accepted or received.
    pub at: Timestamp,
    /// The beginning of its text; empty where the state of a message was told again without it.
    pub text: String,
    /// The number of its parts.
    pub parts: usize,
}

/// The messages that a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageList {
    /// All, the newest first.
    #[default]
    Newest,
    /// Those that failed, the last failure first.
    Failed,
    /// Those for which the provider's answers are not complete, in the order of their sessions.
    Waiting,
}

/// The status of a message in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemStatus {
    /// That of a message of the business.
    Of(MessageStatus),
    /// A customer's message.
    Received,
}

/// A list or search of messages. What is set must hold for each.
#[derive(Clone, Debug, Default)]
pub struct MessageQuery {
    /// Which messages are listed, and in which order.
    pub list: MessageList,
    /// Only messages on this channel.
    pub channel: Option<ChannelId>,
    /// Only messages with this status.
    pub status: Option<ItemStatus>,
    /// The customer's address in any spelling that a channel takes.
    pub customer: Option<Box<str>>,
    /// The provider's id of a part, or of a customer's message.
    pub provider_id: Option<Box<str>>,
    /// A piece of the text; upper and lower case are the same.
    pub text: Option<Box<str>>,
    /// The code of a failure or receipt, or a piece of it between slashes or spaces.
    pub code: Option<Box<str>>,
    /// The earliest time.
    pub from: Option<Timestamp>,
    /// The latest time.
    pub to: Option<Timestamp>,
    /// Where the page before ended.
    pub after: Option<MessageCursor>,
    /// Maximum number of messages, at least 1.
    pub limit: usize,
}

impl MessageQuery {
    /// Whether a message of the business has everything that is asked, but for its session and the
    /// codes of its events.
    pub(crate) fn wants(&self, message: &Outbound) -> bool {
        let status = message.status();
        let has_list = match self.list {
            MessageList::Newest => true,
            MessageList::Failed => status == MessageStatus::Failed,
            MessageList::Waiting => message.is_waiting(),
        };
        let has_id = |id: &str| message.parts.iter().any(|part| *part.provider_id == *id);
        has_list
            && self.status.is_none_or(|wanted| wanted == ItemStatus::Of(status))
            && self.provider_id.as_deref().is_none_or(has_id)
            && self.text.as_deref().is_none_or(|text| contains(&message.content, text))
    }

    /// Whether a message that waits is wanted.
    pub(crate) fn wants_waiting(&self, message: &Outbound) -> bool {
        let code = || message.failure().map_or("", |(failure, _)| &*failure.cause.code);
        message.is_waiting()
            && self.wants(message)
            && self.from.is_none_or(|from| message.accepted_at >= from)
            && self.to.is_none_or(|to| message.accepted_at <= to)
            && self.code.as_deref().is_none_or(|wanted| is_code(code(), wanted))
    }
}

/// The session of a message, as lists show it.
#[derive(Clone, Debug)]
pub(crate) struct ItemSession {
    pub(crate) id: SessionId,
    pub(crate) channel: ChannelId,
    pub(crate) customer: Arc<str>,
    pub(crate) own: Arc<str>,
}

impl ItemSession {
    pub(crate) fn of(session: &Session, stream: StreamId) -> Self {
        Self {
            id: session.id(stream),
            channel: session.address.channel.clone(),
            customer: session.customer_handed_out(),
            own: session.did_shown.clone(),
        }
    }

    /// Returns a session of which only the stream is known.
    pub(crate) fn unknown(stream: StreamId) -> Self {
        let empty: Arc<str> = "".into();
        let id = SessionId { stream, ordinal: 0 };
        Self { id, channel: ChannelId::from(""), customer: empty.clone(), own: empty }
    }
}

impl MessageItem {
    /// Shows a message of the business.
    pub(crate) fn sent(session: &ItemSession, message: &Outbound) -> Self {
        let status = message.status();
        let cause = message.failure().map(|(failure, _)| &failure.cause);
        let reason = cause.map(|cause| cause.reason.clone());
        Self {
            id: message.id.clone(),
            session_id: SessionIdText(session.id),
            channel: session.channel.clone(),
            direction: "outbound",
            customer: session.customer.clone(),
            own: session.own.clone(),
            status: status.as_str(),
            reason_code: cause.map(|cause| cause.code.clone()),
            reason: reason.filter(|reason| !reason.is_empty()),
            at: message.accepted_at,
            text: words(&message.content, ITEM_TEXT_MAX),
            parts: message.parts.len(),
        }
    }

    /// Shows a customer's message.
    pub(crate) fn written(session: &ItemSession, received: &Received, at: Timestamp) -> Self {
        Self {
            id: received.id.clone(),
            session_id: SessionIdText(session.id),
            channel: session.channel.clone(),
            direction: "inbound",
            customer: session.customer.clone(),
            own: session.own.clone(),
            status: "RECEIVED",
            reason_code: None,
            reason: None,
            at,
            text: words(&received.content, ITEM_TEXT_MAX),
            parts: received.incomplete.map_or(1, |of| usize::from(of.total)),
        }
    }
}

/// Whether a content's text contains a piece, in any case.
pub(crate) fn contains(content: &Content, piece: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(&piece.to_lowercase());
    match content {
        Content::Text(text) => has(text),
        Content::Rich { .. } => cim::plain_text_of(content).is_ok_and(|adapted| has(&adapted.text)),
        Content::Binary(_) => false,
        Content::Parts(parts) => parts.iter().any(|part| contains(part, piece)),
    }
}

/// Whether a code is the wanted one, or has it as a piece between slashes or spaces.
pub(crate) fn is_code(code: &str, wanted: &str) -> bool {
    let is = |text: &str| text.eq_ignore_ascii_case(wanted);
    is(code) || code.split(['/', ' ']).any(is)
}

/// The answer to a list or search of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundMessages {
    /// The messages found, in the order of the list.
    pub items: Vec<MessageItem>,
    /// The time down to which everything was looked at.
    pub searched_back_to: Timestamp,
    /// Whether nothing is left to look at.
    pub complete: bool,
    /// Where the next page begins; `None` when the search is complete.
    pub next: Option<MessageCursor>,
}

/// Where a search goes on. Its text is opaque to callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageCursor {
    /// With this event of the log, backwards.
    Log(Seq),
    /// With these events of these streams, backwards.
    Streams(Vec<(StreamId, Seq)>),
    /// Behind this message that waits.
    Waiting(StreamId, MessageNo),
}

impl fmt::Display for MessageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(seq) => write!(f, "e{seq}"),
            Self::Streams(streams) => {
                f.write_str("s")?;
                for (at, (stream, seq)) in streams.iter().enumerate() {
                    write!(f, "{}{stream}.{seq}", if at == 0 { "" } else { "_" })?;
                }
                Ok(())
            }
            Self::Waiting(stream, number) => write!(f, "w{stream}.{}", number.0),
        }
    }
}

/// A text that is not where a search goes on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the end of a page: {0:?}; take it from the Link header of the page before")]
pub struct NotACursor(String);

impl FromStr for MessageCursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let place = |text: &str| {
            let (stream, number) = text.split_once('.').filter(|(stream, _)| stream.len() == 32)?;
            Some((StreamId(u128::from_str_radix(stream, 16).ok()?), number.parse::<u64>().ok()?))
        };
        let parse = || {
            let rest = text.get(1..)?;
            match text.get(..1)? {
                "e" => Some(Self::Log(Seq(rest.parse().ok()?))),
                "s" => {
                    let streams = rest.split('_').take(SEARCHED_SESSIONS_MAX);
                    let streams = streams.map(|text| place(text).map(|(stream, seq)| (stream, Seq(seq))));
                    streams.collect::<Option<Vec<_>>>().map(Self::Streams)
                }
                "w" => {
                    let (stream, number) = place(rest)?;
                    Some(Self::Waiting(stream, MessageNo(u32::try_from(number).ok()?)))
                }
                _ => None,
            }
        };
        parse().ok_or_else(|| NotACursor(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_written() {
        let stream = StreamId(0xfeed << 64);
        for cursor in [
            MessageCursor::Log(Seq(7)),
            MessageCursor::Streams(vec![(stream, Seq(9)), (StreamId(1), Seq(u64::MAX))]),
            MessageCursor::Waiting(stream, MessageNo(3)),
        ] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for wrong in
            ["", "e", "ex", "s", "s1.2", "w", "é1", "e-1", &format!("w{stream}"), &format!("w{stream}.x")]
        {
            assert!(wrong.parse::<MessageCursor>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_text_is_found_in_any_case_and_in_every_part() {
        let text = |text: &str| Content::Text(text.into());
        assert!(contains(&text("Ihre Größe"), "GRÖSSE".to_lowercase().replace("ss", "ß").as_str()));
        assert!(contains(&Content::Parts([text("one"), text("Two")].into()), "tWO"));
        assert!(!contains(&text("one"), "two"));
    }
}
