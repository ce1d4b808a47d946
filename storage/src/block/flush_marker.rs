//! What tells a block that was lost from one that never was: sled ends its file, without a word, at the first
//! place it cannot read, and everything behind is gone. So the key of the newest flushed block is noted beside it
//! after each flush. The note is not flushed itself: it may be old after a power cut, and is never ahead.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use message::Seq;

use crate::block::format::Block;

/// Its file, in the segment's folder.
const FILE: &str = "flushed";
/// Number, checksum, and nothing.
const SLOT_BYTES: usize = 16;
/// Written in turns, so that one of them is whole at any moment.
const SLOTS: u64 = 2;

/// The newest flushed block of a segment.
pub(crate) struct Mark {
    file: File,
    /// As the last run left it.
    pub(crate) before: Option<Seq>,
    newest: AtomicU64,
    writes: AtomicU64,
}

impl Mark {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut before = None;
        for slot in 0..SLOTS {
            let mut bytes = [0; SLOT_BYTES];
            if file.read_exact_at(&mut bytes, slot * SLOT_BYTES as u64).is_ok() {
                before = before.max(read(&bytes));
            }
        }
        Ok(Self { file, before, newest: AtomicU64::new(0), writes: AtomicU64::new(0) })
    }

    /// A block was written.
    pub(crate) fn written(&self, block: Seq) {
        self.newest.fetch_max(block.0, Ordering::Relaxed);
    }

    /// The newest block written. To be asked before the flush.
    pub(crate) fn newest(&self) -> Seq {
        Seq(self.newest.load(Ordering::Relaxed))
    }

    /// Blocks up to this one were flushed.
    pub(crate) fn flushed(&self, block: Seq) -> io::Result<()> {
        if block == Seq::NONE {
            return Ok(());
        }
        let slot = self.writes.fetch_add(1, Ordering::Relaxed) % SLOTS;
        let mut bytes = [0; SLOT_BYTES];
        let (number, rest) = bytes.split_at_mut(8);
        number.copy_from_slice(&block.0.to_le_bytes());
        let crc = crc32fast::hash(number).to_le_bytes();
        for (to, from) in rest.iter_mut().zip(crc) {
            *to = from;
        }
        self.file.write_all_at(&bytes, slot * SLOT_BYTES as u64)
    }
}

fn read(bytes: &[u8; SLOT_BYTES]) -> Option<Seq> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    let crc = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    (crc32fast::hash(number) == crc).then(|| Seq(u64::from_le_bytes(*number)))
}

/// The first block that is missing among those found whole in a database's file, whatever lies between them.
/// For the words of an error alone: it reads every octet.
pub(crate) fn first_missing(file: &[u8]) -> Option<Seq> {
    let mut found = std::collections::BTreeMap::new();
    let mut at = 0;
    while let Some(rest) = file.get(at..).filter(|rest| !rest.is_empty()) {
        match Block::find(rest) {
            Some((first, end, bytes)) => {
                found.insert(first, end);
                at += bytes;
            }
            None => at += 1,
        }
    }
    let mut expected = *found.first_key_value()?.0;
    for (first, end) in found {
        if first > expected {
            return Some(expected);
        }
        expected = expected.max(end);
    }
    Some(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_is_never_ahead_and_survives_a_torn_slot() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Mark::open(folder.path()).unwrap().before, None);
        let mark = Mark::open(folder.path()).unwrap();
        for number in [1, 5, 9] {
            mark.written(Seq(number));
            mark.flushed(mark.newest()).unwrap();
        }
        mark.written(Seq(12));
        assert_eq!(Mark::open(folder.path()).unwrap().before, Some(Seq(9)));
        // 9 was written to the first slot: torn, the one before is left.
        mark.file.write_all_at(&[0xff; 3], 0).unwrap();
        assert_eq!(Mark::open(folder.path()).unwrap().before, Some(Seq(5)));
    }
}
