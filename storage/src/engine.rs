//! The disk by sled. The only file that names sled, and it must report nothing as flushed that a power cut could
//! take back.
//!
//! sled 0.34 ends a flush with `sync_file_range`, which neither commits the file's new length nor empties the
//! drive's cache, and it never syncs its blob files (values that outgrow one of its segments). So each flush is
//! followed by `fdatasync` here, sled's segments are made large enough that blocks stay inside them, and a value
//! that is larger still makes the next flush sync the whole file system.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use message::Seq;

use crate::{
    disk::{Engine, EngineError, Layout, Pair, Store, Value, Write},
    mark::{Mark, first_missing},
    segment::seq_of,
};

/// Size of sled's own segments for the log, in bytes: a page of a few blocks must fit, or it goes to a blob file.
/// Larger ones cost more on each opening, which begins a new one.
const LOG_SLED_SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// The same for the index, whose values are small.
const INDEX_SLED_SEGMENT_BYTES: usize = 512 * 1024;
/// A value above this share of a sled segment may end in a blob file.
const VALUES_PER_PAGE_MAX: usize = TREE_VALUES + 1;
/// Cache of the active segment and the index.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// How often a database that this process is still closing is tried again, and the pause between.
const OPEN_TRIES: u32 = 200;
const OPEN_PAUSE: Duration = Duration::from_millis(5);
/// The tree every sled database has.
const DEFAULT_TREE: &[u8] = b"__sled__default";
/// Prefix of folders that are being removed.
const REMOVED: &str = "removed-";
/// The file that is locked while a process has the directory open.
const LOCK_FILE: &str = "lock";

/// Databases in folders of one directory, by sled.
pub struct SledEngine {
    root: PathBuf,
    /// Held, not read: the lock ends with it.
    _lock: File,
}

impl SledEngine {
    /// Takes the directory for this process, and creates it when it is not there.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, EngineError> {
        let root = root.into();
        let at = |what: &str| format!("{what} {}", root.display());
        fs::create_dir_all(&root).map_err(|e| EngineError::new(at("create"), e))?;
        let path = root.join(LOCK_FILE);
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|e| EngineError::new(at("lock"), e))?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(EngineError::InUse(root.display().to_string())),
            Err(e) => return Err(EngineError::new(at("lock"), e)),
        }
        let engine = Self { root, _lock: lock };
        engine.finish_removals()?;
        Ok(engine)
    }

    /// Completes removals that a crash interrupted.
    fn finish_removals(&self) -> Result<(), EngineError> {
        for name in self.folders()? {
            if name.starts_with(REMOVED) {
                let gone = fs::remove_dir_all(self.root.join(&name));
                gone.map_err(|e| EngineError::new(format!("remove {name}"), e))?;
            }
        }
        Ok(())
    }

    fn folders(&self) -> Result<Vec<String>, EngineError> {
        let fail = |e: io::Error| EngineError::new(format!("list {}", self.root.display()), e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if entry.file_type().map_err(fail)?.is_dir()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_folder(path: &Path) -> Result<(), EngineError> {
        File::open(path)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| EngineError::new(format!("sync folder {}", path.display()), e))
    }
}

impl Engine for SledEngine {
    fn open(&self, name: &str, layout: Layout) -> Result<Arc<dyn Store>, EngineError> {
        let path = self.root.join(name);
        let is_new = !path.join("db").exists();
        let segment =
            if name == crate::index::NAME { INDEX_SLED_SEGMENT_BYTES } else { LOG_SLED_SEGMENT_BYTES };
        let config = sled::Config::new()
            .path(&path)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(CACHE_BYTES)
            .segment_size(segment)
            .flush_every_ms(None);
        let mut tries = 0;
        let db = loop {
            match config.open() {
                Ok(db) => break db,
                // A reader of this process may be closing the same folder at this moment.
                Err(sled::Error::Io(e)) if tries < OPEN_TRIES && e.to_string().contains("lock") => {
                    tries += 1;
                    thread::sleep(OPEN_PAUSE);
                }
                Err(e @ sled::Error::Corruption { .. }) if layout == Layout::Ascending => {
                    return Err(damaged(name, &path, &e));
                }
                Err(e) => return Err(EngineError::new(format!("open {}", path.display()), e)),
            }
        };
        let file = File::options().write(true).open(path.join("db"));
        let file = file.map_err(|e| EngineError::new(format!("open {}/db", path.display()), e))?;
        let store = SledStore {
            db,
            file,
            name: name.to_owned(),
            folder: path.clone(),
            inline_max: segment / VALUES_PER_PAGE_MAX,
            has_blobs: AtomicBool::new(false),
        };
        if is_new {
            store.flush()?;
            Self::sync_folder(&path)?;
            Self::sync_folder(&self.root)?;
        }
        Ok(match layout {
            Layout::Ascending => Arc::new(SledTrees::open(store, &path)?),
            Layout::Random => Arc::new(store),
        })
    }

    fn names(&self) -> Result<Vec<String>, EngineError> {
        Ok(self.folders()?.into_iter().filter(|name| !name.starts_with(REMOVED)).collect())
    }

