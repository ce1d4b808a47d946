//! The keys of events whose part of a segment is not on the disk as a look-up file: a map in
//! memory, sharded. Of equal keys the newest must win.

use std::sync::{
    Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

use hashbrown::HashTable;
use message::{Seq, Timestamp};

use crate::{
    hash::{high, low},
    item::Found,
    lookup::facts::Facts,
};

const SHARDS: usize = 64;
/// Keys that get their memory at once. Keys never move, so growth copies none of them.
const CHUNK_KEYS: usize = 128;

/// A key that was appended since the start, with its value and the number of its event.
#[derive(Clone, Copy)]
struct Appended {
    hash: u128,
    found: Found,
    seq: u64,
}

/// Keys in the order in which they came.
#[derive(Default)]
struct AppendedKeys {
    chunks: Vec<Vec<Appended>>,
}

impl AppendedKeys {
    fn get(&self, at: u32) -> Option<&Appended> {
        self.chunks.get(at as usize / CHUNK_KEYS)?.get(at as usize % CHUNK_KEYS)
    }

    fn get_mut(&mut self, at: u32) -> Option<&mut Appended> {
        self.chunks.get_mut(at as usize / CHUNK_KEYS)?.get_mut(at as usize % CHUNK_KEYS)
    }

    fn len(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1) * CHUNK_KEYS;
        full + self.chunks.last().map_or(0, Vec::len)
    }

    /// Adds a key and returns its position.
    fn push(&mut self, key: Appended) -> u32 {
        let at = self.len() as u32;
        match self.chunks.last_mut().filter(|last| last.len() < CHUNK_KEYS) {
            Some(last) => last.push(key),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK_KEYS);
                chunk.push(key);
                self.chunks.push(chunk);
            }
        }
        at
    }

    fn iter(&self) -> impl Iterator<Item = &Appended> {
        self.chunks.iter().flatten()
    }
}

/// A key that a start read back from the blocks. It is smaller than an appended one, and needs no
/// position: it is found by a binary search.
#[derive(Clone, Copy)]
struct Recovered {
    hash: [u64; 2],
    a: [u64; 2],
    b: u64,
}

impl Recovered {
    fn hash(&self) -> u128 {
        join(self.hash)
    }

    fn found(&self) -> Found {
        Found { a: join(self.a), b: self.b }
    }
}

fn halves(value: u128) -> [u64; 2] {
    [high(value), low(value)]
}

fn join([high, low]: [u64; 2]) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// The keys with the same top bits.
#[derive(Default)]
struct Shard {
    /// Appended since the start.
    appended: AppendedKeys,
    /// Positions of the appended keys, by their hashes. Apart from the keys, they stay in the
    /// processor's cache.
    positions: HashTable<u32>,
    /// Read back at the start: in the order of the events until the first look-up sorts them.
    recovered: Vec<Recovered>,
    is_sorted: bool,
}

/// The bits of a key by which its position is found.
fn position_hash(hash: u128) -> u64 {
    low(hash) ^ high(hash)
}

impl Shard {
    /// Inserts a key, or replaces its value by that of a later event.
    fn append(&mut self, key: Appended) {
        let Self { appended, positions, .. } = self;
        let is_same = |at: &u32| appended.get(*at).is_some_and(|known| known.hash == key.hash);
        if let Some(at) = positions.find(position_hash(key.hash), is_same) {
            if let Some(known) = appended.get_mut(*at).filter(|known| known.seq <= key.seq) {
                *known = key;
            }
            return;
        }
        let at = appended.push(key);
        let hash_of = |at: &u32| appended.get(*at).map_or(0, |known| position_hash(known.hash));
        positions.insert_unique(position_hash(key.hash), at, hash_of);
    }

    /// Finds the value of an appended key.
    fn appended(&self, hash: u128) -> Option<Found> {
        let is_same = |at: &u32| self.appended.get(*at).is_some_and(|known| known.hash == hash);
        let at = self.positions.find(position_hash(hash), is_same)?;
        Some(self.appended.get(*at)?.found)
    }

    fn sort(&mut self) {
        if !self.is_sorted {
            // Of equal keys the newest stays last, since the sort is stable.
            self.recovered.sort_by_key(Recovered::hash);
            self.is_sorted = true;
        }
    }

    /// Finds the newest recovered value of a key. The shard must be sorted.
    fn recovered(&self, hash: u128) -> Option<Found> {
        let after = self.recovered.partition_point(|recovered| recovered.hash() <= hash);
        let newest = self.recovered.get(after.checked_sub(1)?)?;
        (newest.hash() == hash).then(|| newest.found())
    }
}

/// The keys of a part of a segment, from its first event to the first of the part behind it.
pub(crate) struct MemTable {
    pub(crate) first: Seq,
    facts: Mutex<Facts>,
    shards: Box<[RwLock<Shard>]>,
    /// Keys whose events have their numbers.
    expected: AtomicU64,
    /// Keys that are in the table.
    arrived: AtomicU64,
}

fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

