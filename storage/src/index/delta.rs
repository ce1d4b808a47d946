//! What changed since the last checkpoint: in memory, with what it takes there. It never touches the disk.

use std::{
    collections::{BTreeSet, hash_map::Entry as MapEntry},
    sync::atomic::{AtomicU64, AtomicUsize},
};

use message::{Seq, StreamId, Timestamp};

use crate::{hash::UniformMap, index::store::Entry};

/// What a stream takes in the delta beside its state: its place in the map, of which a third is empty, and its instant.
const SLOT_BYTES: usize = 180;

/// What the delta says of a stream.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// It is open.
    Put(Entry),
    /// It is finished.
    Removed(Seq),
}

impl Slot {
    pub(crate) fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Put(entry) => entry.due,
            Self::Removed(_) => None,
        }
    }

    pub(crate) fn applied(&self) -> Seq {
        match self {
            Self::Put(entry) => entry.applied,
            Self::Removed(applied) => *applied,
        }
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        SLOT_BYTES
            + match self {
                Self::Put(entry) => entry.bytes.len(),
                Self::Removed(_) => 0,
            }
    }
}

/// What the database has of a stream, once all that waits for it at this moment is there. Who knows it spares the next
/// checkpoint a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Before {
    /// Not known: the checkpoint looks.
    #[default]
    Unknown,
    /// No entry.
    Nothing,
    /// An entry that is never due.
    NeverDue,
    /// An entry that is due at this instant.
    Due(Timestamp),
}

impl Before {
    /// What it has with an entry that is due then.
    pub fn entry(due: Option<Timestamp>) -> Self {
        due.map_or(Self::NeverDue, Self::Due)
    }
}

/// Changes that are not in the database yet.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    pub(crate) slots: UniformMap<StreamId, (Slot, Before)>,
    pub(crate) due: BTreeSet<(Timestamp, StreamId)>,
    /// What they take in memory, about.
    pub(crate) bytes: usize,
}

impl Delta {
    /// `before` counts only when nothing else is said of the stream here: what is in the database stays there meanwhile.
    pub(crate) fn set(&mut self, stream: StreamId, slot: Slot, before: Before) {
        let new = slot.due();
        self.bytes += slot.bytes();
        let old = match self.slots.entry(stream) {
            MapEntry::Occupied(mut there) => {
                let old = std::mem::replace(&mut there.get_mut().0, slot);
                self.bytes = self.bytes.saturating_sub(old.bytes());
                old.due()
            }
            MapEntry::Vacant(place) => {
                place.insert((slot, before));
                None
            }
        };
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.due.remove(&(old, stream));
        }
        if let Some(new) = new {
            self.due.insert((new, stream));
        }
    }
}

/// What waits in memory for the index's database.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Waiting {
    /// What those take that changed since the last checkpoint began, about.
    pub live_bytes: usize,
    /// What those take that a checkpoint is moving, about. All of it stays in memory until that is done.
    pub frozen_bytes: usize,
    /// The share of them that it has moved.
    pub moved: f64,
    /// What its number will be.
    pub moving_to: Seq,
}

/// The same, as it is counted. All zero but the first when no checkpoint is under way.
#[derive(Default)]
pub(crate) struct Moving {
    pub(crate) live_bytes: AtomicUsize,
    pub(crate) frozen_bytes: AtomicUsize,
    /// Of [`crate::index::checkpoint::MOVED_MAX`].
    pub(crate) moved: AtomicUsize,
    pub(crate) to: AtomicU64,
}
