//! The cache of sessions in memory: limited in size, with second-chance eviction of idle sessions,
//! and a list of those that the next checkpoint must write.

use std::collections::HashMap;

use message::{Event, PartState, Seq, StreamId, Timestamp};
use smallvec::SmallVec;
use storage::{StoredEntry, invariant};

use crate::{
    config::{ChannelIx, DestinationIx},
    domain::{
        chains::{Chains, Position},
        hash::StreamHash,
        session::{Outbound, Session},
        subject::message_of,
    },
};

/// A session in memory, with what its host knows about it.
pub(crate) struct Slot {
    pub(crate) stream: StreamId,
    pub(crate) session: Session,
    /// Its channel; `None` when that is no longer configured.
    pub(crate) channel: Option<ChannelIx>,
    /// Its newest event in the log.
    pub(crate) head: Seq,
    /// The position of its newest event in the batch in progress.
    pub(crate) pending: Option<u32>,
    /// Where the newest events of its messages are.
    pub(crate) chains: Chains,
    /// The last report on everything up to an instant for which settled messages were searched.
    pub(crate) watermark: Option<(PartState, Timestamp)>,
    /// Whether the channel knows that it has parts to send.
    pub(crate) announced: bool,
    /// The destinations that hold deliveries of it.
    pub(crate) offered: SmallVec<[DestinationIx; 1]>,
    /// The state of its entry in the index.
    pub(crate) before: StoredEntry,
    /// The instant at which it is due.
    pub(crate) timer: Option<Timestamp>,
    /// The time at which every message was last considered for the timer; `None` since the session
    /// was loaded or the timer was due. Afterwards only changes can bring the timer forward, and a
    /// clock that goes back.
    pub(crate) timed_at: Option<Timestamp>,
    /// The earliest instant among the changes since the timer was last set.
    pub(crate) soonest: Option<Timestamp>,
    /// The number of the last delivery that was considered for destinations.
    pub(crate) offered_to: u32,
    /// Whether the next checkpoint must write it.
    pub(crate) dirty: bool,
    /// Whether it was used since the eviction hand last passed.
    pub(crate) used: bool,
    /// Whether the batch in progress looks at it when it ends.
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
            chains: Chains::default(),
            watermark: None,
            announced: false,
            offered: SmallVec::new(),
            timer: None,
            before: StoredEntry::Unknown,
            timed_at: None,
            soonest: None,
            offered_to: 0,
            dirty: false,
            used: true,
            touched: false,
        }
    }

    /// Applies an event that was, or is being, recorded at a position. Returns the message that it
    /// settled, if it settled one.
    pub(crate) fn apply(
        &mut self,
        event: &Event,
        at: Timestamp,
        position: Position,
    ) -> Option<Box<Outbound>> {
        match position {
            Position::At(seq) => invariant!(seq > self.head, "{seq} is applied after {}", self.head),
            Position::InBatch(item) => {
                let before = self.pending;
                invariant!(before.is_none_or(|before| before < item), "{item} after {before:?}");
            }
        }
        let settled = self.session.apply(event, at);
        let is_open = message_of(event).is_some_and(|number| self.session.message(number).is_some());
        self.chains.advance(event, position, is_open);
        settled
    }

    /// Whether more work on it is expected soon. A session that waits for its turn on the channel,
    /// or for a new message, is evicted before these.
    pub(crate) fn is_under_way(&self) -> bool {
        let Session { queue, sent, deliveries, .. } = &self.session;
        let is_at_rest = queue.is_empty() && sent.is_empty() && deliveries.is_empty();
        !self.announced && !is_at_rest
    }

    /// Forgets which deliveries were offered to the destinations for which `keep` is false.
    pub(crate) fn offer_again(&mut self, keep: impl Fn(DestinationIx) -> bool) {
        self.offered.retain(|destination| keep(*destination));
        self.offered_to = 0;
    }
}

/// The cache.
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

    /// The number of sessions beyond the limit.
    pub(crate) fn excess(&self) -> usize {
        self.by_stream.len().saturating_sub(self.max)
    }

    pub(crate) fn get(&self, stream: StreamId) -> Option<&Slot> {
        self.slots.get(*self.by_stream.get(&stream)? as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, stream: StreamId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(*self.by_stream.get(&stream)? as usize)?.as_mut()?;
        invariant!(slot.stream == stream, "{} is found as {stream}", slot.stream);
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
        self.check_size();
    }

    pub(crate) fn remove(&mut self, stream: StreamId) -> Option<Slot> {
        let index = self.by_stream.remove(&stream)?;
        self.free.push(index);
        let slot = self.slots.get_mut(index as usize)?.take();
        let found = slot.as_ref().map(|slot| slot.stream);
        invariant!(found == Some(stream), "{found:?} is removed as {stream}");
        self.check_size();
        slot
    }

    /// Checks that each slot is either free or that of one stream.
    fn check_size(&self) {
        let (all, free, used) = (self.slots.len(), self.free.len(), self.by_stream.len());
        invariant!(free + used == all, "{all} slots: {free} are free and {used} used");
    }

    /// Lists a session for the next checkpoint.
    pub(crate) fn mark_dirty(&mut self, stream: StreamId) {
        let Some(&index) = self.by_stream.get(&stream) else { return };
        if let Some(Some(slot)) = self.slots.get_mut(index as usize)
            && !slot.dirty
        {
            slot.dirty = true;
            self.dirty.push(index);
        }
    }

    /// Takes the list for a checkpoint that begins.
    pub(crate) fn take_dirty(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.dirty)
    }

    /// The session at an index of that list. Another session may have taken the index since;
    /// writing that one is harmless.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// Finds the next session to evict: not used since the hand last passed, and `idle`.
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

    /// Lists the sessions, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().flatten()
    }

    /// Returns the streams of the matching sessions, in order.
    pub(crate) fn streams(&self, which: impl Fn(&Slot) -> bool) -> Vec<StreamId> {
        let mut streams: Vec<StreamId> =
            self.slots.iter().flatten().filter(|slot| which(slot)).map(|slot| slot.stream).collect();
        streams.sort_unstable();
        streams
    }
}

/// Maximum number of slots inspected for one eviction.
const LOOK_MAX: usize = 4_096;
