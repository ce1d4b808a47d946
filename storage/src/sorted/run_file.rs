//! One sorted run of the index on the disk: keys in order, each with a value or with the word that it is gone; written
//! once, whole or not at all. It must never give out a page that is not as it was written.
//!
//! File, version 1, little-endian: pages of about [`PAGE_BYTES`], then the index (for each page the length of its first
//! key u8, that key, where it begins u64, its length u32), the filter's words, and the trailer:
//!
//! ```text
//! page    = entries, each: key length u8 | value length u32 (all ones: gone) | key | value; then crc32 of them
//! trailer = where the index begins u64 | pages u32 | filter words u32 | entries u64 | crc32 of index and filter u32
//!         | version u32 = 1 | crc32 of the trailer so far u32
//! ```

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::{
    bytes::Cursor, disk::files::sync_folder, disk::seam::Value, disk::window::Window, error::EngineError,
    sorted::filter::Filter,
};

/// A page is ended when it has so many bytes.
const PAGE_BYTES: usize = 4096;
const TRAILER_BYTES: usize = 36;
const VERSION: u32 = 1;
const GONE: u32 = u32::MAX;
/// Bytes before a key.
const ENTRY_BYTES: usize = 5;
/// So many bytes are written and synced at once, so that commits meanwhile find the disk free.
const SYNC_BYTES: usize = 512 * 1024;
const PREFIX: &str = "run-";

/// A value, or that it is gone.
pub(crate) type Kept = Option<Value>;

/// The numbers of the flushes that a run holds, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Span {
    pub(crate) fn file_name(self) -> String {
        format!("{PREFIX}{:016}-{:016}", self.from, self.to)
    }

    pub(crate) fn of(file_name: &str) -> Option<Self> {
        let (from, to) = file_name.strip_prefix(PREFIX)?.split_once('-')?;
        let span = Self { from: from.parse().ok()?, to: to.parse().ok()? };
        (span.from <= span.to && span.file_name() == file_name).then_some(span)
    }

    pub(crate) fn holds(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }
}

/// Where a page lies.
struct Place {
    first: Box<[u8]>,
    at: u64,
    len: u32,
}

/// A run that is open to be read.
pub(crate) struct Run {
    pub(crate) span: Span,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    path: PathBuf,
    file: File,
    pages: Vec<Place>,
    filter: Filter,
}

/// Two independent words of a key for the filter.
fn hash(key: &[u8]) -> u128 {
    const SPREAD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];
    let mut words = [key.len() as u64, !0];
    let mut mix = |chunk: u64| {
        for (word, spread) in words.iter_mut().zip(SPREAD) {
            *word = (*word ^ chunk).wrapping_mul(spread);
            *word ^= *word >> 29;
        }
    };
    let (chunks, rest) = key.as_chunks::<8>();
    chunks.iter().for_each(|chunk| mix(u64::from_le_bytes(*chunk)));
    mix(rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    mix(0);
    let [a, b] = words;
    u128::from(a) << 64 | u128::from(b)
}

impl Run {
    /// Opens a run: its index and filter are read, its pages are not.
    pub(crate) fn open(folder: &Path, span: Span) -> Result<Self, EngineError> {
        let path = folder.join(span.file_name());
        let fail = |e: &dyn std::fmt::Display| EngineError::new(format!("open {}", path.display()), e);
        let file = File::open(&path).map_err(|e| fail(&e))?;
        let bytes = file.metadata().map_err(|e| fail(&e))?.len();
        let damaged = || fail(&"it is damaged, restore the folder from a backup");
        let trailer_at = bytes.checked_sub(TRAILER_BYTES as u64).ok_or_else(damaged)?;
        let trailer = Window::new(&file, 0).take(trailer_at, TRAILER_BYTES).map_err(|e| fail(&e))?;
        let trailer = Trailer::parse(&trailer).ok_or_else(damaged)?;
        let index = trailer.index(&file, trailer_at).map_err(|e| fail(&e))?;
        let (pages, filter) = index.ok_or_else(damaged)?;
        Ok(Self { span, bytes, entries: trailer.entries, path, file, pages, filter })
    }

    fn damaged(&self, at: u64) -> EngineError {
        let place = format!("{}, the page at byte {at}", self.path.display());
        EngineError::new(place, "it is damaged, restore the folder from a backup")
    }

    fn page<'a>(&self, window: &'a mut Window<'_>, place: &Place) -> Result<&'a [u8], EngineError> {
        let len = usize::try_from(place.len).unwrap_or(usize::MAX);
        let bytes = window.get(place.at, len);
        let bytes = bytes.map_err(|e| EngineError::new(format!("read {}", self.path.display()), e))?;
        let (content, crc) = bytes.split_last_chunk::<4>().ok_or_else(|| self.damaged(place.at))?;
        if bytes.len() != len || crc32fast::hash(content) != u32::from_le_bytes(*crc) {
            return Err(self.damaged(place.at));
        }
        Ok(content)
    }

