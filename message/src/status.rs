//! Statuses as a lattice. Reports on a part are joined, in any order and any number of times, and
//! the status of a message is a monotone function of its parts. A status never goes backwards.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The progress of a part, in rising order. A failure is not a step: it is kept beside the progress
/// (see [`PartState`]), because providers do report one part both failed and delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum PartStatus {
    /// It waits for its turn.
    #[default]
    Queued,
    /// It was handed to a link, or is on its way before the provider's acceptance.
    Enroute,
    /// Its submit may or may not have reached the provider.
    InDoubt,
    /// The provider accepted it.
    Sent,
    /// It reached the customer's device.
    Delivered,
    /// The customer saw it.
    Read,
}

/// The join of all reports on a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct PartState {
    /// The furthest point reported.
    pub reached: PartStatus,
    /// Whether a final failure was reported, before or after.
    pub failed: bool,
}

impl PartState {
    /// Joins two reports. Commutative, associative and idempotent.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self { reached: self.reached.max(other.reached), failed: self.failed | other.failed }
    }

    /// Returns a report of progress.
    pub fn reached(status: PartStatus) -> Self {
        Self { reached: status, failed: false }
    }

    /// Returns a report that the part failed for good.
    pub fn failure() -> Self {
        Self { reached: PartStatus::Queued, failed: true }
    }

    /// Returns whether the part was delivered or failed, so that no further report is awaited.
    pub fn is_final(self) -> bool {
        self.failed || self.reached >= PartStatus::Delivered
    }

    /// Returns the status of a message with this single part.
    pub fn as_message(self) -> MessageStatus {
        MessageStatus::of([self])
    }
}

/// The status of a message, in rising order; it never goes backwards.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MessageStatus {
    /// It was accepted and not yet handed to a link.
    #[default]
    Queued,
    /// At least its first part was handed to a link.
    Enroute,
    /// A part's submit may or may not have reached the provider.
    InDoubt,
    /// The provider accepted every part.
    Sent,
    /// A part failed for good, and not all parts were delivered.
    Failed,
    /// Every part was delivered.
    Delivered,
    /// Every part was read.
    Read,
}

impl MessageStatus {
    /// Returns the status of a message with these parts.
    ///
    /// If all parts were delivered, a failure reported for one of them does not count. Otherwise
    /// any failure fails the message. Otherwise the message has the status of its slowest part,
    /// except that it is under way once one part is, and in doubt while one part is.
    pub fn of(parts: impl IntoIterator<Item = PartState>) -> Self {
        let (mut least, mut most) = (PartStatus::Read, PartStatus::Queued);
        let (mut failed, mut in_doubt) = (false, false);
        for part in parts {
            least = least.min(part.reached);
            most = most.max(part.reached);
            failed |= part.failed;
            in_doubt |= part.reached == PartStatus::InDoubt;
        }
        match least {
            PartStatus::Read => Self::Read,
            PartStatus::Delivered => Self::Delivered,
            _ if failed => Self::Failed,
            PartStatus::Sent => Self::Sent,
            _ if in_doubt => Self::InDoubt,
            _ if most > PartStatus::Queued => Self::Enroute,
            _ => Self::Queued,
        }
    }

    /// Returns the word of the outer contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Enroute => "ENROUTE",
            Self::InDoubt => "IN_DOUBT",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Delivered => "DELIVERED",
            Self::Read => "READ",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn report() -> impl Strategy<Value = PartState> {
        prop_oneof![
            Just(PartState::failure()),
            prop_oneof![
                Just(PartStatus::Queued),
                Just(PartStatus::Enroute),
                Just(PartStatus::InDoubt),
                Just(PartStatus::Sent),
                Just(PartStatus::Delivered),
                Just(PartStatus::Read)
            ]
            .prop_map(PartState::reached)
        ]
    }

    /// Joins reports in order; each is a part and its state.
    fn run(parts: usize, reports: &[(usize, PartState)]) -> (Vec<MessageStatus>, Vec<PartState>) {
        let mut state = vec![PartState::default(); parts];
        let mut seen = vec![MessageStatus::of(state.iter().copied())];
        for (part, report) in reports {
            let at = part % parts;
            state[at] = state[at].join(*report);
            seen.push(MessageStatus::of(state.iter().copied()));
        }
        (seen, state)
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_ends_in_one_state(
            parts in 1usize..4,
            reports in prop::collection::vec((0usize..4, report()), 0..12),
            seed in any::<u64>(),
        ) {
            let (seen, last) = run(parts, &reports);
            let mut shuffled = reports.clone();
            shuffled.extend(reports.iter().filter(|r| r.0 % 2 == 0).copied());
            let mut state = seed;
            for at in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                shuffled.swap(at, (state >> 33) as usize % (at + 1));
            }
            let (other_seen, other_last) = run(parts, &shuffled);
            prop_assert_eq!(last, other_last);
            prop_assert_eq!(seen.last(), other_seen.last());
        }
    }

    /// A doubt ends by a resend, so a message that was in doubt for one part may return to the
    /// status of its slowest part. Every other report must raise the status or keep it.
    #[test]
    fn a_message_never_goes_backwards() {
        let all: Vec<PartState> = [false, true]
            .into_iter()
            .flat_map(|failed| {
                [
                    PartStatus::Queued,
                    PartStatus::Enroute,
                    PartStatus::InDoubt,
                    PartStatus::Sent,
                    PartStatus::Delivered,
                    PartStatus::Read,
                ]
                .map(|reached| PartState { reached, failed })
            })
            .collect();
        for a in &all {
            for b in &all {
                for report in &all {
                    let before = MessageStatus::of([*a, *b]);
                    let after = MessageStatus::of([a.join(*report), *b]);
                    let doubt_solved = before == MessageStatus::InDoubt && after == MessageStatus::Enroute;
                    assert!(
                        after >= before || doubt_solved,
                        "{a:?} {b:?} + {report:?}: {before:?} -> {after:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn delivered_needs_every_part() {
        let d = PartState::reached(PartStatus::Delivered);
        let s = PartState::reached(PartStatus::Sent);
        assert_eq!(MessageStatus::of([d, s]), MessageStatus::Sent);
        assert_eq!(MessageStatus::of([d, d]), MessageStatus::Delivered);
        assert_eq!(MessageStatus::of([d, PartState::failure()]), MessageStatus::Failed);
        assert_eq!(MessageStatus::of([d.join(PartState::failure()), d]), MessageStatus::Delivered);
    }
}
