//! The checkpoint: moves the index's delta to its database in one sorted batch, of which a crash
//! leaves all or nothing, while everything else goes on.
//!
//! An entry may contain events behind the checkpoint's number; it names its last event, so that
//! replay skips what it contains. A removed stream leaves a tombstone that names its last event
//! until a checkpoint's number has passed it, or replay would take its last events for the first
//! ones of a new stream.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use message::{Seq, StreamId};

use crate::{
    disk::seam::Write,
    error::{IndexError, Poisoned},
    hash::UniformMap,
    index::delta::{Delta, MOVED_MAX, Slot},
    index::entry::{Due, StoredEntry},
    index::keys::{META_CHECKPOINT, META_ENTRIES, due_key, entry_key, tombstone_key},
    index::repair,
    index::store::Index,
};

/// Streams read, or keys written, between two pauses.
const PAUSE_EVERY: usize = 2_000;
/// Keys that do not belong to a stream: the two numbers.
const META_KEYS: usize = 2;

/// The changes that a checkpoint wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckpointStats {
    /// Streams whose entries were written.
    pub written: u64,
    /// Streams whose entries were removed from the database.
    pub removed: u64,
    /// Streams that began and finished since the last checkpoint, for which nothing was written.
    pub passed: u64,
    /// Keys written.
    pub keys: u64,
}

impl Index {
    /// Moves the changes to the database; from then on replay begins after `upto`. Reads and writes
    /// the disk.
    ///
    /// Every event up to `upto` must have been put into the index before the call. `flushed` is
    /// called with the last event that the entries contain, and must return only when that is
    /// durable: nothing is written before. A second checkpoint waits for the first.
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
        let frozen = self.freeze(upto);
        let mut moved = self.move_to_store(&frozen, upto, flushed);
        if let Some(damage) = moved.as_ref().err().and_then(repair::damage).cloned() {
            moved = self.repair(&damage).and_then(|()| self.move_to_store(&frozen, upto, flushed));
        }
        match moved {
            Ok((stats, tombstones)) => {
                let mut layers = self.change();
                layers.frozen = None;
                layers.tombstones = tombstones;
                self.reset_progress();
                Ok(stats)
            }
            Err(e) => {
                self.take_back(&frozen);
                Err(e)
            }
        }
    }

    /// Yields the disk to the commits for a moment.
    fn pause(&self) {
        if !self.pause.is_zero() {
            std::thread::sleep(self.pause);
        }
    }

    fn freeze(&self, upto: Seq) -> Arc<Delta> {
        let mut layers = self.change();
        invariant!(layers.frozen.is_none(), "a checkpoint to {upto} begins before the last ended");
        let frozen = Arc::new(std::mem::take(&mut layers.live));
        layers.frozen = Some(frozen.clone());
        self.moving.to.store(upto.0, Ordering::Release);
        self.moving.frozen_bytes.store(frozen.bytes, Ordering::Release);
        self.moving.live_bytes.store(0, Ordering::Release);
        frozen
    }

    /// Resets the progress: no checkpoint runs.
    fn reset_progress(&self) {
        self.moving.frozen_bytes.store(0, Ordering::Release);
        self.moving.moved.store(0, Ordering::Release);
        self.moving.to.store(0, Ordering::Release);
    }

    /// Puts the frozen changes back under those made meanwhile, since they were not written. The
    /// next checkpoint reads which entries the database has.
    fn take_back(&self, frozen: &Delta) {
        let mut layers = self.change();
        invariant!(layers.frozen.is_some(), "{} changes are taken back twice", frozen.slots.len());
        layers.frozen = None;
        for (stream, (slot, _)) in &frozen.slots {
            match layers.live.slots.get_mut(stream) {
                Some((_, stored)) => *stored = StoredEntry::Unknown,
                None => layers.live.set(*stream, slot.clone(), StoredEntry::Unknown),
            }
        }
        self.moving.live_bytes.store(layers.live.bytes, Ordering::Release);
        self.reset_progress();
    }

    fn move_to_store(
        &self,
        frozen: &Delta,
        upto: Seq,
        flushed: &dyn Fn(Seq) -> Result<(), Poisoned>,
    ) -> Result<(CheckpointStats, UniformMap<StreamId, Seq>), IndexError> {
        let newest = frozen.slots.values().map(|(slot, _)| slot.applied()).max().unwrap_or_default();
        flushed(newest.max(upto))?;
        let mut streams: Vec<(StreamId, &Slot, StoredEntry)> =
            frozen.slots.iter().map(|(stream, (slot, stored))| (*stream, slot, *stored)).collect();
        streams.sort_unstable_by_key(|(stream, ..)| *stream);
        let mut changes = Changes::new(self, upto);
        for (n, (stream, slot, stored)) in streams.iter().enumerate() {
            changes.add(*stream, slot, self.stored_entry(*stream, *stored)?);
            self.publish_progress(n + 1, streams.len(), 0);
        }
        invariant!(upto >= self.checkpoint_seq(), "{} to {upto}", self.checkpoint_seq());
        let is_new = upto > self.checkpoint_seq();
        if streams.is_empty() && !is_new {
            return Ok((CheckpointStats::default(), changes.tombstones));
        }
        let keys_max = changes.sort(streams.len());
        let mut keys = 0;
        let mut writes = changes.writes(&streams, is_new.then_some(upto)).inspect(|_| {
            keys += 1;
            self.publish_progress(keys, keys_max, MOVED_MAX / 2);
        });
        self.store.write_sorted(keys_max, &mut writes)?;
        drop(writes);
        invariant!(keys <= keys_max, "{keys} keys were written, {keys_max} announced");
        self.stored.store(changes.entries, Ordering::Release);
        if is_new {
            self.checkpoint.store(upto.0, Ordering::Release);
        }
        let stats = CheckpointStats { keys: keys as u64, ..changes.stats };
        changes.tombstones.retain(|_, applied| *applied > upto);
        let CheckpointStats { written, removed, passed, .. } = stats;
        let told = written + removed + passed;
        invariant!(told == streams.len() as u64, "{told} of {} streams", streams.len());
        Ok((stats, changes.tombstones))
    }

    /// The entry that the database has for a stream, read if it is not known.
    fn stored_entry(&self, stream: StreamId, known: StoredEntry) -> Result<StoredEntry, IndexError> {
        if known != StoredEntry::Unknown {
            return Ok(known);
        }
        Ok(self.stored(stream)?.map_or(StoredEntry::Absent, |old| StoredEntry::with_due(old.due)))
    }

    /// Publishes progress and yields the disk to commits from time to time.
    fn publish_progress(&self, done: usize, all: usize, from: usize) {
        if done.is_multiple_of(PAUSE_EVERY) {
            let part = (MOVED_MAX / 2).saturating_mul(done) / all.max(1);
            self.moving.moved.store(from + part, Ordering::Release);
            self.pause();
        }
    }
}

