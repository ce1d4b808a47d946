//! The keys of damaged pages: which ones may have been lost, and everything that was not. It reads
//! and never writes.

use crate::{
    disk::seam::{LostKeys, VisitPair},
    error::EngineError,
    sorted::{Content, Merge, SortedFile, Source, Walk, fences::KeyRange},
};

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// A run with the ranges of its damaged pages.
struct DamagedRun {
    file: SortedFile,
    ranges: Vec<KeyRange>,
}

/// The damaged pages of all runs.
pub(super) struct LostPages {
    /// The newest first.
    runs: Vec<DamagedRun>,
}

impl LostPages {
    /// Reads all runs, the oldest given first; `None` if no page is damaged.
    pub(super) fn find(runs: &[SortedFile]) -> Result<Option<Self>, EngineError> {
        let ranges =
            |file: &SortedFile| Ok(DamagedRun { file: file.clone(), ranges: file.damaged_ranges()? });
        let runs: Vec<DamagedRun> = runs.iter().rev().map(ranges).collect::<Result<_, EngineError>>()?;
        Ok(runs.iter().any(|damaged| !damaged.ranges.is_empty()).then_some(Self { runs }))
    }

    /// All records of the pages that are not damaged, tombstones among them.
    pub(super) fn rest(&self) -> Result<Merge<'static>, EngineError> {
        let walks = self.runs.iter().map(|damaged| Walk::skipping_damage(&damaged.file, READ_BYTES));
        let sources = walks.map(|walk| Ok(Box::new(walk?) as Box<dyn Source>));
        Ok(Merge::new(sources.collect::<Result<_, EngineError>>()?))
    }
}

impl LostKeys for LostPages {
    fn contains(&self, key: &[u8]) -> Result<bool, EngineError> {
        let is_inside = |damaged: &DamagedRun| damaged.ranges.iter().any(|range| range.contains(key));
        if !self.runs.iter().any(is_inside) {
            return Ok(false);
        }
        for damaged in &self.runs {
            if is_inside(damaged) {
                return Ok(damaged.file.may_hold(key));
            }
            if damaged.file.get(key, |record| Content::from(record))?.is_some() {
                return Ok(false);
            }
        }
        Ok(false)
    }

    fn for_each_other(&self, visit: &mut VisitPair<'_>) -> Result<(), EngineError> {
        let mut rest = self.rest()?;
        while let Some(record) = rest.head() {
            if let Some(value) = record.value {
                visit(record.key, value)?;
            }
            rest.advance()?;
        }
        Ok(())
    }
}
