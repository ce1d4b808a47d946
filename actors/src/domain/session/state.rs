//! The state of the sessions on one address: the open one, if any, and the unfinished work of
//! earlier ones. Plain data with questions about it; only [`apply`](super::apply) changes it, and
//! only `snapshot` knows how it is stored.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use channels::{smpp::numbering, text::join::Assembly};
use message::{
    Address, ChannelId, Choice, Content, Counters, DestinationId, Failure, MessageId, MessageNo,
    MessageStatus, PartState, PartStatus, SessionId, StreamId, Timestamp,
    event::{Cause, CloseReason, Received, Split},
};
use smallvec::SmallVec;

/// The sessions on one address.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The customer on a channel and DID.
    pub address: Address,
    /// The canonical address to which messages go, where it is not `address.customer`. Empty: none
    /// is known.
    pub reached: Option<Arc<str>>,
    /// The customer's address as messages to it need it, and as the business sees it.
    pub customer_shown: Arc<str>,
    /// The DID as configured.
    pub did_shown: Arc<str>,
    /// Whether the newest session is open; its ordinal is `counters.sessions`.
    pub open: bool,
    /// Beginning of the newest session.
    pub opened_at: Timestamp,
    /// Last event that postpones the close by inactivity.
    pub last_activity: Timestamp,
    /// Last message of the customer in this session.
    pub last_inbound: Option<Timestamp>,
    /// The person or bot that handles it; empty until someone takes it.
    pub handler: Arc<str>,
    /// The stream's counters.
    pub counters: Counters,
    /// Messages that the provider has not answered completely, by rising number. Boxed, here and
    /// in `sent`: a message is half a kilobyte, and most sessions have none.
    pub queue: VecDeque<Box<Outbound>>,
    /// Messages that the provider answered completely and that await receipts.
    pub sent: BTreeMap<MessageNo, Box<Outbound>>,
    /// Deliveries that the destination has not accepted, in order.
    pub deliveries: VecDeque<Delivery>,
    /// Deliveries that were given up, oldest first.
    pub dead_letters: Vec<DeadLetter>,
    /// Inbound messages with missing parts.
    pub assembly: Assembly,
    /// Last instant at which a part was handed to a link.
    pub last_sent: Timestamp,
    /// Answers that the customer can give to the newest numbered list.
    pub choices: Option<PendingChoices>,
    /// When the oldest event happened from which this state follows. Retention keeps what happened
    /// since, or has the state told again.
    pub since: Timestamp,
    /// Further names that lead to the session, oldest first.
    pub aliases: Vec<Arc<str>>,
}

/// A numbered list that the customer can answer.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingChoices {
    /// The lines of the list.
    pub choices: Vec<Choice>,
    /// Whether the customer wrote since. If so, the business's next message ends the list.
    pub answered: bool,
}

/// An outbound message.
#[derive(Clone, Debug, PartialEq)]
pub struct Outbound {
    /// The message's number in the stream.
    pub number: MessageNo,
    /// The business's id for it.
    pub id: MessageId,
    /// The text or body; emptied once the provider answered for every part.
    pub content: Content,
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
    pub conversation_id: Option<Box<str>>,
    /// CIM `channelData` as it came.
    pub channel_data: Option<Box<str>>,
    /// Changes that were made to fit the channel, in words for the business.
    pub adapted: SmallVec<[Box<str>; 1]>,
    /// The parts, in order.
    pub parts: SmallVec<[Part; 1]>,
    /// The highest status that the business was notified of.
    pub notified: MessageStatus,
    /// The provider's id of the message it replies to.
    pub reply_to: Option<Arc<str>>,
}

/// A part of an outbound message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// The join of all reports.
    pub state: PartState,
    /// The side that has to act.
    pub phase: Phase,
    /// Counted tries.
    pub tries: u16,
    /// Earliest instant of the next try.
    pub retry_at: Timestamp,
    /// Submits after the part was in doubt.
    pub resent: u16,
    /// Submits with unknown outcome. Each may have left a copy at the provider under an unknown
    /// id, for which receipts may come.
    pub doubts: u16,
    /// Whether the provider was asked for its state.
    pub queried: bool,
    /// The provider's id for it; empty until known.
    pub provider_id: Arc<str>,
    /// When it was last handed to a link.
    pub handed_at: Timestamp,
    /// The first failure reported for it.
    pub failure: Option<Box<Failure>>,
}

/// The side that has to act on a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Patchbay: the part waits to be submitted.
    #[default]
    Waiting,
    /// The provider: the part was handed to a link.
    Submitting,
    /// An operator or a receipt: the part is held in doubt.
    Held,
    /// Neither: the part was accepted, or it failed.
    Answered,
}

