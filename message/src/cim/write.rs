//! Writes CIM messages to the business as JSON into the caller's buffer. Builds no intermediate
//! values, because it runs for every message and every receipt, and decides nothing.

use std::io::Write as _;

use crate::{content::Content, id::Timestamp};

/// The header fields that all messages to the business share.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// The id of the CIM message itself.
    pub id: &'a str,
    /// The id of the channel, named as the sending connector.
    pub connector_id: &'a str,
    /// The name of the channel.
    pub connector_name: &'a str,
    /// The customer's address as the business knows it.
    pub customer: &'a str,
    /// The business's own address.
    pub service_identifier: &'a str,
    /// The `channelData` of the original message: written as it came, in place of the two addresses
    /// and the attributes.
    pub channel_data_json: Option<&'a str>,
    /// Further facts as key and value, written as `additionalAttributes`.
    pub attributes: &'a [(Box<str>, Box<str>)],
    /// The customer's first name, if the provider tells it.
    pub first_name: Option<&'a str>,
    /// The customer's last name, if the provider tells it.
    pub last_name: Option<&'a str>,
    /// The session in which it was sent.
    pub session_id: Option<&'a str>,
    /// The business's conversation id.
    pub conversation_id: Option<&'a str>,
    /// When it was written, or happened.
    pub timestamp: Timestamp,
}

/// The header fields of a customer's message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inbound<'a> {
    /// The provider's id of the message.
    pub provider_message_id: Option<&'a str>,
    /// The intent, if any (`REPLY_TO`, `UPDATE`).
    pub intent: Option<&'a str>,
    /// The message it replies to or updates.
    pub original_message_id: Option<&'a str>,
}

/// The outcome of a message, in CIM's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It reached the customer's device.
    Delivered,
    /// The customer saw it.
    Read,
    /// It failed for good.
    Failed,
}

impl Outcome {
    /// Returns CIM's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "DELIVERED",
            Self::Read => "READ",
            Self::Failed => "FAILED",
        }
    }
}

/// The fields of a DELIVERYNOTIFICATION.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The id of the message it is about.
    pub message_id: &'a str,
    /// The outcome of that message.
    pub outcome: Outcome,
    /// A number as text: `200`, `400`, `404`, `500`.
    pub reason_code: &'a str,
    /// Why it failed, or the changes that were made to fit the channel.
    pub text: Option<&'a str>,
    /// The failure of an accepted message.
    pub failure: Option<FailureReport<'a>>,
}

/// The further fields of a DELIVERYNOTIFICATION about a message that was accepted and failed.
#[derive(Clone, Copy, Debug)]
pub struct FailureReport<'a> {
    /// The words of the side that failed it.
    pub reason: &'a str,
    /// That side: `provider`, `smsc`, `patchbay`, `expiry`, `business` or `operator`.
    pub failed_by: &'a str,
    /// The part that failed first, from 1.
    pub part: u16,
    /// The meaning of the code, where it is known.
    pub meaning: Option<&'a str>,
    /// The usual fix, where it is known.
    pub fix: Option<&'a str>,
    /// The provider's page about the code, where it is known.
    pub link: Option<&'a str>,
}

/// Writes a customer's message.
pub fn write_inbound(out: &mut Vec<u8>, head: &Head<'_>, inbound: &Inbound<'_>, content: &Content) {
    header(out, head, inbound, None);
    out.extend_from_slice(b",\"body\":");
    body(out, content);
    out.push(b'}');
}

/// Writes a DELIVERYNOTIFICATION message.
pub fn write_notification(out: &mut Vec<u8>, head: &Head<'_>, report: &Report<'_>) {
    header(out, head, &Inbound::default(), None);
    out.extend_from_slice(b",\"body\":");
    delivery_notification_body(out, report);
    out.push(b'}');
}

/// Writes a message that only carries an intent (`START_CHAT`, `END_CHAT`), with its reason
/// (`INACTIVITY`, `CUSTOMER`, `AGENT`, ...) as `entities.reason`.
pub fn write_intent(out: &mut Vec<u8>, head: &Head<'_>, intent: &str, reason: Option<&str>) {
    header(out, head, &Inbound { intent: Some(intent), ..Inbound::default() }, reason);
    out.extend_from_slice(b",\"body\":{\"type\":\"PLAIN\",\"markdownText\":\"\"}}");
}

/// Writes a NOTIFICATION message, such as `TYPING_STARTED` of the customer.
pub fn write_event(out: &mut Vec<u8>, head: &Head<'_>, notification_type: &str) {
    header(out, head, &Inbound::default(), None);
    out.extend_from_slice(b",\"body\":{\"type\":\"NOTIFICATION\",\"markdownText\":null");
    field(out, b",\"notificationType\":", Some(notification_type));
    out.extend_from_slice(b"}}");
}

