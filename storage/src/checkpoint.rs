//! The checkpoint: moves the index's delta to its database while everything goes on, in batches with a pause between
//! them; its own number is written last.
//!
//! It may die anywhere. Each entry says what is applied to it, so replay from the old number skips what is there.
//! A removed stream leaves a grave that says the same until a checkpoint's number has passed it, or replay would
//! take its last events for the first of a new one.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use message::{Seq, StreamId};

use crate::{
    disk::Write,
    error::{IndexError, Poisoned},
    index::{Delta, Entry, Index, META_CHECKPOINT, META_ENTRIES, Slot, due_key, entry_key, grave_key},
    lookup::UniformMap,
};

/// Keys in one atomic batch.
const BATCH_KEYS_MAX: usize = 2_000;
/// Keys one stream may add: its entry, two due keys, its grave, and the count.
const STREAM_KEYS_MAX: usize = 5;

/// What a checkpoint did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckpointStats {
    /// Streams whose entries were written.
    pub written: u64,
    /// Streams whose entries were removed from the database.
    pub removed: u64,
    /// Streams that were born and finished since the last checkpoint: nothing was written.
    pub passed: u64,
    /// Atomic batches.
    pub batches: u64,
}

impl Index {
    /// Moves what changed to the database; afterwards replay begins after `upto`.
    ///
    /// Every event up to `upto` must have been put into the index before the call. `flushed` is asked with the
    /// number of the last event that is to be written, and must return only when it is safe on the disk:
    /// nothing is written before that. Runs beside everything else; a second checkpoint waits for the first.
    pub fn checkpoint(
        &self,
        upto: Seq,
        flushed: &dyn Fn(Seq) -> Result<(), Poisoned>,
    ) -> Result<CheckpointStats, IndexError> {
        let _alone = self.checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = self.checkpoint_seq();
        if upto < written {
            return Err(IndexError::Backwards { wanted: upto, written });
        }
        let frozen = self.freeze();
        match self.move_to_store(&frozen, upto, flushed) {
            Ok((stats, graves)) => {
                let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
                layers.frozen = None;
                layers.graves = graves;
                Ok(stats)
            }
            Err(e) => {
                self.take_back(&frozen);
                Err(e)
            }
        }
    }

    /// Leaves the disk to the commits for a moment.
    fn pause(&self) {
        if !self.pause.is_zero() {
            std::thread::sleep(self.pause);
        }
    }

    fn freeze(&self) -> Arc<Delta> {
        let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
        let frozen = Arc::new(std::mem::take(&mut layers.live));
        layers.frozen = Some(frozen.clone());
        frozen
    }

    /// What could not be moved stays in memory, under what was changed meanwhile.
    fn take_back(&self, frozen: &Delta) {
        let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
        layers.frozen = None;
        for (stream, slot) in &frozen.slots {
            if !layers.live.slots.contains_key(stream) {
                layers.live.set(*stream, slot.clone());
            }
        }
    }

    fn move_to_store(
        &self,
        frozen: &Delta,
        upto: Seq,
        flushed: &dyn Fn(Seq) -> Result<(), Poisoned>,
    ) -> Result<(CheckpointStats, UniformMap<StreamId, Seq>), IndexError> {
        let newest = frozen.slots.values().map(Slot::applied).max().unwrap_or_default();
        flushed(newest.max(upto))?;
        let mut streams: Vec<(&StreamId, &Slot)> = frozen.slots.iter().collect();
        streams.sort_unstable_by_key(|(stream, _)| **stream);
        let mut batch = Batch::new(self);
        for (stream, slot) in streams {
            let old = self.stored(*stream)?;
            match slot {
                Slot::Put(entry) => batch.put(*stream, entry, old.as_ref()),
                // Replay would meet its last events without its first ones, or a part of it in the database.
                Slot::Removed(applied)
                    if old.is_some() || *applied > upto || batch.graves.contains_key(stream) =>
                {
                    batch.bury(*stream, *applied, old.as_ref());
                }
                Slot::Removed(_) => batch.stats.passed += 1,
            }
            batch.write_if_full()?;
        }
        batch.write()?;
        let Batch { mut graves, mut stats, .. } = batch;
        let is_new = upto > self.checkpoint_seq();
        if is_new {
            let number = Write::Put(Box::from(META_CHECKPOINT), Box::from(upto.0.to_le_bytes()));
            self.store.apply(vec![number])?;
        }
        self.store.flush()?;
        if is_new {
            self.checkpoint.store(upto.0, Ordering::Release);
        }
        let mut past: Vec<StreamId> =
            graves.iter().filter(|(_, applied)| **applied <= upto).map(|(stream, _)| *stream).collect();
        past.sort_unstable();
        for some in past.chunks(BATCH_KEYS_MAX) {
            self.store.apply(some.iter().map(|stream| Write::Delete(grave_key(*stream))).collect())?;
            stats.batches += 1;
            self.pause();
        }
        graves.retain(|_, applied| *applied > upto);
        Ok((stats, graves))
    }
}

/// Writes that are gathered for one atomic batch, and what came of those before.
struct Batch<'a> {
    index: &'a Index,
    writes: Vec<Write>,
    stored: u64,
    graves: UniformMap<StreamId, Seq>,
    stats: CheckpointStats,
}

impl<'a> Batch<'a> {
    fn new(index: &'a Index) -> Self {
        let stored = index.stored.load(Ordering::Acquire);
        let writes = Vec::with_capacity(BATCH_KEYS_MAX);
        let graves = index.read().graves.clone();
        Self { index, writes, stored, graves, stats: CheckpointStats::default() }
    }

    fn put(&mut self, stream: StreamId, entry: &Entry, old: Option<&Entry>) {
        self.stats.written += 1;
        self.writes.push(Write::Put(entry_key(stream), entry.encode()));
        let old_due = old.and_then(|old| old.due);
        if old_due != entry.due {
            self.forget_due(stream, old_due);
            if let Some(due) = entry.due {
                self.writes.push(Write::Put(due_key(due, stream), Box::default()));
            }
        }
        if old.is_none() {
            self.stored = self.stored.saturating_add(1);
        }
    }

    fn bury(&mut self, stream: StreamId, applied: Seq, old: Option<&Entry>) {
        self.stats.removed += 1;
        if let Some(old) = old {
            self.writes.push(Write::Delete(entry_key(stream)));
            self.forget_due(stream, old.due);
            self.stored = self.stored.saturating_sub(1);
        }
        self.writes.push(Write::Put(grave_key(stream), Box::from(applied.0.to_le_bytes())));
        self.graves.insert(stream, applied);
    }

    fn forget_due(&mut self, stream: StreamId, due: Option<message::Timestamp>) {
        if let Some(due) = due {
            self.writes.push(Write::Delete(due_key(due, stream)));
        }
    }

    fn write_if_full(&mut self) -> Result<(), IndexError> {
        if self.writes.len() + STREAM_KEYS_MAX > BATCH_KEYS_MAX { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), IndexError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.writes.push(Write::Put(Box::from(META_ENTRIES), Box::from(self.stored.to_le_bytes())));
        self.index.store.apply(std::mem::take(&mut self.writes))?;
        self.index.stored.store(self.stored, Ordering::Release);
        self.stats.batches += 1;
        self.index.pause();
        Ok(())
    }
}
