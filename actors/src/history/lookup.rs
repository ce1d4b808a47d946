//! Look-ups of single facts by key. A fact that is not found is reported as missing, never guessed.

use std::sync::Arc;

use message::{
    Address, ChannelId, Event, Seq, StreamId, Timestamp,
    address::{self, StreamKey},
    event::{CustomerMoved, Received},
};
use storage::ReadError;

use crate::{
    domain::{
        correlation::PartRef,
        names::NameState,
        session::{Policy, Session, carried},
    },
    history::{opening::Opening, reader::LogReader},
};

/// A customer's message, if there is one.
pub(crate) type FoundReceived = Result<Option<Box<Received>>, ReadError>;

/// Finds the customer's message that the business knows by this id, if it belongs to this stream.
///
/// # Errors
///
/// Returns an error if the event that holds it cannot be read.
pub(crate) fn received_as(reader: &LogReader, stream: StreamId, id: &str) -> FoundReceived {
    received_at(reader, stream, address::delivered_key(id))
}

/// Finds the customer's newest message.
///
/// # Errors
///
/// Returns an error if the event that holds it cannot be read.
pub(crate) fn last_received(reader: &LogReader, stream: StreamId) -> FoundReceived {
    received_at(reader, stream, address::heard_key(stream))
}

/// Finds a customer's message of this stream under a look-up key.
///
/// # Errors
///
/// Returns an error if the event that holds it cannot be read.
pub(crate) fn received_at(reader: &LogReader, stream: StreamId, key: u128) -> FoundReceived {
    let Some(found) = reader.find(key) else { return Ok(None) };
    let stored = reader.event(Seq(found.b))?.filter(|stored| stored.stream == stream);
    Ok(stored.and_then(|stored| match stored.event {
        Event::Received(received) => Some(received),
        Event::Carried { snapshot, .. } => carried::received_in(&snapshot),
        _ => None,
    }))
}

/// Finds when the customer last wrote, on channels that limit free messages to a window after that.
pub(crate) fn heard_at(reader: &LogReader, stream: StreamId, policy: &Policy) -> Option<Timestamp> {
    policy.window_ms?;
    heard(reader, stream)
}

/// Finds when the customer last wrote.
pub(crate) fn heard(reader: &LogReader, stream: StreamId) -> Option<Timestamp> {
    let found = reader.find(address::heard_key(stream))?;
    Some(Timestamp(u64::try_from(found.a).unwrap_or(u64::MAX)))
}

/// Finds the newest event of a stream that is no longer in the index.
pub(crate) fn finished_head(reader: &LogReader, stream: StreamId) -> Option<Seq> {
    reader.find(address::head_key(stream)).map(|found| Seq(found.b))
}

/// Finds the session of a message by the provider's id: its state as it began.
///
/// # Errors
///
/// Returns an error if an event cannot be read.
pub(crate) fn session_of_message(
    reader: &LogReader,
    channel: &ChannelId,
    provider_id: &str,
) -> Result<Option<Session>, ReadError> {
    let received = || reader.find(address::inbound_key(channel, provider_id)).map(|found| Seq(found.b));
    let sent = || {
        let PartRef { stream, .. } =
            PartRef::of(reader.find(address::provider_id_key(channel, provider_id))?);
        let heard = reader.find(address::heard_key(stream)).map(|found| Seq(found.b));
        let known = || reader.entry(stream).ok().flatten().map(|entry| entry.applied);
        heard.or_else(known).or_else(|| finished_head(reader, stream))
    };
    let Some(seq) = received().or_else(sent) else { return Ok(None) };
    Ok(Opening::find(reader, seq)?.map(|opening| opening.session))
}

/// Finds where a customer's name leads.
///
/// # Errors
///
/// Returns an error if the event that holds the address cannot be read.
pub(crate) fn name_state(
    reader: &LogReader,
    key: &StreamKey,
    channel: &ChannelId,
    did: &Arc<str>,
    name: &Arc<str>,
) -> Result<Option<NameState>, ReadError> {
    let own = || Address { channel: channel.clone(), did: did.clone(), customer: name.clone() };
    let Some(found) = reader.find(address::alias_key(channel, did, name)) else {
        return left_behind(reader, key, own());
    };
    let (owned, own) = (|address| NameState::Owned { address, since: None }, own());
    if own.stream(key).0 == found.a {
        return Ok(Some(owned(own)));
    }
    Ok(reader.event(Seq(found.b))?.and_then(|stored| match stored.event {
        Event::SessionOpened(opened) => Some(owned(opened.address)),
        Event::CustomerKnown(known) => Some(owned(known.address)),
        Event::CustomerMoved(moved) => Some(NameState::after(&moved, name)),
        Event::Carried { snapshot, .. } => {
            carried::session_in(&snapshot).map(|session| owned(session.address))
        }
        _ => None,
    }))
}

/// Finds whether the first owner of a name left it so long ago that the log has forgotten when.
fn left_behind(reader: &LogReader, key: &StreamKey, own: Address) -> Result<Option<NameState>, ReadError> {
    let Some(found) = reader.find(address::reached_key(own.stream(key))) else { return Ok(None) };
    let next = reached_at(reader, Seq(found.b))?.filter(|next| *next != own.customer);
    let (at, change) = (Timestamp::default(), found.b);
    Ok(next.map(|next| NameState::Released { last: own, next, at, change }))
}

/// Finds the address at which the customer of a stream is reached, where that is not the stream's
/// own. Empty: none is known.
///
/// # Errors
///
/// Returns an error if the event that holds the address cannot be read.
pub(crate) fn reached(reader: &LogReader, stream: StreamId) -> Result<Option<Arc<str>>, ReadError> {
    match reader.find(address::reached_key(stream)) {
        Some(found) => reached_at(reader, Seq(found.b)),
        None => Ok(None),
    }
}

/// Finds the newest change of the address of a stream's customer, if there was one.
///
/// # Errors
///
/// Returns an error if the event that holds the address cannot be read.
pub(crate) fn newest_move(
    reader: &LogReader,
    stream: StreamId,
) -> Result<Option<Box<CustomerMoved>>, ReadError> {
    let Some(found) = reader.find(address::reached_key(stream)) else { return Ok(None) };
    Ok(reader.event(Seq(found.b))?.and_then(|stored| match stored.event {
        Event::CustomerMoved(moved) => Some(moved),
        _ => None,
    }))
}

fn reached_at(reader: &LogReader, seq: Seq) -> Result<Option<Arc<str>>, ReadError> {
    Ok(reader.event(seq)?.and_then(|stored| match stored.event {
        Event::SessionOpened(opened) => opened.reached,
        Event::CustomerMoved(moved) => Some(moved.reached),
        Event::Carried { snapshot, .. } => carried::session_in(&snapshot)?.reached,
        _ => None,
    }))
}
