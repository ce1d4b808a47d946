//! Messages to a session host, and its answers to searches.

use std::sync::Arc;

use message::StreamId;
use tokio::sync::oneshot;

use crate::{
    config::{ChannelIx, DestinationIx},
    protocol::tasks::PendingWork,
    view::{DeadLetterView, DoubtView, SessionView},
};

/// A message to a session host.
pub(crate) enum HostMessage {
    /// Performs tasks on sessions, in order.
    Work(Arc<PendingWork>),
    /// Wakes the sessions whose timers are due, and evicts idle ones.
    Tick,
    /// Writes every session changed so far to the index, then answers.
    Checkpoint(oneshot::Sender<()>),
    /// A channel's actor was restarted: its sessions are announced again, and parts that its links
    /// held are in doubt.
    ChannelRestarted(ChannelIx),
    /// A destination's actor was restarted: its deliveries are offered again.
    DestinationRestarted(DestinationIx),
    /// Searches this host's sessions whose streams come after `after`.
    Scan {
        /// The sessions to find.
        what: Scan,
        /// The last stream of the page before.
        after: Option<StreamId>,
        /// Maximum number of sessions in the answer.
        limit: usize,
        /// Receives what was found.
        reply: oneshot::Sender<Scanned>,
    },
}

/// A search among all sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// Open sessions.
    Open,
    /// Parts that are in doubt or were sent again after it.
    Doubts,
    /// Deliveries that were given up.
    DeadLetters,
}

/// The result of a search.
#[derive(Default)]
pub(crate) struct Scanned {
    /// The stream after which the search stopped early; `None` when it reached the end.
    pub(crate) complete_to: Option<StreamId>,
    pub(crate) sessions: Vec<SessionView>,
    pub(crate) doubts: Vec<DoubtView>,
    pub(crate) dead_letters: Vec<DeadLetterView>,
}
