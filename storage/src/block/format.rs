//! The block: one group commit as bytes. Version 1, little-endian:
//!
//! ```text
//! version u8 = 1 | crc32 u32 | first seq u64 | count u32 | body length u32 | body
//! body   = count records, each: length u32 | record
//! record = links u8 (bits 0 and 1: previous event none, absolute, distance; bits 2 and 3: the same
//!          for the previous event about the same subject, or 3: the previous event)
//!        | keys u8 | stream u128 | at u64 | previous (nothing, u64, u32) | about (the same)
//!        | keys | event (see codec.rs)
//! key    = hash u128 | a u128 | tag u8 (0: own seq, 1: a value follows) | value u64
//! ```
//!
//! The checksum covers everything but itself. Nothing in a record depends on the record's number,
//! so that it can be encoded before the number is known. Version 1 must never change.

use message::{Event, Seq, StreamId, Timestamp};

use crate::{
    bytes::{Cursor, overwrite},
    codec,
    error::BlockFault,
    error::CodecError,
    item::{Item, KEYS_MAX, Key, Keys, Prev, Stored, Tag},
};

/// The version of the format.
pub(crate) const VERSION: u8 = 1;
/// Bytes before the body.
pub(crate) const HEADER_BYTES: usize = 21;
/// Bytes before each record.
const LENGTH_BYTES: usize = 4;
const CRC_AT: usize = 1;
const FIRST_AT: usize = 5;

const LINK_NONE: u8 = 0;
const LINK_ABSOLUTE: u8 = 1;
const LINK_DISTANCE: u8 = 2;
/// The event about the same subject is the stream's previous one.
const LINK_SAME: u8 = 3;
const LINK_BITS: u8 = 2;
const LINK_MASK: u8 = 3;

/// An item that cannot be encoded.
pub(crate) enum ItemFault {
    Prev,
    Keys,
    Codec(CodecError),
}

/// Encodes `item`, the `index`th of its append, at the end of `to`.
pub(crate) fn encode_record(item: &Item, index: usize, to: &mut Vec<u8>) -> Result<(), ItemFault> {
    let start = to.len();
    to.extend_from_slice(&[0; LENGTH_BYTES]);
    let keys = u8::try_from(item.keys.len()).ok().filter(|n| usize::from(*n) <= KEYS_MAX);
    let keys = keys.ok_or(ItemFault::Keys)?;
    let prev = Link::of(item.prev, index)?;
    let about = if item.about == item.prev { Link::Same } else { Link::of(item.about, index)? };
    to.push(prev.kind() | about.kind() << LINK_BITS);
    to.push(keys);
    to.extend_from_slice(&item.stream.0.to_le_bytes());
    to.extend_from_slice(&item.at.0.to_le_bytes());
    prev.put(to);
    about.put(to);
    for key in &item.keys {
        to.extend_from_slice(&key.hash.to_le_bytes());
        to.extend_from_slice(&key.a.to_le_bytes());
        match key.b {
            Tag::OwnSeq => to.push(0),
            Tag::Value(value) => {
                to.push(1);
                to.extend_from_slice(&value.to_le_bytes());
            }
        }
    }
    codec::encode(&item.event, to).map_err(ItemFault::Codec)?;
    let len = to.len().saturating_sub(start).saturating_sub(LENGTH_BYTES);
    let len = u32::try_from(len).map_err(|_| ItemFault::Codec(CodecError::Encode("over 4 GB".into())))?;
    overwrite(to, start, &len.to_le_bytes());
    Ok(())
}

/// An earlier event as a record names it.
#[derive(Clone, Copy)]
enum Link {
    None,
    Absolute(u64),
    Distance(u32),
    Same,
}

impl Link {
    fn of(earlier: Prev, index: usize) -> Result<Self, ItemFault> {
        match earlier {
            Prev::At(Seq::NONE) => Ok(Self::None),
            Prev::At(seq) => Ok(Self::Absolute(seq.0)),
            Prev::Earlier(earlier) => {
                let distance = u32::try_from(index).ok().and_then(|at| at.checked_sub(earlier));
                distance.filter(|d| *d > 0).map(Self::Distance).ok_or(ItemFault::Prev)
            }
        }
    }

