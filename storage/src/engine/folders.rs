//! The engine on a disk: one directory, which one process holds at a time, with a folder for each
//! segment and one for the index. A new folder or file counts as there only when its directory was
//! synced.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use message::Seq;

use crate::{
    block::{
        file_blocks::{self, FileBlocks},
        name::first_of,
        sled_blocks::{self, SledBlocks},
    },
    disk::{
        around::{Around, AroundRead},
        descriptors::with_descriptor,
        files::{Folder, create_folder, sync_folder},
        seam::{BlockStore, Engine, KeyValueStore, NextPart, Reader},
    },
    engine::kind::{EngineKind, remember, remembered},
    error::EngineError,
    sorted::runs::RunStore,
};

/// See [`Engine::gather_pause`]. A flush of sled's wakes its seven threads and waits for one of
/// them; with 1 ms, `cargo bench --bench system -- outbound` takes a fifth less processor time than
/// with 0.3 ms, at the same latency.
const GATHER_SLED: Duration = Duration::from_millis(1);
const GATHER_FILE: Duration = Duration::from_micros(300);
/// Prefix of folders that are being removed.
const REMOVED: &str = "removed-";
/// The file that is locked while a process has the directory open.
const LOCK_FILE: &str = "lock";

/// Segments and index in folders of one directory.
pub struct DiskEngine {
    root: PathBuf,
    kind: EngineKind,
    around: Around,
    /// Held, not read: dropping it releases the lock.
    _lock: File,
}

impl DiskEngine {
    /// Locks a directory for this process, and creates it if it is missing.
    ///
    /// A directory remembers the engine it was created with; another one is an error.
    pub fn open(root: impl Into<PathBuf>, kind: EngineKind) -> Result<Self, EngineError> {
        let root = root.into();
        let lock = lock(&root)?;
        match remembered(&root)? {
            None => {
                let unnamed = folders(&root)?.into_iter().find(|name| first_of(name).is_some());
                if let Some(segment) = unnamed {
                    return Err(EngineError::UnknownEngine { root: root.display().to_string(), segment });
                }
                remember(&root, kind)?;
            }
            Some(has) if has != kind => {
                let (has, wanted) = (has.name(), kind.name());
                return Err(EngineError::OtherEngine { root: root.display().to_string(), has, wanted });
            }
            Some(_) => {}
        }
        Self::start(root, kind, lock)
    }

    /// Locks a directory that exists, with the engine that it remembers.
    pub fn open_existing(root: impl Into<PathBuf>) -> Result<Self, EngineError> {
        let root = root.into();
        match remembered(&root)? {
            Some(kind) => Self::open(root, kind),
            None => Self::open(root, EngineKind::default()),
        }
    }

    fn start(root: PathBuf, kind: EngineKind, lock: File) -> Result<Self, EngineError> {
        let engine = Self { root, kind, around: Around::default(), _lock: lock };
        engine.finish_removals()?;
        Ok(engine)
    }

    /// Runs every read that may wait for the disk inside `hook`, so that an asynchronous runtime
    /// can let another thread take over meanwhile. What is found in memory does not call it.
    #[must_use]
    pub fn around_reads(self, hook: AroundRead) -> Self {
        Self { around: hook.into(), ..self }
    }

    /// Returns the engine of the blocks.
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    /// Completes removals that a crash interrupted.
    fn finish_removals(&self) -> Result<(), EngineError> {
        for name in folders(&self.root)? {
            if name.starts_with(REMOVED) {
                let removed = with_descriptor(|| fs::remove_dir_all(self.root.join(&name)));
                removed.map_err(|e| EngineError::new(format!("remove {name}"), e))?;
            }
        }
        Ok(())
    }

    fn files(&self, name: &str) -> Folder {
        Folder::new(self.root.join(name), name, self.around)
    }

    /// Returns the path of a folder, and creates it if it is missing.
    fn folder(&self, name: &str) -> Result<PathBuf, EngineError> {
        let folder = self.root.join(name);
        create_folder(&folder)?;
        Ok(folder)
    }
}

fn lock(root: &Path) -> Result<File, EngineError> {
    let at = |what: &str| format!("{what} {}", root.display());
    create_folder(root)?;
    let path = root.join(LOCK_FILE);
    let lock = with_descriptor(|| File::options().create(true).truncate(false).write(true).open(&path));
    let lock = lock.map_err(|e| EngineError::new(at("lock"), e))?;
    match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(EngineError::InUse(root.display().to_string())),
        Err(e) => Err(EngineError::new(at("lock"), e)),
    }
}