    fn remove(&self, name: &str) -> Result<(), EngineError> {
        let gone = self.root.join(format!("{REMOVED}{name}"));
        let fail = |e| EngineError::new(format!("remove {name}"), e);
        fs::rename(self.root.join(name), &gone).map_err(fail)?;
        Self::sync_folder(&self.root)?;
        fs::remove_dir_all(&gone).map_err(fail)
    }

    fn write_file(&self, name: &str, file: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let folder = self.root.join(name);
        let (path, part) = (folder.join(file), folder.join(format!("{file}.part")));
        let written = File::create(&part)
            .and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all()))
            .and_then(|()| fs::rename(&part, &path));
        written.map_err(|e| EngineError::new(format!("write {}", path.display()), e))?;
        Self::sync_folder(&folder)
    }

    fn read_file(
        &self,
        name: &str,
        file: &str,
        offset: u64,
        len: usize,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let path = self.root.join(name).join(file);
        let fail = |e| EngineError::new(format!("read {}", path.display()), e);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(fail(e)),
        };
        if offset > 0 {
            file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        }
        let mut bytes = Vec::new();
        file.take(u64::try_from(len).unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(fail)?;
        Ok(Some(bytes))
    }

    fn disk_bytes(&self, name: &str) -> Result<u64, EngineError> {
        folder_bytes(&self.root.join(name), 2).map_err(|e| EngineError::new(format!("measure {name}"), e))
    }

    fn free_bytes(&self) -> Result<u64, EngineError> {
        let room = rustix::fs::statvfs(&self.root)
            .map_err(|e| EngineError::new(format!("ask for free space of {}", self.root.display()), e))?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }
}

/// Bytes of all files in a folder, `depth` levels down. A file that vanishes meanwhile counts nothing.
fn folder_bytes(path: &Path, depth: u32) -> io::Result<u64> {
    let mut sum = 0_u64;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(facts) if facts.is_dir() && depth > 0 => {
                sum = sum.saturating_add(folder_bytes(&entry.path(), depth - 1)?);
            }
            Ok(facts) if facts.is_file() => {
                use std::os::unix::fs::MetadataExt;
                sum = sum.saturating_add(facts.blocks().saturating_mul(512));
            }
            _ => {}
        }
    }
    Ok(sum)
}

/// sled cannot read its file, and does not say where: the first block that is missing is the place.
fn damaged(name: &str, path: &Path, error: &sled::Error) -> EngineError {
    let missing = fs::read(path.join("db")).ok().and_then(|file| first_missing(&file));
    let place = missing.map_or_else(|| name.to_owned(), |block| format!("{name}, block {block}"));
    EngineError::new(place, format!("its file is damaged there, restore the folder from a backup ({error})"))
}

/// One sled database.
struct SledStore {
    db: sled::Db,
    /// A handle of our own on sled's file, to sync it.
    file: File,
    name: String,
    folder: PathBuf,
    inline_max: usize,
    has_blobs: AtomicBool,
}

impl SledStore {
    fn fail(&self, what: &'static str) -> impl FnOnce(sled::Error) -> EngineError {
        move |e| match e {
            sled::Error::Corruption { .. } => damaged(&self.name, &self.folder, &e),
            e => EngineError::new(format!("{what} {}", self.name), e),
        }
    }

    fn note_size(&self, value: &[u8]) {
        if value.len() > self.inline_max {
            self.has_blobs.store(true, Ordering::Relaxed);
        }
    }
}

fn pair((key, value): (sled::IVec, sled::IVec)) -> Pair {
    (key.as_ref().into(), value.as_ref().into())
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        let value = self.db.get(key).map_err(self.fail("read"))?;
        Ok(value.map(|v| v.as_ref().into()))
    }

    fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.note_size(value);
        self.db.insert(key, value).map(|_| ()).map_err(self.fail("write"))
    }

    fn apply(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        let mut batch = sled::Batch::default();
        for write in writes {
            match write {
                Write::Put(key, value) => {
                    self.note_size(&value);
                    batch.insert(key, value);
                }
                Write::Delete(key) => batch.remove(key),
            }
        }
        self.db.apply_batch(batch).map_err(self.fail("write"))
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.db.flush().map_err(self.fail("flush"))?;
        let synced = if self.has_blobs.load(Ordering::Relaxed) {
            rustix::fs::syncfs(&self.file)
        } else {
            rustix::fs::fdatasync(&self.file)
        };
        synced.map_err(|e| EngineError::new(format!("sync {}", self.name), e))
    }

    fn at_or_below(&self, key: &[u8]) -> Result<Option<Pair>, EngineError> {
        let found = self.db.range(..=key).next_back().transpose().map_err(self.fail("read"))?;
        Ok(found.map(pair))
    }

    fn range(&self, after: &[u8], end: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError> {
        use std::ops::Bound::Excluded;
        let range = self.db.range::<&[u8], _>((Excluded(after), Excluded(end)));
        range.take(limit).map(|found| found.map(pair).map_err(self.fail("read"))).collect()
    }
}

