//! An engine in memory whose disk can crash: unflushed writes are lost, kept or torn, and flushes
//! fail, as a test asks. It must be as bad as a real disk at its worst.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use message::Seq;

use crate::{
    disk::seam::{BlockStore, Engine, KeyValueStore, NextPart, Pair, Reader, Value, Write},
    error::EngineError,
};

/// Free bytes of a disk without a limit.
const FREE_BYTES_DEFAULT: u64 = 1 << 40;

/// The effect of a crash on unflushed writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// All of them are lost.
    Lose,
    /// Each database keeps this many of its first writes and loses the rest.
    Keep(usize),
    /// Each database keeps this many of its first writes. The next keeps its key and half of its
    /// value, unless it is an atomic batch.
    Tear(usize),
}

impl Crash {
    /// Returns a crash drawn from a seed.
    pub fn from_seed(seed: u64) -> Self {
        let kept = usize::try_from((seed >> 8) % 4).unwrap_or(0);
        match seed % 3 {
            0 => Self::Lose,
            1 => Self::Keep(kept),
            _ => Self::Tear(kept),
        }
    }
}

/// Calls that fail, as a test asks.
#[derive(Debug, Clone, Copy)]
struct FailingCalls {
    /// The first and the last of them, by the number of calls so far.
    first: u64,
    last: u64,
    reason: &'static str,
}

/// Damage to a file, as a test asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileDamage {
    /// A bit is flipped; the file's length bounds its number.
    Flip(u64),
    /// Only the first half is left.
    Cut,
    /// The file is removed.
    Remove,
}

/// A disk that outlives the engines on it. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Disk>>);

#[derive(Default)]
struct Disk {
    /// Grows with each crash; engines of an earlier life fail.
    life: u64,
    databases: BTreeMap<String, Database>,
    flushes: u64,
    failing_flush: Option<u64>,
    calls: u64,
    failing_calls: Option<FailingCalls>,
    /// The call to read a file that returns a wrong bit, or too few bytes.
    faulty_read: Option<(u64, FileDamage)>,
    free_bytes: Option<u64>,
}

#[derive(Default)]
struct Database {
    flushed: BTreeMap<Box<[u8]>, Value>,
    /// Flushed and unflushed writes together.
    visible: BTreeMap<Box<[u8]>, Value>,
    unflushed: Vec<Unflushed>,
    files: BTreeMap<String, Value>,
}

/// Writes that are not flushed.
struct Unflushed {
    writes: Vec<Write>,
    /// A crash takes all of them or none.
    is_atomic: bool,
}

impl MemoryDisk {
    /// Returns an empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an engine on this disk.
    pub fn engine(&self) -> MemoryEngine {
        MemoryEngine { life: self.lock().life, disk: self.clone() }
    }

    /// Crashes the disk. Engines opened before fail from now on; [`MemoryDisk::engine`] gives a new
    /// one.
    pub fn crash(&self, how: Crash) {
        let mut disk = self.lock();
        disk.life += 1;
        disk.failing_flush = None;
        disk.failing_calls = None;
        disk.faulty_read = None;
        for database in disk.databases.values_mut() {
            database.crash(how);
        }
    }

    /// Makes every flush after the next `flushes` fail without flushing anything.
    pub fn fail_flush_after(&self, flushes: u64) {
        let mut disk = self.lock();
        disk.failing_flush = Some(disk.flushes.saturating_add(flushes));
    }

    /// Makes `count` calls after the next `calls` fail with the system's answer `reason`. Every
    /// call of the engine and of what it opened counts.
    pub fn fail_calls_after(&self, calls: u64, count: u64, reason: &'static str) {
        let mut disk = self.lock();
        let first = disk.calls.saturating_add(calls);
        disk.failing_calls = Some(FailingCalls { first, last: first.saturating_add(count), reason });
    }

    /// Makes one read of a file after the next `calls` calls return a wrong bit or too few bytes.
    pub fn fault_read_after(&self, calls: u64, damage: FileDamage) {
        let mut disk = self.lock();
        disk.faulty_read = Some((disk.calls.saturating_add(calls), damage));
    }

