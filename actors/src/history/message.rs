//! A message as its history in the log tells it, also long after it was settled.

use message::{
    Event, MessageStatus, PartState, Seq,
    event::{LateNotification, LateReceipt},
};
use storage::{Item, Prev, Stored, invariant};

use crate::{
    domain::{
        session::{Outbound, carried},
        subject::message_of,
    },
    history::reader::LogReader,
};

/// Maximum number of events read for one message; one with more is not shown.
const WALK_MAX: usize = 100_000;

/// A message rebuilt from its events.
pub(crate) struct MessageRecord {
    pub(crate) message: Outbound,
    pub(crate) events: Vec<Stored>,
    /// The event before the first: the opening of its session.
    pub(crate) opening: Seq,
    /// The highest status that was reported to the business.
    notified: MessageStatus,
}

/// Returns a pending event as `Stored`, with `Seq::NONE`.
fn stored(item: &Item) -> Stored {
    let Item { stream, at, keys, event, .. } = item.clone();
    Stored { seq: Seq::NONE, prev: Seq::NONE, about: Seq::NONE, stream, at, keys, event }
}

/// Whether a message's history begins with an event.
fn begins(event: &Event) -> bool {
    matches!(event, Event::Accepted(_) | Event::Carried { .. })
}

impl MessageRecord {
    /// Returns the message's newest event before the first that is pending, if it has a number.
    pub(crate) fn before(first: &Item) -> Option<Seq> {
        match first.about {
            Prev::At(seq) if !begins(&first.event) => Some(seq),
            _ => None,
        }
    }

    /// Reads a message's events back from its newest one, and only those. `pending` are its events
    /// after that, which have no number yet.
    ///
    /// # Errors
    ///
    /// Returns the reason if an event cannot be read.
    pub(crate) fn read<'a>(
        reader: &LogReader,
        head: Option<Seq>,
        pending: impl Iterator<Item = &'a Item>,
    ) -> Result<Option<Self>, String> {
        let (mut events, mut next) = (Vec::new(), head.unwrap_or(Seq::NONE));
        while next != Seq::NONE && events.len() < WALK_MAX {
            let Some(earlier) = reader.event(next).map_err(|e| e.to_string())? else { break };
            let is_first = begins(&earlier.event);
            // A damaged link must not make it walk in circles.
            next = if is_first || earlier.about >= next { Seq::NONE } else { earlier.about };
            events.push(earlier);
        }
        events.reverse();
        events.extend(pending.map(stored));
        Ok(Self::of(events))
    }

    fn of(events: Vec<Stored>) -> Option<Self> {
        let mut all = events.iter();
        let first = all.next()?;
        let mut message = match &first.event {
            Event::Accepted(accepted) => Outbound::new(accepted, first.at),
            Event::Carried { snapshot, .. } => carried::message_in(snapshot)?,
            _ => return None,
        };
        let (opening, mut notified) = (first.about, message.notified);
        for stored in all {
            let (own, other) = (message.number, message_of(&stored.event));
            invariant!(other == Some(own), "{} of {other:?} is told of {}", stored.seq, own.0);
            message.apply(&stored.event, stored.at);
            notified = match &stored.event {
                // A settled message was reported with its status; a late receipt reports only more.
                Event::LateReceipt(late) => late.notify.as_ref().map_or(notified, |n| n.status.max(notified)),
                _ => message.status(),
            };
        }
        Some(Self { message, events, opening, notified })
    }

    /// Returns the event for a receipt that arrives after the message was settled; `None` when it
    /// changes nothing.
    pub(crate) fn late_receipt(&self, part: u16, state: PartState, code: &str) -> Option<LateReceipt> {
        let known = self.message.parts.get(usize::from(part))?.state;
        if known.join(state) == known {
            return None;
        }
        let mut parts: Vec<PartState> = self.message.parts.iter().map(|p| p.state).collect();
        if let Some(p) = parts.get_mut(usize::from(part)) {
            *p = p.join(state);
        }
        let status = MessageStatus::of(parts);
        let tells = matches!(status, MessageStatus::Failed | MessageStatus::Delivered | MessageStatus::Read);
        let notify = (tells && status > self.notified).then(|| LateNotification {
            status,
            id: self.message.id.clone(),
            destination: self.message.destination.clone(),
            conversation_id: self.message.conversation_id.clone(),
            channel_data: self.message.channel_data.clone(),
        });
        Some(LateReceipt { message: self.message.number, part, state, code: code.into(), notify })
    }
}
