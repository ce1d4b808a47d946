//! A part of a file in memory, so that pages in order are read several at a time.

use std::sync::Arc;

use crate::{disk::seam::Reader, error::EngineError, sorted::fences::Place};

/// A part of a file in memory, moved forward as it is read.
pub(super) struct ReadAhead {
    reader: Arc<dyn Reader>,
    /// Bytes read at once.
    size: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl ReadAhead {
    pub(super) fn new(reader: Arc<dyn Reader>, size: usize) -> Self {
        Self { reader, size, start: 0, bytes: Vec::new() }
    }

    /// Returns `place.bytes` bytes, or fewer at the end of the file.
    pub(super) fn get(&mut self, place: Place) -> Result<&[u8], EngineError> {
        let inside = place.offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        if inside.is_none_or(|skip| skip.saturating_add(place.bytes) > self.bytes.len()) {
            self.start = place.offset;
            self.bytes.resize(place.bytes.max(self.size), 0);
            let filled = self.reader.read_at(place.offset, &mut self.bytes)?;
            self.bytes.truncate(filled);
        }
        let skip = usize::try_from(place.offset - self.start).unwrap_or(usize::MAX);
        let rest = self.bytes.get(skip..).unwrap_or_default();
        Ok(rest.get(..place.bytes).unwrap_or(rest))
    }
}
