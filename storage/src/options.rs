//! Configuration of a log.

use std::time::Duration;

/// Maximum number of full parts of a segment.
const PARTS_MAX: u64 = 16;
/// A checkpoint writes a part if it has at least this fraction of a full part's bytes.
const PARTS_PER_CHECKPOINT: u64 = 16;

/// The thread that writes blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// A thread of the log's own, and one that seals segments.
    #[default]
    Threaded,
    /// The caller, with [`crate::Log::drive`]: for simulation.
    Inline,
}

/// Limits of a log, and its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of blocks at which a segment is sealed.
    pub segment_bytes: u64,
    /// Maximum bytes of a block. A larger record gets a block of its own.
    pub block_bytes_max: usize,
    /// Bytes waiting for the disk above which [`crate::Log::room`] refuses new work.
    pub queue_bytes_max: usize,
    /// Free bytes on the disk below which [`crate::Log::room`] refuses new work.
    pub disk_reserve_bytes: u64,
    /// Bytes of blocks after which the look-ups of the active segment are written to a file, or a
    /// sixteenth of a segment if that is more. A checkpoint and a start write them after a
    /// sixteenth of that. A start reads the blocks of the look-ups that are not in a file.
    pub part_bytes: u64,
    /// Maximum memory for the filters of look-up files, in bytes; the newest files keep theirs. A
    /// look-up in a file without its filter reads two or three pages.
    pub filter_bytes_max: usize,
    /// Maximum number of look-up files that stay open between look-ups; more are opened when they
    /// are read. The files of the segment that grows (at most about 24) are open besides.
    pub open_files_max: usize,
    /// Pause of a checkpoint between two batches, which leaves the disk to commits.
    pub checkpoint_pause: Duration,
    /// The thread that writes.
    pub driver: Driver,
}

impl Options {
    /// [`Options::part_bytes`] as it counts.
    pub(crate) fn part_bytes(&self) -> u64 {
        self.part_bytes.max(self.segment_bytes / PARTS_MAX)
    }

    /// The least that is worth a file at a checkpoint.
    pub(crate) fn part_bytes_min(&self) -> u64 {
        self.part_bytes() / PARTS_PER_CHECKPOINT
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 256 * 1024 * 1024,
            block_bytes_max: 256 * 1024,
            queue_bytes_max: 32 * 1024 * 1024,
            disk_reserve_bytes: 512 * 1024 * 1024,
            part_bytes: 16 * 1024 * 1024,
            filter_bytes_max: 64 * 1024 * 1024,
            open_files_max: 256,
            checkpoint_pause: Duration::from_millis(1),
            driver: Driver::Threaded,
        }
    }
}