    /// Returns all files beside the blocks, with their folders.
    pub fn files(&self) -> Vec<(String, String)> {
        let disk = self.lock();
        let of = |(name, database): (&String, &Database)| {
            database.files.keys().map(|file| (name.clone(), file.clone())).collect::<Vec<_>>()
        };
        disk.databases.iter().flat_map(of).collect()
    }

    /// Damages a file. Returns false if it does not exist, or is empty.
    pub fn damage_file(&self, name: &str, file: &str, damage: FileDamage) -> bool {
        let mut disk = self.lock();
        let Some(database) = disk.databases.get_mut(name) else { return false };
        let Some(value) = database.files.get(file).filter(|value| !value.is_empty()) else { return false };
        match damaged(value, damage) {
            Some(bytes) => _ = database.files.insert(file.to_owned(), bytes.into()),
            None => _ = database.files.remove(file),
        }
        true
    }

    /// Overrides how much space the disk claims to have left.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.lock().free_bytes = Some(bytes);
    }

    /// Flips the lowest bit of a byte of a flushed value. Returns false if the byte does not exist.
    pub fn flip(&self, name: &str, key: &[u8], at: usize) -> bool {
        let mut disk = self.lock();
        let Some(database) = disk.databases.get_mut(name) else { return false };
        let Some(value) = database.flushed.get(key) else { return false };
        let mut bytes = value.to_vec();
        let Some(byte) = bytes.get_mut(at) else { return false };
        *byte ^= 1;
        let value: Value = bytes.into();
        database.flushed.insert(key.into(), value.clone());
        database.visible.insert(key.into(), value);
        true
    }

    /// Returns the number of flushes so far.
    pub fn flushes(&self) -> u64 {
        self.lock().flushes
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self, life: u64) -> Result<MutexGuard<'_, Disk>, EngineError> {
        let mut disk = self.lock();
        if disk.life != life {
            return Err(EngineError::new("use the disk", "it crashed"));
        }
        disk.calls += 1;
        match disk.failing_calls {
            Some(failing) if (failing.first..failing.last).contains(&disk.calls) => {
                Err(EngineError::new("use the disk", failing.reason))
            }
            _ => Ok(disk),
        }
    }
}

/// Returns the bytes that damage leaves; `None` if it leaves no file.
fn damaged(value: &[u8], damage: FileDamage) -> Option<Vec<u8>> {
    let mut bytes = value.to_vec();
    match damage {
        FileDamage::Flip(bit) => {
            let bit = bit % (bytes.len() as u64 * 8).max(1);
            if let Some(byte) = usize::try_from(bit / 8).ok().and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1 << (bit % 8);
            }
        }
        FileDamage::Cut => bytes.truncate(bytes.len() / 2),
        FileDamage::Remove => return None,
    }
    Some(bytes)
}

impl Database {
    fn crash(&mut self, how: Crash) {
        let (kept, torn) = match how {
            Crash::Lose => (0, false),
            Crash::Keep(kept) => (kept, false),
            Crash::Tear(kept) => (kept, true),
        };
        let mut unflushed = std::mem::take(&mut self.unflushed).into_iter();
        for kept in unflushed.by_ref().take(kept) {
            write(&mut self.flushed, kept.writes);
        }
        if torn
            && let Some(Unflushed { writes, is_atomic: false }) = unflushed.next()
            && let [Write::Put(key, value)] = writes.as_slice()
        {
            let half: Value = value.iter().take(value.len() / 2).copied().collect();
            self.flushed.insert(key.clone(), half);
        }
        self.visible = self.flushed.clone();
    }
}

fn write(map: &mut BTreeMap<Box<[u8]>, Value>, writes: Vec<Write>) {
    for write in writes {
        match write {
            Write::Put(key, value) => {
                map.insert(key, value.into());
            }
            Write::Delete(key) => {
                map.remove(&key);
            }
        }
    }
}

