//! The state of the router as the HTTP surfaces show it: plain data with the names of the outer
//! contract, ready to be written as JSON.

pub(crate) mod advice;
pub(crate) mod census;
pub(crate) mod describe;
pub(crate) mod failure;
pub(crate) mod http_trace;
pub mod messages;
pub(crate) mod page;
pub(crate) mod problems;
pub mod series;
pub mod session_state;
pub(crate) mod waiting;

use std::sync::Arc;

use message::{ChannelId, DestinationId, MessageId, MessageStatus, Seq, SessionId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

pub use self::{
    describe::EventView,
    failure::{ExplainedView, FailedCodeView, FailureView},
    http_trace::ExchangeView,
    problems::{ProblemKind, ProblemView, Severity},
    session_state::SessionStateView,
    waiting::{WaitReason, WaitingView},
};

/// A message as `GET /v1/messages/{id}` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// The business's id.
    pub message_id: MessageId,
    /// Status of the whole message.
    pub status: MessageStatus,
    /// The session to which it belongs.
    pub session_id: SessionIdText,
    /// Id of the channel.
    pub channel: ChannelId,
    /// The customer's address as the business sees it.
    pub customer: Arc<str>,
    /// Our own address.
    pub did: Arc<str>,
    /// The destination of its notifications.
    pub destination: DestinationId,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its text, at most 4,000 characters of it; empty where retention has removed it.
    pub text: String,
    /// Notes on changes that were made to fit the channel.
    pub adapted: Vec<Box<str>>,
    /// The parts, in order.
    pub parts: Vec<PartView>,
    /// Why it failed, if it did.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
    /// Why it waits, while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingView>,
    /// Everything that happened to it, oldest first.
    pub events: Vec<EventView>,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartView {
    /// From 1.
    pub part: u16,
    /// How far it has come.
    pub status: MessageStatus,
    /// The provider's id for it; empty until known.
    pub provider_id: Arc<str>,
    /// Number of attempts, without those that were throttled or not written.
    pub tries: u16,
    /// Number of times it was sent again after being in doubt; the customer may have that many more
    /// copies.
    pub resent_in_doubt: u16,
    /// Why it failed, if it did.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
}

/// A session id as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub struct SessionIdText(#[schemars(with = "String")] pub SessionId);

impl Serialize for SessionIdText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A session as `GET /v1/sessions/{id}` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// The session to which it belongs.
    pub session_id: SessionIdText,
    /// `open` or `closed`.
    pub state: &'static str,
    /// Id of the channel.
    pub channel: ChannelId,
    /// Our own address.
    pub did: Arc<str>,
    /// The destination of what the customer writes.
    pub destination: DestinationId,
    /// The customer's address as the business sees it.
    pub customer: Arc<str>,
    /// The handler; empty until the session is taken.
    pub handler: Arc<str>,
    /// When it began.
    pub opened_at: Timestamp,
    /// When the last message of either side was recorded.
    pub last_activity: Timestamp,
    /// When inactivity closes it.
    pub closes_at: Option<Timestamp>,
    /// Outbound messages not yet final.
    pub messages_open: usize,
    /// Deliveries that the destination has not accepted.
    pub deliveries_waiting: usize,
    /// Deliveries that were given up.
    pub dead_letters: usize,
    /// The whole state; of a session in memory, at most 100 items of each list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Box<SessionStateView>>,
    /// Its events, oldest first (only when asked for one session).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventView>,
    /// The first of the events, if there are older ones: ask for those with `before`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Seq>,
}

/// The messages that wait for a provider's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingTotalView {
    /// How many.
    pub messages: u64,
    /// Since when the oldest waits, in seconds; 0 if none does.
    pub oldest_seconds: u64,
}

