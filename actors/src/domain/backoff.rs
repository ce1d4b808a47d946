//! When something that failed is tried again: backoff with jitter, pure.

/// A growing pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first_ms: u64,
    max_ms: u64,
    failures: u32,
}

impl Backoff {
    /// A pause that begins at `first_ms` and doubles up to `max_ms`.
    pub fn new(first_ms: u64, max_ms: u64) -> Self {
        Self { first_ms: first_ms.max(1), max_ms: max_ms.max(1), failures: 0 }
    }

    /// The base of the next pause; add [`jitter_of`] of it.
    pub fn next_ms(&mut self) -> u64 {
        let factor = 1_u64.checked_shl(self.failures.min(40)).unwrap_or(u64::MAX);
        self.failures = self.failures.saturating_add(1);
        self.first_ms.saturating_mul(factor).min(self.max_ms)
    }

    /// It worked: the next pause is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// How much of a pause is left to chance: up to a quarter.
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
}
