//! The whole router, every actor of it, in one thread on virtual time, over a disk, SMSCs and
//! destinations that fail as a seed says. A run that fails is repeated exactly by `SEED=<n>`, with
//! its trace; `SEEDS=<n>` runs more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail by a panic, and the world outside the router needs no supervisor"
)]
#![cfg_attr(feature = "sabotage", allow(dead_code, reason = "the proof by deliberate bugs shows less"))]

mod api;
mod business;
#[cfg(not(feature = "sabotage"))]
mod clock;
mod connection;
mod destination;
#[cfg(not(feature = "sabotage"))]
mod doubted;
#[cfg(not(feature = "sabotage"))]
mod hour;
#[cfg(not(feature = "sabotage"))]
mod ids;
mod operator;
mod oracle;
mod pairs;
#[cfg(not(feature = "sabotage"))]
mod processes;
#[cfg(not(feature = "sabotage"))]
mod refusals;
mod rng;
mod run;
mod script;
mod smsc;
mod told;
mod world;

use run::{Outcome, PANICS, run};

#[cfg(not(feature = "sabotage"))]
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Seeds run unless `SEEDS` says otherwise.
#[cfg(not(feature = "sabotage"))]
const SEEDS_DEFAULT: u64 = 2_000;
#[cfg(not(feature = "sabotage"))]
const THREADS: u64 = 2;
/// The number of seeds that meets every pair of a fault and an operation.
#[cfg(not(feature = "sabotage"))]
const PAIRS_SEEDS: u64 = 20_000;
/// Seeds that a deliberate bug may stay hidden for.
#[cfg(feature = "sabotage")]
const SABOTAGE_SEEDS: u64 = 300;
/// Failing seeds that are told of.
#[cfg(not(feature = "sabotage"))]
const FAILURES_SHOWN_MAX: usize = 30;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn listen_to_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = format!("panic: {panic}");
        if std::env::var_os("SEED").is_some() {
            eprintln!("{text}\n{}", std::backtrace::Backtrace::force_capture());
        }
        PANICS.with(|panics| panics.borrow_mut().push(text));
    }));
}

/// A run whose harness panics has failed like any other.
fn caught(seed: u64, verbose: bool) -> Outcome {
    std::panic::catch_unwind(|| run(seed, verbose)).unwrap_or_else(|_| Outcome {
        failures: PANICS.with(|panics| std::mem::take(&mut *panics.borrow_mut())),
        hash: 0,
        virtual_ms: 0,
        events: 0,
        met: Default::default(),
        pairs: Default::default(),
        trace: Vec::new(),
    })
}

#[cfg(not(feature = "sabotage"))]
fn one(seed: u64) {
    let outcome = caught(seed, true);
    for (at_ms, line) in &outcome.trace {
        println!("{at_ms:>8} {line}");
    }
    println!(
        "seed {seed}: trace {:016x}, {} virtual ms, {} events",
        outcome.hash, outcome.virtual_ms, outcome.events
    );
    for failure in &outcome.failures {
        println!("seed {seed}: {failure}");
    }
    if !outcome.failures.is_empty() {
        std::process::exit(1);
    }
}

#[cfg(not(feature = "sabotage"))]
fn many(first: u64, seeds: u64) {
    let began = std::time::Instant::now();
    let (next, events, virtual_ms) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    let failed: Mutex<Vec<(u64, String)>> = Mutex::default();
    let met: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let pairs: Mutex<pairs::Pairs> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let outcome = caught(seed, false);
                    events.fetch_add(outcome.events, Ordering::Relaxed);
                    virtual_ms.fetch_add(outcome.virtual_ms, Ordering::Relaxed);
                    for (what, times) in &outcome.met {
                        *met.lock().unwrap().entry(what).or_default() += times;
                    }
                    for (pair, times) in outcome.pairs {
                        *pairs.lock().unwrap().entry(pair).or_default() += times;
                    }
                    if let Some(failure) = outcome.failures.first() {
                        // A long run tells at once; the summary comes at its end.
                        eprintln!("SEED={seed} failed");
                        failed.lock().unwrap().push((seed, failure.chars().take(600).collect()));
                    }
                }
            });
        }
    });
    let took = began.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds in {took:.1} s ({:.0} a second): {} events, {} virtual hours",
        seeds as f64 / took,
        events.load(Ordering::Relaxed),
        virtual_ms.load(Ordering::Relaxed) / 3_600_000
    );
    let met = met.into_inner().unwrap();
    println!("met: {met:?}");
    let unmet = run::CORNERS.iter().find(|corner| !met.contains_key(*corner));
    assert!(unmet.is_none() || seeds < SEEDS_DEFAULT, "{seeds} seeds never met {unmet:?}");
    let (table, empty) = pairs::table(&pairs.into_inner().unwrap());
    println!("how often faults fell during operations (-: cannot be, see pairs.rs):\n{table}");
    println!("empty cells that can be met: {empty:?}");
    assert!(empty.is_empty() || seeds < PAIRS_SEEDS, "{seeds} seeds never met {empty:?}");
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    for (seed, failure) in failed.iter().take(FAILURES_SHOWN_MAX) {
        println!("SEED={seed}: {failure}");
    }
    if !failed.is_empty() {
        println!("{} of {seeds} seeds failed", failed.len());
        std::process::exit(1);
    }
}

#[cfg(not(feature = "sabotage"))]
#[test]
fn whatever_happens_nothing_is_lost_or_doubled_in_silence() {
    listen_to_panics();
    match number("SEED") {
        Some(seed) => one(seed),
        None => many(number("FIRST").unwrap_or(0), number("SEEDS").unwrap_or(SEEDS_DEFAULT)),
    }
}

/// Deliberate bugs are found, each within a few seeds.
#[cfg(feature = "sabotage")]
#[test]
fn every_deliberate_bug_is_found() {
    use actors::sabotage::Sabotage;

    listen_to_panics();
    let wanted = std::env::var("SABOTAGE").ok();
    let mut missed = Vec::new();
    for (name, sabotage) in Sabotage::ALL {
        if wanted.as_deref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        sabotage.choose();
        let seeds = number("SEED").map_or(0..SABOTAGE_SEEDS, |seed| seed..seed + 1);
        let found =
            seeds.into_iter().find_map(|seed| Some((seed, caught(seed, false).failures.into_iter().next()?)));
        match found {
            Some((seed, failure)) => {
                println!("{name}: SEED={seed}: {}", failure.chars().take(300).collect::<String>())
            }
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "not found in {SABOTAGE_SEEDS} seeds: {missed:?}");
}

#[cfg(not(feature = "sabotage"))]
#[test]
fn one_seed_gives_one_trace() {
    for seed in 0..20 {
        let (first, second) = (run(seed, false), run(seed, false));
        assert_eq!(first.hash, second.hash, "seed {seed}");
    }
}