/// A channel as the admin port shows it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelView {
    /// Id in the configuration.
    pub id: ChannelId,
    /// Name for people.
    pub name: Arc<str>,
    /// Name of the provider.
    pub provider: &'static str,
    /// Its own addresses.
    pub dids: Vec<Arc<str>>,
    /// `connected`, `connecting`, `disconnected`, `paused`, `credentials_refused`, `misconfigured`
    /// (an own address is not the account's), `failed`.
    pub status: &'static str,
    /// Why, in words.
    pub reason: String,
    /// Since when it has this status.
    pub since: Timestamp,
    /// The provider's code, while it refuses the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    /// State of each link.
    pub links: Vec<LinkView>,
    /// Whether webhooks are accepted although nothing proves who sent them.
    pub unsigned: bool,
    /// Parts per second; missing when unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_rate: Option<f64>,
    /// Set while messages wait for the send rate alone: the key and its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<String>,
    /// Set while the provider throttles: until when nothing is sent.
    pub paused_until: Option<Timestamp>,
    /// Set while an operator has paused the channel: since when nothing is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_since: Option<Timestamp>,
    /// Sessions waiting for their turn.
    pub sessions_waiting: usize,
    /// Parts handed to links and not answered.
    pub parts_outstanding: usize,
    /// Receipts whose part is not known.
    pub receipts_unmatched: usize,
    /// When the oldest of them came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts_unmatched_since: Option<Timestamp>,
    /// Webhooks that were refused, while some were in the last ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhooks_refused: Option<RefusedCallsView>,
    /// The result of registering the webhook, where that is done by calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_up: Option<SetUpView>,
    /// Facts about the account: its verified name, the quality of its number, and the like.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub account: Vec<FactView>,
    /// Own addresses that customers wrote to and the channel does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_dids: Vec<UnknownDidView>,
    /// The address at which the provider calls, where it calls one and `public_url` is configured.
    pub webhook_url: Option<Arc<str>>,
    /// Counts since start.
    pub counts: ChannelCounts,
    /// Messages that failed since start, by code, most first.
    pub failures: Vec<FailedCodeView>,
}

/// A fact about our own account, as the provider states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FactView {
    /// The subject, in the provider's word.
    pub about: Box<str>,
    /// The provider's statement.
    pub says: Box<str>,
    /// Since when.
    pub since: Timestamp,
}

/// An own address that customers wrote to and the channel does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnknownDidView {
    /// The address, in the channel's spelling.
    pub did: Arc<str>,
    /// The number of messages to it since start.
    pub messages: u64,
    /// When the first one came.
    pub first: Timestamp,
    /// When the last one came.
    pub last: Timestamp,
    /// The consequence and the fix.
    pub reason: String,
}

/// The result of registering a webhook with the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetUpView {
    /// `changed`, `unchanged` (it was so already) or `failed`.
    pub status: &'static str,
    /// The finding and the change, or the reason of the failure.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

/// Webhooks that were refused one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedCallsView {
    /// Their number.
    pub count: u64,
    /// When the first was refused.
    pub since: Timestamp,
    /// When the last was refused.
    pub last_at: Timestamp,
    /// Why the last was refused.
    pub reason: Box<str>,
}

/// The state of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusView {
    /// The problems that were found, the worst first.
    pub problems: Vec<ProblemView>,
    /// The time of this answer.
    pub now: Timestamp,
    /// When this run began.
    pub started_at: Timestamp,
    /// How long it has lasted, in milliseconds.
    pub uptime_ms: u64,
    /// Number of channels.
    pub channels_total: usize,
    /// Those that are connected.
    pub channels_connected: usize,
    /// Number of destinations.
    pub destinations_total: usize,
    /// Those that are up.
    pub destinations_up: usize,
    /// Messages that are due and that the provider has not answered.
    pub messages_waiting: u64,
    /// How long the oldest of them has waited, in milliseconds.
    pub oldest_waiting_ms: u64,
    /// Whether the time did not suffice to count all messages that wait.
    pub is_partial: bool,
}

