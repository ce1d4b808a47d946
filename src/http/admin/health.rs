//! Liveness, readiness, metrics, and the sizes of the event log.

use std::time::Duration;

use axum::{body::Body, extract::State};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::json;
use storage::Stats;

use super::state::SharedAdmin;
use crate::{
    http::{answer, site::is_local_name},
    telemetry,
};

/// How long a scrape waits for the problems of the node.
const PROBLEMS_WAIT: Duration = Duration::from_secs(3);

#[derive(Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<String>,
    committed: message::Seq,
    /// By how much the wall clock is ahead of the time that is believed, while it is in doubt.
    #[serde(rename = "clockDoubtMs", skip_serializing_if = "Option::is_none")]
    clock_doubt_ms: Option<i64>,
    channels: Vec<ChannelHealth>,
    destinations: Vec<DestinationHealth>,
}

#[derive(Serialize)]
struct ChannelHealth {
    id: message::ChannelId,
    status: &'static str,
    reason: String,
}

#[derive(Serialize)]
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
        return answer::error(StatusCode::NOT_FOUND, "metrics are not recorded here");
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
        Ok(Err(e)) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
        Err(e) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
    }
}

/// Returns the sizes and counts of an event log as JSON.
pub fn log_figures(stats: &Stats) -> serde_json::Value {
    json!({
        "first": stats.first.0, "committed": stats.committed.0, "segments": stats.segments,
        "blockBytes": stats.block_bytes, "diskBytes": stats.disk_bytes, "freeBytes": stats.free_bytes,
        "waitingBytes": stats.waiting_bytes, "blocksWritten": stats.blocks_written,
        "bytesWritten": stats.bytes_written, "lookupsInMemory": stats.lookups_in_memory,
        "lookupsSealed": stats.lookups_sealed, "filterBytes": stats.filter_bytes,
        "indexEntries": stats.index_entries, "indexDelta": stats.index_delta, "checkpoint": stats.checkpoint.0,
        "rebuiltFiles": stats.rebuilt_files,
    })
}
