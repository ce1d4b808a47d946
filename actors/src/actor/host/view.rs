//! Sessions and messages as the API shows them, now and at any past instant.

use message::{ChannelId, MessageNo, MessageStatus, Seq, SessionId, StreamId};
use storage::OpenStream;

use crate::{
    actor::host::{live::Slot, load, message_wait, sessions::Sessions, turn::HostTurn},
    context::Context,
    domain::session::{DeadLetter, DeliveryKind, Outbound, Part, Phase, Session},
    error::Refusal,
    history::{lookup, message::MessageRecord, opening::Opening},
    protocol::{
        destination::event_id,
        host::{HostCensus, Scan, Scanned},
        task::{FoundRecords, MessageAnswer, NewestState},
    },
    view::{
        DeadLetterView, DoubtView, EventView, FailureView, MessageView, PartView, SessionIdText,
        SessionStateView, SessionView,
        census::Census,
        describe::{excerpt, words},
        messages::ItemSession,
    },
};

/// Number of index entries read at once.
pub(crate) const SCAN_PAGE: usize = 500;
/// Maximum number of index entries read in one call, which occupies the host; the caller continues
/// where it stopped.
pub(crate) const SCAN_MAX: usize = 20_000;

/// Maximum number of items of each list that the full state of a session shows.
const LISTED_MAX: usize = 100;
/// Maximum number of characters of a message's text that is shown.
const TEXT_MAX: usize = 4_000;

/// Returns the newest state of a stream: the session if it is in memory or in the index, and the
/// event from which the past is read.
///
/// # Errors
///
/// Returns a refusal if no such stream exists.
pub(crate) fn newest(turn: &mut HostTurn<'_>, stream: StreamId) -> Result<NewestState, Refusal> {
    turn.activate(stream, None);
    let head = turn.head_of(stream).ok_or_else(|| turn.context.absent("session"))?;
    let slot = turn.slot(stream);
    let ordinal = slot.map_or(0, |slot| slot.session.counters.sessions);
    let live = slot.map(|slot| {
        let shown = &slot.session;
        let snapshot = Some(Box::new(SessionStateView::of(shown, LISTED_MAX)));
        SessionView { snapshot, ..session(turn.context, shown, shown.id(stream)) }
    });
    Ok(NewestState { head, live, ordinal })
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
) -> Result<MessageAnswer, Refusal> {
    turn.activate(stream, None);
    let record = turn
        .record_of(stream, number)
        .map_err(|reason| Refusal::Busy { reason: reason.into(), retry_after_s: 10 })?
        .ok_or_else(|| turn.context.absent("message"))?;
    let (session, ordinal) = session_of(turn, stream, &record)?;
    let wait = message_wait::of(turn, stream, &record);
    let provider = turn.context.directory.provider_of(&session.address.channel);
    let view = MessageView {
        message_id: record.message.id.clone(),
        status: record.message.status(),
        session_id: SessionIdText(SessionId { stream, ordinal }),
        channel: session.address.channel.clone(),
        customer: session.customer_handed_out(),
        did: session.did_shown.clone(),
        destination: record
            .message
            .destination
            .clone()
            .unwrap_or_else(|| turn.context.directory.destination_of(&session.address)),
        accepted_at: record.message.accepted_at,
        text: words(&record.message.content, TEXT_MAX),
        adapted: record.message.adapted.to_vec(),
        parts: record.message.parts.iter().enumerate().map(|(n, p)| part_view(provider, n, p)).collect(),
        failure: record.message.failure().map(|(failure, _)| FailureView::of(provider, failure)),
        waiting_for: None,
        events: record.events.iter().map(|e| EventView::of(e.seq, e.at, stream, &e.event)).collect(),
    };
    Ok(MessageAnswer { view, wait })
}

/// Returns the session in which a message was accepted, as its opening in the log tells it, and its
/// ordinal.
fn session_of(
    turn: &HostTurn<'_>,
    stream: StreamId,
    record: &MessageRecord,
) -> Result<(Session, u32), Refusal> {
    let unreadable =
        |e: storage::ReadError| Refusal::Busy { reason: e.to_string().into(), retry_after_s: 10 };
    if let Some(opening) = Opening::find(&turn.context.reader, record.opening).map_err(unreadable)? {
        let ordinal = opening.session.counters.sessions;
        return Ok((opening.session, ordinal));
    }
    // Retention has removed the opening; the live session still knows.
    let live = turn.slot(stream).map(|slot| slot.session.clone());
    live.map(|s| (s.clone(), s.counters.sessions))
        .ok_or_else(|| turn.context.absent("session of this message"))
}

