//! The send rate of a channel: parts are paced evenly, never more than `send_rate` in any sliding
//! second, and paused while the provider throttles. Time is an argument, in milliseconds of a
//! monotonic clock.

use storage::invariant;

/// Window in which the rate is never exceeded. Ten milliseconds more than a second, so that jitter
/// on the way does not add a part to a second at the provider.
const WINDOW_MS: u64 = 1_010;
/// Longest delay of a timer that is made up for by sending closer together.
const CATCH_UP_MS: f64 = 20.0;
/// First pause after a throttled answer without a pause of its own.
const PAUSE_MIN_MS: u64 = 1_000;
/// Longest pause that is chosen without the provider's advice.
const PAUSE_MAX_MS: u64 = 30_000;

/// The send rate of one channel.
#[derive(Clone, Debug)]
pub struct Rate {
    /// Whether only pauses hold parts back.
    is_unlimited: bool,
    /// Maximum number of parts in a window.
    window_max: u32,
    /// Milliseconds between two parts when evenly paced.
    interval_ms: f64,
    /// When the next part is due by the even pace.
    next_slot_ms: f64,
    /// Ring of the parts sent in each of the last milliseconds.
    sent: Box<[u32]>,
    /// Sum of the ring.
    sent_total: u32,
    /// Millisecond of the ring's newest entry.
    at_ms: u64,
    /// End of the current pause.
    paused_until_ms: u64,
    /// Last pause that was chosen here; doubles while answers stay throttled.
    pause_ms: u64,
}

impl Rate {
    /// Creates a rate of `per_second` parts, above 0, that begins at `now_ms`; `None`: unlimited,
    /// so that only pauses hold parts back.
    pub fn new(per_second: impl Into<Option<f64>>, now_ms: u64) -> Self {
        let per_second = per_second.into();
        let is_unlimited = per_second.is_none();
        let per_second = per_second.filter(|rate| rate.is_finite()).unwrap_or(1.0).clamp(0.001, 1_000_000.0);
        Self {
            is_unlimited,
            window_max: (per_second.ceil() as u32).max(1),
            interval_ms: WINDOW_MS as f64 / per_second,
            next_slot_ms: now_ms as f64,
            sent: vec![0; WINDOW_MS as usize].into_boxed_slice(),
            sent_total: 0,
            at_ms: now_ms,
            paused_until_ms: 0,
            pause_ms: 0,
        }
    }

    /// Creates a rate after a restart: parts may have been sent until just now.
    pub fn resumed(per_second: impl Into<Option<f64>>, now_ms: u64) -> Self {
        let mut rate = Self::new(per_second, now_ms);
        // The last part before the restart may have been late by the catch-up time.
        rate.next_slot_ms += rate.interval_ms + CATCH_UP_MS;
        rate
    }

    /// Returns how many parts may be sent now.
    pub fn allowance(&mut self, now_ms: u64) -> usize {
        if !self.is_unlimited {
            self.advance(now_ms);
        }
        if now_ms < self.paused_until_ms {
            return 0;
        }
        if self.is_unlimited {
            return usize::MAX;
        }
        let now = now_ms as f64;
        self.next_slot_ms = self.next_slot_ms.max(now - CATCH_UP_MS.max(self.interval_ms.min(1.0)));
        if self.next_slot_ms > now {
            return 0;
        }
        let due = ((now - self.next_slot_ms) / self.interval_ms).floor() as u32 + 1;
        due.min(self.window_max.saturating_sub(self.sent_total)) as usize
    }

    /// Counts `parts` as sent; at most what [`Rate::allowance`] gave.
    pub fn sent(&mut self, parts: usize, now_ms: u64) {
        if self.is_unlimited {
            return;
        }
        self.advance(now_ms);
        let parts = u32::try_from(parts).unwrap_or(u32::MAX);
        if let Some(slot) = self.sent.get_mut((self.at_ms % WINDOW_MS) as usize) {
            *slot = slot.saturating_add(parts);
        }
        self.sent_total = self.sent_total.saturating_add(parts);
        let (total, most) = (self.sent_total, self.window_max);
        invariant!(total <= most, "{total} parts in a window, {most} may be");
        self.next_slot_ms += self.interval_ms * f64::from(parts);
        invariant!(self.next_slot_ms.is_finite(), "the next part is due never");
    }

    /// Returns when to ask again after an allowance of 0.
    pub fn next_at(&self, now_ms: u64) -> u64 {
        let slot = if self.is_unlimited { 0 } else { self.next_slot_ms.ceil() as u64 };
        slot.max(self.paused_until_ms).max(now_ms + 1)
    }

