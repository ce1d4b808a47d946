//! The interfaces between the log and a disk: blocks of a segment, the database of the index, and
//! whole files beside them. Nothing here knows which engine implements them.

use std::{sync::Arc, time::Duration};

use message::Seq;

use crate::error::EngineError;

/// The bytes of a block or of a key's value.
pub type Value = Arc<[u8]>;

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
    /// Returns whether opening the store found persisted offsets.
    fn has_offsets(&self) -> bool {
        true
    }
    /// Returns the damage that opening the store found in its derived files, and did without.
    fn damaged_files(&self) -> Vec<EngineError> {
        Vec::new()
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

/// One write of a sorted batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a key.
    Put(Box<[u8]>, Box<[u8]>),
    /// Removes a key.
    Delete(Box<[u8]>),
}

/// A key and its value.
pub type Pair = (Box<[u8]>, Value);

/// An ordered map on the disk that is written in sorted batches: the database of the index.
pub trait KeyValueStore: Send + Sync {
    /// Replaces damaged parts by the writes of `restore`. Returns whether anything was damaged.
    fn repair(&self, _restore: &mut Restore<'_>) -> Result<bool, EngineError> {
        Ok(false)
    }
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
    /// Reads every byte and returns the damage that it finds.
    fn check(&self) -> Vec<EngineError> {
        Vec::new()
    }
}

/// Returns the next part of a file that is being written; `None` after the last.
pub type NextPart<'a> = dyn FnMut() -> Result<Option<Vec<u8>>, EngineError> + 'a;

/// A file that is open for reading. Replacing or removing the file does not change what is read.
pub trait Reader: Send + Sync {
    /// Returns the file's length in bytes.
    fn bytes(&self) -> Result<u64, EngineError>;
    /// Reads from `offset` until the buffer is full or the file ends, and returns the number of
    /// bytes read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, EngineError>;
    /// Reads `len` bytes from `offset`; fewer at the end of the file.
    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, EngineError> {
        let mut bytes = vec![0; len];
        let filled = self.read_at(offset, &mut bytes)?;
        bytes.truncate(filled);
        Ok(bytes)
    }
}

/// A directory of named folders, each of which holds a segment's blocks or the index, and files.
pub trait Engine: Send + Sync {
    /// Opens the blocks of a segment, and creates its folder if it is missing.
    fn open_blocks(&self, name: &str) -> Result<Arc<dyn BlockStore>, EngineError>;
    /// Opens the database of the index, and creates its folder if it is missing.
    fn open_index(&self, name: &str) -> Result<Arc<dyn KeyValueStore>, EngineError>;
    /// Returns the names of all folders, in order.
    fn names(&self) -> Result<Vec<String>, EngineError>;
    /// Removes a folder with everything in it. A crash leaves all of it or nothing.
    fn remove(&self, name: &str) -> Result<(), EngineError>;
    /// Writes a file into a folder, part after part, and replaces one of the same name.
    ///
    /// The file survives a power cut when this returns; before that, it is not visible.
    fn write_parts(&self, name: &str, file: &str, next: &mut NextPart<'_>) -> Result<(), EngineError>;
    /// Writes a file of one part, see [`Engine::write_parts`].
    fn write_file(&self, name: &str, file: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let mut part = Some(bytes.to_vec());
        self.write_parts(name, file, &mut || Ok(part.take()))
    }
    /// Opens a file of a folder for reading; `None` if it is missing.
    fn open_file(&self, name: &str, file: &str) -> Result<Option<Arc<dyn Reader>>, EngineError>;
    /// Reads `len` bytes of a file from `offset`, fewer at its end; `None` if the file is missing.
    fn read_file(
        &self,
        name: &str,
        file: &str,
        offset: u64,
        len: usize,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.open_file(name, file)?.map(|reader| reader.read(offset, len)).transpose()
    }
    /// Removes a file of a folder, if it is there.
    fn remove_file(&self, name: &str, file: &str) -> Result<(), EngineError>;
    /// Returns the length of the file that holds a segment's blocks, without opening it; zero if it
    /// is missing.
    fn block_file_bytes(&self, name: &str) -> Result<u64, EngineError>;
    /// Returns the number of the first block of a segment that is not written to any more, which
    /// should be `expected`; `None` if it has none. Reads little of it if it is as expected.
    fn first_block(&self, name: &str, _expected: Seq) -> Result<Option<Seq>, EngineError> {
        Ok(self.open_blocks(name)?.range(Seq::NONE, 1)?.first().map(|(first, _)| *first))
    }
    /// Returns the bytes that a folder takes on the disk.
    fn disk_bytes(&self, name: &str) -> Result<u64, EngineError>;
    /// Returns how long the log's writer pauses after a flush that several appends shared, so that
    /// more share the next: longer where a flush costs more processor time.
    fn gather_pause(&self) -> Duration {
        Duration::from_micros(300)
    }
    /// Returns the bytes that may still be written.
    fn free_bytes(&self) -> Result<u64, EngineError>;
}

/// A callback for each pair of key and value; its error ends the walk.
pub type VisitPair<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), EngineError> + 'a;

/// The keys that damaged parts of a [`KeyValueStore`] held.
pub trait LostKeys {
    /// Whether the value of a key may be lost.
    fn contains(&self, key: &[u8]) -> Result<bool, EngineError>;
    /// Visits every pair that is not lost, in order.
    fn for_each_other(&self, visit: &mut VisitPair<'_>) -> Result<(), EngineError>;
}

/// Returns the writes that restore lost keys, in the order of their keys.
pub type Restore<'a> = dyn FnMut(&dyn LostKeys) -> Result<Vec<Write>, EngineError> + 'a;
