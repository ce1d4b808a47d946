//! Retention: removes whole sealed segments from the front of the log, never one that is still
//! needed or that follows one that stays. The log itself says what was removed last, so that a
//! start can tell a segment that is missing from one that retention removed.

use std::sync::Arc;

use message::{Event, Seq, Timestamp, address};

use crate::{
    error::EngineError,
    item::{Item, Key, Prev, Tag},
    log::handle::Log,
    log::segment::{Segment, Segments},
};

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
    /// Returns the latest instant of an event that [`Log::retain`] would remove now; `None` if it
    /// would remove nothing. What follows from events up to then must be told again before.
    pub fn removable(&self, delete_before: Timestamp, oldest_needed: Seq) -> Option<Timestamp> {
        let segments = self.shared.chain.segments();
        let gone = self.gone(&segments, delete_before, oldest_needed);
        gone.iter().map(|segment| segment.facts().to).max()
    }

    /// Removes the sealed segments at the front whose events are all older than `delete_before`,
    /// before `oldest_needed` (the oldest event that open state refers to), and in the index's
    /// checkpoint. Records that in the log first, and waits for the flush.
    pub fn retain(&self, delete_before: Timestamp, oldest_needed: Seq) -> Result<Retained, EngineError> {
        let segments = self.shared.chain.segments();
        let gone = self.gone(&segments, delete_before, oldest_needed);
        let events = gone.iter().map(|segment| segment.facts().events).sum();
        let (removed, latest) = (gone.len(), gone.iter().map(|segment| segment.facts().to).max());
        let first = segments.get(removed).map_or(Seq(1), |segment| segment.first);
        let end = gone.last().map_or(first, |segment| segment.facts().end());
        invariant!(end == first, "retention removes events up to {end}, {first} are left");
        invariant!(removed < segments.len().max(1), "retention removes all {removed} segments");
        let needed = gone.iter().all(|segment| segment.facts().last < oldest_needed);
        invariant!(needed, "retention removes {oldest_needed}, which is needed");
        if let Some(at) = latest {
            self.record_removal(first, at)?;
            self.shared.chain.remove_front(removed)?;
        }
        Ok(Retained { removed, events, first })
    }

    fn gone<'a>(
        &self,
        segments: &'a Segments,
        delete_before: Timestamp,
        oldest_needed: Seq,
    ) -> Vec<&'a Arc<Segment>> {
        let checkpoint = self.index().checkpoint_seq();
        let is_past = |segment: &&Arc<Segment>| {
            let facts = segment.facts();
            segment.lookups.is_sealed()
                && facts.to < delete_before
                && facts.last < oldest_needed
                && facts.last <= checkpoint
        };
        // The last segment stays even if it is sealed: its name tells where the numbers go on.
        segments.iter().take(segments.len().saturating_sub(1)).take_while(is_past).collect()
    }

    fn record_removal(&self, before: Seq, at: Timestamp) -> Result<(), EngineError> {
        let stream = address::log_stream();
        let last = self.find(stream.0).map_or(Seq::NONE, |found| Seq(found.b));
        let key = Key { hash: stream.0, a: u128::from(before.0), b: Tag::OwnSeq };
        let (prev, keys) = (Prev::At(last), [key].into_iter().collect());
        let item = Item { stream, prev, about: prev, at, keys, event: Event::SegmentsRemoved { before } };
        let fail =
            |reason: &dyn ToString| EngineError::new("record what retention removes", reason.to_string());
        let seq = self.append(vec![item], None).map_err(|e| fail(&e))?;
        invariant!(last < seq, "the log's own stream goes from {last} to {seq}");
        invariant!(before <= seq, "retention removes up to {before}, {seq} says so");
        self.wait_flushed(seq).map_err(|e| fail(&e))
    }
}
