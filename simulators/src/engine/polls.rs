//! Events that wait for a long-poll, for providers that offer one in place of a webhook.

use std::collections::VecDeque;

use serde_json::Value;

/// Maximum number of waiting events; evicts the oldest.
const EVENTS_MAX: usize = 100_000;

/// An event and the number by which polls acknowledge it.
struct PolledEvent {
    id: i64,
    event: Value,
}

/// Names a poll; a newer poll ends an older one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PollId(u64);

/// The queue of unacknowledged events.
#[derive(Default)]
pub(super) struct PollQueue {
    events: VecDeque<PolledEvent>,
    newest: PollId,
}

impl PollQueue {
    /// Returns an empty queue that ends the polls of this one.
    pub(super) fn emptied(&self) -> Self {
        Self { events: VecDeque::new(), newest: PollId(self.newest.0 + 1) }
    }

    pub(super) fn push(&mut self, id: i64, event: Value) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(PolledEvent { id, event });
    }

    /// Begins a poll. A positive offset acknowledges all events before it; a negative one keeps
    /// that many of the newest.
    pub(super) fn begin(&mut self, offset: i64) -> PollId {
        if offset > 0 {
            self.events.retain(|polled| polled.id >= offset);
        } else if offset < 0 {
            let keep = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
            let gone = self.events.len().saturating_sub(keep);
            self.events.drain(..gone);
        }
        self.newest = PollId(self.newest.0 + 1);
        self.newest
    }

    pub(super) fn is_newest(&self, poll: PollId) -> bool {
        self.newest == poll
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Returns the oldest events, which stay until they are acknowledged.
    pub(super) fn oldest(&self, limit: usize) -> Vec<Value> {
        self.events.iter().take(limit).map(|polled| polled.event.clone()).collect()
    }
}
