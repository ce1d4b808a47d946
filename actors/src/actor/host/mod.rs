//! A session host: runs the sessions of one address range, one task at a time, in batches. It
//! decides through the sessions' pure side, appends the events to the log, and lets effects follow
//! the flush. A panic in one session is caught at its boundary, and that session is rebuilt from
//! the log; so is a session in which an invariant was found broken.

mod batch;
mod carry;
mod commit;
pub(crate) mod live;
pub(crate) mod load;
mod message_wait;
mod operator;
mod perform;
mod receipts;
mod replies;
mod sessions;
mod submit;
mod turn;
pub(crate) mod view;
mod waiting;
mod waiting_list;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use message::{ChannelId, Seq, StreamId, address, event::DoubtCause};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use storage::{invariant, invariants};
use tokio::sync::oneshot;

use self::{batch::Batch, live::Slot, sessions::Sessions, turn::HostTurn};
use crate::{
    config::{ChannelIx, DestinationIx},
    context::Context,
    domain::{chains::Position, clock::Moment, session::Session},
    protocol::{
        host::HostMessage,
        task::{Op, Task},
    },
};

/// Minimum number of changed sessions written in one turn of a checkpoint: about a millisecond of
/// work. Other work waits between two turns.
const CHECKPOINT_CHUNK: usize = 256;
/// Maximum number of changed sessions written in one turn of a checkpoint.
const CHECKPOINT_CHUNK_MAX: usize = 2_048;
/// Number of turns in which a checkpoint is written, within these limits.
const CHECKPOINT_TURNS: usize = 40;
/// Minimum number of sessions that a host may keep in memory.
const LIVE_MIN: usize = 16;
/// How far the cache may exceed its limit before sessions are evicted at once instead of on the
/// next tick.
const EXCESS_MAX: usize = 1_024;

pub(crate) struct SessionHost;

/// Input of a session host: messages of others, and its own notes.
pub(crate) enum HostInput {
    Message(HostMessage),
    ContinueCheckpoint,
}

impl From<HostMessage> for HostInput {
    fn from(message: HostMessage) -> Self {
        Self::Message(message)
    }
}

pub(crate) struct Host {
    index: usize,
    context: Arc<Context>,
    sessions: Sessions,
    checkpoint: Option<CheckpointRun>,
    /// The number of the clock's changes at the last tick.
    clock_changes: u64,
    panics: metrics::Counter,
}

/// A checkpoint in progress.
struct CheckpointRun {
    dirty: Vec<u32>,
    /// The number of sessions written in one turn.
    chunk: usize,
    reply: oneshot::Sender<()>,
}

impl Actor for SessionHost {
    type Msg = HostInput;
    type State = Host;
    type Arguments = (Arc<Context>, usize);

