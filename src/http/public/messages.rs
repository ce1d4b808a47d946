//! `POST /v1/messages` and what can be asked about a message afterwards. Nothing is answered as accepted before
//! the router says that it is durable.

use actors::{Acceptance, Origin, Refusal};
use axum::{body::Body, extract::State};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Incoming;
use message::{
    MessageId,
    cim::{self, Intent, Message, write},
};
use serde::Deserialize;

use super::{Id, Public, Shared, body, flag, intents};
use crate::http::answer;

/// What became of one message.
pub(super) enum Outcome {
    /// Durable.
    Accepted(Acceptance),
    /// A session was opened or ended; the message's id is given back.
    Session { message_id: Box<str>, session: String },
    /// The router did not take it.
    Refused { message_id: Box<str>, refusal: Refusal },
    /// It could not be read.
    Malformed { message_id: Box<str>, error: cim::Error },
}

/// Takes one message, or up to 1,000 as an array or as lines.
pub(super) async fn post(
    public: &Public,
    origin: &Origin,
    request: hyper::Request<Incoming>,
) -> Response<Body> {
    let (head, incoming) = request.into_parts();
    if !is_json(&head.headers) {
        let text = "expected Content-Type application/json (one message or an array) or application/x-ndjson";
        return answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    }
    let bytes = match body(public.limits.body_bytes_max, &head.headers, incoming).await {
        Ok(bytes) => bytes,
        Err(answer) => return *answer,
    };
    let lines = content_type(&head.headers).is_some_and(|t| t.starts_with("application/x-ndjson"));
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace()).copied();
    let plan = flag(&head.uri, "plan");
    let takeover = flag(&head.uri, "takeover");
    // A single object is the rule; only what may be several is looked at twice.
    let several = lines || first == Some(b'[') || bytes.contains(&b'\n');
    if !several {
        return one(public, origin, &bytes, plan, takeover).await;
    }
    match cim::items(&bytes) {
        Ok(items) if first != Some(b'[') && !lines && items.len() == 1 => {
            one(public, origin, &bytes, plan, takeover).await
        }
        Ok(items) => Box::pin(many(public, origin, &items, plan, takeover)).await,
        Err(error @ cim::Error::TooLong { .. }) => {
            answer::error(StatusCode::PAYLOAD_TOO_LARGE, &format!("{error} per request; send several"))
        }
        Err(error) => single(Outcome::Malformed { message_id: "".into(), error }),
    }
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

/// Clients that name no type mean JSON, and so do those whose tool names the form type by itself (`curl -d`): a
/// body that is no JSON is refused with better words than these.
fn is_json(headers: &HeaderMap) -> bool {
    if !headers.contains_key(header::CONTENT_TYPE) {
        return true;
    }
    let Some(whole) = content_type(headers) else { return false };
    let kind = whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(
        kind.as_str(),
        "application/json"
            | "text/json"
            | "application/x-ndjson"
            | "application/ndjson"
            | "text/plain"
            | "application/x-www-form-urlencoded"
    ) || kind.ends_with("+json")
}

async fn one(public: &Public, origin: &Origin, json: &[u8], plan: bool, takeover: bool) -> Response<Body> {
    let message = match cim::parse(json) {
        Ok(message) => message,
        Err(error) => return single(Outcome::Malformed { message_id: id_of(json), error }),
    };
    if plan {
        let message_id = text_of(message.id.as_ref());
        return match public.core.plan(message, origin).await {
            Ok(plan) => answer::json(&plan),
            Err(refusal) => single(Outcome::Refused { message_id, refusal }),
        };
    }
    if intents::is_session(&message.intent) {
        return single(Box::pin(intents::handle(public, origin, message, takeover)).await);
    }
    let message_id = text_of(message.id.as_ref());
    single(match public.core.accept(vec![message], origin).await.pop() {
        Some(Ok(acceptance)) => Outcome::Accepted(acceptance),
        Some(Err(refusal)) => Outcome::Refused { message_id, refusal },
        None => Outcome::Refused { message_id, refusal: no_answer() },
    })
}

fn no_answer() -> Refusal {
    Refusal::Busy { reason: "the router gave no answer".into(), retry_after_s: 1 }
}

pub(super) fn text_of(id: Option<&MessageId>) -> Box<str> {
    id.map_or("", MessageId::as_str).into()
}

