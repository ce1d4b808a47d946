//! The snapshot format: the states that the index keeps, as versioned plain data beside the events.
//!
//! A snapshot is an enum whose variant is its version: a new shape is a new variant, and every
//! older one is still converted. Bytes are decoded by the position of variants and fields, and a
//! golden file fails when they change. No domain type may appear here: the domain converts to and
//! from these types, so that its own fields may be renamed, moved or derived at will.
//!
//! Large fields are borrowed on the way out ([`Cow`]) and owned on the way in.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{
    address::Address,
    content::{Choice, Content},
    counters::Counters,
    event::{Alphabet, Cause, CloseReason, Received, Split, UnmatchedReceipt},
    failure::Failure,
    id::{DestinationId, MessageId, MessageNo, Seq, Timestamp},
    status::{MessageStatus, PartState},
};

/// The sessions on one address, in the index entry of their stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SessionSnapshot<'a> {
    /// The first version.
    V1(SessionV1<'a>),
}

/// The state of a channel, in the index entry of the channel's own stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ChannelSnapshot<'a> {
    /// The first version.
    V1(ChannelV1<'a>),
}

/// A piece of a session's state in the log, beyond the life of the events that told it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CarriedSnapshot<'a> {
    /// The first version.
    V1(CarriedV1<'a>),
}

/// A piece of a session's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CarriedV1<'a> {
    /// The first piece: everything but the lists, whose items follow in pieces of their own.
    Session(Box<CarriedSessionV1<'a>>),
    /// A message that is not settled.
    Message(Box<OutboundV1<'a>>),
    /// A delivery that the destination has not accepted.
    Delivery(Box<DeliveryV1<'a>>),
    /// A delivery that was given up.
    DeadLetter(Box<DeadLetterV1<'a>>),
    /// The last piece, if there are others than the first: all of them are in the log.
    End,
}

/// The first piece of a session's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedSessionV1<'a> {
    /// The session with empty lists.
    pub session: SessionV1<'a>,
    /// Messages that are not settled; all others are forgotten.
    pub messages: Vec<MessageNo>,
    /// Deliveries that wait.
    pub deliveries: Vec<u32>,
    /// Deliveries that were given up.
    pub dead_letters: Vec<u32>,
}

/// Where a stream's events are in the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChainsV1 {
    /// The opening of the newest session.
    pub opening: Seq,
    /// The newest event of each message that is not settled, by rising number.
    pub heads: Vec<(MessageNo, Seq)>,
}

/// The sessions on one address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionV1<'a> {
    /// The customer's address on the channel and DID.
    pub address: Cow<'a, Address>,
    /// The canonical address to which messages go, where it is not `address.customer`.
    pub reached: Option<Arc<str>>,
    /// The customer's address as the business sees it.
    pub customer_shown: Arc<str>,
    /// The DID as configured.
    pub did_shown: Arc<str>,
    /// Whether the newest session is open.
    pub open: bool,
    /// Beginning of the newest session.
    pub opened_at: Timestamp,
    /// Last event that keeps it open.
    pub last_activity: Timestamp,
    /// Last message of the customer in it.
    pub last_inbound: Option<Timestamp>,
    /// The person or bot that handles it; may be empty.
    pub handler: Arc<str>,
    /// Last instant at which a part was handed to a link.
    pub last_sent: Timestamp,
    /// The stream's counters.
    pub counters: Counters,
    /// Messages that the provider has not answered completely, by rising number.
    pub queue: Vec<OutboundV1<'a>>,
    /// Answered messages that await receipts, by rising number.
    pub sent: Vec<OutboundV1<'a>>,
    /// Deliveries that the destination has not accepted, in order.
    pub deliveries: Vec<DeliveryV1<'a>>,
    /// Deliveries that were given up, oldest first.
    pub dead_letters: Vec<DeadLetterV1<'a>>,
    /// Inbound messages with missing parts.
    pub assembly: AssemblyV1<'a>,
    /// Answers that the customer can give to the newest numbered list.
    pub choices: Option<ChoicesV1<'a>>,
    /// When the oldest event happened from which this state follows.
    pub since: Timestamp,
    /// Further names that lead to the session.
    pub aliases: Vec<Arc<str>>,
    /// Where its events are in the log.
    pub chains: ChainsV1,
}

/// An outbound message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboundV1<'a> {
    /// The message's number in the stream.
    pub number: MessageNo,
    /// The business's id.
    pub id: MessageId,
    /// The text or body; empty once the provider answered for every part.
    pub content: Cow<'a, Content>,
    /// The cuts between parts.
    pub split: Split,
    /// 0 (bulk) to 10 (most urgent).
    pub priority: u8,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When the provider answered for its last part.
    pub answered_at: Option<Timestamp>,
    /// Earliest instant to send it.
    pub send_at: Option<Timestamp>,
    /// Latest instant to send it.
    pub expires_at: Option<Timestamp>,
    /// Destination of notifications about it; `None`: the DID's own.
    pub destination: Option<DestinationId>,
    /// CIM `conversationId`.
    pub conversation_id: Option<Cow<'a, str>>,
    /// CIM `channelData` as it came.
    pub channel_data: Option<Cow<'a, str>>,
    /// Changes that were made to fit the channel.
    pub adapted: Cow<'a, [Box<str>]>,
    /// The parts, in order.
    pub parts: SmallVec<[PartV1; 1]>,
    /// The highest status that the business was notified of.
    pub notified: MessageStatus,
    /// The provider's id of the message it replies to.
    pub reply_to: Option<Arc<str>>,
}

