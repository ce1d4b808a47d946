//! The list of segments in a file of its own, by which a start notices that one is missing. It is
//! written before anything in a new segment is acknowledged, and before retention removes a folder.

use std::sync::{Mutex, MutexGuard, PoisonError};

use message::Seq;

use crate::{block::name::name_of, bytes::Cursor, disk::seam::Engine, error::EngineError};

/// The file, beside the folders of the segments.
pub(crate) const FILE: &str = "segments";
/// The folder of the engine itself.
const ROOT: &str = "";
const MAGIC: &[u8; 8] = b"patchseg";
const VERSION: u32 = 1;
/// Maximum number of bytes of the file: a damaged one is not worth more memory than that.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The first events of all segments, in order.
#[derive(Default)]
pub(crate) struct SegmentList(Mutex<Vec<Seq>>);

/// The list as a start found it.
pub(crate) enum StoredList {
    /// The file is missing: the log is new, or the file was removed.
    Missing,
    Damaged(EngineError),
    Firsts(Vec<Seq>),
}

fn encode(firsts: &[Seq]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend(firsts.iter().flat_map(|first| first.0.to_le_bytes()));
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Vec<Seq>> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    let mut cursor = Cursor(content);
    let is_ours = crc32fast::hash(content) == u32::from_le_bytes(*crc)
        && cursor.array() == Some(*MAGIC)
        && cursor.u32() == Some(VERSION);
    let (firsts, rest) = cursor.0.as_chunks();
    (is_ours && rest.is_empty()).then(|| firsts.iter().map(|first| Seq(u64::from_le_bytes(*first))).collect())
}

/// Reads the list.
pub(crate) fn read(engine: &dyn Engine) -> Result<StoredList, EngineError> {
    let Some(bytes) = engine.read_file(ROOT, FILE, 0, BYTES_MAX)? else { return Ok(StoredList::Missing) };
    Ok(match decode(&bytes) {
        Some(firsts) => StoredList::Firsts(firsts),
        None => StoredList::Damaged(EngineError::damaged(FILE, 0, "its checksum is wrong")),
    })
}

/// Returns the first listed segment that has no folder.
pub(crate) fn missing(listed: &[Seq], names: &[(Seq, String)]) -> Option<String> {
    let is_there = |first: &Seq| names.binary_search_by_key(first, |(first, _)| *first).is_ok();
    listed.iter().find(|first| !is_there(first)).map(|first| name_of(*first))
}

impl SegmentList {
    fn lock(&self) -> MutexGuard<'_, Vec<Seq>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the list, and writes it if that changes it.
    pub(crate) fn set(&self, engine: &dyn Engine, firsts: Vec<Seq>) -> Result<(), EngineError> {
        let mut list = self.lock();
        if *list != firsts {
            engine.write_file(ROOT, FILE, &encode(&firsts))?;
            *list = firsts;
        }
        Ok(())
    }

    /// Takes the list as it is on the disk.
    pub(crate) fn load(&self, firsts: Vec<Seq>) {
        *self.lock() = firsts;
    }

    /// Adds a segment, whose folder exists. On the disk when this returns.
    pub(crate) fn add(&self, engine: &dyn Engine, first: Seq) -> Result<(), EngineError> {
        let mut firsts = self.lock().clone();
        if firsts.last() != Some(&first) {
            firsts.push(first);
        }
        self.set(engine, firsts)
    }

    /// Removes segments before `first`. On the disk when this returns.
    pub(crate) fn remove_before(&self, engine: &dyn Engine, first: Seq) -> Result<(), EngineError> {
        let mut firsts = self.lock().clone();
        firsts.retain(|listed| *listed >= first);
        self.set(engine, firsts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_back_and_any_damage_is_noticed() {
        let firsts: Vec<Seq> = [1, 40, u64::MAX].map(Seq).into();
        let bytes = encode(&firsts);
        assert_eq!(decode(&bytes), Some(firsts));
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
