//! A session host: runs the sessions of one address range, one task at a time, taking and giving work in
//! batches. Decides through [`crate::session`], appends to the log, and lets effects happen only after the
//! flush ([`stage`]). A panic in one session is caught at its boundary and that session is rebuilt from the
//! log; its neighbours never notice.

pub(crate) mod hydrate;
pub(crate) mod live;
mod perform;
mod quoted;
mod request;
pub(crate) mod stage;
mod view;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use channels::InReceipt;
use message::{
    Content, DestinationId, MessageId, MessageNo, PartState, SessionId, StreamId, Timestamp,
    event::{Cause, CloseReason, DoubtSettlement},
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use self::{live::LiveSessions, stage::Stage};
pub(crate) use self::{
    live::Slot,
    view::{Scan, Scanned},
};
use crate::{
    channel::Ack,
    claims::Claim,
    error::Refusal,
    identity::Names,
    inbox::Batch,
    router::Acceptance,
    safe::Waits,
    session::{Identity, Inbound, Outcome},
    shared::{ChannelIx, DestinationIx, Shared},
    view::{MessageView, SessionView},
};

/// Dirty sessions written to the index in one turn of a checkpoint, at least: about a millisecond of work. Other
/// work waits between two turns, so that many take long turns rather than many of them.
const CHECKPOINT_CHUNK: usize = 256;
const CHECKPOINT_CHUNK_MAX: usize = 2_048;
const CHECKPOINT_TURNS: usize = 40;

/// Sessions a host keeps in memory at least.
const LIVE_MIN: usize = 16;

/// Sessions above their bound that a host keeps until time passes; more of them leave at once.
const EXCESS_MAX: usize = 1_024;

/// What a host is told.
pub(crate) enum HostMessage {
    /// Work on sessions, in order.
    Work(Arc<Batch>),
    /// Time has passed.
    Tick,
    /// Write every session changed so far to the index, then answer.
    Checkpoint(oneshot::Sender<()>),
    /// Go on with the checkpoint.
    CheckpointMore,
    /// A channel's actor was restarted: what it held is told again, what was with its links is in doubt.
    ChannelRestarted(ChannelIx),
    /// A destination's actor was restarted: deliveries are offered again.
    DestinationRestarted(DestinationIx),
    /// Look through this host's sessions, after a stream.
    Scan { what: Scan, after: Option<StreamId>, limit: usize, reply: oneshot::Sender<Scanned> },
}

/// One piece of work on one session.
pub(crate) struct Task {
    /// The session's stream.
    pub(crate) stream: StreamId,
    /// What to do.
    pub(crate) op: Op,
}

impl Task {
    /// The room that a channel keeps for it.
    fn kept_room(&self) -> usize {
        if let Op::Take { max, .. } = self.op { max } else { 0 }
    }
}

/// What people and their programs ask of a session; each is answered after the flush.
pub(crate) enum Request {
    /// Open, or take over.
    Open { identity: Identity, handler: Box<str>, takeover: bool, reply: Reply<SessionView> },
    /// End the open session.
    End { id: SessionId, reason: CloseReason, reply: Reply<()> },
    /// Withdraw a message.
    Cancel { number: MessageNo, reply: Reply<()> },
    /// Settle a part in doubt.
    SettleDoubt { number: MessageNo, part: u16, by: DoubtSettlement, reply: Reply<()> },
    /// Deliver a dead letter after all.
    Replay { delivery: u32, reply: Reply<()> },
    /// Look at a session.
    View { id: SessionId, at: Option<Timestamp>, reply: Reply<SessionView> },
    /// Look at a message.
    ViewMessage { number: MessageNo, reply: Reply<MessageView> },
    /// How many messages wait ahead, and the open session's ordinal (0: none open).
    Ahead { reply: Reply<Ahead> },
}

/// What can be done on a session.
pub(crate) enum Op {
    /// What someone asks.
    Request(Request),
    /// Accept an outbound message.
    Accept(Box<AcceptTask>),
    /// Hand at most `max` parts to the channel, which has kept room for them.
    Take { channel: ChannelIx, max: usize },
    /// What became of a part.
    Outcome { number: MessageNo, part: u16, outcome: Outcome, spellings: Vec<u128> },
    /// A receipt whose part is known.
    Receipt { number: MessageNo, part: u16, state: PartState, code: Box<str>, from: ReceiptFrom },
    /// A report on everything handed over up to an instant.
    Watermark { state: PartState, upto: Timestamp, code: Box<str>, ack: Ack },
    /// The provider calls the customer so.
    Named { names: Names },
    /// A receipt whose id nobody knows, kept by the channel under a number.
    DoubtReceipt(Box<DoubtReceipt>),
    /// The customer wrote.
    Receive { identity: Box<Identity>, inbound: Box<Inbound>, key: Option<u128>, ack: Option<Ack> },
    /// Give deliveries to this destination, if there are any.
    Offer { destination: DestinationIx },
    /// The destination took these.
    Taken { destination: DestinationIx, deliveries: Vec<u32> },
    /// The destination gave this one up.
    DeadLetter { delivery: u32, cause: Cause },
    /// Time may have changed something.
    Wake,
}

/// Where a receipt comes from, and who waits until it is safe.
pub(crate) enum ReceiptFrom {
    /// From outside: to be acknowledged.
    Outside(Ack),
    /// From outside, by our own name for the part: back to the channel when it is none of its own.
    Named { channel: ChannelIx, receipt: Box<InReceipt>, waits: Waits },
    /// The channel, which keeps it under a number until then.
    Kept { channel: ChannelIx, parked: u32 },
    /// Nobody waits.
    Query,
}

/// What a plan needs to know of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    pub(crate) messages: usize,
    pub(crate) open: bool,
    pub(crate) ordinal: u32,
    pub(crate) replies: bool,
}

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A message to be accepted.
pub(crate) struct AcceptTask {
    pub(crate) identity: Identity,
    pub(crate) channel: ChannelIx,
    pub(crate) id: MessageId,
    pub(crate) content: Content,
    pub(crate) priority: Option<u8>,
    pub(crate) send_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) destination: Option<DestinationId>,
    pub(crate) conversation_id: Option<Box<str>>,
    pub(crate) channel_data: Option<Box<str>>,
    pub(crate) adapted: Vec<Box<str>>,
    /// The message it answers, as the business knows it.
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) reply: Arc<Answers>,
    /// Its place among the answers.
    pub(crate) place: usize,
}

