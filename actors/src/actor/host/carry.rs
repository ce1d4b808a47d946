//! Tells the state of a session again, with the look-up keys of everything in it, before retention
//! removes the events that told it. Retention never takes what is still owed.

use channels::address::spelling;
use message::{StreamId, Timestamp, address};
use storage::{KEYS_MAX, Key, Tag, invariant};

use crate::{
    actor::host::turn::HostTurn,
    domain::{
        chains,
        correlation::{self, PartRef},
        message_key, names,
        session::{CarriedSubject, DeliveryKind, Outbound, Session},
    },
    sabotage::Sabotage,
};

/// Tells the state again if it follows from events up to an instant. Returns whether those events
/// are not needed any more.
pub(crate) fn carry(turn: &mut HostTurn<'_>, stream: StreamId, upto: Timestamp) -> bool {
    if Sabotage::RetentionTakesOwed.is_chosen() || !turn.activate(stream, None) {
        return true;
    }
    let Some(session) = turn.slot(stream).map(|slot| &slot.session) else { return true };
    if session.is_done() || session.since > upto {
        return true;
    }
    let pieces = match session.carry() {
        Ok(pieces) => pieces,
        Err(error) => {
            tracing::error!(%stream, %error, "a session's state cannot be told again: retention waits");
            return false;
        }
    };
    let pieces: Vec<_> =
        pieces.into_iter().map(|(event, subject)| (event, keys_of(turn, stream, session, subject))).collect();
    let is_first = pieces.first().is_some_and(|(event, _)| chains::opens(event));
    invariant!(is_first, "the state of {stream} is told again without its beginning");
    metrics::counter!("patchbay_sessions_carried_total").increment(1);
    for (event, keys) in pieces {
        // A piece may be told more than once: that changes nothing.
        for some in keys.chunks(KEYS_MAX - KEYS_RESERVED) {
            turn.record(stream, [event.clone()], some);
        }
        if keys.is_empty() {
            turn.record(stream, [event], &[]);
        }
    }
    true
}

/// Keys that recording may add to an event.
const KEYS_RESERVED: usize = 3;

/// Returns the look-up keys that lead to the subject of a piece.
fn keys_of(
    turn: &HostTurn<'_>,
    stream: StreamId,
    session: &Session,
    subject: CarriedSubject<'_>,
) -> Vec<Key> {
    match subject {
        CarriedSubject::Session => keys_of_session(turn, stream, session),
        CarriedSubject::Message(message) => keys_of_message(turn, stream, session, message),
        CarriedSubject::Delivery(delivery) => match &delivery.kind {
            DeliveryKind::Message(received) => {
                let hash = address::delivered_key(received.id.as_str());
                vec![Key { hash, a: stream.0, b: Tag::OwnSeq }]
            }
            DeliveryKind::Notification(_) | DeliveryKind::EndChat(_) => Vec::new(),
        },
        CarriedSubject::End => Vec::new(),
    }
}

/// The customer's names, and when the customer last wrote.
fn keys_of_session(turn: &HostTurn<'_>, stream: StreamId, session: &Session) -> Vec<Key> {
    let address = &session.address;
    let entry = turn.context.directory.channel_by_id(&address.channel);
    let mut keys = Vec::new();
    if let Some((_, entry)) = entry.filter(|(_, entry)| entry.is_smpp()) {
        let hash = address::scope_key(entry.stream, correlation::scope(&address.customer));
        keys.push(Key { hash, a: stream.0, b: Tag::OwnSeq });
    }
    if entry.is_some_and(|(_, entry)| entry.has_aliases) {
        keys.extend(names::keys_of(stream, address, session.reached.as_ref()));
        let further = session.aliases.iter();
        keys.extend(further.map(|name| names::key(stream, &address.channel, &address.did, name)));
    }
    let hash = address::heard_key(stream);
    keys.extend(turn.context.reader.find(hash).map(|heard| Key { hash, a: heard.a, b: Tag::Value(heard.b) }));
    keys
}

/// The business's id, and the provider's ids of the parts.
fn keys_of_message(turn: &HostTurn<'_>, stream: StreamId, session: &Session, message: &Outbound) -> Vec<Key> {
    let found = turn.context.reader.find(address::message_key(message.id.as_str()));
    let mut keys = vec![message_key::again(stream, &message.id, message.number, found)];
    for (part, position) in message.parts.iter().zip(0..) {
        let known = PartRef { stream, number: message.number, part: position };
        if !part.provider_id.is_empty() {
            let spellings = spelling::register_spellings(&part.provider_id);
            let (channel, scope) = (&session.address.channel, correlation::scope(session.customer()));
            for id_key in spellings.iter().map(|s| address::provider_id_key(channel, s)) {
                keys.push(known.to_key(id_key));
                keys.push(known.to_key(address::scoped_id_key(id_key, scope)));
            }
        }
    }
    keys
}
