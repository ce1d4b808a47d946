//! A file of sorted look-ups that will not change: those of a segment that is full, or of a part of one that is not.
//! The filter in front of it may say "perhaps" wrongly, never "no"; and what is not as it was written is never used.
//!
//! File, version 2, little-endian: pages of [`PAGE_BYTES`], each with up to [`PAGE_ENTRIES`] entries
//! `hash u128 | a u128 | b u64` in order, their number, and a checksum; then the front: the words of the filter, and
//! the fences (the upper half of each page's first hash); then the trailer:
//!
//! ```text
//! version u8 = 2 | first, last, least and greatest time, events, block bytes, entries, filter words, each u64
//!         | crc32 of the front u32 | crc32 of the trailer so far u32
//! ```
//!
//! With the front in memory a look-up reads one page if the filter says so. Without it, it finds its page by where the
//! key lies among all hashes, which are uniformly distributed: two or three pages, each checked. So a start reads
//! trailers alone, and fronts may leave memory. In version 1, the front lay before the pages and behind a header.

use std::sync::Arc;

use message::{Seq, Timestamp};

use crate::{
    bytes::Cursor,
    disk::seam::{Engine, Reader},
    error::EngineError,
    hash::high,
    item::Found,
    sorted::filter::Filter,
};

/// The file of a whole segment, in its folder. Its presence is what makes a segment sealed.
pub(crate) const FILE: &str = "keys";
/// The same of version 1.
const FILE_1: &str = "lookups";
pub(crate) const VERSION: u8 = 2;
const VERSION_1: u8 = 1;
pub(crate) const ENTRY_BYTES: usize = 40;
pub(crate) const PAGE_BYTES: usize = 4096;
pub(crate) const PAGE_ENTRIES: usize = 102;
pub(crate) const PAGE_COUNT_AT: usize = PAGE_ENTRIES * ENTRY_BYTES;
pub(crate) const PAGE_CRC_AT: usize = PAGE_BYTES - 4;
/// First, last, least and greatest time, events, block bytes, entries, filter words.
const FIELDS: usize = 8;
const TRAILER_BYTES: usize = 1 + FIELDS * 8 + 4 + 4;
/// Before the front in version 1: version, fields, and the checksum of both and the front.
const HEADER_1_BYTES: usize = 1 + FIELDS * 8 + 4;
/// The most entries one file may promise: a damaged header must not exhaust memory.
const ENTRIES_MAX: u64 = 1 << 32;
/// Pages read at once in a walk.
const WALK_PAGES: u64 = 64;
/// So often a page is guessed by where the key lies; then the rest is halved.
const GUESSES_MAX: u32 = 4;

/// The file of the part of a segment that begins at `first`.
pub(crate) fn piece_name(first: Seq) -> String {
    format!("{FILE}-{:020}", first.0)
}

/// What is known of a range of events without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// Its first event.
    pub(crate) first: Seq,
    /// Its last event.
    pub(crate) last: Seq,
    /// The earliest time in it.
    pub(crate) from: Timestamp,
    /// The latest time in it.
    pub(crate) to: Timestamp,
    /// Its events.
    pub(crate) events: u64,
    /// Bytes of its blocks.
    pub(crate) block_bytes: u64,
}

impl Facts {
    /// Of nothing, before the event `first`.
    pub(crate) fn none(first: Seq) -> Self {
        Self { first, last: Seq(first.0.saturating_sub(1)), ..Self::default() }
    }

    /// With those of what comes after it.
    pub(crate) fn join(self, next: Self) -> Self {
        if next.events == 0 {
            return self;
        }
        Self {
            first: self.first,
            last: next.last,
            from: if self.events == 0 { next.from } else { self.from.min(next.from) },
            to: self.to.max(next.to),
            events: self.events.saturating_add(next.events),
            block_bytes: self.block_bytes.saturating_add(next.block_bytes),
        }
    }
}

/// What tells which page to read, if any.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) filter: Filter,
    pub(crate) fences: Vec<u64>,
}