    fn kind(self) -> u8 {
        match self {
            Self::None => LINK_NONE,
            Self::Absolute(_) => LINK_ABSOLUTE,
            Self::Distance(_) => LINK_DISTANCE,
            Self::Same => LINK_SAME,
        }
    }

    fn put(self, to: &mut Vec<u8>) {
        match self {
            Self::None | Self::Same => {}
            Self::Absolute(seq) => to.extend_from_slice(&seq.to_le_bytes()),
            Self::Distance(distance) => to.extend_from_slice(&distance.to_le_bytes()),
        }
    }
}

/// Begins an empty block in a buffer, to which records are appended.
pub(crate) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.extend_from_slice(&[0; HEADER_BYTES]);
}

/// Fills in the header of a complete block.
pub(crate) fn finish(buffer: &mut [u8], first: Seq, count: u32) {
    let body = u32::try_from(buffer.len().saturating_sub(HEADER_BYTES)).unwrap_or(u32::MAX);
    overwrite(buffer, 0, &[VERSION]);
    overwrite(buffer, FIRST_AT, &first.0.to_le_bytes());
    overwrite(buffer, FIRST_AT + 8, &count.to_le_bytes());
    overwrite(buffer, FIRST_AT + 12, &body.to_le_bytes());
    let crc = checksum(buffer);
    overwrite(buffer, CRC_AT, &crc.to_le_bytes());
}

fn checksum(block: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(block.get(..CRC_AT).unwrap_or_default());
    crc.update(block.get(FIRST_AT..).unwrap_or_default());
    crc.finalize()
}

/// A block whose checksum holds.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) first: Seq,
    pub(crate) count: u32,
    body: &'a [u8],
}

impl<'a> Block<'a> {
    /// Checks the header and the checksum of the block stored under `key`.
    pub(crate) fn parse(key: Seq, bytes: &'a [u8]) -> Result<Self, BlockFault> {
        let short = BlockFault::Short { have: bytes.len(), want: HEADER_BYTES };
        let mut cursor = Cursor(bytes);
        let version = cursor.u8().ok_or_else(|| short.clone())?;
        if version != VERSION {
            return Err(BlockFault::Version(version));
        }
        let fields = (cursor.u32(), cursor.u64(), cursor.u32(), cursor.u32());
        let (Some(wanted), Some(first), Some(count), Some(body_bytes)) = fields else {
            return Err(short);
        };
        let want = HEADER_BYTES.saturating_add(usize::try_from(body_bytes).unwrap_or(usize::MAX));
        if bytes.len() != want {
            return Err(BlockFault::Short { have: bytes.len(), want });
        }
        let found = checksum(bytes);
        if found != wanted {
            return Err(BlockFault::Checksum { found, wanted });
        }
        if first != key.0 {
            return Err(BlockFault::Key(Seq(first)));
        }
        Ok(Self { first: Seq(first), count, body: cursor.0 })
    }

    /// Finds a complete block at the beginning of `bytes`. Returns its first event, the event after
    /// its last, and its length.
    pub(crate) fn find(bytes: &'a [u8]) -> Option<(Seq, Seq, usize)> {
        let mut cursor = Cursor(bytes);
        if cursor.u8()? != VERSION {
            return None;
        }
        let (_, first, count, body_bytes) = (cursor.u32()?, cursor.u64()?, cursor.u32()?, cursor.u32()?);
        let want = HEADER_BYTES.checked_add(usize::try_from(body_bytes).ok()?)?;
        let is_plausible = first > 0 && count > 0 && count.checked_mul(4)? <= body_bytes;
        let block = Self::parse(Seq(first), bytes.get(..want).filter(|_| is_plausible)?).ok()?;
        Some((block.first, block.end(), want))
    }

