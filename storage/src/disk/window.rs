//! A part of a file in memory, moved where it is needed. It never writes.

use std::{fs::File, io};

use crate::disk::{around::Around, files::read_around};

/// A part of a file in memory, moved where it is needed.
pub(crate) struct Window<'a> {
    file: &'a File,
    around: Around,
    /// Read at once.
    size: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(crate) fn new(file: &'a File, around: Around, size: usize) -> Self {
        Self { file, around, size, start: 0, bytes: Vec::new() }
    }

    /// Up to `len` bytes from `at` on; fewer at the end of the file.
    pub(crate) fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let inside = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let is_inside = inside.is_some_and(|skip| skip.saturating_add(len) <= self.bytes.len());
        if !is_inside {
            self.load(at, len.max(self.size))?;
        }
        let skip = usize::try_from(at - self.start).unwrap_or(usize::MAX);
        let rest = self.bytes.get(skip..).unwrap_or_default();
        Ok(rest.get(..len).unwrap_or(rest))
    }

    fn load(&mut self, at: u64, len: usize) -> io::Result<()> {
        self.start = at;
        self.bytes.resize(len, 0);
        let filled = read_around(self.around, self.file, at, &mut self.bytes)?;
        self.bytes.truncate(filled);
        Ok(())
    }
}
