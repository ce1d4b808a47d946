//! Figures of a log, and the walk that checks every block of it. Neither changes anything.

use std::sync::atomic::Ordering;

use message::Seq;

use crate::{
    block::format::Block,
    disk::seam::{Engine, Layout},
    error::{BadBlock, BlockFault, EngineError, OpenError},
    log::handle::Log,
    log::open::{for_each_block, segment_names},
};

/// Figures of an open log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// The first event that is still there.
    pub first: Seq,
    /// The last event that is flushed.
    pub committed: Seq,
    /// The number that the next event gets.
    pub next: Seq,
    /// Segments, the active one among them.
    pub segments: usize,
    /// Bytes of all blocks.
    pub block_bytes: u64,
    /// Bytes on the disk, of segments and index.
    pub disk_bytes: u64,
    /// Bytes free on the disk, when last asked.
    pub free_bytes: u64,
    /// Bytes waiting for the writer.
    pub waiting_bytes: usize,
    /// Blocks written since the log was opened; each was a flush.
    pub blocks_written: u64,
    /// Their bytes.
    pub bytes_written: u64,
    /// Keys remembered in memory.
    pub lookups_in_memory: u64,
    /// Keys remembered in sealed segments.
    pub lookups_sealed: u64,
    /// Memory of the filters in front of those.
    pub filter_bytes: u64,
    /// Entries in the index's database.
    pub index_entries: u64,
    /// Streams changed since the last checkpoint.
    pub index_delta: usize,
    /// Everything up to here is in the index's database.
    pub checkpoint: Seq,
}

impl Log {
    /// Bytes that wait for the writer, and keys remembered in memory: cheap.
    pub fn memory(&self) -> (usize, u64) {
        let (lookups, _, _) = self.shared.lookup_sizes();
        (self.shared.waiting_bytes.load(Ordering::Relaxed), lookups)
    }

    /// Figures of this log. Asks the disk for sizes: not for a hot path.
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
        })
    }
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Segments read.
    pub segments: usize,
    /// Sound blocks.
    pub blocks: u64,
    /// Events in them, each of them decoded.
    pub events: u64,
    /// Their bytes.
    pub block_bytes: u64,
    /// Every block that is not sound.
    pub bad: Vec<BadBlock>,
    /// Folders that are missing: where the events end, and the folder after it.
    pub gaps: Vec<(Seq, String)>,
}

/// Reads every block of every segment and decodes every event. An engine is held by one process at a time, so
/// this is for a log that is not running.
pub fn verify(engine: &dyn Engine) -> Result<Report, OpenError> {
    let mut report = Report::default();
    let mut end: Option<Seq> = None;
    for (first, name) in segment_names(engine)? {
        if let Some(end) = end.filter(|end| *end != first) {
            report.gaps.push((Seq(end.0.saturating_sub(1)), name.clone()));
        }
        let store = engine.open(&name, Layout::Ascending)?;
        let mut next = first;
        for_each_block(&*store, Seq::NONE, first, |pairing| {
            match sound(pairing.key, pairing.bytes, pairing.expected) {
                Ok(block) => {
                    report.blocks += 1;
                    report.events += u64::from(block.count);
                    report.block_bytes += pairing.bytes.len() as u64;
                    next = block.end();
                }
                Err(fault) => {
                    next = Block::parse(pairing.key, pairing.bytes).map_or(pairing.expected, |b| b.end());
                    report.bad.push(BadBlock { segment: name.clone(), block: pairing.key, fault });
                }
            }
            Ok(next)
        })?;
        let lost = store.flushed().filter(|flushed| *flushed >= next);
        let lost = lost.map(|flushed| BlockFault::Lost { flushed });
        if let Some(fault) = lost.or(store.torn().map(|have| BlockFault::Torn { have })) {
            report.bad.push(BadBlock { segment: name.clone(), block: next, fault });
        }
        end = Some(next);
        report.segments += 1;
    }
    Ok(report)
}

fn sound(key: Seq, bytes: &[u8], expected: Seq) -> Result<Block<'_>, BlockFault> {
    let block = Block::parse(key, bytes)?;
    for record in block.records() {
        record?.decode()?;
    }
    if block.first == expected { Ok(block) } else { Err(BlockFault::Gap { wanted: expected }) }
}
