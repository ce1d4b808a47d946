//! Sessions come into memory: from the index, from the look-up of a finished stream, from the log itself; and
//! leave it again.

use message::{
    Counters, Event, Seq, StreamId, Timestamp, address,
    event::{DoubtCause, Revived, SessionOpened},
    snapshot::SessionSnapshot,
};
use storage::{Entry, StoredEntry};

use crate::{
    actor::host::{Stage, live::Slot, state::HostState},
    config::ChannelIx,
    context::Shared,
    domain::session::{Identity, Session},
};

/// A session that is due within this time stays in memory.
const STAY_MS: u64 = 2_000;
/// Sessions passivated in one tick.
const PASSIVATE_MAX: usize = 20_000;
/// Events walked back for the address of a finished stream.
const WALK_MAX: usize = 1_000_000;

impl HostState {
    /// Makes sure that the session is in memory; with an identity, a new one if there was none. Whether it is.
    pub(super) fn activate(
        &mut self,
        stream: StreamId,
        identity: Option<&Identity>,
        stage: &mut Stage,
    ) -> bool {
        if self.live.contains(stream) {
            return true;
        }
        let found = match self.load(stream, identity) {
            Ok(found) => found,
            Err(reason) => {
                self.shared.fail(format!("session {stream} cannot be read: {reason}"));
                return false;
            }
        };
        let Some(mut slot) = found else { return false };
        slot.channel = self.shared.channel_ix.get(&slot.session.address.channel).copied();
        self.live.insert(slot);
        // Parts that were with a link when this session was last in memory were there in another process:
        // a session with such parts never leaves memory.
        self.recover(stream, DoubtCause::Restart, stage);
        true
    }

    /// Parts thought to be with a link are not: they are in doubt.
    pub(super) fn recover(&mut self, stream: StreamId, cause: DoubtCause, stage: &mut Stage) {
        let Some(slot) = self.live.get(stream) else { return };
        let Some(entry) = slot.channel.and_then(|ix| self.shared.channels.get(ix)) else { return };
        if slot.session.submitting() {
            let events = slot.session.recover(&entry.policy, cause, stage.now);
            self.record(stream, events, &[], stage);
        }
    }

    fn load(&self, stream: StreamId, identity: Option<&Identity>) -> Result<Option<Slot>, String> {
        if let Some(entry) = self.shared.log.index().get(stream).map_err(|e| e.to_string())? {
            let mut slot = match decode(&entry) {
                Ok(session) => Slot::new(stream, session, entry.applied),
                // A snapshot of another version: its session is made anew from the log.
                Err(_) => self.load_from_log(stream, entry.applied)?,
            };
            slot.before = StoredEntry::with_due(entry.due);
            return Ok(Some(slot));
        }
        let finished = self.shared.log.find(address::head_key(stream));
        let (counters, head) =
            finished.map_or((Counters::default(), Seq::NONE), |f| (Counters::unpack(f.a), Seq(f.b)));
        Ok(identity.map(|identity| {
            let mut session = Session::new(identity.address.clone(), counters);
            session.customer_shown = identity.customer_shown.clone();
            session.did_shown = identity.did_shown.clone();
            Slot { before: StoredEntry::Absent, ..Slot::new(stream, session, head) }
        }))
    }

    /// Makes a finished stream live again: its address is read from its history, and said anew.
    pub(super) fn revive(&mut self, stream: StreamId, stage: &mut Stage) -> bool {
        let Some((head, revived)) = self.finished(stream) else { return false };
        let mut slot = Slot::new(stream, Session::new(revived.address.clone(), revived.counters), head);
        slot.channel = self.shared.channel_ix.get(&revived.address.channel).copied();
        self.live.insert(slot);
        self.record(stream, [Event::Revived(Box::new(revived))], &[], stage);
        true
    }

    /// The channel of a finished stream.
    pub(super) fn channel_of_finished(&self, stream: StreamId) -> Option<ChannelIx> {
        let (_, known) = self.finished(stream)?;
        self.shared.channel_ix.get(&known.address.channel).copied()
    }

    /// The head of a finished stream, and who it belongs to, as its history says.
    fn finished(&self, stream: StreamId) -> Option<(Seq, Revived)> {
        let found = self.shared.log.find(address::head_key(stream))?;
        let head = Seq(found.b);
        let counters = Counters::unpack(found.a);
        for stored in self.shared.log.history(head).take(WALK_MAX) {
            match stored.map(|s| s.event) {
                Ok(Event::SessionOpened(o)) => {
                    let SessionOpened { address, customer_shown, did_shown, .. } = *o;
                    return Some((head, Revived { address, customer_shown, did_shown, counters }));
                }
                Ok(Event::Revived(earlier)) => return Some((head, Revived { counters, ..*earlier })),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// A session as the log has it, up to and with its event `head`.
    pub(super) fn load_from_log(&self, stream: StreamId, head: Seq) -> Result<Slot, String> {
        from_log(&self.shared, stream, head)
    }

    /// Sends idle sessions out of memory until few enough are left.
    pub(super) fn passivate(&mut self, now: Timestamp) {
        let shared = self.shared.clone();
        for _ in 0..self.live.excess().min(PASSIVATE_MAX) {
            let idle = |slot: &Slot| {
                let due_soon = slot.timer.is_some_and(|at| at <= now.plus_ms(STAY_MS));
                slot.pending.is_none() && !due_soon && !slot.session.submitting()
            };
            let Some(stream) = self.live.victim(idle) else { break };
            if let Some(mut slot) = self.live.remove(stream) {
                if let Some(timer) = slot.timer {
                    self.timers.remove(&(timer, stream));
                }
                slot.write_to_index(&shared, now);
            }
        }
        // One figure for all hosts.
        metrics::gauge!("patchbay_sessions_live").increment(self.live.len() as f64 - self.shown as f64);
        self.shown = self.live.len();
    }
}

impl Slot {
    /// Writes the session into the index's delta, with the instant at which it must be looked at again.
    pub(crate) fn write_to_index(&mut self, shared: &Shared, now: Timestamp) {
        let entry = self.channel.and_then(|ix| shared.channels.get(ix));
        let due = entry.map_or(Some(Timestamp(0)), |e| self.session.wake_at(&e.policy, now));
        match storage::encode_snapshot(&SessionSnapshot::from(&self.session)) {
            Ok(bytes) => {
                let entry = Entry { applied: self.head, due, bytes: bytes.into_boxed_slice() };
                shared.log.index().put_over(self.stream, entry, self.before);
                self.before = StoredEntry::with_due(due);
            }
            Err(error) => shared.fail(format!("session {} cannot be written: {error}", self.stream)),
        }
    }
}

/// A session from the index.
pub(crate) fn decode(entry: &Entry) -> Result<Session, String> {
    let snapshot: SessionSnapshot<'_> = storage::decode_snapshot(&entry.bytes).map_err(|e| e.to_string())?;
    Ok(Session::from(snapshot))
}

/// A session as the log has it, up to and with its event `head`: the index's snapshot, and what came after.
pub(crate) fn from_log(shared: &Shared, stream: StreamId, head: Seq) -> Result<Slot, String> {
    let entry = shared.log.index().get(stream).map_err(|e| e.to_string())?;
    let snapshot = entry.filter(|e| e.applied <= head).and_then(|e| Some((decode(&e).ok()?, e.applied)));
    let (mut session, applied) = snapshot.unwrap_or_else(|| (Session::blank(), Seq::NONE));
    let mut newer = Vec::new();
    for stored in shared.log.history(head) {
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
