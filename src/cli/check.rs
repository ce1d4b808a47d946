//! `patchbay check`: reports every problem of a configuration without running it.

use std::path::PathBuf;

use clap::Args;

use super::probe::{Probe, probe};
use crate::{
    config::{self, Settings},
    console, data_folder,
    run::Failure,
    seams,
};

const EXAMPLES: &str = "Examples:\n  patchbay check\n  patchbay check -c my.toml --probe --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArguments {
    /// The configuration file
    #[arg(short, long, default_value = "config.toml", env = "PATCHBAY_CONFIG")]
    config: PathBuf,
    /// Also log in to each provider and connect to each destination
    #[arg(long)]
    probe: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn perform(arguments: CheckArguments) -> Result<(), Failure> {
    let settings = match config::load(&arguments.config) {
        Ok(settings) => settings,
        Err(e) if arguments.json => {
            let problems: Vec<_> = e
                .problems
                .iter()
                .map(|(line, text)| serde_json::json!({ "file": e.file, "line": line, "problem": text }))
                .collect();
            console::line(serde_json::json!({ "ok": false, "problems": problems }).to_string());
            return Err(Failure::Usage(console::counted(e.problems.len(), "problem")));
        }
        Err(e) => return Err(Failure::Usage(e.to_string())),
    };
    trusted(&settings)?;
    let probes = if arguments.probe { probe(&settings).await? } else { Vec::new() };
    let failed = probes.iter().filter(|p| p.result.is_err()).count();
    report(&arguments, &settings, &probes);
    if failed > 0 {
        Err(Failure::Running(format!("{failed} of {} probes failed", probes.len())))
    } else {
        Ok(())
    }
}

/// Returns what an operator should know about a valid configuration, and about this machine.
fn warnings(settings: &Settings) -> Vec<String> {
    let folder = data_folder::problem(&settings.data_dir);
    let folder =
        folder.map(|why| format!("data_dir {:?} on this machine: {why}", settings.data_dir.display()));
    settings.warnings().into_iter().chain(folder).collect()
}

/// Reads the roots to trust, which otherwise happens at the start.
fn trusted(settings: &Settings) -> Result<(), Failure> {
    seams::real(settings.trust.as_deref(), 0).map_err(|e| Failure::Usage(e.to_string())).map(|_| ())
}

fn report(arguments: &CheckArguments, settings: &Settings, probes: &[Probe]) {
    let (channels, destinations) = (settings.router.channels.len(), settings.router.destinations.len());
    if arguments.json {
        let probes: Vec<_> = probes
            .iter()
            .map(|p| serde_json::json!({ "what": p.what, "ok": p.result.is_ok(), "problem": p.result.as_ref().err() }))
            .collect();
        let ok = probes.iter().all(|p| p.get("ok") == Some(&serde_json::Value::Bool(true)));
        let warnings = warnings(settings);
        let view = serde_json::json!({ "ok": ok, "channels": channels, "destinations": destinations, "warnings": warnings, "probes": probes });
        console::line(view.to_string());
        return;
    }
    let file = arguments.config.display();
    console::line(format!(
        "{file} is valid: {}, {}",
        console::counted(channels, "channel"),
        console::counted(destinations, "destination")
    ));
    for warning in warnings(settings) {
        console::line(format!("  WARNING  {warning}"));
    }
    for probe in probes {
        match &probe.result {
            Ok(took) => {
                console::line(format!("  reached  {} in {:.0} ms", probe.what, took.as_secs_f64() * 1000.0))
            }
            Err(why) => console::line(format!("  FAILED   {}: {why}", probe.what)),
        }
    }
}
