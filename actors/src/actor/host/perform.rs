//! One task on one session: what is decided, recorded, and promised for after the flush.

use std::sync::Arc;

use message::{Event, MessageNo, PartState, SessionId, StreamId, Timestamp, address};
use smallvec::SmallVec;
use storage::{Key, Tag};

use crate::{
    actor::host::{Stage, live::Slot, state::HostState},
    config::ChannelIx,
    domain::{
        correlation::PartRef,
        session::{Identity, Inbound, Outcome},
    },
    error::Refusal,
    history::message::MessageRecord,
    protocol::{
        answers::Acceptance,
        channel::ChannelMessage,
        host::{AcceptTask, DoubtReceipt, Op, ReceiptFrom, Task},
        part::{Ack, Job, JobMessage, Query},
    },
    sabotage::Sabotage,
};

impl HostState {
    /// Performs one task.
    pub(super) fn perform(&mut self, task: Task, stage: &mut Stage) {
        let Task { stream, op } = task;
        match op {
            Op::Accept(task) => self.accept(stream, *task, stage),
            Op::Request(request) => self.request(stream, request, stage),
            Op::Take { channel, max } => self.take(stream, channel, max, stage),
            Op::Outcome { number, part, outcome, spellings } => {
                self.outcome(stream, number, part, outcome, &spellings, stage);
            }
            Op::Receipt { number, part, state, code, from } => {
                self.reported(stream, (number, part), state, &code, from, stage);
            }
            Op::Watermark { state, upto, code, ack } => {
                self.watermark(stream, state, upto, &code, stage);
                acknowledge(stage, ack);
            }
            Op::Named { names } => self.named(stream, &names, stage),
            Op::DoubtReceipt(receipt) => {
                let matched = self.doubt_receipt(stream, &receipt, stage);
                stage.effects.channel(receipt.channel).settled.push((receipt.parked, matched));
            }
            Op::Receive { identity, inbound, key, ack } => {
                if self.receive(stream, &identity, *inbound, key, stage) {
                    self.received(ack, stage);
                }
            }
            Op::Offer { destination } => {
                if self.activate(stream, None, stage) {
                    self.offer_again(stream, destination, stage);
                }
            }
            Op::Taken { destination, deliveries } => {
                if self.activate(stream, None, stage) {
                    let events: Vec<Event> = self.taken(stream, &deliveries);
                    self.record(stream, events, &[], stage);
                    self.offer_again(stream, destination, stage);
                }
            }
            Op::DeadLetter { delivery, cause } => {
                if self.activate(stream, None, stage) {
                    self.record(stream, [Event::DeadLettered { delivery, cause }], &[], stage);
                    if let Some(slot) = self.live.get_mut(stream) {
                        slot.offered_again(|_| false);
                    }
                    stage.touch(stream);
                }
            }
            Op::Wake => self.wake(stream, stage),
        }
    }

    /// A receipt came, and whoever waits for it is told once it is safe.
    fn reported(
        &mut self,
        stream: StreamId,
        (number, part): (MessageNo, u16),
        state: PartState,
        code: &str,
        from: ReceiptFrom,
        stage: &mut Stage,
    ) {
        let of = match &from {
            ReceiptFrom::Named { channel, .. } => Some(*channel),
            _ => None,
        };
        let found = self.receipt(stream, (number, part, of), state, code, stage);
        match from {
            ReceiptFrom::Named { channel, waits, .. } if found => {
                stage.effects.channel(channel).named += 1;
                acknowledge(stage, Ack::Caller(waits));
            }
            ReceiptFrom::Named { channel, receipt, waits } => {
                let shared = self.shared.clone();
                stage.effects.replies.push(Box::new(move || {
                    if let Some(entry) = shared.channels.get(channel) {
                        entry.cast(ChannelMessage::Astray(receipt, waits));
                    }
                }));
            }
            ReceiptFrom::Outside(ack) => acknowledge(stage, ack),
            ReceiptFrom::Kept { channel, parked } => {
                stage.effects.channel(channel).settled.push((parked, true));
            }
            ReceiptFrom::Query => {}
        }
    }

    fn accept(&mut self, stream: StreamId, task: AcceptTask, stage: &mut Stage) {
        let (reply, place) = (task.reply.clone(), task.place);
        let was_live = self.live.contains(stream);
        let answer = self.accepted(stream, task, stage);
        if answer.is_err() && !was_live && self.live.get(stream).is_some_and(|slot| slot.pending.is_none()) {
            // What was made ready for a message that is refused must not be taken for what the log says.
            self.live.remove(stream);
        }
        stage.effects.answers.push((reply, place, answer));
    }

