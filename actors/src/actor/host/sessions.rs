//! The sessions of one host: those in memory, and the instants at which time alone changes them.

use std::collections::BTreeSet;

use message::{StreamId, Timestamp};
use storage::invariant;

use crate::{
    actor::host::{
        live::{LiveSessions, Slot},
        load,
        waiting::WaitingMessages,
    },
    context::Context,
};

/// A session that is due within this time, in milliseconds, stays in memory.
const STAY_MS: u64 = 2_000;
/// Maximum number of sessions evicted at once; the rest leave on later ticks.
const EVICT_MAX: usize = 20_000;
/// Maximum number of due sessions returned at once; the rest follow with the next tick.
const DUE_MAX: usize = 1_000;

/// The sessions of one host.
pub(crate) struct Sessions {
    pub(crate) live: LiveSessions,
    pub(crate) waiting: WaitingMessages,
    timers: BTreeSet<(Timestamp, StreamId)>,
    /// Sessions whose state is not trusted any more: they are rebuilt before the next task.
    parked: Vec<StreamId>,
    /// The number of live sessions last added to the gauge, which all hosts share.
    published: usize,
}

impl Sessions {
    pub(crate) fn new(live_max: usize) -> Self {
        Self {
            live: LiveSessions::new(live_max),
            waiting: WaitingMessages::default(),
            timers: BTreeSet::new(),
            parked: Vec::new(),
            published: 0,
        }
    }

    /// Puts a session aside until it is rebuilt.
    pub(crate) fn park(&mut self, stream: StreamId) {
        if !self.parked.contains(&stream) {
            self.parked.push(stream);
        }
    }

    /// Takes the list of sessions to be rebuilt.
    pub(crate) fn take_parked(&mut self) -> Vec<StreamId> {
        std::mem::take(&mut self.parked)
    }

    /// Removes a session, with its timer, from memory.
    pub(crate) fn remove(&mut self, stream: StreamId) -> Option<Slot> {
        let slot = self.live.remove(stream)?;
        if let Some(timer) = slot.timer {
            self.timers.remove(&(timer, stream));
        }
        Some(slot)
    }

    /// Arms a session's timer, unless it is armed for an earlier instant.
    pub(crate) fn arm(&mut self, stream: StreamId, at: Timestamp) {
        let Some(slot) = self.live.get_mut(stream) else { return };
        if slot.timer.is_some_and(|armed| armed <= at) {
            return;
        }
        if let Some(armed) = slot.timer.replace(at) {
            self.timers.remove(&(armed, stream));
        }
        self.timers.insert((at, stream));
        let (timers, live) = (self.timers.len(), self.live.len());
        invariant!(timers <= live, "{timers} timers of {live} sessions");
    }

    /// Disarms the timers that are due by `now` and returns their sessions.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<StreamId> {
        let mut due = Vec::new();
        while let Some(&(at, stream)) = self.timers.first() {
            if at > now || due.len() >= DUE_MAX {
                break;
            }
            self.timers.pop_first();
            let armed = self.live.get(stream).and_then(|slot| slot.timer);
            invariant!(armed == Some(at), "{stream} is due at {at:?} and armed for {armed:?}");
            if let Some(slot) = self.live.get_mut(stream) {
                slot.timer = None;
                slot.timed_at = None;
            }
            due.push(stream);
        }
        due
    }

    /// Tells the channels how many messages wait for them.
    pub(crate) fn count_waiting(&mut self, context: &Context, host: usize, now: Timestamp) {
        self.waiting.count_more(context, &self.live, host);
        self.waiting.publish(context, host, now);
    }

    /// Evicts idle sessions beyond the limit, and publishes the number of live ones.
    pub(crate) fn evict(&mut self, context: &Context, now: Timestamp) {
        for _ in 0..self.live.excess().min(EVICT_MAX) {
            let idle = |slot: &Slot| {
                let due_soon = slot.timer.is_some_and(|at| at <= now.plus_ms(STAY_MS));
                slot.pending.is_none() && !due_soon && !slot.session.submitting()
            };
            let Some(stream) = self.live.victim(idle) else { break };
            if let Some(mut slot) = self.remove(stream) {
                invariant!(slot.pending.is_none(), "{stream} leaves before its events are appended");
                load::write(&mut slot, context, now);
            }
        }
        metrics::gauge!("patchbay_sessions_live").increment(self.live.len() as f64 - self.published as f64);
        self.published = self.live.len();
    }
}
