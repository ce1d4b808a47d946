//! Links between messages: replies in both directions, aliases of the customer, and receipts for
//! everything up to an instant. They are found by the log's look-ups; one that is not found is
//! reported or left out, never guessed.

use std::sync::Arc;

use channels::MediaRef;
use message::{
    ChannelId, Event, MessageId, MessageNo, PartState, Seq, StreamId, Timestamp, address,
    event::{CustomerKnown, Received},
};
use smallvec::SmallVec;
use storage::{Key, Tag};

use crate::{
    actor::host::{batch::Effect, turn::HostTurn},
    config::ChannelIx,
    context::media_queue::FetchRequest,
    domain::{
        correlation::{self, PartRef},
        media_address, message_key,
        names::Names,
        repeats,
        session::Inbound,
    },
    history::lookup::{self, FoundReceived},
    protocol::destination::ORIGINAL_ID,
};

/// Maximum number of events read for settled messages that a watermark receipt covers.
const WATERMARK_WALK_MAX: usize = 2_000;
/// Maximum number of settled messages that one watermark receipt can cover.
const WATERMARK_MESSAGES_MAX: usize = 64;

/// Finds the provider's id of the message that the business answers: a customer's, or one of its
/// own.
pub(crate) fn answered_id(turn: &HostTurn<'_>, stream: StreamId, original: &MessageId) -> Option<Arc<str>> {
    let reader = &turn.context.reader;
    let received = lookup::received_as(reader, stream, original.as_str());
    let received = found(turn, received).map(|received| received.provider_id);
    let own = || {
        let found = reader.find(address::message_key(original.as_str()))?;
        let number = message_key::number(found);
        (found.a == stream.0).then_some(())?;
        let live = turn.slot(stream).and_then(|slot| slot.session.message(number)).cloned();
        let message = live.or_else(|| turn.known_record(stream, number).map(|record| record.message))?;
        message.parts.first().map(|part| part.provider_id.clone())
    };
    received.or_else(own).filter(|id| !id.is_empty())
}

/// Returns a customer's message that was looked up. One that cannot be read ends the router.
fn found(turn: &HostTurn<'_>, received: FoundReceived) -> Option<Box<Received>> {
    turn.context.lifecycle.found("a customer's message", received)
}

/// Adds an attribute with the business's id of the message that a customer answers, or with the
/// provider's id where the business knows no such message.
pub(crate) fn quote(turn: &HostTurn<'_>, stream: StreamId, channel: &ChannelId, inbound: &mut Inbound) {
    let Some(quoted) = inbound.reply_to.take() else { return };
    let reader = &turn.context.reader;
    // The other spellings are looked up only where the exact one is not known.
    let spelling = || spelled(turn, stream, channel, &quoted);
    let sent = || {
        let of_part = |id: &str| {
            let found = reader.find(address::provider_id_key(channel, id)).map(PartRef::of);
            found.filter(|part| part.stream == stream)
        };
        let part = of_part(&quoted).or_else(|| of_part(&spelling()?))?;
        let live = turn.slot(stream).and_then(|slot| slot.session.message(part.number));
        let live = live.map(|message| message.id.clone());
        live.or_else(|| turn.known_record(stream, part.number).map(|record| record.message.id))
    };
    let written = || {
        let received =
            |id: &str| found(turn, lookup::received_at(reader, stream, address::inbound_key(channel, id)));
        received(&quoted).or_else(|| received(&spelling()?)).map(|received| received.id)
    };
    let attribute = match sent().or_else(written) {
        Some(id) => (ORIGINAL_ID.into(), id.as_str().into()),
        None => ("replyTo".into(), Box::from(&*quoted)),
    };
    inbound.attributes.push(attribute);
}

/// Returns the look-up keys of a customer's message: repetitions are found by the provider's id,
/// replies by ours, and the window for free messages by the time of writing.
pub(crate) fn keys_of_received(
    turn: &HostTurn<'_>,
    stream: StreamId,
    received: &Received,
    channel: &ChannelId,
    key: Option<u128>,
) -> SmallVec<[Key; 4]> {
    let Some(key) = key else { return SmallVec::new() };
    let own = |hash| Key { hash, a: stream.0, b: Tag::OwnSeq };
    // A message that was long on its way opens no new window, and one out of order closes none.
    let now = turn.now();
    let written = received.provider_time.unwrap_or(now).min(now);
    let heard = received.is_written.then(|| {
        let known = turn.context.reader.find(address::heard_key(stream)).map_or(0, |found| found.a);
        Key { hash: address::heard_key(stream), a: known.max(u128::from(written.0)), b: Tag::OwnSeq }
    });
    let spelled = spelled_key(turn, stream, channel, &received.provider_id);
    let keys = [own(key), own(address::delivered_key(received.id.as_str()))];
    keys.into_iter().chain(heard).chain(spelled.map(own)).collect()
}

/// Returns the look-up key of a message of the customer in any spelling of its id.
fn spelled_key(turn: &HostTurn<'_>, stream: StreamId, channel: &ChannelId, id: &str) -> Option<u128> {
    let spelling = spelled(turn, stream, channel, id)?;
    Some(address::inbound_key(channel, &spelling))
}

/// Returns the spelling of an id that is the same for all its spellings within a conversation.
fn spelled(turn: &HostTurn<'_>, stream: StreamId, channel: &ChannelId, id: &str) -> Option<String> {
    let (_, entry) = turn.context.directory.channel_by_id(channel)?;
    Some(correlation::in_conversation(stream, &entry.http()?.message_token(id)?))
}

