//! Plain data of what comes in: the messages, receipts and account notices that a webhook or a poll brings.

use std::sync::Arc;

use message::{Content, PartState, PartStatus, Timestamp};
use smallvec::SmallVec;

use crate::contract::http::Reply;

/// What a provider's word for a state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// On its way inside the provider.
    Enroute,
    /// Taken, handed on.
    Sent,
    /// On the customer's device.
    Delivered,
    /// Seen by the customer.
    Read,
    /// Failed for good.
    Failed,
    /// Says nothing about the part.
    Nothing,
}

impl Report {
    /// What the lattice learns by it.
    pub fn state(self) -> Option<PartState> {
        match self {
            Self::Enroute => Some(PartState::reached(PartStatus::Enroute)),
            Self::Sent => Some(PartState::reached(PartStatus::Sent)),
            Self::Delivered => Some(PartState::reached(PartStatus::Delivered)),
            Self::Read => Some(PartState::reached(PartStatus::Read)),
            Self::Failed => Some(PartState::failure()),
            Self::Nothing => None,
        }
    }

    /// The meaning of a word in a provider's table, in any case.
    pub fn of(table: &[(&str, Self)], word: &str) -> Option<Self> {
        table.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, report)| *report)
    }
}

/// What a webhook brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Its items, in order.
    pub events: Vec<InEvent>,
    /// Items of kinds that mean nothing to us.
    pub ignored: usize,
    /// What the webhook is answered with; `None`: 200 without a body.
    pub reply: Option<Reply>,
}

/// One item of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InEvent {
    /// The customer wrote.
    Message(Box<InMessage>),
    /// The provider reports on a part.
    Receipt(Box<InReceipt>),
    /// The customer will take no more messages on this channel, or will again.
    OptOut {
        /// Our own address; empty: the channel's only one.
        did: Arc<str>,
        /// The customer, as the provider spells them.
        customer: Arc<str>,
        /// Whether they opted out.
        out: bool,
        /// What tells it from every other: the provider's id of what brought it, the same in every repetition.
        id: Arc<str>,
    },
    /// Something about our own account: verified, its quality fell, its name was refused, ...
    Account {
        /// What it is about, in the provider's word.
        about: Box<str>,
        /// What it says, for people.
        says: Box<str>,
    },
    /// One item that could not be read: what is wrong.
    Broken(Box<str>),
}

/// A customer's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InMessage {
    /// Our own address, as the provider spells it; empty: the channel's only one.
    pub did: Arc<str>,
    /// The customer, as the provider spells them.
    pub customer: Arc<str>,
    /// Further names of the same customer (a business-scoped user id, a number), as the provider spells them.
    pub aliases: SmallVec<[Arc<str>; 1]>,
    /// The provider's id of the message, the same in every repetition.
    pub id: Arc<str>,
    /// What it says. Files are named by [`media`](Self::media): their addresses are put in later.
    pub content: Content,
    /// The files of it, in the order of the `media:<n>` addresses in `content`.
    pub media: Vec<MediaRef>,
    /// When it was written, if the provider says so.
    pub time: Option<Timestamp>,
    /// The provider's id of the message that it answers.
    pub reply_to: Option<Arc<str>>,
    /// Further facts, as key and value: the customer's profile name as `customerName`, a pressed button's payload
    /// as `payload`, ...
    pub attributes: Vec<Attribute>,
}

/// A further fact about a message: key and value.
pub type Attribute = (Box<str>, Box<str>);

impl InMessage {
    /// A message with only what each has.
    pub fn new(did: &str, customer: &str, id: &str, content: Content) -> Self {
        Self {
            did: did.into(),
            customer: customer.into(),
            aliases: SmallVec::new(),
            id: id.into(),
            content,
            media: Vec::new(),
            time: None,
            reply_to: None,
            attributes: Vec::new(),
        }
    }
}

/// Where a customer's file is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaRef {
    /// Its address, or the provider's id for it.
    pub locator: Box<str>,
    /// Its media type, if the provider says so.
    pub content_type: Option<Box<str>>,
    /// Its file name, if the provider says so.
    pub file_name: Option<Box<str>>,
}

/// A provider's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InReceipt {
    /// Our own reference, if the provider echoed it.
    pub reference: Option<Arc<str>>,
    /// The provider's id of the part; empty when only our reference is known.
    pub id: Arc<str>,
    /// What it says.
    pub report: Report,
    /// The provider's code and words, `<code>` or `<code>: <words>`.
    pub code: Box<str>,
    /// Our own address, if known.
    pub did: Arc<str>,
    /// The customer, if known, as the provider spells them.
    pub customer: Arc<str>,
    /// For providers that report "everything up to this time was delivered/read" (Messenger): in milliseconds
    /// since 1970; `id` is then empty.
    pub watermark_ms: Option<i64>,
}

/// What asking for updates brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The items.
    pub received: Received,
    /// What to ask after next time, once these are safe.
    pub cursor: Option<Box<str>>,
}
