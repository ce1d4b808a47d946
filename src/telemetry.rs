//! The process's own log (to standard error or a rotated file) and Prometheus metrics. Never
//! contains a message's text or a secret.

mod families;
pub mod problems;
mod repeats;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::config::LogSettings;

/// The upper bounds of the latency histograms, in seconds.
const SECONDS: [f64; 14] =
    [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The target of the library that runs actors.
const ACTORS: &str = "ractor";
/// The upper bounds of the time to a receipt, in seconds: a telephone may be off for days.
const RECEIPT_SECONDS: [f64; 14] =
    [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0, 259_200.0];

/// Starts logging as configured. `PATCHBAY_LOG` overrides the filter.
///
/// # Errors
/// The log file cannot be opened, or the filter is not valid.
pub fn start_logging(settings: &LogSettings) -> io::Result<()> {
    let filter = std::env::var("PATCHBAY_LOG").unwrap_or_else(|_| settings.filter.clone());
    let filter = filter_of(&filter).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let registry = tracing_subscriber::registry().with(filter).with(repeats::RepeatLimit::default());
    let layer = tracing_subscriber::fmt::layer().with_target(true);
    let started = match (&settings.file, settings.json) {
        (Some(path), true) => registry.with(layer.json().with_writer(file(path, settings)?)).try_init(),
        (Some(path), false) => {
            registry.with(layer.with_ansi(false).with_writer(file(path, settings)?)).try_init()
        }
        (None, true) => registry.with(layer.json().with_writer(io::stderr)).try_init(),
        (None, false) => {
            let colour = io::IsTerminal::is_terminal(&io::stderr());
            registry.with(layer.with_ansi(colour).with_writer(io::stderr)).try_init()
        }
    };
    started.map_err(|e| io::Error::other(format!("logging is started already: {e}")))
}

/// Parses a filter such as `info` or `info,patchbay=debug`.
///
/// # Errors
/// The reason why the filter is not valid.
pub fn filter_of(text: &str) -> Result<Targets, String> {
    let filter: Targets = text.parse().map_err(|e| format!("the log filter {text:?} is not valid: {e}"))?;
    // The library's spans only hold the numbers of actors, which say nothing to people.
    let names_it = text.split(',').any(|part| part.trim_start().starts_with(ACTORS));
    Ok(if names_it { filter } else { filter.with_target(ACTORS, LevelFilter::WARN) })
}

fn file(path: &Path, settings: &LogSettings) -> io::Result<RotatingFile> {
    RotatingFile::open(path, settings.file_bytes_max, settings.total_bytes_max)
        .map_err(|e| io::Error::new(e.kind(), format!("the log file {}: {e}", path.display())))
}

/// Installs the metrics recorder and returns the handle that renders it.
///
/// # Errors
/// A recorder is installed already.
pub fn start_metrics() -> io::Result<PrometheusHandle> {
    let receipts = Matcher::Full("patchbay_receipt_seconds".to_owned());
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS).map_err(io::Error::other)?;
    let builder = builder.set_buckets_for_metric(receipts, &RECEIPT_SECONDS).map_err(io::Error::other)?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|e| io::Error::other(e.to_string()))?;
    families::describe();
    metrics::gauge!("patchbay_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Sets the gauges of the process itself from `/proc`; does nothing where that is missing.
pub fn measure_process() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |key: &str| {
        let line = status.lines().find(|l| l.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    if let Some(kb) = kilobytes("VmRSS:") {
        metrics::gauge!("process_resident_memory_bytes").set(kb * 1024.0);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(entries.count() as f64);
    }
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in brackets that may hold spaces. User and system time are the
    // fields 14 and 15.
    let mut ticks = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11);
    if let (Some(Ok(user)), Some(Ok(system))) =
        (ticks.next().map(str::parse::<f64>), ticks.next().map(str::parse::<f64>))
    {
        // Linux counts in hundredths of a second on every platform it is built for.
        metrics::gauge!("process_cpu_seconds").set((user + system) / 100.0);
    }
}

/// A log file that is renamed to `<name>.<n>` at a given size. The oldest files are deleted when
/// all together exceed their limit.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    file_bytes_max: u64,
    total_bytes_max: u64,
    open: Mutex<CurrentFile>,
}