/// Returns the names of all folders of a directory, in order.
fn folders(root: &Path) -> Result<Vec<String>, EngineError> {
    let fail = |e: io::Error| EngineError::new(format!("list {}", root.display()), e);
    let mut names = Vec::new();
    for entry in with_descriptor(|| fs::read_dir(root)).map_err(fail)? {
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

impl Engine for DiskEngine {
    fn open_blocks(&self, name: &str) -> Result<Arc<dyn BlockStore>, EngineError> {
        let folder = self.folder(name)?;
        let around = self.around;
        around.run(|| -> Result<Arc<dyn BlockStore>, EngineError> {
            Ok(match self.kind {
                EngineKind::Sled => Arc::new(SledBlocks::open(&folder, name, around)?),
                EngineKind::File => Arc::new(FileBlocks::open(&folder, name, around)?),
            })
        })
    }

    fn open_index(&self, name: &str) -> Result<Arc<dyn KeyValueStore>, EngineError> {
        Ok(Arc::new(RunStore::open(Folder::new(self.folder(name)?, name, self.around))?))
    }

    fn names(&self) -> Result<Vec<String>, EngineError> {
        Ok(folders(&self.root)?.into_iter().filter(|name| !name.starts_with(REMOVED)).collect())
    }

    fn remove(&self, name: &str) -> Result<(), EngineError> {
        let removed = self.root.join(format!("{REMOVED}{name}"));
        let fail = |e| EngineError::new(format!("remove {name}"), e);
        fs::rename(self.root.join(name), &removed).map_err(fail)?;
        sync_folder(&self.root)?;
        with_descriptor(|| fs::remove_dir_all(&removed)).map_err(fail)
    }

    fn write_parts(&self, name: &str, file: &str, next: &mut NextPart<'_>) -> Result<(), EngineError> {
        self.files(name).write_parts(file, next)
    }

    fn open_file(&self, name: &str, file: &str) -> Result<Option<Arc<dyn Reader>>, EngineError> {
        self.files(name).open(file)
    }

    fn remove_file(&self, name: &str, file: &str) -> Result<(), EngineError> {
        self.files(name).remove(file)
    }

    fn block_file_bytes(&self, name: &str) -> Result<u64, EngineError> {
        let file = match self.kind {
            EngineKind::Sled => sled_blocks::FILE,
            EngineKind::File => file_blocks::FILE,
        };
        match fs::metadata(self.root.join(name).join(file)) {
            Ok(facts) => Ok(facts.len()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(EngineError::new(format!("measure the blocks of {name}"), e)),
        }
    }

    fn first_block(&self, name: &str, expected: Seq) -> Result<Option<Seq>, EngineError> {
        let folder = self.root.join(name);
        let first = match self.kind {
            EngineKind::Sled => sled_blocks::first_block(&folder),
            EngineKind::File => file_blocks::first_block(&folder),
        };
        let first = first.map_err(|e| EngineError::new(format!("read the first block of {name}"), e))?;
        if first == Some(expected) {
            return Ok(first);
        }
        // sled may have moved it. Opening the folder tells for sure.
        Ok(self.open_blocks(name)?.range(Seq::NONE, 1)?.first().map(|(first, _)| *first))
    }

    fn disk_bytes(&self, name: &str) -> Result<u64, EngineError> {
        folder_bytes(&self.root.join(name), 2).map_err(|e| EngineError::new(format!("measure {name}"), e))
    }

    fn gather_pause(&self) -> Duration {
        match self.kind {
            EngineKind::Sled => GATHER_SLED,
            EngineKind::File => GATHER_FILE,
        }
    }

    fn free_bytes(&self) -> Result<u64, EngineError> {
        let space = rustix::fs::statvfs(&self.root)
            .map_err(|e| EngineError::new(format!("ask for free space of {}", self.root.display()), e))?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

/// Returns the bytes of all files of a folder, `depth` levels down. Ignores a file that is removed
/// meanwhile.
fn folder_bytes(path: &Path, depth: u32) -> io::Result<u64> {
    let mut sum = 0_u64;
    for entry in with_descriptor(|| fs::read_dir(path))? {
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
