//! The facts the log holds: one enum, versioned by growth. Variants and fields are only ever added at the end
//! of the enum as new variants, never changed: old logs must open for ever (golden files prove it).
//!
//! An event does not repeat what its stream already says: the address is in [`Event::SessionOpened`], a
//! message is named by its number in the stream.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{
    address::Address,
    content::Content,
    counters::Counters,
    id::{ChannelId, DestinationId, MessageId, MessageNo, Timestamp},
    status::PartState,
};

/// One fact in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A session began on this stream's address.
    SessionOpened(Box<SessionOpened>),
    /// The open session ended.
    SessionClosed {
        /// Why.
        reason: CloseReason,
    },
    /// The open session changed hands.
    SessionTaken {
        /// Who handles it from now on.
        handler: Arc<str>,
    },
    /// An outbound message was accepted.
    Accepted(Box<Accepted>),
    /// Parts are about to be handed to a link. Durable before their bytes leave.
    Submitting {
        /// The message.
        message: MessageNo,
        /// The parts, from 0.
        parts: SmallVec<[u16; 4]>,
    },
    /// The provider took a part.
    Submitted {
        /// The message.
        message: MessageNo,
        /// The part, from 0.
        part: u16,
        /// The provider's id for it, as spelled; may be empty (accepted, untrackable).
        provider_id: Arc<str>,
    },
    /// A part was not taken, and will be tried again.
    Deferred {
        /// The message.
        message: MessageNo,
        /// The part, from 0.
        part: u16,
        /// The provider's code and words, or what went wrong on the way.
        cause: Cause,
        /// Not to be tried again before.
        retry_at: Timestamp,
        /// Whether this try counts against the limit of tries (a throttled one does not).
        counted: bool,
    },
    /// A part failed for good.
    PartFailed {
        /// The message.
        message: MessageNo,
        /// The part, from 0; [`ALL_PARTS`] for all that were not yet taken.
        part: u16,
        /// Why.
        cause: Cause,
    },
    /// A part's submit may or may not have reached the provider.
    InDoubt {
        /// The message.
        message: MessageNo,
        /// The part, from 0.
        part: u16,
        /// What happened.
        cause: DoubtCause,
        /// When it is sent again (and flagged); `None`: it waits for a receipt or an operator.
        resend_at: Option<Timestamp>,
    },
    /// An operator or a policy settled a part in doubt.
    DoubtSettled {
        /// The message.
        message: MessageNo,
        /// The part, from 0.
        part: u16,
        /// How.
        by: DoubtSettlement,
    },
    /// A receipt, matched to a part.
    Receipt {
        /// The message.
        message: MessageNo,
        /// The part, from 0.
        part: u16,
        /// What it says.
        state: PartState,
        /// The provider's code, e.g. `DELIVRD/000`.
        code: Box<str>,
    },
    /// An accepted message was given up before all of it was sent: its validity ended.
    Expired {
        /// The message.
        message: MessageNo,
    },
    /// An accepted message was withdrawn before any of it was sent.
    Cancelled {
        /// The message.
        message: MessageNo,
    },
    /// The customer wrote.
    Received(Box<Received>),
    /// One part of a longer inbound message came; the whole follows as [`Event::Received`].
    PartReceived(Box<PartReceived>),
    /// The destination took everything up to and with this delivery of the stream.
    Taken {
        /// The number of the delivery, from 1 in each stream.
        delivery: u32,
    },
    /// A delivery was given up after its tries and put among the dead letters.
    DeadLettered {
        /// The number of the delivery.
        delivery: u32,
        /// The last answer.
        cause: Cause,
    },
    /// A dead letter was put back to be delivered again, after all that waits.
    DeadLetterReplayed {
        /// The number of the delivery.
        delivery: u32,
    },
    /// Nothing more is expected for a message that the provider took: no receipt was asked for, or none came
    /// in time.
    Settled {
        /// The message.
        message: MessageNo,
    },
    /// The provider was asked what became of a part for which no receipt came.
    Queried {
        /// The message.
        message: MessageNo,
        /// The part, from 0.
        part: u16,
    },
    /// A finished stream was touched again.
    Revived(Box<Revived>),
    /// A receipt for a message that had been settled.
    LateReceipt(Box<LateReceipt>),
    /// The oldest incomplete inbound message is no longer waited for: the [`Event::Received`] before this one
    /// holds what came of it.
    PartsGivenUp,
    /// Channel stream: the link is stopped until someone changes something (credentials refused, ...).
    ChannelStopped {
        /// Why.
        cause: Cause,
    },
    /// Channel stream: an operator or a configuration change started it again.
    ChannelStarted,
    /// Channel stream: a receipt whose part is not known (yet). `number` counts them from 1.
    ReceiptUnmatched(Box<UnmatchedReceipt>),
    /// Channel stream: a receipt kept earlier found its part, or was dropped after its time.
    ReceiptSettled {
        /// Its number.
        number: u32,
        /// Whether it found its part.
        matched: bool,
    },
    /// More is known of who the customer is: further names, or another spelling to write to.
    CustomerKnown(Box<CustomerKnown>),
    /// An accepted message answers another one.
    InReplyTo {
        /// The message.
        message: MessageNo,
        /// The provider's id of the one it answers.
        provider_id: Arc<str>,
    },
    /// An accepted message became a numbered list: what the customer may answer.
    Offered(Box<Offered>),
}

