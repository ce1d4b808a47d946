//! Liveness, readiness, metrics, and the sizes of the event log.

use std::time::Duration;

use axum::{body::Body, extract::State};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use storage::Stats;

use super::state::SharedAdmin;
use crate::{
    http::{answer, problem::Kind, site::is_local_name},
    telemetry,
};

/// How long a scrape waits for the problems of the node.
const PROBLEMS_WAIT: Duration = Duration::from_secs(3);

#[derive(Serialize, JsonSchema)]
pub(super) struct Ready {
    ready: bool,
    reasons: Vec<String>,
    committed: message::Seq,
    /// By how much the wall clock is ahead of the time that is believed, while it is in doubt.
    #[serde(rename = "clockDoubtMs", skip_serializing_if = "Option::is_none")]
    clock_doubt_ms: Option<i64>,
    channels: Vec<ChannelHealth>,
    destinations: Vec<DestinationHealth>,
}

#[derive(Serialize, JsonSchema)]
struct ChannelHealth {
    id: message::ChannelId,
    status: &'static str,
    reason: String,
}

#[derive(Serialize, JsonSchema)]
struct DestinationHealth {
    id: message::DestinationId,
    status: &'static str,
    reason: String,
}

pub(super) async fn alive() -> Response<Body> {
    answer::json_bytes(StatusCode::OK, &b"{\"alive\":true}"[..])
}

/// `GET /readyz`: 200 while messages are accepted. A channel that is down is listed but does not
/// make the process unready, since its messages are kept.
pub(super) async fn ready(State(inner): SharedAdmin, headers: HeaderMap) -> Response<Body> {
    let router = &inner.admin.router;
    let accepting = router.accepting();
    let channels = router.channels().await.into_iter();
    let destinations = router.destinations().await.into_iter();
    // Details need the token, or a request that no page of another site can make.
    let open = inner.admin.token.get().is_none() && (inner.admin.any_host || is_local_name(&headers));
    let view = Ready {
        ready: accepting.is_ok(),
        reasons: accepting.err().map(|refusal| refusal.to_string()).into_iter().collect(),
        committed: router.committed(),
        clock_doubt_ms: router.clock_doubt_ms(),
        channels: channels
            .map(|c| ChannelHealth { id: c.id, status: c.status, reason: c.reason })
            .filter(|_| open)
            .collect(),
        destinations: destinations
            .map(|d| DestinationHealth { id: d.id, status: d.status, reason: d.reason })
            .filter(|_| open)
            .collect(),
    };
    let mut answer = answer::json(&view);
    if !view.ready {
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    answer
}

pub(super) async fn metrics(State(inner): SharedAdmin) -> Response<Body> {
    let Some(handle) = &inner.admin.metrics else {
        return answer::error(Kind::NotFound, "metrics are not recorded here");
    };
    // Looking at the problems sets their gauges. Metrics come without them from a busy node.
    if let Ok(status) = tokio::time::timeout(PROBLEMS_WAIT, inner.admin.router.status()).await {
        telemetry::problems::publish(&status.problems);
    }
    telemetry::measure_process();
    let mut answer = Response::new(Body::from(handle.render()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// `GET /api/log`
pub(super) async fn log(State(inner): SharedAdmin) -> Response<Body> {
    let log = inner.admin.log.clone();
    // Sizes come from the file system, which may block.
    match tokio::task::spawn_blocking(move || log.stats()).await {
        Ok(Ok(stats)) => answer::json(&log_figures(&stats)),
        Ok(Err(e)) => answer::error(Kind::Internal, e.to_string()),
        Err(e) => answer::error(Kind::Internal, e.to_string()),
    }
}

/// The sizes and counts of an event log.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogFigures {
    /// The first event that is kept.
    first: u64,
    /// The last event on disk.
    committed: u64,
    segments: u64,
    block_bytes: u64,
    disk_bytes: u64,
    free_bytes: u64,
    waiting_bytes: u64,
    blocks_written: u64,
    bytes_written: u64,
    lookups_in_memory: u64,
    lookups_sealed: u64,
    filter_bytes: u64,
    index_entries: u64,
    index_delta: u64,
    /// The event from which a start replays.
    checkpoint: u64,
    rebuilt_files: u64,
}

/// Returns the sizes and counts of an event log.
pub fn log_figures(stats: &Stats) -> LogFigures {
    LogFigures {
        first: stats.first.0,
        committed: stats.committed.0,
        segments: stats.segments as u64,
        block_bytes: stats.block_bytes,
        disk_bytes: stats.disk_bytes,
        free_bytes: stats.free_bytes,
        waiting_bytes: stats.waiting_bytes as u64,
        blocks_written: stats.blocks_written,
        bytes_written: stats.bytes_written,
        lookups_in_memory: stats.lookups_in_memory,
        lookups_sealed: stats.lookups_sealed,
        filter_bytes: stats.filter_bytes,
        index_entries: stats.index_entries,
        index_delta: stats.index_delta as u64,
        checkpoint: stats.checkpoint.0,
        rebuilt_files: stats.rebuilt_files,
    }
}

/// The answer of `/healthz`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes what is written")]
pub(super) struct Alive {
    alive: bool,
}
