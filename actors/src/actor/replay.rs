//! The start: applies the events after the last checkpoint to the index, through the same code as
//! when they were live. Its time depends on the events since the checkpoint, never on history.

use std::collections::HashMap;

use message::{Event, Seq, StreamId, Timestamp};
use storage::Lookup;

use crate::{
    actor::host::{live::Slot, load},
    context::Context,
    domain::{
        chains::{self, Position},
        hash::StreamHash,
        session::Session,
    },
    error::StartError,
};

/// Brings the index up to the end of the log.
///
/// # Errors
///
/// Returns an error if the log or the index cannot be read.
pub(crate) fn replay(context: &Context) -> Result<(), StartError> {
    let from = context.log.index().checkpoint_seq();
    let mut sessions = ReplayedSessions::new(context);
    for stored in context.reader.forward(Seq(from.0 + 1)) {
        let stored = stored.map_err(failed)?;
        if is_of_channel(&stored.event) {
            continue;
        }
        let slot = sessions.of(stored.stream)?;
        if stored.seq > slot.head {
            // The first events of a stream may be gone with retention. What it still owes is told
            // again after that; what came between is over.
            if !slot.session.is_blank() || chains::opens(&stored.event) {
                slot.apply(&stored.event, stored.at, Position::At(stored.seq));
            }
            slot.head = stored.seq;
        }
    }
    sessions.finish()
}

fn failed(e: impl std::fmt::Display) -> StartError {
    StartError::Log(e.to_string())
}

type Generation = HashMap<StreamId, Box<Slot>, StreamHash>;

/// A cache of sessions in two generations. When the younger is full, the elder is written into the
/// index's delta, so memory is limited by the sessions that may be live, not by those that changed.
struct ReplayedSessions<'a> {
    context: &'a Context,
    now: Timestamp,
    generation_max: usize,
    young: Generation,
    old: Generation,
    /// Streams written into the delta although they were finished; they may have continued since.
    finished: Vec<StreamId>,
}

impl<'a> ReplayedSessions<'a> {
    fn new(context: &'a Context) -> Self {
        let generation_max = (context.config.limits.live_sessions_max / 2).max(1);
        let (young, old) = (Generation::default(), Generation::default());
        Self { context, now: context.now(), generation_max, young, old, finished: Vec::new() }
    }

    fn of(&mut self, stream: StreamId) -> Result<&mut Slot, StartError> {
        if !self.young.contains_key(&stream) {
            let slot = match self.old.remove(&stream) {
                Some(slot) => slot,
                None => Box::new(load_stream(self.context, stream)?),
            };
            if self.young.len() >= self.generation_max {
                self.age();
            }
            self.young.insert(stream, slot);
        }
        let slot = self.young.get_mut(&stream);
        slot.map(|slot| &mut **slot).ok_or_else(|| failed(format!("session {stream} is not in memory")))
    }

    fn age(&mut self) {
        let young = std::mem::take(&mut self.young);
        let mut old = std::mem::replace(&mut self.old, young);
        for (_, mut slot) in old.drain() {
            if slot.session.is_done() {
                self.finished.push(slot.stream);
            }
            write(self.context, &mut slot, self.now);
        }
        self.young = old;
    }

    /// Writes everything into the delta. A session is loaded into memory when it is next used.
    fn finish(mut self) -> Result<(), StartError> {
        let index = self.context.log.index();
        for (_, mut slot) in self.young.drain().chain(self.old.drain()) {
            if slot.session.is_done() {
                if slot.session.is_blank() {
                    load::leave_out(self.context, slot.stream, slot.head);
                }
                index.remove(slot.stream, slot.head);
            } else {
                write(self.context, &mut slot, self.now);
            }
        }
        for stream in self.finished {
            let Some(entry) = self.context.reader.entry(stream).map_err(failed)? else { continue };
            if load::decode(&entry).is_ok_and(|session| session.is_done()) {
                index.remove(stream, entry.applied);
            }
        }
        Ok(())
    }
}

fn load_stream(context: &Context, stream: StreamId) -> Result<Slot, StartError> {
    match context.reader.lookup(stream).map_err(failed)? {
        Lookup::Open(entry) => match load::slot_in(stream, &entry) {
            Ok(slot) => Ok(slot),
            // The entry was lost to damage, or has another version: the session is rebuilt from
            // the log.
            Err(_) => {
                let rebuilt = load::from_log(context, stream, entry.applied).map_err(failed)?;
                Ok(rebuilt.unwrap_or_else(|| Slot::new(stream, Session::blank(), entry.applied)))
            }
        },
        // Removed since the checkpoint: events that were applied before are not applied again.
        Lookup::Finished(applied) => Ok(Slot::new(stream, Session::blank(), applied)),
    }
}

fn write(context: &Context, slot: &mut Slot, now: Timestamp) {
    slot.channel = context.directory.channel_ix(&slot.session.address.channel);
    load::write(slot, context, now);
}

fn is_of_channel(event: &Event) -> bool {
    matches!(
        event,
        Event::ChannelStopped { .. }
            | Event::ChannelStarted
            | Event::ChannelPaused
            | Event::ChannelResumed
            | Event::ReceiptUnmatched(_)
            | Event::ReceiptSettled { .. }
            | Event::SegmentsRemoved { .. }
    )
}
