//! What was remembered under keys, per segment: a map in memory while the segment is written to, a sorted file
//! with a small filter in front once it is sealed. The filter may say "perhaps" wrongly, never "no".
//!
//! File, version 1, little-endian: header (see [`Facts`]), filter, fences (the upper half of each page's first
//! hash), then pages of [`PAGE_BYTES`], each with up to [`PAGE_ENTRIES`] entries `hash u128 | a u128 | b u64` in
//! order, their number, and a checksum. Filter and fences are in memory, so that a look-up reads one page.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use message::{Seq, Timestamp};

use crate::{
    bytes::{Cursor, overwrite},
    disk::{Engine, EngineError},
    filter::Filter,
    item::Found,
};

/// The file's name in its segment's folder. Its presence is what makes a segment sealed.
pub(crate) const FILE: &str = "lookups";
const VERSION: u8 = 1;
const SHARDS: usize = 64;
const ENTRY_BYTES: usize = 40;
const PAGE_BYTES: usize = 4096;
const PAGE_ENTRIES: usize = 102;
const PAGE_COUNT_AT: usize = PAGE_ENTRIES * ENTRY_BYTES;
const PAGE_CRC_AT: usize = PAGE_BYTES - 4;
/// Version, first, last, least and greatest time, events, block bytes, entries, filter words, checksum.
const HEADER_BYTES: usize = 1 + 8 * 8 + 4;
/// The most entries one look-up file may promise: a damaged header must not exhaust memory.
const ENTRIES_MAX: u64 = 1 << 32;

/// Takes a key as its own hash: keys are uniformly distributed already.
#[derive(Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = low(value) ^ high(value);
    }
}

/// A map whose keys are uniformly distributed already. Its order must never matter.
pub(crate) type UniformMap<K, V> = HashMap<K, V, BuildHasherDefault<Identity>>;

fn low(value: u128) -> u64 {
    value as u64
}

fn high(value: u128) -> u64 {
    low(value >> 64)
}

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

/// The look-ups of a segment that is still written to.
#[derive(Default)]
pub(crate) struct Fresh {
    shards: Shards,
    /// Keys whose events have their numbers.
    expected: AtomicU64,
    /// Keys that are in the map.
    arrived: AtomicU64,
}

struct Shards(Box<[RwLock<Shard>]>);

impl Default for Shards {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| RwLock::default()).collect())
    }
}

impl Fresh {
    /// With room for about so many keys that are read back.
    pub(crate) fn with_room(keys: usize) -> Self {
        let shard =
            || Shard { recovered: Vec::with_capacity(keys / SHARDS), is_sorted: true, ..Shard::default() };
        let shards = Shards((0..SHARDS).map(|_| RwLock::new(shard())).collect());
        Self { shards, ..Self::default() }
    }

    fn shard(&self, hash: u128) -> Option<&RwLock<Shard>> {
        // Not the bits the map inside chooses its places by.
        let shard = usize::try_from(hash >> 122).unwrap_or(0);
        self.shards.0.get(shard)
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
        for shard in &self.shards.0 {
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
        self.shards.0.iter().map(len).sum()
    }

    /// Keeps everyone from the part that a key belongs to.
    #[cfg(test)]
    pub(crate) fn hold(&self, hash: u128) -> impl Drop + '_ {
        self.shard(hash).unwrap().write().unwrap()
    }

    /// All of it, in the order of the hashes, each once.
    fn sorted(&self) -> Vec<(u128, Found)> {
        let mut all: Vec<(u128, Found)> = Vec::with_capacity(self.len());
        for shard in &self.shards.0 {
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

/// What is known of a segment without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// Its first event.
    pub(crate) first: Seq,
    /// Its last event.
    pub(crate) last: Seq,
    /// The earliest time in it.
    pub(crate) from: Timestamp,
    /// The latest time in it.
    pub(crate) to: Timestamp,
    /// Its events.
    pub(crate) events: u64,
    /// Bytes of its blocks.
    pub(crate) block_bytes: u64,
}

/// The look-ups of a sealed segment.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) facts: Facts,
    entries: u64,
    filter: Filter,
    fences: Vec<u64>,
}

impl Sealed {
    /// Writes a segment's look-ups down. From here on it is sealed.
    pub(crate) fn write(
        engine: &dyn Engine,
        name: &str,
        facts: Facts,
        fresh: &Fresh,
    ) -> Result<Self, EngineError> {
        let all = fresh.sorted();
        let mut filter = Filter::for_keys(all.len());
        for (hash, _) in &all {
            filter.insert(*hash);
        }
        let fences = all.chunks(PAGE_ENTRIES).filter_map(|page| page.first()).map(|(hash, _)| high(*hash));
        let sealed = Self { facts, entries: all.len() as u64, filter, fences: fences.collect() };
        let mut bytes = sealed.header();
        for page in all.chunks(PAGE_ENTRIES) {
            let start = bytes.len();
            for (hash, found) in page {
                bytes.extend_from_slice(&hash.to_le_bytes());
                bytes.extend_from_slice(&found.a.to_le_bytes());
                bytes.extend_from_slice(&found.b.to_le_bytes());
            }
            bytes.resize(start + PAGE_BYTES, 0);
            if let Some(written) = bytes.get_mut(start..) {
                overwrite(written, PAGE_COUNT_AT, &(page.len() as u64).to_le_bytes());
                let crc = crc32fast::hash(written.get(..PAGE_CRC_AT).unwrap_or_default());
                overwrite(written, PAGE_CRC_AT, &crc.to_le_bytes());
            }
        }
        engine.write_file(name, FILE, &bytes)?;
        Ok(sealed)
    }