/// A link of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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
    /// When the next attempt is due, while it waits for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// Connection attempts since it was last bound.
    pub attempts: u32,
    /// Unanswered submits.
    pub outstanding: usize,
}

/// Counts of a channel since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelCounts {
    /// Parts that the provider accepted.
    pub submitted: u64,
    /// Parts that were deferred.
    pub deferred: u64,
    /// Parts that were rejected finally.
    pub rejected: u64,
    /// Parts that were in doubt.
    pub in_doubt: u64,
    /// Receipts matched.
    pub receipts: u64,
    /// Receipts that matched no part at first.
    pub receipts_unmatched: u64,
    /// Receipts whose word for the state has no known meaning.
    pub receipts_unread: u64,
    /// Inbound messages (their parts).
    pub received: u64,
    /// Answers that asked to send less.
    pub throttled: u64,
    /// PDUs or bodies that could not be read.
    pub malformed: u64,
}

/// A destination as the admin port shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DestinationView {
    /// Id in the configuration.
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
    /// POSTs in flight.
    pub posts_outstanding: usize,
    /// Deliveries accepted since the start.
    pub taken: u64,
    /// Failed POSTs since the start.
    pub failed: u64,
}

/// A part in doubt, or one that was sent again after it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoubtView {
    /// The business's id of the message.
    pub message_id: MessageId,
    /// The part, from 1.
    pub part: u16,
    /// The session to which it belongs.
    pub session_id: SessionIdText,
    /// Id of the channel.
    pub channel: ChannelId,
    /// The customer's address as the business sees it.
    pub customer: Arc<str>,
    /// Number of times it was sent again.
    pub resent: u16,
    /// Whether it is held for a receipt or an operator.
    pub held: bool,
}

/// A receipt whose part is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnmatchedView {
    /// Its number in the channel's stream.
    pub number: u32,
    /// Id of the channel.
    pub channel: ChannelId,
    /// The provider's id.
    pub provider_id: Arc<str>,
    /// The customer's address as the business sees it.
    pub customer: Arc<str>,
    /// Our own address.
    pub did: Arc<str>,
    /// The provider's code.
    pub code: Box<str>,
    /// When it came.
    pub received_at: Timestamp,
}

/// A delivery that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterView {
    /// `<stream>-<number>`: its `X-Patchbay-Event-Id`, and its name for replay.
    pub id: String,
    /// The session to which it belongs.
    pub session_id: SessionIdText,
    /// The channel of that session.
    pub channel: ChannelId,
    /// The destination that did not accept it.
    pub destination: DestinationId,
    /// Its kind: `message`, `notification` or `intent`.
    pub kind: &'static str,
    /// When it was made.
    pub at: Timestamp,
    /// The customer's address as the business sees it.
    pub customer: Arc<str>,
    /// The beginning of the customer's text, or the status that is told and the id of the message.
    pub text: String,
    /// The last answer.
    pub reason: String,
}

/// A message as the provider would get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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

/// The dry run of a message: the answer to `?plan=true`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// The channel that would carry it.
    pub channel: ChannelId,
    /// Name of the provider.
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
    /// Alphabet that the text needs.
    pub alphabet: String,
    /// How parts are marked.
    pub concatenation: String,
    /// How many parts.
    pub parts: u16,
    /// The messages that the provider would get, one call each; one text if we cut it ourselves.
    pub messages: Vec<PlannedMessage>,
    /// The choices of a numbered list.
    pub choices: Vec<message::Choice>,
    /// How many SMS the phone network would carry, on channels of SMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms_segments: Option<usize>,
    /// Notes on changes to fit the channel.
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
    /// The event as timelines show it.
    pub event: EventView,
    /// The channel, when known.
    pub channel: Option<ChannelId>,
    /// The session, when it is one's.
    pub session: Option<SessionId>,
    /// The message's id, when known.
    pub message_id: Option<MessageId>,
}
