//! The results of messages, and the answers made from them.

use actors::{Acceptance, Refusal};
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use message::{
    MessageId,
    cim::{self, write},
};
use serde::Deserialize;

use crate::http::answer;

/// The result of one message.
pub(super) enum Outcome {
    /// The message is durable.
    Accepted(Acceptance),
    /// A session was opened or ended.
    Session { message_id: Box<str>, session: String },
    /// The router refused the message.
    Refused { message_id: Box<str>, refusal: Refusal },
    /// The message could not be parsed.
    Malformed { message_id: Box<str>, error: cim::Error },
}

pub(super) fn no_answer() -> Refusal {
    Refusal::Busy { reason: "the router gave no answer".into(), retry_after_s: 1 }
}

pub(super) fn text_of(id: Option<&MessageId>) -> Box<str> {
    id.map_or("", MessageId::as_str).into()
}

/// Returns the id of a message that could not be parsed, for its notification.
pub(super) fn id_of(json: &[u8]) -> Box<str> {
    #[derive(Deserialize)]
    struct Only {
        id: Option<Box<str>>,
    }
    let only: Option<Only> = serde_json::from_slice(json).ok();
    let id = only.and_then(|only| only.id).unwrap_or_default();
    if id.len() <= message::id::MESSAGE_ID_BYTES_MAX { id } else { Box::default() }
}

/// Returns the answer for one message.
pub(super) fn single(outcome: Outcome) -> Response<Body> {
    let mut out = Vec::with_capacity(128);
    match &outcome {
        Outcome::Accepted(_) | Outcome::Session { .. } => {
            item(&mut out, &outcome);
            answer::json_bytes(StatusCode::ACCEPTED, out)
        }
        Outcome::Refused { refusal: refusal @ Refusal::Busy { .. }, .. } => answer::refusal(refusal),
        Outcome::Refused { refusal, .. } => {
            item(&mut out, &outcome);
            answer::json_bytes(answer::status_of(refusal), out)
        }
        Outcome::Malformed { .. } => {
            item(&mut out, &outcome);
            answer::json_bytes(StatusCode::BAD_REQUEST, out)
        }
    }
}

/// Appends the result of one message as JSON.
fn item(out: &mut Vec<u8>, outcome: &Outcome) {
    match outcome {
        Outcome::Accepted(acceptance) => {
            out.extend_from_slice(b"{\"messageId\":");
            write::string(out, acceptance.message_id.as_str());
            let rest: &[u8] = match acceptance.duplicate {
                false => b",\"status\":\"ACCEPTED\"}",
                true => b",\"status\":\"ACCEPTED\",\"duplicate\":true}",
            };
            out.extend_from_slice(rest);
        }
        Outcome::Session { message_id, session } => {
            out.extend_from_slice(b"{\"messageId\":");
            write::string(out, message_id);
            out.extend_from_slice(b",\"status\":\"ACCEPTED\",\"sessionId\":");
            write::string(out, session);
            out.push(b'}');
        }
        Outcome::Refused { message_id, refusal: refusal @ Refusal::Busy { retry_after_s, .. } } => {
            out.extend_from_slice(b"{\"messageId\":");
            write::string(out, message_id);
            out.extend_from_slice(b",\"status\":\"REFUSED\",\"retryAfter\":");
            out.extend_from_slice(retry_after_s.to_string().as_bytes());
            out.extend_from_slice(b",\"detail\":");
            write::string(out, &refusal.to_string());
            out.push(b'}');
        }
        Outcome::Refused { message_id, refusal } => {
            answer::failed(out, message_id, answer::status_of(refusal), &refusal.to_string());
        }
        Outcome::Malformed { message_id, error } => {
            answer::failed(out, message_id, StatusCode::BAD_REQUEST, &error.to_string());
        }
    }
}

pub(super) fn results(outcomes: Vec<Outcome>) -> Response<Body> {
    let busy = |o: &Outcome| match o {
        Outcome::Refused { refusal: refusal @ Refusal::Busy { .. }, .. } => Some(refusal.clone()),
        _ => None,
    };
    // When every message was refused as busy, the status says so, for the client's retry logic.
    if outcomes.iter().all(|o| busy(o).is_some())
        && let Some(refusal) = outcomes.first().and_then(busy)
    {
        return answer::refusal(&refusal);
    }
    let mut out = Vec::with_capacity(outcomes.len() * 80);
    out.push(b'[');
    for (at, outcome) in outcomes.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        item(&mut out, outcome);
    }
    out.push(b']');
    answer::json_bytes(StatusCode::ACCEPTED, Bytes::from(out))
}
