//! `patchbay log`: checks, counts and exports the event log of a Patchbay that is not running. Changes nothing.

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

#[derive(Debug, Subcommand)]
pub(super) enum Arguments {
    /// Read every block and name those that are damaged
    Verify(Place),
    /// Sizes and counts
    Stats(Place),
    /// Write events as lines of JSON
    Export(Export),
}

#[derive(Debug, Args)]
pub(super) struct Place {
    /// The folder of the log
    #[arg(long, conflicts_with = "config")]
    data_dir: Option<PathBuf>,
    /// The configuration that names it
    #[arg(short, long, default_value = "config.toml", env = "PATCHBAY_CONFIG")]
    config: PathBuf,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    place: Place,
    /// The first event
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// At most so many events
    #[arg(long)]
    limit: Option<usize>,
}

impl Place {
    /// The folder, which must be there: looking must not create one.
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
                "there is no log in {}; name its folder with --data-dir",
                folder.display()
            )))
        }
    }
}

pub(super) fn perform(arguments: Arguments) -> Result<(), Failure> {
    match arguments {
        Arguments::Verify(place) => verify(&place),
        Arguments::Stats(place) => stats(&place),
        Arguments::Export(export) => self::export(&export),
    }
}

fn verify(place: &Place) -> Result<(), Failure> {
    let engine = DiskEngine::open(place.folder()?).map_err(Failure::running)?;
    let report = storage::verify(&engine).map_err(Failure::running)?;
    let sound = report.bad.is_empty() && report.gaps.is_empty();
    if place.json {
        let bad: Vec<String> = report.bad.iter().map(ToString::to_string).collect();
        let gaps: Vec<_> =
            report.gaps.iter().map(|(end, next)| json!({ "after": end.0, "next": next })).collect();
        let view = json!({
            "sound": sound, "segments": report.segments, "blocks": report.blocks, "events": report.events,
            "blockBytes": report.block_bytes, "bad": bad, "gaps": gaps,
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
        for (end, next) in &report.gaps {
            console::line(format!("  MISSING  events after {end}, before folder {next}"));
        }
    }
    if sound {
        Ok(())
    } else {
        Err(Failure::running("the log is damaged; restore the named folders from a backup"))
    }
}

fn stats(place: &Place) -> Result<(), Failure> {
    let (log, _) = open_log(&place.folder()?, Options::default())?;
    let stats = log.stats().map_err(Failure::running)?;
    let figures = log_figures(&stats);
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
    let (log, _) = open_log(&export.place.folder()?, Options::default())?;
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
