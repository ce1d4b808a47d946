//! The control API of a simulated SMSC.

use std::time::Duration;

use axum::{
    Router as Routes,
    body::{Body, Bytes},
    extract::State,
    routing::{get, patch, post},
};
use http::Response;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Map, Value};
use simulators::smsc::{Mo, Smsc, SmscScript};
use tokio::{net::TcpListener, sync::watch};

use super::settings::as_map;
use crate::{
    config::EdgeLimits,
    http::{answer, problem::Kind, serve::Listener},
    run::Failure,
};

/// The largest number of messages that `GET /messages` returns.
const MESSAGES_MAX: usize = 1_000;
/// The customer who writes, unless an order names another one.
const CUSTOMER: &str = "4917600000001";

/// Serves the control API until it is told to stop.
pub(super) async fn serve(smsc: Smsc, tcp: TcpListener, stop: watch::Receiver<bool>) -> Result<(), Failure> {
    let listener = Listener::of(tcp).map_err(Failure::running)?;
    let limits = EdgeLimits {
        max_in_flight: 64,
        body_bytes_max: 64 * 1024,
        connections_max: 64,
        header_timeout: Duration::from_secs(10),
        ..EdgeLimits::DEFAULT
    };
    let routes = control(smsc);
    let handle = move |_, request: hyper::Request<hyper::body::Incoming>| {
        let routes = routes.clone();
        async move {
            match TowerToHyperService::new(routes).call(request.map(Body::new)).await {
                Ok(answer) => answer,
                Err(never) => match never {},
            }
        }
    };
    listener.serve(limits, handle, stop).await;
    Ok(())
}

fn control(smsc: Smsc) -> Routes {
    Routes::new()
        .route("/counts", get(async |State(smsc): State<Smsc>| answer::json(&smsc.counts())))
        .route("/script", get(async |State(smsc): State<Smsc>| answer::json(&smsc.script())))
        .route("/script", patch(change))
        .route("/messages", get(messages))
        .route("/mo", post(write))
        .route("/_sim/inbound", post(write))
        .route("/drop", post(drop_connections))
        .route("/unbind", post(unbind))
        .with_state(smsc)
}

async fn drop_connections(State(smsc): State<Smsc>) -> Response<Body> {
    smsc.drop_connections();
    answer::json(&smsc.counts())
}

async fn unbind(State(smsc): State<Smsc>) -> Response<Body> {
    smsc.unbind_all();
    answer::json(&smsc.counts())
}

async fn change(State(smsc): State<Smsc>, body: Bytes) -> Response<Body> {
    let wrong = |e: &dyn std::fmt::Display| answer::error(Kind::MalformedBody, e.to_string());
    let changes: Map<String, Value> = match serde_json::from_slice(&body) {
        Ok(changes) => changes,
        Err(e) => return wrong(&e),
    };
    let mut map = match as_map(&smsc.script()) {
        Ok(map) => map,
        Err(e) => return wrong(&e),
    };
    map.extend(changes);
    match serde_json::from_value::<SmscScript>(map.into()) {
        Ok(script) => {
            smsc.change(|old| *old = script);
            answer::json(&smsc.script())
        }
        Err(e) => wrong(&e),
    }
}

async fn write(State(smsc): State<Smsc>, body: Bytes) -> Response<Body> {
    let mut mo: Mo = match serde_json::from_slice(&body) {
        Ok(mo) => mo,
        Err(e) => return answer::error(Kind::MalformedBody, e.to_string()),
    };
    if mo.from.is_empty() {
        CUSTOMER.clone_into(&mut mo.from);
    }
    if mo.to.is_empty() {
        mo.to = smsc.script().mo_to;
    }
    match smsc.send_mo(&mo) {
        Ok(id) => answer::json(&serde_json::json!({ "id": id.0 })),
        Err(e) => answer::error(Kind::MalformedBody, e.to_string()),
    }
}

/// `GET /messages`: the newest messages, each joined from its parts.
async fn messages(State(smsc): State<Smsc>) -> Response<Body> {
    let all = smsc.messages();
    let from = all.len().saturating_sub(MESSAGES_MAX);
    let newest: Vec<Value> = all
        .into_iter()
        .skip(from)
        .map(|m| serde_json::json!({ "atMs": m.at_ms, "from": m.source, "to": m.destination, "text": m.text, "parts": m.parts }))
        .collect();
    answer::json(&newest)
}
