//! What was remembered under keys of events that were not sealed yet: maps in memory, one for each part of a segment
//! that is still written to. Of equal keys the newest must win.

use std::sync::{
    Mutex, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use message::{Seq, Timestamp};

use crate::{
    hash::{UniformMap, high, low},
    item::Found,
    lookup::file::Facts,
};

const SHARDS: usize = 64;

#[derive(Clone, Copy)]
struct Slot {
    found: Found,
    seq: u64,
}

/// A key that a start read back from the blocks: less than two thirds of a place in the map, of which a third is empty.
#[derive(Clone, Copy)]
struct Recovered {
    hash: [u64; 2],
    a: [u64; 2],
    b: u64,
}

impl Recovered {
    fn hash(&self) -> u128 {
        whole(self.hash)
    }

    fn found(&self) -> Found {
        Found { a: whole(self.a), b: self.b }
    }
}

fn halves(value: u128) -> [u64; 2] {
    [high(value), low(value)]
}

fn whole([high, low]: [u64; 2]) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// A part of the look-ups, by the top bits of the hash.
#[derive(Default)]
struct Shard {
    /// Since the start.
    map: UniformMap<u128, Slot>,
    /// From before: appended in the order of the events, sorted when it is first asked.
    recovered: Vec<Recovered>,
    is_sorted: bool,
}

impl Shard {
    fn sort(&mut self) {
        if !self.is_sorted {
            // Stable: of equal keys the newest stays last.
            self.recovered.sort_by_key(Recovered::hash);
            self.is_sorted = true;
        }
    }

    /// Only when sorted.
    fn recovered(&self, hash: u128) -> Option<Found> {
        let after = self.recovered.partition_point(|recovered| recovered.hash() <= hash);
        let newest = self.recovered.get(after.checked_sub(1)?)?;
        (newest.hash() == hash).then(|| newest.found())
    }
}

/// The look-ups of a part of a segment: from its first event to the first one of the part after it.
pub(crate) struct Fresh {
    pub(crate) first: Seq,
    facts: Mutex<Facts>,
    shards: Box<[RwLock<Shard>]>,
    /// Keys whose events have their numbers.
    expected: AtomicU64,
    /// Keys that are in the map.
    arrived: AtomicU64,
}

impl Fresh {
    pub(crate) fn new(first: Seq) -> Self {
        Self::with_room(first, 0)
    }

    /// With room for about so many keys that are read back.
    pub(crate) fn with_room(first: Seq, keys: usize) -> Self {
        let shard =
            || Shard { recovered: Vec::with_capacity(keys / SHARDS), is_sorted: true, ..Shard::default() };
        Self {
            first,
            facts: Mutex::new(Facts::none(first)),
            shards: (0..SHARDS).map(|_| RwLock::new(shard())).collect(),
            expected: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
        }
    }

    /// Of the blocks counted in so far.
    pub(crate) fn facts(&self) -> Facts {
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a block in.
    pub(crate) fn note(&self, end: Seq, bytes: usize, from: Timestamp, to: Timestamp) {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let last = Seq(end.0.saturating_sub(1));
        let events = end.0.saturating_sub(facts.last.0).saturating_sub(1);
        let block = Facts { first: self.first, last, from, to, events, block_bytes: bytes as u64 };
        *facts = facts.join(block);
    }

    fn shard(&self, hash: u128) -> Option<&RwLock<Shard>> {
        // Not the bits the map inside chooses its places by.
        let shard = usize::try_from(hash >> 122).unwrap_or(0);
        self.shards.get(shard)
    }

    /// Announces keys whose events were just numbered, before they are inserted.
    pub(crate) fn expect(&self, keys: u64) {
        self.expected.fetch_add(keys, Ordering::AcqRel);
    }

    /// Whether every announced key is in the map.
    pub(crate) fn is_complete(&self) -> bool {
        self.arrived.load(Ordering::Acquire) == self.expected.load(Ordering::Acquire)
    }

    /// Remembers a key of the event `seq`. Appends may come in any order: the greatest number wins.
    pub(crate) fn insert(&self, hash: u128, found: Found, seq: Seq) {
        if let Some(shard) = self.shard(hash) {
            let map = &mut shard.write().unwrap_or_else(PoisonError::into_inner).map;
            let slot = map.entry(hash).or_insert(Slot { found, seq: seq.0 });
            if slot.seq <= seq.0 {
                *slot = Slot { found, seq: seq.0 };
            }
        }
        self.arrived.fetch_add(1, Ordering::AcqRel);
    }

    /// Remembers a key that lies in the blocks already. In the order of the events, before anything is inserted.
    pub(crate) fn recover(&self, hash: u128, found: Found) {
        if let Some(shard) = self.shard(hash) {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.recovered.push(Recovered { hash: halves(hash), a: halves(found.a), b: found.b });
            shard.is_sorted = false;
        }
    }

    /// Does now what the first look-ups would wait for.
    pub(crate) fn sort(&self) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).sort();
        }
    }

    pub(crate) fn find(&self, hash: u128) -> Option<Found> {
        let shard = self.shard(hash)?;
        {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(slot) = shard.map.get(&hash) {
                return Some(slot.found);
            }
            if shard.is_sorted || shard.recovered.is_empty() {
                return shard.recovered(hash);
            }
        }
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        shard.sort();
        shard.map.get(&hash).map(|slot| slot.found).or_else(|| shard.recovered(hash))
    }

    pub(crate) fn len(&self) -> usize {
        let len = |shard: &RwLock<Shard>| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.map.len() + shard.recovered.len()
        };
        self.shards.iter().map(len).sum()
    }

    /// Keeps everyone from the part that a key belongs to.
    #[cfg(test)]
    pub(crate) fn hold(&self, hash: u128) -> impl Drop + '_ {
        self.shard(hash).unwrap().write().unwrap()
    }

    /// All of it, in the order of the hashes, each once.
    pub(crate) fn sorted(&self) -> Vec<(u128, Found)> {
        let mut all: Vec<(u128, Found)> = Vec::with_capacity(self.len());
        for shard in &self.shards {
            let start = all.len();
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.recovered.iter().map(|recovered| (recovered.hash(), recovered.found())));
            all.extend(shard.map.iter().map(|(hash, slot)| (*hash, slot.found)));
            // Shards are cut by the top bits, so sorting each sorts all. Of equal keys the newest stays last.
            if let Some(part) = all.get_mut(start..) {
                part.sort_by_key(|(hash, _)| *hash);
            }
        }
        // The later of two goes, so the newer moves to the front first.
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
