//! The end of a batch: announces what the touched sessions have for channels and destinations,
//! appends the events, and ties the effects to their flush.

use message::{Seq, StreamId, address};
use smallvec::SmallVec;
use storage::{Key, Tag, invariant, invariants};

use crate::{
    actor::host::{
        batch::{Batch, PendingAnswer},
        live::Slot,
        submit::submit_parts,
        turn::HostTurn,
    },
    config::{ChannelIx, DestinationIx},
    context::{Context, entries::ChannelEntry},
    domain::session::{Delivery, earlier},
    protocol::{
        channel::ReadySession,
        destination::{DeliveryBatch, PendingDelivery},
    },
    sabotage::Sabotage,
};

/// Maximum number of deliveries looked at for destinations other than the first one's.
const DELIVERIES_SEEN_MAX: usize = 64;
/// Maximum number of deliveries in one batch; further ones follow when these are accepted.
const DELIVERIES_MAX: usize = 100;

/// Ends a turn: looks at each touched session, appends all events, and lets the effects follow the
/// flush.
pub(crate) fn finish(turn: HostTurn<'_>) {
    let mut turn = turn;
    for stream in std::mem::take(&mut turn.batch.touched) {
        let broken = invariants::broken_here();
        if let Some(room) = unasked_room(&turn, stream) {
            submit_parts(&mut turn, stream, room.channel, room.parts);
        }
        announce(&mut turn, stream);
        if invariants::broken_here() != broken {
            turn.sessions.park(stream);
        }
    }
    append(turn);
}

/// Room in a channel's window that a session uses without asking.
struct UnaskedRoom {
    channel: ChannelIx,
    parts: usize,
}

/// Takes room that the channel has set aside. The intent to send is then recorded in the batch that
/// caused it, and one flush serves both.
fn unasked_room(turn: &HostTurn<'_>, stream: StreamId) -> Option<UnaskedRoom> {
    let (slot, channel, entry) = turn.slot_and_channel(stream).filter(|(slot, ..)| !slot.announced)?;
    let due = slot.session.due_parts(&entry.policy, turn.moment(), usize::from(u8::MAX))?;
    let parts = entry.credit.take(due.parts.len());
    invariant!(parts <= due.parts.len(), "{parts} of {} parts are granted", due.parts.len());
    (parts > 0).then_some(UnaskedRoom { channel, parts })
}

fn append(turn: HostTurn<'_>) {
    let HostTurn { context, sessions, batch } = turn;
    let items = std::mem::take(&mut batch.items);
    let mut effects = std::mem::take(&mut batch.effects);
    if items.is_empty() && effects.is_empty() {
        return;
    }
    // What could not be read may have been misjudged: the next run judges it again.
    if context.lifecycle.has_failed() {
        effects.withhold_acknowledgements();
    }
    if Sabotage::AcceptBeforeFlush.is_chosen() {
        effects.answers.drain(..).for_each(PendingAnswer::send);
    }
    let streams: Vec<StreamId> = items.iter().map(|item| item.stream).collect();
    let shared = context.clone();
    let done: storage::Completion = Box::new(move |flushed| match flushed {
        Ok(()) => effects.dispatch_after_commit(&shared),
        Err(poisoned) => {
            shared.lifecycle.fail(format!("the event log: {poisoned}"));
            effects.answers.into_iter().for_each(PendingAnswer::refuse);
        }
    });
    if items.is_empty() {
        // An answer may depend on events that were appended before and are not flushed yet.
        return context.log.after(done);
    }
    match context.log.append(items, Some(done)) {
        Ok(first) => on_appended(&mut HostTurn { context, sessions, batch }, first, &streams),
        Err(error) => {
            context.lifecycle.fail(format!("the event log: {error}"));
            // Their memory is ahead of the log for good.
            for stream in streams {
                sessions.remove(stream);
            }
        }
    }
}

/// Moves each session's head to the number that the log has assigned, and drops finished sessions.
fn on_appended(turn: &mut HostTurn<'_>, first: Seq, streams: &[StreamId]) {
    let live = &mut turn.sessions.live;
    for (n, stream) in streams.iter().enumerate() {
        let Some(slot) = live.get_mut(*stream) else { continue };
        let (head, seq) = (slot.head, Seq(first.0 + n as u64));
        invariant!(head < seq, "{stream} goes from {head} to {seq}");
        slot.head = seq;
        slot.pending = None;
        slot.chains.resolve(first);
        slot.used = slot.is_under_way();
    }
    for stream in streams {
        if turn.slot(*stream).is_some_and(|slot| slot.session.is_done()) {
            // From now on the key of its last event leads to the stream.
            if let Some(slot) = turn.sessions.remove(*stream) {
                let is_resolved = slot.pending.is_none();
                invariant!(is_resolved, "{stream} is finished before its events are appended");
                turn.context.log.index().remove_over(*stream, slot.head, slot.before);
            }
        } else {
            turn.sessions.live.mark_dirty(*stream);
        }
    }
}

