//! The queue in front of the writer: numbered events, encoded as blocks. Numbers are given here,
//! under one short lock; nothing here touches the disk.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock},
};

use message::{Seq, Timestamp};

use crate::{
    block::format::{self, Block, EventRecord},
    error::Poisoned,
    log::segment::{Chain, Segment},
    lookup::memtable::MemTable,
};

/// Called once with the outcome of an append.
pub type Completion = Box<dyn FnOnce(Result<(), Poisoned>) + Send>;

/// Maximum number of buffers kept for the next blocks.
const SPARE_MAX: usize = 4;

/// A block that is being filled.
pub(crate) struct Pending {
    pub(crate) first: Seq,
    pub(crate) count: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) done: Vec<Completion>,
    /// The segment of the block, and the memtable of its keys.
    pub(crate) segment: Arc<Segment>,
    pub(crate) table: Arc<MemTable>,
}

impl Pending {
    /// The number of the event behind the last.
    fn end(&self) -> Seq {
        Seq(self.first.0.saturating_add(u64::from(self.count)))
    }
}

/// The block that is being written. Readers still find its events here.
pub(crate) struct Writing {
    first: Seq,
    count: u32,
    pub(crate) bytes: RwLock<Vec<u8>>,
}

/// The queue, under one lock.
pub(crate) struct Queue {
    pub(crate) next: Seq,
    blocks: VecDeque<Pending>,
    pub(crate) writing: Option<Arc<Writing>>,
    /// Completions that wait for the block that is being written and appended nothing to it.
    pub(crate) after: Vec<Completion>,
    /// Bytes in `blocks` and in `writing`.
    pub(crate) bytes: usize,
    /// The segment of the next block; `None` before the first append to a new log.
    segment: Option<(Arc<Segment>, Arc<MemTable>)>,
    segment_bytes: u64,
    /// Bytes of the active part of the segment.
    part_bytes: u64,
    /// Set when a part was ended: the next append begins a block.
    must_begin: bool,
    pub(crate) must_seal: bool,
    pub(crate) is_closed: bool,
    /// Set while the writer waits for work.
    pub(crate) is_idle: bool,
    spare: Vec<Vec<u8>>,
}

/// The size limits of a block, a segment and a part.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) block_bytes_max: usize,
    pub(crate) segment_bytes: u64,
    pub(crate) part_bytes: u64,
}

impl Queue {
    pub(crate) fn new(next: Seq, active: Option<(Arc<Segment>, Arc<MemTable>)>) -> Self {
        let segment_bytes = active.as_ref().map_or(0, |(segment, _)| segment.facts().block_bytes);
        let part_bytes = active.as_ref().map_or(0, |(_, table)| table.facts().block_bytes);
        Self {
            next,
            blocks: VecDeque::new(),
            writing: None,
            after: Vec::new(),
            bytes: 0,
            segment: active,
            segment_bytes,
            part_bytes,
            must_begin: false,
            must_seal: false,
            is_closed: false,
            is_idle: false,
            spare: Vec::new(),
        }
    }

    /// Adds a run of `count` records to one block. Returns the memtable for their keys.
    pub(crate) fn push(
        &mut self,
        chain: &Chain,
        bounds: Bounds,
        records: &[u8],
        count: u32,
        times: (Timestamp, Timestamp),
    ) -> Arc<MemTable> {
        let fits = self.blocks.back().is_some_and(|last| {
            !(self.must_seal || self.must_begin)
                && last.bytes.len().saturating_add(records.len()) <= bounds.block_bytes_max
        });
        if !fits {
            self.begin_block(chain, bounds, times);
        }
        if let Some(last) = self.blocks.back_mut() {
            last.bytes.extend_from_slice(records);
            last.count = last.count.saturating_add(count);
            last.from = last.from.min(times.0);
            last.to = last.to.max(times.1);
        }
        self.next = Seq(self.next.0.saturating_add(u64::from(count)));
        let end = self.blocks.back().map_or(Seq::NONE, Pending::end);
        invariant!(end == self.next, "the last block ends before {end}, next is {}", self.next);
        invariant!(count > 0, "a run without records before {}", self.next);
        self.bytes = self.bytes.saturating_add(records.len());
        self.segment_bytes = self.segment_bytes.saturating_add(records.len() as u64);
        self.part_bytes = self.part_bytes.saturating_add(records.len() as u64);
        match self.blocks.back() {
            Some(last) => last.table.clone(),
            None => Arc::new(MemTable::new(self.next)),
        }
    }

    /// Ends the active part if it has at least `bytes_min` bytes, and returns the segment.
    pub(crate) fn end_part(&mut self, bytes_min: u64) -> Option<Arc<Segment>> {
        let (segment, table) = self.segment.as_mut()?;
        if self.part_bytes >= bytes_min.max(1) {
            *table = segment.lookups.begin_part(self.next);
            self.part_bytes = 0;
            self.must_begin = true;
        }
        Some(segment.clone())
    }