    /// What it says of a key; the outer `None`: nothing.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Kept>, EngineError> {
        if !self.filter.may_hold(hash(key)) {
            return Ok(None);
        }
        let after = self.pages.partition_point(|page| *page.first <= *key);
        let Some(place) = after.checked_sub(1).and_then(|at| self.pages.get(at)) else { return Ok(None) };
        let mut window = Window::new(&self.file, 0);
        let page = self.page(&mut window, place)?;
        let found = Entries(Cursor(page)).find(|(found, _)| *found == key);
        Ok(found.map(|(_, value)| value.map(Value::from)))
    }

    /// Stands on its first entry above `after`; so many bytes are read at once.
    pub(crate) fn walk(&self, after: &[u8], read_bytes: usize) -> Result<Walk<'_>, EngineError> {
        let next = self.pages.partition_point(|page| *page.first <= *after).saturating_sub(1);
        let window = Window::new(&self.file, read_bytes);
        let mut walk = Walk { run: self, next, window, page: Vec::new(), at: 0 };
        walk.turn()?;
        while walk.head().is_some_and(|(key, _)| *key <= *after) {
            walk.advance()?;
        }
        Ok(walk)
    }

    /// Removes its file. Who still reads it goes on.
    pub(crate) fn remove(&self) -> Result<(), EngineError> {
        fs::remove_file(&self.path)
            .map_err(|e| EngineError::new(format!("remove {}", self.path.display()), e))
    }
}

/// The entries of a page.
struct Entries<'a>(Cursor<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key_len, value_len) = (self.0.u8()?, self.0.u32()?);
        let key = self.0.take(usize::from(key_len))?;
        if value_len == GONE {
            return Some((key, None));
        }
        Some((key, Some(self.0.take(usize::try_from(value_len).ok()?)?)))
    }
}

/// A walk over a run, an entry at a time. Only whole pages are copied.
pub(crate) struct Walk<'a> {
    run: &'a Run,
    /// The page after the one it is in.
    next: usize,
    window: Window<'a>,
    page: Vec<u8>,
    /// Where in the page its entry begins.
    at: usize,
}

impl Walk<'_> {
    /// The entry it stands on; none at the end.
    pub(crate) fn head(&self) -> Option<(&[u8], Option<&[u8]>)> {
        Entries(Cursor(self.page.get(self.at..)?)).next()
    }

    /// Moves on to the next entry.
    pub(crate) fn advance(&mut self) -> Result<(), EngineError> {
        let mut entries = Entries(Cursor(self.page.get(self.at..).unwrap_or_default()));
        let is_last = entries.next().is_none() || entries.0.0.is_empty();
        self.at = self.page.len() - entries.0.0.len();
        if is_last { self.turn() } else { Ok(()) }
    }

    fn turn(&mut self) -> Result<(), EngineError> {
        let run = self.run;
        self.page.clear();
        self.at = 0;
        if let Some(place) = run.pages.get(self.next) {
            self.next += 1;
            self.page.extend_from_slice(run.page(&mut self.window, place)?);
        }
        Ok(())
    }
}

/// Read at once of a filter; a multiple of a word.
const FILTER_READ_BYTES: usize = 64 * 1024;

struct Trailer {
    index_at: u64,
    pages: u32,
    words: u32,
    entries: u64,
    crc: u32,
}

impl Trailer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        let mut cursor = Cursor(content);
        let trailer = Self {
            index_at: cursor.u64()?,
            pages: cursor.u32()?,
            words: cursor.u32()?,
            entries: cursor.u64()?,
            crc: cursor.u32()?,
        };
        (cursor.u32()? == VERSION && crc32fast::hash(content) == u32::from_le_bytes(*crc)).then_some(trailer)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.index_at.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.pages.to_le_bytes());
        bytes.extend_from_slice(&self.words.to_le_bytes());
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads what lies before the trailer: the pages' places at once, the filter as it is taken apart, since new memory
    /// is what a start pays for. `None`: it is damaged.
    fn index(&self, file: &File, trailer_at: u64) -> io::Result<Option<(Vec<Place>, Filter)>> {
        let words_at = trailer_at.checked_sub(u64::from(self.words) * 8);
        let Some(words_at) = words_at.filter(|at| *at >= self.index_at) else { return Ok(None) };
        let places_bytes = usize::try_from(words_at - self.index_at).unwrap_or(usize::MAX);
        let places = Window::new(file, 0).take(self.index_at, places_bytes)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&places);
        let Some(pages) = self.places(&places) else { return Ok(None) };
        let mut words = Vec::with_capacity(usize::try_from(self.words).unwrap_or(0));
        let mut window = Window::new(file, FILTER_READ_BYTES);
        let mut at = words_at;
        while at < trailer_at {
            let len = usize::try_from(trailer_at - at).unwrap_or(FILTER_READ_BYTES).min(FILTER_READ_BYTES);
            let some = window.get(at, len)?;
            if some.len() < len {
                return Ok(None);
            }
            crc.update(some);
            words.extend(some.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)));
            at += len as u64;
        }
        if crc.finalize() != self.crc {
            return Ok(None);
        }
        Ok(Filter::of_words(words).map(|filter| (pages, filter)))
    }

    fn places(&self, bytes: &[u8]) -> Option<Vec<Place>> {
        let mut cursor = Cursor(bytes);
        let mut pages = Vec::with_capacity(usize::try_from(self.pages).unwrap_or(0).min(bytes.len()));
        for _ in 0..self.pages {
            let len = cursor.u8()?;
            let first = Box::from(cursor.take(usize::from(len))?);
            pages.push(Place { first, at: cursor.u64()?, len: cursor.u32()? });
        }
        cursor.0.is_empty().then_some(pages)
    }
}

