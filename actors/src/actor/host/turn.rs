//! One turn of a host: the context, the host's sessions and the batch in progress. Sessions are
//! loaded and events recorded only here.

use std::sync::Arc;

use message::{
    Address, Event, MessageNo, Seq, StreamId, Timestamp, address,
    event::{DoubtCause, LateReceipt},
};
use smallvec::SmallVec;
use storage::{Item, KEYS_MAX, Key, Prev, Tag, invariant};

use crate::{
    actor::host::{
        batch::Batch,
        live::Slot,
        load::{self, FinishedStream},
        sessions::Sessions,
        waiting::Before,
    },
    config::{ChannelIx, DestinationIx},
    context::{Context, entries::ChannelEntry, tail::TailRecord},
    domain::{
        chains::Position,
        clock::Moment,
        correlation, names,
        session::{Identity, Outbound, Session, earlier},
        settled,
        subject::message_of,
    },
    history::{lookup, message::MessageRecord},
    protocol::channel::MovedSession,
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

    /// The time of the batch, with its bounds while the wall clock is in doubt.
    pub(crate) fn moment(&self) -> Moment {
        self.batch.moment
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
        invariant!(slot.stream == stream, "{} is loaded as {stream}", slot.stream);
        invariant!(slot.pending.is_none(), "{stream} is loaded in the middle of a batch");
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
            let is_left = self.slot(stream).is_some_and(|slot| slot.session.submitting());
            invariant!(!is_left, "{stream} has parts with a link that is gone");
        }
    }

    /// Makes a finished stream live again. Returns whether it could.
    pub(crate) fn revive(&mut self, stream: StreamId) -> bool {
        let Some(FinishedStream { head, revived }) = load::finished(self.context, stream) else {
            return false;
        };
        invariant!(!self.sessions.live.contains(stream), "{stream} is live and is revived");
        let mut slot = Slot::new(stream, Session::new(revived.address.clone(), revived.counters), head);
        slot.channel = self.context.directory.channel_ix(&revived.address.channel);
        self.sessions.live.insert(slot);
        self.record(stream, [Event::Revived(Box::new(revived))], &[]);
        true
    }

    /// The newest event of a stream that is in memory or finished.
    pub(crate) fn head_of(&self, stream: StreamId) -> Option<Seq> {
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
        for event in events {
            self.record_one(stream, event, extra_keys, None);
        }
    }

    /// Records a receipt for a settled message, whose newest event so far is `about`.
    pub(crate) fn record_late(&mut self, stream: StreamId, late: LateReceipt, about: Prev, key: Key) {
        self.record_one(stream, Event::LateReceipt(Box::new(late)), &[key], Some(about));
    }

    fn record_one(&mut self, stream: StreamId, event: Event, extra_keys: &[Key], about: Option<Prev>) {
        let (context, now) = (self.context, self.batch.now);
        let Some(slot) = self.sessions.live.get_mut(stream) else { return };
        if !slot.touched {
            slot.touched = true;
            self.batch.touched.push(stream);
        }
        if context.tail.is_watched() {
            self.batch.effects.tail.push(TailRecord::of(&event, now, stream, &slot.session));
        }
        let number = message_of(&event);
        let before = Before::of(&slot.session, &event, number, now);
        let index = self.batch.items.len() as u32;
        let about = about.unwrap_or_else(|| slot.chains.before(&event).into());
        let settled = slot.apply(&event, now, Position::InBatch(index));
        self.sessions.waiting.count(context, slot, &event, &before, settled.as_deref());
        match event {
            Event::SessionOpened(_) => {
                slot.channel = context.directory.channel_ix(&slot.session.address.channel);
            }
            // The delivery is the last one again, with a number that was looked at before.
            Event::DeadLetterReplayed { .. } => slot.offered_to = 0,
            // Parts that wait in the channel for window and rate follow the customer.
            Event::CustomerMoved(_) => {
                if let Some(channel) = slot.channel {
                    let (customer, shown) =
                        (slot.session.customer().clone(), slot.session.customer_shown.clone());
                    let moved = MovedSession { stream, customer, shown };
                    self.batch.effects.channel(channel).moved.push(moved);
                }
            }
            _ => {}
        }
        let entry = slot.channel.and_then(|ix| context.directory.channel(ix));
        if let (Some(entry), Some(message)) = (entry, number) {
            let instant = slot.session.instant_of(message, &entry.policy, self.batch.moment.sure);
            slot.soonest = earlier(slot.soonest, instant);
        }
        let mut keys: SmallVec<[Key; 2]> = keys_of(stream, &event, entry);
        keys.extend_from_slice(extra_keys);
        keys.extend(settled.map(|message| settled_key(stream, &message)));
        invariant!(keys.len() <= KEYS_MAX, "{} keys of one event of {stream}", keys.len());
        let prev = slot.pending.map_or(Prev::At(slot.head), Prev::Earlier);
        slot.pending = Some(index);
        self.batch.items.push(Item { stream, prev, about, at: now, keys, event });
    }

    /// Reads a message as its events tell it, those of this batch included.
    ///
    /// # Errors
    ///
    /// Returns the reason if an event cannot be read.
    pub(crate) fn record_of(
        &self,
        stream: StreamId,
        number: MessageNo,
    ) -> Result<Option<MessageRecord>, String> {
        let is_about = |item: &&Item| message_of(&item.event) == Some(number);
        let mut pending = self.batch.of_stream(stream).map(|(_, item)| item).filter(is_about).peekable();
        let known = || {
            let live = self.slot(stream).and_then(|slot| slot.chains.head(number));
            match live {
                Some(Position::At(seq)) => Some(seq),
                Some(Position::InBatch(_)) => None,
                None => Some(Seq(self.context.reader.find(address::settled_key(stream, number))?.b)),
            }
        };
        let head = match pending.peek() {
            Some(first) => MessageRecord::before(first),
            None => known(),
        };
        MessageRecord::read(&self.context.reader, head, pending)
    }

    /// Reads a message like [`Self::record_of`]. One that cannot be read ends the router.
    pub(crate) fn known_record(&self, stream: StreamId, number: MessageNo) -> Option<MessageRecord> {
        let record = self.record_of(stream, number);
        self.context.lifecycle.found(format_args!("message {} of session {stream}", number.0), record)
    }
}

