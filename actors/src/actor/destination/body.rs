//! The JSON body of a POST to a destination.

use std::sync::Arc;

use message::{
    ChannelId, MessageStatus, SessionId, StreamId,
    cim::write::{self, Head, Inbound, Outcome, Report},
    event::{CloseReason, Incomplete},
};

use crate::{
    config::MediaConfig,
    domain::media_address,
    domain::session::{DeliveryKind, Notification, window},
    protocol::destination::{ORIGINAL_ID, PendingDelivery, event_id},
};

/// The session of a delivery.
pub(crate) struct Subject<'a> {
    pub(crate) stream: StreamId,
    pub(crate) customer: &'a Arc<str>,
    pub(crate) did: &'a Arc<str>,
    pub(crate) channel: &'a ChannelId,
}

/// Appends the JSON of one delivery.
pub(crate) fn write(
    out: &mut Vec<u8>,
    subject: &Subject<'_>,
    delivery: &PendingDelivery,
    files: Option<&MediaConfig>,
) {
    let event_id = event_id(subject.stream, delivery.number);
    let session = SessionId { stream: subject.stream, ordinal: delivery.ordinal }.to_string();
    let head = Head {
        id: &event_id,
        connector_id: subject.channel.as_str(),
        connector_name: subject.channel.as_str(),
        customer: subject.customer,
        service_identifier: subject.did,
        session_id: Some(&session),
        timestamp: delivery.at,
        ..Head::default()
    };
    match &delivery.kind {
        DeliveryKind::Message(received) => {
            let provider_id = Some(&*received.provider_id).filter(|id| !id.is_empty());
            let mut attributes = received.attributes.clone();
            let original = attributes.iter().position(|(key, _)| **key == *ORIGINAL_ID);
            let original = original.map(|at| attributes.remove(at).1);
            let named = attributes.iter().any(|(key, _)| key.starts_with(media_address::ATTRIBUTE));
            let content = files.filter(|_| named).and_then(|config| {
                media_address::addressed(config, subject.channel, &received.content, &attributes)
            });
            attributes.retain(|(key, _)| !key.starts_with(media_address::ATTRIBUTE));
            if let Some(Incomplete { arrived, total }) = received.incomplete {
                attributes.push((
                    "incomplete".into(),
                    format!("{arrived} of {total} parts arrived in time").into(),
                ));
            }
            let head = Head {
                id: received.id.as_str(),
                attributes: &attributes,
                timestamp: received.provider_time.unwrap_or(delivery.at),
                ..head
            };
            let inbound = Inbound {
                provider_message_id: provider_id,
                intent: original.as_ref().map(|_| "REPLY_TO"),
                original_message_id: original.as_deref(),
            };
            write::write_inbound(out, &head, &inbound, content.as_ref().unwrap_or(&received.content));
        }
        DeliveryKind::Notification(notification) => write_notification(out, head, notification),
        DeliveryKind::EndChat(reason) => {
            let reason = match reason {
                CloseReason::Inactivity => "INACTIVITY",
                CloseReason::Customer => "CUSTOMER",
                CloseReason::Business => "AGENT",
                CloseReason::Reassigned => "FORCE_CLOSED",
            };
            write::write_intent(out, &head, "END_CHAT", Some(reason));
        }
    }
}

fn write_notification(out: &mut Vec<u8>, head: Head<'_>, notification: &Notification) {
    let outcome = match notification.status {
        MessageStatus::Read => Outcome::Read,
        MessageStatus::Delivered => Outcome::Delivered,
        _ => Outcome::Failed,
    };
    let failed = outcome == Outcome::Failed;
    let code = notification.cause.as_ref().map(|c| &*c.code);
    let reason_code = if failed { reason_code(code) } else { "200" };
    let mut words: Vec<String> = Vec::new();
    if let Some(cause) = notification.cause.as_ref().filter(|_| failed) {
        words.push(if cause.reason.is_empty() {
            cause.code.to_string()
        } else {
            format!("{} ({})", cause.reason, cause.code)
        });
    }
    words.extend(notification.adapted.iter().map(|note| note.to_string()));
    let text = (!words.is_empty()).then(|| words.join("; "));
    let head = Head {
        channel_data_json: notification.channel_data.as_deref(),
        conversation_id: notification.conversation_id.as_deref(),
        ..head
    };
    let report = Report { message_id: notification.id.as_str(), outcome, reason_code, text: text.as_deref() };
    write::write_notification(out, &head, &report);
}

/// Returns the `reasonCode` of a failure: the code of its cause, which is the provider's own
/// wherever the provider gave one. A message that can never be sent has 400, and so has one whose
/// window is closed.
fn reason_code(code: Option<&str>) -> &str {
    match code {
        Some(window::WINDOW) => "400",
        Some(code) if !code.is_empty() => code,
        _ => "500",
    }
}

#[cfg(test)]
mod tests {
    use message::event::Cause;
    use serde_json::Value;

    use super::*;

    /// Codes as the providers' answers, statuses and receipts give them.
    #[test]
    fn the_reason_code_of_a_failure_is_the_providers() {
        for (code, expected) in [
            // WhatsApp Cloud API, a failed status.
            ("131049", "131049"),
            ("131047", "131047"),
            // Messenger Platform, code and subcode.
            ("10/2018278", "10/2018278"),
            // Twilio's status callback, Telnyx's errors, Bandwidth's message-failed.
            ("30005", "30005"),
            ("40300", "40300"),
            ("4470", "4470"),
            // Telegram's error_code, Viber's status, VoIP.ms's word.
            ("403", "403"),
            ("6", "6"),
            ("invalid_dst", "invalid_dst"),
            // A receipt's state and error, a command status.
            ("UNDELIV/034", "UNDELIV/034"),
            ("0x0000000B", "0x0000000B"),
            // Ours.
            ("expired", "expired"),
            ("400", "400"),
            ("window", "400"),
            ("", "500"),
        ] {
            let cause = Some(Cause::new(code, "words"));
            let notification = |status| Notification {
                id: "m".into(),
                status,
                cause: cause.clone(),
                adapted: Default::default(),
                conversation_id: None,
                channel_data: None,
            };
            let written = |status| {
                let mut out = Vec::new();
                write_notification(&mut out, Head::default(), &notification(status));
                let json: Value = serde_json::from_slice(&out).unwrap();
                json["body"]["reasonCode"].as_str().unwrap().to_owned()
            };
            assert_eq!(written(MessageStatus::Failed), expected, "{code}");
            assert_eq!(written(MessageStatus::Delivered), "200", "{code}");
        }
    }
}
