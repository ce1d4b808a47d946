//! The live tail: committed events, told to whoever listens. Costs nothing while nobody does.

use std::sync::Arc;

use message::{ChannelId, Event, MessageId, Seq, SessionId, StreamId, Timestamp};
use storage::Item;

use crate::{fold::message_of, host::live::LiveSessions, router::TailEvent, shared::Shared, view::EventView};

/// A committed event, with what its session knew of it.
pub(crate) struct Committed {
    at: Timestamp,
    stream: StreamId,
    event: Event,
    channel: Option<ChannelId>,
    session: Option<SessionId>,
    message_id: Option<MessageId>,
}

impl Committed {
    pub(crate) fn of(item: &Item, live: &LiveSessions) -> Self {
        let slot = live.get(item.stream);
        let session = slot.map(|s| &s.session);
        let by_number = || session.and_then(|s| s.message(message_of(&item.event)?)).map(|m| m.id.clone());
        let message_id = match &item.event {
            Event::Accepted(accepted) => Some(accepted.id.clone()),
            Event::Received(received) => Some(received.id.clone()),
            _ => by_number(),
        };
        Self {
            at: item.at,
            stream: item.stream,
            event: item.event.clone(),
            channel: session.map(|s| s.address.channel.clone()),
            session: session.map(|s| SessionId { stream: item.stream, ordinal: s.counters.sessions }),
            message_id,
        }
    }
}

/// Tells the listeners.
pub(crate) fn publish(shared: &Shared, events: Vec<Committed>) {
    for committed in events {
        let event = EventView::of(Seq::NONE, committed.at, committed.stream, &committed.event);
        let tail = TailEvent {
            event,
            channel: committed.channel,
            session: committed.session,
            message_id: committed.message_id,
        };
        let _nobody_listens = shared.tail.send(Arc::new(tail));
    }
}
