//! Writing a sorted file from a source, part by part: memory holds its fences, its filter and one
//! part of it.

use crate::{
    disk::seam::NextPart,
    error::EngineError,
    sorted::{
        Note, PAGE_BYTES, Shape, SortedRecord, Source,
        fences::{Fences, FilterAndFences, Place},
        file::Written,
        filter::{Filter, hash},
        page::{end_page, is_full, put_record},
        trailer::Trailer,
    },
};

/// Bytes written and synced at once, so that commits meanwhile find the disk free.
const PART_BYTES: usize = 512 * 1024;

/// A file that is being written.
struct Writer {
    shape: Shape,
    /// Not yet taken as a part; the page that is being filled begins at `page_at`.
    bytes: Vec<u8>,
    page_at: usize,
    page_records: u32,
    first: Vec<u8>,
    /// Bytes taken so far.
    taken: u64,
    records: u64,
    resident: FilterAndFences,
}

impl Writer {
    fn new(shape: Shape, records_max: u64) -> Self {
        let resident =
            FilterAndFences { filter: Filter::with_capacity(records_max), fences: Fences::new(shape) };
        let bytes = Vec::with_capacity(PART_BYTES + PART_BYTES / 8);
        Self { shape, bytes, page_at: 0, page_records: 0, first: Vec::new(), taken: 0, records: 0, resident }
    }

    fn add(&mut self, record: SortedRecord<'_>) -> bool {
        if !put_record(self.shape, record, &mut self.bytes) {
            return false;
        }
        let rises = self.records == 0 || *record.key > *self.first;
        invariant!(rises, "record {} comes before its page", self.records);
        if self.page_records == 0 {
            self.first.clear();
            self.first.extend_from_slice(record.key);
        }
        self.resident.filter.insert(hash(self.shape, record.key));
        self.page_records += 1;
        self.records += 1;
        let bytes = self.bytes.len() - self.page_at;
        if is_full(self.shape, bytes, usize::try_from(self.page_records).unwrap_or(usize::MAX)) {
            self.end_page();
        }
        true
    }

    fn end_page(&mut self) {
        if self.page_records == 0 {
            return;
        }
        end_page(self.shape, self.page_at, self.page_records, &mut self.bytes);
        let place =
            Place { offset: self.taken + self.page_at as u64, bytes: self.bytes.len() - self.page_at };
        let is_sized = self.shape == Shape::Variable || place.bytes == PAGE_BYTES;
        invariant!(is_sized, "a page of fixed size has {} bytes", place.bytes);
        self.resident.fences.push(&self.first, place);
        (self.page_at, self.page_records) = (self.bytes.len(), 0);
    }

    /// Takes the pages that are complete.
    fn take(&mut self) -> Vec<u8> {
        invariant!(self.page_at <= self.bytes.len(), "a page at {} is not there", self.page_at);
        let rest = self.bytes.split_off(self.page_at);
        self.taken += self.page_at as u64;
        self.page_at = 0;
        std::mem::replace(&mut self.bytes, rest)
    }

    /// Ends the last page and appends everything behind the pages.
    fn finish(&mut self, note: Note) -> Trailer {
        self.end_page();
        let page_bytes = self.taken + self.bytes.len() as u64;
        let (fences, filter) = (self.resident.fences.encode(), self.resident.filter.encode());
        let trailer = Trailer {
            shape: self.shape,
            pages: self.resident.fences.len() as u64,
            page_bytes,
            records: self.records,
            fence_bytes: fences.len() as u64,
            filter_words: self.resident.filter.words().len() as u64,
            fences_crc: crc32fast::hash(&fences),
            filter_crc: crc32fast::hash(&filter),
            note,
        };
        self.bytes.extend_from_slice(&fences);
        self.bytes.extend_from_slice(&filter);
        self.bytes.extend_from_slice(&trailer.encode());
        self.page_at = self.bytes.len();
        trailer
    }
}

/// Writes all records of `source`, at most `records_max`, through `write_parts`.
pub(crate) fn write(
    (shape, records_max, note): (Shape, u64, Note),
    source: &mut dyn Source,
    write_parts: impl FnOnce(&mut NextPart<'_>) -> Result<(), EngineError>,
) -> Result<Written, EngineError> {
    let mut writer = Writer::new(shape, records_max);
    let mut trailer = None;
    write_parts(&mut || {
        if trailer.is_some() {
            return Ok(None);
        }
        while writer.page_at < PART_BYTES {
            let Some(record) = source.head() else {
                trailer = Some(writer.finish(note));
                break;
            };
            if !writer.add(record) {
                return Err(EngineError::new("write a sorted file", "a record is too large"));
            }
            source.advance()?;
        }
        Ok(Some(writer.take()))
    })?;
    let records = writer.records;
    invariant!(records <= records_max, "{records} records came, {records_max} were announced");
    let trailer =
        trailer.ok_or_else(|| EngineError::new("write a sorted file", "not all of it was taken"))?;
    Ok(Written { trailer, resident: writer.resident })
}
