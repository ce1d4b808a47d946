//! The messages of a channel that came to nothing in the last ten minutes, and the tries that are
//! made again, by cause. Pure: time is an argument.

use std::collections::{BTreeMap, VecDeque};

use message::{Timestamp, event::Cause};

use crate::domain::series::{STEP_MS, minute_of};

/// How long a failure is shown, in minutes.
pub(crate) const SHOWN_MINUTES: u64 = 10;
/// Maximum number of codes of one kind that are told apart.
const CODES_MAX: usize = 50;
/// The code of all others.
const OTHER: &str = "other";

/// The consequence of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The message failed.
    Failed,
    /// The message was refused: it was never accepted.
    Refused,
    /// A part is tried again.
    Deferred,
}

/// The failures with one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailureCount {
    pub(crate) kind: FailureKind,
    /// The code, and the words of the last failure.
    pub(crate) cause: Cause,
    pub(crate) count: u64,
    /// When the first of them was.
    pub(crate) since: Timestamp,
    /// When the last of them was.
    pub(crate) last_at: Timestamp,
}

/// The failures of one channel, and what they are compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FailureCounts {
    pub(crate) failures: Vec<FailureCount>,
    /// The messages that the provider accepted meanwhile.
    pub(crate) sent: u64,
}

/// The failures of one channel.
#[derive(Debug, Default)]
pub(crate) struct RecentFailures {
    failed: BTreeMap<Box<str>, CodeCounts>,
    refused: BTreeMap<Box<str>, CodeCounts>,
    deferred: BTreeMap<Box<str>, CodeCounts>,
}

#[derive(Debug, Default)]
struct CodeCounts {
    reason: Box<str>,
    since: Timestamp,
    last_at: Timestamp,
    /// Minutes since 1970 with their counts, in order.
    minutes: VecDeque<(u64, u64)>,
}

impl CodeCounts {
    fn note(&mut self, reason: &str, now: Timestamp) {
        self.forget(now);
        if self.minutes.is_empty() {
            self.since = now;
        }
        self.last_at = now;
        if *self.reason != *reason {
            self.reason = reason.into();
        }
        match self.minutes.back_mut() {
            // A clock that went back continues the last minute.
            Some((minute, count)) if *minute >= minute_of(now) => *count = count.saturating_add(1),
            _ => self.minutes.push_back((minute_of(now), 1)),
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let oldest = minute_of(now).saturating_sub(SHOWN_MINUTES);
        while let Some((minute, _)) = self.minutes.front().filter(|(minute, _)| *minute <= oldest) {
            self.since = Timestamp((minute + 1) * STEP_MS);
            self.minutes.pop_front();
        }
    }
}

impl RecentFailures {
    fn of_kind(&mut self, kind: FailureKind) -> &mut BTreeMap<Box<str>, CodeCounts> {
        match kind {
            FailureKind::Failed => &mut self.failed,
            FailureKind::Refused => &mut self.refused,
            FailureKind::Deferred => &mut self.deferred,
        }
    }

    /// Notes a failure.
    pub(crate) fn note(&mut self, kind: FailureKind, cause: &Cause, now: Timestamp) {
        let codes = self.of_kind(kind);
        if let Some(known) = codes.get_mut(&cause.code) {
            return known.note(&cause.reason, now);
        }
        if codes.len() >= CODES_MAX {
            codes.retain(|_, counts| {
                counts.forget(now);
                !counts.minutes.is_empty()
            });
        }
        let code = if codes.len() < CODES_MAX { cause.code.clone() } else { OTHER.into() };
        codes.entry(code).or_default().note(&cause.reason, now);
    }

    /// Returns the failures of the last minutes.
    pub(crate) fn shown(&mut self, now: Timestamp) -> Vec<FailureCount> {
        let mut shown = Vec::new();
        for kind in [FailureKind::Failed, FailureKind::Refused, FailureKind::Deferred] {
            for (code, counts) in self.of_kind(kind) {
                counts.forget(now);
                let count = counts.minutes.iter().map(|(_, count)| count).sum();
                let cause = Cause::new(code.clone(), counts.reason.clone());
                let (since, last_at) = (counts.since, counts.last_at);
                shown.extend((count > 0).then_some(FailureCount { kind, cause, count, since, last_at }));
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Timestamp {
        Timestamp(minute * STEP_MS + 7)
    }

    #[test]
    fn a_failure_is_shown_for_ten_minutes() {
        let mut recent = RecentFailures::default();
        for (minute, words) in [(100, "no such number"), (104, "nobody has it"), (104, "nobody has it")] {
            recent.note(FailureKind::Failed, &Cause::new("11", words), at(minute));
        }
        recent.note(FailureKind::Deferred, &Cause::new("20", "full"), at(105));
        let mut shown = |minute| {
            let of = |f: FailureCount| (f.kind, f.cause.reason, f.count, minute_of(f.since));
            recent.shown(at(minute)).into_iter().map(of).collect::<Vec<_>>()
        };
        let (failed, deferred) = (FailureKind::Failed, FailureKind::Deferred);
        let full = (deferred, "full".into(), 1, 105);
        assert_eq!(shown(109), [(failed, "nobody has it".into(), 3, 100), full.clone()]);
        assert_eq!(shown(110), [(failed, "nobody has it".into(), 2, 101), full.clone()]);
        assert_eq!(shown(114), [full]);
        assert_eq!(shown(115), []);
        recent.note(failed, &Cause::new("11", "again"), at(120));
        assert_eq!(recent.shown(at(120))[0].since, at(120), "a new series");
    }

    #[test]
    fn codes_are_limited_and_nothing_is_left_out() {
        let mut recent = RecentFailures::default();
        for code in 0..200u64 {
            recent.note(FailureKind::Refused, &Cause::new(code.to_string(), "words"), at(100));
        }
        let shown = recent.shown(at(100));
        assert_eq!(shown.len(), CODES_MAX + 1);
        assert_eq!(shown.iter().map(|failure| failure.count).sum::<u64>(), 200);
        recent.note(FailureKind::Refused, &Cause::new("201", "words"), at(200));
        assert_eq!(recent.shown(at(200)).len(), 1, "old codes make room");
    }
}
