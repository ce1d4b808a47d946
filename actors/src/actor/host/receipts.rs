//! Records receipts: for a part that is known, for the only part that can be meant, or not at all.

use std::sync::Arc;

use channels::address::number;
use message::{MessageNo, PartState, Seq, StreamId, Timestamp, address};
use smallvec::SmallVec;
use storage::{Key, Prev, Tag};

use crate::{
    actor::host::{load, turn::HostTurn},
    config::ChannelIx,
    domain::{correlation::PartRef, session::UnknownReceipt, settled},
    history::lookup,
    protocol::{
        channel::{Tried, TriedReceipt},
        part::Ack,
        task::{DoubtReceipt, ReceiptFrom},
    },
};

/// How long the answer to a submit may take before a receipt with an unknown id settles it. Most
/// answers come sooner, and a receipt may come before its answer.
const ANSWER_WAIT_MS: u64 = 1_000;

/// A report on one part.
#[derive(Clone, Copy)]
pub(crate) struct Report<'a> {
    pub(crate) number: MessageNo,
    pub(crate) part: u16,
    pub(crate) state: PartState,
    pub(crate) code: &'a str,
}

/// Records a receipt, and has its sender told what became of it.
pub(crate) fn on_receipt(turn: &mut HostTurn<'_>, stream: StreamId, report: Report<'_>, from: ReceiptFrom) {
    let of = match &from {
        ReceiptFrom::Reference { channel, .. } => Some(*channel),
        _ => None,
    };
    let addresses = match &from {
        ReceiptFrom::Claimed { claim, .. } => Some([&claim.address.customer, &claim.address.did]),
        ReceiptFrom::Kept { addresses, .. } => addresses.as_ref().map(|[one, other]| [one, other]),
        _ => None,
    };
    let is_own = addresses.is_none_or(|addresses| is_customer(turn, stream, addresses));
    let entry = smpp_channel(&from).and_then(|channel| turn.context.directory.channel(channel));
    let is_of_message = entry.is_some_and(|entry| entry.policy.receipt_is_of_message);
    let found = is_own
        && if is_of_message {
            record_for_message(turn, stream, report)
        } else {
            record_receipt(turn, stream, report, of)
        };
    let effects = &mut turn.batch.effects;
    match from {
        ReceiptFrom::Reference { channel, stray } if found => {
            effects.channel(channel).matched_by_reference += 1;
            effects.acknowledge(Ack::Caller(stray.completion));
        }
        ReceiptFrom::Reference { channel, stray } => effects.channel(channel).strays.push(stray),
        ReceiptFrom::Provider(ack) => effects.acknowledge(ack),
        ReceiptFrom::Claimed { channel, claim } if is_own => {
            effects.channel(channel).matched_by_reference += 1;
            effects.acknowledge(claim.ack);
        }
        ReceiptFrom::Claimed { channel, claim } => effects.channel(channel).disowned.push(*claim),
        ReceiptFrom::Kept { channel, parked, .. } => {
            let found = if is_own { Tried::Recorded } else { Tried::Disowned };
            effects.channel(channel).tried.push(TriedReceipt { parked, found });
        }
        ReceiptFrom::Query => {}
    }
}

/// Whether one of the addresses is a spelling of the customer's.
fn is_customer(turn: &mut HostTurn<'_>, stream: StreamId, addresses: [&Arc<str>; 2]) -> bool {
    let customer = if turn.activate(stream, None) {
        turn.slot(stream).map(|slot| slot.session.address.customer.clone())
    } else {
        load::finished(turn.context, stream).map(|finished| finished.revived.address.customer)
    };
    customer.is_some_and(|customer| addresses.into_iter().any(|address| number::is_same(&customer, address)))
}

/// The channel on which a receipt of an SMSC came.
fn smpp_channel(from: &ReceiptFrom) -> Option<ChannelIx> {
    match from {
        ReceiptFrom::Provider(Ack::Link(ack)) => Some(ack.channel),
        ReceiptFrom::Claimed { channel, .. } | ReceiptFrom::Kept { channel, .. } => Some(*channel),
        ReceiptFrom::Provider(_) | ReceiptFrom::Reference { .. } | ReceiptFrom::Query => None,
    }
}

/// Records a receipt that is about a whole message: for its part, and for all others that the
/// provider has. Returns whether such a part exists.
fn record_for_message(turn: &mut HostTurn<'_>, stream: StreamId, report: Report<'_>) -> bool {
    let others = other_parts(turn, stream, report);
    let found = record_receipt(turn, stream, report, None);
    for part in others.into_iter().filter(|_| found) {
        record_receipt(turn, stream, Report { part, ..report }, None);
    }
    found
}

fn other_parts(turn: &mut HostTurn<'_>, stream: StreamId, report: Report<'_>) -> SmallVec<[u16; 4]> {
    let Report { number, part, .. } = report;
    let is_other = |other: &u16| *other != part;
    if turn.activate(stream, None)
        && let Some(message) = turn.slot(stream).and_then(|slot| slot.session.message(number))
    {
        return message.parts_with_provider().filter(is_other).collect();
    }
    let record = turn.known_record(stream, number);
    record.iter().flat_map(|record| record.message.parts_with_provider()).filter(is_other).collect()
}

