//! Time: ticks for hosts, channels and destinations, wake-ups of sessions that are not in memory,
//! checkpoints and retention. It decides nothing about any session.

use std::{sync::Arc, time::Duration};

use message::{Seq, StreamId, Timestamp};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use storage::invariant;
use tokio::sync::oneshot;

use crate::{
    actor::host::load,
    context::{Context, blocking, series_file},
    protocol::{
        channel::ChannelMessage, completion::Completion, destination::DestinationMessage, host::HostMessage,
        task::Op,
    },
};

/// Time between two ticks, in milliseconds.
const TICK_MS: u64 = 100;
/// Number of due sessions read from the index at once.
const WAKE_PAGE: usize = 1_000;
/// Maximum number of such pages in one tick; the rest follow with the next.
const WAKE_PAGES: usize = 20;
/// Longest time between two runs of retention, in milliseconds.
const RETENTION_EVERY_MS: u64 = 10 * 60 * 1_000;
/// Shortest time between two runs of retention, in milliseconds.
const RETENTION_EVERY_MS_MIN: u64 = 1_000;
/// Number of runs within the time of retention, within these limits.
const RETENTION_RUNS: u64 = 8;
/// Number of index entries read at once to find the oldest open session.
const OLDEST_PAGE: usize = 5_000;
/// Number of sessions whose state is told again at once, before retention.
const CARRIED_AT_ONCE: usize = 256;
/// Number of channels ticked at once. More channels take turns, because what is due to the
/// millisecond they time themselves.
const CHANNELS_A_TICK: usize = 64;
/// Maximum number of ticks between two ticks of the same channel.
const TURNS_MAX: usize = 10;
/// Time between two looks at the counts of the channels, in milliseconds.
const TALLY_EVERY_MS: u64 = 1_000;
/// Shortest time between two writes of their minutes, in milliseconds.
const SERIES_EVERY_MS: u64 = 60_000;
/// Bytes of the minutes for each of which another such time passes before the next write.
const SERIES_BYTES: usize = 1024 * 1024;
/// A checkpoint begins when a quarter of the limit on unwritten state is used: while one is being
/// written there is then room for the same amount again before acceptance slows down.
const UNWRITTEN_SHARE: u64 = 4;

/// Input of the timers' actor.
pub(crate) enum TimersMessage {
    Tick,
    /// Wake all due sessions again, because a restarted actor knows none of them.
    Rescan,
    /// A checkpoint up to this event ended.
    CheckpointDone(Seq),
    RetentionDone,
    /// The minutes of the channels were written, and how many bytes they took.
    SeriesStored(usize),
}

pub(crate) struct TimersActor;

pub(crate) struct TimersState {
    context: Arc<Context>,
    myself: ActorRef<TimersMessage>,
    /// Sessions due up to here were woken.
    cursor: Option<storage::Due>,
    /// The number of the clock's changes at the last tick.
    clock_changes: u64,
    /// The number of ticks.
    turn: usize,
    checkpoint_at_ms: u64,
    checkpoint_seq: Seq,
    is_checkpointing: bool,
    retention_at_ms: u64,
    is_retaining: bool,
    tally_at_ms: u64,
    /// When the minutes are written next; `None` while they are.
    series_at_ms: Option<u64>,
}

impl Actor for TimersActor {
    type Msg = TimersMessage;
    type State = TimersState;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<TimersMessage>,
        context: Arc<Context>,
    ) -> Result<TimersState, ActorProcessingErr> {
        let now_ms = context.monotonic_ms();
        myself.send_interval(Duration::from_millis(TICK_MS), || TimersMessage::Tick);
        Ok(TimersState {
            checkpoint_seq: context.log.index().checkpoint_seq(),
            checkpoint_at_ms: now_ms,
            retention_at_ms: now_ms,
            clock_changes: context.clock_changes(),
            context,
            myself,
            cursor: None,
            turn: 0,
            is_checkpointing: false,
            is_retaining: false,
            tally_at_ms: 0,
            series_at_ms: Some(now_ms.saturating_add(SERIES_EVERY_MS)),
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
                state.is_checkpointing = false;
                state.checkpoint_seq = state.checkpoint_seq.max(upto);
            }
            TimersMessage::RetentionDone => state.is_retaining = false,
            TimersMessage::SeriesStored(bytes) => {
                let waits = (bytes / SERIES_BYTES) as u64 + 1;
                let pause_ms = SERIES_EVERY_MS.saturating_mul(waits);
                state.series_at_ms = Some(state.context.monotonic_ms().saturating_add(pause_ms));
            }
        }
        Ok(())
    }
}

