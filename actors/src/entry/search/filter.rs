//! Which events lead to messages that a search wants, and whether a message is one. Pure.

use message::{
    Event, MessageStatus, PartStatus,
    event::{DoubtSettlement, Received},
};

use crate::{
    history::message::MessageRecord,
    view::messages::{ItemStatus, MessageList, MessageQuery, contains, is_code},
};

/// The events by which a search finds messages. A message is shown at the newest of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// Its acceptance, or its arrival.
    Beginning,
    /// A report that it, or a part of it, failed.
    Failure,
    /// An event with the wanted code.
    Code,
    /// The provider's acceptance of a part.
    Submitted,
    /// A receipt for at least this.
    Receipt(PartStatus),
}

impl Trigger {
    pub(super) fn of(query: &MessageQuery) -> Self {
        if query.code.is_some() {
            return Self::Code;
        }
        match (query.list, query.status) {
            (MessageList::Failed, _) | (_, Some(ItemStatus::Of(MessageStatus::Failed))) => Self::Failure,
            (_, Some(ItemStatus::Of(MessageStatus::Delivered))) => Self::Receipt(PartStatus::Delivered),
            (_, Some(ItemStatus::Of(MessageStatus::Read))) => Self::Receipt(PartStatus::Read),
            (_, Some(ItemStatus::Of(MessageStatus::Sent))) => Self::Submitted,
            _ if query.provider_id.is_some() => Self::Submitted,
            _ => Self::Beginning,
        }
    }

    /// Whether an event leads to a message that the search may want.
    pub(super) fn hits(self, query: &MessageQuery, event: &Event) -> bool {
        match event {
            // Customers' messages have no other events.
            Event::Received(received) => is_wanted_received(query, received),
            Event::Accepted(accepted) => {
                self == Self::Beginning
                    && query.text.as_deref().is_none_or(|text| contains(&accepted.content, text))
            }
            _ => self.is_newest_among(query, event),
        }
    }

    /// Whether an event is one of those by which the search finds a message of the business.
    fn is_newest_among(self, query: &MessageQuery, event: &Event) -> bool {
        match self {
            Self::Beginning => matches!(event, Event::Accepted(_) | Event::Carried { message: Some(_), .. }),
            Self::Failure => match event {
                Event::PartFailed { .. } | Event::Expired { .. } | Event::Cancelled { .. } => true,
                Event::DoubtSettled { by, .. } => *by == DoubtSettlement::Fail,
                Event::Receipt { state, .. } => state.failed,
                Event::LateReceipt(late) => late.state.failed,
                _ => false,
            },
            Self::Code => query.code.as_deref().is_some_and(|wanted| has_code(event, wanted)),
            Self::Submitted => match event {
                Event::Submitted { provider_id, .. } => {
                    query.provider_id.as_deref().is_none_or(|wanted| *wanted == **provider_id)
                }
                _ => false,
            },
            Self::Receipt(least) => match event {
                Event::Receipt { state, .. } => state.reached >= least,
                Event::LateReceipt(late) => late.state.reached >= least,
                _ => false,
            },
        }
    }

    /// Whether a message of the business is one that the search wants, and this event of it is the
    /// newest by which it is found: elsewhere it was, or will be, shown.
    pub(super) fn accepts(self, query: &MessageQuery, record: &MessageRecord, seq: message::Seq) -> bool {
        let mut events = record.events.iter().rev();
        let newest = events.find(|stored| self.is_newest_among(query, &stored.event));
        newest.is_some_and(|newest| newest.seq == seq) && is_wanted(query, record)
    }
}

/// Whether a message of the business has everything that the query asks, but for its session.
pub(super) fn is_wanted(query: &MessageQuery, record: &MessageRecord) -> bool {
    let mut events = record.events.iter();
    query.wants(&record.message)
        && query.code.as_deref().is_none_or(|code| events.any(|stored| has_code(&stored.event, code)))
}

/// Whether a customer's message is one that the search wants.
fn is_wanted_received(query: &MessageQuery, received: &Received) -> bool {
    query.list == MessageList::Newest
        && query.code.is_none()
        && query.status.is_none_or(|wanted| wanted == ItemStatus::Received)
        && query.provider_id.as_deref().is_none_or(|id| *id == *received.provider_id)
        && query.text.as_deref().is_none_or(|text| contains(&received.content, text))
}

/// Whether an event has a code, or a code of which `wanted` is a piece.
fn has_code(event: &Event, wanted: &str) -> bool {
    let code = match event {
        Event::PartFailed { cause, .. } | Event::Deferred { cause, .. } => &*cause.code,
        Event::Receipt { code, .. } => before_words(code),
        Event::LateReceipt(late) => before_words(&late.code),
        Event::Expired { .. } => "expired",
        Event::Cancelled { .. } => "cancelled",
        Event::DoubtSettled { by: DoubtSettlement::Fail, .. } => "in_doubt",
        _ => return false,
    };
    is_code(code, wanted)
}

/// Returns the code of a receipt, `<code>` or `<code>: <words>`.
fn before_words(code: &str) -> &str {
    code.split_once(": ").map_or(code, |(code, _)| code)
}

#[cfg(test)]
mod tests {
    use message::{MessageNo, PartState, event::Cause};

    use super::*;

    fn receipt(code: &str) -> Event {
        Event::Receipt { message: MessageNo(1), part: 0, state: PartState::failure(), code: code.into() }
    }

    #[test]
    fn a_code_is_found_by_any_of_its_pieces() {
        for (code, wanted, expected) in [
            ("UNDELIV/034", "UNDELIV/034", true),
            ("UNDELIV/034", "undeliv", true),
            ("UNDELIV/034", "034", true),
            ("UNDELIV/034: no such subscriber", "034", true),
            ("UNDELIV/034: no such subscriber", "subscriber", false),
            ("UNDELIV/034", "34", false),
            ("DELIVRD/000", "034", false),
        ] {
            assert_eq!(has_code(&receipt(code), wanted), expected, "{code} {wanted}");
        }
        let cause = Cause::new("http 503", "unavailable");
        let parts = message::event::FailedParts::Unsent;
        assert!(has_code(&Event::PartFailed { message: MessageNo(1), parts, cause }, "503"));
        assert!(has_code(&Event::Expired { message: MessageNo(1) }, "expired"));
    }
}
