//! `patchbay sim smsc`: a simulated SMSC with an HTTP control port. Both accept everyone, so the
//! control port listens on loopback only.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use actors::seams::Clock;
use clap::Args;
use serde_json::{Map, Value, json};
use simulators::smsc::{Smsc, SmscScript};
use tokio::sync::watch;

use super::{
    control, paste,
    ports::{self, Bound},
    settings::{apply, as_map, from_file},
};
use crate::{console, run::Failure, seams::SystemClock};

const EXAMPLES: &str = "Examples:\n  patchbay sim smsc\n  \
                        patchbay sim smsc --account shop:sesame --throttle 50 --set swallow=1/100";
/// The port that is tried first for SMPP.
const USUAL_PORT: u16 = 2775;
/// The port that is tried first for the control API, as on simulated REST providers.
const USUAL_CONTROL_PORT: u16 = 8090;
/// The account in the printed configuration when everyone may bind.
const ANY_ACCOUNT: (&str, &str) = ("simulated", "simulated");

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct SmscArguments {
    /// The address to listen on for SMPP [default: 127.0.0.1:2775, or the next free port]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The port of the control API for HTTP, on loopback [default: 8090, or the next free port]:
    /// GET /counts /script /messages, PATCH /script, POST /_sim/inbound /mo /drop /unbind
    #[arg(long)]
    control_port: Option<u16>,
    /// The id of the channel in the printed configuration
    #[arg(long, default_value = "sms")]
    id: String,
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
    /// Print its addresses and the configuration of a channel as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

pub(super) async fn perform(arguments: SmscArguments) -> Result<(), Failure> {
    let mut script = script(&arguments)?;
    script.started_at_s = SystemClock.now().0 / 1000;
    if arguments.print_script {
        let text = toml::to_string(&script).map_err(Failure::running)?;
        console::line(text.trim_end());
        return Ok(());
    }
    let smpp = ports::bind(arguments.listen, USUAL_PORT).await?;
    let control_address = arguments.control_port.map(|port| ([127, 0, 0, 1], port).into());
    let control = ports::bind(control_address, USUAL_CONTROL_PORT).await?;
    introduce(&arguments, &script, &smpp, &control);
    let smsc = Smsc::new(script);
    let (stop, stopping) = watch::channel(false);
    let control = control::serve(smsc.clone(), control.tcp, stopping);
    let ctrl_c = async { _ = tokio::signal::ctrl_c().await };
    let done = tokio::select! {
        biased;
        () = smsc.run(smpp.tcp, ctrl_c) => Ok(()),
        done = control => done,
    };
    stop.send_replace(true);
    let counts = serde_json::to_string(&smsc.counts()).map_err(Failure::running)?;
    console::line(format!("counts {counts}"));
    done
}

/// Prints where it is, and the configuration of a channel.
fn introduce(arguments: &SmscArguments, script: &SmscScript, smpp: &Bound, control: &Bound) {
    let own = script.accounts.iter().next().map(|(id, password)| (&**id, &**password));
    let channel = Sms {
        id: &arguments.id,
        name: "SMS centre, simulated",
        number: &script.mo_to,
        destination: "support",
        address: smpp.address,
        account: own.unwrap_or(ANY_ACCOUNT),
    };
    let channel = paste::compact(&channel.configuration());
    let (address, inbound) = (smpp.address, format!("http://{}/_sim/inbound", control.address));
    if arguments.json {
        let view = json!({ "provider": "smpp", "listens": address.to_string(), "control": inbound, "configuration": channel });
        console::line(view.to_string());
        return;
    }
    console::line(format!("simulated SMSC  {address}"));
    for note in [&smpp.note, &control.note].into_iter().flatten() {
        console::line(format!("                {note}"));
    }
    console::line(format!("control port    http://{}", control.address));
    console::line(format!("customer        curl -d '{{\"text\": \"Hi\"}}' {inbound}"));
    console::line(format!("\nconfiguration of a channel:\n\n{channel}"));
}

/// A `[[channel]]` that connects to a simulated SMSC.
pub(in crate::cli) struct Sms<'a> {
    pub(in crate::cli) id: &'a str,
    pub(in crate::cli) name: &'a str,
    pub(in crate::cli) number: &'a str,
    pub(in crate::cli) destination: &'a str,
    pub(in crate::cli) address: SocketAddr,
    /// The system_id and the password.
    pub(in crate::cli) account: (&'a str, &'a str),
}

impl Sms<'_> {
    /// Returns its text in the configuration.
    pub(in crate::cli) fn configuration(&self) -> String {
        let Self { id, name, number, destination, address, account: (system_id, password) } = self;
        let ip = if address.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { address.ip() };
        let (host, port) = (ip.to_string(), address.port());
        format!(
            "[[channel]]\nid = {id:?}\nname = {name:?}\nprovider = \"smpp\"\n\
             dids = [{{ number = {number:?}, destination = {destination:?} }}]\n[channel.account]\nhost = {host:?}\n\
             port = {port}\nsystem_id = {system_id:?}\npassword = {password:?}\n"
        )
    }
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
