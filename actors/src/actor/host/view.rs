//! Sessions and messages as the API shows them, now and at any past instant.

use message::{Event, MessageNo, Seq, SessionId, StreamId, Timestamp};
use storage::{OpenStream, Stored};

use crate::{
    actor::host::{load, sessions::Sessions, turn::HostTurn},
    context::Context,
    domain::session::{DeadLetter, DeliveryKind, Outbound, Part, Phase, Policy, Session},
    error::Refusal,
    history::message::MessageRecord,
    protocol::{
        destination::event_id,
        host::{Scan, Scanned},
    },
    view::{DeadLetterView, DoubtView, EventView, MessageView, PartView, SessionIdText, SessionView},
};

/// Maximum number of events shown of a session, the newest.
const EVENTS_SHOWN_MAX: usize = 10_000;
/// Maximum number of events replayed for a past instant; a session with more is shown from the
/// newest of them on.
const REPLAY_MAX: usize = 1_000_000;
/// Number of index entries read at once.
const SCAN_PAGE: usize = 500;
/// Maximum number of index entries read in one call, which occupies the host; the caller continues
/// where it stopped.
const SCAN_MAX: usize = 20_000;

/// Loads a session if it can be, and returns the newest event of its stream.
fn head_of(turn: &mut HostTurn<'_>, stream: StreamId) -> Option<Seq> {
    turn.activate(stream, None);
    turn.head_of(stream)
}

fn history(context: &Context, head: Seq) -> Result<Vec<Stored>, Refusal> {
    let unreadable =
        |e: storage::ReadError| Refusal::Busy { reason: e.to_string().into(), retry_after_s: 10 };
    let mut events = Vec::new();
    for stored in context.reader.history(head).take(REPLAY_MAX) {
        events.push(stored.map_err(unreadable)?);
    }
    events.reverse();
    Ok(events)
}

/// Returns a session with its events; with `at`, as it was then.
///
/// # Errors
///
/// Returns a refusal if no such session exists or its events cannot be read.
pub(crate) fn session_at(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    id: SessionId,
    at: Option<Timestamp>,
) -> Result<SessionView, Refusal> {
    let head = head_of(turn, stream).ok_or(Refusal::NotFound("session"))?;
    let mut events = history(turn.context, head)?;
    events.retain(|e| at.is_none_or(|at| e.at <= at));
    let (mut replayed, mut opened, mut ordinal) = (Session::blank(), false, 0);
    let mut of_this = Vec::new();
    for stored in &events {
        replayed.apply(&stored.event, stored.at);
        if let Event::SessionOpened(o) = &stored.event {
            ordinal = o.ordinal;
            opened |= o.ordinal == id.ordinal;
        }
        if ordinal == id.ordinal {
            of_this.push(EventView::of(stored.seq, stored.at, stream, &stored.event));
        }
    }
    if !opened {
        return Err(Refusal::NotFound("session"));
    }
    // A live session is shown as it is in memory; the replay of its log must be equal.
    let live = turn.slot(stream).filter(|_| at.is_none()).map(|slot| &slot.session);
    let shown = live.unwrap_or(&replayed);
    let mut view = session(shown, id, turn.policy_of(shown));
    view.snapshot = Some(format!("{shown:#?}"));
    let skip = of_this.len().saturating_sub(EVENTS_SHOWN_MAX);
    view.events = of_this.into_iter().skip(skip).collect();
    Ok(view)
}

