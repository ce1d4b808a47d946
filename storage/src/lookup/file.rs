//! A file of look-ups: those of a full segment, or of a part of one that still grows.

use std::sync::Arc;

use message::Seq;

use crate::{
    bytes::Cursor,
    disk::seam::{Engine, Reader},
    error::EngineError,
    item::Found,
    lookup::{facts::Facts, memtable::MemTable, readers::ReaderPool},
    sorted::{
        Merge, ReaderSource, Shape, SortedFile, SortedRecord, Source, UNIFORM_KEY_BYTES, UNIFORM_VALUE_BYTES,
        Walk, write,
    },
};

/// The file of a whole segment, in its folder. Its presence makes the segment sealed.
pub(crate) const WHOLE: &str = "keys";
/// Bytes read at once while files are merged.
const MERGE_READ_BYTES: usize = 256 * 1024;

/// The file of the part of a segment that begins at `first`.
pub(crate) fn part_name(first: Seq) -> String {
    format!("{WHOLE}-{:020}", first.0)
}

/// A file of look-ups.
#[derive(Clone)]
pub(crate) struct LookupFile {
    pub(crate) facts: Facts,
    pub(crate) name: Arc<str>,
    file: SortedFile,
}

impl LookupFile {
    /// Opens a file and reads its trailer. `None` if it is missing.
    pub(crate) fn open(
        readers: &Arc<ReaderPool>,
        segment: &str,
        name: &str,
    ) -> Result<Option<Self>, EngineError> {
        let Some(reader) = readers.engine().open_file(segment, name)? else { return Ok(None) };
        let file = SortedFile::open(
            &format!("{segment}/{name}"),
            source(readers, segment, name, reader),
            Shape::Uniform,
        )?;
        Ok(Some(Self { facts: Facts::from_note(file.note()), name: name.into(), file }))
    }

    /// Writes the look-ups of `sources`, the newest first. A file of that name is replaced.
    pub(crate) fn write(
        readers: &Arc<ReaderPool>,
        (segment, name): (&str, &str),
        facts: Facts,
        sources: LookupSources,
    ) -> Result<Self, EngineError> {
        let mut merged = Merge::new(sources.sources);
        let new = (Shape::Uniform, sources.records_max, facts.to_note());
        let written = write(new, &mut merged, |next| readers.engine().write_parts(segment, name, next))?;
        let label = format!("{segment}/{name}");
        let reader = readers.engine().open_file(segment, name)?;
        let reader = reader.ok_or_else(|| EngineError::damaged(&label, 0, "it is missing"))?;
        let file = SortedFile::from_written(&label, source(readers, segment, name, reader), written);
        Ok(Self { facts, name: name.into(), file })
    }

    pub(crate) fn len(&self) -> u64 {
        self.file.len()
    }

    /// Bytes of its filter and fences, whether they are in memory or not.
    pub(crate) fn resident_bytes(&self) -> usize {
        usize::try_from(self.file.resident_bytes()).unwrap_or(usize::MAX)
    }

    pub(crate) fn is_resident(&self) -> bool {
        self.file.is_resident()
    }

    /// Returns the file with its filter and fences in memory.
    pub(crate) fn with_resident(&self) -> Result<Self, EngineError> {
        Ok(Self { file: self.file.with_resident()?, ..self.clone() })
    }

    /// Returns the file with its filter and fences on the disk only.
    pub(crate) fn without_resident(&self) -> Self {
        Self { file: self.file.without_resident(), ..self.clone() }
    }

    /// Reads every byte of it.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        self.file.check()
    }

    pub(crate) fn find(&self, hash: u128) -> Result<Option<Found>, EngineError> {
        Ok(self.file.get(&hash.to_be_bytes(), found_in)?.flatten())
    }
}

/// Reads every byte of a file and returns its facts; `None` if it is missing.
pub(crate) fn check(engine: &dyn Engine, segment: &str, name: &str) -> Result<Option<Facts>, EngineError> {
    let Some(reader) = engine.open_file(segment, name)? else { return Ok(None) };
    let file = SortedFile::open(&format!("{segment}/{name}"), Arc::new(reader), Shape::Uniform)?;
    file.check()?;
    Ok(Some(Facts::from_note(file.note())))
}

/// Parts stay open: a merge of parts takes the name of the first, which must not be read in its
/// place.
fn source(
    readers: &Arc<ReaderPool>,
    segment: &str,
    name: &str,
    reader: Arc<dyn Reader>,
) -> Arc<dyn ReaderSource> {
    if name == WHOLE { Arc::new(readers.file(segment, name, reader)) } else { Arc::new(reader) }
}

fn found_in(record: SortedRecord<'_>) -> Option<Found> {
    let mut cursor = Cursor(record.value?);
    Some(Found { a: cursor.u128()?, b: cursor.u64()? })
}

/// Look-ups to be written, the newest source first.
#[derive(Default)]
pub(crate) struct LookupSources {
    sources: Vec<Box<dyn Source>>,
    records_max: u64,
}

impl LookupSources {
    /// Adds the keys of a table, which must be complete, as the next older source.
    pub(crate) fn push_table(&mut self, table: &MemTable) {
        let sorted = table.sorted();
        self.records_max += sorted.len() as u64;
        self.sources.push(Box::new(TableSource::new(sorted)));
    }

    /// Adds a file as the next older source.
    pub(crate) fn push_file(&mut self, file: &LookupFile) -> Result<(), EngineError> {
        self.records_max += file.len();
        self.sources.push(Box::new(Walk::new(&file.file, &[], MERGE_READ_BYTES)?));
        Ok(())
    }
}

/// Sorted keys in memory as a source.
struct TableSource {
    rest: std::vec::IntoIter<(u128, Found)>,
    key: [u8; UNIFORM_KEY_BYTES],
    value: [u8; UNIFORM_VALUE_BYTES],
    is_over: bool,
}

impl TableSource {
    fn new(sorted: Vec<(u128, Found)>) -> Self {
        let (key, value) = ([0; UNIFORM_KEY_BYTES], [0; UNIFORM_VALUE_BYTES]);
        let mut source = Self { rest: sorted.into_iter(), key, value, is_over: false };
        source.next();
        source
    }

    fn next(&mut self) {
        let Some((hash, found)) = self.rest.next() else {
            self.is_over = true;
            return;
        };
        self.key = hash.to_be_bytes();
        let (a, b) = self.value.split_at_mut(UNIFORM_KEY_BYTES);
        a.copy_from_slice(&found.a.to_le_bytes());
        b.copy_from_slice(&found.b.to_le_bytes());
    }
}

impl Source for TableSource {
    fn head(&self) -> Option<SortedRecord<'_>> {
        (!self.is_over).then_some(SortedRecord { key: &self.key, value: Some(&self.value) })
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        self.next();
        Ok(())
    }
}
