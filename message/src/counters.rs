//! The counters of a stream. They outlive its sessions, packed into the look-up entry that a
//! finished stream leaves.

use serde::{Deserialize, Serialize};

use crate::id::Timestamp;

/// The numbers that a stream has assigned. They continue from one session to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Sessions that began.
    pub sessions: u32,
    /// Outbound messages that were accepted.
    pub messages: u32,
    /// Deliveries that were created.
    pub deliveries: u32,
    /// The last reference number of a long text.
    pub references: u16,
    /// Hour since 1970, low 16 bits, in which a message was last dropped that may have left a copy
    /// at the provider under an unknown id. 0: never. While receipts of that copy may still come, a
    /// receipt with an unknown id cannot be matched to a part in doubt.
    pub orphaned_hour: u16,
}

impl Counters {
    /// Packs the counters into one number, for the look-up entry of a finished stream.
    pub fn pack(self) -> u128 {
        u128::from(self.sessions) << 96
            | u128::from(self.messages) << 64
            | u128::from(self.deliveries) << 32
            | u128::from(self.orphaned_hour) << 16
            | u128::from(self.references)
    }

    /// Unpacks a number of [`Counters::pack`].
    pub fn unpack(packed: u128) -> Self {
        let at = |shift: u32| (packed >> shift & 0xffff_ffff) as u32;
        Self {
            sessions: at(96),
            messages: at(64),
            deliveries: at(32),
            references: at(0) as u16,
            orphaned_hour: at(16) as u16,
        }
    }

    /// Remembers that a message was dropped that may have left a copy at the provider.
    pub fn orphan(&mut self, at: Timestamp) {
        self.orphaned_hour = hour_of(at).max(1);
    }

    /// Returns whether receipts of a dropped message's copy may still come at `at`, when providers
    /// report within `within_ms`.
    pub fn may_have_orphans(&self, at: Timestamp, within_ms: u64) -> bool {
        let hours = i16::try_from(within_ms.div_ceil(HOUR_MS).saturating_add(1)).unwrap_or(i16::MAX);
        let since = hour_of(at).wrapping_sub(self.orphaned_hour).cast_signed();
        self.orphaned_hour != 0 && since <= hours
    }
}

const HOUR_MS: u64 = 3_600_000;

/// Returns the hour of an instant, low 16 bits: the value repeats after seven years.
fn hour_of(at: Timestamp) -> u16 {
    (at.0 / HOUR_MS) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counters_come_back_as_they_were_packed(
            (sessions, messages, deliveries) in any::<(u32, u32, u32)>(),
            (references, orphaned_hour) in any::<(u16, u16)>(),
        ) {
            let counters = Counters { sessions, messages, deliveries, references, orphaned_hour };
            prop_assert_eq!(Counters::unpack(counters.pack()), counters);
        }

        #[test]
        fn an_orphan_may_report_for_as_long_as_receipts_take_and_not_for_ever(
            at in 1_600_000_000_000_u64..2_000_000_000_000,
            within in 0_u64..14 * 24 * 3_600_000,
        ) {
            let mut counters = Counters::default();
            prop_assert!(!counters.may_have_orphans(Timestamp(at), within));
            counters.orphan(Timestamp(at));
            for late in [0, within / 2, within] {
                prop_assert!(counters.may_have_orphans(Timestamp(at + late), within));
            }
            prop_assert!(counters.may_have_orphans(Timestamp(at - 60_000), within));
            prop_assert!(!counters.may_have_orphans(Timestamp(at + within + 3 * 3_600_000), within));
        }
    }
}
