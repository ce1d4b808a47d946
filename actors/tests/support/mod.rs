//! Stand-ins for seams that the tests of whole routers share.

use std::sync::atomic::{AtomicU64, Ordering};

use actors::seams::{Clock, Ids};
use message::{MessageId, Timestamp};

/// Ids that are counted, and no jitter.
#[derive(Default)]
pub(crate) struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn message_id(&self) -> MessageId {
        MessageId::new(format!("drawn-{}", self.0.fetch_add(1, Ordering::SeqCst)))
    }

    fn jitter(&self, _below: u64) -> u64 {
        0
    }
}

/// Clocks that two functions tell, in milliseconds.
pub(crate) struct ToldClock<W, M> {
    pub(crate) wall_ms: W,
    pub(crate) monotonic_ms: M,
}

impl<W, M> Clock for ToldClock<W, M>
where
    W: Fn() -> u64 + Send + Sync + 'static,
    M: Fn() -> u64 + Send + Sync + 'static,
{
    fn now(&self) -> Timestamp {
        Timestamp((self.wall_ms)())
    }

    fn monotonic_ms(&self) -> u64 {
        (self.monotonic_ms)()
    }
}