/// Databases on a [`MemoryDisk`].
pub struct MemoryEngine {
    disk: MemoryDisk,
    life: u64,
}

impl MemoryEngine {
    fn store(&self, name: &str) -> Result<MemoryStore, EngineError> {
        self.disk.alive(self.life)?.databases.entry(name.to_owned()).or_default();
        Ok(MemoryStore { disk: self.disk.clone(), life: self.life, name: name.to_owned() })
    }
}

impl Engine for MemoryEngine {
    fn open_blocks(&self, name: &str) -> Result<Arc<dyn BlockStore>, EngineError> {
        Ok(Arc::new(self.store(name)?))
    }

    fn open_index(&self, name: &str) -> Result<Arc<dyn KeyValueStore>, EngineError> {
        Ok(Arc::new(self.store(name)?))
    }

    fn names(&self) -> Result<Vec<String>, EngineError> {
        Ok(self.disk.alive(self.life)?.databases.keys().filter(|name| !name.is_empty()).cloned().collect())
    }

    fn remove(&self, name: &str) -> Result<(), EngineError> {
        self.disk.alive(self.life)?.databases.remove(name);
        Ok(())
    }

    fn write_parts(&self, name: &str, file: &str, next: &mut NextPart<'_>) -> Result<(), EngineError> {
        let mut bytes = Vec::new();
        while let Some(part) = next()? {
            bytes.extend_from_slice(&part);
        }
        let mut disk = self.disk.alive(self.life)?;
        let database = disk.databases.entry(name.to_owned()).or_default();
        database.files.insert(file.to_owned(), bytes.into());
        Ok(())
    }

    fn open_file(&self, name: &str, file: &str) -> Result<Option<Arc<dyn Reader>>, EngineError> {
        let disk = self.disk.alive(self.life)?;
        let bytes = disk.databases.get(name).and_then(|database| database.files.get(file));
        let file =
            |bytes: &Value| MemoryFile { bytes: bytes.clone(), disk: self.disk.clone(), life: self.life };
        Ok(bytes.map(|bytes| Arc::new(file(bytes)) as Arc<dyn Reader>))
    }

    fn remove_file(&self, name: &str, file: &str) -> Result<(), EngineError> {
        if let Some(database) = self.disk.alive(self.life)?.databases.get_mut(name) {
            database.files.remove(file);
        }
        Ok(())
    }

