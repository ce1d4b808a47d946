//! Figures of an open log. Reading them changes nothing.

use std::sync::atomic::Ordering;

use message::Seq;

use crate::{error::EngineError, log::handle::Log};

/// Figures of an open log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// The first event that retention left.
    pub first: Seq,
    /// The last durable event.
    pub committed: Seq,
    /// The number that the next event gets.
    pub next: Seq,
    /// The number of segments, including the active one.
    pub segments: usize,
    /// Bytes of all blocks.
    pub block_bytes: u64,
    /// Bytes on the disk, of segments and index.
    pub disk_bytes: u64,
    /// Bytes free on the disk, when last asked.
    pub free_bytes: u64,
    /// Bytes waiting for the writer.
    pub waiting_bytes: usize,
    /// Blocks written since the log was opened, each with one flush.
    pub blocks_written: u64,
    /// Their bytes.
    pub bytes_written: u64,
    /// Keys in memtables.
    pub lookups_in_memory: u64,
    /// Keys in look-up files.
    pub lookups_sealed: u64,
    /// Memory of the filters of those files, in bytes.
    pub filter_bytes: u64,
    /// Entries in the index's database.
    pub index_entries: u64,
    /// Streams changed since the last checkpoint.
    pub index_delta: usize,
    /// The last event that is in the index's database.
    pub checkpoint: Seq,
    /// Damaged files that were rebuilt from the blocks since the log was opened.
    pub rebuilt_files: u64,
}

/// The part of a log in memory that grows with the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUse {
    /// Bytes waiting for the writer.
    pub waiting_bytes: usize,
    /// Keys of events that are not in a look-up file.
    pub lookups: u64,
}

/// The space on the disk of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskSpace {
    /// The space that is left to all programs, in bytes.
    pub free_bytes: u64,
    /// Bytes that stay free: below, the log has no room.
    pub reserve_bytes: u64,
}

impl Log {
    /// Returns the space on the disk. Asks the file system, and reads no file.
    pub fn space(&self) -> DiskSpace {
        self.shared.sample_room();
        let free_bytes = self.shared.free_bytes.load(Ordering::Relaxed);
        DiskSpace { free_bytes, reserve_bytes: self.shared.options.disk_reserve_bytes }
    }

    /// Returns what grows in memory with the load. Cheap: reads no disk.
    pub fn memory(&self) -> MemoryUse {
        let (lookups, _, _) = self.shared.lookup_sizes();
        MemoryUse { waiting_bytes: self.shared.waiting_bytes.load(Ordering::Relaxed), lookups }
    }

    /// Returns the number of damaged or missing files that were rebuilt from the blocks since the
    /// log was opened.
    pub fn rebuilt_files(&self) -> u64 {
        self.shared.chain.repairs.files()
    }

    /// Returns the figures of this log. Reads sizes from the disk: not for a hot path.
    pub fn stats(&self) -> Result<Stats, EngineError> {
        let shared = &self.shared;
        let mut disk_bytes = 0_u64;
        for name in shared.engine.names()? {
            disk_bytes = disk_bytes.saturating_add(shared.engine.disk_bytes(&name).unwrap_or(0));
        }
        shared.sample_room();
        let segments = shared.chain.segments();
        let (lookups_in_memory, lookups_sealed, filter_bytes) = shared.lookup_sizes();
        let (next, waiting_bytes) = {
            let queue = shared.queue();
            (queue.next, queue.bytes)
        };
        Ok(Stats {
            first: segments.first().map_or(next, |segment| segment.first),
            committed: self.committed(),
            next,
            segments: segments.len(),
            block_bytes: segments.iter().map(|segment| segment.facts().block_bytes).sum(),
            disk_bytes,
            free_bytes: shared.free_bytes.load(Ordering::Relaxed),
            waiting_bytes,
            blocks_written: shared.blocks_written.load(Ordering::Relaxed),
            bytes_written: shared.bytes_written.load(Ordering::Relaxed),
            lookups_in_memory,
            lookups_sealed,
            filter_bytes,
            index_entries: shared.index.len(),
            index_delta: shared.index.delta_len(),
            checkpoint: shared.index.checkpoint_seq(),
            rebuilt_files: shared.chain.repairs.files(),
        })
    }
}
