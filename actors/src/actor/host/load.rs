//! Reads sessions from the index, from the look-up of a finished stream, or from the log, and
//! writes them to the index.

use message::{
    Counters, Event, Seq, StreamId, Timestamp, address, event::Revived, snapshot::SessionSnapshot,
};
use storage::{Entry, StoredEntry, invariant};

use crate::{
    actor::host::live::Slot,
    context::Context,
    domain::{
        chains::{self, Position},
        session::{CarriedPiece, Identity, Session, carried},
    },
    history::{lookup, opening::Opening},
};

/// Reads a session that is not in memory. A stream without one gets a new session if an identity is
/// given.
///
/// # Errors
///
/// Returns the reason if the index or the log cannot be read.
pub(crate) fn load(
    context: &Context,
    stream: StreamId,
    identity: Option<&Identity>,
) -> Result<Option<Slot>, String> {
    let mut before = StoredEntry::Absent;
    if let Some(entry) = context.reader.entry(stream)? {
        before = StoredEntry::with_due(entry.due);
        let slot = match slot_in(stream, &entry) {
            Ok(slot) => Some(slot),
            // The entry was lost to damage, or has another version: the session is rebuilt from
            // the log.
            Err(_) => from_log(context, stream, entry.applied)?,
        };
        if let Some(slot) = slot {
            return Ok(Some(Slot { before, ..slot }));
        }
    }
    let finished = context.reader.find(address::head_key(stream));
    let (counters, head) =
        finished.map_or((Counters::default(), Seq::NONE), |f| (Counters::unpack(f.a), Seq(f.b)));
    Ok(identity.map(|identity| {
        let mut session = Session::new(identity.address.clone(), counters);
        session.reached = context.reached(&identity.address).or(session.reached);
        let is_left = session.reached.as_ref().filter(|reached| *reached != identity.name());
        session.customer_shown = is_left.unwrap_or(&identity.customer_shown).clone();
        session.did_shown = identity.did_shown.clone();
        Slot { before, ..Slot::new(stream, session, head) }
    }))
}

/// A stream that is no longer in the index.
pub(crate) struct FinishedStream {
    pub(crate) head: Seq,
    /// The event that makes it live again, with the address that its history names.
    pub(crate) revived: Revived,
}

/// Reads the head and address of a finished stream.
pub(crate) fn finished(context: &Context, stream: StreamId) -> Option<FinishedStream> {
    let found = context.reader.find(address::head_key(stream))?;
    let head = Seq(found.b);
    let lifecycle = &context.lifecycle;
    let opening = Opening::find(&context.reader, head);
    let opening = lifecycle.found(format_args!("the opening of session {stream}"), opening)?;
    let mut revived = opening.revived(Counters::unpack(found.a));
    // The newest change of address counts, wherever the session began.
    let moved = lookup::newest_move(&context.reader, stream);
    if let Some(moved) = lifecycle.found(format_args!("the address of session {stream}"), moved) {
        revived.reached = Some(moved.reached).filter(|reached| *reached != revived.address.customer);
        revived.customer_shown = moved.customer_shown;
    }
    Some(FinishedStream { head, revived })
}

/// Decodes a session from its entry in the index.
///
/// # Errors
///
/// Returns the reason if the entry has another format version.
pub(crate) fn decode(entry: &Entry) -> Result<Session, String> {
    let snapshot: SessionSnapshot<'_> = storage::decode_snapshot(&entry.bytes).map_err(|e| e.to_string())?;
    Ok(Session::from(snapshot))
}

/// Decodes a session from its entry in the index, with the places of its events.
///
/// # Errors
///
/// Returns the reason if the entry has another format version.
pub(crate) fn slot_in(stream: StreamId, entry: &Entry) -> Result<Slot, String> {
    let snapshot: SessionSnapshot<'_> = storage::decode_snapshot(&entry.bytes).map_err(|e| e.to_string())?;
    let SessionSnapshot::V1(v1) = &snapshot;
    let chains = v1.chains.clone().into();
    Ok(Slot { chains, ..Slot::new(stream, Session::from(snapshot), entry.applied) })
}

