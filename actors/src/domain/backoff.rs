//! Exponential backoff with a maximum. The caller adds the jitter, since nothing here is random.

/// A pause that doubles with each failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first_ms: u64,
    max_ms: u64,
    failures: u32,
}

/// Pauses while a provider refuses the credentials: a wrong password that is repeated too often
/// locks accounts.
pub(crate) const CREDENTIALS: Backoff = Backoff { first_ms: 10_000, max_ms: 600_000, failures: 0 };

impl Backoff {
    /// Creates a backoff that begins at `first_ms` and doubles up to `max_ms`.
    pub fn new(first_ms: u64, max_ms: u64) -> Self {
        Self { first_ms: first_ms.max(1), max_ms: max_ms.max(1), failures: 0 }
    }

    /// Counts a failure and returns the next pause. The caller adds a random part of [`jitter_of`].
    pub fn next_ms(&mut self) -> u64 {
        let factor = 1_u64.checked_shl(self.failures.min(40)).unwrap_or(u64::MAX);
        self.failures = self.failures.saturating_add(1);
        self.first_ms.saturating_mul(factor).min(self.max_ms)
    }

    /// Forgets all failures after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the number of failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// Returns the maximum jitter of a pause: a quarter of it.
pub fn jitter_of(pause_ms: u64) -> u64 {
    pause_ms / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_refusals_costs_a_handful_of_tries() {
        let mut backoff = Backoff::new(1_000, 60_000);
        let (mut at, mut tries) = (0, 0);
        while at < 3_600_000 {
            at += backoff.next_ms();
            tries += 1;
        }
        assert!((60..70).contains(&tries), "{tries}");
        backoff.reset();
        assert_eq!(backoff.next_ms(), 1_000);
    }

    #[test]
    fn refused_credentials_are_tried_rarely_and_for_ever() {
        let mut backoff = CREDENTIALS;
        let pauses: Vec<u64> = (0..8).map(|_| backoff.next_ms() / 1_000).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600]);
    }
}
