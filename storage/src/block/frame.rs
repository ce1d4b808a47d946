//! The frame of a block in a block file: the bytes before it, and the header of the file.
//! A frame whose checksum is wrong is never returned.

use std::io;

use message::Seq;

use crate::{
    bytes::{Cursor, overwrite},
    disk::{seam::Value, window::Window},
};

/// Bytes of a frame before its value.
pub(crate) const FRAME_BYTES: u64 = 20;
/// Bytes of the file before its first frame.
pub(crate) const HEADER_BYTES: u64 = 16;
/// Maximum bytes of a value; a damaged length must not exhaust memory.
const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;
const MAGIC: &[u8; 8] = b"patchblk";
const VERSION: u32 = 1;

/// Returns the header of a block file.
pub(crate) fn header() -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    overwrite(&mut bytes, 0, MAGIC);
    overwrite(&mut bytes, 8, &VERSION.to_le_bytes());
    let crc = crc32fast::hash(bytes.get(..12).unwrap_or_default());
    overwrite(&mut bytes, 12, &crc.to_le_bytes());
    bytes
}

/// The place of one block in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) block: Seq,
    /// Where the frame begins.
    pub(crate) at: u64,
    len: u32,
    crc: u32,
}

impl Frame {
    /// Returns the frame of a value that is written at `at`; `None` if the value is too large.
    pub(crate) fn of(block: Seq, at: u64, value: &[u8]) -> Option<Self> {
        let len = u32::try_from(value.len()).ok().filter(|_| value.len() <= VALUE_BYTES_MAX)?;
        Some(Self { block, at, len, crc: crc32fast::hash(value) })
    }

    /// Decodes the frame at the beginning of `bytes`, which lie at `at`.
    pub(crate) fn parse(bytes: &[u8], at: u64) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        let (len, block, crc) = (cursor.u32()?, Seq(cursor.u64()?), cursor.u32()?);
        let is_sound = usize::try_from(len).is_ok_and(|len| len <= VALUE_BYTES_MAX)
            && cursor.u32()? == crc32fast::hash(bytes.get(..16)?);
        is_sound.then_some(Self { block, at, len, crc })
    }

    /// Encodes the bytes that go before the value.
    pub(crate) fn encode(&self) -> [u8; FRAME_BYTES as usize] {
        let mut bytes = [0; FRAME_BYTES as usize];
        overwrite(&mut bytes, 0, &self.len.to_le_bytes());
        overwrite(&mut bytes, 4, &self.block.0.to_le_bytes());
        overwrite(&mut bytes, 12, &self.crc.to_le_bytes());
        let crc = crc32fast::hash(bytes.get(..16).unwrap_or_default());
        overwrite(&mut bytes, 16, &crc.to_le_bytes());
        bytes
    }

    /// Returns where the next frame begins.
    pub(crate) fn end(&self) -> u64 {
        self.at.saturating_add(FRAME_BYTES).saturating_add(u64::from(self.len))
    }

    /// Returns whether a value is the one that was written.
    pub(crate) fn holds(&self, value: &[u8]) -> bool {
        value.len() as u64 == u64::from(self.len) && crc32fast::hash(value) == self.crc
    }

    /// Reads the frame at `at`. Anything else there is an error.
    pub(crate) fn read(window: &mut Window<'_>, at: u64) -> io::Result<Self> {
        let bytes = window.get(at, FRAME_BYTES as usize)?;
        Self::parse(bytes, at)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("the block at byte {at}")))
    }

    /// Reads the frame's value, which is short if the file ends before it does.
    pub(crate) fn value(&self, window: &mut Window<'_>) -> io::Result<Value> {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX);
        Ok(Value::from(window.get(self.at + FRAME_BYTES, len)?))
    }
}