/// Returns a message with its timeline.
///
/// # Errors
///
/// Returns a refusal if no such message exists or its events cannot be read.
pub(crate) fn message(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    number: MessageNo,
) -> Result<MessageView, Refusal> {
    let head = head_of(turn, stream).ok_or(Refusal::NotFound("message"))?;
    let record = MessageRecord::read(&turn.context.reader, head, number, std::iter::empty())
        .map_err(|reason| Refusal::Busy { reason: reason.into(), retry_after_s: 10 })?
        .ok_or(Refusal::NotFound("message"))?;
    let (session, ordinal) = session_of(turn, stream, &record)?;
    Ok(MessageView {
        message_id: record.message.id.clone(),
        status: record.message.status(),
        session_id: SessionIdText(SessionId { stream, ordinal }),
        channel: session.address.channel.clone(),
        customer: session.customer_shown.clone(),
        did: session.did_shown.clone(),
        accepted_at: record.message.accepted_at,
        adapted: record.message.adapted.to_vec(),
        parts: record.message.parts.iter().enumerate().map(|(n, p)| part_view(n, p)).collect(),
        events: record.events.iter().map(|e| EventView::of(e.seq, e.at, stream, &e.event)).collect(),
    })
}

/// Returns the session in which a message was accepted, as its opening in the log tells it, and its
/// ordinal.
fn session_of(
    turn: &HostTurn<'_>,
    stream: StreamId,
    record: &MessageRecord,
) -> Result<(Session, u32), Refusal> {
    let first = record.events.first().map_or(Seq::NONE, |e| e.seq);
    for stored in turn.context.reader.history(first).take(REPLAY_MAX) {
        match stored.map(|s| (s.event, s.at)) {
            Ok((event @ Event::SessionOpened(_), at)) => {
                let mut session = Session::blank();
                session.apply(&event, at);
                let ordinal = session.counters.sessions;
                return Ok((session, ordinal));
            }
            Ok(_) => {}
            Err(e) => {
                let reason = e.to_string().into();
                return Err(Refusal::Busy { reason, retry_after_s: 10 });
            }
        }
    }
    // Retention has removed the opening; the live session still knows.
    let live = turn.slot(stream).map(|slot| slot.session.clone());
    live.map(|s| (s.clone(), s.counters.sessions)).ok_or(Refusal::NotFound("session of this message"))
}

/// Searches the sessions of the host numbered `host`, in the order of their streams: those in
/// memory and those in the index.
pub(crate) fn scan(
    context: &Context,
    sessions: &Sessions,
    host: usize,
    after: Option<StreamId>,
    limit: usize,
    what: Scan,
) -> Scanned {
    let mut found: Vec<(StreamId, Scanned)> = Vec::new();
    let mut complete_to: Option<StreamId> = None;
    let is_wanted = |stream: StreamId| after.is_none_or(|a| stream > a);
    for stream in sessions.live.streams(|slot| is_wanted(slot.stream) && wants(what, &slot.session)) {
        if found.len() >= limit {
            complete_to = found.last().map(|(stream, _)| *stream);
            break;
        }
        if let Some(slot) = sessions.live.get(stream) {
            found.push((stream, scanned(context, stream, &slot.session, what)));
        }
    }
    let (mut from, mut looked, mut more) = (after, 0, 0);
    loop {
        if looked >= SCAN_MAX || more >= limit {
            complete_to = from.min(complete_to.or(from));
            break;
        }
        let Ok(page) = context.reader.scan(from, SCAN_PAGE) else { break };
        let Some(last) = page.last() else { break };
        from = Some(last.stream);
        looked += page.len();
        for OpenStream { stream, entry } in page {
            if context.hosts.of(stream) != host || sessions.live.contains(stream) {
                continue;
            }
            if let Ok(session) = load::decode(&entry)
                && wants(what, &session)
            {
                more += 1;
                found.push((stream, scanned(context, stream, &session, what)));
            }
        }
    }
    found.sort_by_key(|(stream, _)| *stream);
    if found.len() > limit {
        let last = found.get(limit.saturating_sub(1)).map(|(stream, _)| *stream);
        complete_to = last.min(complete_to.or(last));
    }
    found.retain(|(stream, _)| complete_to.is_none_or(|to| *stream <= to));
    let mut all = Scanned { complete_to, ..Scanned::default() };
    for (_, one) in found {
        all.sessions.extend(one.sessions);
        all.doubts.extend(one.doubts);
        all.dead_letters.extend(one.dead_letters);
    }
    all
}

