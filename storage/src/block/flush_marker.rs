//! Records the last flushed block, so that recovery can tell a lost block from the end of the log:
//! sled ends a damaged file without an error at the first place that it cannot read.
//!
//! The marker is written after each flush and is not flushed itself: it may be old after a power
//! cut, and is never ahead of the blocks.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use message::Seq;

use crate::{
    bytes::{Cursor, overwrite},
    disk::descriptors::with_descriptor,
};

/// The marker's file, in the folder of its segment.
pub(crate) const FILE: &str = "flushed";
/// Bytes of a copy: block number, checksum, padding.
const COPY_BYTES: usize = 16;
/// Copies are overwritten in turns, so that one of them is complete at any moment.
const COPIES: u64 = 2;

/// The marker of one segment.
pub(crate) struct FlushMarker {
    file: File,
    /// The block that an earlier process recorded.
    pub(crate) found: Option<Seq>,
    /// Whether a copy is neither valid nor empty.
    pub(crate) is_damaged: bool,
    /// Whether the file was missing, or is empty.
    pub(crate) is_new: bool,
    writes: AtomicU64,
}

impl FlushMarker {
    /// Opens the marker of a folder, and creates it if it is missing.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let open = || File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = with_descriptor(open)?;
        let len = file.metadata()?.len();
        let mut is_damaged = !len.is_multiple_of(COPY_BYTES as u64);
        let mut found = None;
        for copy in 0..COPIES {
            let mut bytes = [0; COPY_BYTES];
            if file.read_exact_at(&mut bytes, copy * COPY_BYTES as u64).is_ok() {
                let block = decode(&bytes);
                is_damaged |= block.is_none() && bytes.iter().any(|byte| *byte != 0);
                found = found.max(block);
            }
        }
        Ok(Self { file, found, is_damaged, is_new: len == 0, writes: AtomicU64::new(0) })
    }

    /// Records that every block up to `block` is flushed.
    pub(crate) fn record(&self, block: Seq) -> io::Result<()> {
        let copy = self.writes.fetch_add(1, Ordering::Relaxed) % COPIES;
        let mut bytes = [0; COPY_BYTES];
        let number = block.0.to_le_bytes();
        overwrite(&mut bytes, 0, &number);
        overwrite(&mut bytes, 8, &crc32fast::hash(&number).to_le_bytes());
        self.file.write_all_at(&bytes, copy * COPY_BYTES as u64)
    }
}

fn decode(bytes: &[u8; COPY_BYTES]) -> Option<Seq> {
    let mut cursor = Cursor(bytes);
    let (number, crc) = (cursor.u64()?, cursor.u32()?);
    let is_padded = cursor.0.iter().all(|byte| *byte == 0);
    (crc32fast::hash(&number.to_le_bytes()) == crc && number > 0 && is_padded).then_some(Seq(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_never_ahead_and_survives_a_torn_copy() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(FlushMarker::open(folder.path()).unwrap().found, None);
        let marker = FlushMarker::open(folder.path()).unwrap();
        for number in [1, 5, 9] {
            marker.record(Seq(number)).unwrap();
        }
        assert_eq!(FlushMarker::open(folder.path()).unwrap().found, Some(Seq(9)));
        // The first copy holds 9. Torn, it leaves the second, which holds 5.
        marker.file.write_all_at(&[0xff; 3], 0).unwrap();
        assert_eq!(FlushMarker::open(folder.path()).unwrap().found, Some(Seq(5)));
    }
}
