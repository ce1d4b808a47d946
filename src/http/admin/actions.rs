//! Actions of an operator on single messages: settle a part in doubt, replay a dead letter, send a
//! test.

use actors::{Origin, Refusal};
use axum::{
    body::Body,
    extract::{Path, Request, State},
};
use http::Response;
use message::{MessageId, event::DoubtSettlement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{control::Acted, state::SharedAdmin};
use crate::{
    http::{answer, body, problem::Kind},
    ui::TestMessage,
};

/// The largest body of an action, in bytes.
const ACTION_BYTES_MAX: usize = 16 * 1024;

/// An example of the body that settles a part.
pub(super) const SETTLEMENT: &str = r#"{"messageId":"...","part":1,"action":"resend"}"#;

/// An example of the body that sends a test.
pub(super) const TEST_MESSAGE: &str = r#"{"from":"5155","to":"+4917600000001","text":"Hello"}"#;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Settlement {
    message_id: String,
    part: u16,
    action: Action,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
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
    let settlement: Settlement = match answer::parsed(&sent, &format!("{SETTLEMENT} (or \"fail\", \"sent\")"))
    {
        Ok(settlement) => settlement,
        Err(answer) => return *answer,
    };
    let by = match settlement.action {
        Action::Resend => DoubtSettlement::Resend,
        Action::Fail => DoubtSettlement::Fail,
        Action::Sent => DoubtSettlement::Sent,
    };
    let id = MessageId::new(settlement.message_id);
    done(inner.admin.router.settle_doubt(&id, settlement.part, by).await)
}

/// The result of a test.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestSent {
    /// Whether the message is accepted.
    done: bool,
    /// The message's id.
    message_id: String,
}

/// `POST /api/test-messages`: a text to a customer, accepted like a business's.
pub(super) async fn send_test(State(inner): SharedAdmin, request: Request) -> Response<Body> {
    let (head, sent) = request.into_parts();
    let sent = match body::read(inner.bodies.known(ACTION_BYTES_MAX), &head.headers, sent).await {
        Ok(sent) => sent,
        Err(answer) => return *answer,
    };
    let expected = format!("{TEST_MESSAGE}, and \"channel\" where several have the address");
    let test: TestMessage = match answer::parsed(&sent, &expected) {
        Ok(test) => test,
        Err(answer) => return *answer,
    };
    let message = match test.to_cim() {
        Ok(message) => message,
        Err(error) => return answer::error(Kind::MalformedBody, error.to_string()),
    };
    match inner.admin.router.accept(vec![message], &Origin::default()).await.pop() {
        Some(Ok(acceptance)) => {
            answer::json(&TestSent { done: true, message_id: acceptance.message_id.to_string() })
        }
        Some(Err(refusal)) => answer::refusal(&refusal),
        None => answer::busy("the message got no answer", 1),
    }
}

fn done(result: Result<(), Refusal>) -> Response<Body> {
    match result {
        Ok(()) => answer::json(&Acted::done()),
        Err(refusal) => answer::refusal(&refusal),
    }
}
