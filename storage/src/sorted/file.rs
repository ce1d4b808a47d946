//! A sorted file that is read: by key, with or without its filter and fences in memory, or in
//! order.

use std::sync::Arc;

use crate::{
    disk::seam::{Reader, Value},
    error::EngineError,
    sorted::{
        Note, PAGE_BYTES, Shape, SortedRecord, UNIFORM_KEY_BYTES,
        fences::{Fences, FilterAndFences, KeyRange, Place},
        filter::{Filter, hash},
        page::{PageRecords, UNIFORM_RECORD_BYTES},
        read_ahead::ReadAhead,
        trailer::{TRAILER_BYTES, Trailer},
    },
};

/// Interpolation steps before the search falls back to bisection.
const INTERPOLATIONS_MAX: u32 = 4;
/// Bytes of a filter read at once; a multiple of a word.
const FILTER_READ_BYTES: usize = 64 * 1024;
/// Bytes read at once by [`SortedFile::check`].
const CHECK_READ_BYTES: usize = 256 * 1024;

/// A value in a sorted file, or the mark of a key that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Value(Value),
    Tombstone,
}

impl From<SortedRecord<'_>> for Content {
    fn from(record: SortedRecord<'_>) -> Self {
        record.value.map_or(Self::Tombstone, |value| Self::Value(value.into()))
    }
}

/// Gives the open file to read from.
pub(crate) trait ReaderSource: Send + Sync {
    fn reader(&self) -> Result<Arc<dyn Reader>, EngineError>;
}

impl ReaderSource for Arc<dyn Reader> {
    fn reader(&self) -> Result<Arc<dyn Reader>, EngineError> {
        Ok(self.clone())
    }
}

/// A file as it was just written.
pub(crate) struct Written {
    pub(super) trailer: Trailer,
    pub(super) resident: FilterAndFences,
}

/// A sorted file. Clones share what is in memory.
#[derive(Clone)]
pub(crate) struct SortedFile {
    /// Its name in errors.
    label: Arc<str>,
    source: Arc<dyn ReaderSource>,
    trailer: Trailer,
    resident: Option<Arc<FilterAndFences>>,
}

/// Where a key lies, seen from a page.
enum Side<'a> {
    /// Before the page, which begins with this.
    Before(u128),
    Here(Option<SortedRecord<'a>>),
    /// Behind the page, which ends with this.
    After(u128),
}

/// The position of a uniform key among all keys.
fn position(key: &[u8]) -> u128 {
    hash(Shape::Uniform, key)
}

/// The page at the position of a key, of `pages` pages with uniformly distributed keys.
fn interpolate(position: u128, pages: u64) -> u64 {
    u64::try_from(((position >> 64) * u128::from(pages)) >> 64).unwrap_or(0)
}

impl SortedFile {
    pub(crate) fn from_written(label: &str, source: Arc<dyn ReaderSource>, written: Written) -> Self {
        let Written { trailer, resident } = written;
        Self { label: label.into(), source, trailer, resident: Some(Arc::new(resident)) }
    }

    /// Opens a file: reads its trailer and nothing else.
    pub(crate) fn open(
        label: &str,
        source: Arc<dyn ReaderSource>,
        shape: Shape,
    ) -> Result<Self, EngineError> {
        let reader = source.reader()?;
        let bytes = reader.bytes()?;
        let at = bytes.saturating_sub(TRAILER_BYTES as u64);
        let damaged = |what: &'static str| EngineError::damaged(label, at, what);
        let trailer = Trailer::decode(&reader.read(at, TRAILER_BYTES)?, bytes).map_err(damaged)?;
        if trailer.shape != shape {
            return Err(damaged("its records are of another kind"));
        }
        Ok(Self { label: label.into(), source, trailer, resident: None })
    }

    pub(super) fn shape(&self) -> Shape {
        self.trailer.shape
    }

    pub(super) fn pages(&self) -> u64 {
        self.trailer.pages
    }

    pub(crate) fn note(&self) -> Note {
        self.trailer.note
    }

    /// The number of records.
    pub(crate) fn len(&self) -> u64 {
        self.trailer.records
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.trailer.page_bytes + self.resident_bytes()
    }

