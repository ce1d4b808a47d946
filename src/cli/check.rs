//! `patchbay check`: everything that can be known of a configuration before it runs.

use std::{path::PathBuf, time::Duration};

use actors::{config::ChannelConfig, seams::Target};
use channels::provider::LinkKind;
use clap::Args;

use crate::{
    config::{self, Settings},
    http::tls,
    out,
    run::Failure,
    seams::{self, Stopwatch},
};

/// A probe may take so long.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(short, long, default_value = "config.toml", env = "PATCHBAY_CONFIG")]
    config: PathBuf,
    /// Also connect to each provider and destination
    #[arg(long)]
    probe: bool,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn perform(arguments: Arguments) -> Result<(), Failure> {
    let settings = match config::load(&arguments.config) {
        Ok(settings) => settings,
        Err(e) if arguments.json => {
            let problems: Vec<_> = e
                .problems
                .iter()
                .map(|(line, text)| serde_json::json!({ "file": e.file, "line": line, "problem": text }))
                .collect();
            out::line(serde_json::json!({ "ok": false, "problems": problems }).to_string());
            return Err(Failure::Usage(format!("{} problems", e.problems.len())));
        }
        Err(e) => return Err(Failure::Usage(e.to_string())),
    };
    certificates(&settings)?;
    let probes = if arguments.probe { probe(&settings).await? } else { Vec::new() };
    let failed = probes.iter().filter(|p| p.result.is_err()).count();
    report(&arguments, &settings, &probes);
    if failed > 0 {
        Err(Failure::Running(format!("{failed} of {} probes failed", probes.len())))
    } else {
        Ok(())
    }
}

/// Certificates are read now rather than at the start.
fn certificates(settings: &Settings) -> Result<(), Failure> {
    for tls in [&settings.http.tls, &settings.admin.tls].into_iter().flatten() {
        tls::acceptor(tls).map_err(|e| Failure::Usage(e.to_string()))?;
    }
    seams::real(settings.trust.as_deref()).map_err(|e| Failure::Usage(e.to_string())).map(|_| ())
}

struct Probe {
    what: String,
    result: Result<Duration, String>,
}

async fn probe(settings: &Settings) -> Result<Vec<Probe>, Failure> {
    let seams = seams::real(settings.trust.as_deref()).map_err(Failure::running)?;
    let mut probes = Vec::new();
    for channel in &settings.router.channels {
        let target = target_of(channel);
        let what = format!("channel {} ({}:{})", channel.id, target.host, target.port);
        probes.push(connect(&seams, what, target).await);
    }
    for destination in &settings.router.destinations {
        let Ok(uri) = destination.url.parse::<http::Uri>() else { continue };
        let tls = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        // Certificates of destinations may be signed by the configured roots: only the way there is tried.
        let target = Target { host: host.into(), port, tls: None };
        probes.push(
            connect(&seams, format!("destination {} ({})", destination.id, destination.url), target).await,
        );
    }
    Ok(probes)
}

fn target_of(channel: &ChannelConfig) -> Target {
    match channel.channel.link() {
        LinkKind::Smpp(account) => Target {
            host: (&*account.host).into(),
            port: account.port,
            tls: account.tls.then(|| account.tls_ca.as_deref().map(Into::into)),
        },
    }
}

async fn connect(seams: &actors::Seams, what: String, target: Target) -> Probe {
    let watch = Stopwatch::start();
    let result = match tokio::time::timeout(PROBE_TIMEOUT, seams.connector.connect(target)).await {
        Ok(Ok(_)) => Ok(watch.elapsed()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("no connection within {} s", PROBE_TIMEOUT.as_secs())),
    };
    Probe { what, result }
}

fn report(arguments: &Arguments, settings: &Settings, probes: &[Probe]) {
    let (channels, destinations) = (settings.router.channels.len(), settings.router.destinations.len());
    if arguments.json {
        let probes: Vec<_> = probes
            .iter()
            .map(|p| serde_json::json!({ "what": p.what, "ok": p.result.is_ok(), "problem": p.result.as_ref().err() }))
            .collect();
        let ok = probes.iter().all(|p| p.get("ok") == Some(&serde_json::Value::Bool(true)));
        let view = serde_json::json!({ "ok": ok, "channels": channels, "destinations": destinations, "probes": probes });
        out::line(view.to_string());
        return;
    }
    let file = arguments.config.display();
    out::line(format!("{file} is valid: {channels} channels, {destinations} destinations"));
    for probe in probes {
        match &probe.result {
            Ok(took) => {
                out::line(format!("  reached  {} in {:.0} ms", probe.what, took.as_secs_f64() * 1000.0))
            }
            Err(why) => out::line(format!("  FAILED   {}: {why}", probe.what)),
        }
    }
}
