//! Messages to a session host.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use channels::InReceipt;
use message::{
    Content, DestinationId, MessageId, MessageNo, PartState, SessionId, StreamId, Timestamp,
    event::{Cause, CloseReason, DoubtSettlement},
};
use tokio::sync::oneshot;

use crate::{
    config::{ChannelIx, DestinationIx},
    domain::{
        names::Names,
        session::{Identity, Inbound, Outcome},
    },
    protocol::{
        answers::{Answers, Reply},
        completion::Waits,
        part::Ack,
    },
    view::{DeadLetterView, DoubtView, MessageView, SessionView},
};

/// What a host is told.
pub(crate) enum HostMessage {
    /// Work on sessions, in order.
    Work(Arc<Batch>),
    /// Time has passed.
    Tick,
    /// Write every session changed so far to the index, then answer.
    Checkpoint(oneshot::Sender<()>),
    /// Go on with the checkpoint.
    CheckpointMore,
    /// A channel's actor was restarted: what it held is told again, what was with its links is in doubt.
    ChannelRestarted(ChannelIx),
    /// A destination's actor was restarted: deliveries are offered again.
    DestinationRestarted(DestinationIx),
    /// Look through this host's sessions, after a stream.
    Scan { what: Scan, after: Option<StreamId>, limit: usize, reply: oneshot::Sender<Scanned> },
}

/// One piece of work on one session.
pub(crate) struct Task {
    /// The session's stream.
    pub(crate) stream: StreamId,
    /// What to do.
    pub(crate) op: Op,
}

impl Task {
    /// The room that a channel keeps for it.
    pub(crate) fn kept_room(&self) -> usize {
        if let Op::Take { max, .. } = self.op { max } else { 0 }
    }
}

/// What people and their programs ask of a session; each is answered after the flush.
pub(crate) enum Request {
    /// Open, or take over.
    Open { identity: Identity, handler: Box<str>, takeover: bool, reply: Reply<SessionView> },
    /// End the open session.
    End { id: SessionId, reason: CloseReason, reply: Reply<()> },
    /// Withdraw a message.
    Cancel { number: MessageNo, reply: Reply<()> },
    /// Settle a part in doubt.
    SettleDoubt { number: MessageNo, part: u16, by: DoubtSettlement, reply: Reply<()> },
    /// Deliver a dead letter after all.
    Replay { delivery: u32, reply: Reply<()> },
    /// Look at a session.
    View { id: SessionId, at: Option<Timestamp>, reply: Reply<SessionView> },
    /// Look at a message.
    ViewMessage { number: MessageNo, reply: Reply<MessageView> },
    /// How many messages wait ahead, and the open session's ordinal (0: none open).
    Ahead { reply: Reply<Ahead> },
}

/// What can be done on a session.
pub(crate) enum Op {
    /// What someone asks.
    Request(Request),
    /// Accept an outbound message.
    Accept(Box<AcceptTask>),
    /// Hand at most `max` parts to the channel, which has kept room for them.
    Take { channel: ChannelIx, max: usize },
    /// What became of a part.
    Outcome { number: MessageNo, part: u16, outcome: Outcome, spellings: Vec<u128> },
    /// A receipt whose part is known.
    Receipt { number: MessageNo, part: u16, state: PartState, code: Box<str>, from: ReceiptFrom },
    /// A report on everything handed over up to an instant.
    Watermark { state: PartState, upto: Timestamp, code: Box<str>, ack: Ack },
    /// The provider calls the customer so.
    Named { names: Names },
    /// A receipt whose id nobody knows, kept by the channel under a number.
    DoubtReceipt(Box<DoubtReceipt>),
    /// The customer wrote.
    Receive { identity: Box<Identity>, inbound: Box<Inbound>, key: Option<u128>, ack: Option<Ack> },
    /// Give deliveries to this destination, if there are any.
    Offer { destination: DestinationIx },
    /// The destination took these.
    Taken { destination: DestinationIx, deliveries: Vec<u32> },
    /// The destination gave this one up.
    DeadLetter { delivery: u32, cause: Cause },
    /// Time may have changed something.
    Wake,
}

/// Where a receipt comes from, and who waits until it is safe.
pub(crate) enum ReceiptFrom {
    /// From outside: to be acknowledged.
    Outside(Ack),
    /// From outside, by our own name for the part: back to the channel when it is none of its own.
    Named { channel: ChannelIx, receipt: Box<InReceipt>, waits: Waits },
    /// The channel, which keeps it under a number until then.
    Kept { channel: ChannelIx, parked: u32 },
    /// Nobody waits.
    Query,
}

/// What a plan needs to know of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    pub(crate) messages: usize,
    pub(crate) open: bool,
    pub(crate) ordinal: u32,
    pub(crate) replies: bool,
}

/// A message to be accepted.
pub(crate) struct AcceptTask {
    pub(crate) identity: Identity,
    pub(crate) channel: ChannelIx,
    pub(crate) id: MessageId,
    pub(crate) content: Content,
    pub(crate) priority: Option<u8>,
    pub(crate) send_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) destination: Option<DestinationId>,
    pub(crate) conversation_id: Option<Box<str>>,
    pub(crate) channel_data: Option<Box<str>>,
    pub(crate) adapted: Vec<Box<str>>,
    /// The message it answers, as the business knows it.
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) reply: Arc<Answers>,
    /// Its place among the answers.
    pub(crate) place: usize,
}

/// A kept receipt that is tried on parts in doubt.
pub(crate) struct DoubtReceipt {
    pub(crate) channel: ChannelIx,
    /// The channel's number for it.
    pub(crate) parked: u32,
    pub(crate) state: PartState,
    pub(crate) code: Box<str>,
    pub(crate) came_at: Timestamp,
    /// The look-up keys of its ids: should it fit, later receipts with one of them are for the same part.
    pub(crate) spellings: Vec<u128>,
}

/// What is looked for among all sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// Open sessions.
    Open,
    /// Parts in doubt, or sent again after it.
    Doubts,
    /// Dead letters.
    DeadLetters,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Scanned {
    /// Where the search stopped early; `None`: there is no more.
    pub(crate) complete_to: Option<StreamId>,
    pub(crate) sessions: Vec<SessionView>,
    pub(crate) doubts: Vec<DoubtView>,
    pub(crate) dead_letters: Vec<DeadLetterView>,
}

/// Work joins a batch up to so many tasks: a turn of a host stays about a millisecond.
pub(crate) const TASKS_MAX: usize = 256;

/// Tasks on their way to a host. Who still holds it after the host took them can add nothing more.
pub(crate) struct Batch(pub(crate) Mutex<Option<Vec<Task>>>);

impl Batch {
    /// What is in it; nothing joins afterwards.
    pub(crate) fn take(&self) -> Vec<Task> {
        lock(&self.0).take().unwrap_or_default()
    }

    /// Adds tasks behind those in it, or gives them back: it was taken, or is full.
    pub(crate) fn join(&self, tasks: Vec<Task>) -> Option<Vec<Task>> {
        match lock(&self.0).as_mut().filter(|waiting| waiting.len() + tasks.len() <= TASKS_MAX) {
            Some(waiting) => {
                waiting.extend(tasks);
                None
            }
            None => Some(tasks),
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
