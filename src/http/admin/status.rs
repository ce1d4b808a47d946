//! `GET /api/status`: whether all is well, and what is not, with the cause and the fix.

use actors::view::{ProblemKind, ProblemView, Severity, StatusView};
use axum::{body::Body, extract::State};
use http::Response;
use message::{ChannelId, DestinationId};
use schemars::JsonSchema;
use serde::Serialize;

use super::state::SharedAdmin;
use crate::{http::answer, instant::rfc3339};

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    well: bool,
    version: &'static str,
    started_at: String,
    uptime_seconds: u64,
    problems: Vec<Problem>,
    channels: Channels,
    destinations: Destinations,
    messages_waiting: u64,
    oldest_waiting_seconds: u64,
    /// Set when there were too many sessions to count all parts in doubt and dead letters.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_partial: bool,
}

#[derive(Serialize, JsonSchema)]
struct Channels {
    total: usize,
    connected: usize,
}

#[derive(Serialize, JsonSchema)]
struct Destinations {
    total: usize,
    up: usize,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StatusProblem")]
struct Problem {
    severity: Severity,
    kind: ProblemKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<DestinationId>,
    since: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Box<str>>,
    fix: String,
    link: String,
}

pub(super) async fn show(State(inner): SharedAdmin) -> Response<Body> {
    answer::json(&Status::of(inner.admin.router.status().await))
}

impl Status {
    fn of(view: StatusView) -> Self {
        Self {
            well: view.problems.is_empty(),
            version: env!("CARGO_PKG_VERSION"),
            started_at: rfc3339(view.started_at),
            uptime_seconds: view.uptime_ms / 1_000,
            problems: view.problems.into_iter().map(Problem::of).collect(),
            channels: Channels { total: view.channels_total, connected: view.channels_connected },
            destinations: Destinations { total: view.destinations_total, up: view.destinations_up },
            messages_waiting: view.messages_waiting,
            oldest_waiting_seconds: view.oldest_waiting_ms / 1_000,
            is_partial: view.is_partial,
        }
    }
}

impl Problem {
    fn of(view: ProblemView) -> Self {
        let ProblemView { severity, kind, channel, destination, since, reason, code, fix, link } = view;
        Self { severity, kind, channel, destination, since: rfc3339(since), reason, code, fix, link }
    }
}
