//! Requests of operators and of the API: open, end, withdraw, settle, show. Each answer follows the
//! flush of everything it depends on.

use message::StreamId;

use crate::{
    actor::host::{batch::Effect, turn::HostTurn, view},
    domain::session::{Events, Identity, Session},
    error::Refusal,
    protocol::task::{QueuePosition, Request},
    view::SessionView,
};

/// Performs a request and notes its answer.
pub(crate) fn answer(turn: &mut HostTurn<'_>, stream: StreamId, request: Request) {
    let effect = match request {
        Request::Open { identity, handler, takeover, reply } => {
            Effect::ShowSession(reply, Box::new(open(turn, stream, &identity, &handler, takeover)))
        }
        Request::End { id, reason, reply } => {
            Effect::Answer(reply, change(turn, stream, |session| session.end(id, reason)).map(drop))
        }
        Request::Cancel { number, reply } => {
            Effect::Answer(reply, change(turn, stream, |session| session.cancel(number)).map(drop))
        }
        Request::CancelQueued { max, reply } => {
            let done = change(turn, stream, |session| Ok(session.cancel_queued(max)));
            Effect::Counted(reply, done)
        }
        Request::RetryNow { reply } => {
            let now = turn.now();
            Effect::Counted(reply, change(turn, stream, |session| Ok(session.retry_now(now))))
        }
        Request::SettleDoubt { number, part, by, reply } => {
            let done = change(turn, stream, |session| session.settle_doubt(number, part, by));
            Effect::Answer(reply, done.map(drop))
        }
        Request::ReplayDeadLetter { delivery, reply } => {
            let done = change(turn, stream, |session| session.replay_dead_letter(delivery));
            Effect::Answer(reply, done.map(drop))
        }
        Request::View { reply } => Effect::ShowNewest(reply, Box::new(view::newest(turn, stream))),
        Request::ViewMessage { number, reply } => {
            Effect::ShowMessage(reply, Box::new(view::message(turn, stream, number)))
        }
        Request::Records { numbers, reply } => {
            Effect::ShowRecords(reply, Box::new(view::records(turn, stream, &numbers)))
        }
        Request::QueuePosition { reply } => Effect::ShowQueuePosition(reply, queue_position(turn, stream)),
    };
    turn.batch.effects.others.push(effect);
}

/// Decides on a session that must exist, and records the events. Returns their number. A session
/// whose channel is no longer configured can be decided on all the same.
fn change(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    decide: impl FnOnce(&Session) -> Result<Events, Refusal>,
) -> Result<usize, Refusal> {
    if !turn.activate(stream, None) {
        return Err(turn.context.absent("open session"));
    }
    let slot = turn.slot(stream).ok_or_else(|| turn.context.absent("open session"))?;
    let events = decide(&slot.session)?;
    let count = events.len();
    turn.record(stream, events, &[]);
    Ok(count)
}

fn open(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    identity: &Identity,
    handler: &str,
    takeover: bool,
) -> Result<SessionView, Refusal> {
    if !turn.activate(stream, Some(identity)) {
        return Err(busy("the session cannot be read"));
    }
    let missing = Refusal::NotFound("session");
    let slot = turn.slot(stream).ok_or(missing.clone())?;
    let events = slot.session.open_for((stream, identity), handler, takeover)?;
    turn.record(stream, events, &[]);
    // Shown from memory, because its opening is in this batch and not yet in the log.
    let slot = turn.slot(stream).ok_or(missing)?;
    Ok(view::session(turn.context, &slot.session, slot.session.id(stream)))
}

fn queue_position(turn: &mut HostTurn<'_>, stream: StreamId) -> QueuePosition {
    let slot = turn.activate(stream, None).then(|| turn.slot(stream)).flatten();
    slot.map_or_else(QueuePosition::default, |slot| QueuePosition {
        messages: slot.session.queue.len(),
        open: slot.session.open,
        ordinal: slot.session.counters.sessions,
        replies: slot.session.last_inbound.is_some(),
    })
}

/// Returns the refusal for work that cannot be done now.
pub(crate) fn busy(reason: &str) -> Refusal {
    Refusal::Busy { reason: reason.into(), retry_after_s: 5 }
}
