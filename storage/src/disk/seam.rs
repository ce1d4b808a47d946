//! What the log needs of a disk: named databases, small whole files beside them, and room. Nothing here knows
//! what provides it.

use std::sync::Arc;

use message::Seq;

use crate::error::EngineError;

/// The value of a key.
pub type Value = Arc<[u8]>;

/// One write of an atomic batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a key.
    Put(Box<[u8]>, Box<[u8]>),
    /// Removes a key.
    Delete(Box<[u8]>),
}

/// What a database is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Large values under rising keys, each written once: blocks.
    Ascending,
    /// Small values under any keys, changed often: the index.
    Random,
}

/// Gives the next part of a file that is being written; `None` after the last.
pub type NextPart<'a> = dyn FnMut() -> Result<Option<Vec<u8>>, EngineError> + 'a;

/// A whole file that is open to be read: as it was when it was opened, also when it was replaced or removed since.
pub trait Reader: Send + Sync {
    /// Returns its length, in bytes.
    fn bytes(&self) -> Result<u64, EngineError>;
    /// Reads from `offset` until the buffer is full or the file ends, and returns the number of bytes read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, EngineError>;
    /// Returns up to `len` bytes from `offset`; fewer at its end.
    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, EngineError> {
        let mut bytes = vec![0; len];
        let filled = self.read_at(offset, &mut bytes)?;
        bytes.truncate(filled);
        Ok(bytes)
    }
}

/// A place that holds named databases.
pub trait Engine: Send + Sync {
    /// Opens a database, and creates it when it is not there. The layout is the same each time.
    fn open(&self, name: &str, layout: Layout) -> Result<Arc<dyn Store>, EngineError>;
    /// The names of all databases, in order.
    fn names(&self) -> Result<Vec<String>, EngineError>;
    /// Removes a database and its files, at once or not at all.
    fn remove(&self, name: &str) -> Result<(), EngineError>;
    /// Writes a whole file beside a database's own, of all the parts that `next` gives, one after the other, in place
    /// of one of that name: after this returns it is all there, before it nothing is.
    fn write_parts(&self, name: &str, file: &str, next: &mut NextPart<'_>) -> Result<(), EngineError>;
    /// The same of one part.
    fn write_file(&self, name: &str, file: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let mut part = Some(bytes.to_vec());
        self.write_parts(name, file, &mut || Ok(part.take()))
    }
    /// Opens such a file to be read; `None` when there is none.
    fn open_file(&self, name: &str, file: &str) -> Result<Option<Arc<dyn Reader>>, EngineError>;
    /// Reads up to `len` bytes of such a file from `offset`; fewer at its end, `None` when there is no file.
    fn read_file(
        &self,
        name: &str,
        file: &str,
        offset: u64,
        len: usize,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.open_file(name, file)?.map(|reader| reader.read(offset, len)).transpose()
    }
    /// Removes such a file, if it is there.
    fn remove_file(&self, name: &str, file: &str) -> Result<(), EngineError>;
    /// Returns the bytes of the files in which a segment's blocks lie, without opening them; zero if they are missing.
    fn block_file_bytes(&self, name: &str) -> Result<u64, EngineError>;
    /// Bytes a database and its files take on the disk.
    fn disk_bytes(&self, name: &str) -> Result<u64, EngineError>;
    /// Bytes that may still be written.
    fn free_bytes(&self) -> Result<u64, EngineError>;
}

/// A key and its value.
pub type Pair = (Box<[u8]>, Value);

/// An ordered map on the disk.
pub trait Store: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError>;
    /// Sets a key. Survives a crash only after [`Store::flush`].
    fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), EngineError>;
    /// Does all writes or none of them, also when a crash comes between. With [`Layout::Ascending`] one at a time.
    fn apply(&self, writes: Vec<Write>) -> Result<(), EngineError>;
    /// Returns when everything written before is safe from a power cut.
    fn flush(&self) -> Result<(), EngineError>;
    /// Does all writes, whose keys rise and are at most `keys_max`, or none of them, also when a crash comes between. When
    /// it returns, they are safe from a power cut, with all that was written before.
    fn write_sorted(
        &self,
        keys_max: usize,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), EngineError> {
        let mut all = Vec::with_capacity(keys_max);
        all.extend(writes);
        self.apply(all)?;
        self.flush()
    }
    /// Sets a key; when it returns, that is safe from a power cut, with all that was flushed before.
    fn commit(&self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.insert(key, value)?;
        self.flush()
    }
    /// Bytes at the end that are the beginning of a value: a crash came while it was written.
    fn torn(&self) -> Option<u64> {
        None
    }
    /// Nothing more is written here, since it is of an older format.
    fn is_past(&self) -> bool {
        false
    }
    /// Nothing more will be written: what was kept ready for that may go.
    fn seal(&self) -> Result<(), EngineError> {
        Ok(())
    }
    /// What is there now will not change: the next [`Engine::open`] need not read it to know where it lies.
    fn settle(&self) -> Result<(), EngineError> {
        Ok(())
    }
    /// The greatest key that an earlier run is known to have flushed. It may have flushed more.
    fn flushed(&self) -> Option<Seq> {
        None
    }
    /// Files beside the data itself that are damaged: for blocks those that opening read and did without, for the index
    /// all, by reading every byte.
    fn findings(&self) -> Vec<EngineError> {
        Vec::new()
    }
    /// Whether nothing more is written here, and the files that say where blocks lie are complete.
    fn is_frozen(&self) -> bool {
        true
    }
    /// The greatest key not above `key`.
    fn at_or_below(&self, key: &[u8]) -> Result<Option<Pair>, EngineError>;
    /// Up to `limit` keys above `after` and below `end`, in order.
    fn range(&self, after: &[u8], end: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError>;
}

