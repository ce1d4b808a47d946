//! Messages to a session host, and its answers to searches.

use std::sync::Arc;

use message::{ChannelId, MessageNo, StreamId};
use tokio::sync::oneshot;

use crate::{
    config::{ChannelIx, DestinationIx},
    protocol::tasks::PendingWork,
    view::{
        DeadLetterView, DoubtView, SessionView,
        census::Census,
        messages::{MessageItem, MessageQuery},
    },
};

/// A message to a session host.
pub(crate) enum HostMessage {
    /// Performs tasks on sessions, in order.
    Work(Arc<PendingWork>),
    /// Wakes the sessions whose timers are due, and evicts idle ones.
    Tick,
    /// Writes every session changed so far to the index, then answers.
    Checkpoint(oneshot::Sender<()>),
    /// Counts held parts and deliveries of the sessions in memory.
    TakeCensus(oneshot::Sender<HostCensus>),
    /// A channel's actor was restarted: its sessions are announced again, and parts that its links
    /// held are in doubt.
    ChannelRestarted(ChannelIx),
    /// A channel has another form: its sessions belong to that from now on, and are announced to
    /// it.
    ChannelChanged {
        /// The channel.
        id: ChannelId,
        /// Its new form.
        form: ChannelIx,
    },
    /// A destination's actor was restarted: its deliveries are offered again.
    DestinationRestarted(DestinationIx),
    /// Searches this host's sessions whose streams come after `after`.
    Scan {
        /// The sessions to find.
        what: Scan,
        /// The last stream of the page before.
        after: Option<StreamId>,
        /// The only channel whose sessions are wanted.
        channel: Option<ChannelId>,
        /// Maximum number of sessions in the answer.
        limit: usize,
        /// Receives what was found, or why the sessions cannot be read.
        reply: oneshot::Sender<Result<Scanned, String>>,
    },
    /// Searches this host's sessions for messages that wait.
    ScanWaiting {
        /// The messages to find.
        query: Arc<MessageQuery>,
        /// The last message of the page before.
        after: Option<WaitingPlace>,
        /// Maximum number of messages in the answer.
        limit: usize,
        /// Receives what was found, or why the sessions cannot be read.
        reply: oneshot::Sender<Result<WaitingPage, String>>,
    },
}

/// A message that waits, in the order of the list.
pub(crate) type WaitingPlace = (StreamId, MessageNo);

/// Messages that wait.
#[derive(Default)]
pub(crate) struct WaitingPage {
    /// The place up to which the search came; `None` when it reached the end.
    pub(crate) complete_to: Option<WaitingPlace>,
    pub(crate) items: Vec<(WaitingPlace, MessageItem)>,
}

impl WaitingPage {
    /// Puts the messages in order, and drops those beyond `limit` and beyond what was searched.
    pub(crate) fn cut(&mut self, limit: usize) {
        self.items.sort_unstable_by_key(|(place, _)| *place);
        if self.items.len() > limit {
            self.items.truncate(limit);
            let last = self.items.last().map(|(place, _)| *place);
            self.complete_to = last.into_iter().chain(self.complete_to).min();
        }
        let to = self.complete_to;
        self.items.retain(|(place, _)| to.is_none_or(|to| *place <= to));
    }
}

/// A search among all sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// Open sessions.
    Open,
    /// Parts that are in doubt or were sent again after it.
    Doubts,
    /// Deliveries that were given up.
    DeadLetters,
    /// Sessions of a channel with messages that the provider has not answered completely.
    Queued(ChannelId),
}

/// The census of the sessions that a host has in memory.
pub(crate) struct HostCensus {
    pub(crate) census: Census,
    /// Those sessions.
    pub(crate) streams: Vec<StreamId>,
}

/// The result of a search.
#[derive(Default)]
pub(crate) struct Scanned {
    /// The stream after which the search stopped early; `None` when it reached the end.
    pub(crate) complete_to: Option<StreamId>,
    pub(crate) sessions: Vec<SessionView>,
    pub(crate) doubts: Vec<DoubtView>,
    pub(crate) dead_letters: Vec<DeadLetterView>,
    /// The streams of sessions with queued messages.
    pub(crate) queued: Vec<StreamId>,
}
