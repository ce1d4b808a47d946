//! Every error of the crate, named for what the caller does next. Imports nothing but values.

use std::sync::Arc;

use message::Seq;

use crate::item::KEYS_MAX;

/// A failure of the disk, or of what is on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Another process holds the directory.
    #[error("{0} is in use by another process: stop it first, or ask it through its admin port")]
    InUse(String),
    /// The directory was created with another engine.
    #[error(
        "{root} was created with engine = \"{has}\", not \"{wanted}\": set engine = \"{has}\" in the configuration, or choose another data_dir"
    )]
    OtherEngine {
        /// The directory.
        root: String,
        /// The engine that it remembers.
        has: &'static str,
        /// The engine that was asked for.
        wanted: &'static str,
    },
    /// The directory has segments and does not say which engine wrote them.
    #[error(
        "{root} has {segment}, but its file `engine` is missing or damaged: write \"file\" into it if that folder has a file `blocks`, and \"sled\" if it has a file `db`"
    )]
    UnknownEngine {
        /// The directory.
        root: String,
        /// One of its segments.
        segment: String,
    },
    /// A file does not hold what was written.
    #[error("{file}, byte {offset}: {what}")]
    Damaged {
        /// The file, below the folder of the log.
        file: String,
        /// Where in the file.
        offset: u64,
        /// The kind of damage.
        what: String,
    },
    /// The system refused an operation.
    #[error("{what}: {reason}")]
    Failed {
        /// The operation, and the file it was for.
        what: String,
        /// The text of the system's error.
        reason: String,
    },
}

impl EngineError {
    /// Returns an error from an operation and the system's answer.
    pub(crate) fn new(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Failed { what: what.into(), reason: reason.to_string() }
    }

    /// Returns an error from the place of the damage.
    pub(crate) fn damaged(file: impl Into<String>, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), offset, what: what.into() }
    }
}

/// A failure to encode or decode an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The event cannot be encoded.
    #[error("event cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are not an event.
    #[error("event cannot be decoded: {0}")]
    Decode(String),
    /// More bytes follow the event.
    #[error("event is followed by {0} unexpected bytes")]
    Trailing(usize),
}

/// The damage of a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    /// The block is shorter than a header, or than its header says.
    #[error("it is cut short: {have} bytes of {want}")]
    Short {
        /// Bytes that are there.
        have: usize,
        /// Bytes that should be.
        want: usize,
    },
    /// A crash interrupted its write.
    #[error("a crash came while it was written: {have} bytes of it are there")]
    Torn {
        /// Bytes that are there.
        have: u64,
    },
    /// The block was written by a newer Patchbay.
    #[error("its format version {0} is unknown; open it with the Patchbay that wrote it")]
    Version(u8),
    /// The bytes are not those that were written.
    #[error("its checksum is {found:08x}, it should be {wanted:08x}")]
    Checksum {
        /// Computed over its bytes.
        found: u32,
        /// Written in it.
        wanted: u32,
    },
    /// The block was flushed and is missing.
    #[error("it was flushed, as was everything up to block {flushed}, and cannot be found any more")]
    Lost {
        /// The newest block known to have been flushed.
        flushed: Seq,
    },
    /// The block is stored under another block's number.
    #[error("it says that it begins at {0}")]
    Key(Seq),
    /// The block does not follow the one before it.
    #[error("it should begin at {wanted}: events are missing or doubled")]
    Gap {
        /// The number expected.
        wanted: Seq,
    },
    /// A record does not fit its own lengths.
    #[error("record {0} in it does not fit its length")]
    Record(Seq),
    /// An event cannot be read.
    #[error("record {0} in it: {1}")]
    Event(Seq, CodecError),
}

/// The log refuses all appends: a write or a flush failed, and the state of the disk is unknown.
///
/// The process must end and start again. Nothing that was acknowledged is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log is poisoned, restart after mending the disk: {0}")]
pub struct Poisoned(pub Arc<str>);

/// A damaged block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment}, block {block}: {fault}")]
pub struct BadBlock {
    /// The segment's folder.
    pub segment: String,
    /// The block's key: the number of its first event.
    pub block: Seq,
    /// The damage.
    pub fault: BlockFault,
}