impl MemTable {
    pub(crate) fn new(first: Seq) -> Self {
        Self::with_capacity(first, 0)
    }

    /// Reserves memory for about `keys` keys that are read back.
    pub(crate) fn with_capacity(first: Seq, keys: usize) -> Self {
        let shard =
            || Shard { recovered: Vec::with_capacity(keys / SHARDS), is_sorted: true, ..Shard::default() };
        Self {
            first,
            facts: Mutex::new(Facts::empty(first)),
            shards: (0..SHARDS).map(|_| RwLock::new(shard())).collect(),
            expected: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
        }
    }

    /// Facts about the blocks added so far.
    pub(crate) fn facts(&self) -> Facts {
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the facts about a block whose last event comes before `end`.
    pub(crate) fn add_block(&self, end: Seq, bytes: usize, from: Timestamp, to: Timestamp) {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let last = Seq(end.0.saturating_sub(1));
        let events = end.0.saturating_sub(facts.last.0).saturating_sub(1);
        invariant!(events > 0, "a block that ends before {end} follows {}", facts.last);
        let (first, block_bytes) = (self.first, bytes as u64);
        *facts = facts.join(Facts { first, last, from, to, events, block_bytes, file_bytes: 0 });
    }

    fn shard(&self, hash: u128) -> Option<&RwLock<Shard>> {
        // Not the bits by which the map inside chooses its slots.
        let shard = usize::try_from(hash >> 122).unwrap_or(0);
        self.shards.get(shard)
    }

    /// Announces keys whose events were just numbered, before they are inserted.
    pub(crate) fn expect(&self, keys: u64) {
        self.expected.fetch_add(keys, Ordering::AcqRel);
    }

    /// Whether every announced key is in the table.
    pub(crate) fn is_complete(&self) -> bool {
        self.arrived.load(Ordering::Acquire) == self.expected.load(Ordering::Acquire)
    }

    /// Inserts a key of the event `seq`. Appends may come in any order: the greatest number wins.
    pub(crate) fn insert(&self, hash: u128, found: Found, seq: Seq) {
        invariant!(self.first <= seq, "a key of {seq} comes into the part from {}", self.first);
        if let Some(shard) = self.shard(hash) {
            write(shard).append(Appended { hash, found, seq: seq.0 });
        }
        let arrived = self.arrived.fetch_add(1, Ordering::AcqRel) + 1;
        let expected = self.expected.load(Ordering::Acquire);
        invariant!(arrived <= expected, "{arrived} keys of {expected} announced");
    }

    /// Inserts a key that was read back from the blocks: in the order of the events, before
    /// anything else is inserted.
    pub(crate) fn recover(&self, hash: u128, found: Found) {
        if let Some(shard) = self.shard(hash) {
            let mut shard = write(shard);
            shard.recovered.push(Recovered { hash: halves(hash), a: halves(found.a), b: found.b });
            shard.is_sorted = false;
        }
    }

    /// Sorts the recovered keys, so that the first look-ups need not.
    pub(crate) fn sort(&self) {
        self.shards.iter().for_each(|shard| write(shard).sort());
    }

    pub(crate) fn find(&self, hash: u128) -> Option<Found> {
        let shard = self.shard(hash)?;
        {
            let shard = read(shard);
            if let Some(found) = shard.appended(hash) {
                return Some(found);
            }
            if shard.is_sorted || shard.recovered.is_empty() {
                return shard.recovered(hash);
            }
        }
        let mut shard = write(shard);
        shard.sort();
        shard.appended(hash).or_else(|| shard.recovered(hash))
    }

    /// The number of keys; a key that was read back several times counts each time.
    pub(crate) fn len(&self) -> usize {
        let len = |shard: &RwLock<Shard>| {
            let shard = read(shard);
            shard.appended.len() + shard.recovered.len()
        };
        self.shards.iter().map(len).sum()
    }

    /// Blocks everyone from the shard of a key.
    #[cfg(test)]
    pub(crate) fn hold(&self, hash: u128) -> impl Drop + '_ {
        self.shard(hash).unwrap().write().unwrap()
    }

    /// Returns all keys in rising order, each once. Waits until every announced key is in the
    /// table.
    pub(crate) fn sorted(&self) -> Vec<(u128, Found)> {
        while !self.is_complete() {
            // An append has its numbers and is about to insert its keys.
            std::thread::yield_now();
        }
        let mut all: Vec<(u128, Found)> = Vec::with_capacity(self.len());
        for shard in &self.shards {
            let start = all.len();
            let shard = read(shard);
            all.extend(shard.recovered.iter().map(|recovered| (recovered.hash(), recovered.found())));
            all.extend(shard.appended.iter().map(|key| (key.hash, key.found)));
            // Shards are cut by the top bits, so sorting each sorts all. Of equal keys the newest
            // stays last.
            if let Some(part) = all.get_mut(start..) {
                part.sort_by_key(|(hash, _)| *hash);
            }
        }
        // The later of two equal keys is removed, so the newer value moves to the front first.
        all.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                earlier.1 = later.1;
            }
            is_same
        });
        all
    }
}
