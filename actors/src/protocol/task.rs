//! Tasks: one operation on one session each.

use std::sync::Arc;

use channels::InReceipt;
use message::{
    Address, Content, DestinationId, MessageId, MessageNo, PartState, Seq, SessionId, StreamId, Timestamp,
    event::{Cause, CloseReason, CustomerWords, DoubtSettlement, SmsHandling},
};

use crate::{
    config::{ChannelIx, DestinationIx},
    domain::{
        correlation::Reported,
        names::Names,
        session::{Identity, Inbound, Outcome, SessionWait},
    },
    history::message::MessageRecord,
    protocol::{
        answers::{Answers, Reply},
        completion::Completion,
        part::Ack,
    },
    view::{MessageView, SessionView, messages::ItemSession},
};

/// An operation on one session.
pub(crate) struct Task {
    pub(crate) stream: StreamId,
    pub(crate) op: Op,
}

impl Task {
    /// The room in the channel's window that is reserved for this task.
    pub(crate) fn reserved(&self) -> usize {
        if let Op::SubmitParts { max, .. } = self.op { max } else { 0 }
    }
}

/// An operation on a session.
pub(crate) enum Op {
    /// Performs a request of an operator or of the API.
    Request(Request),
    /// Accepts an outbound message.
    Accept(Box<AcceptTask>),
    /// Hands at most `max` parts to the channel, which has reserved room for them.
    SubmitParts { channel: ChannelIx, max: usize },
    /// Records the outcome of a part. `spellings` are the look-up keys of the provider's id.
    Outcome { number: MessageNo, part: u16, outcome: Outcome, spellings: Vec<u128> },
    /// Records a receipt whose part is known.
    Receipt { number: MessageNo, part: u16, state: PartState, code: Box<str>, from: ReceiptFrom },
    /// Records a report on every part that was submitted up to an instant.
    Watermark { state: PartState, upto: Timestamp, code: Box<str>, ack: Ack },
    /// Adds names by which the provider knows the customer.
    AddAliases { names: Names },
    /// Tries an unmatched receipt, kept by the channel, on the parts in doubt.
    DoubtReceipt(Box<DoubtReceipt>),
    /// Ends the work of a customer whose address passed to another session; `same` if that session
    /// is the same customer's. `change` tells which change of address it was.
    LoseAddress { same: bool, change: u64, ack: Ack },
    /// Records a message of the customer. `key` is the look-up key of the provider's id for it.
    Receive { identity: Box<Identity>, inbound: Box<Inbound>, key: Option<u128>, ack: Option<Ack> },
    /// Offers waiting deliveries to a destination.
    OfferDeliveries { destination: DestinationIx },
    /// Records deliveries that a destination accepted.
    DeliveryAccepted { destination: DestinationIx, deliveries: Vec<u32> },
    /// Records a delivery that a destination gave up.
    DeadLetter { delivery: u32, cause: Cause },
    /// Tells the state again if it follows from events up to an instant, because retention is
    /// about to remove them. Without an answer, nothing may be removed.
    Carry { upto: Timestamp, completion: Completion },
    /// Applies everything that is due by now.
    Wake,
}

/// A request that is answered after the flush of all that the answer depends on.
pub(crate) enum Request {
    /// Opens a session, or takes it over.
    Open { identity: Identity, handler: Box<str>, takeover: bool, reply: Reply<SessionView> },
    /// Ends the open session.
    End { id: SessionId, reason: CloseReason, reply: Reply<()> },
    /// Withdraws a message.
    Cancel { number: MessageNo, reply: Reply<()> },
    /// Withdraws at most `max` messages of which no part was sent yet; answers with their number.
    CancelQueued { max: usize, reply: Reply<usize> },
    /// Ends the pauses of parts that were deferred; answers with the number of their messages.
    RetryNow { reply: Reply<usize> },
    /// Settles a part in doubt.
    SettleDoubt { number: MessageNo, part: u16, by: DoubtSettlement, reply: Reply<()> },
    /// Puts a dead letter back into the deliveries.
    ReplayDeadLetter { delivery: u32, reply: Reply<()> },
    /// Shows the newest state of a stream; its past is read from the log by the caller.
    View { reply: Reply<NewestState> },
    /// Shows a message with its timeline.
    ViewMessage { number: MessageNo, reply: Reply<MessageAnswer> },
    /// Tells the newest event of a stream, and reads some of its messages, finished or not.
    Records { numbers: Vec<MessageNo>, reply: Reply<FoundRecords> },
    /// Tells the place that a new message would have in the session's queue.
    QueuePosition { reply: Reply<QueuePosition> },
}

