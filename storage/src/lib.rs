//! The event log: many streams of events in one chain of segments, and a write-behind index of what is open.
//! Nothing is reported as committed before it is flushed; damage is named and never skipped.
//!
//! # Layout
//!
//! | file | what |
//! |---|---|
//! | `log.rs`, `options.rs` | [`Log`], the handle: append, watermark, look-ups, room; its bounds and choices |
//! | `queue.rs`, `writer.rs` | what waits for the disk; the one thread that writes it |
//! | `block.rs`, `codec.rs` | a group commit as bytes; the only file that knows bincode |
//! | `segment.rs` | the chain of segments |
//! | `lookup.rs`, `parts.rs` | what is remembered of finished messages: in memory, and how it gets to the disk |
//! | `sealed.rs`, `sealing.rs` | the same in sorted files: read, and written |
//! | `index.rs`, `delta.rs`, `checkpoint.rs` | what is open: a delta in memory over a database |
//! | `open.rs`, `read.rs`, `retention.rs`, `stats.rs` | recovery, reading back, removal, figures and verification |
//! | `mark.rs` | what tells a lost block from one that never was |
//! | `disk.rs`, `folders.rs`, `memory.rs` | what is asked of a disk; that by folders and files; and in memory, with crashes |
//! | `block_file.rs`, `fill.rs` | the blocks of a segment in one file; the room made ahead of them |
//! | `runs.rs`, `run_file.rs`, `merge.rs`, `filter.rs` | the index's database: sorted runs, several as one, and what spares most of them a look |
//! | `sled_store.rs` | what earlier versions wrote, by sled: the only file that names it |
//!
//! # Invariants
//!
//! - An event's number is given once, consecutively, and never given again.
//! - The watermark only rises, and completions run in the order of the appends, after the flush.
//! - No lock is held across a write or a flush that an append could wait for.
//! - The index on the disk is never ahead of the log on the disk.

mod block;
mod block_file;
mod bytes;
mod checkpoint;
mod codec;
mod delta;
mod disk;
mod error;
mod fill;
mod filter;
mod folders;
mod frame;
mod index;
mod item;
mod log;
mod lookup;
mod mark;
mod memory;
mod merge;
mod open;
mod options;
mod parts;
mod places;
mod queue;
mod read;
mod retention;
mod run_file;
mod runs;
mod sealed;
mod sealing;
mod segment;
mod sled_store;
mod stats;
mod writer;

pub use block::BlockFault;
pub use checkpoint::CheckpointStats;
pub use codec::{CodecError, decode_snapshot, encode_snapshot};
pub use delta::{Before, Waiting};
pub use disk::{Engine, EngineError, Layout, NextPart, Pair, Reader, Store, Value, Write};
pub use error::{AppendError, BadBlock, IndexError, NoRoom, OpenError, Poisoned, ReadError};
pub use folders::DiskEngine;
pub use index::{Entry, Index};
pub use item::{Found, Item, KEYS_MAX, Key, Keys, Prev, Stored, Tag};
pub use log::{Log, RECORD_BYTES_MAX};
pub use memory::{Crash, MemoryDisk, MemoryEngine};
pub use open::Recovery;
pub use options::{Driver, Options};
pub use queue::Completion;
pub use read::{Forward, History};
pub use retention::Retained;
pub use stats::{Report, Stats, verify};