#[derive(Debug)]
struct CurrentFile {
    file: File,
    bytes: u64,
}

impl RotatingFile {
    fn open(path: &Path, file_bytes_max: u64, total_bytes_max: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        let open = Mutex::new(CurrentFile { file, bytes });
        Ok(Self { path: path.into(), file_bytes_max, total_bytes_max, open })
    }

    fn write_line(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let length = line.len() as u64;
        if open.bytes > 0 && open.bytes.saturating_add(length) > self.file_bytes_max {
            self.rotate()?;
            *open = CurrentFile { file: append(&self.path)?, bytes: 0 };
        }
        open.file.write_all(line)?;
        open.bytes = open.bytes.saturating_add(length);
        Ok(())
    }

    /// Renames the current file. Numbers only rise, so no name is ever reused.
    fn rotate(&self) -> io::Result<()> {
        let mut old = self.rotated()?;
        let next = old.last().map_or(1, |(number, ..)| number.saturating_add(1));
        let to = self.numbered(next);
        fs::rename(&self.path, &to)?;
        let bytes = fs::metadata(&to)?.len();
        old.push((next, to, bytes));
        let mut total: u64 = old.iter().map(|(_, _, bytes)| bytes).sum();
        // The new file may grow to its full size.
        let keep = self.total_bytes_max.saturating_sub(self.file_bytes_max);
        for (_, path, bytes) in old {
            if total <= keep {
                break;
            }
            fs::remove_file(path)?;
            total = total.saturating_sub(bytes);
        }
        Ok(())
    }

    fn numbered(&self, number: u64) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Returns the rotated files, oldest first, each with its number and size.
    fn rotated(&self) -> io::Result<Vec<(u64, PathBuf, u64)>> {
        let folder = self.path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let entry_name = entry.file_name().to_string_lossy().into_owned();
            let number = entry_name.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.'));
            if let Some(Ok(number)) = number.map(str::parse) {
                found.push((number, entry.path(), entry.metadata()?.len()));
            }
        }
        found.sort();
        Ok(found)
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for &RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_line(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for RotatingFile {
    type Writer = &'a RotatingFile;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_actors_are_not_logged_unless_named() {
        use tracing::Level;
        for (text, shown) in [("info", false), ("debug", false), ("info,ractor=info", true), ("off", false)] {
            let filter = filter_of(text).unwrap();
            assert_eq!(filter.would_enable("ractor::actor", &Level::INFO), shown, "{text}");
        }
        assert!(filter_of("info").unwrap().would_enable("ractor::actor", &Level::WARN));
        assert!(filter_of("debug").unwrap().would_enable("patchbay", &Level::DEBUG));
    }

    #[test]
    fn a_log_file_is_rotated_by_size_and_all_of_them_stay_below_the_cap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("patchbay.log");
        let file = RotatingFile::open(&path, 100, 350).unwrap();
        for line in 0..100 {
            (&file).write_all(format!("line {line:03} of about thirty bytes\n").as_bytes()).unwrap();
        }
        let total: u64 =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(total <= 350, "{total}");
        assert!(fs::metadata(&path).unwrap().len() <= 100);
        assert!(fs::read_to_string(&path).unwrap().contains("line 099"));
        let again = RotatingFile::open(&path, 100, 350).unwrap();
        let before = again.rotated().unwrap().last().unwrap().0;
        again.write_line(&[b'x'; 99]).unwrap();
        assert_eq!(again.rotated().unwrap().last().unwrap().0, before + 1, "numbers go on after a restart");
    }
}