/// Blocks in a sled database: a chain of trees, each named by its first key.
///
/// sled rewrites a whole page at each tenth change of it, and both halves when it splits: measured, blocks of
/// 115 KB in one tree cost six times their bytes. A tree of fewer changes than that is never rewritten, so each
/// block is written once. Small blocks share a tree, since a tree costs a kilobyte itself.
struct SledTrees {
    store: SledStore,
    mark: Mark,
    chain: RwLock<Trees>,
}

struct Trees {
    /// In the order of their first keys.
    list: Vec<(sled::IVec, sled::Tree)>,
    /// Values and bytes in the last one.
    values: usize,
    bytes: usize,
}

/// Values in a tree that has reached [`TREE_BYTES`]: one less than sled rewrites a page at.
const TREE_VALUES: usize = 8;
/// Bytes of a tree after which the next one begins.
const TREE_BYTES: usize = 128 * 1024;

impl SledTrees {
    fn open(store: SledStore, folder: &Path) -> Result<Self, EngineError> {
        let mark = Mark::open(folder)
            .map_err(|e| EngineError::new(format!("open the mark of {}", store.name), e))?;
        let mut names: Vec<sled::IVec> =
            store.db.tree_names().into_iter().filter(|name| *name != DEFAULT_TREE).collect();
        names.sort();
        let mut list = Vec::with_capacity(names.len());
        for name in names {
            let tree = store.db.open_tree(&name).map_err(store.fail("open"))?;
            list.push((name, tree));
        }
        let last = list.last().map_or(0, |(_, tree)| tree.iter().take(TREE_VALUES).count());
        let chain = RwLock::new(Trees { list, values: last, bytes: TREE_BYTES });
        Ok(Self { store, mark, chain })
    }

    fn trees(&self) -> std::sync::RwLockReadGuard<'_, Trees> {
        self.chain.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree that a key would be in, and its place.
    fn tree_of(&self, key: &[u8]) -> Option<(usize, sled::Tree)> {
        let trees = self.trees();
        let at = trees.list.partition_point(|(first, _)| first.as_ref() <= key).checked_sub(1)?;
        trees.list.get(at).map(|(_, tree)| (at, tree.clone()))
    }

    fn tree_at(&self, at: usize) -> Option<sled::Tree> {
        self.trees().list.get(at).map(|(_, tree)| tree.clone())
    }

    /// The tree for a new greatest key.
    fn tree_for(&self, key: &[u8], bytes: usize) -> Result<sled::Tree, EngineError> {
        let mut trees = self.chain.write().unwrap_or_else(PoisonError::into_inner);
        let is_full = trees.values >= TREE_VALUES && trees.bytes >= TREE_BYTES;
        if is_full || trees.list.is_empty() {
            let tree = self.store.db.open_tree(key).map_err(self.store.fail("write"))?;
            trees.list.push((key.into(), tree));
            (trees.values, trees.bytes) = (0, 0);
        }
        trees.values += 1;
        trees.bytes = trees.bytes.saturating_add(bytes);
        let last = trees.list.last().map(|(_, tree)| tree.clone());
        last.ok_or_else(|| EngineError::new(format!("write {}", self.store.name), "it has no tree"))
    }
}

impl Store for SledTrees {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        let Some((_, tree)) = self.tree_of(key) else { return Ok(None) };
        let value = tree.get(key).map_err(self.store.fail("read"))?;
        Ok(value.map(|v| v.as_ref().into()))
    }

    fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.store.note_size(value);
        let tree = self.tree_for(key, value.len())?;
        self.mark.written(seq_of(key).unwrap_or_default());
        tree.insert(key, value).map(|_| ()).map_err(self.store.fail("write"))
    }

    fn apply(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        for write in writes {
            match write {
                Write::Put(key, value) => self.insert(&key, &value)?,
                Write::Delete(key) => {
                    if let Some((_, tree)) = self.tree_of(&key) {
                        tree.remove(key).map_err(self.store.fail("write"))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        let newest = self.mark.newest();
        self.store.flush()?;
        self.mark
            .flushed(newest)
            .map_err(|e| EngineError::new(format!("write the mark of {}", self.store.name), e))
    }

    fn flushed(&self) -> Option<Seq> {
        self.mark.before
    }

    fn at_or_below(&self, key: &[u8]) -> Result<Option<Pair>, EngineError> {
        let Some((last, _)) = self.tree_of(key) else { return Ok(None) };
        for at in (0..=last).rev() {
            let Some(tree) = self.tree_at(at) else { continue };
            let found = tree.range(..=key).next_back().transpose().map_err(self.store.fail("read"))?;
            if found.is_some() {
                return Ok(found.map(pair));
            }
        }
        Ok(None)
    }

    fn range(&self, after: &[u8], end: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError> {
        use std::ops::Bound::Excluded;
        let mut found = Vec::new();
        let mut at = self.tree_of(after).map_or(0, |(at, _)| at);
        while let Some(tree) = self.tree_at(at)
            && found.len() < limit
        {
            for next in tree.range::<&[u8], _>((Excluded(after), Excluded(end))).take(limit - found.len()) {
                found.push(pair(next.map_err(self.store.fail("read"))?));
            }
            at += 1;
        }
        Ok(found)
    }
}