impl Front {
    fn of(bytes: &[u8], words: usize) -> Option<Self> {
        let mut all = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
        let filter = Filter::of_words(all.by_ref().take(words).collect())?;
        Some(Self { filter, fences: all.collect() })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let words = self.filter.words().iter().chain(&self.fences);
        words.flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// Sorted look-ups in a file.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) facts: Facts,
    version: u8,
    segment: Arc<str>,
    file: Arc<str>,
    entries: u64,
    words: usize,
    front_crc: u32,
    front: Option<Arc<Front>>,
    /// Held by those that are replaced, so that who looks meanwhile finds what it knows.
    reader: Option<Arc<dyn Reader>>,
}

/// Pages that there are for so many entries.
fn pages_of(entries: u64) -> u64 {
    entries.div_ceil(PAGE_ENTRIES as u64)
}

impl Sealed {
    /// What was just written.
    pub(crate) fn of(segment: &str, file: &str, facts: Facts, entries: u64, front: Front) -> Self {
        Self {
            facts,
            version: VERSION,
            segment: segment.into(),
            file: file.into(),
            entries,
            words: front.filter.words().len(),
            front_crc: crc32fast::hash(&front.encode()),
            front: Some(Arc::new(front)),
            reader: None,
        }
    }

    /// The look-ups of a segment, if it is sealed.
    pub(crate) fn of_segment(engine: &dyn Engine, segment: &str) -> Result<Option<Self>, EngineError> {
        match Self::load(engine, segment, FILE)? {
            Some(sealed) => Ok(Some(Self { reader: None, ..sealed })),
            None => Self::load_version_1(engine, segment),
        }
    }

    /// The parts of a segment that were sealed, one after the other from its first event on.
    pub(crate) fn pieces(
        engine: &dyn Engine,
        segment: &str,
        first: Seq,
    ) -> Result<Vec<Arc<Self>>, EngineError> {
        let (mut pieces, mut next) = (Vec::new(), first);
        while let Some(piece) = Self::load(engine, segment, &piece_name(next))? {
            let Facts { first, last, .. } = piece.facts;
            if first != next || last < first {
                return Err(piece.damaged("it is of other events"));
            }
            next = Seq(last.0.saturating_add(1));
            pieces.push(Arc::new(piece));
        }
        Ok(pieces)
    }

    /// The same, with its file held open. Those of [`Sealed::pieces`] are.
    pub(crate) fn held(self, engine: &dyn Engine) -> Result<Self, EngineError> {
        let reader = Some(self.reader(engine)?);
        Ok(Self { reader, ..self })
    }

    fn reader(&self, engine: &dyn Engine) -> Result<Arc<dyn Reader>, EngineError> {
        match &self.reader {
            Some(reader) => Ok(reader.clone()),
            None => engine.open_file(&self.segment, &self.file)?.ok_or_else(|| self.damaged("it vanished")),
        }
    }

    fn damaged(&self, why: &str) -> EngineError {
        damaged(&self.segment, &self.file, why)
    }

    /// Reads the trailer alone.
    fn load(engine: &dyn Engine, segment: &str, file: &str) -> Result<Option<Self>, EngineError> {
        let fail = |why: &str| damaged(segment, file, why);
        let Some(reader) = engine.open_file(segment, file)? else { return Ok(None) };
        let bytes = reader.bytes()?;
        let at = bytes.checked_sub(TRAILER_BYTES as u64).ok_or_else(|| fail("it is cut short"))?;
        let trailer = reader.read(at, TRAILER_BYTES)?;
        let (content, crc) = trailer.split_last_chunk::<4>().ok_or_else(|| fail("it is cut short"))?;
        if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
            return Err(fail("its checksum is wrong"));
        }
        let mut cursor = Cursor(content);
        if cursor.u8() != Some(VERSION) {
            return Err(EngineError::new(format!("read {segment}/{file}"), "its version is unknown"));
        }
        let mut sealed =
            Self::from_fields(&mut cursor, segment, file).ok_or_else(|| fail("it is damaged"))?;
        sealed.front_crc = cursor.u32().ok_or_else(|| fail("it is damaged"))?;
        let promised = sealed.front_at().saturating_add(sealed.front_bytes() as u64);
        if promised != at {
            return Err(fail("it is cut short"));
        }
        sealed.reader = Some(reader);
        Ok(Some(sealed))
    }

    fn from_fields(cursor: &mut Cursor<'_>, segment: &str, file: &str) -> Option<Self> {
        let mut fields = [0_u64; FIELDS];
        for field in &mut fields {
            *field = cursor.u64()?;
        }
        let [first, last, from, to, events, block_bytes, entries, words] = fields;
        let words = usize::try_from(words).ok().filter(|_| entries <= ENTRIES_MAX)?;
        let (first, last, from, to) = (Seq(first), Seq(last), Timestamp(from), Timestamp(to));
        let facts = Facts { first, last, from, to, events, block_bytes };
        let (segment, file) = (segment.into(), file.into());
        let (version, front_crc) = (VERSION, 0);
        Some(Self { facts, version, segment, file, entries, words, front_crc, front: None, reader: None })
    }

