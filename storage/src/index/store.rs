//! The write-behind index: derived state of what is open, one entry per stream, as a delta in memory over a
//! database. It is never the only place where a fact is kept, and never written ahead of the log.
//!
//! Keys: `e` stream (the entry), `d` due stream (nothing), `g` stream (removed, see `checkpoint.rs`), `m` name.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use message::{Seq, StreamId, Timestamp};

use crate::{
    bytes::Cursor,
    disk::seam::{Engine, Layout, Store},
    error::IndexError,
    hash::UniformMap,
    index::checkpoint::MOVED_MAX,
    index::delta::{Before, Delta, Moving, Slot, Waiting},
};

/// The name of its database.
pub(crate) const NAME: &str = "index";
/// Keys read from the database in one go.
const PAGE: usize = 256;
const ENTRY_VERSION: u8 = 1;

pub(crate) const META_CHECKPOINT: &[u8] = b"mcheckpoint";
pub(crate) const META_ENTRIES: &[u8] = b"mentries";

/// The state of one open stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The last event that is in it.
    pub applied: Seq,
    /// When something is to be done about it.
    pub due: Option<Timestamp>,
    /// Its state, opaque here.
    pub bytes: Box<[u8]>,
}

impl Entry {
    pub(crate) fn encode(&self) -> Box<[u8]> {
        let mut to = Vec::with_capacity(18 + self.bytes.len());
        to.push(ENTRY_VERSION);
        to.extend_from_slice(&self.applied.0.to_le_bytes());
        to.push(u8::from(self.due.is_some()));
        to.extend_from_slice(&self.due.unwrap_or_default().0.to_le_bytes());
        to.extend_from_slice(&self.bytes);
        to.into()
    }

    pub(crate) fn decode(stream: StreamId, bytes: &[u8]) -> Result<Self, IndexError> {
        let read = || {
            let mut cursor = Cursor(bytes);
            let known = cursor.u8()? == ENTRY_VERSION;
            let applied = Seq(cursor.u64()?);
            let (has_due, due) = (cursor.u8()?, Timestamp(cursor.u64()?));
            known.then(|| Self { applied, due: (has_due == 1).then_some(due), bytes: cursor.0.into() })
        };
        read().ok_or_else(|| IndexError::Damaged(stream.to_string()))
    }
}

/// What is in memory: the delta that changes, and the one that a checkpoint is moving to the database.
#[derive(Default)]
pub(crate) struct Layers {
    pub(crate) live: Delta,
    pub(crate) frozen: Option<Arc<Delta>>,
    /// Streams that a checkpoint had begun to remove when the process ended.
    pub(crate) graves: UniformMap<StreamId, Seq>,
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

/// The index. See the module.
pub struct Index {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) layers: RwLock<Layers>,
    /// Held while a checkpoint runs.
    pub(crate) checkpointing: Mutex<()>,
    pub(crate) checkpoint: AtomicU64,
    pub(crate) stored: AtomicU64,
    /// Within a checkpoint, now and then.
    pub(crate) pause: Duration,
    pub(crate) moving: Moving,
}

