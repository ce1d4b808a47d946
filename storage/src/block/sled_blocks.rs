//! What earlier versions wrote, by sled: blocks of segments, which are read where they are, and the index, which is moved
//! to runs. The only file that names sled, and it must never write anything.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use message::Seq;

use crate::{
    block::flush_marker::{Mark, first_missing},
    disk::seam::{Pair, Store, Value, Write},
    error::EngineError,
};

/// sled's file in a database's folder.
const FILE: &str = "db";
/// Size of sled's own segments for blocks, in bytes: those in which they were written.
const LOG_SLED_SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// sled's cache.
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

/// Whether a folder holds a database of sled's.
pub(crate) fn is_in(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

fn open(folder: &Path, name: &str, segment: usize) -> Result<sled::Db, EngineError> {
    let config = sled::Config::new()
        .path(folder)
        .mode(sled::Mode::HighThroughput)
        .cache_capacity(CACHE_BYTES)
        .segment_size(segment)
        .flush_every_ms(None);
    let mut tries = 0;
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            // A reader of this process may be closing the same folder at this moment.
            Err(sled::Error::Io(e)) if tries < OPEN_TRIES && e.to_string().contains("lock") => {
                tries += 1;
                thread::sleep(OPEN_PAUSE);
            }
            Err(e) => return Err(failed("open", name, folder, e)),
        }
    }
}

fn failed(what: &'static str, name: &str, folder: &Path, error: sled::Error) -> EngineError {
    match error {
        sled::Error::Corruption { .. } => damaged(name, folder, &error),
        e => EngineError::new(format!("{what} {}", folder.display()), e),
    }
}

fn pair((key, value): (sled::IVec, sled::IVec)) -> Pair {
    (key.as_ref().into(), value.as_ref().into())
}

/// The blocks of a segment: a chain of trees, each named by its first key.
pub(crate) struct SledTrees {
    name: String,
    folder: PathBuf,
    mark: Mark,
    /// In the order of their first keys.
    trees: Vec<(sled::IVec, sled::Tree)>,
}

impl SledTrees {
    /// Opens the blocks of a folder. `None`: there are none in it.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Option<Self>, EngineError> {
        let db = open(folder, name, LOG_SLED_SEGMENT_BYTES)?;
        let mut names: Vec<sled::IVec> =
            db.tree_names().into_iter().filter(|name| *name != DEFAULT_TREE).collect();
        names.sort();
        let mut trees = Vec::with_capacity(names.len());
        for tree in names {
            let opened = db.open_tree(&tree).map_err(|e| failed("open", name, folder, e))?;
            trees.push((tree, opened));
        }
        if trees.iter().all(|(_, tree)| tree.is_empty()) {
            return Ok(None);
        }
        let mark =
            Mark::open(folder).map_err(|e| EngineError::new(format!("open the mark of {}", name), e))?;
        Ok(Some(Self { name: name.to_owned(), folder: folder.to_owned(), mark, trees }))
    }

    /// The place of the tree that a key would be in.
    fn tree_of(&self, key: &[u8]) -> Option<usize> {
        self.trees.partition_point(|(first, _)| first.as_ref() <= key).checked_sub(1)
    }

    fn fail(&self) -> impl FnOnce(sled::Error) -> EngineError {
        |e| failed("read", &self.name, &self.folder, e)
    }

    fn refuse(&self) -> EngineError {
        EngineError::new(format!("write {}", self.name), "it is of an older format, which is only read")
    }
}

impl Store for SledTrees {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        let Some((_, tree)) = self.tree_of(key).and_then(|at| self.trees.get(at)) else { return Ok(None) };
        let value = tree.get(key).map_err(self.fail())?;
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
            let found = tree.range(..=key).next_back().transpose().map_err(self.fail())?;
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
                found.push(pair(next.map_err(self.fail())?));
            }
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }
}
