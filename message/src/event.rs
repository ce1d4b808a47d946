//! The event format: the facts that the log holds, as one enum of plain data.
//!
//! Bytes in a log are decoded by the position of variants and fields, so a change of order, type or
//! number is a change of format, and a golden file fails on it. No domain type may appear here.
//!
//! An event does not repeat what its stream already says: the address is in
//! [`Event::SessionOpened`], and a message is named by its number in the stream.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{
    address::Address,
    content::{Choice, Content},
    counters::Counters,
    id::{ChannelId, DestinationId, MessageId, MessageNo, Seq, Timestamp},
    status::{MessageStatus, PartState},
};

/// One fact in a stream. Parts are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A session began on this stream's address.
    SessionOpened(Box<SessionOpened>),
    /// The open session ended.
    SessionClosed {
        /// Why it ended.
        reason: CloseReason,
    },
    /// The open session changed hands.
    SessionTaken {
        /// The new handler.
        handler: Arc<str>,
    },
    /// An outbound message was accepted.
    Accepted(Box<Accepted>),
    /// Parts are about to be handed to a link. Durable before any of their bytes leave.
    Submitting {
        /// Number of the message in the stream.
        message: MessageNo,
        /// The parts that are handed over together.
        parts: SmallVec<[u16; 4]>,
    },
    /// The provider accepted a part.
    Submitted {
        /// Number of the message in the stream.
        message: MessageNo,
        /// Position of the part, from 0.
        part: u16,
        /// The provider's id for the part, as spelled. Empty: accepted, but receipts cannot be
        /// matched by id.
        provider_id: Arc<str>,
    },
    /// A part was not accepted and will be tried again.
    Deferred {
        /// Number of the message in the stream.
        message: MessageNo,
        /// Position of the part, from 0.
        part: u16,
        /// The provider's code and words, or the failure on the way to it.
        cause: Cause,
        /// Earliest instant of the next try.
        retry_at: Timestamp,
        /// Whether this try counts against the limit of tries; a throttled one does not.
        counted: bool,
    },
    /// One part, or the rest of a message, failed for good.
    PartFailed {
        /// Number of the message in the stream.
        message: MessageNo,
        /// The parts that failed.
        parts: FailedParts,
        /// Why they failed.
        cause: Cause,
    },
    /// A part's submit may or may not have reached the provider.
    InDoubt {
        /// Number of the message in the stream.
        message: MessageNo,
        /// Position of the part, from 0.
        part: u16,
        /// How the answer was lost.
        cause: DoubtCause,
        /// Instant at which the part is sent again and flagged. `None`: it is held until a receipt
        /// or an operator settles it.
        resend_at: Option<Timestamp>,
    },
    /// An operator or a policy settled a part in doubt.
    DoubtSettled {
        /// Number of the message in the stream.
        message: MessageNo,
        /// Position of the part, from 0.
        part: u16,
        /// The decision.
        by: DoubtSettlement,
    },
    /// A receipt was matched to a part.
    Receipt {
        /// Number of the message in the stream.
        message: MessageNo,
        /// Position of the part, from 0.
        part: u16,
        /// The reported state.
        state: PartState,
        /// The provider's code, e.g. `DELIVRD/000`.
        code: Box<str>,
    },
    /// A message's validity ended before all of it was sent.
    Expired {
        /// Number of the message in the stream.
        message: MessageNo,
    },
    /// A message was withdrawn before any of it was sent.
    Cancelled {
        /// Number of the message in the stream.
        message: MessageNo,
    },
    /// The customer wrote a message.
    Received(Box<Received>),
    /// One part of a longer inbound message arrived; the whole follows as [`Event::Received`].
    PartReceived(Box<PartReceived>),
    /// The destination accepted a delivery.
    Taken {
        /// The delivery's number in the stream, from 1.
        delivery: u32,
    },
    /// A delivery was given up after its tries and moved to the dead letters.
    DeadLettered {
        /// The delivery's number in the stream.
        delivery: u32,
        /// The destination's last answer.
        cause: Cause,
    },
    /// A dead letter was queued for delivery again, behind all that waits.
    DeadLetterReplayed {
        /// The delivery's number in the stream.
        delivery: u32,
    },
    /// Nothing more is expected for a message that the provider accepted: no receipt was asked for,
    /// or none came in time.
    Settled {
        /// Number of the message in the stream.
        message: MessageNo,
    },
    /// The provider was asked for the state of a part without a receipt.
    Queried {
        /// Number of the message in the stream.
        message: MessageNo,
        /// Position of the part, from 0.
        part: u16,
    },
    /// A finished stream was touched again.
    Revived(Box<Revived>),
    /// A receipt arrived for a message that had been settled.
    LateReceipt(Box<LateReceipt>),
    /// The oldest incomplete inbound message is no longer waited for: the [`Event::Received`]
    /// before this one holds the parts that came.
    PartsGivenUp,
    /// Channel stream: the link is stopped until someone changes something, e.g. refused
    /// credentials.
    ChannelStopped {
        /// Why it stopped.
        cause: Cause,
    },
    /// Channel stream: an operator or a configuration change started the link again.
    ChannelStarted,
    /// Channel stream: a receipt was kept because its part is not known yet.
    ReceiptUnmatched(Box<UnmatchedReceipt>),
    /// Channel stream: a kept receipt found its part, or was dropped after its time.
    ReceiptSettled {
        /// The number of the kept receipt.
        number: u32,
        /// Whether it found its part.
        matched: bool,
    },
    /// The provider told more names of the customer, or another spelling to write to.
    CustomerKnown(Box<CustomerKnown>),
    /// An accepted message replies to another one.
    InReplyTo {
        /// Number of the message in the stream.
        message: MessageNo,
        /// The provider's id of the message it replies to.
        provider_id: Arc<str>,
    },
    /// An accepted message was sent as a numbered list that the customer can answer.
    Offered(Box<Offered>),
    /// The customer is reached at another address from now on, or at none.
    CustomerMoved(Box<CustomerMoved>),
    /// A piece of a session's state, told again before retention removes the events that tell it.
    Carried {
        /// Number of the message that the piece is about, if it is about one.
        message: Option<MessageNo>,
        /// The piece in the snapshot format, opaque here.
        snapshot: Box<[u8]>,
    },
    /// Log stream: retention removes every event before this one.
    SegmentsRemoved {
        /// The first event that stays.
        before: Seq,
    },
    /// Channel stream: an operator paused the channel: nothing is sent until it is resumed.
    ChannelPaused,
    /// Channel stream: an operator ended the pause.
    ChannelResumed,
}