/// Stands for all parts of a message that no provider has taken yet.
pub const ALL_PARTS: u16 = u16::MAX;

/// What began a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// Whose it is.
    pub address: Address,
    /// Which session on this address, from 1.
    pub ordinal: u32,
    /// The customer's address as the business should see it, e.g. with `+`.
    pub customer_shown: Arc<str>,
    /// The DID as configured.
    pub did_shown: Arc<str>,
    /// Who or what opened it.
    pub by: OpenedBy,
    /// Who handles it; empty until someone takes it.
    pub handler: Arc<str>,
    /// Where the stream's numbers go on.
    pub counters: Counters,
}

/// A finished stream was touched again by a late receipt: who it belongs to and where its numbers go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revived {
    /// Whose it is.
    pub address: Address,
    /// The customer's address as the business should see it.
    pub customer_shown: Arc<str>,
    /// The DID as configured.
    pub did_shown: Arc<str>,
    /// Where the stream's numbers go on.
    pub counters: Counters,
}

/// A receipt for a message that had been settled: all a notification needs, for its state is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateReceipt {
    /// The message.
    pub message: MessageNo,
    /// The part, from 0.
    pub part: u16,
    /// What the receipt says.
    pub state: PartState,
    /// The provider's code.
    pub code: Box<str>,
    /// Set when the message's status rose by it: what the business is told.
    pub notify: Option<LateNotification>,
}

/// What a late receipt tells the business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateNotification {
    /// The message's status now.
    pub status: crate::status::MessageStatus,
    /// The business's id for it.
    pub id: MessageId,
    /// Where its notifications go when not to the DID's destination.
    pub destination: Option<DestinationId>,
    /// CIM `conversationId`.
    pub conversation_id: Option<Box<str>>,
    /// CIM `channelData` as it came.
    pub channel_data: Option<Box<str>>,
}

/// Who began a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenedBy {
    /// The customer's first message.
    Customer,
    /// The business's first message.
    Business,
    /// An explicit request (START_CHAT, `POST /v1/sessions`).
    Agent,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloseReason {
    /// Nothing was heard for the channel's `inactivity_timeout`.
    Inactivity,
    /// The business ended it (END_CHAT or `DELETE /v1/sessions/{id}`).
    Business,
    /// The customer ended it.
    Customer,
}

/// An accepted outbound message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its number in the stream.
    pub number: MessageNo,
    /// The business's id for it.
    pub id: MessageId,
    /// What it says.
    pub content: Content,
    /// How it is cut into parts: fixed here, so that a later change of configuration cannot move the cuts.
    pub split: Split,
    /// 0 (bulk) to 10 (most urgent).
    pub priority: u8,
    /// Not to be sent before.
    pub send_at: Option<Timestamp>,
    /// Not to be sent after; the provider is told the rest of it.
    pub expires_at: Option<Timestamp>,
    /// Where its notifications go when not to the DID's destination.
    pub destination: Option<DestinationId>,
    /// CIM `conversationId`, given back in notifications.
    pub conversation_id: Option<Box<str>>,
    /// CIM `channelData` as it came, when it holds more than the two addresses.
    pub channel_data: Option<Box<str>>,
    /// What was changed to fit the channel, in words for the business.
    pub adapted: SmallVec<[Box<str>; 1]>,
}

