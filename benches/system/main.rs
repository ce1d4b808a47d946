//! Runs of the whole system: the release binary as a process, a simulated SMSC as another, an HTTP
//! load driver and an HTTP sink in this one, all on loopback; on request also Kannel with the same
//! work. Never reports a figure of a run that lost or repeated a callback.
//!
//! ```text
//! cargo bench --bench system -- [outbound|batch|inbound|webhook|mixed|...|all] [--messages N]
//! cargo bench --bench system -- sweep [channels|binds|...]   writes docs/sweeps
//! cargo bench --bench system -- plots                        redraws them from their tables
//! ```
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a bench prints, and ends on the first surprise"
)]

mod cases;
mod driver;
mod kannel;
mod neighbours;
mod patchbay;
mod plot;
mod process;
mod raw;
mod restart;
mod retention;
mod scale;
mod search;
mod sink;
mod smsc;
mod sweep;
mod table;
mod webhook;
mod work;

use std::{path::PathBuf, process::ExitCode};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The cases to run, and their parameters.
#[derive(Clone, Debug)]
pub struct Plan {
    pub cases: Vec<String>,
    /// The sweeps to run; empty for all.
    pub sweeps: Vec<String>,
    /// The number of messages in each run.
    pub messages: u64,
    /// The number of customers that receive them.
    pub customers: u64,
    /// The number of keep-alive connections of the driver.
    pub connections: usize,
    /// The number of messages in a request and in a callback, in the batch case.
    pub batch: u64,
    /// The window of each bind, for both gateways.
    pub window: u64,
    /// The number of binds of Patchbay.
    pub binds: u64,
    /// How long the SMSC takes to answer a submit.
    pub smsc_latency_ms: u64,
    /// Whether Kannel runs as well.
    pub kannel: bool,
    /// Further lines for `[limits]`.
    pub limits: String,
    /// Further lines for the top of the configuration.
    pub root: String,
    /// Whether to keep folders and logs of the runs.
    pub keep: bool,
    pub runs: usize,
    /// The folder for logs and data of the runs. It must lie on a disk, not in memory.
    pub folder: PathBuf,
}

const CASES: [&str; 10] =
    ["raw", "outbound", "batch", "inbound", "webhook", "mixed", "latency", "slow", "neighbours", "restart"];
/// Cases that take minutes and gigabytes, or only redraw plots: run only when named.
const LONG_CASES: [&str; 4] = ["scale", "search", "retention", "plots"];
const USAGE: &str = "usage: cargo bench --bench system -- \
                     [raw|outbound|batch|inbound|webhook|mixed|latency|slow|neighbours|restart|all|scale|search|retention|plots]... \
                     [sweep [load|channels|binds|sessions|length|receipts]...] [--messages N] \
                     [--customers N] [--connections N] [--batch N] [--window N] [--binds N] [--smsc-latency MS] \
                     [--runs N] [--limits TOML] [--kannel] [--keep]";

impl Plan {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let folder =
            std::env::var_os("BENCH_DIR").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
        let mut plan = Self {
            cases: Vec::new(),
            sweeps: Vec::new(),
            messages: 100_000,
            customers: 10_000,
            connections: 32,
            batch: 100,
            window: 100,
            binds: 1,
            smsc_latency_ms: 0,
            kannel: false,
            limits: String::new(),
            root: String::new(),
            keep: false,
            runs: 1,
            folder,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut number = || -> Result<u64> {
                let text = arguments.next().ok_or(USAGE)?;
                Ok(text.replace('_', "").parse().map_err(|e| format!("{argument} {text}: {e}\n{USAGE}"))?)
            };
            match argument.as_str() {
                "--messages" => plan.messages = number()?.clamp(1, 10_000_000),
                "--customers" => plan.customers = number()?.clamp(1, 10_000_000),
                "--connections" => plan.connections = number()?.clamp(1, 4_096) as usize,
                "--batch" => plan.batch = number()?.clamp(1, 1_000),
                "--window" => plan.window = number()?.clamp(1, 10_000),
                "--binds" => plan.binds = number()?.clamp(1, 64),
                "--smsc-latency" => plan.smsc_latency_ms = number()?.min(60_000),
                "--runs" => plan.runs = number()?.clamp(1, 100) as usize,
                "--kannel" => plan.kannel = true,
                "--keep" => plan.keep = true,
                "--limits" => plan.limits = arguments.next().ok_or(USAGE)?.replace(';', "\n"),
                // Added by cargo.
                "--bench" => {}
                "all" => plan.cases = CASES.map(String::from).to_vec(),
                "sweep" => plan.cases.push(argument),
                sweep if sweep::NAMES.contains(&sweep) => plan.sweeps.push(argument),
                case if CASES.contains(&case) || LONG_CASES.contains(&case) => plan.cases.push(argument),
                _ => return Err(format!("{argument:?}?\n{USAGE}").into()),
            }
        }
        if plan.cases.is_empty() {
            plan.cases = CASES.map(String::from).to_vec();
        }
        Ok(plan)
    }
}

fn main() -> ExitCode {
    let done = Plan::read(std::env::args().skip(1)).and_then(|plan| cases::run(&plan));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