impl TimersState {
    fn tick(&mut self) {
        self.context.hosts.tell_all(|| HostMessage::Tick);
        let channels = self.context.directory.channels();
        let turns = self.context.directory.channel_count().div_ceil(CHANNELS_A_TICK).clamp(1, TURNS_MAX);
        self.turn = self.turn.wrapping_add(1);
        for (_, channel) in channels.skip(self.turn % turns).step_by(turns) {
            channel.tell(ChannelMessage::Tick);
        }
        for (_, destination) in self.context.directory.destinations() {
            destination.tell(DestinationMessage::Tick);
        }
        self.wake_due();
        self.set_gauges();
        self.advance_tallies();
        self.store_series_if_due();
        self.checkpoint_if_due();
        self.retain_if_due();
    }

    /// Publishes the quantities that grow when the disk is too slow.
    fn set_gauges(&self) {
        let context = &self.context;
        metrics::gauge!("patchbay_log_rebuilt_files").set(context.log.rebuilt_files() as f64);
        let broken = storage::invariants::broken_total();
        metrics::counter!("patchbay_invariants_broken_total").absolute(broken);
        let doubt_ms = context.clock_doubt_ms().unwrap_or(0);
        metrics::gauge!("patchbay_clock_doubt_seconds").set(doubt_ms as f64 / 1e3);
        metrics::gauge!("patchbay_replay_events").set(context.replay_events() as f64);
        let delta = context.log.index().delta();
        metrics::gauge!("patchbay_index_delta_bytes").set((delta.live_bytes + delta.frozen_bytes) as f64);
        let storage::MemoryUse { waiting_bytes, lookups } = context.log.memory();
        metrics::gauge!("patchbay_log_waiting_bytes").set(waiting_bytes as f64);
        metrics::gauge!("patchbay_lookups_in_memory").set(lookups as f64);
    }

    /// Wakes the sessions that are due, in memory or not. Each is found once; a session that is put
    /// off beyond the cursor is found again. All are found again when the clock came into doubt or
    /// out of it.
    fn wake_due(&mut self) {
        let now = self.context.moment().sure;
        let changes = self.context.clock_changes();
        if std::mem::replace(&mut self.clock_changes, changes) != changes {
            self.cursor = None;
        }
        // What is put off while the clock is a step back must not fall behind the cursor.
        let latest = storage::Due { at: now, stream: StreamId(u128::MAX) };
        self.cursor = self.cursor.map(|cursor| cursor.min(latest));
        for _ in 0..WAKE_PAGES {
            let page = match self.context.reader.due(now, self.cursor, WAKE_PAGE) {
                Ok(page) => page,
                Err(error) => return self.context.lifecycle.fail(format!("the index: {error}")),
            };
            let Some(last) = page.last().copied() else { break };
            let goes_on = self.cursor.is_none_or(|cursor| cursor < last);
            invariant!(goes_on, "the sessions due after {:?} end with {last:?}", self.cursor);
            self.cursor = Some(last);
            let mut tasks = self.context.hosts.tasks();
            for due in &page {
                tasks.push(due.stream, Op::Wake);
            }
            self.context.hosts.work(tasks);
            if page.len() < WAKE_PAGE {
                break;
            }
        }
    }

