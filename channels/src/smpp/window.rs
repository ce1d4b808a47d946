//! Requests that wait for replies: found by sequence number in any order, and kept in sending order
//! so that the oldest deadline is at hand. Never holds more than its limit; allocates once.

use std::collections::{BTreeMap, VecDeque};

use super::{Millis, pdu::CommandId};

/// Largest configurable window; more is rejected.
pub const WINDOW_MAX: usize = 65_536;

/// Number of timed-out requests remembered for a late answer; the oldest are forgotten.
pub const LATE_MAX: usize = 4_096;

/// Largest sequence number a requester may choose; 1 follows it.
pub const SEQUENCE_MAX: u32 = 0x7FFF_FFFF;

const NONE: u32 = u32::MAX;

/// A request without its reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending<T> {
    pub(super) sequence: u32,
    pub(super) command: CommandId,
    pub(super) token: T,
    pub(super) deadline: Millis,
    older: u32,
    newer: u32,
}

/// A table of slots, indexed by the low bits of the sequence number. A number whose slot is taken
/// is skipped, so a look-up is one step and a straggler costs one skipped number per turn.
#[derive(Debug)]
pub(super) struct RequestWindow<T> {
    slots: Box<[Option<Pending<T>>]>,
    mask: u32,
    limit: usize,
    used: usize,
    oldest: u32,
    newest: u32,
    next: u32,
}

impl<T: Copy> RequestWindow<T> {
    pub(super) fn new(limit: usize, first_sequence: u32) -> Self {
        let limit = limit.clamp(1, WINDOW_MAX);
        let slots = (limit * 2).next_power_of_two();
        Self {
            slots: (0..slots).map(|_| None).collect(),
            mask: u32::try_from(slots - 1).unwrap_or(u32::MAX),
            limit,
            used: 0,
            oldest: NONE,
            newest: NONE,
            next: first_sequence.clamp(1, SEQUENCE_MAX),
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn free(&self) -> usize {
        self.limit - self.used
    }

    /// Returns a sequence number that no waiting request uses and that `taken` does not claim.
    pub(super) fn sequence(&mut self, taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            let sequence = self.next;
            self.next = if sequence >= SEQUENCE_MAX { 1 } else { sequence + 1 };
            // At most half of the slots are full and `taken` claims few, so this terminates.
            if self.slot(sequence & self.mask).is_none() && !taken(sequence) {
                return sequence;
            }
        }
    }

    /// Appends a request with a sequence number from [`RequestWindow::sequence`].
    pub(super) fn insert(&mut self, sequence: u32, command: CommandId, token: T, deadline: Millis) {
        let at = sequence & self.mask;
        let older = std::mem::replace(&mut self.newest, at);
        match self.slot_mut(older) {
            Some(before) => before.newer = at,
            None => self.oldest = at,
        }
        if let Some(slot) = self.slots.get_mut(at as usize) {
            *slot = Some(Pending { sequence, command, token, deadline, older, newer: NONE });
            self.used += 1;
        }
    }

    pub(super) fn get(&self, sequence: u32) -> Option<&Pending<T>> {
        self.slot(sequence & self.mask).filter(|pending| pending.sequence == sequence)
    }

    pub(super) fn take(&mut self, sequence: u32) -> Option<Pending<T>> {
        self.get(sequence)?;
        let taken = self.slots.get_mut((sequence & self.mask) as usize)?.take()?;
        self.used -= 1;
        match self.slot_mut(taken.older) {
            Some(before) => before.newer = taken.newer,
            None => self.oldest = taken.newer,
        }
        match self.slot_mut(taken.newer) {
            Some(after) => after.older = taken.older,
            None => self.newest = taken.older,
        }
        Some(taken)
    }

    pub(super) fn oldest(&self) -> Option<&Pending<T>> {
        self.slot(self.oldest)
    }

    pub(super) fn take_oldest(&mut self) -> Option<Pending<T>> {
        let sequence = self.oldest()?.sequence;
        self.take(sequence)
    }

    fn slot(&self, at: u32) -> Option<&Pending<T>> {
        self.slots.get(at as usize)?.as_ref()
    }

    fn slot_mut(&mut self, at: u32) -> Option<&mut Pending<T>> {
        self.slots.get_mut(at as usize)?.as_mut()
    }
}

/// Requests that timed out, the latest [`LATE_MAX`] of them, so that a late answer finds its token.
#[derive(Debug)]
pub(super) struct Late<T> {
    known: BTreeMap<u32, Pending<T>>,
    order: VecDeque<u32>,
}

impl<T: Copy> Late<T> {
    pub(super) fn new() -> Self {
        Self { known: BTreeMap::new(), order: VecDeque::new() }
    }

    pub(super) fn insert(&mut self, pending: Pending<T>) {
        if self.order.len() >= LATE_MAX
            && let Some(forgotten) = self.order.pop_front()
        {
            self.known.remove(&forgotten);
        }
        self.order.push_back(pending.sequence);
        self.known.insert(pending.sequence, pending);
    }

    pub(super) fn get(&self, sequence: u32) -> Option<&Pending<T>> {
        self.known.get(&sequence)
    }

    pub(super) fn take(&mut self, sequence: u32) -> Option<Pending<T>> {
        self.known.remove(&sequence)
    }

    pub(super) fn contains(&self, sequence: u32) -> bool {
        self.known.contains_key(&sequence)
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Compared with a plain list, for any order of sending and taking, across the wrap.
        #[test]
        fn behaves_as_a_list_with_a_limit(
            limit in 1usize..9,
            steps in prop::collection::vec(any::<(bool, prop::sample::Index)>(), 0..200),
        ) {
            let mut window = RequestWindow::new(limit, SEQUENCE_MAX - 20);
            let mut list: Vec<u32> = Vec::new();
            for (at, (send, which)) in steps.iter().enumerate() {
                if *send && window.free() > 0 {
                    let sequence = window.sequence(|s| s % 7 == 0);
                    prop_assert!((1..=SEQUENCE_MAX).contains(&sequence) && !list.contains(&sequence));
                    window.insert(sequence, CommandId::SUBMIT_SM, at, 0);
                    list.push(sequence);
                } else if !list.is_empty() {
                    let sequence = list.remove(which.index(list.len()));
                    prop_assert_eq!(window.take(sequence).map(|p| p.sequence), Some(sequence));
                    prop_assert!(window.take(sequence).is_none());
                }
                prop_assert_eq!(window.used(), list.len());
                prop_assert_eq!(window.oldest().map(|p| p.sequence), list.first().copied());
            }
            let rest: Vec<u32> = std::iter::from_fn(|| window.take_oldest()).map(|p| p.sequence).collect();
            prop_assert_eq!(rest, list);
        }
    }

    #[test]
    fn late_ones_are_bounded() {
        let mut late = Late::new();
        let count = u32::try_from(LATE_MAX).unwrap() + 10;
        for sequence in 1..=count {
            late.insert(Pending {
                sequence,
                command: CommandId::SUBMIT_SM,
                token: (),
                deadline: 0,
                older: NONE,
                newer: NONE,
            });
        }
        assert_eq!(late.known.len(), LATE_MAX);
        assert!(!late.contains(10) && late.contains(11) && late.take(count).is_some());
    }
}
