//! Room in a channel's window that its sessions may use without asking, so that a message and the
//! intent to send it are recorded in one commit. Never grants more than the channel has set aside.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of parts that the sessions of one channel may submit without asking.
#[derive(Debug, Default)]
pub(crate) struct Credit(AtomicUsize);

impl Credit {
    /// Adds parts.
    pub(crate) fn give(&self, parts: usize) {
        self.0.fetch_add(parts, Ordering::AcqRel);
    }

    /// Takes at most `parts`; returns how many were granted.
    pub(crate) fn take(&self, parts: usize) -> usize {
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
            (left > 0 && parts > 0).then(|| left.saturating_sub(parts))
        });
        taken.map_or(0, |left| left.min(parts))
    }

    /// Returns the unused parts to the channel.
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
        fn sessions_never_get_more_than_was_set_aside(steps in prop::collection::vec((0u8..3, 0usize..9), 1..100)) {
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