/// An item for a destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The delivery's number in the stream, from 1.
    pub number: u32,
    /// When it was created.
    pub at: Timestamp,
    /// The session it belongs to.
    pub ordinal: u32,
    /// Its destination; `None`: the DID's own.
    pub destination: Option<DestinationId>,
    /// Its content.
    pub kind: DeliveryKind,
}

/// The content of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum DeliveryKind {
    /// A customer's message.
    Message(Arc<Received>),
    /// A notification about an outbound message.
    Notification(Box<Notification>),
    /// The end of a session that the business did not end itself.
    EndChat(CloseReason),
}

/// A notification to the business about an outbound message.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The business's id of the message.
    pub id: MessageId,
    /// DELIVERED, READ or FAILED.
    pub status: MessageStatus,
    /// Why it failed, and the position of the part that failed first, from 0.
    pub failure: Option<(Failure, u16)>,
    /// Changes that were made to fit the channel.
    pub adapted: SmallVec<[Box<str>; 1]>,
    /// CIM `conversationId`.
    pub conversation_id: Option<Box<str>>,
    /// CIM `channelData` as it came.
    pub channel_data: Option<Box<str>>,
}

/// A delivery that was given up after its tries.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The delivery that was given up.
    pub delivery: Delivery,
    /// The destination's last answer.
    pub cause: Cause,
}

impl Session {
    /// Creates the state of an address without a session. Its numbers continue from `counters`.
    pub fn new(address: Address, counters: Counters) -> Self {
        Self {
            customer_shown: address.customer.clone(),
            did_shown: address.did.clone(),
            reached: address.later_name().map(Arc::from),
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
            choices: None,
            since: Timestamp::default(),
            aliases: Vec::new(),
        }
    }

    /// Creates the state in which a replay begins, before the first event names the address.
    pub fn blank() -> Self {
        let unnamed = Address { channel: ChannelId::from(""), did: Arc::from(""), customer: Arc::from("") };
        Self::new(unnamed, Counters::default())
    }

    /// Returns the canonical address to which messages go.
    pub fn customer(&self) -> &Arc<str> {
        self.reached.as_ref().unwrap_or(&self.address.customer)
    }

    /// Returns the newest session's id; `stream` is that of its address.
    pub fn id(&self, stream: StreamId) -> SessionId {
        SessionId { stream, ordinal: self.counters.sessions }
    }

    /// Returns the customer's address as the business sees it: without a type of number that only
    /// the channel needs.
    pub fn customer_handed_out(&self) -> Arc<str> {
        match numbering::handed_out(&self.customer_shown) {
            shown if shown.len() == self.customer_shown.len() => self.customer_shown.clone(),
            shown => Arc::from(shown),
        }
    }

    /// Returns whether no event has named the address yet.
    pub fn is_blank(&self) -> bool {
        self.address.channel.as_str().is_empty()
    }

    /// Returns the state with at most `items` items of each list, to be shown.
    pub fn abridged(&self, items: usize) -> Self {
        Self {
            address: self.address.clone(),
            reached: self.reached.clone(),
            customer_shown: self.customer_shown.clone(),
            did_shown: self.did_shown.clone(),
            handler: self.handler.clone(),
            queue: self.queue.iter().take(items).cloned().collect(),
            sent: self.sent.iter().take(items).map(|(number, sent)| (*number, sent.clone())).collect(),
            deliveries: self.deliveries.iter().take(items).cloned().collect(),
            dead_letters: self.dead_letters.iter().take(items).cloned().collect(),
            assembly: self.assembly.clone(),
            choices: self.choices.clone(),
            aliases: self.aliases.clone(),
            ..*self
        }
    }

    /// Returns whether all work on this address is finished, so that the stream may leave the
    /// index.
    pub fn is_done(&self) -> bool {
        !self.open
            && self.queue.is_empty()
            && self.sent.is_empty()
            && self.deliveries.is_empty()
            && self.dead_letters.is_empty()
            && self.assembly.next_due(0).is_none()
    }

    /// Returns an outbound message that is not settled.
    pub fn message(&self, number: MessageNo) -> Option<&Outbound> {
        let queued = || self.queue.get(self.queue_position(number).ok()?);
        self.sent.get(&number).or_else(queued).map(|message| &**message)
    }

    /// Returns a part of an outbound message that is not settled.
    pub fn part(&self, number: MessageNo, part: u16) -> Option<&Part> {
        self.message(number)?.parts.get(usize::from(part))
    }

