//! The keys of the index's database: `e` stream (its entry), `d` due time and stream (no value),
//! `g` stream (a tombstone), `m` name (a number).

use message::{StreamId, Timestamp};

use crate::{bytes::Cursor, index::entry::Due};

pub(crate) const META_CHECKPOINT: &[u8] = b"mcheckpoint";
pub(crate) const META_ENTRIES: &[u8] = b"mentries";

fn stream_key(kind: u8, stream: StreamId) -> Box<[u8]> {
    let mut key = Vec::with_capacity(17);
    key.push(kind);
    key.extend_from_slice(&stream.0.to_be_bytes());
    key.into()
}

pub(crate) fn entry_key(stream: StreamId) -> Box<[u8]> {
    stream_key(b'e', stream)
}

pub(crate) fn tombstone_key(stream: StreamId) -> Box<[u8]> {
    stream_key(b'g', stream)
}

pub(crate) fn due_key(due: Due) -> Box<[u8]> {
    let mut key = Vec::with_capacity(25);
    key.push(b'd');
    key.extend_from_slice(&due.at.0.to_be_bytes());
    key.extend_from_slice(&due.stream.0.to_be_bytes());
    key.into()
}

/// A key above those of all streams that are due at `until`.
pub(crate) fn due_end(until: Timestamp) -> Box<[u8]> {
    match until.0.checked_add(1) {
        Some(next) => due_key(Due { at: Timestamp(next), stream: StreamId(0) }),
        None => Box::from(*b"e"),
    }
}

pub(crate) fn read_stream(key: &[u8]) -> Option<StreamId> {
    let mut cursor = Cursor(key);
    cursor.u8()?;
    cursor.array().map(|bytes| StreamId(u128::from_be_bytes(bytes)))
}

pub(crate) fn read_due(key: &[u8]) -> Option<Due> {
    let mut cursor = Cursor(key);
    cursor.u8()?;
    let at = Timestamp(cursor.array().map(u64::from_be_bytes)?);
    Some(Due { at, stream: StreamId(cursor.array().map(u128::from_be_bytes)?) })
}
