//! A value in a block file: its frame as bytes, and reading frames through a window of the file. It must never take
//! for a frame what is none.

use std::io;

use crate::{
    bytes::{Cursor, overwrite},
    disk::seam::Value,
    disk::window::Window,
};

/// Bytes before a value.
pub(crate) const FRAME_BYTES: u64 = 20;
/// Bytes before the first frame.
pub(crate) const HEADER_BYTES: u64 = 16;
/// More than any value: a damaged length must not exhaust memory.
const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;
const MAGIC: &[u8; 8] = b"patchblk";
const VERSION: u32 = 1;

/// What a file begins with.
pub(crate) fn header() -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    overwrite(&mut bytes, 0, MAGIC);
    overwrite(&mut bytes, 8, &VERSION.to_le_bytes());
    let crc = crc32fast::hash(bytes.get(..12).unwrap_or_default());
    overwrite(&mut bytes, 12, &crc.to_le_bytes());
    bytes
}

/// Whether a file that begins so is one of ours, of this version.
pub(crate) fn is_header(bytes: &[u8; HEADER_BYTES as usize]) -> bool {
    *bytes == header()
}

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) key: u64,
    /// Where it begins in its file.
    pub(crate) at: u64,
    len: u32,
    crc: u32,
}

impl Frame {
    /// The frame of a value that is to lie at `at`. `None`: it is too large.
    pub(crate) fn of(key: u64, at: u64, value: &[u8]) -> Option<Self> {
        let len = u32::try_from(value.len()).ok().filter(|_| value.len() <= VALUE_BYTES_MAX)?;
        Some(Self { key, at, len, crc: crc32fast::hash(value) })
    }

    /// The frame at the beginning of these bytes, which lie at `at`.
    pub(crate) fn parse(bytes: &[u8], at: u64) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        let (len, key, crc) = (cursor.u32()?, cursor.u64()?, cursor.u32()?);
        let is_sound = usize::try_from(len).is_ok_and(|len| len <= VALUE_BYTES_MAX)
            && cursor.u32()? == crc32fast::hash(bytes.get(..16)?);
        is_sound.then_some(Self { key, at, len, crc })
    }

    pub(crate) fn encode(&self) -> [u8; FRAME_BYTES as usize] {
        let mut bytes = [0; FRAME_BYTES as usize];
        overwrite(&mut bytes, 0, &self.len.to_le_bytes());
        overwrite(&mut bytes, 4, &self.key.to_le_bytes());
        overwrite(&mut bytes, 12, &self.crc.to_le_bytes());
        let crc = crc32fast::hash(bytes.get(..16).unwrap_or_default());
        overwrite(&mut bytes, 16, &crc.to_le_bytes());
        bytes
    }

    /// Where the next one begins.
    pub(crate) fn end(&self) -> u64 {
        self.at.saturating_add(FRAME_BYTES).saturating_add(u64::from(self.len))
    }

    /// Whether a value is the one that was written.
    pub(crate) fn holds(&self, value: &[u8]) -> bool {
        value.len() as u64 == u64::from(self.len) && crc32fast::hash(value) == self.crc
    }

    /// The frame at `at`, where one must be.
    pub(crate) fn read(window: &mut Window<'_>, at: u64) -> io::Result<Self> {
        let bytes = window.get(at, FRAME_BYTES as usize)?;
        Self::parse(bytes, at)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("the block at byte {at}")))
    }

    /// Its value, cut short where the file ends.
    pub(crate) fn value(&self, window: &mut Window<'_>) -> io::Result<Value> {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX);
        Ok(Value::from(window.get(self.at + FRAME_BYTES, len)?))
    }
}
