//! The event log: many streams of events in one chain of segments, and a write-behind index of what is open.
//! Nothing is reported as committed before it is flushed; damage is named and never skipped.
//!
//! # Layout
//!
//! Imports point down this table, never up.
//!
//! | folder | what |
//! |---|---|
//! | `log/` | [`Log`], the handle: append, read, find; the queue and its writer, the chain of segments, recovery, retention, figures, verification |
//! | `engine/` | the engines: folders and files, and memory with crashes |
//! | `index/` | what is open: a delta in memory over a database |
//! | `lookup/` | what is remembered of finished messages: in memory, and in sorted files |
//! | `sorted/` | the index's database: sorted runs, their merging, filters |
//! | `block/` | a group commit as bytes, and how an engine keeps it; `sled_blocks.rs` is the only file that names sled |
//! | `disk/` | what is asked of a disk, and what files give |
//! | `codec.rs`, `bytes.rs`, `hash.rs`, `item.rs`, `options.rs`, `error.rs` | values; `codec.rs` is the only file that knows bincode |
//!
//! # Invariants
//!
//! - An event's number is given once, consecutively, and never given again.
//! - The watermark only rises, and completions run in the order of the appends, after the flush.
//! - No lock is held across a write or a flush that an append could wait for.
//! - The index on the disk is never ahead of the log on the disk.

mod block;
mod bytes;
mod codec;
mod disk;
mod engine;
mod error;
mod hash;
mod index;
mod item;
mod log;
mod lookup;
mod options;
mod sorted;

pub use codec::{decode_snapshot, encode_snapshot};
pub use disk::seam::{
    BlockStore, Engine, KeyValueStore, LostKeys, NextPart, Pair, Reader, Restore, Tail, Value, Write,
};
pub use engine::{
    folders::DiskEngine,
    kind::{EngineKind, UnknownEngine},
    memory::{Crash, MemoryDisk, MemoryEngine},
};
pub use error::{
    AppendError, BadBlock, BlockFault, CodecError, EngineError, IndexError, NoRoom, OpenError, Poisoned,
    ReadError,
};
pub use index::{
    checkpoint::CheckpointStats,
    delta::Waiting,
    entry::{Due, Entry, Lookup, OpenStream, StoredEntry},
    store::Index,
};
pub use item::{Found, Item, KEYS_MAX, Key, Keys, Prev, Stored, Tag};
pub use log::{
    handle::{Log, RECORD_BYTES_MAX},
    open::Recovery,
    queue::Completion,
    read::{Forward, History},
    retention::Retained,
    stats::{MemoryUse, Stats},
    verify::{DamagedFile, Gap, Remedy, Report, verify},
};
pub use options::{Driver, Options};
