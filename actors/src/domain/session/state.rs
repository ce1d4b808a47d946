//! The state of the sessions on one address: the open one, if any, and what earlier ones left to finish.
//! Plain data; a snapshot of it is what the index keeps.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use channels::text::join::Assembly;
use message::{
    Address, ChannelId, Content, Counters, DestinationId, MessageId, MessageNo, MessageStatus, PartState,
    PartStatus, SessionId, Timestamp,
    event::{Cause, CloseReason, OfferedChoice, Received, Split},
};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The sessions on one address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Whose they are.
    pub address: Address,
    /// The customer's address as the business sees it.
    pub customer_shown: Arc<str>,
    /// The DID as configured.
    pub did_shown: Arc<str>,
    /// Whether a session is open; its ordinal is `counters.sessions`.
    pub open: bool,
    /// When the newest session began.
    pub opened_at: Timestamp,
    /// When anything last happened that keeps it open.
    pub last_activity: Timestamp,
    /// When the customer last wrote in it.
    pub last_inbound: Option<Timestamp>,
    /// Who handles it; empty until someone takes it.
    pub handler: Arc<str>,
    /// The numbers given out.
    pub counters: Counters,
    /// Messages not fully answered by the provider, in the order of their numbers. Boxed, here and below: a message is half a kilobyte,
    /// and room for several of them would be kept and moved for most sessions in vain.
    pub queue: VecDeque<Box<Outbound>>,
    /// Messages the provider answered for, awaiting receipts.
    pub sent: BTreeMap<MessageNo, Box<Outbound>>,
    /// Deliveries the destination has not taken, in order.
    pub deliveries: VecDeque<Delivery>,
    /// Deliveries given up.
    pub dead_letters: Vec<(Delivery, Cause)>,
    /// Inbound messages of which parts are missing.
    pub assembly: Assembly,
    /// When a part was last handed to a link.
    pub last_sent: Timestamp,
    /// What the customer may answer to the newest numbered list.
    pub offer: Option<Offer>,
}

/// A numbered list that the customer may answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Its lines.
    pub choices: Vec<OfferedChoice>,
    /// Whether the customer wrote since: then the business's next message ends it.
    pub answered: bool,
}

/// An outbound message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outbound {
    /// Its number in the stream.
    pub number: MessageNo,
    /// The business's id for it.
    pub id: MessageId,
    /// What it says; emptied once the provider answered for every part.
    pub content: Content,
    /// How it is cut.
    pub split: Split,
    /// 0 (bulk) to 10 (most urgent).
    pub priority: u8,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When the provider answered for its last part.
    pub answered_at: Option<Timestamp>,
    /// Not to be sent before.
    pub send_at: Option<Timestamp>,
    /// Not to be sent after.
    pub expires_at: Option<Timestamp>,
    /// Where its notifications go when not to the DID's destination.
    pub destination: Option<DestinationId>,
    /// CIM `conversationId`.
    pub conversation_id: Option<Box<str>>,
    /// CIM `channelData` as it came.
    pub channel_data: Option<Box<str>>,
    /// What was changed to fit.
    pub adapted: SmallVec<[Box<str>; 1]>,
    /// Its parts.
    pub parts: SmallVec<[Part; 1]>,
    /// The highest status the business was told of.
    pub notified: MessageStatus,
    /// The code and words that go with a failure or receipt.
    pub cause: Option<Cause>,
    /// The provider's id of the message it answers.
    pub reply_to: Option<Arc<str>>,
}

/// A part of an outbound message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// All that is known of it.
    pub state: PartState,
    /// Whose move it is.
    pub phase: Phase,
    /// Counted tries.
    pub tries: u16,
    /// Not to be tried again before.
    pub retry_at: Timestamp,
    /// How often it was sent again after being in doubt.
    pub resent: u16,
    /// Submits of it of which nobody told whether they were taken: each may have left a copy with the provider
    /// under an id that is not known, and receipts for it.
    pub doubts: u16,
    /// Whether the provider was asked what became of it.
    pub queried: bool,
    /// The provider's id for it; empty until known.
    pub provider_id: Arc<str>,
    /// When it was last handed to a link.
    pub handed_at: Timestamp,
}

/// Whose move it is with a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Ours: it waits to be submitted.
    #[default]
    Waiting,
    /// The provider's: it was handed to a link.
    Submitting,
    /// Nobody's: in doubt, held for a receipt or an operator.
    Held,
    /// Done, one way or the other.
    Answered,
}

/// Something for the destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its number in the stream, from 1.
    pub number: u32,
    /// When it came to be.
    pub at: Timestamp,
    /// The session it belongs to.
    pub ordinal: u32,
    /// Where it goes when not to the DID's destination.
    pub destination: Option<DestinationId>,
    /// What it is.
    pub kind: DeliveryKind,
}

/// The kinds of delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DeliveryKind {
    /// The customer wrote.
    Message(Arc<Received>),
    /// The fate of an outbound message.
    Notification(Box<Notification>),
    /// The session ended, and not because the business said so.
    EndChat(CloseReason),
}

