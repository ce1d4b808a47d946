//! `POST /v1/sessions`, `GET` and `DELETE /v1/sessions/{id}`.

use actors::OpenSession;
use axum::{
    body::Body,
    extract::{Request, State},
};
use http::{Response, StatusCode, Uri};
use message::{Seq, SessionId};
use serde::Deserialize;

use super::state::{Id, Sender, SharedPublic};
use crate::http::{answer, body};

/// The body of `POST /v1/sessions`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Opening {
    service_identifier: Box<str>,
    #[serde(default)]
    channel: Option<Box<str>>,
    #[serde(alias = "channelCustomerIdentifier")]
    customer: Box<str>,
    #[serde(default)]
    handler: Box<str>,
    #[serde(default)]
    takeover: bool,
}

/// Opens a session, or returns the open one.
pub(super) async fn open(State(public): SharedPublic, sender: Sender, request: Request) -> Response<Body> {
    let (head, incoming) = request.into_parts();
    let bytes = match body::read(public.body_terms(), &head.headers, incoming).await {
        Ok(bytes) => bytes,
        Err(answer) => return *answer,
    };
    let opening: Opening = match serde_json::from_slice(&bytes) {
        Ok(opening) => opening,
        Err(e) => {
            let text = format!(
                "{e}; expected {{\"serviceIdentifier\":\"5155\",\"customer\":\"+49...\",\"handler\":\"agent-7\",\"takeover\":false}}"
            );
            return answer::error(StatusCode::BAD_REQUEST, &text);
        }
    };
    let request = OpenSession {
        service_identifier: opening.service_identifier,
        channel: opening.channel,
        customer: opening.customer,
        handler: opening.handler,
        takeover: opening.takeover,
    };
    match public.router.of(&sender).open_session(request).await {
        Ok(session) => answer::json(&session),
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// `GET /v1/sessions/{id}`, with `?before=<seq>` for older events.
pub(super) async fn show(State(public): SharedPublic, sender: Sender, id: Id, uri: Uri) -> Response<Body> {
    let bad = |text: &str| answer::error(StatusCode::BAD_REQUEST, text);
    let id: SessionId = match id.0.parse() {
        Ok(id) => id,
        Err(e) => return bad(&format!("{e}")),
    };
    let before = match uri.query().map(|query| query.strip_prefix("before=").map(str::parse)) {
        None => None,
        Some(Some(Ok(before))) => Some(Seq(before)),
        Some(_) => return bad("only before=<number of an event> may be asked for"),
    };
    match public.router.of(&sender).session(id, before).await {
        Ok(session) => answer::json(&session),
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// `DELETE /v1/sessions/{id}`
pub(super) async fn end(State(public): SharedPublic, sender: Sender, id: Id) -> Response<Body> {
    let id: SessionId = match id.0.parse() {
        Ok(id) => id,
        Err(e) => return answer::error(StatusCode::BAD_REQUEST, &format!("{e}")),
    };
    match public.router.of(&sender).end_session(id).await {
        Ok(()) => {
            let text = format!("{{\"sessionId\":\"{id}\",\"state\":\"closed\"}}");
            answer::json_bytes(StatusCode::OK, text)
        }
        Err(refusal) => answer::refusal(&refusal),
    }
}
