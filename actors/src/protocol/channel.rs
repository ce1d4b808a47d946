//! Messages to a channel.

use channels::{InEvent, InReceipt, http::Request};
use message::StreamId;
use tokio::sync::oneshot;

use crate::{
    protocol::{
        completion::Waits,
        link::LinkEvent,
        part::{InboundAck, Job, Query},
    },
    view::{ChannelView, UnmatchedView},
};

/// What a channel is told.
pub(crate) enum ChannelMessage {
    /// What a host's batch means for it, after its flush.
    FromHost(HostBatch),
    /// What happened on a link.
    FromLink(u16, u32, Vec<LinkEvent>),
    /// Time to look at the rate again.
    Kick,
    /// Time has passed.
    Tick,
    /// What a webhook brought; whoever waits for it is told when all of it is safe.
    Events(Vec<InEvent>, Waits),
    /// A call beside messages, whose outcome changes nothing.
    Beside(Box<Request>),
    /// A receipt that names a part by our own name, which is none of this channel's.
    Astray(Box<InReceipt>, Waits),
    /// Facts of its own were flushed: these deliveries may be acknowledged.
    Acknowledge(Vec<InboundAck>),
    /// Start again after it was stopped.
    Restart(oneshot::Sender<()>),
    /// Show yourself.
    View(oneshot::Sender<ChannelView>),
    /// Show the receipts nobody knows.
    Unmatched { after: u32, limit: usize, reply: oneshot::Sender<Vec<UnmatchedView>> },
    /// Write what is to be kept into the index, then answer.
    Checkpoint(oneshot::Sender<()>),
    /// Send nothing more, wait for what is out, unbind; answer when done.
    Drain(oneshot::Sender<()>),
}

/// What a host's batch means for a channel.
#[derive(Default)]
pub(crate) struct HostBatch {
    /// Sessions that have parts to send: stream, lane, number of parts.
    pub(crate) ready: Vec<(StreamId, u8, u16)>,
    /// Parts handed over; their intent is durable.
    pub(crate) jobs: Vec<Job>,
    /// Room that was kept for a session which had nothing after all.
    pub(crate) released: usize,
    /// Deliveries that are safe now.
    pub(crate) acks: Vec<InboundAck>,
    /// Parts whose fate the provider is to be asked for.
    pub(crate) queries: Vec<Query>,
    /// Kept receipts that were tried on a session in doubt, and whether they fitted.
    pub(crate) settled: Vec<(u32, bool)>,
    /// Receipts that found their part by our own name for it.
    pub(crate) named: u64,
}
