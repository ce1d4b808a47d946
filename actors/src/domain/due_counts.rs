//! Counts messages that wait by the instant since when they could be sent, so that their number and
//! the age of the oldest are known without a search. Pure.

use std::collections::BTreeMap;

use message::Timestamp;

use crate::domain::session::Outbound;

/// Maximum number of instants that are told apart. Above it they are rounded more coarsely.
const BUCKETS_MAX: usize = 8_192;
/// The first rounding of instants: down to a multiple of 2 to this power, in milliseconds.
const SHIFT_FIRST: u32 = 10;

/// The number of messages that wait, and since when the oldest does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WaitingCount {
    pub(crate) messages: u64,
    /// The instant, rounded down to a second or more; `None` if no message could be sent by now.
    pub(crate) since: Option<Timestamp>,
}

impl WaitingCount {
    /// Adds the messages of another host.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        let since = self.since.into_iter().chain(other.since).min();
        Self { messages: self.messages.saturating_add(other.messages), since }
    }
}

/// Counts messages by instant.
#[derive(Debug)]
pub(crate) struct DueCounts {
    by_instant: BTreeMap<u64, u64>,
    shift: u32,
    messages: u64,
}

impl Default for DueCounts {
    fn default() -> Self {
        Self { by_instant: BTreeMap::new(), shift: SHIFT_FIRST, messages: 0 }
    }
}

/// Returns the instant from which on a message waits: a scheduled one waits from its time on.
pub(crate) fn due_since(message: &Outbound) -> Timestamp {
    message.send_at.map_or(message.accepted_at, |at| at.max(message.accepted_at))
}

impl DueCounts {
    pub(crate) fn add(&mut self, since: Timestamp) {
        *self.by_instant.entry(since.0 >> self.shift).or_default() += 1;
        self.messages += 1;
        while self.by_instant.len() > BUCKETS_MAX {
            self.coarsen();
        }
    }

    pub(crate) fn remove(&mut self, since: Timestamp) {
        let key = since.0 >> self.shift;
        if let Some(count) = self.by_instant.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.by_instant.remove(&key);
            }
            self.messages -= 1;
        }
    }

    /// Adds the counts of another.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        while self.shift < other.shift {
            self.coarsen();
        }
        while other.shift < self.shift {
            other.coarsen();
        }
        for (key, count) in other.by_instant {
            *self.by_instant.entry(key).or_default() += count;
        }
        self.messages += other.messages;
        while self.by_instant.len() > BUCKETS_MAX {
            self.coarsen();
        }
    }

    /// Rounds instants to twice the length.
    fn coarsen(&mut self) {
        self.shift += 1;
        for (key, count) in std::mem::take(&mut self.by_instant) {
            *self.by_instant.entry(key >> 1).or_default() += count;
        }
    }

    /// Returns the count. Those scheduled for later than `now` are not the oldest.
    pub(crate) fn waiting(&self, now: Timestamp) -> WaitingCount {
        let first = self.by_instant.keys().next().map(|key| Timestamp(key << self.shift));
        WaitingCount { messages: self.messages, since: first.filter(|first| *first <= now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_known_after_any_number_of_changes() {
        let mut counts = DueCounts::default();
        let at = |n: u64| Timestamp(1_700_000_000_000 + n * 3_000);
        let many = 5 * BUCKETS_MAX as u64;
        for n in 0..many {
            counts.add(at(n));
        }
        assert!(counts.by_instant.len() <= BUCKETS_MAX);
        for n in 0..many - 1 {
            counts.remove(at(n));
            let waiting = counts.waiting(at(many));
            assert_eq!(waiting.messages, many - 1 - n);
            let since = waiting.since.unwrap();
            assert!(since <= at(n + 1) && since.0 + (1 << counts.shift) > at(n + 1).0, "{n} {since:?}");
        }
        counts.remove(at(many - 1));
        assert_eq!(counts.waiting(at(many)), WaitingCount::default());
        counts.remove(at(0));
        assert_eq!(counts.waiting(at(many)).messages, 0, "a message is not counted below zero");
    }

    #[test]
    fn a_message_for_later_is_not_the_oldest() {
        let mut counts = DueCounts::default();
        counts.add(Timestamp(9_000_000));
        assert_eq!(counts.waiting(Timestamp(1_000_000)), WaitingCount { messages: 1, since: None });
        assert!(counts.waiting(Timestamp(9_000_000)).since.is_some());
    }
}
