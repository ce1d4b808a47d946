//! The actions of an operator on running channels and destinations: pause, restart, try now,
//! withdraw what is queued, replay dead letters, read the configuration again.

use actors::{DeadLetterFilter, Done, Refusal};
use axum::{
    body::Body,
    extract::{Path, Request, State},
};
use http::Response;
use message::{ChannelId, DestinationId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::state::{AdminState, SharedAdmin};
use crate::http::{
    answer, body,
    problem::{Kind, ProblemDetails, ProblemInFile},
    reload::NotReloaded,
};

/// The largest body of an action, in bytes.
const ACTION_BYTES_MAX: usize = 16 * 1024;
/// The number of dead letters that are replayed when `limit` is missing.
const REPLAYED_DEFAULT: usize = 1_000;
/// The largest `limit` of a replay; larger values are lowered to it.
const REPLAYED_MAX: usize = 10_000;

/// The actions of a channel.
pub(super) const ACTIONS: [&str; 5] = ["pause", "resume", "restart", "try-now", "cancel-queued"];

/// The result of an action.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Acted {
    /// Whether it is complete; if not, repeat it.
    done: bool,
    /// Whether the channel is paused now.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<bool>,
    /// When the pause began, in epoch ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// The messages that are tried now.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<usize>,
    /// The messages that were cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled: Option<usize>,
    /// The dead letters that are posted again.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<usize>,
    /// The dead letters that are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<usize>,
    /// Whether there is more to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
}

impl Acted {
    /// Returns the result of an action that has no figures.
    pub(super) fn done() -> Self {
        Self { done: true, ..Self::default() }
    }
}

/// `POST /api/channels/{id}/{action}`.
pub(super) async fn channel(
    State(inner): SharedAdmin,
    Path((id, action)): Path<(String, String)>,
) -> Response<Body> {
    let (control, id) = (inner.admin.router.control(), ChannelId::new(id));
    match action.as_str() {
        "restart" => respond(control.restart(&id).await, |()| Acted::done()),
        "pause" | "resume" => {
            let wanted = action == "pause";
            let to_answer = |since| Acted { paused: Some(wanted), since, ..Acted::done() };
            respond(control.pause(&id, wanted).await, to_answer)
        }
        "try-now" => {
            respond(control.try_now(&id).await, |done| Acted { messages: Some(done.count), ..rest(done) })
        }
        "cancel-queued" => respond(control.cancel_queued(&id).await, |done| Acted {
            cancelled: Some(done.count),
            ..rest(done)
        }),
        _ => {
            let text =
                format!("no action of a channel is called {action:?}; they are: {}", ACTIONS.join(", "));
            answer::error(Kind::UnknownRoute, text)
        }
    }
}

fn rest(done: Done) -> Acted {
    Acted { done: !done.is_more, more: Some(done.is_more), ..Acted::default() }
}

/// `POST /api/destinations/{id}/try-now`.
pub(super) async fn try_destination_now(State(inner): SharedAdmin, Path(id): Path<String>) -> Response<Body> {
    let done = inner.admin.router.control().try_destination_now(&DestinationId::new(id));
    respond(done, |()| Acted::done())
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Replay {
    /// Only of the channel with this id.
    channel: Option<String>,
    /// Only for the destination with this id.
    destination: Option<String>,
    /// The largest number, 1 to 10000; 1000 when missing.
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
    respond(done, |done| Acted {
        done: done.left == 0 && !done.is_more,
        replayed: Some(done.replayed),
        left: Some(done.left),
        more: Some(done.is_more),
        ..Acted::default()
    })
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Reload {
    /// Only tells what would change.
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
        Err(why) => not_reloaded(&why),
    }
}

fn not_reloaded(why: &NotReloaded) -> Response<Body> {
    let NotReloaded::Broken(error) = why else {
        return answer::error(Kind::NotReloaded, why.to_string());
    };
    let problem = |(line, text): &(usize, String)| ProblemInFile {
        file: error.file.clone(),
        line: *line,
        problem: text.clone(),
    };
    let problems = error.problems.iter().map(problem).collect();
    ProblemDetails::new(Kind::BrokenConfiguration, why.to_string()).problems(problems).answer()
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
    answer::parsed(&sent, expected)
}

fn respond<T>(result: Result<T, Refusal>, to_answer: impl FnOnce(T) -> Acted) -> Response<Body> {
    match result {
        Ok(done) => answer::json(&to_answer(done)),
        Err(refusal) => answer::refusal(&refusal),
    }
}
