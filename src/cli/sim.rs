//! `patchbay sim`: providers to test against, with faults on demand, changed while they run. The SMSC is here, with a
//! small HTTP control port; the REST providers are in `rest`. On loopback only: they have no lock.

mod rest;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use actors::seams::Clock;
use axum::{
    Json, Router as Routes,
    body::Body,
    extract::State,
    routing::{get, patch, post},
};
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};
use http::{Response, StatusCode};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Map, Value};
use simulators::smsc::{Mo, Smsc, SmscScript};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    config::EdgeLimits,
    console,
    http::{answer, serve::Listener},
    run::Failure,
    seams::SystemClock,
};

#[derive(Debug)]
pub(super) enum Arguments {
    Smsc(Sms),
    Rest(String, rest::Rest),
}

/// By hand, since the REST providers name themselves.
impl Subcommand for Arguments {
    fn augment_subcommands(command: Command) -> Command {
        let smsc = Sms::augment_args(Command::new("smsc").about("An SMSC for SMPP 3.4"));
        rest::commands().fold(command.subcommand(smsc), Command::subcommand)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        name == "smsc" || rest::commands().any(|command| command.get_name() == name)
    }
}

impl FromArgMatches for Arguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some(("smsc", matches)) => Ok(Self::Smsc(Sms::from_arg_matches(matches)?)),
            Some((name, matches)) => Ok(Self::Rest(name.to_owned(), rest::Rest::from_arg_matches(matches)?)),
            None => Err(clap::Error::new(clap::error::ErrorKind::MissingSubcommand)),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Sms {
    /// Where to listen for SMPP
    #[arg(long, default_value = "127.0.0.1:2775")]
    listen: SocketAddr,
    /// An HTTP port on loopback: GET /counts /script /messages, PATCH /script, POST /mo /drop /unbind
    #[arg(long)]
    control_port: Option<u16>,
    /// Who may bind, as system_id:password; none: everyone
    #[arg(long = "account", value_name = "ID:PASSWORD")]
    accounts: Vec<String>,
    /// Answer submits after so long
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    latency: Option<Duration>,
    /// Answer more submits than so many in a second with ESME_RTHROTTLED
    #[arg(long, value_name = "PER_SECOND")]
    throttle: Option<u32>,
    /// Receipts come so long after the submit
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    receipt_delay: Option<Duration>,
    /// How ids are spelled: decimal, hex, padded, uuid, hex_then_decimal, decimal_then_hex, ...
    #[arg(long)]
    id_style: Option<String>,
    /// Let customers write: so many messages per second
    #[arg(long, value_name = "PER_SECOND")]
    mo_per_second: Option<u32>,
    /// To whom they write
    #[arg(long, value_name = "NUMBER")]
    mo_to: Option<String>,
    /// A fault or any other setting, e.g. --set swallow=1/100 --set receipt_first=always --set drop_connection=0.5%
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// A TOML file with settings; flags go before it
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Write all settings as they would be, and end
    #[arg(long)]
    print_script: bool,
}

pub(super) async fn perform(arguments: Arguments) -> Result<(), Failure> {
    match arguments {
        Arguments::Smsc(arguments) => perform_smsc(arguments).await,
        Arguments::Rest(provider, arguments) => rest::perform(provider, arguments).await,
    }
}

async fn perform_smsc(arguments: Sms) -> Result<(), Failure> {
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

/// The script that the flags and the file describe.
fn script(arguments: &Sms) -> Result<SmscScript, Failure> {
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

/// The settings of a script file.
fn from_file(path: Option<&Path>) -> Result<Map<String, Value>, Failure> {
    let Some(path) = path else { return Ok(Map::new()) };
    let named = |e: &dyn std::fmt::Display| Failure::Usage(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| named(&e))?;
    let table: toml::Table = text.parse().map_err(|e| named(&e))?;
    as_map(&table)
}

/// Lays `--set key=value` over a script.
fn apply(
    map: &mut Map<String, Value>,
    defaults: &Map<String, Value>,
    settings: &[String],
) -> Result<(), Failure> {
    for setting in settings {
        let usage = || Failure::Usage(format!("--set {setting:?}: expected key=value"));
        let (key, value) = setting.split_once('=').ok_or_else(usage)?;
        map.insert(key.trim().into(), typed(defaults.get(key.trim()), value.trim()));
    }
    Ok(())
}

/// A value typed as the default of its key is.
fn typed(default: Option<&Value>, text: &str) -> Value {
    match default {
        Some(Value::String(_)) => text.into(),
        Some(Value::Array(_)) if !text.starts_with('[') => {
            text.split(',').map(|item| Value::from(item.trim())).collect()
        }
        _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

fn as_map<T: serde::Serialize>(value: &T) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(value).map_err(Failure::running)? {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

async fn serve_control(smsc: Smsc, port: u16, stop: watch::Receiver<bool>) -> Result<(), Failure> {
    let listener = Listener::bind(([127, 0, 0, 1], port).into(), None).await.map_err(Failure::running)?;
    console::line(format!("control port    {}", listener.url()));
    let limits = EdgeLimits {
        max_in_flight: 64,
        body_bytes_max: 64 * 1024,
        connections_max: 64,
        header_timeout: Duration::from_secs(10),
    };
    let routes = control(smsc);
    let handle = move |request: hyper::Request<hyper::body::Incoming>| {
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

async fn change(State(smsc): State<Smsc>, Json(changes): Json<Map<String, Value>>) -> Response<Body> {
    let wrong = |e: &dyn std::fmt::Display| answer::error(StatusCode::BAD_REQUEST, &e.to_string());
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

async fn write(State(smsc): State<Smsc>, Json(mo): Json<Mo>) -> Response<Body> {
    match smsc.send_mo(&mo) {
        Ok(id) => answer::json(&serde_json::json!({ "id": id.0 })),
        Err(e) => answer::error(StatusCode::BAD_REQUEST, &e.to_string()),
    }
}

/// The newest messages, joined of their parts.
async fn messages(State(smsc): State<Smsc>) -> Response<Body> {
    const NEWEST: usize = 1_000;
    let all = smsc.messages();
    let from = all.len().saturating_sub(NEWEST);
    let newest: Vec<Value> = all
        .into_iter()
        .skip(from)
        .map(|m| serde_json::json!({ "atMs": m.at_ms, "from": m.source, "to": m.destination, "text": m.text, "parts": m.parts }))
        .collect();
    answer::json(&newest)
}
