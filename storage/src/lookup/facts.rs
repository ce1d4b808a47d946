//! Facts about a range of events that are known without reading it. They are stored with look-up
//! files.

use message::{Seq, Timestamp};

use crate::sorted::Note;

/// Facts about consecutive events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    pub(crate) first: Seq,
    /// Before `first` without events.
    pub(crate) last: Seq,
    /// The earliest time.
    pub(crate) from: Timestamp,
    /// The latest time.
    pub(crate) to: Timestamp,
    pub(crate) events: u64,
    pub(crate) block_bytes: u64,
    /// Bytes of the files that hold the blocks when nothing more is written to them; zero before.
    pub(crate) file_bytes: u64,
}

impl Facts {
    /// No events, before the event `first`.
    pub(crate) fn empty(first: Seq) -> Self {
        Self { first, last: Seq(first.0.saturating_sub(1)), ..Self::default() }
    }

    /// Adds the facts about the events behind.
    pub(crate) fn join(self, next: Self) -> Self {
        if next.events == 0 {
            return self;
        }
        Self {
            first: self.first,
            last: next.last,
            from: if self.events == 0 { next.from } else { self.from.min(next.from) },
            to: self.to.max(next.to),
            events: self.events.saturating_add(next.events),
            block_bytes: self.block_bytes.saturating_add(next.block_bytes),
            file_bytes: 0,
        }
    }

    /// The number of the event behind the last.
    pub(crate) fn end(&self) -> Seq {
        Seq(self.last.0.saturating_add(1))
    }

    pub(crate) fn to_note(self) -> Note {
        let Self { first, last, from, to, events, block_bytes, file_bytes } = self;
        [first.0, last.0, from.0, to.0, events, block_bytes, file_bytes]
    }

    pub(crate) fn from_note(note: Note) -> Self {
        let [first, last, from, to, events, block_bytes, file_bytes] = note;
        let (from, to) = (Timestamp(from), Timestamp(to));
        Self { first: Seq(first), last: Seq(last), from, to, events, block_bytes, file_bytes }
    }
}
