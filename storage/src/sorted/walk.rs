//! Reading a sorted file in order, several pages at a time.

use crate::{
    bytes::Cursor,
    error::EngineError,
    sorted::{SortedRecord, Source, file::SortedFile, page::PageRecords, read_ahead::ReadAhead},
};

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
    /// Begins at the first record above `after`; `read_bytes` are read at once.
    pub(crate) fn new(file: &SortedFile, after: &[u8], read_bytes: usize) -> Result<Self, EngineError> {
        let mut walk = Self::begin(file, file.last_page_up_to(after), read_bytes, false)?;
        while walk.head().is_some_and(|record| *record.key <= *after) {
            walk.advance()?;
        }
        Ok(walk)
    }

    /// Begins at the first record and passes over damaged pages.
    pub(super) fn skipping_damage(file: &SortedFile, read_bytes: usize) -> Result<Self, EngineError> {
        Self::begin(file, 0, read_bytes, true)
    }

    fn begin(
        file: &SortedFile,
        page: u64,
        read_bytes: usize,
        skips_damage: bool,
    ) -> Result<Self, EngineError> {
        let ahead = ReadAhead::new(file.reader()?, read_bytes);
        let file = file.clone();
        let mut walk = Self { file, ahead, next: page, page: Vec::new(), at: 0, left: 0, skips_damage };
        walk.load_page()?;
        Ok(walk)
    }

    fn records(&self) -> PageRecords<'_> {
        let rest = Cursor(self.page.get(self.at..).unwrap_or_default());
        PageRecords { shape: self.file.shape(), rest, left: self.left }
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
    fn head(&self) -> Option<SortedRecord<'_>> {
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
