//! The list of segments in a file of its own, by which a start notices that one is missing, or that
//! the newest is older than it was. It is written before anything in a new segment is acknowledged,
//! before retention removes a folder, and with each checkpoint.

use std::sync::{Mutex, MutexGuard, PoisonError};

use message::Seq;

use crate::{block::name::name_of, bytes::Cursor, disk::seam::Engine, error::EngineError};

/// The file, beside the folders of the segments.
pub(crate) const FILE: &str = "segments";
/// The folder of the engine itself.
const ROOT: &str = "";
const MAGIC: &[u8; 8] = b"patchseg";
const VERSION: u32 = 2;
/// Maximum number of bytes of the file: a damaged one is not worth more memory than that.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The content of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The first events of all segments, in order.
    pub(crate) firsts: Vec<Seq>,
    /// An event that was flushed; later ones may have been, too.
    pub(crate) committed: Seq,
}

/// The list as it is on the disk.
#[derive(Default)]
pub(crate) struct SegmentList(Mutex<Listed>);

/// The list as a start found it.
pub(crate) enum StoredList {
    /// The file is missing: the log is new, or the file was removed.
    Missing,
    Damaged(EngineError),
    Listed(Listed),
}

fn encode(listed: &Listed) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&listed.committed.0.to_le_bytes());
    bytes.extend(listed.firsts.iter().flat_map(|first| first.0.to_le_bytes()));
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Listed> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    let mut cursor = Cursor(content);
    let is_ours = crc32fast::hash(content) == u32::from_le_bytes(*crc)
        && cursor.array() == Some(*MAGIC)
        && cursor.u32() == Some(VERSION);
    let committed = Seq(cursor.u64()?);
    let (firsts, rest) = cursor.0.as_chunks();
    let firsts = firsts.iter().map(|first| Seq(u64::from_le_bytes(*first))).collect();
    (is_ours && rest.is_empty()).then_some(Listed { firsts, committed })
}

/// Reads the list.
pub(crate) fn read(engine: &dyn Engine) -> Result<StoredList, EngineError> {
    let Some(bytes) = engine.read_file(ROOT, FILE, 0, BYTES_MAX)? else { return Ok(StoredList::Missing) };
    Ok(match decode(&bytes) {
        Some(listed) => StoredList::Listed(listed),
        None => StoredList::Damaged(EngineError::damaged(FILE, 0, "its checksum is wrong")),
    })
}

/// Returns the first listed segment that has no folder.
pub(crate) fn missing(listed: &[Seq], names: &[(Seq, String)]) -> Option<String> {
    let is_there = |first: &Seq| names.binary_search_by_key(first, |(first, _)| *first).is_ok();
    listed.iter().find(|first| !is_there(first)).map(|first| name_of(*first))
}

impl SegmentList {
    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the list, and writes it if that changes it. On the disk when this returns.
    fn change(&self, engine: &dyn Engine, change: impl FnOnce(&mut Listed)) -> Result<(), EngineError> {
        let mut list = self.lock();
        let mut changed = list.clone();
        change(&mut changed);
        if *list != changed {
            engine.write_file(ROOT, FILE, &encode(&changed))?;
            *list = changed;
        }
        Ok(())
    }

    /// Sets the segments.
    pub(crate) fn set(&self, engine: &dyn Engine, firsts: Vec<Seq>) -> Result<(), EngineError> {
        self.change(engine, |list| list.firsts = firsts)
    }

    /// Takes the list as it is on the disk.
    pub(crate) fn load(&self, listed: Listed) {
        *self.lock() = listed;
    }

    /// Adds a segment, whose folder exists.
    pub(crate) fn add(&self, engine: &dyn Engine, first: Seq) -> Result<(), EngineError> {
        self.change(engine, |list| {
            if list.firsts.last() != Some(&first) {
                let last = list.firsts.last().copied().unwrap_or_default();
                invariant!(last < first, "segment {first} is listed after {last}");
                list.firsts.push(first);
            }
        })
    }

    /// Removes segments before `first`.
    pub(crate) fn remove_before(&self, engine: &dyn Engine, first: Seq) -> Result<(), EngineError> {
        self.change(engine, |list| list.firsts.retain(|listed| *listed >= first))
    }

    /// Records that everything up to an event is flushed.
    pub(crate) fn note_committed(&self, engine: &dyn Engine, committed: Seq) -> Result<(), EngineError> {
        self.change(engine, |list| list.committed = list.committed.max(committed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_back_and_any_damage_is_noticed() {
        let firsts: Vec<Seq> = [1, 40, u64::MAX].map(Seq).into();
        let listed = Listed { firsts, committed: Seq(77) };
        let bytes = encode(&listed);
        assert_eq!(decode(&bytes), Some(listed));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), None);
        }
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), None);
        }
    }
}
