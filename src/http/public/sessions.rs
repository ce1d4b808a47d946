//! `POST /v1/sessions`, `GET` and `DELETE /v1/sessions/{id}`.

use actors::OpenSession;
use axum::{
    body::Body,
    extract::{Request, State},
};
use http::{Response, StatusCode};
use message::SessionId;
use serde::Deserialize;

use super::{
    body,
    state::{Id, SharedPublic},
};
use crate::http::answer;

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
pub(super) async fn open(State(public): SharedPublic, request: Request) -> Response<Body> {
    let (head, incoming) = request.into_parts();
    let bytes = match body::read(public.limits.body_bytes_max, &head.headers, incoming).await {
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
    match public.router.open_session(request).await {
        Ok(session) => answer::json(&session),
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// `GET /v1/sessions/{id}`
pub(super) async fn show(State(public): SharedPublic, id: Id) -> Response<Body> {
    let id: SessionId = match id.0.parse() {
        Ok(id) => id,
        Err(e) => return answer::error(StatusCode::BAD_REQUEST, &format!("{e}")),
    };
    match public.router.session(id, None).await {
        Ok(session) => answer::json(&session),
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// `DELETE /v1/sessions/{id}`
pub(super) async fn end(State(public): SharedPublic, id: Id) -> Response<Body> {
    let id: SessionId = match id.0.parse() {
        Ok(id) => id,
        Err(e) => return answer::error(StatusCode::BAD_REQUEST, &format!("{e}")),
    };
    match public.router.end_session(id).await {
        Ok(()) => {
            let text = format!("{{\"sessionId\":\"{id}\",\"state\":\"closed\"}}");
            answer::json_bytes(StatusCode::OK, text)
        }
        Err(refusal) => answer::refusal(&refusal),
    }
}