/// The changes of a checkpoint besides the entries themselves.
struct Changes {
    upto: Seq,
    dues: Vec<DueChange>,
    /// Removed streams that have an entry in the database, in order.
    removed: Vec<StreamId>,
    /// The tombstones that the database has, and those that it will have.
    old_tombstones: Vec<StreamId>,
    tombstones: UniformMap<StreamId, Seq>,
    /// The number of entries that the database will have.
    entries: u64,
    stats: CheckpointStats,
}

/// A due time that is added or removed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct DueChange {
    due: Due,
    is_new: bool,
}

impl Changes {
    fn new(index: &Index, upto: Seq) -> Self {
        let tombstones = index.read().tombstones.clone();
        Self {
            upto,
            dues: Vec::new(),
            removed: Vec::new(),
            old_tombstones: tombstones.keys().copied().collect(),
            tombstones,
            entries: index.stored.load(Ordering::Acquire),
            stats: CheckpointStats::default(),
        }
    }

    /// Adds the change of a stream, given the entry that the database has.
    fn add(&mut self, stream: StreamId, slot: &Slot, stored: StoredEntry) {
        let exists = stored != StoredEntry::Absent;
        let old_due = match stored {
            StoredEntry::Due(at) => Some(at),
            _ => None,
        };
        let change = |at, is_new| DueChange { due: Due { at, stream }, is_new };
        match slot {
            Slot::Put(entry) => {
                self.stats.written += 1;
                if old_due != entry.due {
                    self.dues.extend(old_due.map(|at| change(at, false)));
                    self.dues.extend(entry.due.map(|at| change(at, true)));
                }
                self.entries = self.entries.saturating_add(u64::from(!exists));
            }
            // Otherwise replay would meet its last events without the first, or find a part of it
            // in the database.
            Slot::Removed(applied)
                if exists || *applied > self.upto || self.tombstones.contains_key(&stream) =>
            {
                self.stats.removed += 1;
                if exists {
                    invariant!(self.removed.last() < Some(&stream), "{stream} is out of order");
                    invariant!(self.entries > 0, "{stream} is removed from an empty database");
                    self.removed.push(stream);
                    self.dues.extend(old_due.map(|at| change(at, false)));
                    self.entries = self.entries.saturating_sub(1);
                }
                self.tombstones.insert(stream, *applied);
            }
            Slot::Removed(_) => self.stats.passed += 1,
        }
    }

    /// Sorts the changes when all streams were added, and returns the maximum number of keys to
    /// write.
    fn sort(&mut self, streams: usize) -> usize {
        self.dues.sort_unstable();
        self.old_tombstones.sort_unstable();
        self.dues.len() + streams + self.old_tombstones.len() + self.tombstones.len() + META_KEYS
    }

    /// All writes in the order of their keys.
    fn writes<'a>(
        &'a self,
        streams: &'a [(StreamId, &Slot, StoredEntry)],
        number: Option<Seq>,
    ) -> impl Iterator<Item = Write> + 'a {
        let dues = self.dues.iter().map(|change| match change.is_new {
            true => Write::Put(due_key(change.due), Box::default()),
            false => Write::Delete(due_key(change.due)),
        });
        let entries = streams.iter().filter_map(|(stream, slot, _)| match slot {
            Slot::Put(entry) => Some(Write::Put(entry_key(*stream), entry.encode())),
            Slot::Removed(_) => {
                self.removed.binary_search(stream).is_ok().then(|| Write::Delete(entry_key(*stream)))
            }
        });
        // Tombstones up to the checkpoint's number are not needed any more.
        let mut tombstones: Vec<(StreamId, Seq)> =
            self.tombstones.iter().map(|(s, applied)| (*s, *applied)).collect();
        tombstones.sort_unstable();
        let tombstones = tombstones.into_iter().filter_map(|(stream, applied)| {
            if applied > self.upto {
                return Some(Write::Put(tombstone_key(stream), Box::from(applied.0.to_le_bytes())));
            }
            self.old_tombstones.binary_search(&stream).is_ok().then(|| Write::Delete(tombstone_key(stream)))
        });
        let number =
            number.map(|upto| Write::Put(Box::from(META_CHECKPOINT), Box::from(upto.0.to_le_bytes())));
        let entries_number = Write::Put(Box::from(META_ENTRIES), Box::from(self.entries.to_le_bytes()));
        dues.chain(entries).chain(tombstones).chain(number).chain([entries_number])
    }
}
