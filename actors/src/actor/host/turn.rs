//! One turn of a host: the context, the host's sessions and the batch in progress. Sessions are
//! loaded and events recorded only here.

use std::sync::Arc;

use message::{Address, Event, StreamId, Timestamp, event::DoubtCause};
use smallvec::SmallVec;
use storage::{Item, KEYS_MAX, Key, Prev, Tag};

use crate::{
    actor::host::{
        batch::Batch,
        live::Slot,
        load::{self, FinishedStream},
        sessions::Sessions,
    },
    config::{ChannelIx, DestinationIx},
    context::{Context, directory::ChannelEntry, tail::TailRecord},
    domain::{
        names,
        session::{Identity, Policy, Session, earlier},
        subject::message_of,
    },
    history::lookup,
};

/// The parts of a host that its tasks work on.
pub(crate) struct HostTurn<'a> {
    pub(crate) context: &'a Arc<Context>,
    pub(crate) sessions: &'a mut Sessions,
    pub(crate) batch: &'a mut Batch,
}

impl<'a> HostTurn<'a> {
    pub(crate) fn now(&self) -> Timestamp {
        self.batch.now
    }

    /// A session in memory.
    pub(crate) fn slot(&self, stream: StreamId) -> Option<&Slot> {
        self.sessions.live.get(stream)
    }

    /// A session in memory, with its channel if that is configured.
    pub(crate) fn slot_and_channel(&self, stream: StreamId) -> Option<(&Slot, ChannelIx, &'a ChannelEntry)> {
        let slot = self.slot(stream)?;
        let ix = slot.channel?;
        Some((slot, ix, self.context.directory.channel(ix)?))
    }

    /// Has the session looked at when the batch ends: announcements, deliveries, timers.
    pub(crate) fn touch(&mut self, stream: StreamId) {
        self.batch.touched.push(stream);
    }

    /// Forgets which deliveries were offered to the destinations for which `keep` is false, so that
    /// they are offered again.
    pub(crate) fn offer_again(&mut self, stream: StreamId, keep: impl Fn(DestinationIx) -> bool) {
        if let Some(slot) = self.sessions.live.get_mut(stream) {
            slot.offer_again(keep);
        }
        self.touch(stream);
    }

    /// The policy of a session's channel, if that is configured.
    pub(crate) fn policy_of(&self, session: &Session) -> Option<&'a Policy> {
        let (_, entry) = self.context.directory.channel_by_id(&session.address.channel)?;
        Some(&entry.policy)
    }

    /// Loads a session into memory unless it is there. With an identity, a new session is created
    /// if none exists. Returns whether it is in memory.
    pub(crate) fn activate(&mut self, stream: StreamId, identity: Option<&Identity>) -> bool {
        if self.sessions.live.contains(stream) {
            return true;
        }
        let found = match load::load(self.context, stream, identity) {
            Ok(found) => found,
            Err(reason) => {
                self.context.lifecycle.fail(format!("session {stream} cannot be read: {reason}"));
                return false;
            }
        };
        let Some(mut slot) = found else { return false };
        slot.channel = self.context.directory.channel_ix(&slot.session.address.channel);
        self.sessions.live.insert(slot);
        // A session with submitted parts never leaves memory, so these were submitted by an earlier
        // process.
        self.recover(stream, DoubtCause::Restart);
        true
    }

    /// Records that parts which a link held are in doubt.
    pub(crate) fn recover(&mut self, stream: StreamId, cause: DoubtCause) {
        let Some((slot, _, entry)) = self.slot_and_channel(stream) else { return };
        if slot.session.submitting() {
            let events = slot.session.recover(&entry.policy, cause, self.now());
            self.record(stream, events, &[]);
        }
    }

    /// Makes a finished stream live again. Returns whether it could.
    pub(crate) fn revive(&mut self, stream: StreamId) -> bool {
        let Some(FinishedStream { head, revived }) = load::finished(self.context, stream) else {
            return false;
        };
        let mut slot = Slot::new(stream, Session::new(revived.address.clone(), revived.counters), head);
        slot.channel = self.context.directory.channel_ix(&revived.address.channel);
        self.sessions.live.insert(slot);
        self.record(stream, [Event::Revived(Box::new(revived))], &[]);
        true
    }

    /// The newest event of a stream that is in memory or finished.
    pub(crate) fn head_of(&self, stream: StreamId) -> Option<message::Seq> {
        let live = self.slot(stream).map(|slot| slot.head);
        live.or_else(|| lookup::finished_head(&self.context.reader, stream))
    }

    /// Records events of a session in memory: applies them at once, and appends them when the batch
    /// ends. `extra_keys` are look-up keys beside those that follow from each event.
    pub(crate) fn record(
        &mut self,
        stream: StreamId,
        events: impl IntoIterator<Item = Event>,
        extra_keys: &[Key],
    ) {
        let (context, now) = (self.context, self.batch.now);
        let Some(slot) = self.sessions.live.get_mut(stream) else { return };
        if !slot.touched {
            slot.touched = true;
            self.batch.touched.push(stream);
        }
        let is_watched = context.tail.is_watched();
        for event in events {
            if is_watched {
                self.batch.effects.tail.push(TailRecord::of(&event, now, stream, &slot.session));
            }
            slot.session.apply(&event, now);
            match event {
                Event::SessionOpened(_) => {
                    slot.channel = context.directory.channel_ix(&slot.session.address.channel);
                }
                // The delivery is the last one again, with a number that was looked at before.
                Event::DeadLetterReplayed { .. } => slot.offered_to = 0,
                _ => {}
            }
            let entry = slot.channel.and_then(|ix| context.directory.channel(ix));
            if let (Some(entry), Some(message)) = (entry, message_of(&event)) {
                let instant = slot.session.instant_of(message, &entry.policy, now);
                slot.soonest = earlier(slot.soonest, instant);
            }
            let has_aliases = entry.is_some_and(|entry| entry.has_aliases);
            let mut keys: SmallVec<[Key; 2]> = keys_of(stream, &event, has_aliases);
            keys.extend_from_slice(extra_keys);
            let prev = slot.pending.map_or(Prev::At(slot.head), Prev::Earlier);
            slot.pending = Some(self.batch.items.len() as u32);
            self.batch.items.push(Item { stream, prev, at: now, keys, event });
        }
    }
}

/// Returns the look-up keys that follow from an event alone.
fn keys_of(stream: StreamId, event: &Event, has_aliases: bool) -> SmallVec<[Key; 2]> {
    match event {
        Event::SessionOpened(opened) if has_aliases => names::keys_of(stream, &opened.address),
        Event::CustomerKnown(known) => {
            let Address { channel, did, .. } = &known.address;
            let aliases = known.aliases.iter().take(KEYS_MAX);
            aliases.map(|name| names::key(stream, channel, did, name)).collect()
        }
        Event::Accepted(accepted) => {
            let b = Tag::Value(u64::from(accepted.number.0));
            let hash = message::address::message_key(accepted.id.as_str());
            [Key { hash, a: stream.0, b }].into_iter().collect()
        }
        _ => SmallVec::new(),
    }
}