    /// The header, the filter and the fences as bytes.
    fn header(&self) -> Vec<u8> {
        let Facts { first, last, from, to, events, block_bytes } = self.facts;
        let words = self.filter.words().len() as u64;
        let mut bytes = vec![VERSION];
        for field in [first.0, last.0, from.0, to.0, events, block_bytes, self.entries, words] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&[0; 4]);
        for word in self.filter.words().iter().chain(&self.fences) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let crc = Self::header_crc(&bytes);
        overwrite(&mut bytes, HEADER_BYTES - 4, &crc.to_le_bytes());
        bytes
    }

    /// Over everything up to the pages, without the checksum itself.
    fn header_crc(bytes: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(bytes.get(..HEADER_BYTES - 4).unwrap_or_default());
        crc.update(bytes.get(HEADER_BYTES..).unwrap_or_default());
        crc.finalize()
    }

    /// Reads what must be in memory. `None`: the segment is not sealed.
    pub(crate) fn load(engine: &dyn Engine, name: &str) -> Result<Option<Self>, EngineError> {
        let fail = |why: &str| EngineError::new(format!("read {name}/{FILE}"), why);
        let Some(header) = engine.read_file(name, FILE, 0, HEADER_BYTES)? else { return Ok(None) };
        let mut cursor = Cursor(&header);
        if cursor.u8() != Some(VERSION) {
            return Err(fail("its version is unknown"));
        }
        let mut fields = [0_u64; 8];
        for field in &mut fields {
            *field = cursor.u64().ok_or_else(|| fail("its header is cut short"))?;
        }
        let crc = cursor.u32().ok_or_else(|| fail("its header is cut short"))?;
        let [first, last, from, to, events, block_bytes, entries, words] = fields;
        let words = usize::try_from(words)
            .ok()
            .filter(|_| entries <= ENTRIES_MAX)
            .ok_or_else(|| fail("its header is damaged"))?;
        let fences = usize::try_from(entries.div_ceil(PAGE_ENTRIES as u64)).unwrap_or(0);
        let in_memory = words.saturating_add(fences).saturating_mul(8);
        let all = engine.read_file(name, FILE, 0, HEADER_BYTES.saturating_add(in_memory))?;
        let all = all.ok_or_else(|| fail("it vanished"))?;
        if Self::header_crc(&all) != crc {
            return Err(fail("its checksum is wrong; remove the file and it is rebuilt at the next start"));
        }
        let in_memory = all.get(HEADER_BYTES..).unwrap_or_default().as_chunks().0;
        let mut in_memory = in_memory.iter().map(|word| u64::from_le_bytes(*word));
        let filter = Filter::of_words(in_memory.by_ref().take(words).collect());
        let filter = filter.ok_or_else(|| fail("its header is damaged"))?;
        let fences = in_memory.collect();
        let (first, last) = (Seq(first), Seq(last));
        let (from, to) = (Timestamp(from), Timestamp(to));
        let facts = Facts { first, last, from, to, events, block_bytes };
        Ok(Some(Self { facts, entries, filter, fences }))
    }

    pub(crate) fn may_hold(&self, hash: u128) -> bool {
        self.entries > 0 && self.filter.may_hold(hash)
    }

    /// Bytes of what is kept in memory.
    pub(crate) fn filter_bytes(&self) -> usize {
        (self.filter.words().len() + self.fences.len()) * 8
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries
    }

    /// Looks a key up in the file.
    pub(crate) fn find(
        &self,
        engine: &dyn Engine,
        name: &str,
        hash: u128,
    ) -> Result<Option<Found>, EngineError> {
        let mut after = self.fences.partition_point(|fence| *fence <= high(hash));
        // More than once only if two pages begin with the same upper half.
        while let Some(page) = after.checked_sub(1) {
            match self.find_in_page(engine, name, page as u64, hash)? {
                Side::Before => after = page,
                Side::Here(found) => return Ok(found),
                Side::After => return Ok(None),
            }
        }
        Ok(None)
    }

    fn find_in_page(
        &self,
        engine: &dyn Engine,
        name: &str,
        page: u64,
        hash: u128,
    ) -> Result<Side, EngineError> {
        let fail = || EngineError::new(format!("read {name}/{FILE}"), format!("page {page} is damaged"));
        let start = (HEADER_BYTES + self.filter_bytes()) as u64;
        let bytes = engine.read_file(name, FILE, start + page * PAGE_BYTES as u64, PAGE_BYTES)?;
        let bytes = bytes.filter(|b| b.len() == PAGE_BYTES).ok_or_else(fail)?;
        let (content, crc) = bytes.split_at_checked(PAGE_CRC_AT).ok_or_else(fail)?;
        if crc != crc32fast::hash(content).to_le_bytes() {
            return Err(fail());
        }
        let (entries, rest) = content.split_at_checked(PAGE_COUNT_AT).ok_or_else(fail)?;
        let count = Cursor(rest).u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(fail)?;
        let entries = entries.as_chunks::<ENTRY_BYTES>().0.get(..count).ok_or_else(fail)?;
        let key = |entry: &[u8; ENTRY_BYTES]| Cursor(entry).u128().unwrap_or(0);
        let side = match (entries.first(), entries.last()) {
            (Some(first), _) if hash < key(first) => Side::Before,
            (_, Some(last)) if hash > key(last) => Side::After,
            _ => {
                let at = entries.binary_search_by_key(&hash, key).ok();
                Side::Here(at.and_then(|at| entries.get(at)).and_then(|entry| {
                    let mut cursor = Cursor(entry);
                    cursor.u128()?;
                    Some(Found { a: cursor.u128()?, b: cursor.u64()? })
                }))
            }
        };
        Ok(side)
    }
}

enum Side {
    Before,
    Here(Option<Found>),
    After,
}