    async fn pre_start(
        &self,
        _myself: ActorRef<HostInput>,
        (context, index): Self::Arguments,
    ) -> Result<Host, ActorProcessingErr> {
        let limits = &context.config.limits;
        let live_max = (limits.live_sessions_max / limits.hosts.max(1)).max(LIVE_MIN);
        Ok(Host {
            index,
            sessions: Sessions::new(live_max),
            clock_changes: context.clock_changes(),
            context,
            checkpoint: None,
            panics: metrics::counter!("patchbay_session_panics_total"),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<HostInput>,
        input: HostInput,
        host: &mut Host,
    ) -> Result<(), ActorProcessingErr> {
        host.rebuild_parked();
        let message = match input {
            HostInput::Message(message) => message,
            HostInput::ContinueCheckpoint => {
                host.continue_checkpoint(&myself);
                return Ok(());
            }
        };
        match message {
            HostMessage::Work(work) => host.work(work.drain()),
            HostMessage::Tick => host.tick(),
            HostMessage::Checkpoint(reply) => {
                let dirty = host.sessions.live.take_dirty();
                let chunk = (dirty.len() / CHECKPOINT_TURNS).clamp(CHECKPOINT_CHUNK, CHECKPOINT_CHUNK_MAX);
                host.checkpoint = Some(CheckpointRun { dirty, chunk, reply });
                host.continue_checkpoint(&myself);
            }
            HostMessage::TakeCensus(reply) => {
                let _caller_gone = reply.send(view::census(&host.context, &host.sessions));
            }
            HostMessage::ChannelRestarted(channel) => host.on_channel_restarted(channel),
            HostMessage::ChannelChanged { id, form } => host.on_channel_changed(&id, form),
            HostMessage::DestinationRestarted(destination) => {
                host.on_destination_restarted(destination);
            }
            HostMessage::Scan { what, after, channel, limit, reply } => {
                let wanted = view::Wanted { what, channel };
                let found = view::scan(&host.context, &host.sessions, host.index, after, limit, &wanted);
                let _caller_gone = reply.send(found);
            }
            HostMessage::ScanWaiting { query, after, limit, reply } => {
                let Host { context, sessions, index, .. } = host;
                let found = waiting_list::scan(context, sessions, *index, &query, after, limit);
                let _caller_gone = reply.send(found);
            }
        }
        Ok(())
    }
}

impl Host {
    fn turn<'a>(&'a mut self, batch: &'a mut Batch) -> HostTurn<'a> {
        HostTurn { context: &self.context, sessions: &mut self.sessions, batch }
    }

    /// Performs tasks in order, then appends all their events at once.
    fn work(&mut self, tasks: Vec<Task>) {
        let mut batch = Batch::for_tasks(self.context.moment(), tasks.len());
        for task in tasks {
            let (stream, reserved) = (task.stream, task.reserved());
            let host = self.context.hosts.of(stream);
            invariant!(host == self.index, "{stream} of host {host} has work for {}", self.index);
            let (mark, broken) = (batch.mark(), invariants::broken_here());
            let mut turn = self.turn(&mut batch);
            let done = catch_unwind(AssertUnwindSafe(|| perform::perform(&mut turn, task)));
            if done.is_err() {
                self.panics.increment(1);
                tracing::error!(%stream, "a session panicked and is rebuilt from the log");
                batch.rollback(mark);
                let channel = self.sessions.live.get(stream).and_then(|slot| slot.channel);
                self.rebuild(stream, &mut batch);
                if let Some(channel) = channel.filter(|_| reserved > 0) {
                    batch.effects.channel(channel).released += reserved;
                }
            } else if invariants::broken_here() != broken {
                // Its events and effects fit one another; only the state in memory is not trusted.
                self.rebuild(stream, &mut batch);
            }
        }
        let now = batch.now;
        commit::finish(self.turn(&mut batch));
        if self.sessions.live.excess() >= EXCESS_MAX {
            self.sessions.evict(&self.context, now);
        }
    }

    /// Rebuilds the sessions in which a batch found an invariant broken when it ended.
    fn rebuild_parked(&mut self) {
        let parked = self.sessions.take_parked();
        if parked.is_empty() {
            return;
        }
        let mut batch = Batch::new(self.context.moment());
        for stream in parked {
            self.rebuild(stream, &mut batch);
        }
        commit::finish(self.turn(&mut batch));
    }

    /// Rebuilds a session whose memory is not trusted from its log, which is.
    fn rebuild(&mut self, stream: StreamId, batch: &mut Batch) {
        let Some(slot) = self.sessions.remove(stream) else { return };
        metrics::counter!("patchbay_sessions_rebuilt_total").increment(1);
        let fresh = match load::from_log(&self.context, stream, slot.head) {
            Ok(fresh) => fresh,
            Err(reason) => {
                let reason = format!("session {stream} cannot be rebuilt: {reason}");
                return self.context.lifecycle.fail(reason);
            }
        };
        let Some(mut fresh) = fresh.or_else(|| self.begun_in_batch(stream, slot.head)) else {
            return self.context.lifecycle.fail(format!("session {stream} cannot be rebuilt"));
        };
        invariant!(fresh.head == slot.head, "{stream} is rebuilt to {}", fresh.head);
        for (at, item) in batch.of_stream(stream) {
            fresh.apply(&item.event, item.at, Position::InBatch(at));
            fresh.pending = Some(at);
        }
        if fresh.session.is_blank() {
            return;
        }
        fresh.channel = self.context.directory.channel_ix(&fresh.session.address.channel);
        fresh.touched = slot.touched;
        self.sessions.waiting.recount(fresh.channel, &slot.session, &fresh.session, stream);
        self.sessions.live.insert(fresh);
        self.sessions.live.mark_dirty(stream);
        batch.touched.push(stream);
    }

    /// Returns the state of a stream that had no open session before the batch in progress: it is
    /// new, or its last event finished it.
    fn begun_in_batch(&self, stream: StreamId, head: Seq) -> Option<Slot> {
        let finished = || self.context.reader.find(address::head_key(stream));
        let is_over = head == Seq::NONE || finished().is_some_and(|found| found.b == head.0);
        is_over.then(|| Slot::new(stream, Session::blank(), head))
    }

    fn tick(&mut self) {
        let Moment { now, sure, .. } = self.context.moment();
        let changes = self.context.clock_changes();
        if std::mem::replace(&mut self.clock_changes, changes) != changes {
            self.on_clock_change();
        }
        let due = self.sessions.due(sure);
        if !due.is_empty() {
            self.work(due.into_iter().map(|stream| Task { stream, op: Op::Wake }).collect());
        }
        self.sessions.evict(&self.context, now);
        self.sessions.count_waiting(&self.context, self.index, now);
    }

    fn continue_checkpoint(&mut self, myself: &ActorRef<HostInput>) {
        let Some(run) = &mut self.checkpoint else { return };
        let now = self.context.now();
        let from = run.dirty.len().saturating_sub(run.chunk);
        for index in run.dirty.split_off(from) {
            if let Some(slot) = self.sessions.live.at_mut(index) {
                slot.dirty = false;
                load::write(slot, &self.context, now);
            }
        }
        if run.dirty.is_empty() {
            if let Some(run) = self.checkpoint.take() {
                let _coordinator_gone = run.reply.send(());
            }
        } else {
            let _self_gone = myself.cast(HostInput::ContinueCheckpoint);
        }
    }

    /// Looks at the sessions that wait for their time: what may be sent, and when, is judged anew
    /// once the wall clock is in doubt, and once it is not any more.
    fn on_clock_change(&mut self) {
        let streams = self.sessions.live.streams(|slot| !slot.announced && !slot.session.queue.is_empty());
        let mut batch = Batch::new(self.context.moment());
        let mut turn = self.turn(&mut batch);
        for stream in streams {
            if let Some(slot) = turn.sessions.live.get_mut(stream) {
                slot.timed_at = None;
            }
            turn.touch(stream);
        }
        commit::finish(turn);
    }

    fn on_channel_restarted(&mut self, channel: ChannelIx) {
        let streams = self.sessions.live.streams(|slot| slot.channel == Some(channel));
        let mut batch = Batch::new(self.context.moment());
        let mut turn = self.turn(&mut batch);
        for stream in streams {
            turn.recover(stream, DoubtCause::LinkLost);
            if let Some(slot) = turn.sessions.live.get_mut(stream) {
                slot.announced = false;
            }
            turn.touch(stream);
        }
        commit::finish(turn);
    }

    /// Leads the sessions of a channel to its new form. What the old form had submitted was
    /// answered before, unless the drain took too long: such parts are in doubt.
    fn on_channel_changed(&mut self, id: &ChannelId, form: ChannelIx) {
        self.sessions.waiting.on_channel_changed(&self.context, id, form);
        let is_of_older = |slot: &Slot| slot.channel != Some(form) && slot.session.address.channel == *id;
        let streams = self.sessions.live.streams(is_of_older);
        let mut batch = Batch::new(self.context.moment());
        let mut turn = self.turn(&mut batch);
        for stream in streams {
            if let Some(slot) = turn.sessions.live.get_mut(stream) {
                (slot.channel, slot.announced, slot.timed_at) = (Some(form), false, None);
            }
            turn.recover(stream, DoubtCause::LinkLost);
            turn.touch(stream);
        }
        commit::finish(turn);
    }

    fn on_destination_restarted(&mut self, destination: DestinationIx) {
        let streams = self.sessions.live.streams(|slot| !slot.session.deliveries.is_empty());
        let mut batch = Batch::new(self.context.moment());
        let mut turn = self.turn(&mut batch);
        for stream in streams {
            turn.offer_again(stream, |d| d != destination);
        }
        commit::finish(turn);
    }
}