/// The parts of a message that failed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailedParts {
    /// A single part.
    One(u16),
    /// Every part that waits to be sent or is held in doubt.
    Unsent,
}

/// The beginning of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// The customer's address on the channel and DID.
    pub address: Address,
    /// The session's number on this address, from 1.
    pub ordinal: u32,
    /// The canonical address to which messages go, where it is not `address.customer`.
    pub reached: Option<Arc<str>>,
    /// The customer's address as the business should see it, e.g. with `+`.
    pub customer_shown: Arc<str>,
    /// The DID as configured.
    pub did_shown: Arc<str>,
    /// The side that opened it.
    pub by: OpenedBy,
    /// The person or bot that handles it; empty until someone takes it.
    pub handler: Arc<str>,
    /// The stream's counters before this session.
    pub counters: Counters,
}

/// The new beginning of a finished stream that a late receipt touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revived {
    /// The customer's address on the channel and DID.
    pub address: Address,
    /// The canonical address to which messages go, where it is not `address.customer`.
    pub reached: Option<Arc<str>>,
    /// The customer's address as the business should see it.
    pub customer_shown: Arc<str>,
    /// The DID as configured.
    pub did_shown: Arc<str>,
    /// The stream's counters when it finished.
    pub counters: Counters,
}

/// A receipt for a message that had been settled. Holds all that a notification needs, because the
/// message's state is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateReceipt {
    /// Number of the message in the stream.
    pub message: MessageNo,
    /// Position of the part, from 0.
    pub part: u16,
    /// The reported state.
    pub state: PartState,
    /// The provider's code.
    pub code: Box<str>,
    /// The notification to send, when the receipt raised the message's status.
    pub notify: Option<LateNotification>,
}

/// The content of a notification about a settled message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateNotification {
    /// The message's new status.
    pub status: MessageStatus,
    /// The business's id for the message.
    pub id: MessageId,
    /// Destination of the notification; `None`: the DID's own.
    pub destination: Option<DestinationId>,
    /// CIM `conversationId`.
    pub conversation_id: Option<Box<str>>,
    /// CIM `channelData` as it came.
    pub channel_data: Option<Box<str>>,
}

