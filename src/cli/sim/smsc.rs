//! `patchbay sim smsc`: a simulated SMSC with an HTTP control port. Both accept everyone, so the
//! control port listens on loopback only.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use actors::seams::Clock;
use axum::{
    Router as Routes,
    body::{Body, Bytes},
    extract::State,
    routing::{get, patch, post},
};
use clap::Args;
use http::{Response, StatusCode};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Map, Value};
use simulators::smsc::{Mo, Smsc, SmscScript};
use tokio::{net::TcpListener, sync::watch};

use super::settings::{apply, as_map, from_file};
use crate::{
    config::EdgeLimits,
    console,
    http::{answer, serve::Listener},
    run::Failure,
    seams::SystemClock,
};

/// The largest number of messages that `GET /messages` returns.
const MESSAGES_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub(in crate::cli) struct SmscArguments {
    /// The address to listen on for SMPP
    #[arg(long, default_value = "127.0.0.1:2775")]
    listen: SocketAddr,
    /// Open a control port for HTTP on loopback: GET /counts /script /messages, PATCH /script, POST
    /// /mo /drop /unbind
    #[arg(long)]
    control_port: Option<u16>,
    /// An account that may bind, as system_id:password (repeatable); without any, everyone may
    #[arg(long = "account", value_name = "ID:PASSWORD")]
    accounts: Vec<String>,
    /// How long to wait before answering a submit
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    latency: Option<Duration>,
    /// The most submits per second; the rest are answered with ESME_RTHROTTLED
    #[arg(long, value_name = "PER_SECOND")]
    throttle: Option<u32>,
    /// How long after the submit a receipt is sent
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    receipt_delay: Option<Duration>,
    /// The spelling of message ids: decimal, hex, padded, uuid, hex_then_decimal, decimal_then_hex,
    /// ...
    #[arg(long)]
    id_style: Option<String>,
    /// How many messages per second customers send
    #[arg(long, value_name = "PER_SECOND")]
    mo_per_second: Option<u32>,
    /// The number that customers write to
    #[arg(long, value_name = "NUMBER")]
    mo_to: Option<String>,
    /// A fault or any other setting, for example --set swallow=1/100 --set receipt_first=always
    /// --set drop_connection=0.5%
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// A TOML file with settings; flags take precedence
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Print all settings and exit
    #[arg(long)]
    print_script: bool,
}

pub(super) async fn perform(arguments: SmscArguments) -> Result<(), Failure> {
    let mut script = script(&arguments)?;
    script.started_at_s = SystemClock.now().0 / 1000;
    if arguments.print_script {
        let text = toml::to_string(&script).map_err(Failure::running)?;
        console::line(text.trim_end());
        return Ok(());
    }
    let tcp = TcpListener::bind(arguments.listen)
        .await
        .map_err(|e| Failure::Running(format!("cannot listen on {}: {e}", arguments.listen)))?;
    let address = tcp.local_addr().map_err(Failure::running)?;
    let smsc = Smsc::new(script);
    console::line(format!("simulated SMSC  {address}"));
    let (stop, stopping) = watch::channel(false);
    let control = async {
        match arguments.control_port {
            Some(port) => serve_control(smsc.clone(), port, stopping).await,
            None => std::future::pending().await,
        }
    };
    let ctrl_c = async { _ = tokio::signal::ctrl_c().await };
    let done = tokio::select! {
        biased;
        () = smsc.run(tcp, ctrl_c) => Ok(()),
        done = control => done,
    };
    stop.send_replace(true);
    let counts = serde_json::to_string(&smsc.counts()).map_err(Failure::running)?;
    console::line(format!("counts {counts}"));
    done
}

/// Builds the script from the file and the flags.
fn script(arguments: &SmscArguments) -> Result<SmscScript, Failure> {
    let defaults = as_map(&SmscScript::default())?;
    let mut map = from_file(arguments.script.as_deref())?;
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(key.into(), value);
        }
    };
    let ms =
        |time: Option<Duration>| time.map(|t| Value::from(u64::try_from(t.as_millis()).unwrap_or(u64::MAX)));
    put("latency_ms", ms(arguments.latency));
    put("receipt_delay_ms", ms(arguments.receipt_delay));
    put("throttle_per_second", arguments.throttle.map(Value::from));
    put("id_style", arguments.id_style.clone().map(Value::from));
    put("mo_per_second", arguments.mo_per_second.map(Value::from));
    put("mo_to", arguments.mo_to.clone().map(Value::from));
    if !arguments.accounts.is_empty() {
        let accounts: Option<Map<String, Value>> = arguments
            .accounts
            .iter()
            .map(|pair| pair.split_once(':').map(|(id, password)| (id.into(), password.into())))
            .collect();
        let usage = || Failure::Usage("--account: expected system_id:password".into());
        put("accounts", Some(accounts.ok_or_else(usage)?.into()));
    }
    apply(&mut map, &defaults, &arguments.settings)?;
    serde_json::from_value(map.into()).map_err(|e| Failure::Usage(format!("the script: {e}")))
}

async fn serve_control(smsc: Smsc, port: u16, stop: watch::Receiver<bool>) -> Result<(), Failure> {
    let listener = Listener::bind(([127, 0, 0, 1], port).into(), None).await.map_err(Failure::running)?;
    console::line(format!("control port    {}", listener.url()));
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
    let wrong = |e: &dyn std::fmt::Display| answer::error(StatusCode::BAD_REQUEST, &e.to_string());
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
    let mo: Mo = match serde_json::from_slice(&body) {
        Ok(mo) => mo,
        Err(e) => return answer::error(StatusCode::BAD_REQUEST, &e.to_string()),
    };
    match smsc.send_mo(&mo) {
        Ok(id) => answer::json(&serde_json::json!({ "id": id.0 })),
        Err(e) => answer::error(StatusCode::BAD_REQUEST, &e.to_string()),
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