/// The fate of an outbound message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// The message.
    pub id: MessageId,
    /// DELIVERED, READ or FAILED.
    pub status: MessageStatus,
    /// The code and words behind it.
    pub cause: Option<Cause>,
    /// What was changed to fit.
    pub adapted: SmallVec<[Box<str>; 1]>,
    /// CIM `conversationId`.
    pub conversation_id: Option<Box<str>>,
    /// CIM `channelData` as it came.
    pub channel_data: Option<Box<str>>,
}

impl Session {
    /// Nothing yet on an address whose numbers go on from `counters`.
    pub fn new(address: Address, counters: Counters) -> Self {
        Self {
            customer_shown: address.customer.clone(),
            did_shown: address.did.clone(),
            address,
            open: false,
            opened_at: Timestamp::default(),
            last_activity: Timestamp::default(),
            last_inbound: None,
            handler: Arc::from(""),
            counters,
            queue: VecDeque::new(),
            sent: BTreeMap::new(),
            deliveries: VecDeque::new(),
            dead_letters: Vec::new(),
            assembly: Assembly::default(),
            last_sent: Timestamp::default(),
            offer: None,
        }
    }

    /// The empty state that replay begins with, before the first event names the address.
    pub fn blank() -> Self {
        let nobody = Address { channel: ChannelId::from(""), did: Arc::from(""), customer: Arc::from("") };
        Self::new(nobody, Counters::default())
    }

    /// The newest session's id.
    pub fn id(&self) -> SessionId {
        SessionId { stream: self.address.stream(), ordinal: self.counters.sessions }
    }

    /// Whether nothing here is open any more: the stream leaves the index.
    pub fn is_done(&self) -> bool {
        !self.open
            && self.queue.is_empty()
            && self.sent.is_empty()
            && self.deliveries.is_empty()
            && self.dead_letters.is_empty()
            && self.assembly.next_due(0).is_none()
    }

    /// An outbound message that is not settled.
    pub fn message(&self, number: MessageNo) -> Option<&Outbound> {
        let queued = || self.queue.get(self.queued(number).ok()?);
        self.sent.get(&number).or_else(queued).map(|m| &**m)
    }

    /// Where a message stands in the queue, or would.
    pub(super) fn queued(&self, number: MessageNo) -> Result<usize, usize> {
        self.queue.binary_search_by_key(&number, |m| m.number)
    }

    /// Whether a message that is not settled has an id of the business, among those that the log does not find by it:
    /// they were accepted `since` then, or so long `before` that what is found by it was removed.
    pub fn has_unlisted(&self, id: &MessageId, since: Timestamp, before: Timestamp) -> bool {
        let is_new = |m: &&Outbound| m.accepted_at >= since;
        let is_old = |m: &&Outbound| m.accepted_at <= before;
        let (queue, sent) = (self.queue.iter().map(|m| &**m), self.sent.values().map(|m| &**m));
        let new = queue.clone().rev().take_while(is_new).chain(sent.clone().rev().take_while(is_new));
        let old = queue.take_while(is_old).chain(sent.take_while(is_old));
        new.chain(old).any(|m| m.id == *id)
    }

    /// Outbound messages not settled.
    pub fn messages_open(&self) -> usize {
        self.queue.len() + self.sent.len()
    }
}

impl Outbound {
    /// Its status.
    pub fn status(&self) -> MessageStatus {
        MessageStatus::of(self.parts.iter().map(|p| p.state))
    }

    /// Whether anything of it was ever handed to a link.
    pub fn started(&self) -> bool {
        self.parts.iter().any(Part::started)
    }

    /// Whether the provider answered for every part, or it is held.
    pub fn answered(&self) -> bool {
        self.parts.iter().all(|p| matches!(p.phase, Phase::Answered | Phase::Held))
    }

    /// Whether the provider may have taken copies of it under ids that are not known.
    pub fn has_doubts(&self) -> bool {
        self.parts.iter().any(|p| p.doubts > 0)
    }

    /// Whether nothing more can come of it.
    pub fn settled(&self) -> bool {
        self.parts.iter().all(|p| p.phase == Phase::Answered && p.state.is_final())
    }
}

impl Outbound {
    /// The parts that a report on all up to an instant means, as far as it says anything new of them.
    pub fn upto(&self, state: PartState, upto: Timestamp) -> impl Iterator<Item = (MessageNo, u16)> {
        let meant = move |part: &Part| {
            let taken = part.phase == Phase::Answered && part.state.reached >= PartStatus::Sent;
            taken && part.handed_at <= upto && part.state.join(state) != part.state
        };
        self.parts
            .iter()
            .enumerate()
            .filter(move |(_, part)| meant(part))
            .map(|(n, _)| (self.number, n as u16))
    }
}

impl Part {
    /// Whether it was ever handed to a link.
    pub fn started(&self) -> bool {
        self.phase != Phase::Waiting || self.tries > 0 || self.state != PartState::default()
    }
}