/// A part of an outbound message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartV1 {
    /// The join of all reports.
    pub state: PartState,
    /// The side that has to act.
    pub phase: PhaseV1,
    /// Counted tries.
    pub tries: u16,
    /// Earliest instant of the next try.
    pub retry_at: Timestamp,
    /// Submits after the part was in doubt.
    pub resent: u16,
    /// Submits with unknown outcome.
    pub doubts: u16,
    /// Whether the provider was asked for its state.
    pub queried: bool,
    /// The provider's id; empty until known.
    pub provider_id: Arc<str>,
    /// When it was last handed to a link.
    pub handed_at: Timestamp,
    /// The first failure reported for it.
    pub failure: Option<Box<Failure>>,
}

/// The side that has to act on a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhaseV1 {
    /// Patchbay: the part waits to be submitted.
    Waiting,
    /// The provider: the part was handed to a link.
    Submitting,
    /// An operator: the part is held in doubt.
    Held,
    /// Neither: the part is done.
    Answered,
}

/// A delivery to a destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryV1<'a> {
    /// The delivery's number in the stream, from 1.
    pub number: u32,
    /// When it was created.
    pub at: Timestamp,
    /// The session it belongs to.
    pub ordinal: u32,
    /// Its destination; `None`: the DID's own.
    pub destination: Option<DestinationId>,
    /// Its content.
    pub kind: DeliveryKindV1<'a>,
}

/// The content of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DeliveryKindV1<'a> {
    /// A customer's message.
    Message(Arc<Received>),
    /// A notification about an outbound message.
    Notification(NotificationV1<'a>),
    /// The end of a session that the business did not end itself.
    EndChat(CloseReason),
}

/// A notification about an outbound message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotificationV1<'a> {
    /// The business's id of the message.
    pub id: MessageId,
    /// DELIVERED, READ or FAILED.
    pub status: MessageStatus,
    /// Why it failed, and the position of the part that failed first, from 0.
    pub failure: Option<(Cow<'a, Failure>, u16)>,
    /// Changes that were made to fit the channel.
    pub adapted: Cow<'a, [Box<str>]>,
    /// CIM `conversationId`.
    pub conversation_id: Option<Cow<'a, str>>,
    /// CIM `channelData` as it came.
    pub channel_data: Option<Cow<'a, str>>,
}

/// A delivery that was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterV1<'a> {
    /// The delivery that failed.
    pub delivery: DeliveryV1<'a>,
    /// The destination's last answer.
    pub cause: Cow<'a, Cause>,
}

/// A numbered list that the customer can answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChoicesV1<'a> {
    /// The lines of the list.
    pub choices: Cow<'a, [Choice]>,
    /// Whether the customer wrote since.
    pub answered: bool,
}

/// The inbound messages of one address with missing parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AssemblyV1<'a> {
    /// Unfinished messages, in the order in which they began.
    pub open: Vec<GroupV1<'a>>,
    /// Finished messages, in the order in which they were finished.
    pub done: Vec<FinishedV1<'a>>,
}

/// An inbound message with missing parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupV1<'a> {
    /// The reference that its parts share.
    pub reference: u16,
    /// Number of parts.
    pub total: u8,
    /// When its first part arrived.
    pub first_at: Timestamp,
    /// The parts that arrived, by rising number.
    pub parts: Vec<HeldPartV1<'a>>,
    /// When it is delivered although one of its parts may be a repetition.
    pub settles_at: Option<Timestamp>,
}

/// A part of an inbound message that waits for the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldPartV1<'a> {
    /// Position of the part, from 1.
    pub number: u8,
    /// The encoding of the octets.
    pub alphabet: Alphabet,
    /// The part's octets.
    pub octets: Cow<'a, [u8]>,
    /// Whether it may repeat a part of a finished message.
    pub repeats: bool,
}

/// An inbound message that was finished, remembered to recognise repeated parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinishedV1<'a> {
    /// The reference that its parts shared.
    pub reference: u16,
    /// Number of parts.
    pub total: u8,
    /// When it was finished.
    pub at: Timestamp,
    /// Number and fingerprint of each part that arrived.
    pub prints: Cow<'a, [(u8, u64)]>,
}

/// The receipts that a channel keeps, and whether it is paused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelV1<'a> {
    /// When an operator paused the channel; `None` while it is not paused.
    pub paused_since: Option<Timestamp>,
    /// The kept receipts, oldest first.
    pub parked: Vec<ParkedV1<'a>>,
}

/// A receipt that is kept until its part is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParkedV1<'a> {
    /// The receipt as the provider sent it.
    pub receipt: Cow<'a, UnmatchedReceipt>,
    /// The spellings of its id, in the order to try them.
    pub ids: Cow<'a, [Box<str>]>,
    /// When it arrived.
    pub since: Timestamp,
    /// Retries so far.
    pub tries: u16,
}
