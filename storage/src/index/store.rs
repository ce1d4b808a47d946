//! The write-behind index: the state of every open stream, as a delta in memory over a database. It
//! is never the only place where a fact is stored, and never ahead of the log on the disk.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use message::{Seq, StreamId, Timestamp};

use crate::{
    bytes::Cursor,
    disk::seam::{Engine, KeyValueStore},
    error::{EngineError, IndexError},
    hash::UniformMap,
    index::delta::{Delta, DeltaSize, MOVED_MAX, Progress, Slot},
    index::entry::{Due, Entry, Lookup, OpenStream, StoredEntry},
    index::keys::{META_CHECKPOINT, META_ENTRIES, due_end, due_key, entry_key, read_due, read_stream},
    index::repair::{self, EventSource, Known},
};

/// The name of the database.
pub(crate) const NAME: &str = "index";
/// Pairs read from the database at once.
const PAGE: usize = 256;

/// The part of the index in memory: the delta that changes, and the one that a checkpoint moves to
/// the database.
#[derive(Default)]
pub(crate) struct Layers {
    pub(crate) live: Delta,
    pub(crate) frozen: Option<Arc<Delta>>,
    /// Removed streams whose last event is behind the checkpoint, as the database has them.
    pub(crate) tombstones: UniformMap<StreamId, Seq>,
}

impl Layers {
    fn slot(&self, stream: StreamId) -> Option<&Slot> {
        let frozen = || self.frozen.as_ref().and_then(|frozen| frozen.slots.get(&stream));
        self.live.slots.get(&stream).or_else(frozen).map(|(slot, _)| slot)
    }

    fn slots(&self) -> impl Iterator<Item = (&StreamId, &Slot)> {
        let frozen = self.frozen.iter().flat_map(|frozen| frozen.slots.iter());
        let frozen = frozen.filter(|(stream, _)| !self.live.slots.contains_key(stream));
        self.live.slots.iter().chain(frozen).map(|(stream, (slot, _))| (stream, slot))
    }
}

/// The index of a log.
pub struct Index {
    pub(crate) store: Arc<dyn KeyValueStore>,
    pub(crate) layers: RwLock<Layers>,
    /// Held while a checkpoint runs.
    pub(crate) checkpointing: Mutex<()>,
    pub(crate) checkpoint: AtomicU64,
    pub(crate) stored: AtomicU64,
    /// How long a checkpoint yields the disk to commits from time to time.
    pub(crate) pause: Duration,
    pub(crate) moving: Progress,
    /// Set when the log is open: damage that is found before is repaired by a replay of all events.
    events: OnceLock<Arc<dyn EventSource>>,
}

impl Index {
    /// Opens the index of an engine.
    pub(crate) fn open(engine: &dyn Engine, pause: Duration) -> Result<Self, IndexError> {
        let store = engine.open_index(NAME)?;
        let number = |key: &[u8]| -> Result<u64, IndexError> {
            let Some(value) = store.get(key)? else { return Ok(0) };
            let damaged = || IndexError::Damaged(String::from_utf8_lossy(key).into_owned());
            Cursor(&value).u64().ok_or_else(damaged)
        };
        let (checkpoint, stored) = (number(META_CHECKPOINT)?, number(META_ENTRIES)?);
        let tombstones = read_tombstones(&*store)?;
        Ok(Self {
            store,
            layers: RwLock::new(Layers { tombstones, ..Layers::default() }),
            checkpointing: Mutex::default(),
            checkpoint: AtomicU64::new(checkpoint),
            stored: AtomicU64::new(stored),
            pause,
            moving: Progress::default(),
            events: OnceLock::new(),
        })
    }

    /// Sets the events from which damage is repaired from here on.
    pub(crate) fn set_events(&self, events: Arc<dyn EventSource>) {
        // It is set once, when the log is opened.
        let _again = self.events.set(events);
    }

    /// Reads; should a page of the database be damaged, repairs that and reads again.
    fn repaired<T>(&self, read: impl Fn() -> Result<T, IndexError>) -> Result<T, IndexError> {
        let result = read();
        match result.as_ref().err().and_then(repair::damage) {
            Some(damage) => {
                let _alone = self.checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
                self.repair(damage)?;
                read()
            }
            None => result,
        }
    }

    /// The part of the database that is known in memory, too.
    fn known(&self) -> Known {
        let tombstones = self.read().tombstones.iter().map(|(stream, applied)| (*stream, *applied)).collect();
        Known { tombstones, checkpoint: self.checkpoint_seq(), entries: self.len() }
    }

