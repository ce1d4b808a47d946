//! Whether it lives, whether it takes messages, and its figures.

use axum::{body::Body, extract::State};
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::Shared;
use crate::{http::answer, telemetry};

#[derive(Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<String>,
    committed: message::Seq,
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

/// 200 while messages are accepted. A channel that is down is told, and is no reason to be taken out of
/// service: what it cannot send yet is kept.
pub(super) async fn ready(State(inner): Shared) -> Response<Body> {
    let core = &inner.admin.core;
    let accepting = core.accepting();
    let channels = core.channels().await.into_iter();
    let destinations = core.destinations().await.into_iter();
    // Without the token nothing beyond the verdict is told.
    let open = inner.admin.token.is_none();
    let view = Ready {
        ready: accepting.is_ok(),
        reasons: accepting.err().map(|refusal| refusal.to_string()).into_iter().collect(),
        committed: core.committed(),
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

pub(super) async fn metrics(State(inner): Shared) -> Response<Body> {
    let Some(handle) = &inner.admin.metrics else {
        return answer::error(StatusCode::NOT_FOUND, "metrics are not recorded here");
    };
    telemetry::measure_process();
    let mut answer = Response::new(Body::from(handle.render()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

pub(super) async fn log(State(inner): Shared) -> Response<Body> {
    let figures = inner.admin.log.clone();
    // It asks the disk for sizes.
    match tokio::task::spawn_blocking(move || figures()).await {
        Ok(Ok(json)) => answer::json_bytes(StatusCode::OK, json),
        Ok(Err(why)) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, &why),
        Err(e) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
    }
}