/// A run that is being written.
pub(crate) struct Writer {
    folder: PathBuf,
    span: Span,
    part: PathBuf,
    file: File,
    /// Not in the file yet.
    bytes: Vec<u8>,
    /// Where the page that is being filled begins in `bytes`, and its first key.
    page_at: usize,
    first: Option<Box<[u8]>>,
    written: u64,
    pages: Vec<Place>,
    filter: Filter,
    entries: u64,
}

impl Writer {
    /// A new run with at most so many entries.
    pub(crate) fn new(folder: &Path, span: Span, entries_max: u64) -> Result<Self, EngineError> {
        let part = folder.join(format!("{}.part", span.file_name()));
        let file =
            File::create(&part).map_err(|e| EngineError::new(format!("create {}", part.display()), e))?;
        Ok(Self {
            folder: folder.to_owned(),
            span,
            part,
            file,
            bytes: Vec::new(),
            page_at: 0,
            first: None,
            written: 0,
            pages: Vec::new(),
            filter: Filter::for_keys(usize::try_from(entries_max).unwrap_or(0)),
            entries: 0,
        })
    }

    fn fail(&self) -> impl FnOnce(io::Error) -> EngineError + use<> {
        let place = format!("write {}", self.part.display());
        move |e| EngineError::new(place, e)
    }

    /// Adds an entry. Keys must rise.
    pub(crate) fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), EngineError> {
        let lens = (u8::try_from(key.len()), u32::try_from(value.map_or(0, <[u8]>::len)));
        let (Ok(key_len), Ok(value_len)) = lens else {
            return Err(EngineError::new(format!("write {}", self.part.display()), "an entry is too large"));
        };
        self.first.get_or_insert_with(|| key.into());
        self.filter.insert(hash(key));
        self.entries += 1;
        self.bytes.reserve(ENTRY_BYTES + key.len() + value.map_or(0, <[u8]>::len));
        self.bytes.push(key_len);
        self.bytes.extend_from_slice(&value.map_or(GONE, |_| value_len).to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        if self.bytes.len() - self.page_at >= PAGE_BYTES {
            self.end_page();
        }
        if self.bytes.len() >= SYNC_BYTES { self.write() } else { Ok(()) }
    }

    fn end_page(&mut self) {
        let Some(first) = self.first.take() else { return };
        let crc = crc32fast::hash(self.bytes.get(self.page_at..).unwrap_or_default());
        self.bytes.extend_from_slice(&crc.to_le_bytes());
        let len = u32::try_from(self.bytes.len() - self.page_at).unwrap_or(u32::MAX);
        self.pages.push(Place { first, at: self.written + self.page_at as u64, len });
        self.page_at = self.bytes.len();
    }

    /// Writes the pages that are complete.
    fn write(&mut self) -> Result<(), EngineError> {
        let complete = self.bytes.get(..self.page_at).unwrap_or_default();
        self.file.write_all(complete).and_then(|()| self.file.sync_data()).map_err(self.fail())?;
        self.written += complete.len() as u64;
        self.bytes.drain(..self.page_at);
        self.page_at = 0;
        Ok(())
    }

    /// Completes the run: from here on it is there.
    pub(crate) fn finish(mut self) -> Result<Run, EngineError> {
        self.end_page();
        let index_at = self.written + self.bytes.len() as u64;
        let start = self.bytes.len();
        for page in &self.pages {
            self.bytes.push(u8::try_from(page.first.len()).unwrap_or(u8::MAX));
            self.bytes.extend_from_slice(&page.first);
            self.bytes.extend_from_slice(&page.at.to_le_bytes());
            self.bytes.extend_from_slice(&page.len.to_le_bytes());
        }
        for word in self.filter.words() {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        let trailer = Trailer {
            index_at,
            pages: u32::try_from(self.pages.len()).unwrap_or(u32::MAX),
            words: u32::try_from(self.filter.words().len()).unwrap_or(u32::MAX),
            entries: self.entries,
            crc: crc32fast::hash(self.bytes.get(start..).unwrap_or_default()),
        };
        self.bytes.extend_from_slice(&trailer.encode());
        self.page_at = self.bytes.len();
        self.write()?;
        let whole = self.folder.join(self.span.file_name());
        let named = self.file.sync_all().and_then(|()| fs::rename(&self.part, &whole));
        named.map_err(self.fail())?;
        sync_folder(&self.folder)?;
        Run::open(&self.folder, self.span)
    }
}
