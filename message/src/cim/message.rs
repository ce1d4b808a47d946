//! A CIM message from the business, and the limits of its fields. Plain data.

use crate::{
    content::Content,
    event::SmsHandling,
    id::{MessageId, Timestamp},
};

/// Largest message in bytes of JSON; a larger one is refused, as with all limits below.
pub const MESSAGE_JSON_BYTES_MAX: usize = 1 << 20;
/// Longest text of a PLAIN body, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Largest rich body, in bytes of JSON.
pub const BODY_JSON_BYTES_MAX: usize = 256 * 1024;
/// Largest `channelData`, in bytes of JSON.
pub const CHANNEL_DATA_BYTES_MAX: usize = 16 * 1024;
/// Longest address of a customer or a service, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 256;
/// Longest conversation id, session id, sender's name or intent, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Maximum number of messages in one request.
pub const ITEMS_MAX: usize = 1_000;
/// Longest validity period in milliseconds: 366 days.
pub const VALIDITY_MS_MAX: u64 = 366 * 24 * 3_600_000;
/// Highest request priority.
pub const PRIORITY_MAX: u8 = 10;

/// A CIM message from the business.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The business's id; the router draws one when it is missing.
    pub id: Option<MessageId>,
    /// The customer's address as written (`channelCustomerIdentifier`).
    pub customer: Box<str>,
    /// The business's address as written; it selects the channel.
    pub service_identifier: Box<str>,
    /// The type of channel, if the sender names one (`channelTypeCode`, `channelType`).
    pub channel_type: Option<Box<str>>,
    /// The requested action.
    pub intent: Intent,
    /// The message that is replied to or updated.
    pub original_message_id: Option<MessageId>,
    /// The provider's id, if the sender knows it.
    pub provider_message_id: Option<Box<str>>,
    /// Conversation id, given back in notifications.
    pub conversation_id: Option<Box<str>>,
    /// The business's id of the session.
    pub channel_session_id: Option<Box<str>>,
    /// The author.
    pub sender: Option<Sender>,
    /// 0 (bulk) to 10 (most urgent); `None`: the channel's default.
    pub priority: Option<u8>,
    /// When it was written, by the sender's clock.
    pub timestamp: Option<Timestamp>,
    /// The times between which it may be sent.
    pub scheduling: Scheduling,
    /// Wishes for the customer's telephone, on channels that can pass them on.
    pub handling: SmsHandling,
    /// The text or body.
    pub content: Content,
    /// The complete `channelData` as it came, when it holds more than the two addresses. Priority
    /// 0, null and empty lists do not count.
    pub channel_data_json: Option<Box<str>>,
}

/// The intent of a message (`header.intent`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Intent {
    /// Send the message.
    #[default]
    None,
    /// Send the message as a reply to the original message.
    ReplyTo,
    /// Replace the original message.
    Update,
    /// Open a session.
    StartChat,
    /// End the session.
    EndChat,
    /// Any other word, in upper case.
    Other(Box<str>),
}

/// The author of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// The author's id; may be empty.
    pub id: Box<str>,
    /// Person or program.
    pub kind: SenderKind,
    /// The author's name; may be empty.
    pub name: Box<str>,
}

/// A kind of author.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the wire's own words")]
pub enum SenderKind {
    Agent,
    Bot,
    Customer,
    App,
    Connector,
    System,
    /// A missing kind, or one that this version does not know.
    #[default]
    Unknown,
}

/// The times between which a message may be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// Earliest instant.
    pub send_at: Option<Timestamp>,
    /// Period after the earliest instant in which it is worth sending.
    pub validity_ms: Option<u64>,
    /// Latest instant.
    pub expires_at: Option<Timestamp>,
}

impl Scheduling {
    /// Returns the latest instant to send a message that is accepted `now`: the earlier of both
    /// limits.
    pub fn expiry(&self, now: Timestamp) -> Option<Timestamp> {
        let first = self.send_at.map_or(now, |send_at| send_at.max(now));
        let by_validity = self.validity_ms.map(|ms| first.plus_ms(ms));
        match (by_validity, self.expires_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
