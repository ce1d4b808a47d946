//! Performs one task on one session: decides through the session's pure side, records the events,
//! and notes the effects that follow their flush.

use message::{Counters, Event, MessageNo, SessionId, StreamId, Timestamp, address};
use smallvec::SmallVec;

use crate::{
    actor::host::{
        batch::PendingAnswer,
        carry,
        live::Slot,
        operator,
        receipts::{self, Report, keys_of_part},
        replies,
        submit::submit_parts,
        turn::HostTurn,
    },
    domain::{
        correlation::PartRef,
        message_key, repeats,
        session::{Accept, Identity, Inbound, Outcome},
    },
    error::Refusal,
    history::lookup,
    protocol::{
        answers::Acceptance,
        channel::{ChannelMessage, TriedReceipt},
        part::{Ack, Query},
        task::{AcceptTask, Op, Task},
    },
    sabotage::Sabotage,
};

/// Performs a task.
pub(crate) fn perform(turn: &mut HostTurn<'_>, task: Task) {
    let Task { stream, op } = task;
    match op {
        Op::Accept(task) => accept(turn, stream, *task),
        Op::Request(request) => operator::answer(turn, stream, request),
        Op::SubmitParts { channel, max } => submit_parts(turn, stream, channel, max),
        Op::Outcome { number, part, outcome, spellings } => {
            record_outcome(turn, stream, number, part, outcome, &spellings);
        }
        Op::Receipt { number, part, state, code, from } => {
            receipts::on_receipt(turn, stream, Report { number, part, state, code: &code }, from);
        }
        Op::Watermark { state, upto, code, ack } => {
            for (number, part) in replies::parts_upto(turn, stream, state, upto) {
                receipts::record_receipt(turn, stream, Report { number, part, state, code: &code }, None);
            }
            turn.batch.effects.acknowledge(ack);
        }
        Op::AddAliases { names } => replies::add_aliases(turn, stream, &names),
        Op::DoubtReceipt(receipt) => {
            let found = receipts::record_doubt_receipt(turn, stream, &receipt);
            let tried = TriedReceipt { parked: receipt.parked, found };
            turn.batch.effects.channel(receipt.channel).tried.push(tried);
        }
        Op::LoseAddress { same, change, ack } => {
            // A stranger's finished session may still be found by another name.
            if (turn.activate(stream, None) || (!same && turn.revive(stream)))
                && let Some(slot) = turn.slot(stream)
            {
                let events = slot.session.lose_address(same, change, turn.now());
                turn.record(stream, events, &[]);
            }
            turn.batch.effects.acknowledge(ack);
        }
        Op::Receive { identity, inbound, key, ack } => {
            if receive(turn, stream, &identity, *inbound, key) {
                acknowledge_received(turn, ack);
            }
        }
        Op::OfferDeliveries { destination } => {
            if turn.activate(stream, None) {
                turn.offer_again(stream, |d| d != destination);
            }
        }
        Op::DeliveryAccepted { destination, deliveries } => {
            if turn.activate(stream, None) {
                let events = accepted_deliveries(turn, stream, &deliveries);
                turn.record(stream, events, &[]);
                turn.offer_again(stream, |d| d != destination);
            }
        }
        Op::DeadLetter { delivery, cause } => {
            if turn.activate(stream, None) {
                turn.record(stream, [Event::DeadLettered { delivery, cause }], &[]);
                turn.offer_again(stream, |_| false);
            }
        }
        Op::Carry { upto, completion } => {
            if carry::carry(turn, stream, upto) {
                turn.batch.effects.acknowledge(Ack::Caller(completion));
            }
        }
        Op::Wake => wake(turn, stream),
    }
}

fn accept(turn: &mut HostTurn<'_>, stream: StreamId, task: AcceptTask) {
    let (answers, place) = (task.reply.clone(), task.place);
    let was_live = turn.sessions.live.contains(stream);
    let channel = task.channel;
    let answer = decide_acceptance(turn, stream, task);
    if let Err(Refusal::Unsendable(cause)) = &answer
        && let Some(entry) = turn.context.directory.channel(channel)
    {
        entry.tally.count_refused(cause, turn.now());
    }
    if answer.is_err() && !was_live && turn.slot(stream).is_some_and(|slot| slot.pending.is_none()) {
        // A session created for a message that is refused must not count as what the log holds.
        turn.sessions.live.remove(stream);
    }
    turn.batch.effects.answers.push(PendingAnswer::new(answers, place, answer));
}

