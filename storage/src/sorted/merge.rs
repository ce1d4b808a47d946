//! Several sorted sources as one. It copies nothing but the key at hand.

use crate::{error::EngineError, sorted::SortedRecord};

/// PageRecords in rising order of their keys, each key once.
pub(crate) trait Source {
    /// Returns the record at hand; `None` at the end.
    fn head(&self) -> Option<SortedRecord<'_>>;
    /// Moves on to the next record.
    fn advance(&mut self) -> Result<(), EngineError>;
}

/// The union of several sources; where they share a key, the first source wins.
pub(crate) struct Merge<'a> {
    sources: Vec<Box<dyn Source + 'a>>,
    /// The source whose head has the least key.
    least: Option<usize>,
    key: Vec<u8>,
}

impl<'a> Merge<'a> {
    /// Merges sources, the newest first.
    pub(crate) fn new(sources: Vec<Box<dyn Source + 'a>>) -> Self {
        let mut merge = Self { sources, least: None, key: Vec::new() };
        merge.least = merge.find_least();
        merge
    }

    fn find_least(&self) -> Option<usize> {
        let heads = self.sources.iter().enumerate().filter_map(|(n, source)| Some((source.head()?.key, n)));
        heads.min().map(|(_, n)| n)
    }
}

impl Source for Merge<'_> {
    fn head(&self) -> Option<SortedRecord<'_>> {
        self.sources.get(self.least?)?.head()
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend_from_slice(self.head().map_or(&[], |record| record.key));
        for source in &mut self.sources {
            if source.head().is_some_and(|record| *record.key == *key) {
                source.advance()?;
            }
        }
        self.key = key;
        self.least = self.find_least();
        let rises = self.head().is_none_or(|record| *record.key > *self.key);
        invariant!(rises, "a source of {} is not in order", self.sources.len());
        Ok(())
    }
}
