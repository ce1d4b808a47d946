//! A message as its history in the log tells it, also long after it was settled.

use message::{
    Event, MessageNo, MessageStatus, PartState, Seq,
    event::{LateNotification, LateReceipt},
};
use storage::{Item, Stored};

use crate::{
    domain::{session::Outbound, subject::message_of},
    history::reader::LogReader,
};

/// Maximum number of events read for one message; a message further back is not found.
const WALK_MAX: usize = 1_000_000;

/// A message rebuilt from its events.
pub(crate) struct MessageRecord {
    pub(crate) message: Outbound,
    pub(crate) events: Vec<Stored>,
    /// The highest status that was reported to the business.
    notified: MessageStatus,
}

/// Returns a pending event as `Stored`, with `Seq::NONE`.
fn stored(item: &Item) -> Stored {
    let Item { stream, at, keys, event, .. } = item.clone();
    Stored { seq: Seq::NONE, prev: Seq::NONE, stream, at, keys, event }
}

impl MessageRecord {
    /// Reads a message's history, walking back from `head`, its stream's newest event. `pending`
    /// are the stream's events after that, which have no number yet.
    ///
    /// # Errors
    ///
    /// Returns the reason if an event cannot be read.
    pub(crate) fn read<'a>(
        reader: &LogReader,
        head: Seq,
        number: MessageNo,
        pending: impl Iterator<Item = &'a Item>,
    ) -> Result<Option<Self>, String> {
        let mut events = Vec::new();
        for earlier in reader.history(head).take(WALK_MAX) {
            let earlier = earlier.map_err(|e| e.to_string())?;
            if message_of(&earlier.event) != Some(number) {
                continue;
            }
            let first = matches!(earlier.event, Event::Accepted(_));
            events.push(earlier);
            if first {
                events.reverse();
                let pending = pending.filter(|item| message_of(&item.event) == Some(number));
                events.extend(pending.map(stored));
                return Ok(Self::of(events));
            }
        }
        Ok(None)
    }

    fn of(events: Vec<Stored>) -> Option<Self> {
        let mut all = events.iter();
        let first = all.next()?;
        let Event::Accepted(accepted) = &first.event else { return None };
        let mut message = Outbound::new(accepted, first.at);
        let mut notified = MessageStatus::Queued;
        for stored in all {
            message.apply(&stored.event, stored.at);
            notified = match &stored.event {
                // A settled message was reported with its status; a late receipt reports only more.
                Event::LateReceipt(late) => late.notify.as_ref().map_or(notified, |n| n.status.max(notified)),
                _ => message.status(),
            };
        }
        Some(Self { message, events, notified })
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
