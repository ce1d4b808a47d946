//! `patchbay sim <provider>`: the simulated REST providers. Their control API, under `/_sim/` on
//! the same port, accepts everyone: loopback only.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use actors::seams::Clock;
use clap::{Args, Command};
use serde_json::{Value, json};
use simulators::rest::{About, Attempt, Options, Script, Simulator, providers};

use super::{
    paste, ports,
    settings::{apply, as_map, from_file},
};
use crate::{cli::client::is_http, console, run::Failure, seams::SystemClock};

#[derive(Debug, Args)]
pub(in crate::cli) struct RestArguments {
    /// The address to listen on, for the provider's API and for the control API under /_sim/
    /// [default: 127.0.0.1:8090, or the next free port]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The id of the channel in the configuration; by default the provider's name
    #[arg(long)]
    id: Option<String>,
    /// The URL to which events are posted; by default the webhook of that channel at
    /// http://127.0.0.1:8080. "none" for no URL until a client sets one
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Where to really send webhooks, as http://host:port, when their URL is a public one
    #[arg(long, value_name = "URL")]
    deliver_to: Option<String>,
    /// The URL at which clients reach it, if it differs from --listen
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// A credential or name of the account; see the list below for keys and defaults
    #[arg(long = "credential", value_name = "KEY=VALUE")]
    credentials: Vec<String>,
    /// How long to wait before answering
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    latency: Option<Duration>,
    /// The most messages per second; the rest are answered with 429 or the provider's equivalent
    #[arg(long, value_name = "PER_SECOND")]
    throttle: Option<u32>,
    /// How many messages per second customers send
    #[arg(long, value_name = "PER_SECOND")]
    inbound_per_second: Option<u32>,
    /// A fault or any other setting, for example --set hang=1/100 --set receipt_first=always --set
    /// garbage=0.5%
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

/// The largest part of an answer that is told, in characters.
const ANSWER_SHOWN: usize = 300;
/// The port that is tried first.
const USUAL_PORT: u16 = 8090;
/// The address of Patchbay's public listener by default.
const USUAL_PUBLIC_URL: &str = "http://127.0.0.1:8080";

/// Returns one command for each provider.
pub(super) fn commands() -> impl Iterator<Item = Command> {
    providers().map(|about| {
        RestArguments::augment_args(Command::new(about.name).about(format!("{}: its REST API", about.title)))
            .after_help(credentials(about))
    })
}

fn credentials(about: &About) -> String {
    let name = about.name;
    let mut text = format!(
        "Examples:\n  patchbay sim {name}\n  patchbay sim {name} --webhook http://127.0.0.1:8080/webhooks/{name} \
         --set hang=1/100\n\nCredentials:\n"
    );
    for one in about.credentials {
        text.push_str(&format!("  {} = {:?}\n      {}\n", one.key, one.default, one.purpose));
    }
    text
}

pub(super) async fn perform(provider: String, arguments: RestArguments) -> Result<(), Failure> {
    let script = script(&arguments)?;
    addresses(&arguments)?;
    if arguments.print_script {
        let text = toml::to_string(&script).map_err(Failure::running)?;
        console::line(text.trim_end());
        return Ok(());
    }
    let bound = ports::bind(arguments.listen, USUAL_PORT).await?;
    let address = bound.address;
    let mut given = BTreeMap::new();
    for pair in &arguments.credentials {
        let usage = || Failure::Usage(format!("--credential {pair:?}: expected key=value"));
        let (key, value) = pair.split_once('=').ok_or_else(usage)?;
        given.insert(key.trim().to_owned(), value.to_owned());
    }
    let polls = providers().any(|about| about.name == provider && about.polls);
    let id = arguments.id.unwrap_or_else(|| provider.clone());
    let usual = (!polls).then(|| format!("{USUAL_PUBLIC_URL}/webhooks/{id}"));
    let simulator = Simulator::new(Options {
        webhook: arguments.webhook.or(usual).filter(|url| url != "none"),
        provider,
        deliver_to: arguments.deliver_to,
        base_url: Some(arguments.base_url.unwrap_or_else(|| format!("http://{address}"))),
        credentials: given,
        script,
        started_at_ms: SystemClock.now().0,
    })
    .map_err(|e| Failure::Usage(e.to_string()))?;
    introduce(&simulator, &id, (address, bound.note), arguments.json);
    let ctrl_c = async { _ = tokio::signal::ctrl_c().await };
    tokio::select! {
        biased;
        () = simulator.run(bound.tcp, ctrl_c) => {}
        () = tell_webhooks(&simulator) => {}
    }
    let counts = serde_json::to_string(&simulator.counts()).map_err(Failure::running)?;
    console::line(format!("counts {counts}"));
    Ok(())
}

/// Prints where it is, and the configuration of a channel.
fn introduce(simulator: &Simulator, id: &str, (address, note): (SocketAddr, Option<String>), as_json: bool) {
    let channel = paste::compact(&simulator.channel_of(id, "support"));
    let inbound = format!("http://{address}/_sim/inbound");
    if as_json {
        let view = json!({
            "provider": simulator.about().name, "listens": simulator.base_url(), "control": inbound,
            "webhook": simulator.webhook_url(), "configuration": channel,
        });
        console::line(view.to_string());
        return;
    }
    console::line(format!("simulated {}  {}", simulator.about().title, simulator.base_url()));
    if let Some(note) = note {
        console::line(format!("               {note}"));
    }
    console::line(format!("control API    http://{address}/_sim/messages"));
    console::line(format!("customer       curl -d '{{\"text\": \"Hi\"}}' {inbound}"));
    if let Some(url) = simulator.webhook_url() {
        console::line(format!("webhook        {url}"));
    }
    let webhook = simulator.webhook_url();
    let public = webhook.as_deref().and_then(|url| url.split_once("/webhooks/")).map(|(base, _)| base);
    console::line(format!(
        "\nconfiguration of a channel; it needs, once in the file: [http] public_url = {:?}\n\n{channel}",
        public.unwrap_or(USUAL_PUBLIC_URL)
    ));
}

/// Tells when webhooks begin to fail, with the address and the reason, and when they are taken
/// again.
async fn tell_webhooks(simulator: &Simulator) {
    let (mut tried, mut told) = (0, None);
    loop {
        tried = simulator.wait_for(|counts| counts.webhooks_tried > tried).await.webhooks_tried;
        let Some(attempt) = simulator.last_attempt() else { continue };
        let failure = failure_of(&attempt);
        if failure != told && (told.is_some() || failure.is_some()) {
            match &failure {
                Some(why) => console::error(format!("webhooks fail: {why}")),
                None => console::error(format!("webhooks are taken again by {}", attempt.url)),
            }
        }
        told = failure;
    }
}

/// Returns the reason why a webhook was not taken, with the address and the fix.
fn failure_of(attempt: &Attempt) -> Option<String> {
    if attempt.taken {
        return None;
    }
    Some(match (&attempt.error, attempt.status) {
        (Some(error), _) => {
            format!("{error}; is `patchbay run` listening there? --webhook names another address")
        }
        (None, status) => {
            let body: String = attempt.body.chars().take(ANSWER_SHOWN).collect();
            format!("{} answered HTTP {}: {body}", attempt.url, status.unwrap_or_default())
        }
    })
}

/// Rejects URLs to which nothing can be sent.
fn addresses(arguments: &RestArguments) -> Result<(), Failure> {
    let given = [
        ("--webhook", arguments.webhook.as_ref().filter(|url| *url != "none")),
        ("--deliver-to", arguments.deliver_to.as_ref()),
        ("--base-url", arguments.base_url.as_ref()),
    ];
    for (flag, url) in given {
        if let Some(url) = url.filter(|url| !is_http(url)) {
            return Err(Failure::Usage(format!(
                "{flag} {url:?} is not a valid URL; expected http://host:port/path"
            )));
        }
    }
    Ok(())
}

/// Builds the script from the file and the flags.
fn script(arguments: &RestArguments) -> Result<Script, Failure> {
    let defaults = as_map(&Script::default())?;
    let mut map = from_file(arguments.script.as_deref())?;
    let latency = arguments.latency.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX));
    let flags = [
        ("latency_ms", latency.map(Value::from)),
        ("throttle_per_second", arguments.throttle.map(Value::from)),
        ("inbound_per_second", arguments.inbound_per_second.map(Value::from)),
    ];
    for (key, value) in flags {
        if let Some(value) = value {
            map.insert(key.to_owned(), value);
        }
    }
    apply(&mut map, &defaults, &arguments.settings)?;
    serde_json::from_value(map.into()).map_err(|e| Failure::Usage(format!("the script: {e}")))
}
