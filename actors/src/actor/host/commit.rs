//! One batch of work on its way to the log: the facts, and the effects that may happen only once those facts
//! are flushed. Nothing leaves the router before that: not an answer, not a submit, not an acknowledgement.

use message::{Address, Event, Seq, StreamId, address};
use smallvec::SmallVec;
use storage::{Item, KEYS_MAX, Key, Prev, Tag};

use crate::{
    actor::host::{batch::Stage, state::HostState},
    config::DestinationIx,
    context::{Shared, tail},
    domain::{
        names,
        session::{Delivery, earlier},
    },
    error::Refusal,
    history::message::message_of,
    protocol::destination::{Offer, OfferedDelivery},
    sabotage::Sabotage,
};

impl HostState {
    /// Records facts of a live session: applies them at once, appends them when the batch ends.
    pub(crate) fn record(
        &mut self,
        stream: StreamId,
        events: impl IntoIterator<Item = Event>,
        extra_keys: &[Key],
        stage: &mut Stage,
    ) {
        let Some(slot) = self.live.get_mut(stream) else { return };
        if !slot.touched {
            slot.touched = true;
            stage.touched.push(stream);
        }
        let is_watched = self.shared.tail.receiver_count() > 0;
        for event in events {
            if is_watched {
                stage.effects.tail.push(tail::Committed::of(&event, stage.now, stream, &slot.session));
            }
            slot.session.apply(&event, stage.now);
            match event {
                Event::SessionOpened(_) => {
                    slot.channel = self.shared.channel_ix.get(&slot.session.address.channel).copied();
                }
                // It is the last one again, with a number that was looked at before.
                Event::DeadLetterReplayed { .. } => slot.offered_to = 0,
                _ => {}
            }
            let entry = slot.channel.and_then(|ix| self.shared.channels.get(ix));
            if let (Some(entry), Some(message)) = (entry, message_of(&event)) {
                let instant = slot.session.instant_of(message, &entry.policy, stage.now);
                slot.soonest = earlier(slot.soonest, instant);
            }
            let several = entry.is_some_and(|entry| entry.has_aliases);
            let mut keys: SmallVec<[Key; 2]> = own_keys(stream, &event, several);
            keys.extend_from_slice(extra_keys);
            let prev = slot.pending.map_or(Prev::At(slot.head), Prev::Earlier);
            slot.pending = Some(stage.items.len() as u32);
            stage.items.push(Item { stream, prev, at: stage.now, keys, event });
        }
    }

    /// Ends a batch: looks at every touched session, appends all facts, lets the effects follow the flush.
    pub(crate) fn finish(&mut self, mut stage: Stage) {
        for stream in std::mem::take(&mut stage.touched) {
            self.announce(stream, &mut stage);
        }
        let Stage { items, mut effects, .. } = stage;
        if items.is_empty() && effects.is_empty() {
            return;
        }
        if Sabotage::AcceptBeforeFlush.is_chosen() {
            for (answers, place, answer) in effects.answers.drain(..) {
                answers.put(place, answer);
            }
        }
        let streams: Vec<StreamId> = items.iter().map(|item| item.stream).collect();
        let shared = self.shared.clone();
        let done: storage::Completion = Box::new(move |flushed| match flushed {
            Ok(()) => effects.happen(&shared),
            Err(poisoned) => {
                shared.fail(format!("the event log: {poisoned}"));
                for (answers, place, _) in effects.answers {
                    let reason = "the event log failed".into();
                    answers.put(place, Err(Refusal::Busy { reason, retry_after_s: 10 }));
                }
            }
        });
        if items.is_empty() {
            // What is answered may rest on facts that others appended and nobody flushed yet.
            return self.shared.log.after(done);
        }
        match self.shared.log.append(items, Some(done)) {
            Ok(first) => self.appended(first, &streams),
            Err(error) => self.shared.fail(format!("the event log: {error}")),
        }
    }

    /// The log has given numbers to a batch: every session's head moves there.
    fn appended(&mut self, first: Seq, streams: &[StreamId]) {
        self.shared.appended(Seq(first.0 + streams.len() as u64 - 1));
        for (n, stream) in streams.iter().enumerate() {
            let Some(slot) = self.live.get_mut(*stream) else { continue };
            slot.head = Seq(first.0 + n as u64);
            slot.pending = None;
            slot.used = slot.is_under_way();
        }
        for stream in streams {
            if self.live.get(*stream).is_some_and(|slot| slot.session.is_done()) {
                self.retire(*stream);
            } else {
                self.live.mark_dirty(*stream);
            }
        }
    }

    /// A finished stream leaves memory and index; its last event's key leads to it from now on.
    fn retire(&mut self, stream: StreamId) {
        if let Some(slot) = self.live.remove(stream) {
            if let Some(timer) = slot.timer {
                self.timers.remove(&(timer, stream));
            }
            self.shared.log.index().remove_over(stream, slot.head, slot.before);
        }
    }

