//! The sessions in memory: bounded, least recently used idle ones leave first (second chance), changed ones
//! are known to the next checkpoint.

use std::collections::HashMap;

use message::{Seq, StreamId, Timestamp};
use smallvec::SmallVec;
use storage::StoredEntry;

use crate::{
    config::DestinationIx,
    domain::{hash::StreamHash, session::Session},
};

/// A session in memory.
pub(crate) struct Slot {
    pub(crate) stream: StreamId,
    pub(crate) session: Session,
    /// Its channel's place; `None` when that channel is no longer configured.
    pub(crate) channel: Option<usize>,
    /// Its newest event in the log.
    pub(crate) head: Seq,
    /// Its newest event among those of the batch under way, as an index.
    pub(crate) pending: Option<u32>,
    /// Whether the channel was told that it has parts to send.
    pub(crate) announced: bool,
    /// Destinations that hold deliveries of it.
    pub(crate) offered: SmallVec<[DestinationIx; 1]>,
    /// What the index has of it.
    pub(crate) before: StoredEntry,
    /// The instant at which it is looked at again.
    pub(crate) timer: Option<Timestamp>,
    /// Whether every message was looked at for that, since it came into memory and since the timer was last due: then
    /// only what changed can bring it forward.
    pub(crate) timed: bool,
    /// The earliest instant of what changed since the timer was last set.
    pub(crate) soonest: Option<Timestamp>,
    /// Deliveries up to this number were looked at for destinations that are not offered any.
    pub(crate) offered_to: u32,
    /// Whether it is on the list of the next checkpoint.
    pub(crate) dirty: bool,
    /// Whether it was used since the hand last passed.
    pub(crate) used: bool,
    /// Whether it is on the list of the batch under way.
    pub(crate) touched: bool,
}

impl Slot {
    pub(crate) fn new(stream: StreamId, session: Session, head: Seq) -> Self {
        Self {
            stream,
            session,
            channel: None,
            head,
            pending: None,
            announced: false,
            offered: SmallVec::new(),
            timer: None,
            before: StoredEntry::Unknown,
            timed: false,
            soonest: None,
            offered_to: 0,
            dirty: false,
            used: true,
            touched: false,
        }
    }

    /// Whether more is about to happen to it. One that waits for its turn on the channel, or for somebody to write, makes room
    /// for those.
    pub(crate) fn is_under_way(&self) -> bool {
        let Session { queue, sent, deliveries, .. } = &self.session;
        let is_at_rest = queue.is_empty() && sent.is_empty() && deliveries.is_empty();
        !self.announced && !is_at_rest
    }

    /// Destinations for which `keep` does not hold are offered its deliveries anew.
    pub(crate) fn offered_again(&mut self, keep: impl Fn(DestinationIx) -> bool) {
        self.offered.retain(|destination| keep(*destination));
        self.offered_to = 0;
    }
}

/// The sessions in memory.
pub(crate) struct LiveSessions {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_stream: HashMap<StreamId, u32, StreamHash>,
    dirty: Vec<u32>,
    hand: usize,
    max: usize,
}

impl LiveSessions {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_stream: HashMap::default(),
            dirty: Vec::new(),
            hand: 0,
            max,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_stream.len()
    }

    /// How many are more than may stay.
    pub(crate) fn excess(&self) -> usize {
        self.by_stream.len().saturating_sub(self.max)
    }

    pub(crate) fn get(&self, stream: StreamId) -> Option<&Slot> {
        self.slots.get(*self.by_stream.get(&stream)? as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, stream: StreamId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(*self.by_stream.get(&stream)? as usize)?.as_mut()?;
        slot.used = true;
        Some(slot)
    }

    pub(crate) fn contains(&self, stream: StreamId) -> bool {
        self.by_stream.contains_key(&stream)
    }

    pub(crate) fn insert(&mut self, slot: Slot) {
        let stream = slot.stream;
        if let Some(index) = self.by_stream.get(&stream) {
            if let Some(place) = self.slots.get_mut(*index as usize) {
                *place = Some(slot);
            }
            return;
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        if let Some(place) = self.slots.get_mut(index as usize) {
            *place = Some(slot);
        }
        self.by_stream.insert(stream, index);
    }

    pub(crate) fn remove(&mut self, stream: StreamId) -> Option<Slot> {
        let index = self.by_stream.remove(&stream)?;
        self.free.push(index);
        self.slots.get_mut(index as usize)?.take()
    }

    /// Puts a session on the list of the next checkpoint.
    pub(crate) fn mark_dirty(&mut self, stream: StreamId) {
        let Some(&index) = self.by_stream.get(&stream) else { return };
        if let Some(Some(slot)) = self.slots.get_mut(index as usize)
            && !slot.dirty
        {
            slot.dirty = true;
            self.dirty.push(index);
        }
    }

    /// The list of the checkpoint that begins.
    pub(crate) fn take_dirty(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.dirty)
    }

    /// The session in a place of that list; its place may have passed to another, which does no harm.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// The next session that may leave memory: not used since the hand last came by, and `idle`.
    pub(crate) fn victim(&mut self, mut idle: impl FnMut(&Slot) -> bool) -> Option<StreamId> {
        for _ in 0..self.slots.len().saturating_mul(2).min(LOOK_MAX) {
            self.hand = (self.hand + 1) % self.slots.len().max(1);
            let Some(Some(slot)) = self.slots.get_mut(self.hand) else { continue };
            if slot.used {
                slot.used = false;
            } else if idle(slot) {
                return Some(slot.stream);
            }
        }
        None
    }

    /// The streams of the sessions for which `which` holds, in order.
    pub(crate) fn streams(&self, which: impl Fn(&Slot) -> bool) -> Vec<StreamId> {
        let mut streams: Vec<StreamId> =
            self.slots.iter().flatten().filter(|slot| which(slot)).map(|slot| slot.stream).collect();
        streams.sort_unstable();
        streams
    }
}

/// Places looked at for one victim.
const LOOK_MAX: usize = 4_096;
