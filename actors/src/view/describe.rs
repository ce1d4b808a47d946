//! Events in words, for timelines and the tail.

use std::sync::Arc;

use message::{
    BodyType, Choice, Content, Event, MessageStatus, PartState, Seq, StreamId, Timestamp, cim,
    event::{DoubtCause, FailedParts},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::subject::message_of;

/// Maximum number of characters of a text shown on a timeline; the rest is cut.
const TEXT_SHOWN_MAX: usize = 160;

/// One event on a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Its place in the log; absent in the live tail.
    #[serde(skip_serializing_if = "is_none")]
    pub seq: Seq,
    /// When it was recorded.
    pub at: Timestamp,
    /// The stream's id in hexadecimal.
    pub stream: Arc<str>,
    /// The event's name in lower case with underscores, such as `submitted`.
    pub event: &'static str,
    /// The message it is about, as numbered in its stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<u32>,
    /// The part it is about, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<u16>,
    /// Everything else, in words.
    pub detail: String,
}

fn is_none(seq: &Seq) -> bool {
    *seq == Seq::NONE
}

impl EventView {
    /// Describes an event.
    pub(crate) fn of(seq: Seq, at: Timestamp, stream: StreamId, event: &Event) -> Self {
        let (name, part, detail) = describe(event);
        Self {
            seq,
            at,
            stream: Arc::from(stream.to_string()),
            event: name,
            message: message_of(event).map(|number| number.0),
            part: part.map(|p| p + 1),
            detail,
        }
    }
}

/// Returns the beginning of a content, as timelines show it.
pub(crate) fn excerpt(content: &Content) -> String {
    words(content, TEXT_SHOWN_MAX)
}

/// Returns the words of a content: of each of its texts at most `most` characters.
pub(crate) fn words(content: &Content, most: usize) -> String {
    match content {
        Content::Text(text) => beginning(text, most),
        Content::Rich { body_type, .. } => {
            let text =
                cim::plain_text_of(content).map(|adapted| beginning(&adapted.text, most)).unwrap_or_default();
            match body_type {
                BodyType::Plain => text,
                _ => format!("{} {text}", body_type.as_wire()).trim_end().to_owned(),
            }
        }
        Content::Binary(octets) => format!("{} octets", octets.len()),
        Content::Parts(parts) => parts.iter().map(|part| words(part, most)).collect::<Vec<_>>().join(" | "),
    }
}