/// How a text is cut into parts on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Number of parts, at least 1.
    pub parts: u16,
    /// The alphabet of all parts.
    pub alphabet: Alphabet,
    /// How parts are marked as belonging together.
    pub concatenation: Concatenation,
    /// The reference number all parts share.
    pub reference: u16,
}

impl Split {
    /// One part that the provider may cut by itself.
    pub const WHOLE: Split =
        Split { parts: 1, alphabet: Alphabet::Provider, concatenation: Concatenation::None, reference: 0 };
}

/// An SMS alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Alphabet {
    /// Not ours to choose: the provider encodes.
    Provider,
    /// GSM 03.38, default and extension table.
    Gsm7,
    /// UTF-16 big-endian (what SMPP calls UCS-2).
    Ucs2,
    /// ISO 8859-1.
    Latin1,
    /// Octets as they are.
    Binary,
    /// GSM 03.38 with a national single shift table (language id of TS 23.038: 1 Turkish, 2 Spanish, 3 Portuguese).
    Gsm7Single(u8),
    /// GSM 03.38 with national locking and single shift tables (1 Turkish, 3 Portuguese).
    Gsm7Locking(u8),
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

/// A code and words for people, from the provider or from us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The provider's own code (`0x00000058`, `http 503`) or one of ours (`expired`, `no_answer`).
    pub code: Box<str>,
    /// In words.
    pub reason: Box<str>,
}

impl Cause {
    /// A cause from its two halves.
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
    /// Patchbay was stopped hard after the intent was written.
    Restart,
}

/// How a part in doubt was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DoubtSettlement {
    /// It is sent again.
    Resend,
    /// It is given up.
    Fail,
    /// It is taken as sent.
    Sent,
}

/// Who a session's customer is, as the provider names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerKnown {
    /// Whose session it is.
    pub address: Address,
    /// The customer's address as the provider spelled it last: what is written to, and shown.
    pub customer_shown: Arc<str>,
    /// Names that lead to this session from now on, canonical.
    pub aliases: Vec<Arc<str>>,
}

/// What a customer may answer to a message that was sent as a numbered list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// The message.
    pub message: MessageNo,
    /// The lines.
    pub choices: Vec<OfferedChoice>,
}

/// A line of a numbered list.
pub use crate::cim::Choice as OfferedChoice;

/// An inbound message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The number of its delivery in the stream, from 1.
    pub delivery: u32,
    /// The id the business sees it under.
    pub id: MessageId,
    /// The provider's id; empty where there is none (an SMPP MO has none).
    pub provider_id: Arc<str>,
    /// What it says.
    pub content: Content,
    /// When the provider says it was written, if it does.
    pub provider_time: Option<Timestamp>,
    /// How many parts of how many came, when some are missing.
    pub incomplete: Option<(u16, u16)>,
    /// Further facts from the provider, as `key`, `value`.
    pub attributes: Vec<(Box<str>, Box<str>)>,
}

/// One part of a longer inbound message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReceived {
    /// The reference its parts share.
    pub reference: u16,
    /// How many there are.
    pub total: u8,
    /// Which this is, from 1.
    pub number: u8,
    /// The part's octets, not yet decoded: a character may be cut between parts.
    pub octets: Box<[u8]>,
    /// How they are to be read.
    pub alphabet: Alphabet,
}

/// A receipt whose part is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmatchedReceipt {
    /// Counts them in the channel's stream, from 1.
    pub number: u32,
    /// The channel.
    pub channel: ChannelId,
    /// The provider's id, as spelled.
    pub provider_id: Arc<str>,
    /// The customer, canonical.
    pub customer: Arc<str>,
    /// The DID, canonical.
    pub did: Arc<str>,
    /// What it says.
    pub state: PartState,
    /// The provider's code.
    pub code: Box<str>,
}
