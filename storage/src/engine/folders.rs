//! Databases in folders of one directory, which one process holds at a time: blocks in files of our own
//! (`block_file.rs`), the index in sorted runs (`runs.rs`), and what earlier versions wrote by sled. A new folder or file
//! counts as there only when its directory was synced.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    block::{
        file_blocks::{self, BlockFile},
        sled_blocks::{self, SledTrees},
    },
    disk::files::{Folder, sync_folder},
    disk::seam::{Engine, Layout, NextPart, Reader, Store},
    error::EngineError,
    sorted::runs::RunStore,
};

/// Prefix of folders that are being removed.
const REMOVED: &str = "removed-";
/// The file that is locked while a process has the directory open.
const LOCK_FILE: &str = "lock";

/// Databases in folders of one directory.
pub struct DiskEngine {
    root: PathBuf,
    /// Held, not read: the lock ends with it.
    _lock: File,
}

impl DiskEngine {
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

    /// The blocks of a folder. An old database without any gives way to a new file.
    fn blocks(&self, folder: &Path, name: &str) -> Result<Arc<dyn Store>, EngineError> {
        if !BlockFile::is_in(folder) {
            if sled_blocks::is_in(folder)
                && let Some(trees) = SledTrees::open(folder, name)?
            {
                return Ok(Arc::new(trees));
            }
            self.create(folder)?;
        }
        Ok(Arc::new(BlockFile::open(folder, name)?))
    }

    fn folder(&self, name: &str) -> Folder {
        Folder::new(self.root.join(name), name)
    }

    fn create(&self, folder: &Path) -> Result<(), EngineError> {
        if folder.exists() {
            return Ok(());
        }
        fs::create_dir_all(folder)
            .map_err(|e| EngineError::new(format!("create {}", folder.display()), e))?;
        sync_folder(&self.root)
    }
}

impl Engine for DiskEngine {
    fn open(&self, name: &str, layout: Layout) -> Result<Arc<dyn Store>, EngineError> {
        let folder = self.root.join(name);
        if layout == Layout::Ascending {
            return self.blocks(&folder, name);
        }
        self.create(&folder)?;
        Ok(Arc::new(RunStore::open(Folder::new(folder, name))?))
    }

    fn names(&self) -> Result<Vec<String>, EngineError> {
        Ok(self.folders()?.into_iter().filter(|name| !name.starts_with(REMOVED)).collect())
    }

    fn remove(&self, name: &str) -> Result<(), EngineError> {
        let gone = self.root.join(format!("{REMOVED}{name}"));
        let fail = |e| EngineError::new(format!("remove {name}"), e);
        fs::rename(self.root.join(name), &gone).map_err(fail)?;
        sync_folder(&self.root)?;
        fs::remove_dir_all(&gone).map_err(fail)
    }

    fn write_parts(&self, name: &str, file: &str, next: &mut NextPart<'_>) -> Result<(), EngineError> {
        self.folder(name).write_parts(file, next)
    }

    fn open_file(&self, name: &str, file: &str) -> Result<Option<Arc<dyn Reader>>, EngineError> {
        self.folder(name).open(file)
    }

    fn remove_file(&self, name: &str, file: &str) -> Result<(), EngineError> {
        self.folder(name).remove(file)
    }

    fn block_file_bytes(&self, name: &str) -> Result<u64, EngineError> {
        match fs::metadata(self.root.join(name).join(file_blocks::FILE)) {
            Ok(facts) => Ok(facts.len()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(EngineError::new(format!("measure the blocks of {name}"), e)),
        }
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