    /// Adds a completion to the last block that is not durable. Returns it if everything is.
    pub(crate) fn complete_after(&mut self, done: Completion) -> Option<Completion> {
        match self.blocks.back_mut() {
            Some(last) => last.done.push(done),
            None if self.writing.is_some() => self.after.push(done),
            None => return Some(done),
        }
        None
    }

    /// Adds a completion to the last event.
    pub(crate) fn complete_last(&mut self, done: Completion) {
        invariant!(!self.blocks.is_empty(), "the end of nothing is waited for");
        if let Some(last) = self.blocks.back_mut() {
            last.done.push(done);
        }
    }

    fn begin_block(&mut self, chain: &Chain, bounds: Bounds, times: (Timestamp, Timestamp)) {
        let end = self.blocks.back().map_or(self.next, Pending::end);
        invariant!(end == self.next, "the last block ends before {end}, next is {}", self.next);
        let has_events = self.segment.as_ref().is_some_and(|(segment, _)| segment.first < self.next);
        let is_full = self.must_seal || self.segment_bytes >= bounds.segment_bytes;
        let (segment, table) = match &self.segment {
            Some((segment, table)) if !(is_full && has_events) => {
                let is_full = self.part_bytes >= bounds.part_bytes;
                let table = if is_full { segment.lookups.begin_part(self.next) } else { table.clone() };
                if is_full {
                    self.part_bytes = 0;
                }
                (segment.clone(), table)
            }
            _ => {
                let table = Arc::new(MemTable::new(self.next));
                let segment =
                    Arc::new(Segment::growing(&chain.readers, self.next, Vec::new(), table.clone()));
                chain.push(segment.clone());
                (self.segment_bytes, self.part_bytes) = (0, 0);
                (segment, table)
            }
        };
        self.segment = Some((segment.clone(), table.clone()));
        self.must_begin = false;
        self.must_seal = false;
        let mut bytes = self.spare.pop().unwrap_or_default();
        format::begin(&mut bytes);
        self.bytes = self.bytes.saturating_add(bytes.len());
        let (from, to) = times;
        invariant!(segment.first <= self.next, "{} begins after {}", segment.name, self.next);
        invariant!(table.first <= self.next, "a part of {} begins after {}", segment.name, self.next);
        self.blocks.push_back(Pending {
            first: self.next,
            count: 0,
            bytes,
            from,
            to,
            done: Vec::new(),
            segment,
            table,
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Returns the number of appends that wait for a flush.
    pub(crate) fn appends(&self) -> usize {
        self.blocks.iter().map(|pending| pending.done.len()).sum()
    }

    /// Hands the oldest block to the writer. Its events stay readable here until
    /// [`Queue::written`].
    pub(crate) fn take(&mut self) -> Option<(Pending, Arc<Writing>)> {
        let mut pending = self.blocks.pop_front()?;
        let next = self.blocks.front().map_or(self.next, |next| next.first);
        invariant!(pending.end() == next, "{} ends before {next}", pending.first);
        invariant!(self.writing.is_none(), "{} is taken while another is written", pending.first);
        let bytes = RwLock::new(std::mem::take(&mut pending.bytes));
        let writing = Arc::new(Writing { first: pending.first, count: pending.count, bytes });
        self.writing = Some(writing.clone());
        Some((pending, writing))
    }

    /// Releases the block that was taken last, which is durable now.
    pub(crate) fn written(&mut self, writing: Arc<Writing>, keep_bytes_max: usize) {
        self.writing = None;
        let Some(writing) = Arc::into_inner(writing) else { return };
        let bytes = writing.bytes.into_inner().unwrap_or_else(PoisonError::into_inner);
        invariant!(self.bytes >= bytes.len(), "{} bytes wait, {} written", self.bytes, bytes.len());
        self.bytes = self.bytes.saturating_sub(bytes.len());
        if self.spare.len() < SPARE_MAX && bytes.capacity() <= keep_bytes_max {
            self.spare.push(bytes);
        }
    }

    /// Removes and returns all completions.
    pub(crate) fn drain(&mut self) -> Vec<Completion> {
        self.blocks.drain(..).flat_map(|pending| pending.done).chain(self.after.drain(..)).collect()
    }

    /// Returns the encoded record of an event that is not durable yet.
    pub(crate) fn record(&self, seq: Seq) -> Option<Vec<u8>> {
        if let Some(writing) = &self.writing {
            let bytes = writing.bytes.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = record_in(writing.first, writing.count, &bytes, seq) {
                return Some(found);
            }
        }
        self.blocks.iter().find_map(|pending| record_in(pending.first, pending.count, &pending.bytes, seq))
    }
}

fn record_in(first: Seq, count: u32, bytes: &[u8], seq: Seq) -> Option<Vec<u8>> {
    let block = Block::unfinished(first, count, bytes);
    if seq < first || seq >= block.end() {
        return None;
    }
    let mut records = block.records().flatten();
    let found = records.find(|record: &EventRecord<'_>| record.seq == seq);
    invariant!(found.is_some(), "{seq} is not in the block {first} of {count} events");
    found.map(|record| record.bytes.to_vec())
}
