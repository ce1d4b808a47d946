//! Look-ups of single facts by key. A fact that is not found is reported as missing, never guessed.

use message::{Address, ChannelId, Event, Seq, StreamId, Timestamp, address, event::Received};
use storage::ReadError;

use crate::{domain::session::Policy, history::reader::LogReader};

/// Finds the customer's message that the business knows by this id, if it belongs to this stream.
pub(crate) fn received_as(reader: &LogReader, stream: StreamId, id: &str) -> Option<Box<Received>> {
    received_at(reader, stream, address::delivered_key(id))
}

/// Finds the customer's newest message.
pub(crate) fn last_received(reader: &LogReader, stream: StreamId) -> Option<Box<Received>> {
    received_at(reader, stream, address::heard_key(stream))
}

/// Finds a customer's message of this stream under a look-up key.
pub(crate) fn received_at(reader: &LogReader, stream: StreamId, key: u128) -> Option<Box<Received>> {
    let found = reader.find(key)?;
    let stored = reader.event(Seq(found.b)).ok()??;
    match stored.event {
        Event::Received(received) if stored.stream == stream => Some(received),
        _ => None,
    }
}

/// Finds when the customer last wrote, on channels that limit free messages to a window after that.
pub(crate) fn heard_at(reader: &LogReader, stream: StreamId, policy: &Policy) -> Option<Timestamp> {
    policy.window_ms?;
    let found = reader.find(address::heard_key(stream))?;
    Some(Timestamp(u64::try_from(found.a).unwrap_or(u64::MAX)))
}

/// Finds the newest event of a stream that is no longer in the index.
pub(crate) fn finished_head(reader: &LogReader, stream: StreamId) -> Option<Seq> {
    reader.find(address::head_key(stream)).map(|found| Seq(found.b))
}

/// Finds the address of the session to which a customer's name leads.
///
/// # Errors
///
/// Returns an error if the event that holds the address cannot be read.
pub(crate) fn address_of(
    reader: &LogReader,
    channel: &ChannelId,
    did: &std::sync::Arc<str>,
    name: &std::sync::Arc<str>,
) -> Result<Option<Address>, ReadError> {
    let Some(found) = reader.find(address::alias_key(channel, did, name)) else { return Ok(None) };
    let own = Address { channel: channel.clone(), did: did.clone(), customer: name.clone() };
    if own.stream().0 == found.a {
        return Ok(Some(own));
    }
    Ok(reader.event(Seq(found.b))?.and_then(|stored| match stored.event {
        Event::SessionOpened(opened) => Some(opened.address),
        Event::CustomerKnown(known) => Some(known.address),
        _ => None,
    }))
}
