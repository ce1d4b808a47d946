//! The live tail: committed events, told to whoever listens. Costs nothing while nobody does.

use std::sync::Arc;

use message::{ChannelId, Event, MessageId, Seq, SessionId, StreamId, Timestamp};

use crate::{
    context::Shared,
    domain::session::{DeliveryKind, Session},
    history::message::message_of,
    view::{EventView, TailEvent},
};

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
    /// An event that is about to be applied to this session.
    pub(crate) fn of(event: &Event, at: Timestamp, stream: StreamId, session: &Session) -> Self {
        let of_delivery = |number: &u32| {
            let delivery = session.deliveries.iter().find(|d| d.number == *number)?;
            Some(match &delivery.kind {
                DeliveryKind::Message(received) => received.id.clone(),
                DeliveryKind::Notification(notification) => notification.id.clone(),
                DeliveryKind::EndChat(_) => return None,
            })
        };
        let message_id = match event {
            Event::Accepted(accepted) => Some(accepted.id.clone()),
            Event::Received(received) => Some(received.id.clone()),
            Event::LateReceipt(late) => late.notify.as_ref().map(|n| n.id.clone()),
            Event::Taken { delivery } | Event::DeadLettered { delivery, .. } => of_delivery(delivery),
            _ => message_of(event).and_then(|number| session.message(number)).map(|m| m.id.clone()),
        };
        let (channel, ordinal) = match event {
            Event::SessionOpened(opened) => (&opened.address.channel, opened.ordinal),
            _ => (&session.address.channel, session.counters.sessions),
        };
        Self {
            at,
            stream,
            event: event.clone(),
            channel: Some(channel.clone()),
            session: Some(SessionId { stream, ordinal }),
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