    /// Rebuilds from the events what damaged pages held. Only while no checkpoint runs.
    pub(crate) fn repair(&self, damage: &EngineError) -> Result<(), IndexError> {
        let Some(events) = self.events.get() else { return Err(damage.clone().into()) };
        if self.store.repair(&mut |lost| repair::restore(&self.known(), &**events, lost))? {
            events.report(damage);
        }
        Ok(())
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the entry of a stream, if it is open. May read the disk.
    pub fn get(&self, stream: StreamId) -> Result<Option<Entry>, IndexError> {
        if let Some(slot) = self.read().slot(stream) {
            return Ok(match slot {
                Slot::Put(entry) => Some(entry.clone()),
                Slot::Removed(_) => None,
            });
        }
        self.repaired(|| self.stored(stream))
    }

    /// Returns the last event of a stream that the index has seen, also if the stream was removed
    /// since the last checkpoint; [`Seq::NONE`] if it has seen none. Replay skips everything up to
    /// it. May read the disk.
    pub fn applied(&self, stream: StreamId) -> Result<Seq, IndexError> {
        Ok(match self.lookup(stream)? {
            Lookup::Open(entry) => entry.applied,
            Lookup::Finished(applied) => applied,
        })
    }

    /// Returns the entry of an open stream, or the last event of a finished one, with one read. May
    /// read the disk.
    pub fn lookup(&self, stream: StreamId) -> Result<Lookup, IndexError> {
        let tombstone = {
            let layers = self.read();
            match layers.slot(stream) {
                Some(Slot::Put(entry)) => return Ok(Lookup::Open(entry.clone())),
                Some(Slot::Removed(applied)) => return Ok(Lookup::Finished(*applied)),
                None => layers.tombstones.get(&stream).copied().unwrap_or_default(),
            }
        };
        let stored = self.repaired(|| self.stored(stream))?;
        Ok(stored.map_or(Lookup::Finished(tombstone), Lookup::Open))
    }

    pub(crate) fn stored(&self, stream: StreamId) -> Result<Option<Entry>, IndexError> {
        let value = self.store.get(&entry_key(stream))?;
        value.map(|bytes| Entry::decode(stream, &bytes)).transpose()
    }

    /// Sets a stream's entry, in memory.
    pub fn put(&self, stream: StreamId, entry: Entry) {
        self.put_over(stream, entry, StoredEntry::Unknown);
    }

    /// Sets a stream's entry, in memory, given the one that the database has. Only for the sole
    /// writer of the stream, which knows the entry that it got from [`Index::get`] or put last.
    pub fn put_over(&self, stream: StreamId, entry: Entry, stored: StoredEntry) {
        self.set(stream, Slot::Put(entry), stored);
    }

    /// Removes the entry of a finished stream, in memory. `applied` is its last event.
    pub fn remove(&self, stream: StreamId, applied: Seq) {
        self.remove_over(stream, applied, StoredEntry::Unknown);
    }

    /// Removes an entry given the one that the database has, as [`Index::put_over`] does.
    pub fn remove_over(&self, stream: StreamId, applied: Seq, stored: StoredEntry) {
        self.set(stream, Slot::Removed(applied), stored);
    }

    fn set(&self, stream: StreamId, slot: Slot, stored: StoredEntry) {
        let mut layers = self.change();
        layers.live.set(stream, slot, stored);
        self.moving.live_bytes.store(layers.live.bytes, Ordering::Release);
    }

    /// Returns up to `limit` streams that are due at `until` or before, after `after`, in order.
    /// May read the disk.
    pub fn due(&self, until: Timestamp, after: Option<Due>, limit: usize) -> Result<Vec<Due>, IndexError> {
        self.repaired(|| self.read_due(until, after, limit))
    }

    fn read_due(&self, until: Timestamp, after: Option<Due>, limit: usize) -> Result<Vec<Due>, IndexError> {
        // Held throughout: a checkpoint neither begins nor ends between the three sources.
        let layers = self.read();
        let is_wanted = |due: &Due| after.is_none_or(|after| *due > after);
        let from = after.unwrap_or(Due { at: Timestamp(0), stream: StreamId(0) });
        let end = Due { at: until, stream: StreamId(u128::MAX) };
        if from > end {
            return Ok(Vec::new());
        }
        let mut all: Vec<Due> =
            layers.live.due.range(from..=end).filter(|due| is_wanted(due)).take(limit).copied().collect();
        if let Some(frozen) = &layers.frozen {
            let visible = frozen.due.range(from..=end).filter(|due| is_wanted(due));
            all.extend(visible.filter(|due| !layers.live.slots.contains_key(&due.stream)).take(limit));
        }
        let mut cursor = after.map_or(Box::from(*b"d"), due_key);
        let past = due_end(until);
        let mut found = 0;
        while found < limit {
            let page = self.store.range(&cursor, &past, PAGE.min(limit))?;
            let Some((last, _)) = page.last() else { break };
            cursor = last.clone();
            for (key, _) in &page {
                let due = read_due(key).ok_or_else(|| IndexError::Damaged(format!("{key:02x?}")))?;
                if layers.slot(due.stream).is_none() {
                    all.push(due);
                    found += 1;
                }
            }
        }
        all.sort_unstable();
        all.truncate(limit);
        Ok(all)
    }

    /// Returns up to `limit` open streams after `after`, in order. May read the disk.
    pub fn scan(&self, after: Option<StreamId>, limit: usize) -> Result<Vec<OpenStream>, IndexError> {
        self.repaired(|| self.read_open(after, limit))
    }

    fn read_open(&self, after: Option<StreamId>, limit: usize) -> Result<Vec<OpenStream>, IndexError> {
        let layers = self.read();
        let is_wanted = |stream: &StreamId| after.is_none_or(|after| *stream > after);
        let open = layers.slots().filter_map(|(stream, slot)| match slot {
            Slot::Put(entry) => Some((stream, entry)),
            Slot::Removed(_) => None,
        });
        let mut near: Vec<(&StreamId, &Entry)> = open.filter(|(stream, _)| is_wanted(stream)).collect();
        if near.len() > limit {
            near.select_nth_unstable_by_key(limit, |(stream, _)| **stream);
            near.truncate(limit);
        }
        let near =
            near.into_iter().map(|(stream, entry)| OpenStream { stream: *stream, entry: entry.clone() });
        let mut all: Vec<OpenStream> = near.collect();
        let mut cursor = after.map_or(Box::from(*b"e"), entry_key);
        let mut found = 0;
        while found < limit {
            let page = self.store.range(&cursor, b"f", PAGE.min(limit))?;
            let Some((last, _)) = page.last() else { break };
            cursor = last.clone();
            for (key, value) in &page {
                let stream = read_stream(key).ok_or_else(|| IndexError::Damaged(format!("{key:02x?}")))?;
                if layers.slot(stream).is_none() {
                    all.push(OpenStream { stream, entry: Entry::decode(stream, value)? });
                    found += 1;
                }
            }
        }
        all.sort_unstable_by_key(|open| open.stream);
        all.truncate(limit);
        Ok(all)
    }

    /// The last event that the database contains, with all before it. Replay begins after it.
    pub fn checkpoint_seq(&self) -> Seq {
        Seq(self.checkpoint.load(Ordering::Acquire))
    }

    /// The number of entries in the database as of the last checkpoint.
    pub fn len(&self) -> u64 {
        self.stored.load(Ordering::Acquire)
    }

    /// Whether the database has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of streams that changed since the last checkpoint.
    pub fn delta_len(&self) -> usize {
        let layers = self.read();
        layers.live.slots.len() + layers.frozen.as_ref().map_or(0, |frozen| frozen.slots.len())
    }

    /// The size of the changes that wait in memory. Takes no lock.
    pub fn delta(&self) -> DeltaSize {
        let moved = self.moving.moved.load(Ordering::Acquire).min(MOVED_MAX);
        DeltaSize {
            live_bytes: self.moving.live_bytes.load(Ordering::Acquire),
            frozen_bytes: self.moving.frozen_bytes.load(Ordering::Acquire),
            moved: moved as f64 / MOVED_MAX as f64,
            moving_to: Seq(self.moving.to.load(Ordering::Acquire)),
        }
    }
}

fn read_tombstones(store: &dyn KeyValueStore) -> Result<UniformMap<StreamId, Seq>, IndexError> {
    let mut tombstones = UniformMap::default();
    let mut cursor: Box<[u8]> = Box::from(*b"g");
    loop {
        let page = store.range(&cursor, b"h", PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(tombstones) };
        cursor = last.clone();
        for (key, value) in &page {
            let tombstone = read_stream(key).zip(Cursor(value).u64());
            let (stream, applied) = tombstone.ok_or_else(|| IndexError::Damaged(format!("{key:02x?}")))?;
            tombstones.insert(stream, Seq(applied));
        }
    }
}
