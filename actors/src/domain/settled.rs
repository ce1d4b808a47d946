//! The states of a settled message's parts, packed into the value of its look-up key: a receipt
//! that adds nothing to them is known by the key alone, and no event is read. Pure.

use message::{PartState, PartStatus};
use smallvec::SmallVec;
use storage::invariant;

/// Bits of one part: the status, and whether it failed.
const PART_BITS: u32 = 4;
/// Maximum number of parts; the states of a longer message are read from its events.
const PARTS_MAX: usize = 28;
/// Where the number of parts stands, above the states.
const COUNT_AT: u32 = PART_BITS * PARTS_MAX as u32;

/// Statuses by their code.
const STATUSES: [PartStatus; 6] = [
    PartStatus::Queued,
    PartStatus::Enroute,
    PartStatus::InDoubt,
    PartStatus::Sent,
    PartStatus::Delivered,
    PartStatus::Read,
];

/// Packs the states of a message's parts; zero if there are too many of them.
pub(crate) fn pack(parts: impl ExactSizeIterator<Item = PartState>) -> u128 {
    let count = parts.len();
    if count > PARTS_MAX {
        return 0;
    }
    let states = parts.zip(0u32..).fold(0, |packed, (state, at)| {
        let code = STATUSES.iter().position(|status| *status == state.reached);
        invariant!(code.is_some(), "{state:?} has no code");
        let code = code.unwrap_or(0) as u128;
        packed | (code << 1 | u128::from(state.failed)) << (at * PART_BITS)
    });
    states | (count as u128) << COUNT_AT
}

/// Unpacks the states of a message's parts; `None` if they are not in the value.
pub(crate) fn unpack(packed: u128) -> Option<SmallVec<[PartState; 4]>> {
    let count = (packed >> COUNT_AT) as usize;
    let state = |at: usize| {
        let bits = packed >> (at as u32 * PART_BITS);
        let reached = STATUSES.get((bits >> 1 & 7) as usize).copied()?;
        Some(PartState { reached, failed: bits & 1 == 1 })
    };
    if count == 0 || count > PARTS_MAX {
        return None;
    }
    (0..count).map(state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_back_as_they_were_packed() {
        let all: Vec<PartState> = STATUSES
            .iter()
            .flat_map(|reached| [false, true].map(|failed| PartState { reached: *reached, failed }))
            .collect();
        for count in 1..=PARTS_MAX {
            let parts: Vec<PartState> = all.iter().cycle().skip(count).take(count).copied().collect();
            assert_eq!(unpack(pack(parts.iter().copied())).unwrap().as_slice(), parts);
        }
        let many = vec![PartState::failure(); PARTS_MAX + 1];
        assert_eq!(unpack(pack(many.into_iter())), None);
        assert_eq!(unpack(0), None);
    }
}