/// Flags a message without an id as a possible repeat of an equal one, if the provider may have
/// missed the acknowledgement of that one. Returns the key under which it is found otherwise.
pub(crate) fn flag_repeat(
    turn: &HostTurn<'_>,
    stream: StreamId,
    received: &mut Received,
    reference: Option<u32>,
) -> Option<Key> {
    let hash = repeats::key_of(stream, received, reference)?;
    let now = turn.now();
    // A provider also repeats what it brought to an earlier run, which ended before this one began.
    let ended = Timestamp(turn.context.begun_at.0.saturating_sub(1));
    let lost = turn.slot_and_channel(stream).map_or(ended, |(_, _, entry)| entry.lost_at().max(ended));
    let first = || {
        // Most of the time nothing was lost, and nothing needs to be looked up.
        repeats::is_possible(lost, lost, now).then_some(())?;
        let found = turn.context.reader.find(hash)?;
        let at = Timestamp(u64::try_from(found.a).unwrap_or(u64::MAX));
        repeats::is_possible(at, lost, now).then_some(())?;
        let stored = turn.context.reader.event(Seq(found.b));
        let stored = turn.context.lifecycle.found("a customer's message", stored)?;
        match stored.event {
            Event::Received(first) if stored.stream == stream => Some(first.id),
            _ => None,
        }
    };
    let Some(first) = first() else {
        return Some(Key { hash, a: u128::from(now.0), b: Tag::OwnSeq });
    };
    metrics::counter!("patchbay_possible_repeats_total").increment(1);
    received.attributes.push((repeats::POSSIBLE_REPEAT_OF.into(), first.as_str().into()));
    None
}

/// Registers aliases of the customer, except those that lead to another session already.
pub(crate) fn add_aliases(turn: &mut HostTurn<'_>, stream: StreamId, names: &Names) {
    if !turn.activate(stream, None) {
        return;
    }
    let Some(slot) = turn.slot(stream) else { return };
    let address = slot.session.address.clone();
    let is_new = |name: &&Arc<str>| {
        let key = address::alias_key(&address.channel, &address.did, name);
        **name != address.customer && turn.context.reader.find(key).is_none() && !turn.batch.has_key(key)
    };
    let aliases: Vec<Arc<str>> = names.iter().filter(is_new).cloned().collect();
    if !aliases.is_empty() {
        let customer_shown = slot.session.customer_shown.clone();
        let known = CustomerKnown { address, customer_shown, aliases };
        turn.record(stream, [Event::CustomerKnown(Box::new(known))], &[]);
    }
}

/// Queues a message's files to be fetched after the flush.
pub(crate) fn fetch_ahead(turn: &mut HostTurn<'_>, channel: Option<ChannelIx>, files: Vec<MediaRef>) {
    let Some(channel) = channel.filter(|_| turn.context.media.is_some()) else { return };
    let requests = files.into_iter().take(media_address::FILES_MAX);
    let effects = requests.map(|file| Effect::FetchMedia(FetchRequest { channel, file }));
    turn.batch.effects.others.extend(effects);
}

/// Returns the parts that a report on everything submitted up to an instant covers, in order.
pub(crate) fn parts_upto(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    state: PartState,
    upto: Timestamp,
) -> Vec<(MessageNo, u16)> {
    let mut covered = settled_upto(turn, stream, state, upto);
    if turn.activate(stream, None)
        && let Some(slot) = turn.slot(stream)
    {
        let open = slot.session.sent.values().chain(&slot.session.queue);
        let parts =
            open.flat_map(|message| message.parts_until(state, upto).map(|part| (message.number, part)));
        covered.extend(parts);
    }
    covered.sort_unstable();
    covered
}

/// Returns the covered parts of messages that are no longer in memory, back to the first message
/// that had such a report before.
fn settled_upto(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    state: PartState,
    upto: Timestamp,
) -> Vec<(MessageNo, u16)> {
    let Some(head) = turn.head_of(stream) else { return Vec::new() };
    // The settled messages were searched for this report, or for a later one, before.
    if turn.slot(stream).and_then(|slot| slot.watermark).is_some_and(|(s, t)| s == state && t >= upto) {
        return Vec::new();
    }
    if let Some(slot) = turn.sessions.live.get_mut(stream) {
        slot.watermark = Some((state, upto));
    }
    let mut numbers: Vec<MessageNo> = Vec::new();
    for stored in turn.context.reader.history(head).take(WATERMARK_WALK_MAX) {
        let what = format_args!("the history of session {stream}");
        let Some(stored) = turn.context.lifecycle.found(what, stored.map(Some)) else { break };
        let Event::Submitted { message, .. } = stored.event else { continue };
        let live = turn.slot(stream).is_some_and(|slot| slot.session.message(message).is_some());
        if !live && !numbers.contains(&message) {
            numbers.push(message);
        }
        if numbers.len() >= WATERMARK_MESSAGES_MAX {
            break;
        }
    }
    let mut covered = Vec::new();
    for number in numbers {
        let Some(record) = turn.known_record(stream, number) else { continue };
        let known = record.message.parts.iter().all(|part| part.state.join(state) == part.state);
        if known {
            break;
        }
        covered.extend(record.message.parts_until(state, upto).map(|part| (number, part)));
    }
    covered
}
