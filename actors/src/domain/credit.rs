//! Room that a channel has left over, for its sessions to take without asking: who takes it may record a message and
//! the intent to send it at once. Never more than the channel has set aside, and nothing while others wait for it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The parts of one channel that may be handed over unasked.
#[derive(Debug, Default)]
pub(crate) struct Credit(AtomicUsize);

impl Credit {
    /// The channel sets more aside.
    pub(crate) fn give(&self, parts: usize) {
        self.0.fetch_add(parts, Ordering::AcqRel);
    }

    /// A session takes at most `parts`; so many it got.
    pub(crate) fn take(&self, parts: usize) -> usize {
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
            (left > 0 && parts > 0).then(|| left.saturating_sub(parts))
        });
        taken.map_or(0, |left| left.min(parts))
    }

    /// The channel takes back what nobody took.
    pub(crate) fn withdraw(&self) -> usize {
        self.0.swap(0, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_more_is_taken_than_was_given(steps in prop::collection::vec((0u8..3, 0usize..9), 1..100)) {
            let credit = Credit::default();
            let (mut given, mut gone) = (0, 0);
            for (what, parts) in steps {
                match what {
                    0 => { credit.give(parts); given += parts; }
                    1 => { let taken = credit.take(parts); prop_assert!(taken <= parts); gone += taken; }
                    _ => { gone += credit.withdraw(); prop_assert_eq!(given, gone); }
                }
                prop_assert!(gone <= given);
            }
            prop_assert_eq!(gone + credit.withdraw(), given);
        }
    }
}
