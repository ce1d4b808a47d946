//! The changes of a message that are counted: from which status to which, and whether it waits.
//! Pure.

use message::{Event, MessageStatus, Timestamp};

use crate::domain::{due_counts::due_since, session::Outbound};

/// A message before or after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountedState {
    pub(crate) status: MessageStatus,
    /// Since when it waits for the provider's answers; `None` if all came.
    pub(crate) waits_since: Option<Timestamp>,
}

impl CountedState {
    pub(crate) fn of(message: &Outbound) -> Self {
        Self { status: message.status(), waits_since: message.is_waiting().then(|| due_since(message)) }
    }
}

/// The counts that a change of a message adds to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Milestones {
    /// The provider accepted its last part.
    pub(crate) sent: bool,
    pub(crate) delivered: bool,
    pub(crate) read: bool,
    pub(crate) failed: bool,
}

impl Milestones {
    /// Returns what is reached by a change of status.
    pub(crate) fn between(before: MessageStatus, after: MessageStatus) -> Self {
        use MessageStatus::{Delivered, Failed, Read, Sent};
        Self {
            sent: before < Sent && matches!(after, Sent | Delivered | Read),
            delivered: before < Delivered && after >= Delivered,
            read: before < Read && after == Read,
            failed: before != Failed && after == Failed,
        }
    }

    /// Returns what a receipt for a settled message reaches. Most messages are settled when they
    /// are delivered, so one that is read later was counted as delivered.
    pub(crate) fn late(status: MessageStatus) -> Self {
        Self {
            delivered: status == MessageStatus::Delivered,
            read: status == MessageStatus::Read,
            failed: status == MessageStatus::Failed,
            sent: false,
        }
    }
}

/// Returns the milliseconds from the submit of a part to its first final receipt, if the event is
/// that receipt. `message` is the one that it is about, before the event is applied.
pub(crate) fn receipt_ms(message: &Outbound, event: &Event, now: Timestamp) -> Option<u64> {
    let Event::Receipt { part, state, .. } = event else { return None };
    let part = message.parts.get(usize::from(*part))?;
    let is_first = state.is_final() && !part.state.is_final();
    (is_first && part.handed_at != Timestamp::default()).then(|| now.since_ms(part.handed_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_milestone_is_reached_once() {
        use MessageStatus::{Delivered, Enroute, Failed, Queued, Read, Sent};
        let ways: [(&[MessageStatus], [usize; 4]); 5] = [
            (&[Queued, Enroute, Sent, Delivered, Read], [1, 1, 1, 0]),
            (&[Queued, Enroute, Delivered], [1, 1, 0, 0]),
            (&[Queued, Failed], [0, 0, 0, 1]),
            (&[Queued, Sent, Failed, Failed, Delivered], [1, 1, 0, 1]),
            (&[Queued, Enroute, Enroute, Sent, Sent, Read], [1, 1, 1, 0]),
        ];
        for (way, expected) in ways {
            let mut reached = [0; 4];
            for pair in way.windows(2) {
                let of = Milestones::between(pair[0], pair[1]);
                for (count, one) in reached.iter_mut().zip([of.sent, of.delivered, of.read, of.failed]) {
                    *count += usize::from(one);
                }
            }
            assert_eq!(reached, expected, "{way:?}");
        }
    }
}
