//! Writes files of sorted look-ups: of what is in memory, of other such files, or of both merged. The newest of equal
//! keys stays; memory is a filter and one part of the file, however much is merged.

use crate::{
    bytes::overwrite,
    disk::seam::Engine,
    error::EngineError,
    hash::high,
    item::Found,
    lookup::file::{
        ENTRY_BYTES, Facts, Front, PAGE_BYTES, PAGE_COUNT_AT, PAGE_CRC_AT, PAGE_ENTRIES, Sealed, VERSION,
        Walk,
    },
    sorted::filter::Filter,
};

/// Written at once.
const PART_BYTES: usize = 1024 * 1024;

/// Sorted look-ups, each key once.
pub(crate) enum Source {
    Memory(std::vec::IntoIter<(u128, Found)>),
    File(Walk),
}

impl Source {
    fn next(&mut self) -> Result<Option<(u128, Found)>, EngineError> {
        match self {
            Self::Memory(entries) => Ok(entries.next()),
            Self::File(walk) => walk.next(),
        }
    }
}

/// Several sources as one: the oldest first, of equal keys the newest counts.
struct Merge {
    sources: Vec<(Option<(u128, Found)>, Source)>,
}

impl Merge {
    fn new(sources: Vec<Source>) -> Result<Self, EngineError> {
        let begun = sources.into_iter().map(|mut source| Ok((source.next()?, source)));
        Ok(Self { sources: begun.collect::<Result<_, EngineError>>()? })
    }

    fn next(&mut self) -> Result<Option<(u128, Found)>, EngineError> {
        let Some(least) = self.sources.iter().filter_map(|(head, _)| Some(head.as_ref()?.0)).min() else {
            return Ok(None);
        };
        let mut newest = None;
        for (head, source) in &mut self.sources {
            if head.is_some_and(|(hash, _)| hash == least) {
                newest = std::mem::replace(head, source.next()?);
            }
        }
        Ok(newest)
    }
}

/// Writes the look-ups of `sources`, the oldest first, with at most `entries_max` keys. A file of that name is replaced.
pub(crate) fn write(
    engine: &dyn Engine,
    segment: &str,
    file: &str,
    facts: Facts,
    (sources, entries_max): (Vec<Source>, u64),
) -> Result<Sealed, EngineError> {
    let mut all = Merge::new(sources)?;
    let mut build = Build::new(usize::try_from(entries_max).unwrap_or(0));
    let mut is_done = false;
    engine.write_parts(segment, file, &mut || {
        if is_done {
            return Ok(None);
        }
        let mut part = Vec::with_capacity(PART_BYTES + PAGE_BYTES);
        while part.len() < PART_BYTES {
            match all.next()? {
                Some((hash, found)) => build.add(hash, found, &mut part),
                None => {
                    build.finish(facts, &mut part);
                    is_done = true;
                    break;
                }
            }
        }
        Ok(Some(part))
    })?;
    Ok(Sealed::of(segment, file, facts, build.entries, build.front))
}

/// A file that is being written.
struct Build {
    front: Front,
    entries: u64,
    /// Of the page that is being filled.
    page: Vec<u8>,
}

impl Build {
    fn new(entries_max: usize) -> Self {
        let fences = Vec::with_capacity(entries_max.div_ceil(PAGE_ENTRIES));
        let front = Front { filter: Filter::for_keys(entries_max), fences };
        Self { front, entries: 0, page: Vec::with_capacity(PAGE_BYTES) }
    }

    fn add(&mut self, hash: u128, found: Found, to: &mut Vec<u8>) {
        if self.page.is_empty() {
            self.front.fences.push(high(hash));
        }
        self.front.filter.insert(hash);
        self.entries = self.entries.saturating_add(1);
        self.page.extend_from_slice(&hash.to_le_bytes());
        self.page.extend_from_slice(&found.a.to_le_bytes());
        self.page.extend_from_slice(&found.b.to_le_bytes());
        if self.page.len() >= PAGE_COUNT_AT {
            self.end_page(to);
        }
    }

    fn end_page(&mut self, to: &mut Vec<u8>) {
        let count = (self.page.len() / ENTRY_BYTES) as u64;
        if count == 0 {
            return;
        }
        self.page.resize(PAGE_BYTES, 0);
        overwrite(&mut self.page, PAGE_COUNT_AT, &count.to_le_bytes());
        let crc = crc32fast::hash(self.page.get(..PAGE_CRC_AT).unwrap_or_default());
        overwrite(&mut self.page, PAGE_CRC_AT, &crc.to_le_bytes());
        to.append(&mut self.page);
    }

    fn finish(&mut self, facts: Facts, to: &mut Vec<u8>) {
        self.end_page(to);
        let front = self.front.encode();
        to.extend_from_slice(&front);
        let Facts { first, last, from, to: until, events, block_bytes } = facts;
        let words = self.front.filter.words().len() as u64;
        let mut trailer = vec![VERSION];
        for field in [first.0, last.0, from.0, until.0, events, block_bytes, self.entries, words] {
            trailer.extend_from_slice(&field.to_le_bytes());
        }
        trailer.extend_from_slice(&crc32fast::hash(&front).to_le_bytes());
        let crc = crc32fast::hash(&trailer);
        trailer.extend_from_slice(&crc.to_le_bytes());
        to.extend_from_slice(&trailer);
    }
}