/// The side that began a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenedBy {
    /// The customer, with a first message.
    Customer,
    /// The business, with a first message.
    Business,
    /// An explicit request: START_CHAT or `POST /v1/sessions`.
    Agent,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloseReason {
    /// Neither side wrote for the channel's `inactivity_timeout`.
    Inactivity,
    /// The business ended it: END_CHAT or `DELETE /v1/sessions/{id}`.
    Business,
    /// The customer ended it.
    Customer,
    /// The address passed to the customer of another session.
    Reassigned,
}

/// An accepted outbound message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The message's number in the stream.
    pub number: MessageNo,
    /// The business's id for the message.
    pub id: MessageId,
    /// The text or body, adapted to the channel.
    pub content: Content,
    /// The cuts between parts. Fixed here, so that a change of configuration cannot move them.
    pub split: Split,
    /// 0 (bulk) to 10 (most urgent).
    pub priority: u8,
    /// Earliest instant to send it.
    pub send_at: Option<Timestamp>,
    /// Latest instant to send it; the provider is told the remaining time.
    pub expires_at: Option<Timestamp>,
    /// Destination of notifications about it; `None`: the DID's own.
    pub destination: Option<DestinationId>,
    /// CIM `conversationId`, given back in notifications.
    pub conversation_id: Option<Box<str>>,
    /// CIM `channelData` as it came, when it holds more than the two addresses.
    pub channel_data: Option<Box<str>>,
    /// Changes that were made to fit the channel, in words for the business.
    pub adapted: SmallVec<[Box<str>; 1]>,
}

/// How a text is cut into parts on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Number of parts, at least 1.
    pub parts: u16,
    /// The alphabet of all parts.
    pub alphabet: Alphabet,
    /// The marking that joins the parts.
    pub concatenation: Concatenation,
    /// The reference number that all parts share.
    pub reference: u16,
    /// Wishes for the telephone.
    pub handling: SmsHandling,
}

/// Wishes for the telephone that gets an SMS: its class, and an application's ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SmsHandling {
    /// The message class (TS 23.038, 4): 0 is shown at once and not kept ("flash"), 1 goes to the
    /// telephone, 2 to the SIM, 3 to a connected device.
    pub class: Option<u8>,
    /// The ports of applications.
    pub ports: Option<SmsPorts>,
}

impl SmsHandling {
    /// An ordinary message.
    pub const PLAIN: SmsHandling = SmsHandling { class: None, ports: None };
}

/// The ports of applications between which an SMS goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SmsPorts {
    /// The port of the customer's application.
    pub destination: u16,
    /// The port of ours; 0 without one.
    pub source: u16,
    /// Whether they are sent in the user data header (TS 23.040, 9.2.3.24.4), which takes room from
    /// the text, and not as parameters of SMPP.
    pub in_header: bool,
}

impl Split {
    /// One part that the provider may cut by itself.
    pub const WHOLE: Split = Split {
        parts: 1,
        alphabet: Alphabet::Provider,
        concatenation: Concatenation::None,
        reference: 0,
        handling: SmsHandling::PLAIN,
    };
}

/// An SMS alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Alphabet {
    /// The provider chooses the encoding.
    Provider,
    /// GSM 03.38, default and extension table.
    Gsm7,
    /// UTF-16 big-endian, which SMPP calls UCS-2.
    Ucs2,
    /// ISO 8859-1.
    Latin1,
    /// Raw octets.
    Binary,
    /// GSM 03.38 with a national single shift table. The language id is that of TS 23.038:
    /// 1 Turkish, 2 Spanish, 3 Portuguese.
    Gsm7Single(u8),
    /// GSM 03.38 with national locking and single shift tables: 1 Turkish, 3 Portuguese.
    Gsm7Locking(u8),
    /// The set that SMPP 3.4 names by this data_coding: 5 JIS X 0208, 6 ISO 8859-5, 7 ISO 8859-8,
    /// 9 pictograms, 10 ISO-2022-JP, 13 JIS X 0212, 14 KS C 5601. Inbound only.
    Coded(u8),
}

/// How the parts of a long SMS are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Concatenation {
    /// A single part.
    None,
    /// User data header with an 8-bit reference.
    Udh8,
    /// User data header with a 16-bit reference.
    Udh16,
    /// The SMPP `sar_*` parameters.
    Sar,
    /// One `message_payload`: the SMSC cuts.
    Payload,
}