/// The id in a message that cannot be taken, for its notification.
fn id_of(json: &[u8]) -> Box<str> {
    #[derive(Deserialize)]
    struct Only {
        id: Option<Box<str>>,
    }
    let only: Option<Only> = serde_json::from_slice(json).ok();
    let id = only.and_then(|only| only.id).unwrap_or_default();
    if id.len() <= message::id::MESSAGE_ID_BYTES_MAX { id } else { Box::default() }
}

/// The answer about one message.
fn single(outcome: Outcome) -> Response<Body> {
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

/// The same, as bytes.
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
            out.extend_from_slice(b",\"error\":");
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

/// Results in the order of the items: those that the router takes go to it in runs, between those that are
/// malformed or open and end sessions.
async fn many(
    public: &Public,
    origin: &Origin,
    items: &[&[u8]],
    plan: bool,
    takeover: bool,
) -> Response<Body> {
    if plan {
        let text = "?plan=true takes one message at a time";
        return answer::error(StatusCode::BAD_REQUEST, text);
    }
    if items.is_empty() {
        return answer::error(StatusCode::BAD_REQUEST, "there is no message in the request");
    }
    let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(items.len());
    let mut run = Run::default();
    for (at, json) in items.iter().enumerate() {
        match cim::parse(json) {
            Ok(message) if intents::is_session(&message.intent) => {
                run.accept(public, origin, &mut outcomes).await;
                outcomes.push(Some(intents::handle(public, origin, message, takeover).await));
            }
            Ok(message) => {
                run.places.push((at, text_of(message.id.as_ref())));
                run.messages.push(message);
                outcomes.push(None);
            }
            Err(error) => outcomes.push(Some(Outcome::Malformed { message_id: id_of(json), error })),
        }
    }
    run.accept(public, origin, &mut outcomes).await;
    results(outcomes.into_iter().map(|o| o.unwrap_or_else(lost)).collect())
}

fn lost() -> Outcome {
    Outcome::Refused { message_id: "".into(), refusal: no_answer() }
}

/// Messages gathered for the router, with where their results go.
#[derive(Default)]
struct Run {
    places: Vec<(usize, Box<str>)>,
    messages: Vec<Message>,
}

impl Run {
    async fn accept(&mut self, public: &Public, origin: &Origin, outcomes: &mut [Option<Outcome>]) {
        if self.messages.is_empty() {
            return;
        }
        let taken = public.core.accept(std::mem::take(&mut self.messages), origin).await;
        for ((at, message_id), result) in self.places.drain(..).zip(taken) {
            if let Some(slot) = outcomes.get_mut(at) {
                *slot = Some(match result {
                    Ok(acceptance) => Outcome::Accepted(acceptance),
                    Err(refusal) => Outcome::Refused { message_id, refusal },
                });
            }
        }
    }
}

fn results(outcomes: Vec<Outcome>) -> Response<Body> {
    let busy = |o: &Outcome| match o {
        Outcome::Refused { refusal: refusal @ Refusal::Busy { .. }, .. } => Some(refusal.clone()),
        _ => None,
    };
    // When none was taken for want of room, the client's retry logic should see it in the status.
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

/// `GET /v1/messages/{id}`
pub(super) async fn show(State(public): Shared, id: Id) -> Response<Body> {
    match public.core.message(&MessageId::new(id.0)).await {
        Ok(view) => answer::json(&view),
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// `DELETE /v1/messages/{id}`
pub(super) async fn cancel(State(public): Shared, id: Id) -> Response<Body> {
    let id = MessageId::new(id.0);
    match public.core.cancel(&id).await {
        Ok(()) => {
            let mut out = b"{\"messageId\":".to_vec();
            write::string(&mut out, id.as_str());
            out.extend_from_slice(b",\"status\":\"CANCELLED\"}");
            answer::json_bytes(StatusCode::OK, out)
        }
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// Whether a message says nothing by itself: it only opens or ends a session.
pub(super) fn is_silent(message: &Message) -> bool {
    matches!(&message.content, message::Content::Text(text) if text.trim().is_empty())
}

/// The message without its intent.
pub(super) fn without_intent(message: Message) -> Message {
    Message { intent: Intent::None, ..message }
}