/// Records a receipt for a part, which must belong to the channel `of` if one is given. Returns
/// whether such a part exists.
pub(crate) fn record_receipt(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    report: Report<'_>,
    of: Option<ChannelIx>,
) -> bool {
    if turn.activate(stream, None)
        && let Some(slot) = turn.slot(stream)
    {
        if of.is_some() && slot.channel != of {
            return false;
        }
        let Report { number, part, state, code } = report;
        if let Some(events) = slot.session.receipt(number, part, state, code) {
            turn.record(stream, events, &[]);
            return true;
        }
    }
    record_late_receipt(turn, stream, report, of)
}

fn channel_of_finished(turn: &HostTurn<'_>, stream: StreamId) -> Option<ChannelIx> {
    let finished = load::finished(turn.context, stream)?;
    turn.context.directory.channel_ix(&finished.revived.address.channel)
}

/// Records a receipt for a settled message. One that adds nothing is known by the message's look-up
/// key; for another, the message's own events tell what it changes.
fn record_late_receipt(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    report: Report<'_>,
    of: Option<ChannelIx>,
) -> bool {
    let Report { number, part, state, code } = report;
    let key = address::settled_key(stream, number);
    // Events of this batch count too: they may have settled the message.
    if !turn.batch.has_key(key) {
        let Some(found) = turn.context.reader.find(key) else { return false };
        if let Some(parts) = settled::unpack(found.a) {
            match parts.get(usize::from(part)) {
                None => return false,
                Some(known) if known.join(state) == *known => return true,
                Some(_) => {}
            }
        }
    }
    let is_live = turn.sessions.live.contains(stream);
    if !is_live && of.is_some() && channel_of_finished(turn, stream) != of {
        return false;
    }
    let record = turn.known_record(stream, number);
    let Some(record) = record.filter(|r| r.message.parts.len() > usize::from(part)) else { return false };
    let Some(late) = record.late_receipt(part, state, code) else { return true };
    let about = record.events.last().map_or(Seq::NONE, |event| event.seq);
    let about = match turn.batch.newest_of(stream, number) {
        Some(index) => Prev::Earlier(index),
        None => Prev::At(about),
    };
    if is_live || turn.revive(stream) {
        let states = record.message.parts.iter().zip(0u16..);
        let states: SmallVec<[PartState; 4]> =
            states.map(|(p, n)| if n == part { p.state.join(state) } else { p.state }).collect();
        let key = Key { hash: key, a: settled::pack(states.into_iter()), b: Tag::OwnSeq };
        turn.record_late(stream, late, about, key);
    }
    true
}

/// Records a receipt with an unknown id if exactly one part of the session can be meant.
pub(crate) fn record_doubt_receipt(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    receipt: &DoubtReceipt,
) -> Tried {
    let addresses = receipt.addresses.as_ref().map(|[one, other]| [one, other]);
    if addresses.is_some_and(|addresses| !is_customer(turn, stream, addresses)) {
        return Tried::NoSession { place: receipt.place };
    }
    if let Some(PartRef { number, part, .. }) = part_with_id(turn, stream, &receipt.spellings) {
        let report = Report { number, part, state: receipt.state, code: &receipt.code };
        record_receipt(turn, stream, report, None);
        return Tried::Recorded;
    }
    let is_active = turn.activate(stream, None);
    let Some((slot, _, entry)) = turn.slot_and_channel(stream).filter(|_| is_active) else {
        let was_there = is_active || lookup::finished_head(&turn.context.reader, stream).is_some();
        return if was_there { Tried::Undecided } else { Tried::NoSession { place: receipt.place } };
    };
    let DoubtReceipt { provider_id, state, code, came_at, spellings, may_be_unanswered, .. } = receipt;
    let overdue = Timestamp(turn.now().0.saturating_sub(ANSWER_WAIT_MS));
    let unknown = UnknownReceipt {
        provider_id,
        came_at: *came_at,
        unanswered_since: may_be_unanswered.then_some(overdue),
    };
    let Some(found) = slot.session.doubt_receipt(&entry.policy, &unknown) else { return Tried::Undecided };
    let keys = keys_of_part(stream, found.message, found.part, spellings);
    turn.record(stream, [found.submitted], &keys);
    // The answer settles a message whose failure was reported before it: the receipt is late then.
    let report = Report { number: found.message, part: found.part, state: *state, code };
    record_receipt(turn, stream, report, None);
    Tried::Recorded
}

/// Returns the part of a session to which a receipt's id leads: it, or another with its id, may
/// have settled one since this one was sent here.
fn part_with_id(turn: &HostTurn<'_>, stream: StreamId, keys: &[u128]) -> Option<PartRef> {
    let of_stream = |key: &u128| {
        let found = turn.batch.find(*key).or_else(|| turn.context.reader.find(*key));
        found.map(PartRef::of).filter(|part| part.stream == stream)
    };
    keys.iter().find_map(of_stream)
}

/// Returns the look-up keys that lead to a part.
pub(crate) fn keys_of_part(stream: StreamId, number: MessageNo, part: u16, spellings: &[u128]) -> Vec<Key> {
    let part = PartRef { stream, number, part };
    spellings.iter().map(|hash| part.to_key(*hash)).collect()
}