/// The answers to one request, filled in as its messages become durable; the last one wakes the caller.
pub(crate) struct Answers {
    inner: std::sync::Mutex<AnswersInner>,
}

struct AnswersInner {
    answers: AnswerList,
    missing: usize,
    /// Dropped with the last who could still accept one of the messages.
    claims: Vec<Claim>,
    done: Option<oneshot::Sender<AnswerList>>,
}

/// A kept receipt that is tried on parts in doubt.
pub(crate) struct DoubtReceipt {
    pub(crate) channel: ChannelIx,
    /// The channel's number for it.
    pub(crate) parked: u32,
    pub(crate) state: PartState,
    pub(crate) code: Box<str>,
    pub(crate) came_at: Timestamp,
    /// The look-up keys of its ids: should it fit, later receipts with one of them are for the same part.
    pub(crate) spellings: Vec<u128>,
}

/// The answers so far, in the order of the messages.
type AnswerList = Vec<Option<Result<Acceptance, Refusal>>>;

impl Answers {
    pub(crate) fn new(count: usize) -> (Arc<Self>, oneshot::Receiver<AnswerList>) {
        let (done, wait) = oneshot::channel();
        let inner =
            AnswersInner { answers: vec![None; count], missing: count, claims: Vec::new(), done: Some(done) };
        (Arc::new(Self { inner: std::sync::Mutex::new(inner) }), wait)
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, AnswersInner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Keeps a message's id to its customer until all are answered.
    pub(crate) fn hold(&self, claim: Claim) {
        self.inner().claims.push(claim);
    }

    pub(crate) fn put(&self, place: usize, answer: Result<Acceptance, Refusal>) {
        let mut inner = self.inner();
        if let Some(slot) = inner.answers.get_mut(place)
            && slot.is_none()
        {
            *slot = Some(answer);
            inner.missing -= 1;
        }
        if inner.missing == 0
            && let Some(done) = inner.done.take()
        {
            let _caller_gone = done.send(std::mem::take(&mut inner.answers));
        }
    }
}

/// The actor.
pub(crate) struct SessionHost;

/// Its state.
pub(crate) struct HostState {
    index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) live: LiveSessions,
    /// The instants at which time alone changes a live session.
    pub(crate) timers: BTreeSet<(Timestamp, StreamId)>,
    checkpoint: Option<CheckpointRun>,
    /// Live sessions that the figure for it was told of.
    shown: usize,
    panics: metrics::Counter,
}

struct CheckpointRun {
    dirty: Vec<u32>,
    /// Sessions in one turn.
    turn: usize,
    reply: oneshot::Sender<()>,
}

impl Actor for SessionHost {
    type Msg = HostMessage;
    type State = HostState;
    type Arguments = (Arc<Shared>, usize);

