//! Slows the acceptance of the business's messages while checkpoints are behind: a rate that falls
//! smoothly with the remaining room, first come first served. Must never slow messages of customers
//! or providers.

use std::time::Duration;

use storage::invariant;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

/// Share of the limits up to which messages are accepted without delay.
pub(crate) const FREE: f64 = 0.5;
/// Messages a second just above [`FREE`]: more than a small machine can accept, so that the rate
/// falls without a step.
const RATE_MAX: f64 = 200_000.0;
/// Longest wait of a message; after it the sender is told to retry later.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Interval at which the remaining room is read.
const LOOK: Duration = Duration::from_millis(10);
/// Time for which unused rate is saved up, because timers have a resolution of a millisecond.
const BURST: Duration = Duration::from_millis(5);

/// The queue in which messages of the business wait for acceptance.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The holder of the lock is the first in line.
    line: Mutex<Option<Line>>,
}

/// The accepted messages that the current rate has not paid for yet.
#[derive(Debug)]
struct Line {
    at: Instant,
    owed: f64,
}

impl Line {
    fn pay(&mut self, rate: f64, now: Instant) {
        let paid = now.duration_since(self.at).as_secs_f64() * rate;
        self.owed = (self.owed - paid).max(-rate * BURST.as_secs_f64());
        self.at = now;
        invariant!(self.owed.is_finite(), "{} messages are not paid for", self.owed);
    }
}

impl Pace {
    /// Waits until `count` messages may be accepted; `used` reads the used share of the limits.
    /// Returns false after [`WAIT_MAX`].
    pub(crate) async fn wait(&self, count: usize, used: impl Fn() -> f64) -> bool {
        let until = Instant::now() + WAIT_MAX;
        let Ok(mut line) = timeout_at(until, self.line.lock()).await else { return false };
        loop {
            let now = Instant::now();
            let Some(rate) = rate(used()) else {
                *line = None;
                return true;
            };
            let first = line.get_or_insert(Line { at: now, owed: 0.0 });
            first.pay(rate, now);
            if rate > 0.0 && first.owed <= 0.0 {
                first.owed += count as f64;
                return true;
            }
            if now >= until {
                return false;
            }
            let due_s = if rate > 0.0 { first.owed / rate } else { f64::INFINITY };
            tokio::time::sleep(Duration::from_secs_f64(due_s.min(LOOK.as_secs_f64()))).await;
        }
    }
}

/// Returns the messages a second at a used share, which may exceed 1; `None`: no limit.
fn rate(used: f64) -> Option<f64> {
    if used <= FREE {
        return None;
    }
    let left = ((1.0 - used) / (1.0 - FREE)).max(0.0);
    invariant!(left <= 1.0, "{left} of the room are left at {used}");
    Some(RATE_MAX * left * left)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_rate_never_rises_with_what_is_used(a in 0.0f64..1.5, b in 0.0f64..1.5) {
            let (less, more) = (rate(a.min(b)), rate(a.max(b)));
            prop_assert!(less.unwrap_or(f64::INFINITY) >= more.unwrap_or(f64::INFINITY));
            prop_assert_eq!(rate(a) == Some(0.0), a >= 1.0);
            prop_assert_eq!(rate(a).is_none(), a <= FREE);
        }
    }

    /// A store of [`ROOM`] messages that drains at a fixed rate, filled by 32 senders: it stays
    /// below its limit, and all senders wait about equally long.
    #[tokio::test(start_paused = true)]
    async fn the_store_stays_below_its_limit_and_all_senders_wait_alike() {
        const ROOM: f64 = 100_000.0;
        for per_s in [2_000.0, 15_000.0, 60_000.0] {
            let (pace, taken) = (Arc::new(Pace::default()), Arc::new(AtomicU64::new(0)));
            let begun = Instant::now();
            let used = {
                let taken = taken.clone();
                move || (taken.load(Ordering::Relaxed) as f64 - begun.elapsed().as_secs_f64() * per_s) / ROOM
            };
            let mut senders = tokio::task::JoinSet::new();
            for _ in 0..32 {
                let (pace, taken, used) = (pace.clone(), taken.clone(), used.clone());
                senders.spawn(async move {
                    let (mut longest, mut refused) = (Duration::ZERO, 0);
                    while begun.elapsed() < Duration::from_secs(60) {
                        let from = Instant::now();
                        if pace.wait(100, &used).await {
                            taken.fetch_add(100, Ordering::Relaxed);
                        } else {
                            refused += 1;
                        }
                        assert!(used() <= 1.0, "{}", used());
                        longest = longest.max(from.elapsed());
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    (longest, refused)
                });
            }
            while let Some(done) = senders.join_next().await {
                let (longest, refused) = done.unwrap();
                assert_eq!(refused, 0, "at {per_s}/s");
                // 3,200 messages are in line. The wait is at most twice the time they need to
                // drain.
                let fair = Duration::from_secs_f64(3_200.0 / per_s);
                assert!(longest < fair * 2 + 2 * LOOK, "{longest:?} at {per_s}/s");
            }
            let rate = taken.load(Ordering::Relaxed) as f64 / 60.0;
            assert!(rate > per_s * 0.95, "{rate} of {per_s}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_in_time_and_new_room_releases_all_senders() {
        let pace = Arc::new(Pace::default());
        let from = Instant::now();
        assert!(!pace.wait(1, || 1.0).await);
        assert!(from.elapsed() >= WAIT_MAX && from.elapsed() < WAIT_MAX + 2 * LOOK);
        let until = Instant::now() + Duration::from_millis(500);
        let used = move || if Instant::now() < until { 1.2 } else { 0.1 };
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let pace = pace.clone();
            waiting.spawn(async move { pace.wait(1_000, used).await });
        }
        while let Some(done) = waiting.join_next().await {
            assert!(done.unwrap());
        }
        assert!(Instant::now() < until + 2 * LOOK);
    }
}