/// Returns the key that leads to the newest event of a message that was just settled.
fn settled_key(stream: StreamId, message: &Outbound) -> Key {
    let a = settled::pack(message.parts.iter().map(|part| part.state));
    Key { hash: address::settled_key(stream, message.number), a, b: Tag::OwnSeq }
}

/// Returns the look-up keys that follow from an event alone.
fn keys_of(stream: StreamId, event: &Event, entry: Option<&ChannelEntry>) -> SmallVec<[Key; 2]> {
    match event {
        Event::SessionOpened(opened) if entry.is_some_and(|entry| entry.has_aliases) => {
            names::keys_of(stream, &opened.address, opened.reached.as_ref())
        }
        // Receipts of an SMSC name the customer in any spelling.
        Event::SessionOpened(opened) => {
            let scope = correlation::scope(&opened.address.customer);
            let scoped = entry.filter(|entry| entry.is_smpp()).map(|entry| Key {
                hash: address::scope_key(entry.stream, scope),
                a: stream.0,
                b: Tag::OwnSeq,
            });
            scoped.into_iter().collect()
        }
        Event::CustomerMoved(moved) => names::keys_of_move(stream, moved, KEYS_MAX),
        Event::CustomerKnown(known) => {
            let Address { channel, did, .. } = &known.address;
            let aliases = known.aliases.iter().take(KEYS_MAX);
            aliases.map(|name| names::key(stream, channel, did, name)).collect()
        }
        _ => SmallVec::new(),
    }
}
