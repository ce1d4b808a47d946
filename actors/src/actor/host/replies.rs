//! What one message has to do with another: replies both ways, reports on all up to an instant, and when the customer
//! was last heard of. All of it is found by the log's look-ups; what is not found is said or left out, never guessed.

use std::sync::Arc;

use channels::MediaRef;
use message::{
    Event, MessageId, MessageNo, PartState, Seq, StreamId, Timestamp, address,
    event::{CustomerKnown, Received},
};
use smallvec::SmallVec;
use storage::{Key, Tag};

use crate::domain::media_address;
use crate::{
    actor::host::{Stage, state::HostState},
    config::ChannelIx,
    context::Shared,
    domain::{
        correlation::PartRef,
        names::Names,
        session::{Inbound, policy::Policy},
    },
    history::message::MessageRecord,
};

/// Facts walked back for settled messages that a report on all up to an instant means.
const WATERMARK_WALK_MAX: usize = 2_000;
/// Settled messages looked at for it.
const WATERMARK_MESSAGES_MAX: usize = 64;

impl Shared {
    /// A customer's message that the business knows by this id, if it is of this stream.
    pub(crate) fn received_as(&self, stream: StreamId, id: &str) -> Option<Box<Received>> {
        self.received_at(stream, address::delivered_key(id))
    }

    /// The customer's newest message.
    pub(crate) fn last_received(&self, stream: StreamId) -> Option<Box<Received>> {
        self.received_at(stream, address::heard_key(stream))
    }

    fn received_at(&self, stream: StreamId, key: u128) -> Option<Box<Received>> {
        let found = self.log.find(key)?;
        let stored = self.log.event(Seq(found.b)).ok()??;
        match stored.event {
            Event::Received(received) if stored.stream == stream => Some(received),
            _ => None,
        }
    }

    /// When a customer last wrote, on channels where it matters.
    pub(crate) fn heard_at(&self, stream: StreamId, policy: &Policy) -> Option<Timestamp> {
        policy.window_ms?;
        let found = self.log.find(address::heard_key(stream))?;
        Some(Timestamp(u64::try_from(found.a).unwrap_or(u64::MAX)))
    }
}

impl HostState {
    /// The provider's id of the message that the business answers: a customer's, or one of its own.
    pub(super) fn answered_id(&self, stream: StreamId, original: &MessageId) -> Option<Arc<str>> {
        let received =
            self.shared.received_as(stream, original.as_str()).map(|received| received.provider_id);
        let own = || {
            let found = self.shared.log.find(address::message_key(original.as_str()))?;
            let number = MessageNo(u32::try_from(found.b).ok()?);
            (found.a == stream.0).then_some(())?;
            let live = self.live.get(stream).and_then(|slot| slot.session.message(number)).cloned();
            let message = live.or_else(|| self.record_of(stream, number).map(|record| record.message))?;
            message.parts.first().map(|part| part.provider_id.clone())
        };
        received.or_else(own).filter(|id| !id.is_empty())
    }

    fn record_of(&self, stream: StreamId, number: MessageNo) -> Option<MessageRecord> {
        let head = self.live.get(stream).map(|slot| slot.head);
        let head = head.or_else(|| self.shared.log.find(address::head_key(stream)).map(|f| Seq(f.b)))?;
        MessageRecord::read(&self.shared.log, head, number, std::iter::empty()).ok().flatten()
    }

    /// The business's id of the message that a customer answers, as a fact beside their message; the provider's id
    /// where none of ours is known.
    pub(super) fn quote(&self, stream: StreamId, channel: &message::ChannelId, inbound: &mut Inbound) {
        let Some(quoted) = inbound.reply_to.take() else { return };
        let sent = || {
            let found = self.shared.log.find(address::provider_id_key(channel, &quoted))?;
            let part = PartRef::of(found);
            (part.stream == stream).then_some(())?;
            let live = self.live.get(stream).and_then(|slot| slot.session.message(part.number));
            let live = live.map(|message| message.id.clone());
            live.or_else(|| self.record_of(stream, part.number).map(|record| record.message.id))
        };
        let written = || {
            let received = self.shared.received_at(stream, address::inbound_key(channel, &quoted))?;
            Some(received.id)
        };
        let attribute = match sent().or_else(written) {
            Some(id) => (crate::actor::destination::body::ORIGINAL.into(), id.as_str().into()),
            None => ("replyTo".into(), Box::from(&*quoted)),
        };
        inbound.attributes.push(attribute);
    }

