//! Encodes and decodes events. The only file that knows bincode; the encoding is frozen under block
//! version 1 and must never change its meaning, which golden files prove.

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use message::Event;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::CodecError;

/// Maximum memory for decoding one event, in bytes; a damaged length must not exhaust memory.
const DECODED_BYTES_MAX: usize = 64 * 1024 * 1024;

fn config() -> Configuration<LittleEndian, Varint, Limit<DECODED_BYTES_MAX>> {
    standard().with_limit()
}

/// Appends the event's bytes to `to`.
pub(crate) fn encode(event: &Event, to: &mut Vec<u8>) -> Result<(), CodecError> {
    bincode::serde::encode_into_std_write(event, to, config())
        .map(|_| ())
        .map_err(|e| CodecError::Encode(e.to_string()))
}

/// Decodes an event that fills `bytes` exactly.
pub(crate) fn decode(bytes: &[u8]) -> Result<Event, CodecError> {
    read(bytes)
}

/// Encodes a snapshot as the bytes of an index entry. The versions are variants of the snapshot's
/// own type, so its first byte is the version.
pub fn encode_snapshot<T: Serialize>(snapshot: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    bincode::serde::encode_into_std_write(snapshot, &mut bytes, config())
        .map_err(|e| CodecError::Encode(e.to_string()))?;
    Ok(bytes)
}

/// Decodes a snapshot that fills `bytes` exactly.
pub fn decode_snapshot<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    read(bytes)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (event, used) =
        bincode::serde::decode_from_slice(bytes, config()).map_err(|e| CodecError::Decode(e.to_string()))?;
    match bytes.len().checked_sub(used) {
        Some(0) | None => Ok(event),
        Some(left) => Err(CodecError::Trailing(left)),
    }
}
