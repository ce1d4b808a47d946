//! Messages to a channel.

use std::sync::Arc;

use channels::{InEvent, http::Request};
use message::{MessageNo, StreamId, Timestamp};
use tokio::sync::oneshot;

use crate::{
    protocol::{
        completion::Completion,
        link::LinkReport,
        part::{InboundAck, Job, Query},
        task::{ReceiptClaim, StrayReceipt},
    },
    view::{ChannelCounts, ChannelView, UnmatchedView, waiting::ChannelWait},
};

/// A message to a channel's actor.
pub(crate) enum ChannelMessage {
    /// The results of a host's batch, after its flush.
    FromHost(Box<HostBatch>),
    /// Events on one of its links.
    FromLink(LinkReport),
    /// Retries unmatched receipts and publishes figures.
    Tick,
    /// Events from a webhook or a poll; the completion is for all of them.
    Events(Vec<InEvent>, Completion),
    /// A call whose outcome changes nothing: a typing indicator or a read mark.
    FireAndForget(Box<Request>),
    /// Events of the channel's own stream were flushed: acknowledges these deliveries.
    Acknowledge(Vec<InboundAck>),
    /// Starts sending again after a stop.
    Restart(oneshot::Sender<()>),
    /// Tells why a message of a session is not sent now.
    Why { stream: StreamId, number: MessageNo, reply: oneshot::Sender<ChannelWait> },
    /// Ends every pause that failures have caused.
    TryNow(oneshot::Sender<()>),
    /// Pauses the channel, or ends that pause; answers when it is durable.
    Pause { wanted: bool, reply: oneshot::Sender<Option<Timestamp>> },
    /// Shows the channel's state.
    View(oneshot::Sender<ChannelView>),
    /// Lists receipts without a known part, from the number after `after`.
    Unmatched { after: u32, limit: usize, reply: oneshot::Sender<Vec<UnmatchedView>> },
    /// Writes the channel's own state to the index, then answers.
    Checkpoint(oneshot::Sender<()>),
    /// Sends nothing more, waits for outstanding parts, unbinds, then answers.
    Drain(oneshot::Sender<()>),
    /// Gives back what was not submitted, waits for the answers to the rest, unbinds, and answers
    /// with its counts: another form of the channel follows, or none.
    Retire(oneshot::Sender<ChannelCounts>),
}

/// The results of a host's batch that concern one channel.
#[derive(Default)]
pub(crate) struct HostBatch {
    /// Sessions that have parts to send.
    pub(crate) ready: Vec<ReadySession>,
    /// Parts to send; the intent to send them is durable.
    pub(crate) jobs: Vec<Job>,
    /// Reserved room that its session did not need.
    pub(crate) released: usize,
    /// Deliveries that are durable now.
    pub(crate) acks: Vec<InboundAck>,
    /// Parts about whose fate the provider is asked.
    pub(crate) queries: Vec<Query>,
    /// Unmatched receipts that a session has tried.
    pub(crate) tried: Vec<TriedReceipt>,
    /// The number of receipts that found their part by our own reference.
    pub(crate) matched_by_reference: u64,
    /// Receipts whose reference belongs to no part of this channel.
    pub(crate) strays: Vec<StrayReceipt>,
    /// Receipts whose id led to a part of a customer whom they do not name.
    pub(crate) disowned: Vec<ReceiptClaim>,
    /// Sessions whose customers are reached elsewhere from now on.
    pub(crate) moved: Vec<MovedSession>,
}

/// A session whose customer is reached at another address from now on.
pub(crate) struct MovedSession {
    pub(crate) stream: StreamId,
    /// The canonical address. Empty: none is known.
    pub(crate) customer: Arc<str>,
    pub(crate) shown: Arc<str>,
}

/// A session that has parts to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadySession {
    pub(crate) stream: StreamId,
    pub(crate) lane: u8,
    pub(crate) parts: u16,
}

/// The result of trying a kept receipt on a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TriedReceipt {
    /// The number under which the channel keeps it.
    pub(crate) parked: u32,
    pub(crate) found: Tried,
}

/// A session's answer about a kept receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    /// It is recorded for a part.
    Recorded,
    /// It is recorded as the customer's message.
    Delivered,
    /// Its id led to this session, and it names another customer.
    Disowned,
    /// The session may have the part, and cannot tell yet.
    Undecided,
    /// There was never such a session; it was the one of this place among those that are named.
    NoSession { place: u8 },
}
