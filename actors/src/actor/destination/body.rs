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
    let reason_code = match code {
        _ if !failed => "200",
        Some("400" | window::WINDOW) => "400",
        _ => "500",
    };
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
