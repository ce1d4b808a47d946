//! Tells customers' messages that may be repeats. A provider that gives its messages no ids repeats
//! those whose acknowledgement it missed, when a link was lost or a call was not answered. Such a
//! message cannot be told from one that the customer wrote twice, so it is delivered, and flagged.
//! Pure.

use message::{Content, StreamId, Timestamp, address, event::Received};

use crate::domain::session::{Inbound, InboundBody};

/// How long a provider repeats a message, in milliseconds: a later one is a new one.
const WINDOW_MS: u64 = 15 * 60 * 1_000;
/// Name of the attribute with the id of the first message.
pub(crate) const POSSIBLE_REPEAT_OF: &str = "possibleRepeatOf";

/// Returns the reference by which the provider tells a message from others: that of its parts, or
/// its own.
pub(crate) fn reference_of(inbound: &Inbound) -> Option<u32> {
    match &inbound.body {
        InboundBody::Part(part) => Some(u32::from(part.reference) | 1 << 16),
        InboundBody::Whole(_) => inbound.reference,
    }
}

/// Returns the look-up key under which a message without an id is found by what it says; `None` if
/// it has an id.
pub(crate) fn key_of(stream: StreamId, received: &Received, reference: Option<u32>) -> Option<u128> {
    if !received.provider_id.is_empty() {
        return None;
    }
    let mut said = match &received.content {
        Content::Text(text) => text.to_string(),
        other => format!("{other:?}"),
    };
    if let Some(reference) = reference {
        said.push_str(&format!("\u{0}{reference}"));
    }
    Some(address::said_key(stream, &said))
}

/// Returns whether a message that came at `now` may repeat an equal one that came at `first`, when
/// a link was last lost at `lost`.
pub(crate) fn is_possible(first: Timestamp, lost: Timestamp, now: Timestamp) -> bool {
    first <= lost && lost <= now && now.since_ms(first) <= WINDOW_MS
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use message::{MessageId, event::Incomplete};

    use super::*;

    fn received(text: &str, provider_id: &str) -> Received {
        Received {
            delivery: 1,
            id: MessageId::new("in-1"),
            provider_id: Arc::from(provider_id),
            content: Content::Text(text.into()),
            provider_time: None,
            incomplete: None,
            attributes: Vec::new(),
            is_written: true,
        }
    }

    #[test]
    fn a_message_is_a_repeat_only_across_a_loss_and_within_the_window() {
        let minute = 60_000;
        for (first, lost, now, is_repeat) in [
            (10, 11, 12, true),
            (10, 10, 10, true),
            (10, 9, 12, false),
            (10, 0, 12, false),
            (10, 13, 12, false),
            (10, 11, 25, true),
            (10, 11, 26, false),
        ] {
            let at = |minutes: u64| Timestamp(minutes * minute);
            assert_eq!(is_possible(at(first), at(lost), at(now)), is_repeat, "{first} {lost} {now}");
        }
    }

    #[test]
    fn only_equal_messages_without_an_id_share_a_key() {
        let key = |stream, text: &str, reference| key_of(StreamId(stream), &received(text, ""), reference);
        assert_eq!(key(1, "yes", None), key(1, "yes", None));
        assert_eq!(key(1, "yes", Some(7)), key(1, "yes", Some(7)));
        for other in [key(2, "yes", None), key(1, "Yes", None), key(1, "yes", Some(7)), key(1, "yes7", None)]
        {
            assert!(other.is_some() && other != key(1, "yes", None));
        }
        assert_ne!(key(1, "yes", Some(7)), key(1, "yes", Some(8)), "another reference, another message");
        assert_eq!(key_of(StreamId(1), &received("yes", "SM1"), None), None);
        let cut = Received { incomplete: Some(Incomplete { arrived: 1, total: 2 }), ..received("yes", "") };
        assert_eq!(key_of(StreamId(1), &cut, None), key(1, "yes", None));
    }
}
