//! The live tail: committed events, broadcast to listeners. It costs nothing while no one listens.

use std::sync::Arc;

use message::{ChannelId, Event, MessageId, Seq, SessionId, StreamId, Timestamp};
use tokio::sync::broadcast;

use crate::{
    domain::{
        session::{DeliveryKind, Session},
        subject::message_of,
    },
    view::{EventView, TailEvent},
};

/// Maximum number of events that a listener may be behind; beyond it the listener loses the oldest
/// and is told how many.
const TAIL_EVENTS_MAX: usize = 4_096;

/// The broadcast of committed events.
pub(crate) struct Tail(broadcast::Sender<Arc<TailEvent>>);

impl Default for Tail {
    fn default() -> Self {
        Self(broadcast::channel(TAIL_EVENTS_MAX).0)
    }
}

impl Tail {
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<TailEvent>> {
        self.0.subscribe()
    }

    /// Whether anyone listens, so that events need to be recorded.
    pub(crate) fn is_watched(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Broadcasts events that were flushed.
    pub(crate) fn publish(&self, events: Vec<TailRecord>) {
        for record in events {
            let event = EventView::of(Seq::NONE, record.at, record.stream, &record.event);
            let TailRecord { channel, session, message_id, .. } = record;
            let _nobody_listens = self.0.send(Arc::new(TailEvent { event, channel, session, message_id }));
        }
    }
}

/// An event, with what its session knew of it when it was applied.
pub(crate) struct TailRecord {
    at: Timestamp,
    stream: StreamId,
    event: Event,
    channel: Option<ChannelId>,
    session: Option<SessionId>,
    message_id: Option<MessageId>,
}

impl TailRecord {
    /// Records an event that is about to be applied to `session`.
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
