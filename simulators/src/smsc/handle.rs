//! The handle of an SMSC: what tests, the demo and the command line use.

use std::{future::Future, sync::Arc};

use channels::smpp::Millis;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

use super::{
    connection::End,
    deliver,
    mo::{Mo, MoError, MoId, MoState},
    records::{Repeated, Seen, SmscCounts, Submit, WholeMessage},
    script::SmscScript,
    serve::{self, Accept},
    shared::SharedCore,
};

/// The number of binds of a system_id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindCount {
    /// The name by which an ESME binds.
    pub system_id: Arc<str>,
    /// Number of its binds.
    pub binds: usize,
}

/// A simulated SMSC; clones are handles to the same one.
#[derive(Clone)]
pub struct Smsc {
    shared: Arc<SharedCore>,
}

impl Smsc {
    /// Creates an SMSC with these faults. Its clock starts now and follows a paused tokio clock.
    pub fn new(script: SmscScript) -> Self {
        Self { shared: Arc::new(SharedCore::new(script)) }
    }

    /// Serves all connections until `shutdown` resolves, then cuts them; or until all connections
    /// of a finished source ended.
    pub async fn run(&self, acceptor: impl Accept, shutdown: impl Future<Output = ()>) {
        serve::run(&self.shared, acceptor, shutdown).await;
    }

    /// Serves one connection until it ends.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        serve::serve(&self.shared, stream).await;
    }

    /// Returns the current script.
    pub fn script(&self) -> SmscScript {
        (*self.shared.lock().script).clone()
    }

    /// Changes the script, from now on.
    pub fn change(&self, change: impl FnOnce(&mut SmscScript)) {
        let now = self.shared.now();
        let mut core = self.shared.lock();
        change(Arc::make_mut(&mut core.script));
        deliver::start_background(&mut core, now);
    }

    /// Sends a customer's message; it waits for the first bind.
    ///
    /// # Errors
    ///
    /// Fails when the message does not fit into PDUs.
    pub fn send_mo(&self, mo: &Mo) -> Result<MoId, MoError> {
        let now = self.shared.now();
        deliver::send_mo(&mut self.shared.lock(), mo, now)
    }

    /// Returns the progress of a customer's message, if it is remembered.
    pub fn mo(&self, id: MoId) -> Option<MoState> {
        self.shared.lock().customers.messages.get(&id).copied()
    }

    /// Cuts all connections without an unbind.
    pub fn drop_connections(&self) {
        let mut core = self.shared.lock();
        let all: Vec<_> = core.connections.keys().copied().collect();
        for id in all {
            core.records.counts.dropped += 1;
            core.end(id, End::Now);
        }
    }

    /// Sends an unbind on all binds.
    pub fn unbind_all(&self) {
        let now = self.shared.now();
        let mut core = self.shared.lock();
        let all: Vec<_> = core.connections.keys().copied().collect();
        for id in all {
            core.unbind(id, now);
        }
    }

    /// Returns the counts.
    pub fn counts(&self) -> SmscCounts {
        self.shared.lock().records.counts
    }

    /// Waits until the counts satisfy `until`, and returns them. Never times out.
    pub async fn wait_for(&self, until: impl Fn(&SmscCounts) -> bool) -> SmscCounts {
        self.shared.changes.wait_for(|| self.counts(), until).await
    }

    /// Returns the number of binds of each system_id.
    pub fn binds(&self) -> Vec<BindCount> {
        let core = self.shared.lock();
        let all = core.accounts.iter();
        all.map(|account| BindCount { system_id: account.name.clone(), binds: account.connections.len() })
            .collect()
    }

    /// Returns the number of deliveries that wait or are unacknowledged.
    pub fn deliveries_open(&self) -> usize {
        let core = self.shared.lock();
        let waiting: usize = core.accounts.iter().map(|account| account.queue.len()).sum();
        let in_flight: usize = core.connections.values().map(|other| other.in_flight.len()).sum();
        core.customers.unclaimed.len() + waiting + in_flight
    }

    /// Returns the accepted submits, oldest first, at most [`RECENT_MAX`](super::RECENT_MAX).
    pub fn submits(&self) -> Vec<Submit> {
        self.shared.lock().records.submits.iter().cloned().collect()
    }

    /// Returns the whole messages, oldest first, at most [`RECENT_MAX`](super::RECENT_MAX).
    pub fn messages(&self) -> Vec<WholeMessage> {
        self.shared.lock().records.messages.iter().cloned().collect()
    }

    /// Returns how often this text arrived for this destination as a whole message.
    pub fn times(&self, destination: &str, text: &str) -> u32 {
        self.shared.lock().records.times(destination, text)
    }

    /// Returns the parts that arrived more than once: equal destination, text and place in the
    /// message.
    pub fn repeated(&self) -> Vec<Repeated> {
        self.shared.lock().records.repeated()
    }

    /// Returns the texts of the whole messages to one destination, in the order of their
    /// completion.
    pub fn texts_to(&self, destination: &str) -> Vec<Box<str>> {
        self.shared.lock().records.texts_to(destination)
    }

    /// Returns the maximum number of submits (parts, including refused ones) in any window of this
    /// length.
    pub fn most_in(&self, window_ms: Millis) -> u64 {
        self.shared.lock().records.most_in(window_ms)
    }

    /// Reports events from now on, in place of any earlier observer. Events that the observer is
    /// too slow for are counted as [`SmscCounts::missed`].
    pub fn observe(&self, capacity: usize) -> mpsc::Receiver<Seen> {
        self.shared.lock().records.observe(capacity)
    }
}