/// Rebuilds a session up to its event `head`, from the index's snapshot and the later events.
/// `None` if the stream is finished, or lost its beginning to retention: the latter is reported.
///
/// # Errors
///
/// Returns the reason if the index or the log cannot be read.
pub(crate) fn from_log(context: &Context, stream: StreamId, head: Seq) -> Result<Option<Slot>, String> {
    let entry = context.reader.entry(stream)?.filter(|entry| entry.applied <= head);
    let known = entry.and_then(|entry| slot_in(stream, &entry).ok());
    let has_snapshot = known.is_some();
    let mut slot = known.unwrap_or_else(|| Slot::new(stream, Session::blank(), Seq::NONE));
    let (mut newer, mut has_end) = (Vec::new(), false);
    let mut history = context.reader.history(head);
    for stored in history.by_ref() {
        let stored = stored.map_err(|e| e.to_string())?;
        if stored.seq <= slot.head {
            break;
        }
        has_end |= is_end(&stored.event);
        let is_complete = carried::is_whole(&stored.event) || (has_end && opens_carried(&stored.event));
        newer.push(stored);
        if is_complete {
            break;
        }
    }
    let is_cut = !has_snapshot && history.cut().is_some();
    let mut is_skipped = is_cut;
    for stored in newer.iter().rev() {
        is_skipped &= !chains::opens(&stored.event);
        if !is_skipped {
            slot.apply(&stored.event, stored.at, Position::At(stored.seq));
        }
    }
    invariant!(slot.head <= head, "{stream} is rebuilt up to {head} from {}", slot.head);
    slot.head = head;
    if !slot.session.is_blank() {
        return Ok(Some(slot));
    }
    if is_cut {
        leave_out(context, stream, head);
    }
    Ok(None)
}

/// Reports that a stream has no beginning any more, unless its last event finished it.
pub(crate) fn leave_out(context: &Context, stream: StreamId, head: Seq) {
    let finished = context.reader.find(address::head_key(stream));
    if finished.is_none_or(|found| found.b < head.0) {
        metrics::counter!("patchbay_sessions_left_out_total").increment(1);
        tracing::error!(
            %stream, %head,
            "a session's state is lost, and retention has removed its first events: it is left out, not guessed"
        );
    }
}

fn opens_carried(event: &Event) -> bool {
    matches!(event, Event::Carried { .. }) && chains::opens(event)
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::Carried { message: None, snapshot } if CarriedPiece::of(snapshot) == CarriedPiece::Last)
}

/// Writes a session into the index's delta, with the instant at which it is due.
pub(crate) fn write(slot: &mut Slot, context: &Context, now: Timestamp) {
    let is_whole = slot.pending.is_none() || context.lifecycle.has_failed();
    invariant!(is_whole, "{} is written before its events are appended", slot.stream);
    let entry = slot.channel.and_then(|ix| context.directory.channel(ix));
    let now = now.min(context.moment().sure);
    let due = entry.map_or(Some(Timestamp(0)), |e| slot.session.wake_at(&e.policy, now));
    let SessionSnapshot::V1(mut snapshot) = SessionSnapshot::from(&slot.session);
    snapshot.chains = slot.chains.to_snapshot();
    match storage::encode_snapshot(&SessionSnapshot::V1(snapshot)) {
        Ok(bytes) => {
            let entry = Entry { applied: slot.head, due, bytes: bytes.into_boxed_slice() };
            context.log.index().put_over(slot.stream, entry, slot.before);
            slot.before = StoredEntry::with_due(due);
        }
        Err(error) => {
            context.lifecycle.fail(format!("session {} cannot be written: {error}", slot.stream));
        }
    }
}