    async fn pre_start(
        &self,
        _myself: ActorRef<HostMessage>,
        (shared, index): Self::Arguments,
    ) -> Result<HostState, ActorProcessingErr> {
        let limits = &shared.config.limits;
        let live_max = (limits.live_sessions_max / limits.hosts.max(1)).max(LIVE_MIN);
        Ok(HostState {
            index,
            shared,
            live: LiveSessions::new(live_max),
            timers: BTreeSet::new(),
            checkpoint: None,
            shown: 0,
            panics: metrics::counter!("patchbay_session_panics_total"),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<HostMessage>,
        message: HostMessage,
        state: &mut HostState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            HostMessage::Work(batch) => state.work(batch.take()),
            HostMessage::Tick => state.tick(),
            HostMessage::Checkpoint(reply) => {
                let dirty = state.live.take_dirty();
                let turn = (dirty.len() / CHECKPOINT_TURNS).clamp(CHECKPOINT_CHUNK, CHECKPOINT_CHUNK_MAX);
                state.checkpoint = Some(CheckpointRun { dirty, turn, reply });
                state.checkpoint_turn(&myself);
            }
            HostMessage::CheckpointMore => state.checkpoint_turn(&myself),
            HostMessage::ChannelRestarted(channel) => state.channel_restarted(channel),
            HostMessage::DestinationRestarted(destination) => state.destination_restarted(destination),
            HostMessage::Scan { what, after, limit, reply } => {
                let _caller_gone = reply.send(state.scan(after, limit, what));
            }
        }
        Ok(())
    }
}

impl HostState {
    /// Performs tasks in order, then appends all their facts at once.
    pub(crate) fn work(&mut self, tasks: Vec<Task>) {
        let now = self.shared.now();
        let mut stage = Stage::for_tasks(now, tasks.len());
        for task in tasks {
            let stream = task.stream;
            let before = stage.mark();
            let kept = task.kept_room();
            let done = catch_unwind(AssertUnwindSafe(|| self.perform(task, &mut stage)));
            if done.is_err() {
                stage.rollback(before);
                let channel = self.live.get(stream).and_then(|slot| slot.channel);
                self.rebuild(stream, &mut stage);
                if let Some(channel) = channel.filter(|_| kept > 0) {
                    stage.effects.channel(channel).released += kept;
                }
            }
        }
        self.finish(stage);
        if self.live.excess() >= EXCESS_MAX {
            self.passivate(now);
        }
    }

    /// A session's code panicked: its memory is not to be trusted, its log is.
    fn rebuild(&mut self, stream: StreamId, stage: &mut Stage) {
        self.panics.increment(1);
        tracing::error!(%stream, "a session panicked and is rebuilt from the log");
        let Some(slot) = self.live.remove(stream) else { return };
        if let Some(timer) = slot.timer {
            self.timers.remove(&(timer, stream));
        }
        match self.load_from_log(stream, slot.head) {
            Ok(mut fresh) => {
                fresh.channel = self.shared.channel_ix.get(&fresh.session.address.channel).copied();
                for (at, item) in stage.of_stream(stream) {
                    fresh.session.apply(&item.event, item.at);
                    fresh.pending = Some(at);
                }
                fresh.touched = slot.touched;
                self.live.insert(fresh);
                self.live.mark_dirty(stream);
                stage.touch(stream);
            }
            Err(reason) => self.shared.fail(format!("session {stream} cannot be rebuilt: {reason}")),
        }
    }

    fn tick(&mut self) {
        let now = self.shared.now();
        let mut due = Vec::new();
        while let Some(&(at, stream)) = self.timers.first() {
            if at > now || due.len() >= 1_000 {
                break;
            }
            self.timers.pop_first();
            if let Some(slot) = self.live.get_mut(stream) {
                slot.timer = None;
                slot.timed = false;
            }
            due.push(Task { stream, op: Op::Wake });
        }
        if !due.is_empty() {
            self.work(due);
        }
        self.passivate(now);
    }

    fn checkpoint_turn(&mut self, myself: &ActorRef<HostMessage>) {
        let Some(run) = &mut self.checkpoint else { return };
        let now = self.shared.now();
        let from = run.dirty.len().saturating_sub(run.turn);
        for index in run.dirty.split_off(from) {
            if let Some(slot) = self.live.at_mut(index) {
                slot.dirty = false;
                slot.write_to_index(&self.shared, now);
            }
        }
        if run.dirty.is_empty() {
            if let Some(run) = self.checkpoint.take() {
                let _coordinator_gone = run.reply.send(());
            }
        } else {
            let _self_gone = myself.cast(HostMessage::CheckpointMore);
        }
    }

    fn channel_restarted(&mut self, channel: ChannelIx) {
        let Some(entry) = self.shared.channels.get(channel) else { return };
        let id = entry.config.id.clone();
        let streams = self.live.streams(|slot| slot.session.address.channel == id);
        let mut stage = Stage::new(self.shared.now());
        for stream in streams {
            self.recover(stream, message::event::DoubtCause::LinkLost, &mut stage);
            if let Some(slot) = self.live.get_mut(stream) {
                slot.announced = false;
            }
            stage.touch(stream);
        }
        self.finish(stage);
    }

    fn destination_restarted(&mut self, _destination: DestinationIx) {
        let streams = self.live.streams(|slot| !slot.session.deliveries.is_empty());
        let mut stage = Stage::new(self.shared.now());
        for stream in streams {
            if let Some(slot) = self.live.get_mut(stream) {
                slot.offered_again(|_| false);
            }
            stage.touch(stream);
        }
        self.finish(stage);
    }
}
