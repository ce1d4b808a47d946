//! What the router shows of itself: plain data with the outer contract's names, ready to be written as JSON.

pub(crate) mod describe;
pub(crate) mod http_trace;
pub(crate) mod page;

use std::sync::Arc;

use message::{ChannelId, DestinationId, MessageId, MessageStatus, SessionId, Timestamp};
use serde::Serialize;

pub use self::{describe::EventView, http_trace::ExchangeView};

/// A message as `GET /v1/messages/{id}` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// The business's id.
    pub message_id: MessageId,
    /// Its status.
    pub status: MessageStatus,
    /// Its session.
    pub session_id: SessionIdText,
    /// Its channel.
    pub channel: ChannelId,
    /// The customer.
    pub customer: Arc<str>,
    /// Our own address.
    pub did: Arc<str>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// What was changed to fit the channel.
    pub adapted: Vec<Box<str>>,
    /// Its parts.
    pub parts: Vec<PartView>,
    /// Everything that happened to it, oldest first.
    pub events: Vec<EventView>,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartView {
    /// From 1.
    pub part: u16,
    /// How far it came.
    pub status: MessageStatus,
    /// The provider's id for it; empty until known.
    pub provider_id: Arc<str>,
    /// Tries, without those that were throttled or never left.
    pub tries: u16,
    /// How often it was sent again after being in doubt: the customer may have it that many times more.
    pub resent_in_doubt: u16,
}

/// A session id as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionIdText(pub SessionId);

impl Serialize for SessionIdText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A session as `GET /v1/sessions/{id}` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Its id.
    pub session_id: SessionIdText,
    /// `open` or `closed`.
    pub state: &'static str,
    /// Its channel.
    pub channel: ChannelId,
    /// Our own address.
    pub did: Arc<str>,
    /// The customer.
    pub customer: Arc<str>,
    /// Who handles it; empty until someone takes it.
    pub handler: Arc<str>,
    /// When it began.
    pub opened_at: Timestamp,
    /// When anything last happened in it.
    pub last_activity: Timestamp,
    /// When it will be closed if nothing more happens.
    pub closes_at: Option<Timestamp>,
    /// Outbound messages not yet final.
    pub messages_open: usize,
    /// Deliveries the destination has not taken.
    pub deliveries_waiting: usize,
    /// Deliveries given up.
    pub dead_letters: usize,
    /// The whole state in a canonical text: equal texts mean equal states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Its events, oldest first (only when asked for one session).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventView>,
}

/// A channel as the admin port shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelView {
    /// Its id.
    pub id: ChannelId,
    /// Its name.
    pub name: Arc<str>,
    /// Its provider.
    pub provider: &'static str,
    /// Its own addresses.
    pub dids: Vec<Arc<str>>,
    /// `connected`, `connecting`, `disconnected`, `credentials_refused`, `failed`.
    pub status: &'static str,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Its links.
    pub links: Vec<LinkView>,
    /// Parts per second.
    pub send_rate: f64,
    /// Set while the provider throttles: until when nothing is sent.
    pub paused_until: Option<Timestamp>,
    /// Sessions waiting for their turn.
    pub sessions_waiting: usize,
    /// Parts handed to links and not answered.
    pub parts_outstanding: usize,
    /// Receipts whose part is not known.
    pub receipts_unmatched: usize,
    /// How it went to tell the provider where it finds us, where that is done by calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_up: Option<SetUpView>,
    /// What the provider says of the account: its verified name, the quality of its number, ...
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub account: Vec<FactView>,
    /// Counts since start.
    pub counts: ChannelCounts,
}

/// What a provider says of the account itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FactView {
    /// What it is about, in the provider's word.
    pub about: Box<str>,
    /// What it says.
    pub says: Box<str>,
    /// Since when.
    pub since: Timestamp,
}

/// What became of telling a provider where it finds us and what it is to bring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetUpView {
    /// `changed`, `unchanged` (it was so already) or `failed`.
    pub status: &'static str,
    /// What was found and done, or why it could not be.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

/// A link of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkView {
    /// Its number, from 1.
    pub link: u16,
    /// `bound`, `connecting`, `waiting`, `stopped`.
    pub status: &'static str,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Connection attempts since it was last bound.
    pub attempts: u32,
    /// Unanswered submits.
    pub outstanding: usize,
}

