//! The checkpoint: moves the index's delta to its database while everything goes on, in one sorted pass that shows all of
//! it or none after a crash, with a pause now and then.
//!
//! It may be ahead of its own number: each entry says what is applied to it, so replay from that number skips what is
//! there. A removed stream leaves a grave that says the same until a checkpoint's number has passed it, or replay would
//! take its last events for the first of a new one.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use message::{Seq, StreamId, Timestamp};

use crate::{
    disk::seam::Write,
    error::{IndexError, Poisoned},
    hash::UniformMap,
    index::delta::{Before, Delta, Slot},
    index::store::{Index, META_CHECKPOINT, META_ENTRIES, due_key, entry_key, grave_key},
};

/// Streams looked up, or keys written, between two pauses.
const PAUSE_EVERY: usize = 2_000;
/// Keys beside those of streams: the two numbers.
const META_KEYS: usize = 2;
/// How far a checkpoint has come, when it is done.
pub(crate) const MOVED_MAX: usize = 1_000;

/// What a checkpoint did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckpointStats {
    /// Streams whose entries were written.
    pub written: u64,
    /// Streams whose entries were removed from the database.
    pub removed: u64,
    /// Streams that were born and finished since the last checkpoint: nothing was written.
    pub passed: u64,
    /// Keys written.
    pub keys: u64,
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
        let frozen = self.freeze(upto);
        match self.move_to_store(&frozen, upto, flushed) {
            Ok((stats, graves)) => {
                let mut layers = self.change();
                layers.frozen = None;
                layers.graves = graves;
                self.moved();
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

    fn freeze(&self, upto: Seq) -> Arc<Delta> {
        let mut layers = self.change();
        let frozen = Arc::new(std::mem::take(&mut layers.live));
        layers.frozen = Some(frozen.clone());
        self.moving.to.store(upto.0, Ordering::Release);
        self.moving.frozen_bytes.store(frozen.bytes, Ordering::Release);
        self.moving.live_bytes.store(0, Ordering::Release);
        frozen
    }

    /// Nothing is being moved any more.
    fn moved(&self) {
        self.moving.frozen_bytes.store(0, Ordering::Release);
        self.moving.moved.store(0, Ordering::Release);
        self.moving.to.store(0, Ordering::Release);
    }

    /// What could not be moved stays in memory, under what was changed meanwhile. What the database has of it now, the next
    /// checkpoint finds out.
    fn take_back(&self, frozen: &Delta) {
        let mut layers = self.change();
        layers.frozen = None;
        for (stream, (slot, _)) in &frozen.slots {
            match layers.live.slots.get_mut(stream) {
                Some((_, before)) => *before = Before::Unknown,
                None => layers.live.set(*stream, slot.clone(), Before::Unknown),
            }
        }
        self.moving.live_bytes.store(layers.live.bytes, Ordering::Release);
        self.moved();
    }

    fn move_to_store(
        &self,
        frozen: &Delta,
        upto: Seq,
        flushed: &dyn Fn(Seq) -> Result<(), Poisoned>,
    ) -> Result<(CheckpointStats, UniformMap<StreamId, Seq>), IndexError> {
        let newest = frozen.slots.values().map(|(slot, _)| slot.applied()).max().unwrap_or_default();
        flushed(newest.max(upto))?;
        let mut streams: Vec<(StreamId, &Slot, Before)> =
            frozen.slots.iter().map(|(stream, (slot, before))| (*stream, slot, *before)).collect();
        streams.sort_unstable_by_key(|(stream, ..)| *stream);
        let mut changes = Changes::new(self, upto);
        for (n, (stream, slot, before)) in streams.iter().enumerate() {
            changes.note(*stream, slot, self.before(*stream, *before)?);
            self.go_on(n + 1, streams.len(), 0);
        }
        let is_new = upto > self.checkpoint_seq();
        if streams.is_empty() && !is_new {
            return Ok((CheckpointStats::default(), changes.graves));
        }
        let keys_max = changes.sort(streams.len());
        let mut keys = 0;
        let mut writes = changes.writes(&streams, is_new.then_some(upto)).inspect(|_| {
            keys += 1;
            self.go_on(keys, keys_max, MOVED_MAX / 2);
        });
        self.store.write_sorted(keys_max, &mut writes)?;
        drop(writes);
        self.stored.store(changes.entries, Ordering::Release);
        if is_new {
            self.checkpoint.store(upto.0, Ordering::Release);
        }
        let stats = CheckpointStats { keys: keys as u64, ..changes.stats };
        changes.graves.retain(|_, applied| *applied > upto);
        Ok((stats, changes.graves))
    }

    /// The instant of the entry that the database has of a stream, if it has one.
    fn before(&self, stream: StreamId, known: Before) -> Result<Option<Option<Timestamp>>, IndexError> {
        Ok(match known {
            Before::Unknown => self.stored(stream)?.map(|old| old.due),
            Before::Nothing => None,
            Before::NeverDue => Some(None),
            Before::Due(due) => Some(Some(due)),
        })
    }

    /// Tells how far one half of the checkpoint has come, and leaves the disk to the commits now and then.
    fn go_on(&self, done: usize, all: usize, from: usize) {
        if done.is_multiple_of(PAUSE_EVERY) {
            let part = (MOVED_MAX / 2).saturating_mul(done) / all.max(1);
            self.moving.moved.store(from + part, Ordering::Release);
            self.pause();
        }
    }
}

/// What a checkpoint changes in the database, beside the entries.
struct Changes {
    upto: Seq,
    /// Instants, and whether they are new or gone.
    dues: Vec<(Timestamp, StreamId, bool)>,
    /// Removed streams that have an entry in the database, in order.
    gone: Vec<StreamId>,
    /// Graves that the database has, and those that it gets.
    old_graves: Vec<StreamId>,
    graves: UniformMap<StreamId, Seq>,
    /// Entries in the database, afterwards.
    entries: u64,
    stats: CheckpointStats,
}

impl Changes {
    fn new(index: &Index, upto: Seq) -> Self {
        let graves = index.read().graves.clone();
        Self {
            upto,
            dues: Vec::new(),
            gone: Vec::new(),
            old_graves: graves.keys().copied().collect(),
            graves,
            entries: index.stored.load(Ordering::Acquire),
            stats: CheckpointStats::default(),
        }
    }

    /// Takes a stream in, whose entry in the database has this instant, if there is one.
    fn note(&mut self, stream: StreamId, slot: &Slot, old: Option<Option<Timestamp>>) {
        let old_due = old.flatten();
        match slot {
            Slot::Put(entry) => {
                self.stats.written += 1;
                if old_due != entry.due {
                    self.dues.extend(old_due.map(|due| (due, stream, false)));
                    self.dues.extend(entry.due.map(|due| (due, stream, true)));
                }
                self.entries = self.entries.saturating_add(u64::from(old.is_none()));
            }
            // Replay would meet its last events without its first ones, or a part of it in the database.
            Slot::Removed(applied)
                if old.is_some() || *applied > self.upto || self.graves.contains_key(&stream) =>
            {
                self.stats.removed += 1;
                if old.is_some() {
                    self.gone.push(stream);
                    self.dues.extend(old_due.map(|due| (due, stream, false)));
                    self.entries = self.entries.saturating_sub(1);
                }
                self.graves.insert(stream, *applied);
            }
            Slot::Removed(_) => self.stats.passed += 1,
        }
    }

    /// How many keys will be written at most, once all streams are noted.
    fn sort(&mut self, streams: usize) -> usize {
        self.dues.sort_unstable();
        self.old_graves.sort_unstable();
        self.dues.len() + streams + self.old_graves.len() + self.graves.len() + META_KEYS
    }

    /// All of it in the order of the keys.
    fn writes<'a>(
        &'a self,
        streams: &'a [(StreamId, &Slot, Before)],
        number: Option<Seq>,
    ) -> impl Iterator<Item = Write> + 'a {
        let dues = self.dues.iter().map(|(due, stream, is_new)| match is_new {
            true => Write::Put(due_key(*due, *stream), Box::default()),
            false => Write::Delete(due_key(*due, *stream)),
        });
        let entries = streams.iter().filter_map(|(stream, slot, _)| match slot {
            Slot::Put(entry) => Some(Write::Put(entry_key(*stream), entry.encode())),
            Slot::Removed(_) => {
                self.gone.binary_search(stream).is_ok().then(|| Write::Delete(entry_key(*stream)))
            }
        });
        // Those that the number passes are not needed any more.
        let mut graves: Vec<(StreamId, Seq)> =
            self.graves.iter().map(|(s, applied)| (*s, *applied)).collect();
        graves.sort_unstable();
        let graves = graves.into_iter().filter_map(|(stream, applied)| {
            if applied > self.upto {
                return Some(Write::Put(grave_key(stream), Box::from(applied.0.to_le_bytes())));
            }
            self.old_graves.binary_search(&stream).is_ok().then(|| Write::Delete(grave_key(stream)))
        });
        let number =
            number.map(|upto| Write::Put(Box::from(META_CHECKPOINT), Box::from(upto.0.to_le_bytes())));
        let entries_kept = Write::Put(Box::from(META_ENTRIES), Box::from(self.entries.to_le_bytes()));
        dues.chain(entries).chain(graves).chain(number).chain([entries_kept])
    }
}