impl Index {
    /// Opens the index of an engine.
    pub(crate) fn open(engine: &dyn Engine, pause: Duration) -> Result<Self, IndexError> {
        let store = engine.open(NAME, Layout::Random)?;
        let number = |key: &[u8]| -> Result<u64, IndexError> {
            let Some(value) = store.get(key)? else { return Ok(0) };
            let damaged = || IndexError::Damaged(String::from_utf8_lossy(key).into_owned());
            Cursor(&value).u64().ok_or_else(damaged)
        };
        let (checkpoint, stored) = (number(META_CHECKPOINT)?, number(META_ENTRIES)?);
        let graves = read_graves(&*store)?;
        Ok(Self {
            store,
            layers: RwLock::new(Layers { graves, ..Layers::default() }),
            checkpointing: Mutex::default(),
            checkpoint: AtomicU64::new(checkpoint),
            stored: AtomicU64::new(stored),
            pause,
            moving: Moving::default(),
        })
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry of a stream, if it is open.
    pub fn get(&self, stream: StreamId) -> Result<Option<Entry>, IndexError> {
        if let Some(slot) = self.read().slot(stream) {
            return Ok(match slot {
                Slot::Put(entry) => Some(entry.clone()),
                Slot::Removed(_) => None,
            });
        }
        self.stored(stream)
    }

    /// The last event of a stream that the index has seen, also when the stream was removed since the last
    /// checkpoint; [`Seq::NONE`] when it knows none. Replay skips everything up to it.
    pub fn applied(&self, stream: StreamId) -> Result<Seq, IndexError> {
        let grave = {
            let layers = self.read();
            if let Some(slot) = layers.slot(stream) {
                return Ok(slot.applied());
            }
            layers.graves.get(&stream).copied().unwrap_or_default()
        };
        Ok(self.stored(stream)?.map_or(grave, |entry| entry.applied.max(grave)))
    }

    /// [`Index::get`], or [`Index::applied`] when the stream is not open, with one look.
    pub fn get_or_applied(&self, stream: StreamId) -> Result<Result<Entry, Seq>, IndexError> {
        let grave = {
            let layers = self.read();
            match layers.slot(stream) {
                Some(Slot::Put(entry)) => return Ok(Ok(entry.clone())),
                Some(Slot::Removed(applied)) => return Ok(Err(*applied)),
                None => layers.graves.get(&stream).copied().unwrap_or_default(),
            }
        };
        Ok(self.stored(stream)?.ok_or(grave))
    }

    pub(crate) fn stored(&self, stream: StreamId) -> Result<Option<Entry>, IndexError> {
        let value = self.store.get(&entry_key(stream))?;
        value.map(|bytes| Entry::decode(stream, &bytes)).transpose()
    }

    /// Sets a stream's entry, in memory.
    pub fn put(&self, stream: StreamId, entry: Entry) {
        self.put_over(stream, entry, Before::Unknown);
    }

    /// The same by whoever alone changes the stream's entry and knows the one before: what [`Index::get`] gave, or was put last.
    pub fn put_over(&self, stream: StreamId, entry: Entry, before: Before) {
        self.set(stream, Slot::Put(entry), before);
    }

    /// Removes a stream's entry, in memory: it is finished. `applied` is its last event.
    pub fn remove(&self, stream: StreamId, applied: Seq) {
        self.remove_over(stream, applied, Before::Unknown);
    }

    /// The same as [`Index::put_over`].
    pub fn remove_over(&self, stream: StreamId, applied: Seq, before: Before) {
        self.set(stream, Slot::Removed(applied), before);
    }

    fn set(&self, stream: StreamId, slot: Slot, before: Before) {
        let mut layers = self.change();
        layers.live.set(stream, slot, before);
        self.moving.live_bytes.store(layers.live.bytes, Ordering::Release);
    }

    /// Up to `limit` streams that are due at `until` or before, in order of their instants, after `after`.
    pub fn due(
        &self,
        until: Timestamp,
        after: Option<(Timestamp, StreamId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, StreamId)>, IndexError> {
        // Held throughout: a checkpoint neither begins nor ends between the three sources.
        let layers = self.read();
        let is_wanted = |due: &(Timestamp, StreamId)| after.is_none_or(|after| *due > after);
        let from = after.unwrap_or_default_due();
        let end = (until, StreamId(u128::MAX));
        if from > end {
            return Ok(Vec::new());
        }
        let mut all: Vec<_> =
            layers.live.due.range(from..=end).filter(|due| is_wanted(due)).take(limit).copied().collect();
        if let Some(frozen) = &layers.frozen {
            let visible = frozen.due.range(from..=end).filter(|due| is_wanted(due));
            all.extend(visible.filter(|due| !layers.live.slots.contains_key(&due.1)).take(limit));
        }
        let mut cursor: Box<[u8]> = match after {
            Some((at, stream)) => due_key(at, stream),
            None => Box::from(*b"d"),
        };
        let past = due_end(until);
        let mut found = 0;
        while found < limit {
            let page = self.store.range(&cursor, &past, PAGE.min(limit))?;
            let Some((last, _)) = page.last() else { break };
            cursor = last.clone();
            for (key, _) in &page {
                let due = read_due(key).ok_or_else(|| IndexError::Damaged(format!("{key:02x?}")))?;
                if layers.slot(due.1).is_none() {
                    all.push(due);
                    found += 1;
                }
            }
        }
        all.sort_unstable();
        all.truncate(limit);
        Ok(all)
    }

    /// Up to `limit` entries after `after`, in order of their streams.
    pub fn scan(&self, after: Option<StreamId>, limit: usize) -> Result<Vec<(StreamId, Entry)>, IndexError> {
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
        let mut all: Vec<(StreamId, Entry)> =
            near.into_iter().map(|(stream, entry)| (*stream, entry.clone())).collect();
        let mut cursor = after.map_or(Box::from(*b"e"), entry_key);
        let mut found = 0;
        while found < limit {
            let page = self.store.range(&cursor, b"f", PAGE.min(limit))?;
            let Some((last, _)) = page.last() else { break };
            cursor = last.clone();
            for (key, value) in &page {
                let stream = read_stream(key).ok_or_else(|| IndexError::Damaged(format!("{key:02x?}")))?;
                if layers.slot(stream).is_none() {
                    all.push((stream, Entry::decode(stream, value)?));
                    found += 1;
                }
            }
        }
        all.sort_unstable_by_key(|(stream, _)| *stream);
        all.truncate(limit);
        Ok(all)
    }

    /// Every event up to this one is in the database. Replay begins after it.
    pub fn checkpoint_seq(&self) -> Seq {
        Seq(self.checkpoint.load(Ordering::Acquire))
    }

    /// Entries in the database, as of the last checkpoint.
    pub fn len(&self) -> u64 {
        self.stored.load(Ordering::Acquire)
    }

    /// Whether there is no entry in the database.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Streams changed since the last checkpoint.
    pub fn delta_len(&self) -> usize {
        let layers = self.read();
        layers.live.slots.len() + layers.frozen.as_ref().map_or(0, |frozen| frozen.slots.len())
    }

    /// What waits in memory for the database. Takes no lock.
    pub fn delta(&self) -> Waiting {
        let moved = self.moving.moved.load(Ordering::Acquire).min(MOVED_MAX);
        Waiting {
            live_bytes: self.moving.live_bytes.load(Ordering::Acquire),
            frozen_bytes: self.moving.frozen_bytes.load(Ordering::Acquire),
            moved: moved as f64 / MOVED_MAX as f64,
            moving_to: Seq(self.moving.to.load(Ordering::Acquire)),
        }
    }
}

/// Where an ordered look at what is due begins.
trait FromStart {
    fn unwrap_or_default_due(self) -> (Timestamp, StreamId);
}

impl FromStart for Option<(Timestamp, StreamId)> {
    fn unwrap_or_default_due(self) -> (Timestamp, StreamId) {
        self.unwrap_or((Timestamp(0), StreamId(0)))
    }
}

fn read_graves(store: &dyn Store) -> Result<UniformMap<StreamId, Seq>, IndexError> {
    let mut graves = UniformMap::default();
    let mut cursor: Box<[u8]> = Box::from(*b"g");
    loop {
        let page = store.range(&cursor, b"h", PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(graves) };
        cursor = last.clone();
        for (key, value) in &page {
            let grave = read_stream(key).zip(Cursor(value).u64());
            let (stream, applied) = grave.ok_or_else(|| IndexError::Damaged(format!("{key:02x?}")))?;
            graves.insert(stream, Seq(applied));
        }
    }
}

fn stream_key(kind: u8, stream: StreamId) -> Box<[u8]> {
    let mut key = Vec::with_capacity(17);
    key.push(kind);
    key.extend_from_slice(&stream.0.to_be_bytes());
    key.into()
}

pub(crate) fn entry_key(stream: StreamId) -> Box<[u8]> {
    stream_key(b'e', stream)
}

pub(crate) fn grave_key(stream: StreamId) -> Box<[u8]> {
    stream_key(b'g', stream)
}

pub(crate) fn due_key(at: Timestamp, stream: StreamId) -> Box<[u8]> {
    let mut key = Vec::with_capacity(25);
    key.push(b'd');
    key.extend_from_slice(&at.0.to_be_bytes());
    key.extend_from_slice(&stream.0.to_be_bytes());
    key.into()
}

/// Above every key that is due at `until`.
fn due_end(until: Timestamp) -> Box<[u8]> {
    match until.0.checked_add(1) {
        Some(next) => due_key(Timestamp(next), StreamId(0)),
        None => Box::from(*b"e"),
    }
}

fn read_stream(key: &[u8]) -> Option<StreamId> {
    let mut cursor = Cursor(key);
    cursor.u8()?;
    cursor.array().map(|bytes| StreamId(u128::from_be_bytes(bytes)))
}

fn read_due(key: &[u8]) -> Option<(Timestamp, StreamId)> {
    let mut cursor = Cursor(key);
    cursor.u8()?;
    let at = Timestamp(cursor.array().map(u64::from_be_bytes)?);
    Some((at, StreamId(cursor.array().map(u128::from_be_bytes)?)))
}