    /// Returns a block whose header is not filled in yet, or was checked before.
    pub(crate) fn unfinished(first: Seq, count: u32, bytes: &'a [u8]) -> Self {
        Self { first, count, body: bytes.get(HEADER_BYTES..).unwrap_or_default() }
    }

    /// Returns the number after the last event.
    pub(crate) fn end(&self) -> Seq {
        Seq(self.first.0.saturating_add(u64::from(self.count)))
    }

    /// Returns the records, in order.
    pub(crate) fn records(&self) -> EventRecords<'a> {
        EventRecords { next: self.first, left: self.count, rest: Cursor(self.body) }
    }
}

/// Walks over the records of a block.
#[derive(Clone, Copy)]
pub(crate) struct EventRecords<'a> {
    next: Seq,
    left: u32,
    rest: Cursor<'a>,
}

impl<'a> Iterator for EventRecords<'a> {
    type Item = Result<EventRecord<'a>, BlockFault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let seq = self.next;
        self.next = Seq(seq.0.saturating_add(1));
        let bytes = self.rest.u32().and_then(|len| self.rest.take(usize::try_from(len).ok()?));
        if bytes.is_none() {
            self.left = 0;
        }
        Some(bytes.map(|bytes| EventRecord { seq, bytes }).ok_or(BlockFault::Record(seq)))
    }
}

/// An encoded event.
#[derive(Clone, Copy)]
pub(crate) struct EventRecord<'a> {
    pub(crate) seq: Seq,
    pub(crate) bytes: &'a [u8],
}

/// A decoded record without its event.
pub(crate) struct Envelope<'a> {
    pub(crate) prev: Seq,
    pub(crate) about: Seq,
    pub(crate) stream: StreamId,
    pub(crate) at: Timestamp,
    pub(crate) keys: Keys,
    event: &'a [u8],
}

impl<'a> EventRecord<'a> {
    /// Decodes everything but the event.
    pub(crate) fn envelope(&self) -> Result<Envelope<'a>, BlockFault> {
        self.try_envelope().ok_or(BlockFault::Record(self.seq))
    }

    fn try_envelope(&self) -> Option<Envelope<'a>> {
        let mut cursor = Cursor(self.bytes);
        let (links, count) = (cursor.u8()?, cursor.u8()?);
        let stream = StreamId(cursor.u128()?);
        let at = Timestamp(cursor.u64()?);
        let prev = self.link(links & LINK_MASK, None, &mut cursor)?;
        let about = self.link(links >> LINK_BITS, Some(prev), &mut cursor)?;
        let mut keys = Keys::new();
        for _ in 0..count {
            let (hash, a) = (cursor.u128()?, cursor.u128()?);
            let b = match cursor.u8()? {
                0 => Tag::OwnSeq,
                1 => Tag::Value(cursor.u64()?),
                _ => return None,
            };
            keys.push(Key { hash, a, b });
        }
        Some(Envelope { prev, about, stream, at, keys, event: cursor.0 })
    }

    /// Reads a link of a kind; `same` is the event that [`LINK_SAME`] stands for.
    fn link(&self, kind: u8, same: Option<Seq>, cursor: &mut Cursor<'a>) -> Option<Seq> {
        match kind {
            LINK_NONE => Some(Seq::NONE),
            LINK_ABSOLUTE => Some(Seq(cursor.u64()?)),
            LINK_DISTANCE => Some(Seq(self.seq.0.checked_sub(u64::from(cursor.u32()?))?)),
            LINK_SAME => same,
            _ => None,
        }
    }

    /// Decodes the record and its event.
    pub(crate) fn decode(&self) -> Result<Stored, BlockFault> {
        let Envelope { prev, about, stream, at, keys, event } = self.envelope()?;
        let event: Event = codec::decode(event).map_err(|e| BlockFault::Event(self.seq, e))?;
        Ok(Stored { seq: self.seq, prev, about, stream, at, keys, event })
    }
}
