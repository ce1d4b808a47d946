//! Plain inbound data: the messages, receipts and account notices that a webhook or a poll brings.

use std::sync::Arc;

use message::{BodyType, Content, PartState, PartStatus, Timestamp};
use serde_json::{Value, json};
use smallvec::SmallVec;

use crate::contract::http::Reply;

/// The meaning of a provider's word for a part's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// On its way inside the provider.
    Enroute,
    /// Accepted and handed on.
    Sent,
    /// On the customer's device.
    Delivered,
    /// Seen by the customer.
    Read,
    /// Failed permanently.
    Failed,
    /// Without meaning for the part.
    Nothing,
}

impl Report {
    /// Returns the state that the status lattice joins.
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

    /// Returns the meaning of a word in a provider's table, in any case.
    pub fn of(table: &[(&str, Self)], word: &str) -> Option<Self> {
        table.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, report)| *report)
    }
}

/// The content of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The items in order.
    pub events: Vec<InEvent>,
    /// Number of items of kinds that have no meaning here.
    pub ignored: usize,
    /// Kinds of items that are not in the provider's table of events, in its words.
    pub unknown: Vec<Box<str>>,
    /// The reply to the webhook; `None` means 200 without a body.
    pub reply: Option<Reply>,
}

/// One item of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InEvent {
    /// The customer sent a message.
    Message(Box<InMessage>),
    /// The provider reports on a part.
    Receipt(Box<InReceipt>),
    /// The customer opted out of messages on this channel, or opted in again.
    OptOut {
        /// Our own address; empty for the channel's only one.
        did: Arc<str>,
        /// The customer, as the provider spells them.
        customer: Arc<str>,
        /// Whether they opted out.
        out: bool,
        /// A key for deduplication: the provider's id of the cause, equal in every repetition.
        id: Arc<str>,
    },
    /// The customer is reached at another address from now on.
    Moved(Box<InMove>),
    /// A notice about our own account: verified, its quality fell, its name was refused, ...
    Account {
        /// The subject, in the provider's word.
        about: Box<str>,
        /// The notice, for people.
        says: Box<str>,
    },
    /// An item that could not be read, with the problem.
    Broken(Box<str>),
}

/// A customer's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InMessage {
    /// Our own address, as the provider spells it; empty for the channel's only one.
    pub did: Arc<str>,
    /// The customer, as the provider spells them.
    pub customer: Arc<str>,
    /// Further names of the same customer (a business-scoped user id, a number), as the provider
    /// spells them.
    pub aliases: SmallVec<[Arc<str>; 1]>,
    /// The provider's id of the message, equal in every repetition.
    pub id: Arc<str>,
    /// The content. Files are named by [`media`](Self::media); their addresses are filled in later.
    pub content: Content,
    /// The files, in the order of the `media:<n>` addresses in `content`.
    pub media: Vec<MediaRef>,
    /// The time of writing, if the provider states it.
    pub time: Option<Timestamp>,
    /// The provider's id of the message that this one replies to.
    pub reply_to: Option<Arc<str>>,
    /// Further facts: the customer's profile name as `customerName`, a pressed button's payload as
    /// `payload`, ...
    pub attributes: Vec<Attribute>,
    /// Whether the customer wrote it, or did what the provider counts as writing: it opens the
    /// window for free messages. Otherwise it tells of something.
    pub is_written: bool,
    /// Whether it belongs where the message is that it replies to: the provider does not say in
    /// which part of a chat it was.
    pub is_placed_by_reply: bool,
}

/// A change of the address at which a customer is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InMove {
    /// The names that the customer had, as the provider spells them.
    pub previous: SmallVec<[Arc<str>; 2]>,
    /// The names from now on; messages go to the first.
    pub names: SmallVec<[Arc<str>; 2]>,
    /// Names among `previous` that may get another owner, such as telephone numbers.
    pub released: SmallVec<[Arc<str>; 1]>,
    /// The notice to the business in the conversation; its `customer` is the first of `names`.
    pub notice: InMessage,
}

/// A further fact about a message: key and value.
pub type Attribute = (Box<str>, Box<str>);

impl InMessage {
    /// Returns a message with only the mandatory values.
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
            is_written: true,
            is_placed_by_reply: false,
        }
    }

    /// Returns a NOTIFICATION that tells the business of something in the conversation. `data` are
    /// the members of its `notificationData`, whose first word says what it is about.
    pub fn notice(did: &str, customer: &str, id: &str, words: &str, data: Value) -> Self {
        let body = json!({"type": "NOTIFICATION", "markdownText": words, "notificationType": "INFO",
            "notificationData": data});
        let content = Content::Rich { body_type: BodyType::Notification, json: body.to_string().into() };
        Self { is_written: false, ..Self::new(did, customer, id, content) }
    }
}

/// A reference to a customer's file at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaRef {
    /// The file's address, or the provider's id for it.
    pub locator: Box<str>,
    /// The media type, if the provider states it.
    pub content_type: Option<Box<str>>,
    /// The file name, if the provider states it.
    pub file_name: Option<Box<str>>,
}

/// A provider's report on a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InReceipt {
    /// Our own reference, if the provider echoed it.
    pub reference: Option<Arc<str>>,
    /// The provider's id of the part; empty when only our reference is known.
    pub id: Arc<str>,
    /// The reported state.
    pub report: Report,
    /// The provider's code and words: `<code>` or `<code>: <words>`.
    pub code: Box<str>,
    /// Our own address, if known.
    pub did: Arc<str>,
    /// The customer, if known, as the provider spells them.
    pub customer: Arc<str>,
    /// For providers that report "everything up to this time was delivered/read" (Messenger), the
    /// time in milliseconds since 1970; `id` is then empty.
    pub watermark_ms: Option<i64>,
}

/// The result of a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The items.
    pub received: Received,
    /// The position from which to poll next, once the items are durable.
    pub cursor: Option<Box<str>>,
}
