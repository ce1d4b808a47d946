//! Retention: removes whole sealed segments from the front of the log, never one that is still
//! needed or that follows one that stays.

use message::{Seq, Timestamp};

use crate::{error::EngineError, log::handle::Log};

/// The result of [`Log::retain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// The number of segments removed.
    pub removed: usize,
    /// The number of events in them.
    pub events: u64,
    /// The first event that is left.
    pub first: Seq,
}

impl Log {
    /// Removes the sealed segments at the front whose events are all older than `delete_before`,
    /// before `oldest_needed` (the oldest event that open state refers to), and in the index's
    /// checkpoint.
    pub fn retain(&self, delete_before: Timestamp, oldest_needed: Seq) -> Result<Retained, EngineError> {
        let checkpoint = self.index().checkpoint_seq();
        let segments = self.shared.chain.segments();
        let is_past = |segment: &&std::sync::Arc<crate::log::segment::Segment>| {
            let facts = segment.facts();
            segment.lookups.is_sealed()
                && facts.to < delete_before
                && facts.last < oldest_needed
                && facts.last <= checkpoint
        };
        // The last segment stays even if it is sealed: its name tells where the numbers go on.
        let candidates = segments.len().saturating_sub(1);
        let gone: Vec<_> = segments.iter().take(candidates).take_while(is_past).collect();
        let events = gone.iter().map(|segment| segment.facts().events).sum();
        let removed = gone.len();
        self.shared.chain.remove_front(removed)?;
        let first = self.shared.chain.segments().first().map_or(Seq(1), |segment| segment.first);
        Ok(Retained { removed, events, first })
    }
}
