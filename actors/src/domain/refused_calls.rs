//! Webhooks that were refused lately, as a series: it ends when none was refused for a while. Pure:
//! time is an argument.

use message::Timestamp;

/// A series ends after this time without a refusal, in milliseconds.
const SERIES_MS: u64 = 10 * 60 * 1_000;

/// A series of refused webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RefusedCalls {
    /// Their number.
    pub(crate) count: u64,
    /// When the first was refused.
    pub(crate) since: Timestamp,
    /// When the last was refused.
    pub(crate) last_at: Timestamp,
    /// Why the last was refused.
    pub(crate) reason: Box<str>,
}

impl RefusedCalls {
    /// Notes a refusal.
    pub(crate) fn note(&mut self, reason: &str, now: Timestamp) {
        if !self.lasts(now) {
            *self = Self { since: now, ..Self::default() };
        }
        self.count = self.count.saturating_add(1);
        self.last_at = now;
        if *self.reason != *reason {
            self.reason = reason.into();
        }
    }

    /// Whether the series goes on.
    pub(crate) fn lasts(&self, now: Timestamp) -> bool {
        self.count > 0 && now.since_ms(self.last_at) < SERIES_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_ends_when_nothing_is_refused_for_a_while() {
        let mut calls = RefusedCalls::default();
        assert!(!calls.lasts(Timestamp(0)));
        calls.note("no signature", Timestamp(1_000));
        calls.note("wrong signature", Timestamp(2_000));
        assert_eq!((calls.count, calls.since, &*calls.reason), (2, Timestamp(1_000), "wrong signature"));
        assert!(calls.lasts(Timestamp(2_000 + SERIES_MS - 1)));
        assert!(!calls.lasts(Timestamp(2_000 + SERIES_MS)));
        calls.note("no signature", Timestamp(2_000 + SERIES_MS));
        assert_eq!((calls.count, calls.since), (1, Timestamp(2_000 + SERIES_MS)));
    }
}