/// Counts of a channel since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelCounts {
    /// Parts the provider took.
    pub submitted: u64,
    /// Parts put off.
    pub deferred: u64,
    /// Parts refused for good.
    pub rejected: u64,
    /// Parts that came in doubt.
    pub in_doubt: u64,
    /// Receipts matched.
    pub receipts: u64,
    /// Receipts nobody knew at first.
    pub receipts_unmatched: u64,
    /// Inbound messages (their parts).
    pub received: u64,
    /// Answers that asked for less.
    pub throttled: u64,
    /// PDUs or bodies that made no sense.
    pub malformed: u64,
}

/// A destination as the admin port shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationView {
    /// Its id.
    pub id: DestinationId,
    /// Where it is.
    pub url: Arc<str>,
    /// `up` or `down`.
    pub status: &'static str,
    /// The last failure, in words.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Sessions with deliveries waiting.
    pub sessions_waiting: usize,
    /// POSTs under way.
    pub posts_outstanding: usize,
    /// Deliveries taken since start.
    pub taken: u64,
    /// Failed POSTs since start.
    pub failed: u64,
}

/// A part in doubt, or one that was sent again after it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DoubtView {
    /// The message.
    pub message_id: MessageId,
    /// The part, from 1.
    pub part: u16,
    /// Its session.
    pub session_id: SessionIdText,
    /// Its channel.
    pub channel: ChannelId,
    /// The customer.
    pub customer: Arc<str>,
    /// How often it was sent again.
    pub resent: u16,
    /// Whether it is held for a receipt or an operator.
    pub held: bool,
}

/// A receipt whose part is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnmatchedView {
    /// Its number in the channel's stream.
    pub number: u32,
    /// The channel.
    pub channel: ChannelId,
    /// The provider's id.
    pub provider_id: Arc<str>,
    /// The customer.
    pub customer: Arc<str>,
    /// Our own address.
    pub did: Arc<str>,
    /// The provider's code.
    pub code: Box<str>,
    /// When it came.
    pub received_at: Timestamp,
}

/// A delivery that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterView {
    /// `<stream>-<number>`: its `X-Patchbay-Event-Id`, and its name for replay.
    pub id: String,
    /// Its session.
    pub session_id: SessionIdText,
    /// The destination that did not take it.
    pub destination: DestinationId,
    /// What it was: `message`, `notification` or `intent`.
    pub kind: &'static str,
    /// The last answer.
    pub reason: String,
}

/// A message as a provider would be given it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedMessage {
    /// Its CIM type.
    #[serde(rename = "type")]
    pub body_type: &'static str,
    /// Its text, or its body as JSON.
    pub content: String,
    /// The alphabet that its text needs, on channels of SMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms_alphabet: Option<String>,
    /// How many SMS its text takes there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms_segments: Option<usize>,
}

/// What would be sent: the answer to `?plan=true`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// The channel that would carry it, and why that one.
    pub channel: ChannelId,
    /// Its provider.
    pub provider: &'static str,
    /// Why this channel.
    pub because: String,
    /// The customer in the provider's spelling.
    pub customer: Arc<str>,
    /// Our own address.
    pub did: Arc<str>,
    /// The session it would go to, and whether that is open now.
    pub session_id: SessionIdText,
    /// Whether that session is open.
    pub session_open: bool,
    /// The text as it would be sent.
    pub text: String,
    /// The alphabet.
    pub alphabet: String,
    /// How parts are marked.
    pub concatenation: String,
    /// How many parts.
    pub parts: u16,
    /// What the provider would be given, one call each; one text where we cut it for the wire ourselves.
    pub messages: Vec<PlannedMessage>,
    /// What the customer could answer to a numbered list.
    pub choices: Vec<message::Choice>,
    /// How many SMS the phone network would carry, on channels of SMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms_segments: Option<usize>,
    /// What would be changed to fit.
    pub adapted: Vec<Box<str>>,
    /// Its lane, 0 to 10.
    pub priority: u8,
    /// Where its notifications would go.
    pub destination: DestinationId,
    /// Messages of the same session that go before it.
    pub ahead_in_session: usize,
}

/// An event as the tail shows it, with what a filter needs.
#[derive(Clone, Debug)]
pub struct TailEvent {
    /// The event.
    pub event: EventView,
    /// The channel, when known.
    pub channel: Option<ChannelId>,
    /// The session, when it is one's.
    pub session: Option<SessionId>,
    /// The message's id, when known.
    pub message_id: Option<MessageId>,
}