/// A message with what its session knows about why it waits.
#[derive(Clone, Debug)]
pub(crate) struct MessageAnswer {
    pub(crate) view: MessageView,
    /// Set while it waits.
    pub(crate) wait: Option<MessageWait>,
}

/// Why a message waits, by the knowledge of its session.
#[derive(Clone, Debug)]
pub(crate) enum MessageWait {
    /// It is not done; `last` is why its last try failed, if it did.
    Session { stream: StreamId, wait: SessionWait, last: Option<Cause> },
    /// Its channel is not configured.
    NoChannel,
    /// It is done, and its notification has not been accepted.
    Notification { since: Timestamp },
}

/// The newest state of a stream.
#[derive(Clone, Debug)]
pub(crate) struct NewestState {
    /// The newest event of the stream.
    pub(crate) head: Seq,
    /// The session in memory, without events; `None` for a finished stream.
    pub(crate) live: Option<SessionView>,
    /// The number of the newest session.
    pub(crate) ordinal: u32,
}

/// Messages of a stream, as their events tell them.
pub(crate) struct FoundRecords {
    /// The newest event of the stream; `None` without such a stream.
    pub(crate) head: Option<Seq>,
    /// The session in memory.
    pub(crate) session: Option<ItemSession>,
    pub(crate) records: Vec<MessageRecord>,
}

/// The place that a new message would have in its session's queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueuePosition {
    /// Messages before it.
    pub(crate) messages: usize,
    pub(crate) open: bool,
    /// The newest session's ordinal; 0 without one.
    pub(crate) ordinal: u32,
    /// Whether the customer wrote in this session.
    pub(crate) replies: bool,
}

/// A message to be accepted.
pub(crate) struct AcceptTask {
    pub(crate) identity: Identity,
    pub(crate) channel: ChannelIx,
    pub(crate) id: MessageId,
    pub(crate) content: Content,
    pub(crate) handling: SmsHandling,
    pub(crate) priority: Option<u8>,
    pub(crate) send_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) destination: Option<DestinationId>,
    pub(crate) conversation_id: Option<Box<str>>,
    pub(crate) channel_data: Option<Box<str>>,
    /// The message that it answers, by the business's id.
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) reply: Arc<Answers>,
    /// Its place among the answers.
    pub(crate) place: usize,
}

/// The source of a receipt, which decides what follows its flush.
pub(crate) enum ReceiptFrom {
    /// The provider, which waits for an acknowledgement.
    Provider(Ack),
    /// The provider, by our own reference. A part of another channel makes it a stray receipt,
    /// which returns to this channel.
    Reference { channel: ChannelIx, stray: StrayReceipt },
    /// The provider. It belongs to the session only if its claim names the session's customer;
    /// otherwise it returns to this channel.
    Claimed { channel: ChannelIx, claim: Box<ReceiptClaim> },
    /// The channel, which kept it under a number until now. With addresses, one of them must be the
    /// customer's.
    Kept { channel: ChannelIx, parked: u32, addresses: Option<[Arc<str>; 2]> },
    /// The provider's answer to a query; no one waits.
    Query,
}

/// A receipt whose reference belongs to no part of the channel on which it arrived.
pub(crate) struct StrayReceipt {
    pub(crate) receipt: Box<InReceipt>,
    pub(crate) completion: Completion,
}

/// A receipt of an SMSC, or what looks like one, with the addresses that it names.
pub(crate) struct ReceiptClaim {
    pub(crate) reported: Reported,
    /// The session that it names when its source is the customer.
    pub(crate) address: Address,
    /// Set when it came as a message: if it leads to no part of this customer, it is one.
    pub(crate) words: Option<Box<CustomerWords>>,
    pub(crate) ack: Ack,
}

/// An unmatched receipt to be tried on parts in doubt.
pub(crate) struct DoubtReceipt {
    pub(crate) channel: ChannelIx,
    /// The number under which the channel keeps it.
    pub(crate) parked: u32,
    /// The place of the session among those that the receipt names.
    pub(crate) place: u8,
    /// Set where the session may be another customer's: one of these must be the customer's
    /// address.
    pub(crate) addresses: Option<[Arc<str>; 2]>,
    /// Whether it may be about a part that is with a link, whose answer is overdue.
    pub(crate) may_be_unanswered: bool,
    pub(crate) provider_id: Arc<str>,
    pub(crate) state: PartState,
    pub(crate) code: Box<str>,
    pub(crate) came_at: Timestamp,
    /// The look-up keys of its ids. If it matches, later receipts with one of them belong to the
    /// same part.
    pub(crate) spellings: Vec<u128>,
}
