//! The counts of one channel, minute by minute over the last day. Pure: the time and the running
//! totals are arguments. Idle minutes take no memory.

use std::collections::VecDeque;

use message::Timestamp;
use serde::{Deserialize, Serialize};

/// The number of minutes that are kept.
pub const SERIES_MINUTES: u64 = 24 * 60;
/// The length of a step, in milliseconds.
pub(crate) const STEP_MS: u64 = 60_000;

/// The counts of one minute, in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MinuteCounts {
    /// Messages whose last part the provider accepted.
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    /// Messages of customers.
    pub(crate) received: u64,
    /// Messages that waited at the end of the minute.
    pub(crate) waiting: u64,
    /// Parts whose receipt came.
    pub(crate) receipts: u64,
    /// The sum of the times from their submit to that, in milliseconds.
    pub(crate) receipt_ms: u64,
}

impl MinuteCounts {
    /// Adds the counts of the same minute of another channel.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent.saturating_add(other.sent),
            delivered: self.delivered.saturating_add(other.delivered),
            failed: self.failed.saturating_add(other.failed),
            received: self.received.saturating_add(other.received),
            waiting: self.waiting.saturating_add(other.waiting),
            receipts: self.receipts.saturating_add(other.receipts),
            receipt_ms: self.receipt_ms.saturating_add(other.receipt_ms),
        }
    }

    /// Returns what running totals rose by since `earlier`. What waits is a level and stays.
    fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            delivered: self.delivered.saturating_sub(earlier.delivered),
            failed: self.failed.saturating_sub(earlier.failed),
            received: self.received.saturating_sub(earlier.received),
            waiting: self.waiting,
            receipts: self.receipts.saturating_sub(earlier.receipts),
            receipt_ms: self.receipt_ms.saturating_sub(earlier.receipt_ms),
        }
    }
}

/// The minutes of one channel, as a file keeps them: the number of the minute since 1970, and its
/// counts, in order.
pub(crate) type KeptMinutes = Vec<(u64, MinuteCounts)>;

/// The minutes of one channel.
#[derive(Debug, Default)]
pub(crate) struct MinuteRing {
    minutes: VecDeque<(u64, MinuteCounts)>,
    /// The minute that is being counted; zero before the first count.
    current: u64,
    /// The running totals when it began.
    before: MinuteCounts,
}

/// Returns the number of a minute since 1970.
pub(crate) fn minute_of(at: Timestamp) -> u64 {
    at.0 / STEP_MS
}

impl MinuteRing {
    /// Ends the current minute if it is over. A clock that went back continues it.
    pub(crate) fn advance(&mut self, now: Timestamp, totals: MinuteCounts) {
        let minute = minute_of(now);
        if self.current == 0 {
            self.current = minute;
        }
        if minute > self.current {
            let counts = totals.since(self.before);
            self.push(self.current, counts);
            (self.current, self.before) = (minute, totals);
        }
        let oldest = minute.saturating_sub(SERIES_MINUTES);
        while self.minutes.front().is_some_and(|(minute, _)| *minute <= oldest) {
            self.minutes.pop_front();
        }
    }

    /// Adds a minute. One that is there already gets more: the process was started again within it.
    fn push(&mut self, minute: u64, counts: MinuteCounts) {
        if counts == MinuteCounts::default() {
            return;
        }
        match self.minutes.back_mut() {
            Some((last, known)) if *last >= minute => {
                *known = MinuteCounts { waiting: counts.waiting, ..known.plus(counts) };
            }
            _ => self.minutes.push_back((minute, counts)),
        }
        if self.minutes.len() as u64 > SERIES_MINUTES {
            self.minutes.pop_front();
        }
    }

    /// Takes on minutes of an earlier run. Those that cannot be are dropped: of the future, or out
    /// of order.
    pub(crate) fn restore(&mut self, kept: KeptMinutes, now: Timestamp) {
        for (minute, counts) in kept {
            let is_next = self.minutes.back().is_none_or(|(last, _)| *last < minute);
            if is_next && minute <= minute_of(now) {
                self.push(minute, counts);
            }
        }
    }

    /// Returns all minutes to be kept, the current one included.
    pub(crate) fn kept(&self, totals: MinuteCounts) -> KeptMinutes {
        let mut all = Self { minutes: self.minutes.clone(), ..Self::default() };
        all.push(self.current, totals.since(self.before));
        all.minutes.into()
    }

    /// Adds this channel's counts to `sum`, whose first step is the minute `from`.
    pub(crate) fn add_to(&self, sum: &mut [MinuteCounts], from: u64, totals: MinuteCounts) {
        let mut add = |minute: u64, counts: MinuteCounts| {
            let step = minute.checked_sub(from).and_then(|step| usize::try_from(step).ok());
            if let Some(known) = step.and_then(|step| sum.get_mut(step)) {
                *known = known.plus(counts);
            }
        };
        // The current minute may be in the ring, too, from the run before.
        let now = totals.since(self.before);
        for (minute, counts) in &self.minutes {
            let waiting = if *minute == self.current { 0 } else { counts.waiting };
            add(*minute, MinuteCounts { waiting, ..*counts });
        }
        add(self.current, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Timestamp {
        Timestamp(minute * STEP_MS + 1)
    }

    fn sent(sent: u64) -> MinuteCounts {
        MinuteCounts { sent, ..MinuteCounts::default() }
    }

    fn shown(ring: &MinuteRing, from: u64, steps: usize, totals: MinuteCounts) -> Vec<u64> {
        let mut sum = vec![MinuteCounts::default(); steps];
        ring.add_to(&mut sum, from, totals);
        sum.iter().map(|counts| counts.sent).collect()
    }

    #[test]
    fn totals_become_counts_of_their_minutes() {
        let mut ring = MinuteRing::default();
        ring.advance(at(100), sent(0));
        ring.advance(at(101), sent(5));
        ring.advance(at(104), sent(5));
        assert_eq!(shown(&ring, 99, 7, sent(9)), [0, 5, 0, 0, 0, 4, 0]);
        // The clock goes back and comes again: nothing is counted twice.
        ring.advance(at(103), sent(9));
        ring.advance(at(105), sent(9));
        assert_eq!(shown(&ring, 99, 7, sent(9)), [0, 5, 0, 0, 0, 4, 0]);
    }

    #[test]
    fn a_day_is_kept_and_no_more() {
        let mut ring = MinuteRing::default();
        for minute in 1..3 * SERIES_MINUTES {
            ring.advance(at(minute), sent(minute));
        }
        assert!(ring.minutes.len() as u64 <= SERIES_MINUTES);
        ring.advance(at(10 * SERIES_MINUTES), sent(3 * SERIES_MINUTES));
        assert!(ring.minutes.len() <= 1, "idle minutes take no memory");
    }

    #[test]
    fn a_restart_within_a_minute_adds_to_it() {
        let mut ring = MinuteRing::default();
        ring.advance(at(100), sent(0));
        ring.advance(at(101), sent(5));
        let kept = ring.kept(sent(7));
        assert_eq!(kept, [(100, sent(5)), (101, sent(2))]);
        let mut again = MinuteRing::default();
        let foreign = [(99, sent(1)), (500, sent(9))];
        again.restore(kept.into_iter().chain(foreign).collect(), at(101));
        again.advance(at(101), sent(0));
        assert_eq!(shown(&again, 100, 3, sent(3)), [5, 5, 0]);
        again.advance(at(102), sent(3));
        assert_eq!(shown(&again, 100, 3, sent(3)), [5, 5, 0]);
    }
}