    /// What a customer's message is found by: repeats by the provider's id, replies by ours, the window by when
    /// it was written.
    pub(super) fn keys_of_received(
        &self,
        stream: StreamId,
        received: &Received,
        key: Option<u128>,
        now: Timestamp,
    ) -> SmallVec<[Key; 3]> {
        let Some(key) = key else { return SmallVec::new() };
        let own = |hash| Key { hash, a: stream.0, b: Tag::OwnSeq };
        // One that was long on its way opens no new window, and one that came out of turn closes none.
        let written = received.provider_time.unwrap_or(now).min(now);
        let known = self.shared.log.find(address::heard_key(stream)).map_or(0, |found| found.a);
        let heard =
            Key { hash: address::heard_key(stream), a: known.max(u128::from(written.0)), b: Tag::OwnSeq };
        [own(key), own(address::delivered_key(received.id.as_str())), heard].into_iter().collect()
    }

    /// Names by which the provider knows the customer lead here from now on, as far as they lead nowhere else.
    pub(super) fn named(&mut self, stream: StreamId, names: &Names, stage: &mut Stage) {
        if !self.activate(stream, None, stage) {
            return;
        }
        let Some(slot) = self.live.get(stream) else { return };
        let address = slot.session.address.clone();
        let is_new = |name: &&Arc<str>| {
            let key = address::alias_key(&address.channel, &address.did, name);
            **name != address.customer && self.shared.log.find(key).is_none() && !stage.has_key(key)
        };
        let aliases: Vec<Arc<str>> = names.iter().filter(is_new).cloned().collect();
        if !aliases.is_empty() {
            let customer_shown = slot.session.customer_shown.clone();
            let known = CustomerKnown { address, customer_shown, aliases };
            self.record(stream, [Event::CustomerKnown(Box::new(known))], &[], stage);
        }
    }

    /// Has a message's files fetched, once it is safe.
    pub(super) fn fetch_ahead(&self, channel: Option<ChannelIx>, files: Vec<MediaRef>, stage: &mut Stage) {
        let Some(channel) = channel.filter(|_| !files.is_empty() && self.shared.files.is_some()) else {
            return;
        };
        let shared = self.shared.clone();
        stage.effects.replies.push(Box::new(move || {
            for file in files.into_iter().take(media_address::FILES_MAX) {
                if let Some(kept) = &shared.files {
                    kept.want(crate::context::media_queue::Wanted { channel, file });
                }
            }
        }));
    }

    /// Messages fail whose window closed while they waited.
    pub(super) fn give_up_too_late(&mut self, stream: StreamId, policy: &Policy, stage: &mut Stage) {
        if policy.window_ms.is_none() {
            return;
        }
        let heard_at = self.shared.heard_at(stream, policy);
        while let Some(event) =
            self.live.get(stream).and_then(|slot| slot.session.close_window(policy, heard_at, stage.now))
        {
            self.record(stream, [event], &[], stage);
        }
    }

    /// A report on everything that was handed over up to an instant.
    pub(super) fn watermark(
        &mut self,
        stream: StreamId,
        state: PartState,
        upto: Timestamp,
        code: &str,
        stage: &mut Stage,
    ) {
        let mut meant: Vec<(MessageNo, u16)> = self.settled_upto(stream, state, upto);
        if self.activate(stream, None, stage)
            && let Some(slot) = self.live.get(stream)
        {
            let open = slot.session.sent.values().chain(&slot.session.queue);
            meant.extend(
                open.flat_map(|message| message.parts_until(state, upto).map(|part| (message.number, part))),
            );
        }
        meant.sort_unstable();
        for (number, part) in meant {
            self.receipt(stream, (number, part, None), state, code, stage);
        }
    }

    /// Parts of messages that are no longer in memory, as far back as such reports were not seen before.
    fn settled_upto(&self, stream: StreamId, state: PartState, upto: Timestamp) -> Vec<(MessageNo, u16)> {
        let head = self.live.get(stream).map(|slot| slot.head);
        let head = head.or_else(|| self.shared.log.find(address::head_key(stream)).map(|f| Seq(f.b)));
        let mut numbers: Vec<MessageNo> = Vec::new();
        for stored in self.shared.log.history(head.unwrap_or(Seq::NONE)).take(WATERMARK_WALK_MAX) {
            let Ok(stored) = stored else { break };
            let Event::Submitted { message, .. } = stored.event else { continue };
            let live = self.live.get(stream).is_some_and(|slot| slot.session.message(message).is_some());
            if !live && !numbers.contains(&message) {
                numbers.push(message);
            }
            if numbers.len() >= WATERMARK_MESSAGES_MAX {
                break;
            }
        }
        let mut meant = Vec::new();
        for number in numbers {
            let Some(record) = self.record_of(stream, number) else { continue };
            let known = record.message.parts.iter().all(|part| part.state.join(state) == part.state);
            if known {
                break;
            }
            meant.extend(record.message.parts_until(state, upto).map(|part| (number, part)));
        }
        meant
    }
}