    /// Bytes of filter and fences, whether they are in memory or not.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.trailer.fence_bytes + self.trailer.filter_bytes()
    }

    pub(crate) fn is_resident(&self) -> bool {
        self.resident.is_some()
    }

    /// Returns the file with its filter and fences in memory.
    pub(crate) fn with_resident(&self) -> Result<Self, EngineError> {
        let resident = self.load_resident(self.source.reader()?)?;
        Ok(Self { resident: Some(Arc::new(resident)), ..self.clone() })
    }

    /// Returns the file with its filter and fences on the disk only.
    pub(crate) fn without_resident(&self) -> Self {
        Self { resident: None, ..self.clone() }
    }

    pub(super) fn damaged(&self, offset: u64, what: &'static str) -> EngineError {
        EngineError::damaged(&*self.label, offset, what)
    }

    /// The fences at once, the filter as it is decoded: fresh memory is the greatest cost of a
    /// start.
    fn load_resident(&self, reader: Arc<dyn Reader>) -> Result<FilterAndFences, EngineError> {
        let Trailer { shape, pages, page_bytes, fence_bytes, .. } = self.trailer;
        let fences = reader.read(page_bytes, usize::try_from(fence_bytes).unwrap_or(usize::MAX))?;
        if crc32fast::hash(&fences) != self.trailer.fences_crc {
            return Err(self.damaged(page_bytes, "the checksum of its fences is wrong"));
        }
        let fences = Fences::decode(shape, &fences, pages, page_bytes)
            .ok_or_else(|| self.damaged(page_bytes, "its fences do not fit its pages"))?;
        let begin = page_bytes + fence_bytes;
        let end = begin + self.trailer.filter_bytes();
        let mut words = Vec::with_capacity(usize::try_from(self.trailer.filter_words).unwrap_or(0));
        let mut ahead = ReadAhead::new(reader, FILTER_READ_BYTES);
        let (mut offset, mut crc) = (begin, crc32fast::Hasher::new());
        while offset < end {
            let bytes = usize::try_from(end - offset).unwrap_or(FILTER_READ_BYTES).min(FILTER_READ_BYTES);
            let some = ahead.get(Place { offset, bytes })?;
            crc.update(some);
            words.extend(some.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)));
            offset += bytes as u64;
        }
        let filter = Filter::from_words(words).filter(|_| crc.finalize() == self.trailer.filter_crc);
        let filter = filter.ok_or_else(|| self.damaged(begin, "the checksum of its filter is wrong"))?;
        Ok(FilterAndFences { filter, fences })
    }

    pub(super) fn place(&self, page: u64) -> Result<Place, EngineError> {
        if self.trailer.shape == Shape::Uniform {
            return Ok(Place { offset: page * PAGE_BYTES as u64, bytes: PAGE_BYTES });
        }
        let fences = self.resident.as_ref().map(|resident| &resident.fences);
        let place = fences.and_then(|fences| fences.place(usize::try_from(page).ok()?));
        place.ok_or_else(|| self.damaged(self.trailer.page_bytes, "its fences are not in memory"))
    }

    /// Checks the bytes of a page.
    pub(super) fn parse<'a>(&self, bytes: &'a [u8], place: Place) -> Result<PageRecords<'a>, EngineError> {
        let records = PageRecords::parse(self.trailer.shape, bytes).filter(|_| bytes.len() == place.bytes);
        records.ok_or_else(|| self.damaged(place.offset, "the checksum of a page is wrong"))
    }

    /// Looks a key up and reads its record.
    pub(crate) fn get<T>(
        &self,
        key: &[u8],
        read: impl FnOnce(SortedRecord<'_>) -> T,
    ) -> Result<Option<T>, EngineError> {
        let pages = self.trailer.pages;
        let (mut low, mut end) = (0, pages);
        let mut guess = interpolate(position(key), pages);
        if let Some(resident) = &self.resident {
            if !resident.filter.may_hold(hash(self.trailer.shape, key)) {
                return Ok(None);
            }
            end = resident.fences.pages_up_to(key) as u64;
            guess = end.saturating_sub(1);
            if self.trailer.shape == Shape::Variable {
                low = guess;
            }
        }
        if low >= end {
            return Ok(None);
        }
        let reader = self.source.reader()?;
        let mut steps = 0;
        while low < end {
            let page = guess.clamp(low, end - 1);
            let place = self.place(page)?;
            let bytes = reader.read(place.offset, place.bytes)?;
            match side(&self.parse(&bytes, place)?, key) {
                Side::Here(found) => return Ok(found.map(read)),
                Side::Before(first) => {
                    end = page;
                    let pages_back = interpolate(first - position(key), pages);
                    guess = page.saturating_sub(1).saturating_sub(pages_back);
                }
                Side::After(last) => {
                    low = page + 1;
                    guess = low.saturating_add(interpolate(position(key) - last, pages));
                }
            }
            steps += 1;
            if steps >= INTERPOLATIONS_MAX && self.resident.is_none() {
                guess = low.midpoint(end);
            }
        }
        Ok(None)
    }

    pub(super) fn reader(&self) -> Result<Arc<dyn Reader>, EngineError> {
        self.source.reader()
    }

    /// The last page that begins at or before a key; the first page if fences are not in memory.
    pub(super) fn last_page_up_to(&self, key: &[u8]) -> u64 {
        let pages = self.resident.as_ref().map_or(0, |resident| resident.fences.pages_up_to(key));
        pages.saturating_sub(1) as u64
    }

    /// Whether the file may hold a key, by its filter if that is in memory.
    pub(super) fn may_hold(&self, key: &[u8]) -> bool {
        let hash = hash(self.trailer.shape, key);
        self.resident.as_ref().is_none_or(|resident| resident.filter.may_hold(hash))
    }

    /// Reads all pages and returns the ranges of keys of the damaged ones. The fences must be in
    /// memory.
    pub(super) fn damaged_ranges(&self) -> Result<Vec<KeyRange>, EngineError> {
        let mut ahead = ReadAhead::new(self.source.reader()?, CHECK_READ_BYTES);
        let mut ranges = Vec::new();
        for page in 0..self.pages() {
            let place = self.place(page)?;
            if self.parse(ahead.get(place)?, place).is_err() {
                let fences = self.resident.as_ref().map(|resident| &resident.fences);
                let first_key = |page: u64| fences?.first_key(usize::try_from(page).ok()?);
                let from = Box::from(first_key(page).unwrap_or_default());
                ranges.push(KeyRange { from, until: first_key(page + 1).map(Box::from) });
            }
        }
        Ok(ranges)
    }

    /// Reads every byte and checks that fences, filter, number and order of the records fit each
    /// other.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let whole = self.with_resident()?;
        let Some(resident) = &whole.resident else { return Ok(()) };
        let mut ahead = ReadAhead::new(self.source.reader()?, CHECK_READ_BYTES);
        let (mut records, mut last) = (0, None);
        for page in 0..whole.pages() {
            let place = whole.place(page)?;
            let mut is_first = true;
            for record in whole.parse(ahead.get(place)?, place)? {
                let fits = !is_first || resident.fences.fits(usize::try_from(page).unwrap_or(0), record.key);
                let rises = last.as_deref().is_none_or(|last: &[u8]| *last < *record.key);
                if !fits || !rises || !resident.filter.may_hold(hash(whole.shape(), record.key)) {
                    return Err(self.damaged(place.offset, "its keys do not fit its fences or its filter"));
                }
                (is_first, last) = (false, Some(record.key.to_vec()));
                records += 1;
            }
        }
        if records == self.trailer.records {
            Ok(())
        } else {
            Err(self.damaged(0, "records are missing from it"))
        }
    }
}

fn side<'a>(records: &PageRecords<'a>, key: &[u8]) -> Side<'a> {
    let all = match records.shape {
        Shape::Variable => {
            let mut records = *records;
            return Side::Here(records.find(|record| *record.key == *key));
        }
        Shape::Uniform => records.uniform(),
    };
    let key_of = |record: &'a [u8; UNIFORM_RECORD_BYTES]| record.first_chunk::<UNIFORM_KEY_BYTES>();
    match (all.first().and_then(key_of), all.last().and_then(key_of)) {
        (Some(first), _) if *key < first[..] => Side::Before(position(first)),
        (_, Some(last)) if *key > last[..] => Side::After(position(last)),
        _ => {
            let at = all.binary_search_by(|record| record.get(..UNIFORM_KEY_BYTES).cmp(&Some(key)));
            let record = at.ok().and_then(|at| all.get(at)?.split_at_checked(UNIFORM_KEY_BYTES));
            Side::Here(record.map(|(key, value)| SortedRecord { key, value: Some(value) }))
        }
    }
}
