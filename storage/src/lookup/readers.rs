//! Files that stay open between look-ups: a bounded number of them, those used last.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    disk::seam::{Engine, Reader},
    error::EngineError,
    sorted::ReaderSource,
};

/// Open files of one log.
pub(crate) struct ReaderPool {
    engine: Arc<dyn Engine>,
    open_max: usize,
    open: Mutex<OpenReaders>,
}

#[derive(Default)]
struct OpenReaders {
    readers: HashMap<u64, UsedReader>,
    /// Counts uses; the least recently used reader has the least number.
    uses: u64,
    next_id: u64,
}

struct UsedReader {
    reader: Arc<dyn Reader>,
    last_use: u64,
}

impl ReaderPool {
    /// A pool that keeps up to `open_max` files open, and one more while it is read.
    pub(crate) fn new(engine: Arc<dyn Engine>, open_max: usize) -> Arc<Self> {
        Arc::new(Self { engine, open_max, open: Mutex::default() })
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    fn lock(&self) -> MutexGuard<'_, OpenReaders> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a file, which `reader` has open. It is opened again when it is read after the pool
    /// closed it.
    pub(crate) fn file(self: &Arc<Self>, folder: &str, file: &str, reader: Arc<dyn Reader>) -> PooledFile {
        let mut open = self.lock();
        open.next_id += 1;
        let id = open.next_id;
        open.insert(id, reader, self.open_max);
        PooledFile { pool: self.clone(), id, folder: folder.into(), file: file.into() }
    }

    /// Number of open files.
    #[cfg(test)]
    pub(crate) fn open_files(&self) -> usize {
        self.lock().readers.len()
    }
}

impl OpenReaders {
    fn get(&mut self, id: u64) -> Option<Arc<dyn Reader>> {
        self.uses += 1;
        let used = self.readers.get_mut(&id)?;
        used.last_use = self.uses;
        Some(used.reader.clone())
    }

    /// Adds a reader, and removes the least recently used one if there are too many.
    fn insert(&mut self, id: u64, reader: Arc<dyn Reader>, open_max: usize) {
        self.readers.insert(id, UsedReader { reader, last_use: self.uses });
        if self.readers.len() > open_max {
            let oldest = self.readers.iter().min_by_key(|(_, used)| used.last_use).map(|(id, _)| *id);
            oldest.and_then(|id| self.readers.remove(&id));
        }
        let open = self.readers.len();
        invariant!(open <= open_max, "{open} files are open, {open_max} may be");
    }
}

/// One file of a pool. It is closed when this is dropped.
pub(crate) struct PooledFile {
    pool: Arc<ReaderPool>,
    id: u64,
    folder: Box<str>,
    file: Box<str>,
}

impl ReaderSource for PooledFile {
    fn reader(&self) -> Result<Arc<dyn Reader>, EngineError> {
        if let Some(reader) = self.pool.lock().get(self.id) {
            return Ok(reader);
        }
        // Not under the lock: opening may take a while.
        let opened = self.pool.engine.open_file(&self.folder, &self.file)?;
        let label = || format!("{}/{}", self.folder, self.file);
        let reader = opened.ok_or_else(|| EngineError::damaged(label(), 0, "it is missing"))?;
        self.pool.lock().insert(self.id, reader.clone(), self.pool.open_max);
        Ok(reader)
    }
}

impl Drop for PooledFile {
    fn drop(&mut self) {
        let reader = self.pool.lock().readers.remove(&self.id);
        drop(reader);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryDisk;

    #[test]
    fn the_least_recently_used_file_is_closed() {
        let engine: Arc<dyn Engine> = Arc::new(MemoryDisk::new().engine());
        for n in 0..4 {
            engine.write_file("folder", &n.to_string(), &[n]).unwrap();
        }
        let pool = ReaderPool::new(engine.clone(), 2);
        let open = |n: &str| engine.open_file("folder", n).unwrap().unwrap();
        let files: Vec<_> = ["0", "1", "2", "3"].map(|n| pool.file("folder", n, open(n))).into();
        let read = |n: usize| files[n].reader().map(|reader| reader.read(0, 9).unwrap());
        for n in [0, 1, 0, 2] {
            assert_eq!(read(n).unwrap(), [n as u8]);
        }
        assert_eq!(pool.open_files(), 2);
        for n in 0..4 {
            engine.remove_file("folder", &n.to_string()).unwrap();
        }
        // 1 was used least recently.
        assert_eq!([0, 1, 2, 3].map(|n| read(n).is_ok()), [true, false, true, false]);
        drop(files);
        assert_eq!(pool.open_files(), 0);
    }
}
