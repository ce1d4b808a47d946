//! An engine that fails permanently after a number of writes, as in a power cut. The last write is
//! done in part, or in full without being reported.

#![allow(missing_docs, unreachable_pub, reason = "test support")]

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use message::Seq;
use storage::{BlockStore, Engine, EngineError, KeyValueStore, NextPart, Pair, Reader, Tail, Value, Write};

/// The number of writes until an engine fails for good.
#[derive(Clone)]
pub struct Fuse {
    left: Arc<AtomicI64>,
    /// The write that fails is done nevertheless.
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

/// An engine that fails with its fuse.
pub struct Failing<E>(pub E, pub Fuse);

struct FailingBlocks(Arc<dyn BlockStore>, Fuse);

struct FailingIndex(Arc<dyn KeyValueStore>, Fuse);

impl<E: Engine> Engine for Failing<E> {
    fn open_blocks(&self, name: &str) -> Result<Arc<dyn BlockStore>, EngineError> {
        Ok(Arc::new(FailingBlocks(self.0.open_blocks(name)?, self.1.clone())))
    }

    fn open_index(&self, name: &str) -> Result<Arc<dyn KeyValueStore>, EngineError> {
        Ok(Arc::new(FailingIndex(self.0.open_index(name)?, self.1.clone())))
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

impl BlockStore for FailingBlocks {
    fn commit(&self, block: Seq, bytes: &[u8]) -> Result<(), EngineError> {
        self.1.burn(|is_done| if is_done { self.0.commit(block, bytes) } else { Ok(()) })
    }

    fn at_or_below(&self, seq: Seq) -> Result<Option<(Seq, Value)>, EngineError> {
        self.0.at_or_below(seq)
    }

    fn range(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, Value)>, EngineError> {
        self.0.range(after, limit)
    }

    fn cut(&self, block: Seq) -> Result<(), EngineError> {
        self.1.burn(|is_done| if is_done { self.0.cut(block) } else { Ok(()) })
    }

    fn persist_offsets(&self) -> Result<(), EngineError> {
        self.1.burn(|is_done| if is_done { self.0.persist_offsets() } else { Ok(()) })
    }

    fn freeze(&self) -> Result<(), EngineError> {
        self.1.burn(|is_done| if is_done { self.0.freeze() } else { Ok(()) })
    }

    fn tail(&self) -> Tail {
        self.0.tail()
    }
}

impl KeyValueStore for FailingIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        self.0.get(key)
    }

    fn range(&self, after: &[u8], end: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError> {
        self.0.range(after, end, limit)
    }

    fn write_sorted(
        &self,
        keys_max: usize,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), EngineError> {
        self.1.burn(|is_done| if is_done { self.0.write_sorted(keys_max, writes) } else { Ok(()) })
    }
}