/// Returns the newest event of a stream, and some of its messages.
///
/// # Errors
///
/// Returns a refusal if the index or a message's events cannot be read.
pub(crate) fn records(
    turn: &mut HostTurn<'_>,
    stream: StreamId,
    numbers: &[MessageNo],
) -> Result<FoundRecords, Refusal> {
    let busy = |reason: String| Refusal::Busy { reason: reason.into(), retry_after_s: 10 };
    if !numbers.is_empty() {
        turn.activate(stream, None);
    }
    let mut records = Vec::new();
    for number in numbers {
        records.extend(turn.record_of(stream, *number).map_err(busy)?);
    }
    if let Some(poisoned) = turn.context.reader.poisoned() {
        return Err(busy(poisoned.to_string()));
    }
    let slot = turn.slot(stream);
    let head = match slot {
        Some(slot) => Some(slot.head),
        None => turn.context.reader.entry(stream).map_err(busy)?.map(|entry| entry.applied),
    };
    let head = head.or_else(|| lookup::finished_head(&turn.context.reader, stream));
    Ok(FoundRecords {
        head: head.filter(|head| *head != Seq::NONE),
        session: slot.map(|slot| ItemSession::of(&slot.session, stream)),
        records,
    })
}

/// The sessions that a search wants.
pub(crate) struct Wanted {
    pub(crate) what: Scan,
    pub(crate) channel: Option<ChannelId>,
}

/// Returns the reason for which the sessions in the index cannot be listed.
pub(crate) fn unreadable_index(error: String) -> String {
    format!("the index of sessions cannot be read: {error}")
}

