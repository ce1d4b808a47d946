//! The entries of the index and the answers to look-ups: plain values. Nothing here touches the
//! disk.

use message::{Seq, StreamId, Timestamp};

use crate::{bytes::Cursor, error::IndexError};

const ENTRY_VERSION: u8 = 1;

/// The state of an open stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The last event that the state contains.
    pub applied: Seq,
    /// When the stream needs attention.
    pub due: Option<Timestamp>,
    /// The state, opaque to the index. Empty if it was lost to damage: then its owner rebuilds it
    /// from the stream's events up to `applied`, and finds out whether the stream is open at all.
    pub bytes: Box<[u8]>,
}

/// The answer of [`crate::Index::lookup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The stream is open.
    Open(Entry),
    /// The stream is finished or unknown. Its last event that the index has seen; [`Seq::NONE`] if
    /// it has seen none.
    Finished(Seq),
}

/// An open stream and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenStream {
    /// The number of the stream.
    pub stream: StreamId,
    /// Its state.
    pub entry: Entry,
}

/// A stream that needs attention at a given time. Ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// Which stream.
    pub stream: StreamId,
}

impl Entry {
    pub(crate) fn encode(&self) -> Box<[u8]> {
        let mut to = Vec::with_capacity(18 + self.bytes.len());
        to.push(ENTRY_VERSION);
        to.extend_from_slice(&self.applied.0.to_le_bytes());
        to.push(u8::from(self.due.is_some()));
        to.extend_from_slice(&self.due.unwrap_or_default().0.to_le_bytes());
        to.extend_from_slice(&self.bytes);
        to.into()
    }

    pub(crate) fn decode(stream: StreamId, bytes: &[u8]) -> Result<Self, IndexError> {
        let read = || {
            let mut cursor = Cursor(bytes);
            let known = cursor.u8()? == ENTRY_VERSION;
            let applied = Seq(cursor.u64()?);
            let (has_due, due) = (cursor.u8()?, Timestamp(cursor.u64()?));
            known.then(|| Self { applied, due: (has_due == 1).then_some(due), bytes: cursor.0.into() })
        };
        read().ok_or_else(|| IndexError::Damaged(stream.to_string()))
    }
}

/// The entry that the index's database has for a stream, once everything that waits for it at this
/// moment is written. A caller that knows it saves the next checkpoint a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoredEntry {
    /// Not known: the checkpoint reads it.
    #[default]
    Unknown,
    /// No entry.
    Absent,
    /// An entry that is never due.
    NeverDue,
    /// An entry that is due at this time.
    Due(Timestamp),
}

impl StoredEntry {
    /// The state after an entry with this due time was written.
    pub fn with_due(due: Option<Timestamp>) -> Self {
        due.map_or(Self::NeverDue, Self::Due)
    }
}