fn decide_acceptance(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    task: AcceptTask,
) -> Result<Acceptance, Refusal> {
    let (context, now) = (turn.context, turn.now());
    let key = address::message_key(task.id.as_str());
    if let Some(found) = context.reader.find(key) {
        if found.a != stream.0 {
            return Err(Refusal::IdTaken(task.id));
        }
        if message_key::differs(found.b, &task.content) {
            return Err(Refusal::IdDiffers(task.id));
        }
        let session = SessionId { stream, ordinal: newest_ordinal(turn, stream) };
        return Ok(Acceptance { message_id: task.id, duplicate: true, session });
    }
    if !turn.activate(stream, Some(&task.identity)) {
        return Err(operator::busy("the session cannot be read"));
    }
    let (Some(slot), Some(entry)) = (turn.slot(stream), context.directory.channel(task.channel)) else {
        return Err(operator::busy("the session cannot be read"));
    };
    // The id may have been accepted earlier in this batch, or so long ago that retention has
    // removed its look-up key.
    let retention = context.tunable().retention.and_then(|d| u64::try_from(d.as_millis()).ok());
    let forgotten = Timestamp(retention.map_or(0, |ms| now.0.saturating_sub(ms)));
    if slot.session.has_unindexed_id(&task.id, now, forgotten) {
        let earlier = turn.batch.find(key).map(|found| found.b);
        if earlier.is_some_and(|value| message_key::differs(value, &task.content)) {
            return Err(Refusal::IdDiffers(task.id));
        }
        let session = slot.session.id(stream);
        return Ok(Acceptance { message_id: task.id, duplicate: true, session });
    }
    let mut prepared = entry
        .channel()
        .prepare_as(&task.content, slot.session.next_reference(), task.handling)
        .map_err(|rejection| Refusal::Unsendable(rejection.0))?;
    let validity = entry.config.validity.and_then(|d| u64::try_from(d.as_millis()).ok());
    let from = task.send_at.unwrap_or(now).max(now);
    let reply_to = task.reply_to.as_ref().and_then(|original| replies::answered_id(turn, stream, original));
    if task.reply_to.is_some() && reply_to.is_none() {
        prepared.adapted.push("the message it answers is not known here: sent without naming it".into());
    }
    prepared.adapted.extend(entry.national_note(&task.identity.customer_shown));
    let expires_at = task.expires_at.or_else(|| validity.map(|ms| from.plus_ms(ms)));
    let valid_ms = expires_at.map(|at| at.since_ms(from));
    prepared.adapted.extend(valid_ms.and_then(|ms| entry.channel().untold_validity(ms)));
    let accept = Accept {
        reply_to,
        heard_at: lookup::heard_at(&context.reader, stream, &entry.policy),
        id: task.id.clone(),
        prepared,
        priority: task.priority,
        send_at: task.send_at,
        expires_at,
        destination: task.destination,
        conversation_id: task.conversation_id,
        channel_data: task.channel_data,
    };
    let events = slot.session.accept(&entry.policy, &task.identity, accept, now)?;
    for event in events {
        let key = match &event {
            Event::Accepted(accepted) => Some(message_key::key(key, stream, accepted.number, &task.content)),
            _ => None,
        };
        turn.record(stream, [event], key.as_slice());
    }
    let ordinal = turn.slot(stream).map_or(0, |slot| slot.session.counters.sessions);
    Ok(Acceptance { message_id: task.id, duplicate: false, session: SessionId { stream, ordinal } })
}

/// Returns the ordinal of the newest session on an address, open or finished.
fn newest_ordinal(turn: &mut HostTurn<'_>, stream: StreamId) -> u32 {
    if turn.activate(stream, None) {
        return turn.slot(stream).map_or(1, |slot| slot.session.counters.sessions);
    }
    let finished = turn.context.reader.find(address::head_key(stream));
    finished.map_or(1, |found| Counters::unpack(found.a).sessions)
}

