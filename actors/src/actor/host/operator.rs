//! What people and their programs ask of a session: open, end, withdraw, settle, look. Each answer follows the flush
//! of all it rests on.

use message::StreamId;

use crate::{
    actor::host::{Stage, perform::busy, state::HostState},
    domain::session::{Events, Identity, Session, policy::Policy},
    error::Refusal,
    protocol::{
        answers::Reply,
        host::{Ahead, Request},
    },
    view::SessionView,
};

impl HostState {
    /// Does what is asked, answers after the flush.
    pub(super) fn request(&mut self, stream: StreamId, request: Request, stage: &mut Stage) {
        match request {
            Request::Open { identity, handler, takeover, reply } => {
                self.open(stream, &identity, &handler, takeover, reply, stage);
            }
            Request::End { id, reason, reply } => {
                let done = self.change(stream, stage, |session, _| session.end(id, reason));
                answer(stage, reply, done);
            }
            Request::Cancel { number, reply } => {
                let done = self.change(stream, stage, |session, _| session.cancel(number));
                answer(stage, reply, done);
            }
            Request::SettleDoubt { number, part, by, reply } => {
                let done = self.change(stream, stage, |session, _| session.settle_doubt(number, part, by));
                answer(stage, reply, done);
            }
            Request::Replay { delivery, reply } => {
                let done = self.change(stream, stage, |session, _| session.replay_dead_letter(delivery));
                answer(stage, reply, done);
            }
            Request::View { id, at, reply } => {
                let view = self.view(stream, id, at, stage);
                answer(stage, reply, view);
            }
            Request::ViewMessage { number, reply } => {
                let view = self.view_message(stream, number, stage);
                answer(stage, reply, view);
            }
            Request::Ahead { reply } => {
                let ahead = self.ahead(stream, stage);
                answer(stage, reply, Ok(ahead));
            }
        }
    }

    /// Decides on a session that must exist, records what follows.
    fn change(
        &mut self,
        stream: StreamId,
        stage: &mut Stage,
        decide: impl FnOnce(&Session, &Policy) -> Result<Events, Refusal>,
    ) -> Result<(), Refusal> {
        if !self.activate(stream, None, stage) {
            return Err(Refusal::NotFound("open session"));
        }
        let shared = self.shared.clone();
        let Some((slot, policy)) = self.live.get(stream).and_then(|slot| {
            let entry = shared.channels.get(slot.channel?)?;
            Some((slot, &entry.policy))
        }) else {
            return Err(Refusal::NotFound("channel of this session"));
        };
        let events = decide(&slot.session, policy)?;
        self.record(stream, events, &[], stage);
        Ok(())
    }

    fn open(
        &mut self,
        stream: StreamId,
        identity: &Identity,
        handler: &str,
        takeover: bool,
        reply: Reply<SessionView>,
        stage: &mut Stage,
    ) {
        if !self.activate(stream, Some(identity), stage) {
            return answer(stage, reply, Err(busy("the session cannot be read")));
        }
        let Some(slot) = self.live.get(stream) else { return };
        let done = slot.session.open_for(identity, handler, takeover).map(|events| {
            self.record(stream, events, &[], stage);
        });
        // From memory: its opening is in this very batch, and not in the log yet.
        let view = done.and_then(|()| self.live_view(stream).ok_or(Refusal::NotFound("session")));
        answer(stage, reply, view);
    }

    fn ahead(&mut self, stream: StreamId, stage: &mut Stage) -> Ahead {
        let session = self.activate(stream, None, stage).then(|| self.live.get(stream)).flatten();
        session.map_or(Ahead { messages: 0, open: false, ordinal: 0, replies: false }, |slot| Ahead {
            messages: slot.session.queue.len(),
            open: slot.session.open,
            ordinal: slot.session.counters.sessions,
            replies: slot.session.last_inbound.is_some(),
        })
    }
}

/// Sends an answer after the flush.
fn answer<T: Send + 'static>(stage: &mut Stage, reply: Reply<T>, answer: Result<T, Refusal>) {
    stage.effects.replies.push(Box::new(move || {
        let _caller_gone = reply.send(answer);
    }));
}
