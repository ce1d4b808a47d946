//! A sparse index from block numbers to positions: bytes of a block file, or slots of a sled tree.
//! It says where blocks are, never what is in them, and can always be rebuilt from them.

use std::ops::Range;

use message::Seq;

use crate::bytes::Cursor;

const VERSION: u8 = 1;

/// Positions of some of the blocks of one store, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetIndex {
    /// The first position.
    begin: u64,
    /// Minimum distance between two entries, in positions.
    stride: u64,
    entries: Vec<(Seq, u64)>,
    /// The number of the last block.
    pub(crate) last: Option<Seq>,
    /// The position of the next block.
    pub(crate) end: u64,
}

impl OffsetIndex {
    /// Returns the index of a store without blocks, the first of which goes to `begin`.
    pub(crate) fn new(begin: u64, stride: u64) -> Self {
        Self { begin, stride, entries: Vec::new(), last: None, end: begin }
    }

    /// Adds the next block, which begins at the current end.
    pub(crate) fn push(&mut self, block: Seq, end: u64) {
        let at = self.end;
        invariant!(self.last.is_none_or(|last| last < block), "block {block} follows {:?}", self.last);
        invariant!(at < end, "block {block} ends at {end}, before its begin {at}");
        if self.entries.last().is_none_or(|(_, before)| at >= before.saturating_add(self.stride)) {
            self.entries.push((block, at));
        }
        self.last = Some(block);
        self.end = end;
    }

    /// Removes the blocks from position `end` on; `last` is the number of the last that stays.
    pub(crate) fn truncate(&mut self, end: u64, last: Option<Seq>) {
        invariant!(end <= self.end, "cut to {end}, beyond the end {}", self.end);
        self.entries.retain(|(_, at)| *at < end);
        self.last = last;
        self.end = end;
    }

    /// Returns the positions among which the greatest block number not above `seq` is; an empty
    /// range if every block is above.
    pub(crate) fn around(&self, seq: Seq) -> Range<u64> {
        let after = self.entries.partition_point(|(first, _)| *first <= seq);
        let at = |n: usize| self.entries.get(n).map(|(_, at)| *at);
        match after.checked_sub(1).and_then(at) {
            Some(from) => from..at(after).unwrap_or(self.end),
            None => self.begin..self.begin,
        }
    }

    /// Encodes the index as a file: version, whether the store is frozen, last block, end, entries,
    /// checksum.
    pub(crate) fn encode(&self, is_frozen: bool) -> Vec<u8> {
        let mut bytes = vec![VERSION, u8::from(is_frozen)];
        let fields = [self.last.unwrap_or_default().0, self.end].into_iter();
        for field in fields.chain(self.entries.iter().flat_map(|(block, at)| [block.0, *at])) {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Decodes a file; `None` if it is damaged or of another version. `empty` gives begin and
    /// stride.
    pub(crate) fn decode(bytes: &[u8], empty: Self) -> Option<Persisted> {
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        let mut cursor = Cursor(content);
        if u32::from_le_bytes(*crc) != crc32fast::hash(content) || cursor.u8()? != VERSION {
            return None;
        }
        let is_frozen = cursor.u8()? == 1;
        let (last, end) = (Seq(cursor.u64()?), cursor.u64()?);
        let mut entries = Vec::with_capacity(cursor.0.len() / 16);
        while let Some(block) = cursor.u64() {
            entries.push((Seq(block), cursor.u64()?));
        }
        let last = entries.first().map(|_| last);
        Some(Persisted { index: Self { entries, last, end, ..empty }, is_frozen })
    }
}

/// An offset index as it was written to a file.
pub(crate) struct Persisted {
    pub(crate) index: OffsetIndex,
    /// Nothing was committed after the file was written.
    pub(crate) is_frozen: bool,
}