fn beginning(text: &str, most: usize) -> String {
    let mut shown: String = text.chars().take(most).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

fn describe(event: &Event) -> (&'static str, Option<u16>, String) {
    match event {
        Event::SessionOpened(o) => {
            let handler = if o.handler.is_empty() { String::new() } else { format!(", for {}", o.handler) };
            (
                "session_opened",
                None,
                format!("{} with {} by {:?}{handler}", o.did_shown, o.customer_shown, o.by),
            )
        }
        Event::SessionClosed { reason } => ("session_closed", None, format!("{reason:?}")),
        Event::SessionTaken { handler } => ("session_taken", None, format!("by {handler}")),
        Event::Accepted(a) => {
            let parts = if a.split.parts > 1 { format!("{} parts: ", a.split.parts) } else { String::new() };
            ("accepted", None, format!("{} {parts}{}", a.id, excerpt(&a.content)))
        }
        Event::Submitting { parts, .. } if parts.len() == 1 => {
            ("submitting", parts.first().copied(), String::new())
        }
        Event::Submitting { parts, .. } => {
            ("submitting", parts.first().copied(), format!("{} parts", parts.len()))
        }
        Event::Submitted { part, provider_id, .. } => {
            ("submitted", Some(*part), format!("the provider's id is {provider_id:?}"))
        }
        Event::Deferred { part, cause, counted, .. } => {
            let counts = if *counted { "" } else { ", not counted as a try" };
            ("deferred", Some(*part), format!("{} ({}){counts}", cause.reason, cause.code))
        }
        Event::PartFailed { parts, cause, .. } => {
            let part = match parts {
                FailedParts::One(part) => Some(*part),
                FailedParts::Unsent => None,
            };
            ("failed", part, format!("{} ({})", cause.reason, cause.code))
        }
        Event::InDoubt { part, cause, resend_at, .. } => {
            let why = match cause {
                DoubtCause::LinkLost => "the link was lost before the answer",
                DoubtCause::NoAnswer => "no answer came in time",
                DoubtCause::Restart => "Patchbay was stopped before the answer",
            };
            let then = if resend_at.is_some() { "it is sent again" } else { "it is held" };
            ("in_doubt", Some(*part), format!("{why}; {then}"))
        }
        Event::DoubtSettled { part, by, .. } => ("doubt_settled", Some(*part), format!("{by:?}")),
        Event::Receipt { part, state, code, .. } => {
            ("receipt", Some(*part), format!("{} ({code})", word(*state)))
        }
        Event::LateReceipt(l) => ("late_receipt", Some(l.part), format!("{} ({})", word(l.state), l.code)),
        Event::Queried { part, .. } => {
            ("queried", Some(*part), "the provider was asked what became of it".into())
        }
        Event::Expired { .. } => ("expired", None, "its validity ended before it was sent".into()),
        Event::Cancelled { .. } => ("cancelled", None, "withdrawn before it was sent".into()),
        Event::Settled { .. } => ("settled", None, "nothing more is expected".into()),
        _ => describe_inbound(event),
    }
}

fn describe_inbound(event: &Event) -> (&'static str, Option<u16>, String) {
    match event {
        Event::Received(r) => {
            let missing =
                r.incomplete.map(|i| format!(" ({} of {} parts)", i.arrived, i.total)).unwrap_or_default();
            ("received", None, format!("{}{missing} {}", r.id, excerpt(&r.content)))
        }
        Event::CustomerKnown(k) => {
            let names = k.aliases.iter().map(|a| format!(", also {a}")).collect::<String>();
            ("customer_known", None, format!("{}{names}", k.customer_shown))
        }
        Event::CustomerMoved(m) if m.reached.is_empty() => {
            ("customer_moved", None, "the address passed to another customer".into())
        }
        Event::CustomerMoved(m) => {
            let left =
                m.released.iter().map(|(name, _)| format!(", no longer at {name}")).collect::<String>();
            ("customer_moved", None, format!("reached at {}{left}", m.reached))
        }
        Event::InReplyTo { provider_id, .. } => {
            ("in_reply_to", None, format!("answers the provider's {provider_id:?}"))
        }
        Event::Offered(o) => {
            let line = |c: &Choice| format!("{} {}", c.label, c.title);
            ("offered", None, o.choices.iter().map(line).collect::<Vec<_>>().join(", "))
        }
        Event::PartReceived(p) => ("part_received", None, format!("{} of {}", p.number, p.total)),
        Event::PartsGivenUp => ("parts_given_up", None, "the missing parts did not come".into()),
        Event::Taken { delivery } => ("taken", None, format!("the destination took delivery {delivery}")),
        Event::DeadLettered { delivery, cause } => {
            ("dead_lettered", None, format!("delivery {delivery}: {} ({})", cause.reason, cause.code))
        }
        Event::DeadLetterReplayed { delivery } => {
            ("dead_letter_replayed", None, format!("delivery {delivery}"))
        }
        Event::Revived(_) => ("revived", None, "touched again after it was finished".into()),
        Event::ChannelStopped { cause } => {
            ("channel_stopped", None, format!("{} ({})", cause.reason, cause.code))
        }
        Event::ChannelStarted => ("channel_started", None, String::new()),
        Event::ChannelPaused => ("channel_paused", None, "an operator paused the channel".into()),
        Event::ChannelResumed => ("channel_resumed", None, "an operator resumed the channel".into()),
        Event::ReceiptUnmatched(r) => {
            ("receipt_unmatched", None, format!("{:?} from {}", r.provider_id, r.customer))
        }
        Event::ReceiptSettled { number, matched } => {
            let fate = if *matched { "found its part" } else { "was given up" };
            ("receipt_settled", None, format!("kept receipt {number} {fate}"))
        }
        Event::Carried { .. } => ("carried", None, "told again, before older events are removed".into()),
        Event::SegmentsRemoved { before } => {
            ("segments_removed", None, format!("retention removed the events before {before}"))
        }
        _ => ("event", None, String::new()),
    }
}

fn word(state: PartState) -> &'static str {
    if state.failed { MessageStatus::Failed.as_str() } else { state.as_message().as_str() }
}