    fn accepted(
        &mut self,
        stream: StreamId,
        task: AcceptTask,
        stage: &mut Stage,
    ) -> Result<Acceptance, Refusal> {
        if let Some(found) = self.shared.log.find(address::message_key(task.id.as_str())) {
            if found.a != stream.0 {
                return Err(Refusal::IdTaken(task.id));
            }
            let session = SessionId { stream, ordinal: self.ordinal(stream, stage) };
            return Ok(Acceptance { message_id: task.id, duplicate: true, session });
        }
        if !self.activate(stream, Some(&task.identity), stage) {
            return Err(busy("the session cannot be read"));
        }
        // The id may have been accepted earlier in this very batch, or so long ago that the log has forgotten it.
        let shared = self.shared.clone();
        let (Some(slot), Some(entry)) = (self.live.get(stream), shared.channels.get(task.channel)) else {
            return Err(busy("the session cannot be read"));
        };
        let retention = self.shared.config.retention.and_then(|d| u64::try_from(d.as_millis()).ok());
        let forgotten = Timestamp(retention.map_or(0, |ms| stage.now.0.saturating_sub(ms)));
        if slot.session.has_unindexed_id(&task.id, stage.now, forgotten) {
            let session = slot.session.id();
            return Ok(Acceptance { message_id: task.id, duplicate: true, session });
        }
        let mut prepared = entry
            .channel()
            .prepare(&task.content, slot.session.next_reference())
            .map_err(|rejection| Refusal::Unsendable(rejection.0))?;
        prepared.adapted.extend(task.adapted);
        let validity = entry.config.validity.and_then(|d| u64::try_from(d.as_millis()).ok());
        let from = task.send_at.unwrap_or(stage.now).max(stage.now);
        let reply_to = task.reply_to.as_ref().and_then(|original| self.answered_id(stream, original));
        if task.reply_to.is_some() && reply_to.is_none() {
            prepared
                .adapted
                .push("the message it answers is not known here: it went without naming it".into());
        }
        let accept = crate::domain::session::Accept {
            reply_to,
            heard_at: self.shared.heard_at(stream, &entry.policy),
            id: task.id.clone(),
            prepared,
            priority: task.priority,
            send_at: task.send_at,
            expires_at: task.expires_at.or_else(|| validity.map(|ms| from.plus_ms(ms))),
            destination: task.destination,
            conversation_id: task.conversation_id,
            channel_data: task.channel_data,
        };
        let events = slot.session.accept(&entry.policy, &task.identity, accept, stage.now)?;
        self.record(stream, events, &[], stage);
        let session = self.live.get(stream).map_or(SessionId { stream, ordinal: 0 }, |slot| SessionId {
            stream,
            ordinal: slot.session.counters.sessions,
        });
        Ok(Acceptance { message_id: task.id, duplicate: false, session })
    }

    /// The newest session on an address, open or finished.
    fn ordinal(&mut self, stream: StreamId, stage: &mut Stage) -> u32 {
        if self.activate(stream, None, stage) {
            return self.live.get(stream).map_or(1, |slot| slot.session.counters.sessions);
        }
        let finished = self.shared.log.find(address::head_key(stream));
        finished.map_or(1, |found| message::Counters::unpack(found.a).sessions)
    }

    /// Hands parts over: the intent goes into the log, the parts follow it to the channel.
    pub(super) fn take(&mut self, stream: StreamId, channel: ChannelIx, max: usize, stage: &mut Stage) {
        let now = stage.now;
        self.activate(stream, None, stage);
        let Some(slot) = self.live.get_mut(stream) else {
            // It had parts when it was announced, and is finished since: its room must not stay kept.
            stage.effects.channel(channel).released += max;
            return;
        };
        slot.announced = false;
        let shared = self.shared.clone();
        let Some(entry) = shared.channels.get(channel) else { return };
        self.give_up_too_late(stream, &entry.policy, stage);
        let Some(slot) = self.live.get_mut(stream) else { return };
        let Some(event) = slot.session.submit(&entry.policy, now, max) else {
            stage.effects.channel(channel).released += max;
            stage.touch(stream);
            return;
        };
        let Event::Submitting { message: number, parts } = &event else { return };
        let (number, parts) = (*number, parts.clone());
        let Some(message) = slot.session.message(number) else { return };
        let job = Job {
            stream,
            number,
            reserved: max,
            parts,
            message: Arc::new(JobMessage {
                id: message.id.clone(),
                content: message.content.clone(),
                split: message.split,
                did: slot.session.did_shown.clone(),
                customer: slot.session.address.customer.clone(),
                customer_shown: slot.session.customer_shown.clone(),
                expires_at: message.expires_at,
                reply_to: message.reply_to.clone(),
            }),
        };
        self.record(stream, [event], &[], stage);
        stage.effects.channel(channel).jobs.push(job);
    }