    /// Hands parts over unasked as far as the channel has room set aside: the intent is recorded with what it
    /// follows from, and one flush is enough for both.
    fn hand_over(&mut self, stream: StreamId, stage: &mut Stage) {
        let Some(slot) = self.live.get(stream).filter(|slot| !slot.announced) else { return };
        let Some((channel, entry)) = slot.channel.and_then(|ix| Some((ix, self.shared.channels.get(ix)?)))
        else {
            return;
        };
        let Some(due) = slot.session.due_parts(&entry.policy, stage.now, usize::from(u8::MAX)) else {
            return;
        };
        let room = entry.credit.take(due.parts.len());
        if room > 0 {
            self.take(stream, channel, room, stage);
        }
    }

    /// Tells channel and destinations what a session has for them, and sets its timer.
    fn announce(&mut self, stream: StreamId, stage: &mut Stage) {
        self.hand_over(stream, stage);
        let shared = self.shared.clone();
        let Some(slot) = self.live.get_mut(stream) else { return };
        slot.touched = false;
        let Some(channel) = slot.channel else { return };
        let Some(entry) = shared.channels.get(channel) else { return };
        if !slot.announced
            && let Some(due) = slot.session.due_parts(&entry.policy, stage.now, usize::from(u8::MAX))
        {
            slot.announced = true;
            let ready = (stream, slot.session.lane(), due.parts.len() as u16);
            stage.effects.channel(channel).ready.push(ready);
        }
        let of_did = entry.destination(&slot.session.address.did);
        let mut wanted: SmallVec<[DestinationIx; 1]> = SmallVec::new();
        let mut look = |delivery: &Delivery| {
            let ix = delivery.destination.as_ref().and_then(|id| shared.destination_ix.get(id).copied());
            let ix = ix.unwrap_or(of_did);
            if !wanted.contains(&ix) && !slot.offered.contains(&ix) {
                wanted.push(ix);
            }
        };
        let deliveries = &slot.session.deliveries;
        match slot.offered_to {
            0 => deliveries.iter().take(OFFER_LOOK_MAX).for_each(&mut look),
            seen => deliveries.iter().rev().take_while(|d| d.number > seen).for_each(&mut look),
        }
        slot.offered_to = slot.session.counters.deliveries;
        for destination in wanted {
            slot.offered.push(destination);
            let offer = offer_of(&shared, slot, destination, of_did);
            stage.effects.offer(destination, offer);
        }
        // The key of a finished stream goes with its last event.
        if slot.session.is_done()
            && let Some(item) = slot.pending.and_then(|at| stage.items.get_mut(at as usize))
        {
            let a = slot.session.counters.pack();
            item.keys.push(Key { hash: address::head_key(stream), a, b: Tag::OwnSeq });
        }
        let soonest = slot.soonest.take();
        let next = if slot.timed {
            earlier(soonest, slot.session.own_instant(&entry.policy, stage.now))
        } else {
            slot.timed = true;
            slot.session.next_instant(&entry.policy, stage.now)
        };
        if let Some(next) = next
            && slot.timer.is_none_or(|armed| next < armed)
        {
            if let Some(armed) = slot.timer.replace(next) {
                self.timers.remove(&(armed, stream));
            }
            self.timers.insert((next, stream));
        }
    }
}

/// Deliveries looked at for other destinations than the first one's.
const OFFER_LOOK_MAX: usize = 64;
/// Deliveries in one offer; further ones follow when these are taken.
const OFFER_MAX: usize = 100;

/// The first deliveries of a session for a destination.
pub(crate) fn offer_of(
    shared: &Shared,
    slot: &super::live::Slot,
    destination: DestinationIx,
    of_did: DestinationIx,
) -> Offer {
    let most = shared.destinations.get(destination).map_or(1, |d| d.config.batch_max.clamp(1, OFFER_MAX));
    let deliveries = slot
        .session
        .deliveries
        .iter()
        .filter(|d| {
            let named = d.destination.as_ref().and_then(|id| shared.destination_ix.get(id).copied());
            named.unwrap_or(of_did) == destination
        })
        .take(most)
        .map(|d| OfferedDelivery { number: d.number, at: d.at, ordinal: d.ordinal, kind: d.kind.clone() })
        .collect();
    Offer {
        stream: slot.stream,
        customer: slot.session.customer_shown.clone(),
        did: slot.session.did_shown.clone(),
        channel: slot.session.address.channel.clone(),
        deliveries,
    }
}

/// What an event is found by, from the event alone.
fn own_keys(stream: StreamId, event: &Event, has_aliases: bool) -> SmallVec<[Key; 2]> {
    match event {
        Event::SessionOpened(opened) if has_aliases => names::keys_of(stream, &opened.address),
        Event::CustomerKnown(known) => {
            let Address { channel, did, .. } = &known.address;
            known.aliases.iter().take(KEYS_MAX).map(|name| names::key(stream, channel, did, name)).collect()
        }
        Event::Accepted(accepted) => {
            let b = Tag::Value(u64::from(accepted.number.0));
            let hash = address::message_key(accepted.id.as_str());
            [Key { hash, a: stream.0, b }].into_iter().collect()
        }
        _ => SmallVec::new(),
    }
}
