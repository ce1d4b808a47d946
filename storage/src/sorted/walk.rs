//! Reading a sorted file in order, several pages at a time.

use std::sync::Arc;

use crate::{
    bytes::Cursor,
    disk::seam::Reader,
    error::EngineError,
    sorted::{Record, SortedFile, Source, fences::Place, page::Records},
};

/// A part of a file in memory, moved forward as it is read.
pub(super) struct ReadAhead {
    reader: Arc<dyn Reader>,
    /// Bytes read at once.
    size: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl ReadAhead {
    pub(super) fn new(reader: Arc<dyn Reader>, size: usize) -> Self {
        Self { reader, size, start: 0, bytes: Vec::new() }
    }

    /// Returns `place.bytes` bytes, or fewer at the end of the file.
    pub(super) fn get(&mut self, place: Place) -> Result<&[u8], EngineError> {
        let inside = place.offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        if !inside.is_some_and(|skip| skip.saturating_add(place.bytes) <= self.bytes.len()) {
            self.start = place.offset;
            self.bytes.resize(place.bytes.max(self.size), 0);
            let filled = self.reader.read_at(place.offset, &mut self.bytes)?;
            self.bytes.truncate(filled);
        }
        let skip = usize::try_from(place.offset - self.start).unwrap_or(usize::MAX);
        let rest = self.bytes.get(skip..).unwrap_or_default();
        Ok(rest.get(..place.bytes).unwrap_or(rest))
    }
}

/// A walk over the records of a file, one at a time. Only whole pages are copied.
pub(crate) struct Walk {
    file: SortedFile,
    ahead: ReadAhead,
    /// The page after the one at hand.
    next: u64,
    /// The records at hand: they begin at `at`, and `left` of them are left.
    page: Vec<u8>,
    at: usize,
    left: u32,
    skips_damage: bool,
}

impl Walk {
    /// Begins at the first record above `after` that lies in `first_page` or behind it.
    pub(super) fn new(
        file: SortedFile,
        reader: Arc<dyn Reader>,
        (first_page, after): (u64, &[u8]),
        read_bytes: usize,
    ) -> Result<Self, EngineError> {
        let ahead = ReadAhead::new(reader, read_bytes);
        let page = Vec::new();
        let mut walk = Self { file, ahead, next: first_page, page, at: 0, left: 0, skips_damage: false };
        walk.load_page()?;
        while walk.head().is_some_and(|record| *record.key <= *after) {
            walk.advance()?;
        }
        Ok(walk)
    }

    /// Begins at the first record and passes over damaged pages.
    pub(super) fn skipping_damage(
        file: SortedFile,
        reader: Arc<dyn Reader>,
        read_bytes: usize,
    ) -> Result<Self, EngineError> {
        let ahead = ReadAhead::new(reader, read_bytes);
        let mut walk = Self { file, ahead, next: 0, page: Vec::new(), at: 0, left: 0, skips_damage: true };
        walk.load_page()?;
        Ok(walk)
    }

    fn records(&self) -> Records<'_> {
        let rest = Cursor(self.page.get(self.at..).unwrap_or_default());
        Records { shape: self.file.shape(), rest, left: self.left }
    }

    /// Loads the next page that is not empty.
    fn load_page(&mut self) -> Result<(), EngineError> {
        self.page.clear();
        (self.at, self.left) = (0, 0);
        while self.left == 0 && self.next < self.file.pages() {
            let place = self.file.place(self.next)?;
            self.next += 1;
            let records = match self.file.parse(self.ahead.get(place)?, place) {
                Err(_) if self.skips_damage => continue,
                records => records?,
            };
            self.left = records.left;
            self.page.extend_from_slice(records.rest.0);
        }
        Ok(())
    }
}

impl Source for Walk {
    fn head(&self) -> Option<Record<'_>> {
        self.records().next()
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        let mut records = self.records();
        if records.next().is_none() && self.left > 0 {
            return Err(self.file.damaged(0, "a record does not fit its page"));
        }
        let (rest, left) = (records.rest.0.len(), records.left);
        self.at = self.page.len() - rest;
        self.left = left;
        if left == 0 { self.load_page() } else { Ok(()) }
    }
}
