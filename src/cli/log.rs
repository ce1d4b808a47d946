//! `patchbay log`: checks, counts and exports the event log of a Patchbay that is not running.
//! Changes nothing.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use message::Seq;
use serde_json::json;
use storage::{DiskEngine, Options, Stored};

use crate::{
    config, console,
    http::admin::log_figures,
    run::{Failure, open_log},
};

const EXAMPLES: &str =
    "Examples:\n  patchbay log verify\n  patchbay log export --data-dir data --from 1000 --limit 50";
const VERIFY_EXAMPLES: &str =
    "Examples:\n  patchbay log verify\n  patchbay log verify --data-dir data --json";
const STATS_EXAMPLES: &str = "Examples:\n  patchbay log stats\n  patchbay log stats -c my.toml --json";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum LogCommand {
    /// Read every file and report damage: what, where, and what to do
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(LogFolder),
    /// Print sizes and counts
    #[command(after_help = STATS_EXAMPLES)]
    Stats(LogFolder),
    /// Print events as lines of JSON
    Export(Export),
}

#[derive(Debug, Args)]
pub(super) struct LogFolder {
    /// The folder of the log
    #[arg(long, conflicts_with = "config")]
    data_dir: Option<PathBuf>,
    /// The configuration file that names the folder
    #[arg(short, long, default_value = "config.toml", env = "PATCHBAY_CONFIG")]
    config: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl LogCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Verify(place) | Self::Stats(place) => place.json,
            Self::Export(export) => export.place.json,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Export {
    #[command(flatten)]
    place: LogFolder,
    /// The sequence number of the first event
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// The largest number of events
    #[arg(long)]
    limit: Option<usize>,
}

impl LogFolder {
    /// Returns the folder. It must exist: a command that reads must not create one.
    fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = match &self.data_dir {
            Some(folder) => folder.clone(),
            None => config::load(&self.config).map_err(|e| Failure::Usage(e.to_string()))?.data_dir,
        };
        let is_log = |entry: std::fs::DirEntry| {
            let name = entry.file_name();
            name == "lock" || name.to_string_lossy().starts_with("segment-")
        };
        if folder.read_dir().is_ok_and(|entries| entries.flatten().any(is_log)) {
            Ok(folder)
        } else {
            Err(Failure::Usage(format!(
                "no event log in {}; name its folder with --data-dir",
                folder.display()
            )))
        }
    }
}

pub(super) fn perform(arguments: LogCommand) -> Result<(), Failure> {
    match arguments {
        LogCommand::Verify(place) => verify(&place),
        LogCommand::Stats(place) => stats(&place),
        LogCommand::Export(export) => self::export(&export),
    }
}

fn verify(place: &LogFolder) -> Result<(), Failure> {
    let engine = DiskEngine::open_existing(place.folder()?).map_err(Failure::running)?;
    let report = storage::verify(&engine).map_err(Failure::running)?;
    if place.json {
        let bad: Vec<String> = report.bad.iter().map(ToString::to_string).collect();
        let gaps: Vec<_> =
            report.gaps.iter().map(|gap| json!({ "after": gap.after.0, "next": gap.folder })).collect();
        let files: Vec<_> = report
            .files
            .iter()
            .map(|f| json!({ "file": f.file, "offset": f.offset, "what": f.what, "remedy": f.remedy.to_string() }))
            .collect();
        let view = json!({
            "sound": report.is_sound(), "segments": report.segments, "blocks": report.blocks, "events": report.events,
            "blockBytes": report.block_bytes, "bad": bad, "gaps": gaps,
            "files": files,
        });
        console::line(view.to_string());
    } else {
        let (segments, blocks, events) = (report.segments, report.blocks, report.events);
        console::line(format!(
            "{segments} segments, {blocks} blocks, {events} events, {} bytes",
            report.block_bytes
        ));
        for bad in &report.bad {
            console::line(format!("  DAMAGED  {bad}"));
        }
        for gap in &report.gaps {
            console::line(format!("  MISSING  events after {}, before folder {}", gap.after, gap.folder));
        }
        for file in &report.files {
            console::line(format!("  DAMAGED  {file}"));
        }
    }
    if report.needs_backup() {
        Err(Failure::running("the log is damaged; restore the named folders from a backup"))
    } else {
        Ok(())
    }
}

fn stats(place: &LogFolder) -> Result<(), Failure> {
    let (log, _) = open_log(&place.folder()?, None, Options::default())?;
    let stats = log.stats().map_err(Failure::running)?;
    let figures = serde_json::to_value(log_figures(&stats)).map_err(Failure::running)?;
    if place.json {
        console::line(figures.to_string());
    } else {
        for (key, value) in figures.as_object().into_iter().flatten() {
            console::line(format!("{key:<18} {value:>16}"));
        }
    }
    log.close().map_err(Failure::running)
}

fn export(export: &Export) -> Result<(), Failure> {
    let (log, _) = open_log(&export.place.folder()?, None, Options::default())?;
    for stored in log.read(Seq(export.from.max(1))).take(export.limit.unwrap_or(usize::MAX)) {
        let mut line = line_of(&stored.map_err(Failure::running)?)?;
        line.push(b'\n');
        if console::bytes(&line).is_err() {
            break;
        }
    }
    log.close().map_err(Failure::running)
}

fn line_of(stored: &Stored) -> Result<Vec<u8>, Failure> {
    let event = serde_json::to_value(&stored.event).map_err(Failure::running)?;
    let line = json!({
        "seq": stored.seq.0, "at": stored.at.0, "stream": stored.stream.to_string(), "event": event,
    });
    Ok(line.to_string().into_bytes())
}
