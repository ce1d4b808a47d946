//! What can go wrong, named for what the caller does next.

use std::sync::Arc;

use message::Seq;

/// Why the disk did not do what was asked.
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
        /// What is wrong there.
        what: String,
    },
    /// It failed.
    #[error("{what}: {reason}")]
    Failed {
        /// What was tried, on what.
        what: String,
        /// What the system said.
        reason: String,
    },
}

impl EngineError {
    /// An error from what was tried and what the system said.
    pub(crate) fn new(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Failed { what: what.into(), reason: reason.to_string() }
    }

    /// An error from the place of the damage.
    pub(crate) fn damaged(file: impl Into<String>, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), offset, what: what.into() }
    }
}

/// Why an event could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// It could not be written.
    #[error("event cannot be encoded: {0}")]
    Encode(String),
    /// It could not be read.
    #[error("event cannot be decoded: {0}")]
    Decode(String),
    /// Bytes were left over after it.
    #[error("event is followed by {0} unexpected bytes")]
    Trailing(usize),
}

/// What is wrong with a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    /// Not even a header, or less than the header promises.
    #[error("it is cut short: {have} bytes of {want}")]
    Short {
        /// Bytes that are there.
        have: usize,
        /// Bytes that should be.
        want: usize,
    },
    /// Its beginning is there.
    #[error("a crash came while it was written: {have} bytes of it are there")]
    Torn {
        /// Bytes that are there.
        have: u64,
    },
    /// It was written by a newer Patchbay.
    #[error("its format version {0} is unknown; open it with the Patchbay that wrote it")]
    Version(u8),
    /// Its bytes are not what was written.
    #[error("its checksum is {found:08x}, it should be {wanted:08x}")]
    Checksum {
        /// Computed over its bytes.
        found: u32,
        /// Written in it.
        wanted: u32,
    },
    /// It was there once.
    #[error("it was flushed, as was everything up to block {flushed}, and cannot be found any more")]
    Lost {
        /// The newest block known to have been flushed.
        flushed: Seq,
    },
    /// It lies under a key that is not its own.
    #[error("it says that it begins at {0}")]
    Key(Seq),
    /// Its number does not follow its predecessor's.
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

/// The log takes nothing more: a write or flush failed, and what the disk holds is no longer known. The process
/// must end and start again; nothing that was acknowledged is lost by that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log is poisoned, restart after mending the disk: {0}")]
pub struct Poisoned(pub Arc<str>);

/// A block that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment}, block {block}: {fault}")]
pub struct BadBlock {
    /// The segment's folder.
    pub segment: String,
    /// The block's key: the number of its first event.
    pub block: Seq,
    /// What is wrong with it.
    pub fault: BlockFault,
}

/// Why a log did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk.
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
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A thread could not be started.
    #[error("thread {0} cannot be started: {1}")]
    Thread(&'static str, String),
}

/// Why events were not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The log takes nothing more.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// Nothing was given.
    #[error("an append needs at least one item")]
    Empty,
    /// Far more waits for the disk than [`crate::Options::queue_bytes_max`] allows.
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
        /// Which.
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
    #[error("item {0} has more than {max} keys", max = crate::KEYS_MAX)]
    Keys(usize),
    /// An event cannot be encoded.
    #[error("item {0}: {1}")]
    Codec(usize, CodecError),
}

/// Why work should not be accepted now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// Not before a restart.
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
    /// The disk does not keep up.
    #[error("{waiting} bytes wait for the disk, at most {max} may")]
    Queue {
        /// Bytes waiting.
        waiting: usize,
        /// Bytes allowed.
        max: usize,
    },
}

/// Why an event could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The disk.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Its block is damaged.
    #[error(transparent)]
    Block(#[from] BadBlock),
    /// It should be there and is not.
    #[error("event {0} is missing from the log")]
    Missing(Seq),
}

/// Why the index did not answer.
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
