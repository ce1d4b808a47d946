//! `POST /v1/messages`, and look-up and cancellation of a message. A message is answered as
//! accepted only after the router has reported it durable.

use actors::Origin;
use axum::{body::Body, extract::State};
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Incoming;
use message::{
    MessageId,
    cim::{self, Message, write},
};

use super::{
    intents,
    outcome::{Outcome, id_of, no_answer, results, single, text_of},
    state::{Id, Public, Sender, SharedPublic},
};
use crate::http::{answer, body, problem::Kind};

/// Accepts one message, or up to 1,000 as an array or as lines.
pub(super) async fn post(
    public: &Public,
    origin: &Origin,
    request: hyper::Request<Incoming>,
) -> Response<Body> {
    let (head, incoming) = request.into_parts();
    if !is_json(&head.headers) {
        let text = "expected Content-Type application/json (one message or an array) or application/x-ndjson";
        return answer::error(Kind::UnsupportedType, text);
    }
    let bytes = match body::read(public.body_terms(), &head.headers, incoming).await {
        Ok(bytes) => bytes,
        Err(answer) => return *answer,
    };
    let lines = content_type(&head.headers).is_some_and(|t| t.starts_with("application/x-ndjson"));
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace()).copied();
    let plan = flag(&head.uri, "plan");
    let takeover = flag(&head.uri, "takeover");
    // Most requests hold a single object; only others are scanned for several.
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
            answer::error(Kind::TooLarge, format!("{error} per request; send several"))
        }
        Err(error) => single(Outcome::Malformed { message_id: "".into(), error }),
    }
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

/// Whether a request says that its body is JSON. A page of another site cannot say so: browsers let
/// it send only forms and texts without asking first.
pub(super) fn is_declared_json(headers: &HeaderMap) -> bool {
    let Some(kind) = kind_of(headers) else { return false };
    is_json_kind(&kind)
}

/// Returns the media type in lower case, without its parameters.
fn kind_of(headers: &HeaderMap) -> Option<String> {
    let whole = content_type(headers)?;
    Some(whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn is_json_kind(kind: &str) -> bool {
    matches!(kind, "application/json" | "text/json" | "application/x-ndjson" | "application/ndjson")
        || kind.ends_with("+json")
}

/// Whether the body may be JSON. A missing type counts as JSON, and so does the form type that
/// `curl -d` sends by itself: the parser's message is more helpful than one about the type.
fn is_json(headers: &HeaderMap) -> bool {
    if !headers.contains_key(header::CONTENT_TYPE) {
        return true;
    }
    let Some(kind) = kind_of(headers) else { return false };
    is_json_kind(&kind) || matches!(kind.as_str(), "text/plain" | "application/x-www-form-urlencoded")
}

async fn one(public: &Public, origin: &Origin, json: &[u8], plan: bool, takeover: bool) -> Response<Body> {
    let message = match cim::parse(json) {
        Ok(message) => message,
        Err(error) => return single(Outcome::Malformed { message_id: id_of(json), error }),
    };
    if plan {
        let message_id = text_of(message.id.as_ref());
        return match public.router.plan(message, origin).await {
            Ok(plan) => answer::json(&plan),
            Err(refusal) => single(Outcome::Refused { message_id, refusal }),
        };
    }
    if intents::is_session(&message.intent) {
        return single(Box::pin(intents::handle(public, origin, message, takeover)).await);
    }
    let message_id = text_of(message.id.as_ref());
    single(match public.router.accept(vec![message], origin).await.pop() {
        Some(Ok(acceptance)) => Outcome::Accepted(acceptance),
        Some(Err(refusal)) => Outcome::Refused { message_id, refusal },
        None => Outcome::Refused { message_id, refusal: no_answer() },
    })
}

/// Answers in the order of the items. Messages go to the router in runs; malformed ones and those
/// that open or end sessions separate the runs.
async fn many(
    public: &Public,
    origin: &Origin,
    items: &[&[u8]],
    plan: bool,
    takeover: bool,
) -> Response<Body> {
    if plan {
        return answer::wrong_parameter("plan", "only one message at a time can be planned");
    }
    if items.is_empty() {
        return answer::error(Kind::MalformedBody, "the request contains no message");
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

/// Messages collected for one call to the router, with the positions of their results.
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
        let taken = public.router.accept(std::mem::take(&mut self.messages), origin).await;
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

/// `GET /v1/messages/{id}`
pub(super) async fn show(State(public): SharedPublic, sender: Sender, id: Id) -> Response<Body> {
    match public.router.of(&sender).message(&MessageId::new(id.0)).await {
        Ok(view) => answer::json(&view),
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// `DELETE /v1/messages/{id}`
pub(super) async fn cancel(State(public): SharedPublic, sender: Sender, id: Id) -> Response<Body> {
    let id = MessageId::new(id.0);
    match public.router.of(&sender).cancel(&id).await {
        Ok(()) => {
            let mut out = b"{\"messageId\":".to_vec();
            write::string(&mut out, id.as_str());
            out.extend_from_slice(b",\"status\":\"CANCELLED\"}");
            answer::json_bytes(StatusCode::OK, out)
        }
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// Reads a boolean of the query: `?plan=true`, `?plan=1` or `?plan`.
fn flag(uri: &http::Uri, name: &str) -> bool {
    uri.query().unwrap_or_default().split('&').any(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
        key == name && matches!(value, "true" | "1")
    })
}
