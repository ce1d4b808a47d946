//! Bounds and choices of a log. Nothing here does anything.

use std::time::Duration;

/// Parts of a segment that are not small ones of checkpoints, at most.
const PARTS_MAX: u64 = 16;
/// A checkpoint writes a part that is so many times smaller, at least.
const PARTS_PER_CHECKPOINT: u64 = 16;

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// A thread of the log's own, and one that seals segments.
    #[default]
    Threaded,
    /// The caller, with [`crate::Log::drive`]: for simulation.
    Inline,
}

/// Bounds and choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// A segment is sealed when its blocks have reached so many bytes.
    pub segment_bytes: u64,
    /// A block is written when it has reached so many bytes, at the latest; one larger record still fits.
    pub block_bytes_max: usize,
    /// [`crate::Log::room`] says no when so many bytes wait for the disk.
    pub queue_bytes_max: usize,
    /// [`crate::Log::room`] says no when fewer bytes are free on the disk.
    pub disk_reserve_bytes: u64,
    /// Look-ups of a segment that is written to leave memory for a file of their own when so many bytes of blocks came
    /// since the last did (a sixteenth of a segment, if that is more), and at a checkpoint or a start after a sixteenth
    /// of that. A start reads the blocks that come after.
    pub part_bytes: u64,
    /// Filters in front of look-ups on the disk take so much memory at most, those of the newest; without its filter a
    /// file of look-ups is asked at two or three places.
    pub filter_bytes_max: usize,
    /// Maximum number of look-up files that stay open between look-ups; more are opened when they are read. The files of
    /// the segment that grows (at most about 24) are open besides.
    pub open_files_max: usize,
    /// A checkpoint rests so long between two batches, so that commits meanwhile find the disk free.
    pub checkpoint_pause: Duration,
    /// Who writes.
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
