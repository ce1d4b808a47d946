//! Hands parts of a session to its channel: the intent to send them is recorded first, and the
//! parts follow its flush.

use std::sync::Arc;

use message::{Event, StreamId};
use storage::invariant;

use crate::{
    actor::host::turn::HostTurn,
    config::ChannelIx,
    domain::session::Policy,
    history::lookup,
    protocol::part::{Job, JobMessage},
};

/// Hands at most `max` parts to the channel, which has reserved room for them. Room that the
/// session does not need is released.
pub(crate) fn submit_parts(turn: &mut HostTurn<'_>, stream: StreamId, channel: ChannelIx, max: usize) {
    turn.activate(stream, None);
    let Some(slot) = turn.sessions.live.get_mut(stream) else {
        // The session was announced with parts, and has finished since.
        turn.batch.effects.channel(channel).released += max;
        return;
    };
    slot.announced = false;
    let context = turn.context;
    let Some(entry) = context.directory.channel(channel) else { return };
    expire_outside_window(turn, stream, &entry.policy);
    fail_unreachable(turn, stream);
    let moment = turn.moment();
    let Some(slot) = turn.sessions.live.get_mut(stream) else { return };
    let Some(event) = slot.session.submit(&entry.policy, moment, max) else {
        turn.batch.effects.channel(channel).released += max;
        turn.touch(stream);
        return;
    };
    let Event::Submitting { message: number, parts } = &event else { return };
    let (number, parts) = (*number, parts.clone());
    let Some(message) = slot.session.message(number) else { return };
    let (count, last) = (message.parts.len(), parts.iter().max().copied().unwrap_or_default());
    invariant!(usize::from(last) < count, "part {last} of {count} is handed to a link");
    invariant!(parts.len() <= max, "{} parts for room of {max}", parts.len());
    let has_customer = !slot.session.customer().is_empty();
    invariant!(has_customer, "{stream} sends to an address that passed to another customer");
    let job = Job {
        stream,
        number,
        reserved: max,
        parts,
        message: Arc::new(JobMessage {
            id: message.id.clone(),
            content: message.content.clone(),
            split: message.split,
            did: slot.session.did_shown.clone(),
            customer: slot.session.customer().clone(),
            customer_shown: slot.session.customer_shown.clone(),
            expires_at: message.expires_at,
            reply_to: message.reply_to.clone(),
        }),
    };
    turn.record(stream, [event], &[]);
    turn.batch.effects.channel(channel).jobs.push(job);
}

/// Fails the messages of a customer whose address passed to another one.
fn fail_unreachable(turn: &mut HostTurn<'_>, stream: StreamId) {
    let Some(slot) = turn.slot(stream).filter(|slot| slot.session.customer().is_empty()) else { return };
    let failed: Vec<Event> = slot.session.fail_unsent().collect();
    turn.record(stream, failed, &[]);
}

/// Fails the messages whose window for free messages closed while they waited.
fn expire_outside_window(turn: &mut HostTurn<'_>, stream: StreamId, policy: &Policy) {
    if policy.window_ms.is_none() {
        return;
    }
    let heard_at = lookup::heard_at(&turn.context.reader, stream, policy);
    while let Some(event) =
        turn.slot(stream).and_then(|slot| slot.session.close_window(policy, heard_at, turn.moment().sure))
    {
        turn.record(stream, [event], &[]);
    }
}
