//! Sessions and messages as people see them, now and at any past instant.

use message::{Event, MessageNo, Seq, SessionId, StreamId, Timestamp, address};
use storage::Stored;

use crate::protocol::destination::event_id;
use crate::{
    actor::host::{Stage, state::HostState},
    domain::session::{DeadLetter, DeliveryKind, Outbound, Part, Phase, Session, policy::Policy},
    error::Refusal,
    history::message::MessageRecord,
    protocol::host::{Scan, Scanned},
    view::{DeadLetterView, DoubtView, EventView, MessageView, PartView, SessionIdText, SessionView},
};

/// Events of a session shown at most, the newest.
const EVENTS_SHOWN_MAX: usize = 10_000;
/// Events replayed at most for a past instant.
const REPLAY_MAX: usize = 1_000_000;

impl HostState {
    /// The newest event of a stream, live or finished.
    fn head_of(&mut self, stream: StreamId, stage: &mut Stage) -> Option<Seq> {
        if self.activate(stream, None, stage) {
            return self.live.get(stream).map(|slot| slot.head);
        }
        self.shared.log.find(address::head_key(stream)).map(|found| Seq(found.b))
    }

    fn history(&self, head: Seq) -> Result<Vec<Stored>, Refusal> {
        let unreadable =
            |e: storage::ReadError| Refusal::Busy { reason: e.to_string().into(), retry_after_s: 10 };
        let mut events = Vec::new();
        for stored in self.shared.log.history(head).take(REPLAY_MAX) {
            events.push(stored.map_err(unreadable)?);
        }
        events.reverse();
        Ok(events)
    }

    pub(super) fn view(
        &mut self,
        stream: StreamId,
        id: SessionId,
        at: Option<Timestamp>,
        stage: &mut Stage,
    ) -> Result<SessionView, Refusal> {
        let head = self.head_of(stream, stage).ok_or(Refusal::NotFound("session"))?;
        let mut events = self.history(head)?;
        events.retain(|e| at.is_none_or(|at| e.at <= at));
        let (mut session, mut opened, mut ordinal) = (Session::blank(), false, 0);
        let mut of_this = Vec::new();
        for stored in &events {
            session.apply(&stored.event, stored.at);
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
        // What is live is shown as it is in memory; the replay of its log must be the same.
        let live = self.live.get(stream).filter(|_| at.is_none()).map(|slot| &slot.session);
        let shown = live.unwrap_or(&session);
        let policy = self.policy_of(shown);
        let mut view = session_view(shown, id, policy);
        view.snapshot = Some(format!("{shown:#?}"));
        let skip = of_this.len().saturating_sub(EVENTS_SHOWN_MAX);
        view.events = of_this.into_iter().skip(skip).collect();
        Ok(view)
    }

    /// A live session without its events.
    pub(super) fn live_view(&self, stream: StreamId) -> Option<SessionView> {
        let session = &self.live.get(stream)?.session;
        Some(session_view(session, session.id(), self.policy_of(session)))
    }

    fn policy_of(&self, session: &Session) -> Option<&Policy> {
        let (_, entry) = self.shared.channel(&session.address.channel)?;
        Some(&entry.policy)
    }

    pub(super) fn view_message(
        &mut self,
        stream: StreamId,
        number: MessageNo,
        stage: &mut Stage,
    ) -> Result<MessageView, Refusal> {
        let head = self.head_of(stream, stage).ok_or(Refusal::NotFound("message"))?;
        let record = MessageRecord::read(&self.shared.log, head, number, std::iter::empty())
            .map_err(|reason| Refusal::Busy { reason: reason.into(), retry_after_s: 10 })?
            .ok_or(Refusal::NotFound("message"))?;
        let (session, ordinal) = self.session_at(stream, &record)?;
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

    /// Whose message it was, and in which session: from the live one, or from before it in the log.
    fn session_at(&self, stream: StreamId, record: &MessageRecord) -> Result<(Session, u32), Refusal> {
        let first = record.events.first().map_or(Seq::NONE, |e| e.seq);
        for stored in self.shared.log.history(first).take(REPLAY_MAX) {
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
        // The beginning is past retention: the live session still knows.
        let live = self.live.get(stream).map(|slot| slot.session.clone());
        live.map(|s| (s.clone(), s.counters.sessions)).ok_or(Refusal::NotFound("session of this message"))
    }

    /// What is asked of this host's sessions, in the order of their streams: those in memory and in the index.
    pub(super) fn scan(&self, after: Option<StreamId>, limit: usize, what: Scan) -> Scanned {
        let mut found: Vec<(StreamId, Scanned)> = Vec::new();
        let mut complete_to: Option<StreamId> = None;
        let wanted = |stream: StreamId| after.is_none_or(|a| stream > a);
        for stream in self.live.streams(|slot| wanted(slot.stream) && what.wants(&slot.session)) {
            if found.len() >= limit {
                complete_to = found.last().map(|(stream, _)| *stream);
                break;
            }
            if let Some(slot) = self.live.get(stream) {
                found.push((stream, self.scanned(stream, &slot.session, what)));
            }
        }
        let (mut from, mut looked, mut more) = (after, 0, 0);
        loop {
            if looked >= SCAN_MAX || more >= limit {
                complete_to = from.min(complete_to.or(from));
                break;
            }
            let Ok(page) = self.shared.log.index().scan(from, SCAN_PAGE) else { break };
            let Some(last) = page.last() else { break };
            from = Some(last.stream);
            looked += page.len();
            for storage::OpenStream { stream, entry } in page {
                if self.shared.host_of(stream) != self.index || self.live.contains(stream) {
                    continue;
                }
                if let Ok(session) = super::load::decode(&entry)
                    && what.wants(&session)
                {
                    more += 1;
                    found.push((stream, self.scanned(stream, &session, what)));
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

    fn scanned(&self, stream: StreamId, session: &Session, what: Scan) -> Scanned {
        let mut scanned = Scanned::default();
        match what {
            Scan::Open => scanned.sessions.push(session_view(session, session.id(), self.policy_of(session))),
            Scan::Doubts => scanned.doubts = doubts_of(session),
            Scan::DeadLetters => scanned.dead_letters = self.dead_letters_of(stream, session),
        }
        scanned
    }

    fn dead_letters_of(&self, stream: StreamId, session: &Session) -> Vec<DeadLetterView> {
        let of_did = self.shared.channel(&session.address.channel).and_then(|(_, entry)| {
            let ix = entry.destination(&session.address.did);
            self.shared.destinations.get(ix).map(|d| d.config.id.clone())
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
}

impl Scan {
    fn wants(self, session: &Session) -> bool {
        match self {
            Self::Open => session.open,
            Self::Doubts => !doubts_of(session).is_empty(),
            Self::DeadLetters => !session.dead_letters.is_empty(),
        }
    }
}

const SCAN_PAGE: usize = 500;
/// Entries of the index looked at in one call: a host does nothing else meanwhile.
const SCAN_MAX: usize = 20_000;

/// The parts of a session that are in doubt or were sent again.
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

fn session_view(session: &Session, id: SessionId, policy: Option<&Policy>) -> SessionView {
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