fn wants(what: Scan, session: &Session) -> bool {
    match what {
        Scan::Open => session.open,
        Scan::Doubts => !doubts_of(session).is_empty(),
        Scan::DeadLetters => !session.dead_letters.is_empty(),
    }
}

fn scanned(context: &Context, stream: StreamId, found: &Session, what: Scan) -> Scanned {
    let mut scanned = Scanned::default();
    match what {
        Scan::Open => {
            let entry = context.directory.channel_by_id(&found.address.channel);
            let policy = entry.map(|(_, entry)| &entry.policy);
            scanned.sessions.push(session(found, found.id(), policy));
        }
        Scan::Doubts => scanned.doubts = doubts_of(found),
        Scan::DeadLetters => scanned.dead_letters = dead_letters_of(context, stream, found),
    }
    scanned
}

fn dead_letters_of(context: &Context, stream: StreamId, session: &Session) -> Vec<DeadLetterView> {
    let of_did = context.directory.channel_by_id(&session.address.channel).and_then(|(_, entry)| {
        let ix = entry.destination(&session.address.did);
        context.directory.destination(ix).map(|d| d.config.id.clone())
    });
    let of_did = of_did.unwrap_or_else(|| "".into());
    let view = |DeadLetter { delivery, cause }: &DeadLetter| DeadLetterView {
        id: event_id(stream, delivery.number),
        session_id: SessionIdText(SessionId { stream, ordinal: delivery.ordinal }),
        destination: delivery.destination.clone().unwrap_or_else(|| of_did.clone()),
        kind: match delivery.kind {
            DeliveryKind::Message(_) => "message",
            DeliveryKind::Notification(_) => "notification",
            DeliveryKind::EndChat(_) => "intent",
        },
        reason: format!("{} ({})", cause.reason, cause.code),
    };
    session.dead_letters.iter().map(view).collect()
}

/// Returns the parts of a session that are in doubt or were sent again after it.
fn doubts_of(session: &Session) -> Vec<DoubtView> {
    let of_message = |m: &Outbound| {
        let parts = m.parts.iter().enumerate();
        let in_doubt = |p: &Part| p.phase == Phase::Held || (p.doubts > 0 && p.phase != Phase::Answered);
        let doubtful = parts.filter(|(_, p)| in_doubt(p) || p.resent > 0);
        doubtful
            .map(|(n, p)| DoubtView {
                message_id: m.id.clone(),
                part: n as u16 + 1,
                session_id: SessionIdText(session.id()),
                channel: session.address.channel.clone(),
                customer: session.customer_shown.clone(),
                resent: p.resent,
                held: p.phase == Phase::Held,
            })
            .collect::<Vec<_>>()
    };
    session.queue.iter().chain(session.sent.values()).flat_map(|m| of_message(m)).collect()
}

fn part_view(n: usize, part: &Part) -> PartView {
    PartView {
        part: n as u16 + 1,
        status: part.state.as_message(),
        provider_id: part.provider_id.clone(),
        tries: part.tries.saturating_add(u16::from(part.phase != Phase::Waiting)),
        resent_in_doubt: part.resent,
    }
}

/// Returns a session without its events.
pub(crate) fn session(session: &Session, id: SessionId, policy: Option<&Policy>) -> SessionView {
    let is_this = session.counters.sessions == id.ordinal;
    SessionView {
        session_id: SessionIdText(id),
        state: if session.open && is_this { "open" } else { "closed" },
        channel: session.address.channel.clone(),
        did: session.did_shown.clone(),
        customer: session.customer_shown.clone(),
        handler: session.handler.clone(),
        opened_at: session.opened_at,
        last_activity: session.last_activity,
        closes_at: policy.and_then(|policy| session.closes_at(policy)),
        messages_open: session.messages_open(),
        deliveries_waiting: session.deliveries.len(),
        dead_letters: session.dead_letters.len(),
        snapshot: None,
        events: Vec::new(),
    }
}