/// A code with an explanation, from the provider or from Patchbay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The provider's own code (`0x00000058`, `http 503`) or one of Patchbay's (`expired`,
    /// `no_answer`).
    pub code: Box<str>,
    /// The explanation for people.
    pub reason: Box<str>,
}

impl Cause {
    /// Creates a cause.
    pub fn new(code: impl Into<Box<str>>, reason: impl Into<Box<str>>) -> Self {
        Self { code: code.into(), reason: reason.into() }
    }
}

/// How a part came in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DoubtCause {
    /// The link was lost between the submit and its answer.
    LinkLost,
    /// No answer came in time.
    NoAnswer,
    /// Patchbay was killed after the intent was written.
    Restart,
}

/// How a part in doubt was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DoubtSettlement {
    /// The part is sent again.
    Resend,
    /// The part is given up.
    Fail,
    /// The part counts as sent.
    Sent,
}

/// The provider's names of a session's customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerKnown {
    /// The session's address.
    pub address: Address,
    /// The customer's address as the provider last spelled it; messages go to this spelling.
    pub customer_shown: Arc<str>,
    /// Canonical names that lead to this session from now on.
    pub aliases: Vec<Arc<str>>,
}

/// A change of the address at which a customer is reached. The stream stays the customer's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerMoved {
    /// The address that names the stream: the first one of the customer.
    pub address: Address,
    /// The canonical address to which messages go from now on. Empty: none is known.
    pub reached: Arc<str>,
    /// That address as the business should see it.
    pub customer_shown: Arc<str>,
    /// Canonical names that lead to this stream from now on.
    pub names: Vec<Arc<str>>,
    /// Names that belong to nobody from an instant on: the next customer who writes from one is
    /// another.
    pub released: Vec<(Arc<str>, Timestamp)>,
    /// When it changed, by the provider's clock.
    pub at: Timestamp,
    /// Tells this change from every other one; it is part of the next owner's address.
    pub change: u64,
}

/// The answers that a customer can give to a message that was sent as a numbered list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Number of the message in the stream.
    pub message: MessageNo,
    /// The lines of the list.
    pub choices: Vec<Choice>,
}

/// An inbound message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The number of its delivery in the stream, from 1.
    pub delivery: u32,
    /// The id under which the business sees it.
    pub id: MessageId,
    /// The provider's id; empty for protocols without one, such as an SMPP MO.
    pub provider_id: Arc<str>,
    /// The text or body.
    pub content: Content,
    /// When it was written, if the provider says so.
    pub provider_time: Option<Timestamp>,
    /// Set when parts are missing.
    pub incomplete: Option<Incomplete>,
    /// Further facts from the provider, as key and value.
    pub attributes: Vec<(Box<str>, Box<str>)>,
    /// Whether the customer wrote it, or did what counts as writing: it opens the window for free
    /// messages. Otherwise it tells of something.
    pub is_written: bool,
}

/// The count of a message of which parts are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incomplete {
    /// Parts that arrived.
    pub arrived: u16,
    /// Parts that the message has.
    pub total: u16,
}

/// One part of a longer inbound message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReceived {
    /// The reference that its parts share.
    pub reference: u16,
    /// Number of parts.
    pub total: u8,
    /// Position of this part, from 1.
    pub number: u8,
    /// The part's octets, not yet decoded: a character may be cut between parts.
    pub octets: Box<[u8]>,
    /// The encoding of the octets.
    pub alphabet: Alphabet,
}

/// A receipt that was kept because its part is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmatchedReceipt {
    /// Its number in the channel's stream, from 1.
    pub number: u32,
    /// The channel that received it.
    pub channel: ChannelId,
    /// The provider's id of the part, as spelled.
    pub provider_id: Arc<str>,
    /// The customer's canonical address.
    pub customer: Arc<str>,
    /// The canonical DID.
    pub did: Arc<str>,
    /// The reported state.
    pub state: PartState,
    /// The provider's code.
    pub code: Box<str>,
    /// Set when it came as a message: if it leads to no part of this customer, it is one.
    pub words: Option<Box<CustomerWords>>,
}

/// A customer's message in the form of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerWords {
    /// The id under which the business would see it.
    pub id: MessageId,
    /// The customer's address as the business would see it.
    pub customer_shown: Arc<str>,
    /// The text.
    pub content: Content,
}
