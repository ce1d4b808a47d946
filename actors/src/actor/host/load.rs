//! Reads sessions from the index, from the look-up of a finished stream, or from the log, and
//! writes them to the index.

use message::{
    Counters, Event, Seq, StreamId, Timestamp, address,
    event::{Revived, SessionOpened},
    snapshot::SessionSnapshot,
};
use storage::{Entry, StoredEntry};

use crate::{
    actor::host::live::Slot,
    context::Context,
    domain::session::{Identity, Session},
};

/// Maximum number of events read for the address of a finished stream; one further back is not
/// found.
const WALK_MAX: usize = 1_000_000;

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
    if let Some(entry) = context.reader.entry(stream)? {
        let mut slot = match decode(&entry) {
            Ok(session) => Slot::new(stream, session, entry.applied),
            // A snapshot of another version: the session is rebuilt from the log.
            Err(_) => from_log(context, stream, entry.applied)?,
        };
        slot.before = StoredEntry::with_due(entry.due);
        return Ok(Some(slot));
    }
    let finished = context.reader.find(address::head_key(stream));
    let (counters, head) =
        finished.map_or((Counters::default(), Seq::NONE), |f| (Counters::unpack(f.a), Seq(f.b)));
    Ok(identity.map(|identity| {
        let mut session = Session::new(identity.address.clone(), counters);
        session.customer_shown = identity.customer_shown.clone();
        session.did_shown = identity.did_shown.clone();
        Slot { before: StoredEntry::Absent, ..Slot::new(stream, session, head) }
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
    let counters = Counters::unpack(found.a);
    for stored in context.reader.history(head).take(WALK_MAX) {
        match stored.map(|s| s.event) {
            Ok(Event::SessionOpened(o)) => {
                let SessionOpened { address, customer_shown, did_shown, .. } = *o;
                let revived = Revived { address, customer_shown, did_shown, counters };
                return Some(FinishedStream { head, revived });
            }
            Ok(Event::Revived(earlier)) => {
                return Some(FinishedStream { head, revived: Revived { counters, ..*earlier } });
            }
            Ok(_) => {}
            Err(_) => return None,
        }
    }
    None
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

/// Rebuilds a session up to its event `head`, from the index's snapshot and the later events.
///
/// # Errors
///
/// Returns the reason if the index or the log cannot be read.
pub(crate) fn from_log(context: &Context, stream: StreamId, head: Seq) -> Result<Slot, String> {
    let entry = context.reader.entry(stream)?;
    let snapshot = entry.filter(|e| e.applied <= head).and_then(|e| Some((decode(&e).ok()?, e.applied)));
    let (mut session, applied) = snapshot.unwrap_or_else(|| (Session::blank(), Seq::NONE));
    let mut newer = Vec::new();
    for stored in context.reader.history(head) {
        let stored = stored.map_err(|e| e.to_string())?;
        if stored.seq <= applied {
            break;
        }
        newer.push(stored);
    }
    for stored in newer.iter().rev() {
        session.apply(&stored.event, stored.at);
    }
    Ok(Slot::new(stream, session, head))
}

/// Writes a session into the index's delta, with the instant at which it is due.
pub(crate) fn write(slot: &mut Slot, context: &Context, now: Timestamp) {
    let entry = slot.channel.and_then(|ix| context.directory.channel(ix));
    let due = entry.map_or(Some(Timestamp(0)), |e| slot.session.wake_at(&e.policy, now));
    match storage::encode_snapshot(&SessionSnapshot::from(&slot.session)) {
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
