//! Actions of an operator on single messages: settle a part in doubt, replay a dead letter, send a
//! test.

use actors::{Origin, Refusal};
use axum::{
    body::Body,
    extract::{Path, Request, State},
};
use http::{Response, StatusCode};
use message::{MessageId, event::DoubtSettlement};
use serde::Deserialize;
use serde_json::json;

use super::state::SharedAdmin;
use crate::{
    http::{answer, body},
    ui::TestMessage,
};

/// The largest body of an action, in bytes.
const ACTION_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settlement {
    message_id: String,
    part: u16,
    action: Action,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Resend,
    Fail,
    Sent,
}

pub(super) async fn replay(State(inner): SharedAdmin, Path(id): Path<String>) -> Response<Body> {
    done(inner.admin.router.replay_dead_letter(&id).await)
}

/// `POST /api/in-doubt`. Parts are counted from 1, as in the list.
pub(super) async fn settle(State(inner): SharedAdmin, request: Request) -> Response<Body> {
    let (head, sent) = request.into_parts();
    let sent = match body::read(inner.bodies.known(ACTION_BYTES_MAX), &head.headers, sent).await {
        Ok(sent) => sent,
        Err(answer) => return *answer,
    };
    let settlement: Settlement = match serde_json::from_slice(&sent) {
        Ok(settlement) => settlement,
        Err(e) => {
            let text = format!(
                "{e}; expected {{\"messageId\":\"...\",\"part\":1,\"action\":\"resend\"}} (or \"fail\", \"sent\")"
            );
            return answer::error(StatusCode::BAD_REQUEST, &text);
        }
    };
    let by = match settlement.action {
        Action::Resend => DoubtSettlement::Resend,
        Action::Fail => DoubtSettlement::Fail,
        Action::Sent => DoubtSettlement::Sent,
    };
    let id = MessageId::new(settlement.message_id);
    done(inner.admin.router.settle_doubt(&id, settlement.part, by).await)
}

/// `POST /api/test-messages` with `{"from":"..","to":"..","text":"..","channel":".."}`.
pub(super) async fn send_test(State(inner): SharedAdmin, request: Request) -> Response<Body> {
    let (head, sent) = request.into_parts();
    let sent = match body::read(inner.bodies.known(ACTION_BYTES_MAX), &head.headers, sent).await {
        Ok(sent) => sent,
        Err(answer) => return *answer,
    };
    let bad = |text: &str| answer::error(StatusCode::BAD_REQUEST, text);
    let test: TestMessage = match serde_json::from_slice(&sent) {
        Ok(test) => test,
        Err(e) => {
            let expected = "{\"from\":\"...\",\"to\":\"...\",\"text\":\"...\"}, and \"channel\" where several have the address";
            return bad(&format!("{e}; expected {expected}"));
        }
    };
    let message = match test.to_cim() {
        Ok(message) => message,
        Err(error) => return bad(&error.to_string()),
    };
    match inner.admin.router.accept(vec![message], &Origin::default()).await.pop() {
        Some(Ok(acceptance)) => answer::json(&json!({ "done": true, "messageId": acceptance.message_id })),
        Some(Err(refusal)) => answer::refusal(&refusal),
        None => answer::busy("the message got no answer", 1),
    }
}

fn done(result: Result<(), Refusal>) -> Response<Body> {
    match result {
        Ok(()) => answer::json_bytes(StatusCode::OK, &b"{\"done\":true}"[..]),
        Err(refusal) => answer::refusal(&refusal),
    }
}