/// Searches the sessions of the host numbered `host`, in the order of their streams: those in
/// memory and those in the index.
///
/// # Errors
///
/// Returns the reason if the index cannot be read: what is in it would be missing.
pub(crate) fn scan(
    context: &Context,
    sessions: &Sessions,
    host: usize,
    after: Option<StreamId>,
    limit: usize,
    wanted: &Wanted,
) -> Result<Scanned, String> {
    let what = &wanted.what;
    let mut found: Vec<(StreamId, Scanned)> = Vec::new();
    let mut complete_to: Option<StreamId> = None;
    let is_wanted = |stream: StreamId| after.is_none_or(|a| stream > a);
    for stream in
        sessions.live.streams(|slot| is_wanted(slot.stream) && wants(wanted, slot.stream, &slot.session))
    {
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
        let page = context.reader.scan(from, SCAN_PAGE).map_err(unreadable_index)?;
        let Some(last) = page.last() else { break };
        from = Some(last.stream);
        looked += page.len();
        for OpenStream { stream, entry } in page {
            if context.hosts.of(stream) != host || sessions.live.contains(stream) {
                continue;
            }
            // A state that was lost to damage follows from the log.
            let from_log = || load::from_log(context, stream, entry.applied).ok().flatten();
            let session = load::decode(&entry).ok().or_else(|| Some(from_log()?.session));
            if let Some(session) = session.filter(|session| wants(wanted, stream, session)) {
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
        all.queued.extend(one.queued);
    }
    Ok(all)
}

/// Counts held parts and deliveries of the sessions in memory.
pub(crate) fn census(context: &Context, sessions: &Sessions) -> HostCensus {
    let mut census = Census::default();
    for Slot { session, .. } in sessions.live.iter() {
        census.add(session, &context.directory.destination_of(&session.address));
    }
    HostCensus { census, streams: sessions.live.streams(|_| true) }
}

fn wants(wanted: &Wanted, stream: StreamId, session: &Session) -> bool {
    if wanted.channel.as_ref().is_some_and(|only| *only != session.address.channel) {
        return false;
    }
    match &wanted.what {
        Scan::Open => session.open,
        Scan::Doubts => !doubts_of(stream, session).is_empty(),
        Scan::DeadLetters => !session.dead_letters.is_empty(),
        Scan::Queued(channel) => session.address.channel == *channel && !session.queue.is_empty(),
    }
}

fn scanned(context: &Context, stream: StreamId, found: &Session, what: &Scan) -> Scanned {
    let mut scanned = Scanned::default();
    match what {
        Scan::Open => {
            scanned.sessions.push(session(context, found, found.id(stream)));
        }
        Scan::Doubts => scanned.doubts = doubts_of(stream, found),
        Scan::DeadLetters => scanned.dead_letters = dead_letters_of(context, stream, found),
        Scan::Queued(_) => scanned.queued.push(stream),
    }
    scanned
}

fn dead_letters_of(context: &Context, stream: StreamId, session: &Session) -> Vec<DeadLetterView> {
    let of_did = context.directory.destination_of(&session.address);
    let view = |DeadLetter { delivery, cause }: &DeadLetter| DeadLetterView {
        id: event_id(stream, delivery.number),
        session_id: SessionIdText(SessionId { stream, ordinal: delivery.ordinal }),
        channel: session.address.channel.clone(),
        destination: delivery.destination.clone().unwrap_or_else(|| of_did.clone()),
        kind: match delivery.kind {
            DeliveryKind::Message(_) => "message",
            DeliveryKind::Notification(_) => "notification",
            DeliveryKind::EndChat(_) => "intent",
        },
        at: delivery.at,
        customer: session.customer_handed_out(),
        text: match &delivery.kind {
            DeliveryKind::Message(received) => excerpt(&received.content),
            DeliveryKind::Notification(told) => format!("{} {}", told.status.as_str(), told.id),
            DeliveryKind::EndChat(reason) => format!("the session ended: {reason:?}"),
        },
        reason: format!("{} ({})", cause.reason, cause.code),
    };
    session.dead_letters.iter().map(view).collect()
}

/// Returns the parts of a session that are in doubt or were sent again after it.
fn doubts_of(stream: StreamId, session: &Session) -> Vec<DoubtView> {
    let of_message = |m: &Outbound| {
        let parts = m.parts.iter().enumerate();
        let in_doubt = |p: &Part| p.phase == Phase::Held || (p.doubts > 0 && p.phase != Phase::Answered);
        let doubtful = parts.filter(|(_, p)| in_doubt(p) || p.resent > 0);
        doubtful
            .map(|(n, p)| DoubtView {
                message_id: m.id.clone(),
                part: n as u16 + 1,
                session_id: SessionIdText(session.id(stream)),
                channel: session.address.channel.clone(),
                customer: session.customer_handed_out(),
                resent: p.resent,
                held: p.phase == Phase::Held,
            })
            .collect::<Vec<_>>()
    };
    session.queue.iter().chain(session.sent.values()).flat_map(|m| of_message(m)).collect()
}

fn part_view(provider: &str, n: usize, part: &Part) -> PartView {
    PartView {
        part: n as u16 + 1,
        status: part.state.as_message(),
        provider_id: part.provider_id.clone(),
        tries: part.tries.saturating_add(u16::from(part.phase != Phase::Waiting)),
        resent_in_doubt: part.resent,
        failure: part
            .failure
            .as_ref()
            .filter(|_| part.state.as_message() == MessageStatus::Failed)
            .map(|failure| FailureView::of(provider, failure)),
    }
}

/// Returns a session without its events.
pub(crate) fn session(context: &Context, session: &Session, id: SessionId) -> SessionView {
    let entry = context.directory.channel_by_id(&session.address.channel);
    let policy = entry.map(|(_, entry)| &entry.policy);
    let is_this = session.counters.sessions == id.ordinal;
    SessionView {
        session_id: SessionIdText(id),
        state: if session.open && is_this { "open" } else { "closed" },
        channel: session.address.channel.clone(),
        did: session.did_shown.clone(),
        destination: context.directory.destination_of(&session.address),
        customer: session.customer_handed_out(),
        handler: session.handler.clone(),
        opened_at: session.opened_at,
        last_activity: session.last_activity,
        closes_at: policy.and_then(|policy| session.closes_at(policy)),
        messages_open: session.messages_open(),
        deliveries_waiting: session.deliveries.len(),
        dead_letters: session.dead_letters.len(),
        snapshot: None,
        events: Vec::new(),
        earlier: None,
    }
}
