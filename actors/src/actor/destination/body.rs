//! The JSON body of a POST to a destination.

use std::sync::Arc;

use message::{
    ChannelId, MessageStatus, SessionId, StreamId,
    cim::write::{self, FailureReport, Head, Inbound, Outcome, Report},
    event::{CloseReason, Incomplete},
};

use crate::{
    config::MediaConfig,
    domain::media_address,
    domain::session::{DeliveryKind, Notification},
    protocol::destination::{ORIGINAL_ID, PendingDelivery, event_id},
    view::FailureView,
};

/// The session of a delivery.
pub(crate) struct Subject<'a> {
    pub(crate) stream: StreamId,
    pub(crate) customer: &'a Arc<str>,
    pub(crate) did: &'a Arc<str>,
    pub(crate) channel: &'a ChannelId,
    /// The channel's provider; empty if the channel is no longer configured.
    pub(crate) provider: &'static str,
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
        DeliveryKind::Notification(notification) => {
            write_notification(out, head, notification, subject.provider);
        }
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

fn write_notification(out: &mut Vec<u8>, head: Head<'_>, notification: &Notification, provider: &str) {
    let outcome = match notification.status {
        MessageStatus::Read => Outcome::Read,
        MessageStatus::Delivered => Outcome::Delivered,
        _ => Outcome::Failed,
    };
    let failed = notification.failure.as_ref().filter(|_| outcome == Outcome::Failed);
    let failed = failed.map(|(failure, part)| (FailureView::of(provider, failure), failure, *part));
    let mut words: Vec<String> = Vec::new();
    if let Some((_, failure, _)) = &failed {
        let cause = &failure.cause;
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
    let without = if outcome == Outcome::Failed { "500" } else { "200" };
    let report = Report {
        message_id: notification.id.as_str(),
        outcome,
        reason_code: failed.as_ref().map_or(without, |(view, ..)| &view.reason_code),
        text: text.as_deref(),
        failure: failed.as_ref().map(|(view, _, part)| FailureReport {
            reason: &view.reason,
            failed_by: view.failed_by,
            part: part.saturating_add(1),
            meaning: view.explained.as_ref().map(|known| &*known.meaning),
            fix: view.explained.as_ref().map(|known| &*known.fix),
            link: view.explained.as_ref().and_then(|known| known.link.as_deref()),
        }),
    };
    write::write_notification(out, &head, &report);
}

#[cfg(test)]
mod tests {
    use message::{FailedBy, Failure, Timestamp, event::Cause};
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
            let failure =
                Failure { cause: Cause::new(code, "words"), by: FailedBy::Provider, at: Timestamp(1) };
            let notification = |status| Notification {
                id: "m".into(),
                status,
                failure: Some((failure.clone(), 1)),
                adapted: Default::default(),
                conversation_id: None,
                channel_data: None,
            };
            let written = |status| {
                let mut out = Vec::new();
                write_notification(&mut out, Head::default(), &notification(status), "twilio");
                let json: Value = serde_json::from_slice(&out).unwrap();
                json["body"].clone()
            };
            let failed = written(MessageStatus::Failed);
            assert_eq!(failed["reasonCode"], *expected, "{code}");
            assert_eq!(failed["failedPart"], 2);
            assert_eq!((&failed["reason"], &failed["failedBy"]), (&"words".into(), &"provider".into()));
            assert_eq!(
                failed["fix"].is_string(),
                ["30005", "expired", "400", "window"].contains(&code),
                "{code}"
            );
            let delivered = written(MessageStatus::Delivered);
            assert_eq!(delivered["reasonCode"], "200", "{code}");
            assert!(delivered.get("failedBy").is_none());
        }
    }
}