    /// Returns the index of a message in the queue; `Err`: the index at which to insert it.
    pub(super) fn queue_position(&self, number: MessageNo) -> Result<usize, usize> {
        // Most queues have no gap. A search would read a message in each of its steps.
        let first = self.queue.front().map_or(number, |message| message.number);
        let guess = number.0.wrapping_sub(first.0) as usize;
        if self.queue.get(guess).is_some_and(|message| message.number == number) {
            return Ok(guess);
        }
        self.queue.binary_search_by_key(&number, |message| message.number)
    }

    /// Returns the outbound messages that are not settled, in no particular order.
    pub fn messages(&self) -> impl Iterator<Item = &Outbound> {
        self.queue.iter().chain(self.sent.values()).map(|message| &**message)
    }

    /// Returns whether a message that is not settled has this id, among those whose ids the log's
    /// look-ups cannot find.
    ///
    /// These are messages accepted `since` or later, whose events are not written yet, and messages
    /// accepted at `before` or earlier, whose look-ups retention has removed. Others are not
    /// searched: their number may be large, and the log answers for them.
    pub fn has_unindexed_id(&self, id: &MessageId, since: Timestamp, before: Timestamp) -> bool {
        let is_new = |message: &&Outbound| message.accepted_at >= since;
        let is_old = |message: &&Outbound| message.accepted_at <= before;
        let queue = self.queue.iter().map(|message| &**message);
        let sent = self.sent.values().map(|message| &**message);
        let new = queue.clone().rev().take_while(is_new).chain(sent.clone().rev().take_while(is_new));
        let old = queue.take_while(is_old).chain(sent.take_while(is_old));
        new.chain(old).any(|message| message.id == *id)
    }

    /// Returns the number of outbound messages that are not settled.
    pub fn messages_open(&self) -> usize {
        self.queue.len() + self.sent.len()
    }
}

impl Outbound {
    /// Returns the status that follows from its parts.
    pub fn status(&self) -> MessageStatus {
        MessageStatus::of(self.parts.iter().map(|part| part.state))
    }

    /// Returns whether a part of it waits: to be sent, for the provider's answer, or in doubt.
    pub fn is_waiting(&self) -> bool {
        self.parts.iter().any(|part| part.phase != Phase::Answered)
    }

    /// Returns the first failure among its parts, and the position of the part. A failure of a
    /// message that was delivered all the same does not count.
    pub fn failure(&self) -> Option<(&Failure, u16)> {
        if self.status() != MessageStatus::Failed {
            return None;
        }
        let failures = self.parts.iter().zip(0..).filter_map(|(part, n)| Some((part.failure.as_deref()?, n)));
        failures.min_by_key(|(failure, _)| failure.at)
    }

    /// Returns whether any part was ever handed to a link.
    pub fn started(&self) -> bool {
        self.parts.iter().any(Part::started)
    }

    /// Returns whether every part was answered by the provider or is held in doubt.
    pub fn answered(&self) -> bool {
        self.parts.iter().all(|part| matches!(part.phase, Phase::Answered | Phase::Held))
    }

    /// Returns whether the provider may hold copies of it under unknown ids.
    pub fn has_doubts(&self) -> bool {
        self.parts.iter().any(|part| part.doubts > 0)
    }

    /// Returns whether no further event can change it.
    pub fn settled(&self) -> bool {
        self.parts.iter().all(|part| part.phase == Phase::Answered && part.state.is_final())
    }

    /// Returns the parts to which a report on everything sent until an instant adds something.
    pub fn parts_until(&self, state: PartState, until: Timestamp) -> impl Iterator<Item = u16> {
        let is_new = move |part: &Part| {
            let accepted = part.phase == Phase::Answered && part.state.reached >= PartStatus::Sent;
            accepted && part.handed_at <= until && part.state.join(state) != part.state
        };
        self.parts_where(is_new)
    }

    /// Returns the parts that the provider has or may have, and that did not fail.
    pub fn parts_with_provider(&self) -> impl Iterator<Item = u16> {
        self.parts_where(|part| {
            let is_there = part.phase == Phase::Submitting || part.state.reached >= PartStatus::InDoubt;
            is_there && !part.state.failed
        })
    }

    /// Returns the positions of the parts for which `holds` is true, from 0.
    pub(super) fn parts_where(&self, holds: impl Fn(&Part) -> bool) -> impl Iterator<Item = u16> {
        self.parts.iter().zip(0..).filter(move |(part, _)| holds(part)).map(|(_, position)| position)
    }
}

impl Part {
    /// Returns whether it was ever handed to a link.
    pub fn started(&self) -> bool {
        self.phase != Phase::Waiting || self.tries > 0 || self.state != PartState::default()
    }
}