    /// Reads header and front of version 1, which have one checksum.
    fn load_version_1(engine: &dyn Engine, segment: &str) -> Result<Option<Self>, EngineError> {
        let fail = |why: &str| damaged(segment, FILE_1, why);
        let Some(reader) = engine.open_file(segment, FILE_1)? else { return Ok(None) };
        let header = reader.read(0, HEADER_1_BYTES)?;
        let mut cursor = Cursor(&header);
        if cursor.u8() != Some(VERSION_1) {
            return Err(EngineError::new(format!("read {segment}/{FILE_1}"), "its version is unknown"));
        }
        let sealed = Self::from_fields(&mut cursor, segment, FILE_1);
        let sealed = sealed.ok_or_else(|| fail("its header is damaged"))?;
        let crc = cursor.u32().ok_or_else(|| fail("its header is cut short"))?;
        let front_bytes = sealed.front_bytes();
        if front_bytes as u64 > reader.bytes()? {
            return Err(fail("its header is damaged"));
        }
        let front = reader.read(HEADER_1_BYTES as u64, front_bytes)?;
        let mut found = crc32fast::Hasher::new();
        found.update(header.get(..HEADER_1_BYTES - 4).unwrap_or_default());
        found.update(&front);
        if found.finalize() != crc {
            return Err(fail("its checksum is wrong"));
        }
        let front_crc = crc32fast::hash(&front);
        let front = Front::of(&front, sealed.words).ok_or_else(|| fail("its header is damaged"))?;
        Ok(Some(Self { version: VERSION_1, front_crc, front: Some(Arc::new(front)), ..sealed }))
    }

    fn pages(&self) -> u64 {
        pages_of(self.entries)
    }

    fn pages_at(&self) -> u64 {
        match self.version {
            VERSION_1 => (HEADER_1_BYTES + self.front_bytes()) as u64,
            _ => 0,
        }
    }

    fn front_at(&self) -> u64 {
        match self.version {
            VERSION_1 => HEADER_1_BYTES as u64,
            _ => self.pages().saturating_mul(PAGE_BYTES as u64),
        }
    }

    /// What its front takes in memory, if it is there or not.
    pub(crate) fn front_bytes(&self) -> usize {
        let fences = usize::try_from(self.pages()).unwrap_or(usize::MAX);
        self.words.saturating_add(fences).saturating_mul(8)
    }

    pub(crate) fn has_front(&self) -> bool {
        self.front.is_some()
    }

    /// The same with its front in memory.
    pub(crate) fn with_front(&self, engine: &dyn Engine) -> Result<Self, EngineError> {
        let bytes = self.reader(engine)?.read(self.front_at(), self.front_bytes())?;
        if crc32fast::hash(&bytes) != self.front_crc {
            return Err(self.damaged("its checksum is wrong"));
        }
        let front = Front::of(&bytes, self.words).ok_or_else(|| self.damaged("its filter is damaged"))?;
        Ok(Self { front: Some(Arc::new(front)), ..self.clone() })
    }

