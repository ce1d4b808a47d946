//! One page of a sorted file: its records, read from bytes whose checksum is right.

use crate::{
    bytes::{Cursor, overwrite},
    sorted::{PAGE_BYTES, Shape, SortedRecord, UNIFORM_KEY_BYTES, UNIFORM_VALUE_BYTES},
};

/// Bytes of a record with [`Shape::Uniform`].
pub(super) const UNIFORM_RECORD_BYTES: usize = UNIFORM_KEY_BYTES + UNIFORM_VALUE_BYTES;
/// Number of records and checksum, behind the records.
const END_BYTES: usize = 8;
/// PageRecords of a full page with [`Shape::Uniform`].
pub(super) const UNIFORM_PAGE_RECORDS: usize = (PAGE_BYTES - END_BYTES) / UNIFORM_RECORD_BYTES;
/// Value length of a tombstone.
const TOMBSTONE: u32 = u32::MAX;
/// Bytes before the key with [`Shape::Variable`].
const LENGTHS_BYTES: usize = 5;

/// Appends a record. False if a length does not fit the shape; then nothing is appended.
pub(super) fn put_record(shape: Shape, record: SortedRecord<'_>, to: &mut Vec<u8>) -> bool {
    match (shape, record.value) {
        (Shape::Uniform, Some(value)) => {
            let fits = record.key.len() == UNIFORM_KEY_BYTES && value.len() == UNIFORM_VALUE_BYTES;
            if fits {
                to.extend_from_slice(record.key);
                to.extend_from_slice(value);
            }
            fits
        }
        (Shape::Uniform, None) => false,
        (Shape::Variable, value) => {
            let key_len = u8::try_from(record.key.len());
            let value_len = value.map_or(Ok(TOMBSTONE), |value| u32::try_from(value.len()));
            let (Ok(key_len), Ok(value_len)) = (key_len, value_len) else { return false };
            if value.is_some() && value_len == TOMBSTONE {
                return false;
            }
            to.reserve(LENGTHS_BYTES + record.key.len() + value.map_or(0, <[u8]>::len));
            to.push(key_len);
            to.extend_from_slice(&value_len.to_le_bytes());
            to.extend_from_slice(record.key);
            to.extend_from_slice(value.unwrap_or_default());
            true
        }
    }
}

/// Whether a page with these records is full.
pub(super) fn is_full(shape: Shape, bytes: usize, records: usize) -> bool {
    match shape {
        Shape::Uniform => records >= UNIFORM_PAGE_RECORDS,
        Shape::Variable => bytes >= PAGE_BYTES,
    }
}

/// Completes the page whose records begin at `start` with padding, number and checksum.
pub(super) fn end_page(shape: Shape, start: usize, records: u32, to: &mut Vec<u8>) {
    if shape == Shape::Uniform {
        to.resize(start + PAGE_BYTES - END_BYTES, 0);
    }
    to.extend_from_slice(&records.to_le_bytes());
    to.extend_from_slice(&[0; 4]);
    let crc_at = to.len().saturating_sub(4);
    let crc = crc32fast::hash(to.get(start..crc_at).unwrap_or_default());
    overwrite(to, crc_at, &crc.to_le_bytes());
}

/// An iterator over one page, in key order; it ends early where a record does not fit.
#[derive(Clone, Copy)]
pub(super) struct PageRecords<'a> {
    pub(super) shape: Shape,
    pub(super) rest: Cursor<'a>,
    /// Records that the iterator has not returned yet.
    pub(super) left: u32,
}

impl<'a> PageRecords<'a> {
    /// Checks a page. `None` if its checksum is wrong.
    pub(super) fn parse(shape: Shape, page: &'a [u8]) -> Option<Self> {
        let (content, crc) = page.split_last_chunk::<4>()?;
        if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (records, left) = content.split_last_chunk::<4>()?;
        Some(Self { shape, rest: Cursor(records), left: u32::from_le_bytes(*left) })
    }

    /// The records as they lie there, with [`Shape::Uniform`].
    pub(super) fn uniform(&self) -> &'a [[u8; UNIFORM_RECORD_BYTES]] {
        let left = usize::try_from(self.left).unwrap_or(0);
        self.rest.0.as_chunks().0.get(..left).unwrap_or_default()
    }

    fn record(&mut self) -> Option<SortedRecord<'a>> {
        match self.shape {
            Shape::Uniform => {
                let key = self.rest.take(UNIFORM_KEY_BYTES)?;
                Some(SortedRecord { key, value: Some(self.rest.take(UNIFORM_VALUE_BYTES)?) })
            }
            Shape::Variable => {
                let (key_len, value_len) = (self.rest.u8()?, self.rest.u32()?);
                let key = self.rest.take(usize::from(key_len))?;
                let value = match value_len {
                    TOMBSTONE => None,
                    len => Some(self.rest.take(usize::try_from(len).ok()?)?),
                };
                Some(SortedRecord { key, value })
            }
        }
    }
}

impl<'a> Iterator for PageRecords<'a> {
    type Item = SortedRecord<'a>;

    fn next(&mut self) -> Option<SortedRecord<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.record()
    }
}
