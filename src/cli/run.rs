//! `patchbay run`: runs the router with a configuration file.

use std::path::PathBuf;

use clap::Args;

use crate::{
    config::{self, Settings},
    console,
    run::{self, Failure, Running},
    telemetry,
};

const EXAMPLES: &str = "Examples:\n  patchbay run\n  PATCHBAY_LOG=debug patchbay run -c my.toml";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArguments {
    /// The configuration file
    #[arg(short, long, default_value = "config.toml", env = "PATCHBAY_CONFIG")]
    config: PathBuf,
}

pub(super) async fn perform(arguments: RunArguments) -> Result<(), Failure> {
    run::outlive_hangups()?;
    let settings = config::load(&arguments.config).map_err(|e| Failure::Usage(e.to_string()))?;
    telemetry::start_logging(&settings.log).map_err(Failure::running)?;
    let metrics = telemetry::start_metrics().map_err(Failure::running)?;
    let summary = Summary::of(&settings);
    let running = run::start(settings, Some(metrics)).await?;
    summary.print(&running);
    running.until_stopped().await
}

/// The lines printed once the router is ready.
struct Summary {
    data_dir: String,
    channels: Vec<String>,
    destinations: Vec<String>,
    warnings: Vec<String>,
    open_to_all: bool,
    token: bool,
}

impl Summary {
    fn of(settings: &Settings) -> Self {
        let channels = settings.router.channels.iter().map(|c| {
            let dids: Vec<&str> = c.dids.iter().map(|d| &*d.number).collect();
            format!("{} ({}): {}", c.id, c.channel.provider().name, dids.join(", "))
        });
        let destinations = settings.router.destinations.iter().map(|d| format!("{} -> {}", d.id, d.url));
        Self {
            data_dir: settings.data_dir.display().to_string(),
            channels: channels.collect(),
            destinations: destinations.collect(),
            warnings: settings.warnings(),
            open_to_all: settings.http.api_keys.is_empty(),
            token: settings.admin.token.is_some(),
        }
    }

    fn print(&self, running: &Running) {
        let recovery = &running.recovery;
        let replayed = recovery.last.0.saturating_sub(recovery.checkpoint.0);
        let found = match recovery.last.0 {
            0 => "new".to_owned(),
            last => format!(
                "{last} events in {}, {replayed} replayed since the last checkpoint",
                console::counted(recovery.segments, "segment")
            ),
        };
        let keys = if self.open_to_all { "no API key needed on this address" } else { "API key required" };
        let token = if self.token { "token required" } else { "no token needed on this address" };
        let ready_ms = running.ready_after.as_secs_f64() * 1000.0;
        console::line(format!("Patchbay {} ready in {ready_ms:.0} ms", env!("CARGO_PKG_VERSION")));
        console::line(format!("  send API      {}/v1/messages  ({keys})", running.public_url));
        console::line(format!("  admin page    {}/  ({token})", running.admin_url));
        console::line(format!("  event log     {}: {found}", self.data_dir));
        if let Some(torn) = &recovery.torn {
            console::line(format!(
                "                a torn last block, never acknowledged, was cut off: {torn}"
            ));
        }
        several("channels", &self.channels);
        several("destinations", &self.destinations);
        for warning in &self.warnings {
            console::line(format!("  WARNING       {warning}"));
        }
    }
}

fn several(name: &str, lines: &[String]) {
    let mut name = name;
    for line in lines {
        console::line(format!("  {name:<13} {line}"));
        name = "";
    }
    if lines.is_empty() {
        console::line(format!("  {name:<13} none configured"));
    }
}
