//! The start: what happened after the last checkpoint is applied to what the index knows, through the same code
//! as when it was live. How long that takes depends on what happened since the checkpoint, never on history.

use std::collections::HashMap;

use message::{Event, Seq, StreamId, Timestamp};
use storage::Lookup;

use crate::{
    actor::host::{live::Slot, load},
    context::Shared,
    domain::{hash::StreamHash, session::Session},
    error::StartError,
};

/// Brings the index up to the end of the log.
pub(crate) fn replay(shared: &Shared) -> Result<(), StartError> {
    let from = shared.log.index().checkpoint_seq();
    let mut sessions = Sessions::new(shared);
    for stored in shared.log.read(Seq(from.0 + 1)) {
        let stored = stored.map_err(failed)?;
        if is_of_channel(&stored.event) {
            continue;
        }
        let slot = sessions.of(stored.stream)?;
        if stored.seq > slot.head {
            slot.session.apply(&stored.event, stored.at);
            slot.head = stored.seq;
        }
    }
    sessions.finish()
}

fn failed(e: impl std::fmt::Display) -> StartError {
    StartError::Log(e.to_string())
}

type Generation = HashMap<StreamId, Box<Slot>, StreamHash>;

/// The sessions that the replay has at hand: two generations of them. When the younger is full, the elder goes into
/// the index's delta, as bytes; so memory is bounded by the sessions that may be live, not by those that changed.
struct Sessions<'a> {
    shared: &'a Shared,
    now: Timestamp,
    generation_max: usize,
    young: Generation,
    old: Generation,
    /// Went into the delta although nothing was left of them. They may have gone on since.
    done: Vec<StreamId>,
}

impl<'a> Sessions<'a> {
    fn new(shared: &'a Shared) -> Self {
        let generation_max = (shared.config.limits.live_sessions_max / 2).max(1);
        let (young, old) = (Generation::default(), Generation::default());
        Self { shared, now: shared.now(), generation_max, young, old, done: Vec::new() }
    }

    fn of(&mut self, stream: StreamId) -> Result<&mut Slot, StartError> {
        if !self.young.contains_key(&stream) {
            let slot = match self.old.remove(&stream) {
                Some(slot) => slot,
                None => Box::new(load(self.shared, stream)?),
            };
            if self.young.len() >= self.generation_max {
                self.age();
            }
            self.young.insert(stream, slot);
        }
        let slot = self.young.get_mut(&stream);
        slot.map(|slot| &mut **slot).ok_or_else(|| failed(format!("session {stream} is gone from memory")))
    }

    fn age(&mut self) {
        let young = std::mem::take(&mut self.young);
        let mut old = std::mem::replace(&mut self.old, young);
        for (_, mut slot) in old.drain() {
            if slot.session.is_done() {
                self.done.push(slot.stream);
            }
            write(self.shared, &mut slot, self.now);
        }
        self.young = old;
    }

    /// Everything into the delta: a session comes into memory when it is touched, at once if it has work.
    fn finish(mut self) -> Result<(), StartError> {
        let index = self.shared.log.index();
        for (_, mut slot) in self.young.drain().chain(self.old.drain()) {
            if slot.session.is_done() {
                index.remove(slot.stream, slot.head);
            } else {
                write(self.shared, &mut slot, self.now);
            }
        }
        for stream in self.done {
            let Some(entry) = index.get(stream).map_err(failed)? else { continue };
            if load::decode(&entry).is_ok_and(|session| session.is_done()) {
                index.remove(stream, entry.applied);
            }
        }
        Ok(())
    }
}

fn load(shared: &Shared, stream: StreamId) -> Result<Slot, StartError> {
    match shared.log.index().lookup(stream).map_err(failed)? {
        Lookup::Open(entry) => match load::decode(&entry) {
            Ok(session) => Ok(Slot::new(stream, session, entry.applied)),
            // A snapshot of another version: its session is made anew from the log.
            Err(_) => load::from_log(shared, stream, entry.applied).map_err(failed),
        },
        // Removed since the checkpoint, perhaps: what it had applied then is not applied again.
        Lookup::Finished(applied) => Ok(Slot::new(stream, Session::blank(), applied)),
    }
}

fn write(shared: &Shared, slot: &mut Slot, now: Timestamp) {
    slot.channel = shared.channel_ix.get(&slot.session.address.channel).copied();
    slot.write_to_index(shared, now);
}

fn is_of_channel(event: &Event) -> bool {
    matches!(
        event,
        Event::ChannelStopped { .. }
            | Event::ChannelStarted
            | Event::ReceiptUnmatched(_)
            | Event::ReceiptSettled { .. }
    )
}
