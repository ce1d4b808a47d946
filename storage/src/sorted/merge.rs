//! Several sorted sources of entries as one, and which runs are worth merging. It copies nothing that it only passes by.

use crate::{
    error::EngineError,
    sorted::run_file::{Kept, Walk},
};

/// Runs that are merged at once, at least.
const MERGE_MIN: usize = 4;
/// A run is merged with newer ones up to so many times smaller together.
const MERGE_RATIO: u64 = 2;
/// Smaller runs count as this large.
const RUN_BYTES_MIN: u64 = 64 * 1024;

/// The first of the runs that are worth merging, given the bytes of each, the oldest first; none if they are too few.
pub(crate) fn first_to_merge(bytes: &[u64]) -> Option<usize> {
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

/// Entries in order.
pub(crate) enum Source<'a> {
    /// Of a table in memory, the next one first.
    Table(std::vec::IntoIter<(Box<[u8]>, Kept)>),
    /// Of a run.
    Run(Walk<'a>),
}

impl Source<'_> {
    fn head(&self) -> Option<(&[u8], Option<&[u8]>)> {
        match self {
            Self::Table(table) => table.as_slice().first().map(|(key, value)| (&**key, value.as_deref())),
            Self::Run(walk) => walk.head(),
        }
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        match self {
            Self::Table(table) => {
                table.next();
                Ok(())
            }
            Self::Run(walk) => walk.advance(),
        }
    }
}

/// Several sources as one; of those that know a key the first is right.
pub(crate) struct Merge<'a> {
    sources: Vec<Source<'a>>,
    /// The source with the entry it stands on.
    least: Option<usize>,
    key: Vec<u8>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(sources: Vec<Source<'a>>) -> Self {
        let mut merge = Self { sources, least: None, key: Vec::new() };
        merge.least = merge.find_least();
        merge
    }

    fn find_least(&self) -> Option<usize> {
        let heads = self.sources.iter().enumerate().filter_map(|(n, source)| Some((source.head()?.0, n)));
        heads.min().map(|(_, n)| n)
    }

    /// The entry it stands on; none at the end.
    pub(crate) fn head(&self) -> Option<(&[u8], Option<&[u8]>)> {
        self.sources.get(self.least?)?.head()
    }

    /// Moves on to the next key.
    pub(crate) fn advance(&mut self) -> Result<(), EngineError> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend_from_slice(self.head().map_or(&[], |(key, _)| key));
        for source in &mut self.sources {
            if source.head().is_some_and(|(other, _)| *other == *key) {
                source.advance()?;
            }
        }
        self.key = key;
        self.least = self.find_least();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is left after merging for as long as it is worth it: few, whatever their sizes.
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