/// Tells channel and destinations what a session has for them, and arms its timer.
fn announce(turn: &mut HostTurn<'_>, stream: StreamId) {
    let (context, moment) = (turn.context, turn.moment());
    let Some(slot) = turn.sessions.live.get_mut(stream) else { return };
    slot.touched = false;
    let Some((channel, entry)) = slot.channel.and_then(|ix| Some((ix, context.directory.channel(ix)?)))
    else {
        return;
    };
    if !slot.announced
        && let Some(due) = slot.session.due_parts(&entry.policy, moment, usize::from(u8::MAX))
    {
        slot.announced = true;
        invariant!(!due.parts.is_empty(), "{stream} is announced without parts");
        let ready = ReadySession { stream, lane: slot.session.lane(), parts: due.parts.len() as u16 };
        turn.batch.effects.channel(channel).ready.push(ready);
    }
    offer_deliveries(context, slot, entry, turn.batch);
    // The key of a finished stream goes with its last event.
    if slot.session.is_done()
        && let Some(item) = slot.pending.and_then(|at| turn.batch.items.get_mut(at as usize))
    {
        let a = slot.session.counters.pack();
        item.keys.push(Key { hash: address::head_key(stream), a, b: Tag::OwnSeq });
    }
    let soonest = slot.soonest.take();
    // Of what was due before a step back of the clock, no timer is left.
    let next = if slot.timed_at.is_some_and(|at| at <= moment.sure) {
        earlier(soonest, slot.session.own_instant(&entry.policy, moment.sure))
    } else {
        slot.timed_at = Some(moment.sure);
        slot.session.next_instant(&entry.policy, moment.sure)
    };
    if let Some(next) = next {
        turn.sessions.arm(stream, next);
    }
}

/// Offers waiting deliveries to the destinations that hold none of this session.
fn offer_deliveries(context: &Context, slot: &mut Slot, entry: &ChannelEntry, batch: &mut Batch) {
    let of_did = entry.destination(&slot.session.address.did);
    let mut wanted: SmallVec<[DestinationIx; 1]> = SmallVec::new();
    let mut look = |delivery: &Delivery| {
        let ix = destination_of(context, delivery).unwrap_or(of_did);
        if !wanted.contains(&ix) && !slot.offered.contains(&ix) {
            wanted.push(ix);
        }
    };
    let deliveries = &slot.session.deliveries;
    match slot.offered_to {
        0 => deliveries.iter().take(DELIVERIES_SEEN_MAX).for_each(&mut look),
        seen => deliveries.iter().rev().take_while(|d| d.number > seen).for_each(&mut look),
    }
    slot.offered_to = slot.session.counters.deliveries;
    for destination in wanted {
        slot.offered.push(destination);
        batch.effects.deliver(destination, first_deliveries(context, slot, destination, of_did));
    }
}

/// The destination that a delivery names, if it is configured.
fn destination_of(context: &Context, delivery: &Delivery) -> Option<DestinationIx> {
    delivery.destination.as_ref().and_then(|id| context.directory.destination_ix(id))
}

/// Returns a session's first deliveries for a destination.
fn first_deliveries(
    context: &Context,
    slot: &Slot,
    destination: DestinationIx,
    of_did: DestinationIx,
) -> DeliveryBatch {
    let entry = context.directory.destination(destination);
    let most = entry.map_or(1, |d| d.config().batch_max.clamp(1, DELIVERIES_MAX));
    let session = &slot.session;
    let deliveries: Vec<PendingDelivery> = session
        .deliveries
        .iter()
        .filter(|d| destination_of(context, d).unwrap_or(of_did) == destination)
        .take(most)
        .map(|d| PendingDelivery { number: d.number, at: d.at, ordinal: d.ordinal, kind: d.kind.clone() })
        .collect();
    invariant!(!deliveries.is_empty(), "{} has nothing for its destination", slot.stream);
    DeliveryBatch {
        stream: slot.stream,
        customer: session.customer_handed_out(),
        did: session.did_shown.clone(),
        channel: session.address.channel.clone(),
        deliveries,
    }
}
