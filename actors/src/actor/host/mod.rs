//! A session host: runs the sessions of one address range, one task at a time, taking and giving work in
//! batches. Decides through [`crate::domain::session`], appends to the log, and lets effects happen only after the
//! flush ([`stage`]). A panic in one session is caught at its boundary and that session is rebuilt from the
//! log; its neighbours never notice.

mod batch;
pub(crate) mod commit;
pub(crate) mod live;
pub(crate) mod load;
mod operator;
mod perform;
mod replies;
pub(crate) mod state;
mod view;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use message::StreamId;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::{
    actor::host::{
        batch::Stage,
        live::LiveSessions,
        state::{CheckpointRun, HostState},
    },
    config::{ChannelIx, DestinationIx},
    context::Shared,
    protocol::host::{HostMessage, Op, Task},
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

/// The actor.
pub(crate) struct SessionHost;

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
