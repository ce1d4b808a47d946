//! Why a message waits, by the knowledge of its session.

use message::{
    Event, MessageId, MessageNo, MessageStatus, StreamId, Timestamp,
    event::{Cause, DoubtCause},
};

use crate::{
    actor::host::turn::HostTurn,
    domain::session::{DeliveryKind, Session},
    history::message::MessageRecord,
    protocol::task::MessageWait,
};

/// Returns why a message waits; `None` if it is done, and so is its notification.
pub(crate) fn of(turn: &HostTurn<'_>, stream: StreamId, record: &MessageRecord) -> Option<MessageWait> {
    let number = record.message.number;
    let slot = turn.slot(stream)?;
    // A part that failed decides the message, though others are still to be reported on.
    let status = record.message.status();
    let is_final = matches!(status, MessageStatus::Failed | MessageStatus::Delivered | MessageStatus::Read);
    if is_final || slot.session.message(number).is_none() {
        return notified_at(&slot.session, &record.message.id)
            .map(|since| MessageWait::Notification { since });
    }
    let directory = &turn.context.directory;
    let configured = turn.slot_and_channel(stream).filter(|(_, ix, _)| directory.is_configured(*ix));
    let Some((slot, _, entry)) = configured else { return Some(MessageWait::NoChannel) };
    let wait = slot.session.waiting(number, &entry.policy, turn.moment())?;
    let last = last_failure(record, number).filter(|_| wait.first == number);
    Some(MessageWait::Session { stream, wait, last })
}

/// Returns when the notification of a message was made, if its destination has not accepted it.
fn notified_at(session: &Session, id: &MessageId) -> Option<Timestamp> {
    let is_its = |kind: &DeliveryKind| matches!(kind, DeliveryKind::Notification(told) if told.id == *id);
    session.deliveries.iter().find(|delivery| is_its(&delivery.kind)).map(|delivery| delivery.at)
}

/// Returns why the last try of a message failed, if it did.
fn last_failure(record: &MessageRecord, number: MessageNo) -> Option<Cause> {
    record.events.iter().rev().find_map(|stored| match &stored.event {
        Event::Deferred { message, cause, .. } if *message == number => Some(cause.clone()),
        Event::InDoubt { message, cause, .. } if *message == number => Some(Cause::new(
            "",
            match cause {
                DoubtCause::LinkLost => "the connection was lost before the answer",
                DoubtCause::NoAnswer => "no answer came in time",
                DoubtCause::Restart => "Patchbay was stopped before the answer",
            },
        )),
        _ => None,
    })
}
