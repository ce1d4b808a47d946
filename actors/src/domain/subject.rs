//! The message that an event concerns. Pure.

use message::{Event, MessageNo};

/// Returns the number of the message that an event concerns, if it concerns one.
pub(crate) fn message_of(event: &Event) -> Option<MessageNo> {
    match event {
        Event::Accepted(a) => Some(a.number),
        Event::LateReceipt(l) => Some(l.message),
        Event::Offered(o) => Some(o.message),
        Event::Carried { message, .. } => *message,
        Event::Submitting { message, .. }
        | Event::Submitted { message, .. }
        | Event::Deferred { message, .. }
        | Event::PartFailed { message, .. }
        | Event::Expired { message }
        | Event::Cancelled { message }
        | Event::Settled { message }
        | Event::InDoubt { message, .. }
        | Event::DoubtSettled { message, .. }
        | Event::Queried { message, .. }
        | Event::InReplyTo { message, .. }
        | Event::Receipt { message, .. } => Some(*message),
        _ => None,
    }
}
