//! The counts of one channel in messages: the metrics of their outcomes, and the minutes of the
//! last day. Hosts add to them with one atomic operation each.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use message::{ChannelId, Timestamp, event::Cause};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::{
    domain::{
        due_counts::WaitingCount,
        progress::Milestones,
        recent_failures::{FailureCounts, FailureKind, RecentFailures, SHOWN_MINUTES},
        series::{KeptMinutes, MinuteCounts, MinuteRing, minute_of},
    },
    view::FailedCodeView,
};

/// Maximum number of codes of failures that metrics tell apart on one channel.
const CODES_MAX: usize = 50;
/// Maximum length of a code in metrics, in characters.
const CODE_CHARS_MAX: usize = 48;
/// The label of codes beyond these limits.
const OTHER_CODE: &str = "other";
/// The metric that counts how messages fare.
const OUTCOMES: &str = "patchbay_message_outcomes_total";
/// The metric that counts messages that were not accepted.
const REFUSED: &str = "patchbay_messages_refused_total";

/// The counts of one channel.
pub(crate) struct ChannelTally {
    channel: ChannelId,
    sent: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    received: AtomicU64,
    receipts: AtomicU64,
    receipt_ms: AtomicU64,
    ring: Mutex<MinuteRing>,
    /// The messages that wait, by host.
    waiting: Mutex<Vec<WaitingCount>>,
    outcomes: [Counter; 3],
    failures: Mutex<CodeCounters>,
    refusals: Mutex<CodeCounters>,
    recent: Mutex<RecentFailures>,
    receipt_seconds: Histogram,
    messages_waiting: Gauge,
    oldest_waiting: Gauge,
}

/// Counts apart what has different codes, up to a limit.
#[derive(Default)]
struct CodeCounters(BTreeMap<Box<str>, CodeCount>);

/// The messages with one code: the metric, and their number, which a metric does not tell.
struct CodeCount {
    metric: Counter,
    messages: u64,
}

