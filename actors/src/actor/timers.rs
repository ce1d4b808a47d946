//! Time: tells hosts, channels and destinations that it has passed, wakes sessions that are not in memory, runs
//! checkpoints and retention. Nothing here decides what time means.

use std::{sync::Arc, time::Duration};

use message::{Seq, Timestamp};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::{runtime::RuntimeFlavor, sync::oneshot};

use crate::{
    context::Shared,
    protocol::{
        channel::ChannelMessage,
        destination::DestinationMessage,
        host::{HostMessage, Op, Task},
    },
};

/// How often time passes.
const TICK_MS: u64 = 100;
/// Sessions woken at once.
const WAKE_PAGE: usize = 1_000;
/// Pages of them in one tick.
const WAKE_PAGES: usize = 20;
/// How often old segments are looked for, at least and at most: several times within the retention.
const RETENTION_EVERY_MS: u64 = 10 * 60 * 1_000;
const RETENTION_EVERY_MS_MIN: u64 = 1_000;
const RETENTION_LOOKS: u64 = 8;
/// Entries looked through for the oldest open session.
const OLDEST_PAGE: usize = 5_000;

/// Channels that are told in one tick that time has passed; where there are more, each has its turn less often, but
/// never less than once in so many ticks: what is due to the millisecond they see to themselves.
const CHANNELS_A_TICK: usize = 64;
const TURNS_MAX: usize = 10;

/// A checkpoint begins when this part of what may be unwritten is, the fourth: one is being written then, and there is
/// room for as much again before anybody has to wait.
const UNWRITTEN_SHARE: u64 = 4;

/// What the timers are told.
pub(crate) enum TimersMessage {
    /// Time has passed.
    Tick,
    /// Begin at the beginning: an actor that was restarted knows of no session that waits.
    Rescan,
    /// A checkpoint ended.
    CheckpointDone(Seq),
    /// Retention ended.
    RetentionDone,
}

/// The actor.
pub(crate) struct TimersActor;

/// Its state.
pub(crate) struct TimersState {
    shared: Arc<Shared>,
    myself: ActorRef<TimersMessage>,
    /// Sessions due up to here were woken.
    cursor: Option<storage::Due>,
    /// Counts ticks.
    turn: usize,
    checkpoint_at_ms: u64,
    checkpoint_seq: Seq,
    checkpointing: bool,
    retention_at_ms: u64,
    retaining: bool,
}

impl Actor for TimersActor {
    type Msg = TimersMessage;
    type State = TimersState;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        myself: ActorRef<TimersMessage>,
        shared: Arc<Shared>,
    ) -> Result<TimersState, ActorProcessingErr> {
        myself.send_interval(Duration::from_millis(TICK_MS), || TimersMessage::Tick);
        Ok(TimersState {
            checkpoint_seq: shared.log.index().checkpoint_seq(),
            checkpoint_at_ms: shared.monotonic_ms(),
            retention_at_ms: shared.monotonic_ms(),
            shared,
            myself,
            cursor: None,
            turn: 0,
            checkpointing: false,
            retaining: false,
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<TimersMessage>,
        message: TimersMessage,
        state: &mut TimersState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            TimersMessage::Tick => state.tick(),
            TimersMessage::Rescan => state.cursor = None,
            TimersMessage::CheckpointDone(upto) => {
                state.checkpointing = false;
                state.checkpoint_seq = state.checkpoint_seq.max(upto);
            }
            TimersMessage::RetentionDone => state.retaining = false,
        }
        Ok(())
    }
}

impl TimersState {
    fn tick(&mut self) {
        for host in 0..self.shared.config.limits.hosts.max(1) {
            self.shared.cast_host(host, HostMessage::Tick);
        }
        let channels = &self.shared.channels;
        let turns = channels.len().div_ceil(CHANNELS_A_TICK).clamp(1, TURNS_MAX);
        self.turn = self.turn.wrapping_add(1);
        for channel in channels.iter().skip(self.turn % turns).step_by(turns) {
            channel.cast(ChannelMessage::Tick);
        }
        for destination in &self.shared.destinations {
            destination.cast(DestinationMessage::Tick);
        }
        self.wake_due();
        self.measure();
        self.checkpoint_if_due();
        self.retain_if_due();
    }

    /// What grows when more comes than the disk takes.
    fn measure(&self) {
        let shared = &self.shared;
        metrics::gauge!("patchbay_replay_events").set(shared.replay_events() as f64);
        let delta = shared.log.index().delta();
        metrics::gauge!("patchbay_index_delta_bytes").set((delta.live_bytes + delta.frozen_bytes) as f64);
        let storage::MemoryUse { waiting_bytes, lookups } = shared.log.memory();
        metrics::gauge!("patchbay_log_waiting_bytes").set(waiting_bytes as f64);
        metrics::gauge!("patchbay_lookups_in_memory").set(lookups as f64);
    }

    /// Wakes sessions whose time has come, in memory or not. Each is found once: what is put off later than the
    /// cursor is found again.
    fn wake_due(&mut self) {
        let now = self.shared.now();
        for _ in 0..WAKE_PAGES {
            let page = match self.shared.log.index().due(now, self.cursor, WAKE_PAGE) {
                Ok(page) => page,
                Err(error) => return self.shared.fail(format!("the index: {error}")),
            };
            let Some(last) = page.last().copied() else { break };
            self.cursor = Some(last);
            let mut tasks: Vec<Vec<Task>> = Vec::new();
            tasks.resize_with(self.shared.config.limits.hosts.max(1), Vec::new);
            for due in &page {
                if let Some(tasks) = tasks.get_mut(self.shared.host_of(due.stream)) {
                    tasks.push(Task { stream: due.stream, op: Op::Wake });
                }
            }
            for (host, tasks) in tasks.into_iter().enumerate().filter(|(_, tasks)| !tasks.is_empty()) {
                self.shared.work_for(host, tasks);
            }
            if page.len() < WAKE_PAGE {
                break;
            }
        }
    }