    /// Publishes what waits on each channel, and ends the minutes that are over.
    fn advance_tallies(&mut self) {
        let now_ms = self.context.monotonic_ms();
        if now_ms < self.tally_at_ms {
            return;
        }
        self.tally_at_ms = now_ms.saturating_add(TALLY_EVERY_MS);
        let space = self.context.log.space();
        metrics::gauge!("patchbay_disk_free_bytes").set(space.free_bytes as f64);
        metrics::gauge!("patchbay_disk_reserve_bytes").set(space.reserve_bytes as f64);
        let now = self.context.now();
        for (_, channel) in self.context.directory.channels() {
            channel.tally.advance(now);
        }
    }

    fn store_series_if_due(&mut self) {
        if self.series_at_ms.is_none_or(|at_ms| self.context.monotonic_ms() < at_ms) {
            return;
        }
        self.series_at_ms = None;
        let (context, myself) = (self.context.clone(), self.myself.clone());
        #[allow(clippy::disallowed_methods, reason = "one write, which reports its end to this actor")]
        tokio::spawn(async move {
            let bytes = blocking::run(move || series_file::store(&context)).await.unwrap_or(0);
            let _timers_gone = myself.cast(TimersMessage::SeriesStored(bytes));
        });
    }

    fn checkpoint_if_due(&mut self) {
        let tunable = self.context.tunable();
        let limits = &tunable.limits;
        let (now_ms, committed) = (self.context.monotonic_ms(), self.context.log.committed());
        let events = committed.0.saturating_sub(self.checkpoint_seq.0);
        let waited =
            u128::from(now_ms.saturating_sub(self.checkpoint_at_ms)) >= limits.checkpoint_every.as_millis();
        // Long before acceptance would slow down.
        let many = limits.checkpoint_events.min(limits.replay_events_max / 2).max(1);
        let unwritten = self.context.log.index().delta().live_bytes as u64;
        let is_large = unwritten >= limits.unwritten_bytes_max / UNWRITTEN_SHARE;
        if self.is_checkpointing || events == 0 || !(waited || events >= many || is_large) {
            return;
        }
        self.is_checkpointing = true;
        self.checkpoint_at_ms = now_ms;
        let (context, myself) = (self.context.clone(), self.myself.clone());
        #[allow(clippy::disallowed_methods, reason = "one checkpoint, which reports its end to this actor")]
        tokio::spawn(async move {
            let upto = checkpoint(&context).await.unwrap_or(Seq::NONE);
            let _timers_gone = myself.cast(TimersMessage::CheckpointDone(upto));
        });
    }

    fn retain_if_due(&mut self) {
        let now_ms = self.context.monotonic_ms();
        let Some(retention) = self.context.tunable().retention else { return };
        let retention_ms = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        let every_ms = (retention_ms / RETENTION_RUNS).clamp(RETENTION_EVERY_MS_MIN, RETENTION_EVERY_MS);
        if self.is_retaining || now_ms.saturating_sub(self.retention_at_ms) < every_ms {
            return;
        }
        (self.is_retaining, self.retention_at_ms) = (true, now_ms);
        let (context, myself) = (self.context.clone(), self.myself.clone());
        #[allow(clippy::disallowed_methods, reason = "one run, which reports its end to this actor")]
        tokio::spawn(async move {
            retain(&context, retention_ms).await;
            let _timers_gone = myself.cast(TimersMessage::RetentionDone);
        });
    }
}