impl CodeCounters {
    fn increment(&mut self, code: &str, new: impl Fn(String) -> Counter) {
        let code = match code {
            _ if self.0.contains_key(code) => code,
            _ if self.0.len() < CODES_MAX && code.chars().count() <= CODE_CHARS_MAX => code,
            _ => OTHER_CODE,
        };
        let known = self.0.entry(code.into());
        let count = known.or_insert_with(|| CodeCount { metric: new(code.to_owned()), messages: 0 });
        count.metric.increment(1);
        count.messages += 1;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ChannelTally {
    pub(crate) fn new(channel: &ChannelId) -> Self {
        let id = || channel.to_string();
        let outcome =
            |outcome: &'static str| counter!(OUTCOMES, "channel" => id(), "outcome" => outcome, "code" => "");
        Self {
            channel: channel.clone(),
            sent: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            received: AtomicU64::new(0),
            receipts: AtomicU64::new(0),
            receipt_ms: AtomicU64::new(0),
            ring: Mutex::default(),
            waiting: Mutex::default(),
            outcomes: [outcome("sent"), outcome("delivered"), outcome("read")],
            failures: Mutex::default(),
            refusals: Mutex::default(),
            recent: Mutex::default(),
            receipt_seconds: histogram!("patchbay_receipt_seconds", "channel" => id()),
            messages_waiting: gauge!("patchbay_messages_waiting", "channel" => id()),
            oldest_waiting: gauge!("patchbay_oldest_waiting_seconds", "channel" => id()),
        }
    }

    /// Counts what a message reached. `code` says why it failed.
    pub(crate) fn count(&self, reached: Milestones, code: &str) {
        let [sent, delivered, read] = &self.outcomes;
        if reached.sent {
            self.sent.fetch_add(1, Ordering::Relaxed);
            sent.increment(1);
        }
        if reached.delivered {
            self.delivered.fetch_add(1, Ordering::Relaxed);
            delivered.increment(1);
        }
        if reached.read {
            read.increment(1);
        }
        if reached.failed {
            self.failed.fetch_add(1, Ordering::Relaxed);
            locked(&self.failures).increment(code, |code| {
                let channel = self.channel.to_string();
                counter!(OUTCOMES, "channel" => channel, "outcome" => "failed", "code" => code)
            });
        }
    }

    /// Counts a message that is not accepted.
    pub(crate) fn count_refused(&self, cause: &Cause, now: Timestamp) {
        locked(&self.refusals).increment(
            &cause.code,
            |code| counter!(REFUSED, "channel" => self.channel.to_string(), "code" => code),
        );
        self.note_failure(FailureKind::Refused, cause, now);
    }

    /// Notes a failure for people to see; no metric counts it.
    pub(crate) fn note_failure(&self, kind: FailureKind, cause: &Cause, now: Timestamp) {
        locked(&self.recent).note(kind, cause, now);
    }

    /// Returns the failures of the last minutes.
    pub(crate) fn recent_failures(&self, now: Timestamp) -> FailureCounts {
        let from = (minute_of(now) + 1).saturating_sub(SHOWN_MINUTES);
        let mut minutes = [MinuteCounts::default(); SHOWN_MINUTES as usize];
        self.add_to(&mut minutes, from);
        let sent = minutes.iter().map(|counts| counts.sent).sum();
        FailureCounts { failures: locked(&self.recent).shown(now), sent }
    }

    /// Returns the messages that failed since start, by code, most first.
    pub(crate) fn failures(&self) -> Vec<FailedCodeView> {
        let failures = locked(&self.failures);
        let mut views = Vec::with_capacity(failures.0.len());
        for (code, count) in &failures.0 {
            views.push(FailedCodeView { code: code.clone(), messages: count.messages });
        }
        views.sort_by_key(|view| std::cmp::Reverse(view.messages));
        views
    }

    pub(crate) fn count_received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the time from the submit of a part to its receipt.
    pub(crate) fn count_receipt(&self, after_ms: u64) {
        self.receipts.fetch_add(1, Ordering::Relaxed);
        self.receipt_ms.fetch_add(after_ms, Ordering::Relaxed);
        self.receipt_seconds.record(after_ms as f64 / 1e3);
    }

    /// Notes the messages of one host that wait.
    pub(crate) fn note_waiting(&self, host: usize, count: WaitingCount) {
        let mut waiting = locked(&self.waiting);
        if waiting.len() <= host {
            waiting.resize(host + 1, WaitingCount::default());
        }
        if let Some(known) = waiting.get_mut(host) {
            *known = count;
        }
    }

    /// Returns the messages that wait on the channel.
    pub(crate) fn waiting(&self) -> WaitingCount {
        locked(&self.waiting).iter().fold(WaitingCount::default(), |sum, one| sum.plus(*one))
    }

    fn totals(&self) -> MinuteCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        MinuteCounts {
            sent: of(&self.sent),
            delivered: of(&self.delivered),
            failed: of(&self.failed),
            received: of(&self.received),
            waiting: self.waiting().messages,
            receipts: of(&self.receipts),
            receipt_ms: of(&self.receipt_ms),
        }
    }

    /// Publishes what waits, and ends the current minute if it is over.
    pub(crate) fn advance(&self, now: Timestamp) {
        let waiting = self.waiting();
        self.messages_waiting.set(waiting.messages as f64);
        self.oldest_waiting.set(waiting.since.map_or(0, |since| now.since_ms(since)) as f64 / 1e3);
        let totals = self.totals();
        locked(&self.ring).advance(now, totals);
    }

    /// Takes on the minutes of an earlier run.
    pub(crate) fn restore(&self, kept: KeptMinutes, now: Timestamp) {
        locked(&self.ring).restore(kept, now);
    }

    /// Returns the minutes to be kept.
    pub(crate) fn kept(&self) -> KeptMinutes {
        let totals = self.totals();
        locked(&self.ring).kept(totals)
    }

    /// Adds this channel's minutes to `sum`, which begins with the minute `from`.
    pub(crate) fn add_to(&self, sum: &mut [MinuteCounts], from: u64) {
        let totals = self.totals();
        locked(&self.ring).add_to(sum, from, totals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_failures_are_limited() {
        let tally = ChannelTally::new(&"sms".into());
        let failed = Milestones { failed: true, ..Milestones::default() };
        for code in 0..10 * CODES_MAX {
            tally.count(failed, &format!("UNDELIV/{code}"));
        }
        tally.count(failed, &"x".repeat(10_000));
        let most = tally.failures().remove(0);
        assert_eq!((&*most.code, most.messages), (OTHER_CODE, 9 * CODES_MAX as u64 + 1));
        let failures = locked(&tally.failures);
        assert_eq!(failures.0.len(), CODES_MAX + 1, "and one for all others");
        assert!(failures.0.contains_key(OTHER_CODE));
        assert_eq!(tally.totals().failed, 10 * CODES_MAX as u64 + 1);
    }
}
