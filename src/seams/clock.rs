//! Wall-clock time. Nothing else may read it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actors::seams::Clock;
use message::Timestamp;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[allow(clippy::disallowed_methods, reason = "this is the clock seam")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Measures how long something took, for people.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins.
    pub fn start() -> Self {
        #[allow(clippy::disallowed_methods, reason = "this is the clock seam")]
        Self(Instant::now())
    }

    /// How long since.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
