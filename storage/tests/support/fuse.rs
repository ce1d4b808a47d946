//! An engine that fails for good after so many writes, as if the power had gone: the last of them is done in part, or whole
//! though nobody is told.

#![allow(missing_docs, unreachable_pub, reason = "test support")]

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use message::Seq;
use storage::{Engine, EngineError, Layout, NextPart, Pair, Reader, Store, Value, Write};

/// What an engine does before it fails for good: writes so many, of the last perhaps a part.
#[derive(Clone)]
pub struct Fuse {
    left: Arc<AtomicI64>,
    /// The write that it comes to is done, though nobody is told.
    is_late: bool,
}

impl Fuse {
    pub fn new(writes: i64, is_late: bool) -> Self {
        Self { left: Arc::new(AtomicI64::new(writes)), is_late }
    }

    pub fn has_burned(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }

    fn burn<T>(&self, write: impl FnOnce(bool) -> Result<T, EngineError>) -> Result<T, EngineError> {
        let failed = || EngineError::Failed { what: "write".into(), reason: "the power is gone".into() };
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1.. => write(true),
            0 => {
                let _half = write(self.is_late);
                Err(failed())
            }
            _ => Err(failed()),
        }
    }
}

/// An engine on a fuse.
pub struct Failing<E>(pub E, pub Fuse);

struct FailingStore(Arc<dyn Store>, Fuse);

impl<E: Engine> Engine for Failing<E> {
    fn open(&self, name: &str, layout: Layout) -> Result<Arc<dyn Store>, EngineError> {
        Ok(Arc::new(FailingStore(self.0.open(name, layout)?, self.1.clone())))
    }

    fn names(&self) -> Result<Vec<String>, EngineError> {
        self.0.names()
    }

    fn remove(&self, name: &str) -> Result<(), EngineError> {
        self.0.remove(name)
    }

    fn write_parts(&self, name: &str, file: &str, next: &mut NextPart<'_>) -> Result<(), EngineError> {
        self.1.burn(|is_whole| {
            let mut part = 0;
            self.0.write_parts(name, file, &mut || {
                part += 1;
                if part > 1 && !is_whole {
                    return Err(EngineError::Failed { what: "write".into(), reason: "half of it".into() });
                }
                next()
            })
        })
    }

    fn open_file(&self, name: &str, file: &str) -> Result<Option<Arc<dyn Reader>>, EngineError> {
        self.0.open_file(name, file)
    }

    fn remove_file(&self, name: &str, file: &str) -> Result<(), EngineError> {
        self.1.burn(|is_done| if is_done { self.0.remove_file(name, file) } else { Ok(()) })
    }

    fn block_file_bytes(&self, name: &str) -> Result<u64, EngineError> {
        self.0.block_file_bytes(name)
    }

    fn disk_bytes(&self, name: &str) -> Result<u64, EngineError> {
        self.0.disk_bytes(name)
    }

    fn free_bytes(&self) -> Result<u64, EngineError> {
        self.0.free_bytes()
    }
}

impl Store for FailingStore {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        self.0.get(key)
    }

    fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.0.insert(key, value)
    }

    fn apply(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        self.0.apply(writes)
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.1.burn(|is_done| if is_done { self.0.flush() } else { Ok(()) })
    }

    fn commit(&self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.1.burn(|is_done| if is_done { self.0.commit(key, value) } else { Ok(()) })
    }

    fn torn(&self) -> Option<u64> {
        self.0.torn()
    }

    fn is_past(&self) -> bool {
        self.0.is_past()
    }

    fn seal(&self) -> Result<(), EngineError> {
        self.1.burn(|is_done| if is_done { self.0.seal() } else { Ok(()) })
    }

    fn settle(&self) -> Result<(), EngineError> {
        self.1.burn(|is_done| if is_done { self.0.settle() } else { Ok(()) })
    }

    fn flushed(&self) -> Option<Seq> {
        self.0.flushed()
    }

    fn at_or_below(&self, key: &[u8]) -> Result<Option<Pair>, EngineError> {
        self.0.at_or_below(key)
    }

    fn range(&self, after: &[u8], end: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError> {
        self.0.range(after, end, limit)
    }
}
