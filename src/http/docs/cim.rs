//! Types of the paths of CIM messages, for their schemas. The reader of messages is more lenient
//! than a derived one, and their answers are written by hand: these types only describe them.

use schemars::JsonSchema;
use serde_json::{Map, Value};

/// A message from the business. Keys that are not described are ignored, or read as the CIM
/// documentation says.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes what is read")]
pub struct CimMessage {
    /// The message's id, at most 128 bytes; one is drawn when it is missing. A repetition sends
    /// nothing.
    id: Option<String>,
    header: CimHeader,
    body: Option<CimBody>,
}

/// The addresses of a message, and how it is handled.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes what is read")]
struct CimHeader {
    channel_data: CimChannelData,
    /// The author.
    sender: Option<CimSender>,
    /// `REPLY_TO`, `UPDATE`, `START_CHAT` or `END_CHAT`.
    intent: Option<String>,
    /// The message that is replied to or updated.
    original_message_id: Option<String>,
    /// Given back in notifications.
    conversation_id: Option<String>,
    /// `sendAt`, `expiresAt` (epoch ms or RFC 3339), `validityPeriod` ("2h", or seconds).
    scheduling_meta_data: Option<Map<String, Value>>,
}

/// The addresses of a message.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes what is read")]
struct CimChannelData {
    /// The customer's address.
    channel_customer_identifier: String,
    /// The business's address, which selects the channel.
    service_identifier: String,
    /// The id or type of the channel, where several have the address.
    channel_type_code: Option<String>,
    /// 0 (bulk) to 10 (most urgent).
    request_priority: Option<u8>,
}

/// The author of a message.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes what is read")]
struct CimSender {
    id: Option<String>,
    /// `AGENT`, `BOT`, `APP`, ...
    #[serde(rename = "type")]
    kind: Option<String>,
    sender_name: Option<String>,
}

/// The content of a message. `PLAIN` needs `markdownText` only; other types have keys of their own.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes what is read")]
struct CimBody {
    /// `PLAIN`, `IMAGE`, `FILE`, `BUTTON`, `TEMPLATE`, ...
    #[serde(rename = "type")]
    kind: String,
    /// The words, with Markdown.
    markdown_text: Option<String>,
}

/// One message, or several.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum CimMessages {
    /// One message.
    One(Box<CimMessage>),
    /// Up to 1,000 messages.
    Several(Vec<CimMessage>),
}

/// The result of a message.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum SendResult {
    /// The result of one message.
    One(AcceptedMessage),
    /// A result for each of several messages, in their order.
    Several(Vec<ItemResult>),
}

/// The result of one of several messages.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum ItemResult {
    /// It was accepted.
    Accepted(AcceptedMessage),
    /// There was no room for it.
    NoRoom(NoRoom),
    /// It was refused.
    Refused(Notification),
}

/// A message that is on disk.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it only describes what is written")]
pub struct AcceptedMessage {
    message_id: String,
    status: AcceptedStatus,
    /// The id was accepted before; nothing was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    /// The session that the message opened or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
}

/// The status of an accepted message.
#[derive(JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AcceptedStatus {
    /// It is on disk.
    Accepted,
}

/// A message for which there was no room.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it only describes what is written")]
pub struct NoRoom {
    message_id: String,
    status: NoRoomStatus,
    /// When to send it again, in seconds.
    retry_after: u32,
    /// The reason.
    detail: String,
}

/// The status of a message for which there was no room.
#[derive(JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NoRoomStatus {
    /// It was not accepted.
    Refused,
}

/// A message that was refused, as CIM tells it.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes what is written")]
pub struct Notification {
    /// `DELIVERYNOTIFICATION`.
    #[serde(rename = "type")]
    kind: String,
    /// The reason and the fix.
    markdown_text: String,
    /// The id of the message; empty if it could not be read.
    message_id: String,
    /// `FAILED`.
    status: String,
    /// `400`, `404` or `500`.
    reason_code: String,
}

/// A cancelled message.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it only describes what is written")]
pub struct Cancelled {
    message_id: String,
    /// `CANCELLED`.
    status: String,
}

/// An ended session.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it only describes what is written")]
pub struct Ended {
    session_id: String,
    /// `closed`.
    state: String,
}

/// The flags of a request with messages.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes what is read")]
pub struct SendFlags {
    /// Tells what would be sent, to where and why, and sends nothing.
    plan: Option<bool>,
    /// Takes over a session that another handler has (`START_CHAT`).
    takeover: Option<bool>,
}

/// The query of a session.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes what is read")]
pub struct BeforeEvent {
    /// Shows the events before this number.
    before: Option<u64>,
}

/// A body whose form a provider or a browser decides.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "it only describes what is read")]
pub struct AnyBody(Value);