fn record_outcome(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    number: MessageNo,
    part: u16,
    outcome: Outcome,
    spellings: &[u128],
) {
    turn.activate(stream, None);
    let Some((slot, _, entry)) = turn.slot_and_channel(stream) else { return };
    let jitter = turn.context.seams.ids.jitter(entry.policy.backoff_ms / 4 + 1);
    let events = slot.session.outcome(&entry.policy, number, part, outcome, jitter, turn.now());
    for event in events {
        // Only an accepted part has ids under which its receipts will be looked up.
        let keys = match event {
            Event::Submitted { .. } => keys_of_part(stream, number, part, spellings),
            _ => Vec::new(),
        };
        turn.record(stream, [event], &keys);
    }
    let no_receipts = entry.policy.receipt_timeout_ms == 0;
    let sent = turn.slot(stream).is_some_and(|s| s.session.sent.contains_key(&number));
    if no_receipts && sent {
        turn.record(stream, [Event::Settled { message: number }], &[]);
    }
}

/// Records a customer's message. Returns whether it may be acknowledged.
fn receive(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    identity: &Identity,
    inbound: Inbound,
    key: Option<u128>,
) -> bool {
    let context = turn.context;
    // A repetition is acknowledged and changes nothing; the first may be in this batch.
    if key.is_some_and(|key| turn.batch.has_key(key) || context.reader.find(key).is_some()) {
        return true;
    }
    if !turn.activate(stream, Some(identity)) {
        return false;
    }
    let mut inbound = inbound;
    let reference = repeats::reference_of(&inbound);
    replies::quote(turn, stream, &identity.address.channel, &mut inbound);
    let Some(slot) = turn.slot(stream) else { return false };
    let (media, channel) = (std::mem::take(&mut inbound.media), slot.channel);
    let new_id = || context.seams.ids.message_id();
    let events = slot.session.receive(identity, inbound, new_id, turn.now());
    for event in events {
        let (event, keys) = match event {
            Event::Received(mut received) => {
                let channel = &identity.address.channel;
                let mut keys = replies::keys_of_received(turn, stream, &received, channel, key);
                keys.extend(replies::flag_repeat(turn, stream, &mut received, reference));
                (Event::Received(received), keys)
            }
            event => (event, SmallVec::new()),
        };
        turn.record(stream, [event], &keys);
    }
    replies::fetch_ahead(turn, channel, media);
    true
}

fn acknowledge_received(turn: &mut HostTurn<'_>, ack: Option<Ack>) {
    match ack {
        Some(Ack::Link(ack)) if Sabotage::AcknowledgeBeforeFlush.is_chosen() => {
            if let Some(entry) = turn.context.directory.channel(ack.channel) {
                entry.tell(ChannelMessage::Acknowledge(vec![ack]));
            }
        }
        Some(Ack::Caller(completion)) if Sabotage::AcknowledgeBeforeFlush.is_chosen() => {
            completion.complete();
        }
        Some(ack) => turn.batch.effects.acknowledge(ack),
        None => {}
    }
}

fn accepted_deliveries(turn: &HostTurn<'_>, stream: StreamId, deliveries: &[u32]) -> Vec<Event> {
    let Some(slot) = turn.slot(stream) else { return Vec::new() };
    let waits = |n: &u32| slot.session.deliveries.iter().any(|d| d.number == *n);
    deliveries.iter().filter(|n| waits(n)).map(|delivery| Event::Taken { delivery: *delivery }).collect()
}

/// Applies everything that is due, and has the session announced again.
fn wake(turn: &mut HostTurn<'_>, stream: StreamId) {
    if !turn.activate(stream, None) {
        return;
    }
    // Nothing of this can be undone.
    let (context, now) = (turn.context, turn.moment().sure);
    let Some((slot, channel, entry)) = turn.slot_and_channel(stream) else { return };
    let parts = slot.session.give_up_parts(&entry.policy, || context.seams.ids.message_id(), now);
    turn.record(stream, parts, &[]);
    let Some(slot) = turn.slot(stream) else { return };
    let events = slot.session.wake(&entry.policy, now);
    let queries: Vec<Query> = events.iter().filter_map(|event| query_of(slot, event)).collect();
    turn.batch.effects.channel(channel).queries.extend(queries);
    turn.record(stream, events, &[]);
    turn.touch(stream);
}

/// Returns the query to the provider that follows from an event.
fn query_of(slot: &Slot, event: &Event) -> Option<Query> {
    let Event::Queried { message, part } = event else { return None };
    let provider_id = slot.session.message(*message)?.parts.get(usize::from(*part))?.provider_id.clone();
    let part = PartRef { stream: slot.stream, number: *message, part: *part };
    Some(Query { part, provider_id, did: slot.session.did_shown.clone() })
}
