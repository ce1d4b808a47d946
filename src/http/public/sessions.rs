//! `POST /v1/sessions`, `GET` and `DELETE /v1/sessions/{id}`.

use actors::OpenSession;
use axum::{
    body::Body,
    extract::{Request, State},
};
use http::{Response, StatusCode, Uri};
use message::{Seq, SessionId};
use schemars::JsonSchema;
use serde::Deserialize;

use super::state::{Id, Sender, SharedPublic};
use crate::http::{answer, body};

/// An example of the body of `POST /v1/sessions`.
pub(super) const OPENING: &str =
    r#"{"serviceIdentifier":"5155","customer":"+49...","handler":"agent-7","takeover":false}"#;

/// The body of `POST /v1/sessions`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Opening {
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
    let opening: Opening = match answer::parsed(&bytes, OPENING) {
        Ok(opening) => opening,
        Err(answer) => return *answer,
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
    let id: SessionId = match id.0.parse() {
        Ok(id) => id,
        Err(e) => return answer::wrong_parameter("id", e),
    };
    let before = match uri.query().map(|query| query.strip_prefix("before=").map(str::parse)) {
        None => None,
        Some(Some(Ok(before))) => Some(Seq(before)),
        Some(_) => {
            return answer::wrong_parameter("before", "only before=<number of an event> may be asked for");
        }
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
        Err(e) => return answer::wrong_parameter("id", e),
    };
    match public.router.of(&sender).end_session(id).await {
        Ok(()) => {
            let text = format!("{{\"sessionId\":\"{id}\",\"state\":\"closed\"}}");
            answer::json_bytes(StatusCode::OK, text)
        }
        Err(refusal) => answer::refusal(&refusal),
    }
}