    fn channel_of(&mut self, stream: StreamId, stage: &mut Stage) -> Option<ChannelIx> {
        if self.activate(stream, None, stage) { self.live.get(stream)?.channel } else { None }
    }

    fn outcome(
        &mut self,
        stream: StreamId,
        number: MessageNo,
        part: u16,
        outcome: Outcome,
        spellings: &[u128],
        stage: &mut Stage,
    ) {
        let Some(channel) = self.channel_of(stream, stage) else { return };
        let shared = self.shared.clone();
        let (Some(slot), Some(entry)) = (self.live.get(stream), shared.channels.get(channel)) else { return };
        let jitter = shared.seams.ids.jitter(entry.policy.backoff_ms / 4 + 1);
        let events = slot.session.outcome(&entry.policy, number, part, outcome, jitter, stage.now);
        for event in events {
            // Only an acceptance carries the keys under which its receipts will be looked for.
            let keys: Vec<Key> = if matches!(event, Event::Submitted { .. }) {
                keys_of_part(stream, number, part, spellings)
            } else {
                Vec::new()
            };
            self.record(stream, [event], &keys, stage);
        }
        let no_receipts = entry.policy.receipt_timeout_ms == 0;
        let sent = self.live.get(stream).is_some_and(|s| s.session.sent.contains_key(&number));
        if no_receipts && sent {
            self.record(stream, [Event::Settled { message: number }], &[], stage);
        }
    }

    /// A receipt for a part, of this channel if one is named. Whether there is such a part.
    pub(super) fn receipt(
        &mut self,
        stream: StreamId,
        (number, part, of): (MessageNo, u16, Option<ChannelIx>),
        state: PartState,
        code: &str,
        stage: &mut Stage,
    ) -> bool {
        if self.activate(stream, None, stage)
            && let Some(slot) = self.live.get(stream)
        {
            if of.is_some() && slot.channel != of {
                return false;
            }
            if let Some(events) = slot.session.receipt(number, part, state, code) {
                self.record(stream, events, &[], stage);
                return true;
            }
        } else if of.is_some() && self.channel_of_finished(stream) != of {
            return false;
        }
        self.late_receipt(stream, number, part, state, code, stage)
    }

    /// A receipt for a message that is settled: its history says what it changes.
    fn late_receipt(
        &mut self,
        stream: StreamId,
        number: MessageNo,
        part: u16,
        state: PartState,
        code: &str,
        stage: &mut Stage,
    ) -> bool {
        let head = match self.live.get(stream) {
            Some(slot) => Some(slot.head),
            None => self.shared.log.find(address::head_key(stream)).map(|f| message::Seq(f.b)),
        };
        // What this batch has recorded so far counts: it may have settled the message.
        let pending = || stage.of_stream(stream).map(|(_, item)| item);
        let record = head
            .and_then(|head| MessageRecord::read(&self.shared.log, head, number, pending()).ok().flatten());
        let Some(record) = record.filter(|r| r.message.parts.len() > usize::from(part)) else { return false };
        if let Some(late) = record.late_receipt(part, state, code)
            && (self.live.contains(stream) || self.revive(stream, stage))
        {
            self.record(stream, [Event::LateReceipt(Box::new(late))], &[], stage);
        }
        true
    }

    /// Whether it was meant for this session.
    fn doubt_receipt(&mut self, stream: StreamId, receipt: &DoubtReceipt, stage: &mut Stage) -> bool {
        let shared = self.shared.clone();
        let Some(entry) = shared.channels.get(receipt.channel) else { return false };
        if !self.activate(stream, None, stage) {
            return false;
        }
        let DoubtReceipt { state, code, came_at, spellings, .. } = receipt;
        let session = self.live.get(stream).map(|slot| &slot.session);
        let Some(found) = session.and_then(|s| s.doubt_receipt(&entry.policy, *state, code, *came_at)) else {
            return false;
        };
        let keys = keys_of_part(stream, found.message, found.part, spellings);
        self.record(stream, found.events, &keys, stage);
        true
    }