    /// Pauses after a throttled answer, for `after_ms` or, if that is 0, for a growing pause.
    pub fn pause(&mut self, after_ms: u64, now_ms: u64) {
        if after_ms == 0 {
            // Answers to parts that were sent before the pause must not extend it.
            if now_ms < self.paused_until_ms {
                return;
            }
            self.pause_ms = (self.pause_ms * 2).clamp(PAUSE_MIN_MS, PAUSE_MAX_MS);
        }
        let pause = if after_ms == 0 { self.pause_ms } else { after_ms };
        self.paused_until_ms = self.paused_until_ms.max(now_ms.saturating_add(pause));
    }

    /// Ends the pause at once.
    pub fn end_pause(&mut self) {
        (self.paused_until_ms, self.pause_ms) = (0, 0);
    }

    /// Resets the growing pause after an accepted part.
    pub fn relax(&mut self, now_ms: u64) {
        if now_ms >= self.paused_until_ms {
            self.pause_ms = 0;
        }
    }

    /// Returns the end of the current pause.
    pub fn paused_until(&self, now_ms: u64) -> Option<u64> {
        (self.paused_until_ms > now_ms).then_some(self.paused_until_ms)
    }

    fn advance(&mut self, now_ms: u64) {
        let steps = now_ms.saturating_sub(self.at_ms);
        if steps >= WINDOW_MS {
            self.sent.fill(0);
            self.sent_total = 0;
            self.at_ms = now_ms;
        }
        while self.at_ms < now_ms {
            self.at_ms += 1;
            if let Some(slot) = self.sent.get_mut((self.at_ms % WINDOW_MS) as usize) {
                invariant!(self.sent_total >= *slot, "{slot} of {} parts leave", self.sent_total);
                self.sent_total = self.sent_total.saturating_sub(*slot);
                *slot = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs a greedy sender whose timer is late by `late(i)` milliseconds. Returns the instants of
    /// its parts.
    fn run(rate: f64, duration_ms: u64, late: impl Fn(usize) -> u64, pauses: &[u64]) -> Vec<u64> {
        let mut pace = Rate::new(rate, 0);
        let (mut now, mut sent, mut turns) = (0, Vec::new(), 0);
        let mut pauses = pauses.to_vec();
        while now < duration_ms {
            if pauses.first().is_some_and(|p| *p <= now) {
                pace.pause(500, now);
                pauses.remove(0);
            }
            let n = pace.allowance(now);
            pace.sent(n, now);
            sent.extend(std::iter::repeat_n(now, n));
            now = pace.next_at(now) + late(turns);
            turns += 1;
        }
        sent
    }

    fn most_in_a_second(sent: &[u64]) -> usize {
        let mut from = 0;
        let mut most = 0;
        for (at, instant) in sent.iter().enumerate() {
            while sent[from] + 1_000 <= *instant {
                from += 1;
            }
            most = most.max(at - from + 1);
        }
        most
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_in_any_second(
            rate in prop_oneof![0.2f64..5.0, 5.0f64..500.0, 500.0f64..20_000.0],
            jitter in prop::collection::vec(0u64..40, 1..50),
            pauses in prop::collection::vec(0u64..5_000, 0..3),
        ) {
            let sent = run(rate, 5_000, |i| jitter[i % jitter.len()], &pauses);
            prop_assert!(most_in_a_second(&sent) <= rate.ceil() as usize);
        }
    }

    #[test]
    fn a_punctual_sender_reaches_the_rate_evenly() {
        for rate in [1.0, 7.0, 100.0, 999.0, 12_345.0] {
            let sent = run(rate, 20_000, |_| 0, &[]);
            let reached = sent.len() as f64 / 20.0;
            assert!(reached > rate * 0.97 && reached <= rate + 1.0, "{rate}: {reached}");
            let first_half = sent.iter().filter(|t| **t % 1_000 < 500).count() as f64 / sent.len() as f64;
            assert!((0.4..=0.6).contains(&first_half) || rate < 2.0, "{rate}: bunched, {first_half}");
        }
    }

    #[test]
    fn without_a_limit_only_pauses_hold_parts_back() {
        let mut pace = Rate::resumed(None, 7);
        assert_eq!((pace.allowance(7), pace.next_at(7)), (usize::MAX, 8));
        pace.sent(1_000_000, 7);
        assert_eq!(pace.allowance(7), usize::MAX);
        pace.pause(0, 7);
        assert_eq!((pace.allowance(1_006), pace.next_at(8)), (0, 1_007));
        assert_eq!(pace.allowance(1_007), usize::MAX);
    }

    #[test]
    fn throttled_answers_grow_the_pause_once_per_pause() {
        let mut pace = Rate::new(100.0, 0);
        pace.pause(0, 0);
        pace.pause(0, 5);
        assert_eq!(pace.paused_until(5), Some(1_000));
        pace.pause(0, 1_001);
        assert_eq!(pace.paused_until(1_001), Some(3_001));
        pace.relax(3_002);
        pace.pause(0, 3_003);
        assert_eq!(pace.paused_until(3_003), Some(4_003));
        assert_eq!(pace.allowance(4_002), 0);
        assert!(pace.allowance(4_003) > 0);
    }
}
