//! A broken invariant in a released build: it is counted, its session is rebuilt from the log, and
//! nothing is lost. Here some checks at regular distances are taken for broken.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
};
use storage::invariants;

use crate::run::run;

const SEEDS: u64 = 120;

/// Keeps the counters.
#[derive(Default)]
struct Counters(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counters {
    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.0.lock().unwrap().entry(key.name().to_owned()).or_default().clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_broken_invariant_is_counted_and_costs_its_session_a_rebuild_only() {
    let counters = Counters::default();
    let before = invariants::broken_here();
    for seed in 0..SEEDS {
        invariants::go_on_here([37, 400, 5_000][seed as usize % 3]);
        let failures = with_local_recorder(&counters, || run(seed, false)).failures;
        assert!(failures.is_empty(), "seed {seed}: {failures:?}");
    }
    let broken = invariants::broken_here() - before;
    let rebuilt = counters.of("patchbay_sessions_rebuilt_total");
    println!("{SEEDS} seeds: {broken} checks were taken for broken, {rebuilt} sessions rebuilt");
    assert!(broken > 1_000 && rebuilt > 100, "{broken} {rebuilt}");
    assert_eq!(counters.of("patchbay_session_panics_total"), 0);
    assert!(counters.of("patchbay_invariants_broken_total") > 0, "it is not published");
}
