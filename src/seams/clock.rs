//! The machine's clocks. No other file may read them.

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actors::seams::Clock;
use message::Timestamp;

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[allow(clippy::disallowed_methods, reason = "this is the clock seam")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(FIRST_READ.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The beginning of monotonic time.
#[allow(clippy::disallowed_methods, reason = "this is the clock seam")]
static FIRST_READ: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Measures elapsed time, for messages to people.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    pub fn start() -> Self {
        #[allow(clippy::disallowed_methods, reason = "this is the clock seam")]
        Self(Instant::now())
    }

    /// Returns the time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