/// A failure to open a log.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A block is damaged that may have been acknowledged.
    #[error("{0}; restore the folder from a backup, `patchbay log verify` lists every damaged block")]
    Block(#[from] BadBlock),
    /// Segments do not follow each other.
    #[error("segment {segment} begins at {found}, but the one before it ends at {end}: a folder is missing")]
    Gap {
        /// The later segment's folder.
        segment: String,
        /// Its first event.
        found: Seq,
        /// The last event before it.
        end: Seq,
    },
    /// The index knows events that the log does not have.
    #[error(
        "the index has applied events up to {checkpoint}, but the log ends at {last}: folders of two logs were mixed, or the newest segment is missing"
    )]
    IndexAhead {
        /// Applied to the index.
        checkpoint: Seq,
        /// The log's last event.
        last: Seq,
    },
    /// A segment is listed, but its folder is missing.
    #[error("segment {segment} is missing: restore its folder from a backup")]
    Missing {
        /// The segment's folder.
        segment: String,
    },
    /// Segments are missing before the first one.
    #[error(
        "the log begins at event {begin}, but retention left everything from event {left} on: the segments before are missing; restore their folders from a backup"
    )]
    NoBeginning {
        /// The first event that retention left.
        left: Seq,
        /// The first event that is there.
        begin: Seq,
    },
    /// The newest segment is older than it was.
    #[error(
        "the log ends at event {last}, but event {committed} was written: the newest segment is an older copy or is missing; restore its folder from a backup"
    )]
    Behind {
        /// The last event that is there.
        last: Seq,
        /// An event that was flushed.
        committed: Seq,
    },
    /// A sealed segment holds other blocks than it did.
    #[error(
        "segment {segment} should begin with event {first}{}; restore its folder from a backup",
        found.map_or_else(|| ", which is not there".to_owned(), |found| format!(", but begins with event {found}"))
    )]
    OtherBlocks {
        /// The segment's folder.
        segment: String,
        /// Its first event.
        first: Seq,
        /// The first event that is there.
        found: Option<Seq>,
    },
    /// A record of the log about itself cannot be read.
    #[error(transparent)]
    Read(ReadError),
    /// A sealed segment lost blocks at its end.
    #[error(
        "segment {segment} was cut short: {bytes} bytes of blocks of {sealed}; restore its folder from a backup"
    )]
    Shortened {
        /// The segment's folder.
        segment: String,
        /// Bytes that are there.
        bytes: u64,
        /// Bytes that were there when it was sealed.
        sealed: u64,
    },
    /// The index cannot be opened.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A thread could not be started.
    #[error("thread {0} cannot be started: {1}")]
    Thread(&'static str, String),
}

/// A refused append.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The log is poisoned.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// The append has no items.
    #[error("an append needs at least one item")]
    Empty,
    /// Four times [`crate::Options::queue_bytes_max`] wait for the disk.
    #[error("{waiting} bytes wait for the disk, at most {max} may: ask room() before taking work")]
    Full {
        /// Bytes waiting.
        waiting: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// An item is too large.
    #[error("item {index} takes {bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// The index of the item in its append.
        index: usize,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// An item names a previous one that is not before it.
    #[error("item {0} names a previous item that does not come before it")]
    Prev(usize),
    /// An item has too many keys.
    #[error("item {0} has more than {max} keys", max = KEYS_MAX)]
    Keys(usize),
    /// An event cannot be encoded.
    #[error("item {0}: {1}")]
    Codec(usize, CodecError),
}

/// A reason not to accept new work now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// The log is poisoned until a restart.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// The disk is nearly full.
    #[error("{free} bytes are free on the disk, {reserve} are kept in reserve: free some space")]
    Disk {
        /// Bytes free.
        free: u64,
        /// Bytes kept in reserve.
        reserve: u64,
    },
    /// The disk is slower than the appends.
    #[error("{waiting} bytes wait for the disk, at most {max} may")]
    Queue {
        /// Bytes waiting.
        waiting: usize,
        /// Bytes allowed.
        max: usize,
    },
}

/// A failure to read an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The disk.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Its block is damaged.
    #[error(transparent)]
    Block(#[from] BadBlock),
    /// The event was flushed and is missing.
    #[error("event {0} is missing from the log")]
    Missing(Seq),
}

/// A failure of the index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The disk.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An entry on the disk is not as it was written.
    #[error(
        "index entry {0} is damaged: remove the index folder only if every segment since the first is there"
    )]
    Damaged(String),
    /// A checkpoint met a log that cannot flush what it needs.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// A checkpoint would go backwards.
    #[error("checkpoint {wanted} is below the one written, {written}")]
    Backwards {
        /// Asked for.
        wanted: Seq,
        /// On the disk.
        written: Seq,
    },
}
