//! The event log: many streams of events in one chain of segments, and a write-behind index of open
//! streams. Nothing is reported as committed before it is durable; damage is named, never skipped.
//!
//! # Layout
//!
//! Imports point down this table, never up.
//!
//! | folder | content |
//! |---|---|
//! | `log/` | [`Log`], the queue and its writer, segments, recovery, retention, verification |
//! | `engine/` | the engines: on a disk, and in memory with crashes |
//! | `index/` | open streams: a delta in memory over a database |
//! | `lookup/` | look-ups of finished messages: memtables and files |
//! | `sorted/` | the sorted-file format, and the runs of the index |
//! | `block/` | the block format, and the sled and file engines' stores of blocks |
//! | `disk/` | the interfaces to a disk, and atomic files |
//! | files | values: `error.rs`, `item.rs`, `options.rs`; `codec.rs` (bincode); `invariants.rs` |
//!
//! `block/sled_blocks.rs` is the only file that names sled.
//!
//! # Invariants
//!
//! - An event's number is given once, consecutively, and never given again.
//! - The watermark only rises, and completions run in the order of the appends, after the flush.
//! - No lock is held across a write or a flush that an append could wait for.
//! - The index on the disk is never ahead of the log on the disk.

#[macro_use]
pub mod invariants;

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
pub use disk::around::AroundRead;
pub use disk::seam::{
    BlockStore, Engine, KeyValueStore, LostKeys, NextPart, Pair, Reader, Restore, Tail, Value, VisitPair,
    Write,
};
pub use engine::{
    folders::DiskEngine,
    kind::{EngineKind, UnknownEngine},
    memory::{Crash, FileDamage, MemoryDisk, MemoryEngine},
};
pub use error::{
    AppendError, BadBlock, BlockFault, CodecError, EngineError, IndexError, NoRoom, OpenError, Poisoned,
    ReadError,
};
pub use index::{
    checkpoint::CheckpointStats,
    delta::DeltaSize,
    entry::{Due, Entry, Lookup, OpenStream, StoredEntry},
    store::Index,
};
pub use item::{Found, Item, KEYS_MAX, Key, Keys, Prev, Stored, Tag};
pub use log::{
    handle::{Log, RECORD_BYTES_MAX},
    open::Recovery,
    queue::Completion,
    read::{Backward, Forward, History},
    retention::Retained,
    stats::{DiskSpace, MemoryUse, Stats},
    verify::{DamagedFile, Gap, Remedy, Report, verify},
};
pub use options::{Driver, Options};
