//! The sorted file, the one format of index runs and of look-up files: immutable, written once and
//! whole, read by key or in order. It knows nothing of segments, events or the index, and never
//! returns bytes whose checksum is wrong.
//!
//! # Format
//!
//! Version 1, little-endian; a checksum covers every byte:
//!
//! ```text
//! pages | fences | filter | trailer
//!
//! page    = records | zeros | number of records u32 | crc32 of the page so far u32
//! record  = with Shape::Uniform:  key, 16 bytes | value, 24 bytes
//!           with Shape::Variable: key length u8 | value length u32 (all ones: a tombstone)
//!                                 | key | value
//! fences  = for each page
//!           with Shape::Uniform:  the first 8 bytes of its first key
//!           with Shape::Variable: key length u8 | its first key | offset u64 | length u32
//! filter  = words of 8 bytes
//! trailer = "patchsrt" | version u32 | shape u32 | pages u64 | bytes of all pages u64
//!         | records u64 | bytes of all fences u64 | words of the filter u64
//!         | crc32 of the fences u32 | crc32 of the filter u32
//!         | the owner's note, 7 words of 8 bytes | crc32 of the trailer so far u32
//! ```
//!
//! Keys rise in the order of their bytes. With [`Shape::Uniform`] pages are padded with zeros to
//! [`PAGE_BYTES`] and the keys are uniformly distributed, so that a page can be found by
//! interpolation while fences and filter are not in memory. With [`Shape::Variable`] a page ends at
//! the first record that takes it to [`PAGE_BYTES`], and the fences are always in memory.

mod compaction;
mod fences;
mod file;
mod filter;
mod lost;
mod merge;
mod page;
mod read_ahead;
pub(crate) mod runs;
mod trailer;
mod walk;
mod writer;

pub(crate) use file::{Content, ReaderSource, SortedFile};
pub(crate) use merge::{Merge, Source};
pub(crate) use trailer::Note;
pub(crate) use walk::Walk;
pub(crate) use writer::write;

/// Bytes of a page: exactly with [`Shape::Uniform`], at least with [`Shape::Variable`] (but for the
/// last).
pub(crate) const PAGE_BYTES: usize = 4096;
/// Bytes of a key with [`Shape::Uniform`].
pub(crate) const UNIFORM_KEY_BYTES: usize = 16;
/// Bytes of a value with [`Shape::Uniform`].
pub(crate) const UNIFORM_VALUE_BYTES: usize = 24;

/// The kind of records in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Keys that are uniformly distributed, and values, each of one size.
    Uniform,
    /// Any keys of up to 255 bytes; values of any size, or tombstones.
    Variable,
}

/// A record of a sorted file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SortedRecord<'a> {
    pub(crate) key: &'a [u8],
    /// `None` for a tombstone.
    pub(crate) value: Option<&'a [u8]>,
}

#[cfg(test)]
mod tests;