    fn block_file_bytes(&self, name: &str) -> Result<u64, EngineError> {
        let disk = self.disk.alive(self.life)?;
        let database = disk.databases.get(name);
        let bytes = database.map_or(0, |database| database.visible.values().map(|value| value.len()).sum());
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    fn disk_bytes(&self, name: &str) -> Result<u64, EngineError> {
        let disk = self.disk.alive(self.life)?;
        let bytes = disk.databases.get(name).map_or(0, |database| {
            let values: usize = database.visible.iter().map(|(k, v)| k.len() + v.len()).sum();
            values + database.files.values().map(|file| file.len()).sum::<usize>()
        });
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    fn free_bytes(&self) -> Result<u64, EngineError> {
        Ok(self.disk.alive(self.life)?.free_bytes.unwrap_or(FREE_BYTES_DEFAULT))
    }
}

struct MemoryFile {
    bytes: Value,
    disk: MemoryDisk,
    life: u64,
}

impl MemoryFile {
    /// Returns the damage that this read meets.
    fn fault(&self) -> Result<Option<FileDamage>, EngineError> {
        let mut disk = self.disk.alive(self.life)?;
        let calls = disk.calls;
        Ok(disk.faulty_read.take_if(|(at, _)| *at <= calls).map(|(_, damage)| damage))
    }
}

impl Reader for MemoryFile {
    fn bytes(&self) -> Result<u64, EngineError> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, EngineError> {
        let fault = self.fault()?;
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.bytes.get(skipped..).unwrap_or_default();
        let rest = rest.get(..buffer.len().min(rest.len())).unwrap_or_default();
        let read = fault.map(|damage| damaged(rest, damage).unwrap_or_default());
        let from = read.as_deref().unwrap_or(rest);
        if let Some(to) = buffer.get_mut(..from.len()) {
            to.copy_from_slice(from);
        }
        Ok(from.len())
    }
}

struct MemoryStore {
    disk: MemoryDisk,
    life: u64,
    name: String,
}

impl MemoryStore {
    fn with<T>(&self, work: impl FnOnce(&mut Database) -> T) -> Result<T, EngineError> {
        let mut disk = self.disk.alive(self.life)?;
        match disk.databases.get_mut(&self.name) {
            Some(database) => Ok(work(database)),
            None => Err(EngineError::new(format!("use {}", self.name), "it was removed")),
        }
    }

    fn write(&self, writes: Vec<Write>, is_atomic: bool) -> Result<(), EngineError> {
        self.with(|database| {
            write(&mut database.visible, writes.clone());
            database.unflushed.push(Unflushed { writes, is_atomic });
        })
    }

    fn flush(&self) -> Result<(), EngineError> {
        {
            let mut disk = self.disk.alive(self.life)?;
            let flushes = disk.flushes;
            disk.flushes += 1;
            if disk.failing_flush.is_some_and(|at| flushes >= at) {
                return Err(EngineError::new(format!("flush {}", self.name), "failed as asked"));
            }
        }
        self.with(|database| {
            for unflushed in std::mem::take(&mut database.unflushed) {
                write(&mut database.flushed, unflushed.writes);
            }
        })
    }
}

fn key_of(block: Seq) -> [u8; 8] {
    block.0.to_be_bytes()
}

fn pair<K: AsRef<[u8]>>((key, value): (K, &Value)) -> Pair {
    (key.as_ref().into(), value.clone())
}

fn block<K: AsRef<[u8]>>((key, value): (K, &Value)) -> (Seq, Value) {
    let number = key.as_ref().try_into().map_or(0, u64::from_be_bytes);
    (Seq(number), value.clone())
}

impl BlockStore for MemoryStore {
    fn commit(&self, block: Seq, bytes: &[u8]) -> Result<(), EngineError> {
        let key = key_of(block);
        let is_next = self.with(|database| {
            !bytes.is_empty() && database.visible.last_key_value().is_none_or(|(last, _)| **last < key[..])
        })?;
        if !is_next {
            let why = "block numbers must rise, and a block must not be empty";
            return Err(EngineError::new(format!("write {}", self.name), why));
        }
        self.write(vec![Write::Put(Box::from(key), bytes.into())], false)?;
        self.flush()
    }

    fn at_or_below(&self, seq: Seq) -> Result<Option<(Seq, Value)>, EngineError> {
        let key = key_of(seq);
        self.with(|database| {
            database.visible.range::<[u8], _>((Unbounded, Included(&key[..]))).next_back().map(block)
        })
    }

    fn range(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, Value)>, EngineError> {
        let key = key_of(after);
        self.with(|database| {
            let range = database.visible.range::<[u8], _>((Excluded(&key[..]), Unbounded));
            range.take(limit).map(block).collect()
        })
    }

    fn cut(&self, block: Seq) -> Result<(), EngineError> {
        let key = key_of(block);
        let cut = self.with(|database| {
            let keys = database.visible.range::<[u8], _>((Included(&key[..]), Unbounded));
            keys.map(|(key, _)| Write::Delete(key.clone())).collect()
        })?;
        self.write(cut, true)?;
        self.flush()
    }
}

impl KeyValueStore for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        self.with(|database| database.visible.get(key).cloned())
    }

    fn range(&self, after: &[u8], end: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError> {
        if after >= end {
            return Ok(Vec::new());
        }
        self.with(|database| {
            let range = database.visible.range::<[u8], _>((Excluded(after), Excluded(end)));
            range.take(limit).map(pair).collect()
        })
    }

    fn write_sorted(
        &self,
        _keys_max: usize,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), EngineError> {
        self.write(writes.collect(), true)?;
        self.flush()
    }
}