/// The blocks of one segment, each under the number of its first event.
///
/// One thread commits; any number of threads read meanwhile.
pub trait BlockStore: Send + Sync {
    /// Appends a block. When it returns, the block and every block before it survive a power cut.
    ///
    /// Block numbers rise, and a block is not empty; anything else is an error. After an error the
    /// store's state on the disk is unknown until it is opened again.
    fn commit(&self, block: Seq, bytes: &[u8]) -> Result<(), EngineError>;
    /// Returns the block with the greatest number not above `seq`.
    fn at_or_below(&self, seq: Seq) -> Result<Option<(Seq, Value)>, EngineError>;
    /// Returns up to `limit` blocks with numbers above `after`, in order.
    fn range(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, Value)>, EngineError>;
    /// Removes the incomplete block that a crash left at the end, and every block from `block` on.
    fn cut(&self, block: Seq) -> Result<(), EngineError>;
    /// Persists block offsets so that the next open need not scan what is there now.
    fn persist_offsets(&self) -> Result<(), EngineError> {
        Ok(())
    }
    /// Ends writing for good: releases preallocated space and persists the offsets of all blocks.
    fn freeze(&self) -> Result<(), EngineError> {
        Ok(())
    }
    /// Returns what opening the store found at its end.
    fn tail(&self) -> Tail {
        Tail::default()
    }
}

/// The end of a [`BlockStore`] as an earlier process left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    /// Bytes of an incomplete block after the last complete one: a crash interrupted its write.
    pub torn_bytes: Option<u64>,
    /// A block that was acknowledged as durable. Blocks after it may have been, too.
    pub flushed: Option<Seq>,
}

/// An ordered map on the disk that is written in sorted batches: the database of the index.
pub trait KeyValueStore: Send + Sync {
    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError>;
    /// Returns up to `limit` pairs with keys above `after` and below `end`, in order.
    fn range(&self, after: &[u8], end: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError>;
    /// Applies a batch of at most `keys_max` writes whose keys rise.
    ///
    /// When it returns, the batch survives a power cut. A crash before that leaves all of it or
    /// nothing.
    fn write_sorted(
        &self,
        keys_max: usize,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), EngineError>;
}
