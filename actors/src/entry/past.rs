//! Sessions as the log tells them. The log is read beside the actors and in pages, so that a long
//! history delays nobody and costs what is shown of it.

use std::sync::Arc;

use message::{Event, Seq, SessionId, Timestamp};
use storage::{ReadError, Stored};

use crate::{
    actor::host::view,
    context::{Context, blocking},
    domain::{chains, session::Session},
    entry::ask,
    error::Refusal,
    history::opening::Opening,
    protocol::task::{NewestState, Request},
    view::{EventView, SessionStateView, SessionView},
};

/// Maximum number of events shown at once; older ones are asked for with `before`.
const EVENTS_SHOWN_MAX: usize = 1_000;
/// Maximum number of events replayed for a past instant; a session with more is shown from the
/// newest of them on.
const REPLAY_MAX: usize = 100_000;

/// Maximum number of items of each list in a past state.
const REPLAYED_ITEMS_MAX: usize = 10_000;

/// The part of a session's past that is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    /// Shows the state at this instant.
    pub(crate) at: Option<Timestamp>,
    /// Shows events before this one.
    pub(crate) before: Option<Seq>,
}

/// Shows a session with its newest events, or as it was.
///
/// # Errors
///
/// Returns a refusal if no such session exists or its events cannot be read.
pub(crate) async fn session(
    context: &Arc<Context>,
    id: SessionId,
    extent: Extent,
) -> Result<SessionView, Refusal> {
    let newest = ask::ask(context, id.stream, |reply| Request::View { reply }).await?;
    let shared = context.clone();
    let read = move || match extent.at {
        Some(at) => session_at(&shared, id, &newest, at),
        None => newest_page(&shared, id, newest, extent.before),
    };
    blocking::run(read).await.unwrap_or_else(|| Err(ask::no_answer()))
}

fn unreadable(error: ReadError) -> Refusal {
    Refusal::Busy { reason: error.to_string().into(), retry_after_s: 10 }
}

/// A session's place in the log.
struct Span {
    /// The first event that is left of it.
    opening: Opening,
    last: Seq,
}

/// Finds a session along the openings of its stream.
fn span_of(context: &Context, id: SessionId, head: Seq) -> Result<Option<Span>, ReadError> {
    let reader = &context.reader;
    let (mut last, mut found) = (head, None);
    let mut next = Opening::find(reader, head)?;
    while let Some(opening) = next {
        let (ordinal, earlier) = (opening.session.counters.sessions, opening.earlier);
        let continues = opening.is_continued;
        if ordinal < id.ordinal {
            break;
        }
        if ordinal > id.ordinal {
            last = opening.prev;
        } else {
            found = Some(opening);
            // A session that was told again, or touched again, began before.
            if !continues {
                break;
            }
        }
        next = reader.event(earlier)?.as_ref().and_then(Opening::of);
    }
    Ok(found.map(|opening| Span { opening, last }))
}

fn newest_page(
    context: &Context,
    id: SessionId,
    newest: NewestState,
    before: Option<Seq>,
) -> Result<SessionView, Refusal> {
    let span = span_of(context, id, newest.head).map_err(unreadable)?;
    let is_newest = newest.ordinal == id.ordinal;
    let live = newest.live.filter(|_| is_newest);
    let (events, earlier) = match &span {
        Some(span) => page(context, id, span, before).map_err(unreadable)?,
        None => (Vec::new(), None),
    };
    let view = match (live, span) {
        (Some(live), _) => live,
        (None, Some(span)) => closed(context, id, &span.opening.session, events.last()),
        (None, None) => return Err(context.absent("session")),
    };
    Ok(SessionView { events, earlier, ..view })
}

/// Shows a session that is over.
fn closed(context: &Context, id: SessionId, begun: &Session, last: Option<&EventView>) -> SessionView {
    let last_activity = last.map_or(begun.last_activity, |event| event.at);
    SessionView { state: "closed", last_activity, ..view::session(context, begun, id) }
}

/// Reads a page of a session's events, and the event before which there are more.
fn page(
    context: &Context,
    id: SessionId,
    span: &Span,
    before: Option<Seq>,
) -> Result<(Vec<EventView>, Option<Seq>), ReadError> {
    let last = match before.filter(|before| *before <= span.last) {
        Some(before) => match context.reader.event(before)?.filter(|stored| stored.stream == id.stream) {
            Some(stored) => stored.prev,
            None => return Ok((Vec::new(), None)),
        },
        None => span.last,
    };
    let (mut events, mut earlier) = (Vec::new(), None);
    for stored in context.reader.history(last) {
        let stored = stored?;
        if stored.seq < span.opening.seq {
            break;
        }
        if events.len() >= EVENTS_SHOWN_MAX {
            earlier = events.last().map(|oldest: &EventView| oldest.seq);
            break;
        }
        events.push(EventView::of(stored.seq, stored.at, id.stream, &stored.event));
    }
    events.reverse();
    Ok((events, earlier))
}

/// Replays a session's events up to an instant.
fn session_at(
    context: &Context,
    id: SessionId,
    newest: &NewestState,
    at: Timestamp,
) -> Result<SessionView, Refusal> {
    let mut events: Vec<Stored> = Vec::new();
    for stored in context.reader.history(newest.head).take(REPLAY_MAX) {
        events.push(stored.map_err(unreadable)?);
    }
    events.reverse();
    let (mut replayed, mut opened, mut ordinal) = (Session::blank(), false, 0);
    let mut of_this = Vec::new();
    for stored in events.iter().filter(|stored| stored.at <= at) {
        let opens = chains::opens(&stored.event);
        if replayed.is_blank() && !opens {
            continue;
        }
        replayed.apply(&stored.event, stored.at);
        if opens && !matches!(stored.event, Event::Revived(_)) {
            ordinal = replayed.counters.sessions;
            opened |= ordinal == id.ordinal;
        }
        if ordinal == id.ordinal {
            of_this.push(EventView::of(stored.seq, stored.at, id.stream, &stored.event));
        }
    }
    if !opened {
        return Err(context.absent("session"));
    }
    let view = view::session(context, &replayed, id);
    let skip = of_this.len().saturating_sub(EVENTS_SHOWN_MAX);
    let earlier = of_this.get(skip).filter(|_| skip > 0).map(|oldest| oldest.seq);
    let snapshot = Some(Box::new(SessionStateView::of(&replayed, REPLAYED_ITEMS_MAX)));
    Ok(SessionView { snapshot, events: of_this.into_iter().skip(skip).collect(), earlier, ..view })
}