    fn receive(
        &mut self,
        stream: StreamId,
        identity: &Identity,
        inbound: Inbound,
        key: Option<u128>,
        stage: &mut Stage,
    ) -> bool {
        // A repeat is acknowledged and changes nothing; the first may be in this very batch.
        if key.is_some_and(|key| stage.has_key(key) || self.shared.log.find(key).is_some()) {
            return true;
        }
        if !self.activate(stream, Some(identity), stage) {
            return false;
        }
        let Some(slot) = self.live.get(stream) else { return false };
        let ids = self.shared.seams.ids.clone();
        let mut inbound = inbound;
        let (media, channel) = (std::mem::take(&mut inbound.media), slot.channel);
        self.quote(stream, &identity.address.channel, &mut inbound);
        let events = slot.session.receive(identity, inbound, || ids.message_id(), stage.now);
        for event in events {
            let keys = match &event {
                Event::Received(received) => self.keys_of_received(stream, received, key, stage.now),
                _ => SmallVec::new(),
            };
            self.record(stream, [event], &keys, stage);
        }
        self.fetch_ahead(channel, media, stage);
        true
    }

    /// What came in is recorded: it is acknowledged after the flush.
    fn received(&self, ack: Option<Ack>, stage: &mut Stage) {
        match ack {
            Some(Ack::Link(ack)) if Sabotage::AcknowledgeBeforeFlush.is_chosen() => {
                if let Some(entry) = self.shared.channels.get(ack.channel) {
                    entry.cast(ChannelMessage::Acknowledge(vec![ack]));
                }
            }
            Some(Ack::Caller(waits)) if Sabotage::AcknowledgeBeforeFlush.is_chosen() => waits.safe(),
            Some(ack) => acknowledge(stage, ack),
            None => {}
        }
    }

    fn taken(&self, stream: StreamId, deliveries: &[u32]) -> Vec<Event> {
        let Some(slot) = self.live.get(stream) else { return Vec::new() };
        let waits = |n: &u32| slot.session.deliveries.iter().any(|d| d.number == *n);
        deliveries.iter().filter(|n| waits(n)).map(|delivery| Event::Taken { delivery: *delivery }).collect()
    }

    fn offer_again(&mut self, stream: StreamId, destination: usize, stage: &mut Stage) {
        if let Some(slot) = self.live.get_mut(stream) {
            slot.offered_again(|d| d != destination);
        }
        stage.touch(stream);
    }

    /// Lets time have its effect, and has everything the session waits for announced.
    fn wake(&mut self, stream: StreamId, stage: &mut Stage) {
        if !self.activate(stream, None, stage) {
            return;
        }
        let shared = self.shared.clone();
        let Some(slot) = self.live.get(stream) else { return };
        let Some(entry) = slot.channel.and_then(|ix| shared.channels.get(ix)) else { return };
        let parts = slot.session.give_up_parts(&entry.policy, || shared.seams.ids.message_id(), stage.now);
        self.record(stream, parts, &[], stage);
        let Some(slot) = self.live.get(stream) else { return };
        let events = slot.session.wake(&entry.policy, stage.now);
        if let Some(channel) = slot.channel {
            let queries = events.iter().filter_map(|event| slot.query_of(event));
            stage.effects.channel(channel).queries.extend(queries);
        }
        self.record(stream, events, &[], stage);
        stage.touch(stream);
    }
}

impl Slot {
    /// What the provider is to be asked.
    fn query_of(&self, event: &Event) -> Option<Query> {
        let Event::Queried { message, part } = event else { return None };
        let provider_id = self.session.message(*message)?.parts.get(usize::from(*part))?.provider_id.clone();
        let part = PartRef { stream: self.stream, number: *message, part: *part };
        Some(Query { part, provider_id, did: self.session.did_shown.clone() })
    }
}

/// What a part is found by from now on.
fn keys_of_part(stream: StreamId, number: MessageNo, part: u16, spellings: &[u128]) -> Vec<Key> {
    let b = Tag::Value(u64::from(number.0) << 16 | u64::from(part));
    spellings.iter().map(|hash| Key { hash: *hash, a: stream.0, b }).collect()
}

fn acknowledge(stage: &mut Stage, ack: Ack) {
    match ack {
        Ack::Link(ack) => stage.effects.channel(ack.channel).acks.push(ack),
        Ack::Caller(waits) => stage.effects.replies.push(Box::new(move || waits.safe())),
    }
}

pub(super) fn busy(reason: &str) -> Refusal {
    Refusal::Busy { reason: reason.into(), retry_after_s: 5 }
}
