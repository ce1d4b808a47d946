//! Databases by sled: the index, and the blocks of segments that were written before `block_file.rs` was. The only
//! file that names sled, and it must report nothing as flushed that a power cut could take back.
//!
//! sled 0.34 ends a flush with `sync_file_range`, which neither commits the file's new length nor empties the
//! drive's cache, and it never syncs its blob files (values that outgrow one of its segments). So each flush is
//! followed by `fdatasync` here, and a value that is larger still makes the next flush sync the whole file system.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use message::Seq;

use crate::{
    disk::{EngineError, Layout, Pair, Store, Value, Write},
    mark::{Mark, first_missing},
};

/// sled's file in a database's folder.
const FILE: &str = "db";
/// Size of sled's own segments for blocks, in bytes: those in which they were written.
const LOG_SLED_SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// The same for the index, whose values are small.
const INDEX_SLED_SEGMENT_BYTES: usize = 512 * 1024;
/// A value above this share of a sled segment may end in a blob file.
const VALUES_PER_PAGE_MAX: usize = 9;
/// Cache of the index.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// How often a database that this process is still closing is tried again, and the pause between.
const OPEN_TRIES: u32 = 200;
const OPEN_PAUSE: Duration = Duration::from_millis(5);
/// The tree every sled database has.
const DEFAULT_TREE: &[u8] = b"__sled__default";

/// sled cannot read its file, and does not say where: the first block that is missing is the place.
fn damaged(name: &str, path: &Path, error: &sled::Error) -> EngineError {
    let missing = fs::read(path.join(FILE)).ok().and_then(|file| first_missing(&file));
    let place = missing.map_or_else(|| name.to_owned(), |block| format!("{name}, block {block}"));
    EngineError::new(place, format!("its file is damaged there, restore the folder from a backup ({error})"))
}

/// One sled database.
pub(crate) struct SledStore {
    db: sled::Db,
    /// A handle of our own on sled's file, to sync it.
    file: File,
    name: String,
    folder: PathBuf,
    inline_max: usize,
    has_blobs: AtomicBool,
}

/// Whether a folder holds a database of sled's.
pub(crate) fn is_in(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

impl SledStore {
    /// Opens the database of a folder, and creates it when it is not there.
    pub(crate) fn open(folder: &Path, name: &str, layout: Layout) -> Result<Self, EngineError> {
        let segment = match layout {
            Layout::Ascending => LOG_SLED_SEGMENT_BYTES,
            Layout::Random => INDEX_SLED_SEGMENT_BYTES,
        };
        let config = sled::Config::new()
            .path(folder)
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
                    return Err(damaged(name, folder, &e));
                }
                Err(e) => return Err(EngineError::new(format!("open {}", folder.display()), e)),
            }
        };
        let file = File::options().write(true).open(folder.join(FILE));
        let file = file.map_err(|e| EngineError::new(format!("open {}/{FILE}", folder.display()), e))?;
        Ok(Self {
            db,
            file,
            name: name.to_owned(),
            folder: folder.to_owned(),
            inline_max: segment / VALUES_PER_PAGE_MAX,
            has_blobs: AtomicBool::new(false),
        })
    }

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

/// Blocks in a sled database, which were written before `block_file.rs` was: a chain of trees, each named by its
/// first key. Only read.
pub(crate) struct SledTrees {
    store: SledStore,
    mark: Mark,
    /// In the order of their first keys.
    trees: Vec<(sled::IVec, sled::Tree)>,
}

impl SledTrees {
    /// Opens the blocks of a folder. `None`: there are none in it.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Option<Self>, EngineError> {
        let store = SledStore::open(folder, name, Layout::Ascending)?;
        let mut names: Vec<sled::IVec> =
            store.db.tree_names().into_iter().filter(|name| *name != DEFAULT_TREE).collect();
        names.sort();
        let mut trees = Vec::with_capacity(names.len());
        for name in names {
            let tree = store.db.open_tree(&name).map_err(store.fail("open"))?;
            trees.push((name, tree));
        }
        if trees.iter().all(|(_, tree)| tree.is_empty()) {
            return Ok(None);
        }
        let mark = Mark::open(folder)
            .map_err(|e| EngineError::new(format!("open the mark of {}", store.name), e))?;
        Ok(Some(Self { store, mark, trees }))
    }

    /// The place of the tree that a key would be in.
    fn tree_of(&self, key: &[u8]) -> Option<usize> {
        self.trees.partition_point(|(first, _)| first.as_ref() <= key).checked_sub(1)
    }

    fn refuse(&self) -> EngineError {
        EngineError::new(format!("write {}", self.store.name), "it is of an older format, which is only read")
    }
}

impl Store for SledTrees {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        let Some((_, tree)) = self.tree_of(key).and_then(|at| self.trees.get(at)) else { return Ok(None) };
        let value = tree.get(key).map_err(self.store.fail("read"))?;
        Ok(value.map(|v| v.as_ref().into()))
    }

    fn insert(&self, _key: &[u8], _value: &[u8]) -> Result<(), EngineError> {
        Err(self.refuse())
    }

    fn apply(&self, _writes: Vec<Write>) -> Result<(), EngineError> {
        Err(self.refuse())
    }

    fn flush(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn is_past(&self) -> bool {
        true
    }

    fn flushed(&self) -> Option<Seq> {
        self.mark.before
    }

    fn at_or_below(&self, key: &[u8]) -> Result<Option<Pair>, EngineError> {
        let Some(last) = self.tree_of(key) else { return Ok(None) };
        for (_, tree) in self.trees.iter().take(last + 1).rev() {
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
        for (_, tree) in self.trees.iter().skip(self.tree_of(after).unwrap_or(0)) {
            for next in tree.range::<&[u8], _>((Excluded(after), Excluded(end))).take(limit - found.len()) {
                found.push(pair(next.map_err(self.store.fail("read"))?));
            }
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }
}
