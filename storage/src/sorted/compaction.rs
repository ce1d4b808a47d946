//! Which runs are worth merging, and the records of a merge or a write as a source.

use crate::{
    disk::seam::Write,
    error::EngineError,
    sorted::{Merge, SortedRecord, Source},
};

/// Minimum number of runs that are merged at once.
const MERGE_MIN: usize = 4;
/// A run is merged with newer ones that are together at least 1/`MERGE_RATIO` of its size.
const MERGE_RATIO: u64 = 2;
/// Smaller runs count as this large.
const RUN_BYTES_MIN: u64 = 64 * 1024;
/// PageRecords between two calls of a compaction's `go_on`.
const STEP_RECORDS: usize = 1_024;

/// Returns the first of the runs that are worth merging, given the bytes of each, the oldest first;
/// `None` if they are too few.
pub(super) fn first_to_merge(bytes: &[u64]) -> Option<usize> {
    let mut sum: u64 = 0;
    let mut first = bytes.len();
    for (at, bytes) in bytes.iter().enumerate().rev() {
        let bytes = *bytes.max(&RUN_BYTES_MIN);
        if sum > 0 && bytes > sum.saturating_mul(MERGE_RATIO) {
            break;
        }
        sum = sum.saturating_add(bytes);
        first = at;
    }
    (bytes.len() - first >= MERGE_MIN).then_some(first)
}

/// The records of a merge, with or without tombstones.
pub(super) struct Compaction<'a> {
    merge: Merge<'a>,
    keeps_tombstones: bool,
    passed: usize,
    go_on: &'a dyn Fn() -> bool,
}

impl<'a> Compaction<'a> {
    /// Asks `go_on` from time to time and fails when it says no.
    pub(super) fn new(
        merge: Merge<'a>,
        keeps_tombstones: bool,
        go_on: &'a dyn Fn() -> bool,
    ) -> Result<Self, EngineError> {
        let mut compaction = Self { merge, keeps_tombstones, passed: 0, go_on };
        compaction.skip_tombstones()?;
        Ok(compaction)
    }

    fn skip_tombstones(&mut self) -> Result<(), EngineError> {
        while !self.keeps_tombstones && self.merge.head().is_some_and(|record| record.value.is_none()) {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), EngineError> {
        self.merge.advance()?;
        self.passed += 1;
        if self.passed.is_multiple_of(STEP_RECORDS) && !(self.go_on)() {
            return Err(EngineError::new("merge the index", "it is being closed"));
        }
        Ok(())
    }
}

impl Source for Compaction<'_> {
    fn head(&self) -> Option<SortedRecord<'_>> {
        self.merge.head()
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        self.step()?;
        self.skip_tombstones()
    }
}

/// Writes as a source. Their keys must rise.
pub(super) struct WriteSource<'a> {
    writes: &'a mut dyn Iterator<Item = Write>,
    head: Option<Write>,
}

impl<'a> WriteSource<'a> {
    pub(super) fn new(writes: &'a mut dyn Iterator<Item = Write>) -> Self {
        let head = writes.next();
        Self { writes, head }
    }
}

impl Source for WriteSource<'_> {
    fn head(&self) -> Option<SortedRecord<'_>> {
        self.head.as_ref().map(|write| match write {
            Write::Put(key, value) => SortedRecord { key, value: Some(value) },
            Write::Delete(key) => SortedRecord { key, value: None },
        })
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        self.head = self.writes.next();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However large the runs are, few are left once nothing is worth merging.
        #[test]
        fn few_runs_are_left(sizes in prop::collection::vec(1u64..100_000_000, 1..200)) {
            let mut runs = Vec::new();
            for size in sizes {
                runs.push(size);
                while let Some(first) = first_to_merge(&runs) {
                    let merged = runs.split_off(first).iter().sum();
                    runs.push(merged);
                }
                prop_assert!(runs.len() <= 30, "{:?}", runs);
            }
        }
    }
}