    /// The same with its front on the disk alone.
    pub(crate) fn without_front(&self) -> Self {
        Self { front: None, ..self.clone() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries
    }

    /// Looks a key up.
    pub(crate) fn find(&self, engine: &dyn Engine, hash: u128) -> Result<Option<Found>, EngineError> {
        let (mut low, mut end) = (0, self.pages());
        let mut guess = scaled(hash, end);
        if let Some(front) = &self.front {
            if !front.filter.may_hold(hash) {
                return Ok(None);
            }
            end = front.fences.partition_point(|fence| *fence <= high(hash)) as u64;
            // Not this one only if two pages begin with the same upper half.
            guess = end.saturating_sub(1);
        }
        if low >= end {
            return Ok(None);
        }
        let reader = self.reader(engine)?;
        let mut guesses = 0;
        while low < end {
            let page = guess.clamp(low, end - 1);
            let pages = self.pages();
            match Page::read(self, &*reader, page)?.side(hash) {
                Side::Here(found) => return Ok(found),
                Side::Before(first) => {
                    end = page;
                    guess = page.saturating_sub(1).saturating_sub(scaled(first - hash, pages));
                }
                Side::After(last) => {
                    low = page + 1;
                    guess = low.saturating_add(scaled(hash - last, pages));
                }
            }
            guesses += 1;
            if guesses >= GUESSES_MAX && self.front.is_none() {
                guess = low.midpoint(end);
            }
        }
        Ok(None)
    }

    /// Its entries, in order.
    pub(crate) fn walk(&self, engine: &dyn Engine) -> Result<Walk, EngineError> {
        let reader = self.reader(engine)?;
        Ok(Walk { sealed: self.clone(), reader, next: 0, entries: Vec::new().into_iter() })
    }
}

/// Of so many pages, the one that lies where `hash` lies among all hashes.
fn scaled(hash: u128, pages: u64) -> u64 {
    u64::try_from(((hash >> 64) * u128::from(pages)) >> 64).unwrap_or(0)
}

fn damaged(segment: &str, file: &str, why: &str) -> EngineError {
    let why = format!("{why}; remove the file and it is rebuilt at the next start");
    EngineError::new(format!("read {segment}/{file}"), why)
}

/// A page whose checksum holds.
struct Page {
    bytes: Vec<u8>,
    entries: usize,
}

/// Where a key lies.
enum Side {
    /// Before the page, which begins with this.
    Before(u128),
    Here(Option<Found>),
    /// After the page, which ends with this.
    After(u128),
}

fn hash_of(entry: &[u8; ENTRY_BYTES]) -> u128 {
    Cursor(entry).u128().unwrap_or(0)
}

fn found_in(entry: &[u8; ENTRY_BYTES]) -> Option<Found> {
    let mut cursor = Cursor(entry);
    cursor.u128()?;
    Some(Found { a: cursor.u128()?, b: cursor.u64()? })
}

impl Page {
    fn read(sealed: &Sealed, reader: &dyn Reader, page: u64) -> Result<Self, EngineError> {
        let bytes = reader.read(sealed.pages_at() + page * PAGE_BYTES as u64, PAGE_BYTES)?;
        Self::of(bytes).ok_or_else(|| sealed.damaged(&format!("page {page} is damaged")))
    }

    fn of(bytes: Vec<u8>) -> Option<Self> {
        let (content, crc) = bytes.split_at_checked(PAGE_CRC_AT)?;
        if crc != crc32fast::hash(content).to_le_bytes() {
            return None;
        }
        let count = Cursor(content.get(PAGE_COUNT_AT..)?).u64()?;
        let entries = usize::try_from(count).ok().filter(|count| (1..=PAGE_ENTRIES).contains(count))?;
        Some(Self { bytes, entries })
    }

    fn entries(&self) -> &[[u8; ENTRY_BYTES]] {
        self.bytes.as_chunks().0.get(..self.entries).unwrap_or_default()
    }

    fn side(&self, hash: u128) -> Side {
        let entries = self.entries();
        match (entries.first().map(hash_of), entries.last().map(hash_of)) {
            (Some(first), _) if hash < first => Side::Before(first),
            (_, Some(last)) if hash > last => Side::After(last),
            _ => {
                let at = entries.binary_search_by_key(&hash, hash_of).ok();
                Side::Here(at.and_then(|at| entries.get(at)).and_then(found_in))
            }
        }
    }
}

/// Reads all entries of a file, a few pages at a time.
pub(crate) struct Walk {
    sealed: Sealed,
    reader: Arc<dyn Reader>,
    next: u64,
    entries: std::vec::IntoIter<(u128, Found)>,
}

impl Walk {
    pub(crate) fn next(&mut self) -> Result<Option<(u128, Found)>, EngineError> {
        while self.entries.len() == 0 {
            let end = self.sealed.pages().min(self.next.saturating_add(WALK_PAGES));
            if self.next >= end {
                return Ok(None);
            }
            let at = self.sealed.pages_at() + self.next * PAGE_BYTES as u64;
            let len = usize::try_from(end - self.next).unwrap_or(0) * PAGE_BYTES;
            let bytes = self.reader.read(at, len)?;
            let mut entries = Vec::with_capacity(len / ENTRY_BYTES);
            for (page, bytes) in (self.next..end).zip(bytes.chunks(PAGE_BYTES)) {
                let page = Page::of(bytes.to_vec())
                    .ok_or_else(|| self.sealed.damaged(&format!("page {page} is damaged")))?;
                entries.extend(
                    page.entries().iter().filter_map(|entry| Some((hash_of(entry), found_in(entry)?))),
                );
            }
            if bytes.len() < len {
                return Err(self.sealed.damaged("it is cut short"));
            }
            self.next = end;
            self.entries = entries.into_iter();
        }
        Ok(self.entries.next())
    }
}