/// Writes only the body of a DELIVERYNOTIFICATION: the answer to a message that is refused at once.
pub fn delivery_notification_body(out: &mut Vec<u8>, report: &Report<'_>) {
    out.extend_from_slice(b"{\"type\":\"DELIVERYNOTIFICATION\"");
    field(out, b",\"markdownText\":", report.text);
    field(out, b",\"messageId\":", Some(report.message_id));
    field(out, b",\"status\":", Some(report.outcome.as_str()));
    field(out, b",\"reasonCode\":", Some(report.reason_code));
    if let Some(failure) = &report.failure {
        field(out, b",\"reason\":", Some(failure.reason));
        field(out, b",\"failedBy\":", Some(failure.failed_by));
        out.extend_from_slice(b",\"failedPart\":");
        number(out, failure.part.into());
        field(out, b",\"meaning\":", failure.meaning);
        field(out, b",\"fix\":", failure.fix);
        field(out, b",\"link\":", failure.link);
    }
    out.push(b'}');
}

fn header(out: &mut Vec<u8>, head: &Head<'_>, inbound: &Inbound<'_>, reason: Option<&str>) {
    field(out, b"{\"id\":", Some(head.id));
    out.extend_from_slice(b",\"header\":{\"channelData\":");
    match head.channel_data_json {
        Some(json) => out.extend_from_slice(json.as_bytes()),
        None => channel_data(out, head),
    }
    field(out, b",\"sender\":{\"id\":", Some(head.connector_id));
    field(out, b",\"type\":\"CONNECTOR\",\"senderName\":", Some(head.connector_name));
    out.extend_from_slice(b",\"additionalDetail\":null},\"language\":{},\"timestamp\":");
    number(out, head.timestamp.0);
    field(out, b",\"securityInfo\":{},\"stamps\":[],\"intent\":", inbound.intent);
    match reason {
        Some(reason) => {
            field(out, b",\"entities\":{\"reason\":", Some(reason));
            out.push(b'}');
        }
        None => out.extend_from_slice(b",\"entities\":{}"),
    }
    field(out, b",\"channelSessionId\":", head.session_id);
    field(out, b",\"conversationId\":", head.conversation_id);
    field(out, b",\"customer\":null,\"originalMessageId\":", inbound.original_message_id);
    field(out, b",\"providerMessageId\":", inbound.provider_message_id);
    out.extend_from_slice(b",\"schedulingMetaData\":null,\"roomId\":null}");
}

fn channel_data(out: &mut Vec<u8>, head: &Head<'_>) {
    field(out, b"{\"channelCustomerIdentifier\":", Some(head.customer));
    field(out, b",\"serviceIdentifier\":", Some(head.service_identifier));
    if head.first_name.is_some() {
        field(out, b",\"customerFirstName\":", head.first_name);
    }
    if head.last_name.is_some() {
        field(out, b",\"customerLastName\":", head.last_name);
    }
    out.extend_from_slice(b",\"requestPriority\":0,\"additionalAttributes\":[");
    for (index, (key, value)) in head.attributes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        field(out, b"{\"key\":", Some(key));
        field(out, b",\"type\":", Some(value_type(value)));
        field(out, b",\"value\":", Some(value));
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

/// Returns the narrowest of CIM's text types that fits the value.
fn value_type(value: &str) -> &'static str {
    match value.chars().take(101).count() {
        0..=50 => "String50",
        51..=100 => "String100",
        _ => "String2000",
    }
}

fn body(out: &mut Vec<u8>, content: &Content) {
    match content {
        Content::Text(text) => {
            field(out, b"{\"type\":\"PLAIN\",\"markdownText\":", Some(text));
            out.push(b'}');
        }
        Content::Rich { json, .. } => out.extend_from_slice(json.as_bytes()),
        Content::Binary(octets) => {
            // CIM has no body for octets; CUSTOM accepts any JSON.
            out.extend_from_slice(b"{\"type\":\"CUSTOM\",\"markdownText\":null,\"jsonNode\":{\"hex\":\"");
            for octet in octets {
                let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
                out.extend_from_slice(&[digit(octet >> 4), digit(octet & 15)]);
            }
            out.extend_from_slice(b"\"}}");
        }
        Content::Parts(parts) => {
            out.extend_from_slice(b"{\"type\":\"CUSTOM\",\"markdownText\":null,\"jsonNode\":{\"parts\":[");
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                body(out, part);
            }
            out.extend_from_slice(b"]}}");
        }
    }
}

/// Writes the bytes of `before`, then the text as a JSON string, or `null`.
fn field(out: &mut Vec<u8>, before: &[u8], text: Option<&str>) {
    out.extend_from_slice(before);
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{number}");
}

/// Writes the text as a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else { break };
        escape(out, *byte);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        other => {
            let _ = write!(out, "\\u{other:04x}");
        }
    }
}
