//! The changes since the last checkpoint, in memory, with their approximate size. It never touches
//! the disk.

use std::{
    collections::{BTreeSet, hash_map::Entry as MapEntry},
    sync::atomic::{AtomicU64, AtomicUsize},
};

use message::{Seq, StreamId, Timestamp};

use crate::{
    hash::UniformMap,
    index::entry::{Due, Entry, StoredEntry},
};

/// The progress of a complete checkpoint.
pub(crate) const MOVED_MAX: usize = 1_000;
/// Approximate bytes of a stream in the delta besides its state: its slot in the map, a third of
/// which is empty, and its due time.
const SLOT_BYTES: usize = 180;

/// A change of a stream.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// It is open.
    Put(Entry),
    /// It is finished; its last event.
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

    fn bytes(&self) -> usize {
        SLOT_BYTES
            + match self {
                Self::Put(entry) => entry.bytes.len(),
                Self::Removed(_) => 0,
            }
    }
}

/// Changes that are not in the database yet.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    pub(crate) slots: UniformMap<StreamId, (Slot, StoredEntry)>,
    pub(crate) due: BTreeSet<Due>,
    /// Approximate size in memory.
    pub(crate) bytes: usize,
}

impl Delta {
    /// Sets the slot of a stream. `stored` is used only for a stream that has no slot yet: the
    /// database does not change meanwhile.
    pub(crate) fn set(&mut self, stream: StreamId, slot: Slot, stored: StoredEntry) {
        let new = slot.due();
        self.bytes += slot.bytes();
        let old = match self.slots.entry(stream) {
            MapEntry::Occupied(mut occupied) => {
                let old = std::mem::replace(&mut occupied.get_mut().0, slot);
                let (was, is) = (old.applied(), occupied.get().0.applied());
                invariant!(was <= is, "{stream} goes back from {was} to {is}");
                invariant!(self.bytes >= old.bytes(), "{} bytes in the delta", self.bytes);
                self.bytes = self.bytes.saturating_sub(old.bytes());
                old.due()
            }
            MapEntry::Vacant(vacant) => {
                vacant.insert((slot, stored));
                None
            }
        };
        if old == new {
            return;
        }
        if let Some(at) = old {
            self.due.remove(&Due { at, stream });
        }
        if let Some(at) = new {
            self.due.insert(Due { at, stream });
        }
        let (due, slots) = (self.due.len(), self.slots.len());
        invariant!(due <= slots, "{due} instants of {slots} streams");
    }
}

/// The size of what waits in memory for the index's database.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DeltaSize {
    /// Approximate bytes of the changes since the last checkpoint began.
    pub live_bytes: usize,
    /// Approximate bytes of the changes that a running checkpoint moves. They stay in memory until
    /// it is complete.
    pub frozen_bytes: usize,
    /// The share of them that it has moved, from 0 to 1.
    pub moved: f64,
    /// The number that the checkpoint will have.
    pub moving_to: Seq,
}

/// The progress of a checkpoint, as counters. All but `live_bytes` are zero while none runs.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) live_bytes: AtomicUsize,
    pub(crate) frozen_bytes: AtomicUsize,
    /// In units of 1/[`MOVED_MAX`].
    pub(crate) moved: AtomicUsize,
    pub(crate) to: AtomicU64,
}