/// Has every host and channel write its changes to the index, then writes the index to the disk.
/// Returns the event up to which a start need not replay; `None` if the checkpoint failed.
pub(crate) async fn checkpoint(context: &Arc<Context>) -> Option<Seq> {
    let begun_ms = context.monotonic_ms();
    // Events up to here were applied before the messages below are handled.
    let upto = context.log.committed();
    let mut waits = Vec::new();
    context.hosts.tell_all(|| {
        let (done, wait) = oneshot::channel();
        waits.push(wait);
        HostMessage::Checkpoint(done)
    });
    for (_, channel) in context.directory.channels() {
        let (done, wait) = oneshot::channel();
        channel.tell(ChannelMessage::Checkpoint(done));
        waits.push(wait);
    }
    let mut all = true;
    for wait in waits {
        all &= wait.await.is_ok();
    }
    // A channel that is being restarted has written nothing, so the log before is still needed.
    if !all {
        return None;
    }
    let gathered_ms = context.monotonic_ms().saturating_sub(begun_ms);
    let log = context.log.clone();
    let done = blocking::run(move || log.checkpoint(upto)).await?;
    let took_ms = context.monotonic_ms().saturating_sub(begun_ms);
    match done {
        Ok(stats) => {
            tracing::debug!(%upto, gathered_ms, took_ms, ?stats, "checkpoint complete");
            metrics::histogram!("patchbay_checkpoint_seconds").record(took_ms as f64 / 1e3);
            Some(upto)
        }
        Err(error) => {
            context.lifecycle.fail(format!("a checkpoint failed: {error}"));
            None
        }
    }
}

/// Removes segments past retention. A segment with an open session's history is kept, up to twice
/// the time of retention, so that the disk stays limited. What sessions still owe is told again
/// before the events go that told it; if that fails, the segments stay.
async fn retain(context: &Arc<Context>, retention_ms: u64) {
    let planned = context.clone();
    let plan = blocking::run(move || plan_retention(&planned, retention_ms)).await.flatten();
    let Some(plan) = plan else { return };
    for streams in plan.streams.chunks(CARRIED_AT_ONCE) {
        let (all, answer) = Completion::new();
        for stream in streams {
            let completion = all.share();
            context.hosts.perform(*stream, Op::Carry { upto: plan.upto, completion });
        }
        all.complete();
        if answer.await != Ok(true) {
            return tracing::warn!("old segments stay: what sessions owe could not be told again");
        }
    }
    let log = context.log.clone();
    match blocking::run(move || log.retain(plan.before, plan.needed)).await {
        Some(Ok(retained)) => tracing::debug!(?retained, carried = plan.streams.len(), "retention"),
        Some(Err(error)) => tracing::warn!(%error, "old segments cannot be removed"),
        None => {}
    }
}

/// The plan of one run of retention.
struct RetentionPlan {
    before: Timestamp,
    needed: Seq,
    /// The latest instant of an event that goes.
    upto: Timestamp,
    /// Sessions whose state follows from events up to then.
    streams: Vec<StreamId>,
}

/// Returns what to remove; `None` if nothing can be removed now.
fn plan_retention(context: &Context, retention_ms: u64) -> Option<RetentionPlan> {
    // What is removed does not come back: no clock's jump may remove it.
    let now = context.moment().sure;
    let latest = Timestamp(now.0.saturating_sub(retention_ms));
    let earliest = Timestamp(now.0.saturating_sub(retention_ms.saturating_mul(2)));
    let needed = Seq(context.log.index().checkpoint_seq().0.saturating_add(1));
    context.log.removable(latest, needed)?;
    let mut oldest_open = latest;
    let mut begun = Vec::new();
    let mut after = None;
    loop {
        let page = context.reader.scan(after, OLDEST_PAGE).ok()?;
        let Some(last) = page.last() else { break };
        after = Some(last.stream);
        for open in &page {
            if open.entry.bytes.is_empty() {
                // Lost to damage: its state is rebuilt from the log while that is there.
                begun.push((Timestamp(0), open.stream));
            }
            let Ok(session) = load::decode(&open.entry) else { continue };
            if session.open {
                oldest_open = oldest_open.min(session.opened_at);
            }
            if !session.is_done() {
                begun.push((session.since, open.stream));
            }
        }
    }
    let before = oldest_open.max(earliest);
    let upto = context.log.removable(before, needed)?;
    invariant!(upto < before, "retention removes {upto:?}, not before {before:?}");
    invariant!(before <= latest, "retention removes what is younger than {latest:?}");
    begun.retain(|(since, _)| *since <= upto);
    Some(RetentionPlan {
        before,
        needed,
        upto,
        streams: begun.into_iter().map(|(_, stream)| stream).collect(),
    })
}