    fn checkpoint_if_due(&mut self) {
        let limits = &self.shared.config.limits;
        let (now_ms, committed) = (self.shared.monotonic_ms(), self.shared.log.committed());
        let events = committed.0.saturating_sub(self.checkpoint_seq.0);
        let waited =
            u128::from(now_ms.saturating_sub(self.checkpoint_at_ms)) >= limits.checkpoint_every.as_millis();
        // Long before acceptance would have to wait for one.
        let many = limits.checkpoint_events.min(limits.replay_events_max / 2).max(1);
        let unwritten = self.shared.log.index().delta().live_bytes as u64;
        let is_much = unwritten >= limits.unwritten_bytes_max / UNWRITTEN_SHARE;
        if self.checkpointing || events == 0 || !(waited || events >= many || is_much) {
            return;
        }
        self.checkpointing = true;
        self.checkpoint_at_ms = now_ms;
        let (shared, myself) = (self.shared.clone(), self.myself.clone());
        #[allow(clippy::disallowed_methods, reason = "one checkpoint; its end is told to this actor")]
        tokio::spawn(async move {
            let upto = checkpoint(&shared).await.unwrap_or(Seq::NONE);
            let _timers_gone = myself.cast(TimersMessage::CheckpointDone(upto));
        });
    }

    fn retain_if_due(&mut self) {
        let now_ms = self.shared.monotonic_ms();
        let Some(retention) = self.shared.config.retention else { return };
        let retention_ms = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        let every_ms = (retention_ms / RETENTION_LOOKS).clamp(RETENTION_EVERY_MS_MIN, RETENTION_EVERY_MS);
        if self.retaining || now_ms.saturating_sub(self.retention_at_ms) < every_ms {
            return;
        }
        (self.retaining, self.retention_at_ms) = (true, now_ms);
        let (shared, myself) = (self.shared.clone(), self.myself.clone());
        #[allow(
            clippy::disallowed_methods,
            reason = "one look for old segments; its end is told to this actor"
        )]
        tokio::spawn(async move {
            blocking(move || retain(&shared, retention_ms)).await;
            let _timers_gone = myself.cast(TimersMessage::RetentionDone);
        });
    }
}

/// Has every host and channel write what changed, then moves it to the disk. The number up to which replay is
/// not needed any more.
pub(crate) async fn checkpoint(shared: &Arc<Shared>) -> Option<Seq> {
    let begun_ms = shared.monotonic_ms();
    // Everything up to here was applied before the messages below are handled.
    let upto = shared.log.committed();
    let mut waits = Vec::new();
    for host in 0..shared.config.limits.hosts.max(1) {
        let (done, wait) = oneshot::channel();
        shared.cast_host(host, HostMessage::Checkpoint(done));
        waits.push(wait);
    }
    for channel in &shared.channels {
        let (done, wait) = oneshot::channel();
        channel.cast(ChannelMessage::Checkpoint(done));
        waits.push(wait);
    }
    let mut all = true;
    for wait in waits {
        all &= wait.await.is_ok();
    }
    // A channel that is being restarted has told nobody what it knew: the log still has it.
    if !all {
        return None;
    }
    let gathered_ms = shared.monotonic_ms().saturating_sub(begun_ms);
    let log = shared.log.clone();
    let done = blocking(move || log.checkpoint(upto)).await;
    let took_ms = shared.monotonic_ms().saturating_sub(begun_ms);
    match done {
        Some(Ok(stats)) => {
            tracing::debug!(%upto, gathered_ms, took_ms, ?stats, "a checkpoint is complete");
            metrics::histogram!("patchbay_checkpoint_seconds").record(took_ms as f64 / 1e3);
            Some(upto)
        }
        Some(Err(error)) => {
            shared.fail(format!("a checkpoint failed: {error}"));
            None
        }
        None => None,
    }
}

/// Work for the disk: beside the actors, or in line where there is only one thread (the simulation).
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if tokio::runtime::Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Some(work());
    }
    tokio::task::spawn_blocking(work).await.ok()
}

/// Removes segments past retention, but none that an open session's history lies in, unless that is twice as
/// old as retention allows: disk stays bounded.
fn retain(shared: &Shared, retention_ms: u64) {
    let now = shared.now();
    let latest = Timestamp(now.0.saturating_sub(retention_ms));
    let earliest = Timestamp(now.0.saturating_sub(retention_ms.saturating_mul(2)));
    let mut oldest_open = latest;
    let mut after = None;
    while oldest_open > earliest {
        let Ok(page) = shared.log.index().scan(after, OLDEST_PAGE) else { return };
        let Some(last) = page.last() else { break };
        after = Some(last.stream);
        for open in &page {
            if let Ok(session) = crate::actor::host::load::decode(&open.entry)
                && session.open
            {
                oldest_open = oldest_open.min(session.opened_at);
            }
        }
    }
    let before = oldest_open.max(earliest);
    let needed = Seq(shared.log.index().checkpoint_seq().0.saturating_add(1));
    match shared.log.retain(before, needed) {
        Ok(retained) => tracing::debug!(?retained, "retention"),
        Err(error) => tracing::warn!(%error, "old segments cannot be removed"),
    }
}
