//! The actions of an operator on running channels and destinations: pause, restart, try now,
//! withdraw what is queued, replay dead letters, read the configuration again.

use actors::{DeadLetterFilter, Done, Refusal};
use axum::{
    body::Body,
    extract::{Path, Request, State},
};
use http::{Response, StatusCode};
use message::{ChannelId, DestinationId};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::state::{AdminState, SharedAdmin};
use crate::http::{answer, body, reload::NotReloaded};

/// The largest body of an action, in bytes.
const ACTION_BYTES_MAX: usize = 16 * 1024;
/// The number of dead letters that are replayed when `limit` is missing.
const REPLAYED_DEFAULT: usize = 1_000;
/// The largest `limit` of a replay; larger values are lowered to it.
const REPLAYED_MAX: usize = 10_000;

/// `POST /api/channels/{id}/{action}`.
pub(super) async fn channel(
    State(inner): SharedAdmin,
    Path((id, action)): Path<(String, String)>,
) -> Response<Body> {
    let (control, id) = (inner.admin.router.control(), ChannelId::new(id));
    match action.as_str() {
        "restart" => respond(control.restart(&id).await, |()| json!({ "done": true })),
        "pause" | "resume" => {
            let wanted = action == "pause";
            let to_answer = |since| json!({ "done": true, "paused": wanted, "since": since });
            respond(control.pause(&id, wanted).await, to_answer)
        }
        "try-now" => respond(control.try_now(&id).await, |done| counted("messages", done)),
        "cancel-queued" => respond(control.cancel_queued(&id).await, |done| counted("cancelled", done)),
        _ => {
            let text = format!(
                "no action of a channel is called {action:?}; they are: pause, resume, restart, try-now, cancel-queued"
            );
            answer::error(StatusCode::NOT_FOUND, &text)
        }
    }
}

fn counted(name: &str, done: Done) -> serde_json::Value {
    json!({ "done": !done.is_more, (name): done.count, "more": done.is_more })
}

/// `POST /api/destinations/{id}/try-now`.
pub(super) async fn try_destination_now(State(inner): SharedAdmin, Path(id): Path<String>) -> Response<Body> {
    let done = inner.admin.router.control().try_destination_now(&DestinationId::new(id));
    respond(done, |()| json!({ "done": true }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Replay {
    channel: Option<String>,
    destination: Option<String>,
    limit: Option<usize>,
}

/// `POST /api/dead-letters/replay` with `{"channel":"..","destination":"..","limit":1000}`; all of
/// them may be missing.
pub(super) async fn replay_all(State(inner): SharedAdmin, request: Request) -> Response<Body> {
    let expected = "{\"channel\":\"...\",\"destination\":\"...\",\"limit\":1000}, or {} for all";
    let replay: Replay = match read(&inner, request, expected).await {
        Ok(replay) => replay,
        Err(answer) => return *answer,
    };
    let filter = DeadLetterFilter {
        channel: replay.channel.map(ChannelId::new),
        destination: replay.destination.map(DestinationId::new),
        limit: replay.limit.unwrap_or(REPLAYED_DEFAULT).clamp(1, REPLAYED_MAX),
    };
    let done = inner.admin.router.control().replay_dead_letters(&filter).await;
    respond(done, |done| {
        json!({ "done": done.left == 0 && !done.is_more, "replayed": done.replayed, "left": done.left,
                "more": done.is_more })
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Reload {
    #[serde(default)]
    plan: bool,
}

/// `POST /api/reload`, with `{"plan":true}` only for the plan.
pub(super) async fn reload(State(inner): SharedAdmin, request: Request) -> Response<Body> {
    let expected = "{\"plan\":true} to see what would change, or {} to change it";
    let wanted: Reload = match read(&inner, request, expected).await {
        Ok(wanted) => wanted,
        Err(answer) => return *answer,
    };
    match inner.admin.reloader.clone().reload(wanted.plan).await {
        Ok(reloaded) => answer::json(&reloaded),
        Err(why @ NotReloaded::Broken(_)) => broken(&why),
        Err(why) => answer::error(StatusCode::CONFLICT, &why.to_string()),
    }
}

fn broken(why: &NotReloaded) -> Response<Body> {
    let NotReloaded::Broken(error) = why else {
        return answer::error(StatusCode::CONFLICT, &why.to_string());
    };
    let problem =
        |(line, text): &(usize, String)| json!({ "file": error.file, "line": line, "problem": text });
    let problems: Vec<_> = error.problems.iter().map(problem).collect();
    let view = json!({ "status": 400, "error": why.to_string(), "problems": problems });
    answer::json_bytes(StatusCode::BAD_REQUEST, view.to_string())
}

/// Reads the body of an action; an empty one counts as `{}`.
async fn read<T: DeserializeOwned + Default>(
    inner: &AdminState,
    request: Request,
    expected: &str,
) -> Result<T, Box<Response<Body>>> {
    let (head, sent) = request.into_parts();
    let sent = body::read(inner.bodies.known(ACTION_BYTES_MAX), &head.headers, sent).await?;
    if sent.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&sent)
        .map_err(|e| Box::new(answer::error(StatusCode::BAD_REQUEST, &format!("{e}; expected {expected}"))))
}

fn respond<T>(result: Result<T, Refusal>, to_answer: impl FnOnce(T) -> serde_json::Value) -> Response<Body> {
    match result {
        Ok(done) => answer::json(&to_answer(done)),
        Err(refusal) => answer::refusal(&refusal),
    }
}
