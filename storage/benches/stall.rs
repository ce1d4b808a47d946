//! Measures the latency of commits during a checkpoint and while segments are sealed.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and ends on the first surprise"
)]

mod support;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use message::{Seq, StreamId, Timestamp};
use storage::{Entry, Log, Options};
use support::{Waiter, folder, items, now, open, quantile, spread};

const KEYS: usize = 100_000;

/// Commits batches of 64 until told to stop; gives how long each took.
fn commit(stop: &AtomicBool, mut once: impl FnMut()) -> Vec<Duration> {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begin = now();
        once();
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times
}

fn show(name: &str, times: &[Duration], note: &str) {
    let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(|share| quantile(times, share));
    println!(
        "{name:34} commit p50 {p50:>10.1?}  p99 {p99:>10.1?}  p99.9 {p999:>10.1?}  max {max:>10.1?}  {note}"
    );
}

/// Runs `work` beside commits of 64 events.
fn beside(name: &str, log: &Log, first: u64, work: impl FnOnce() -> String + Send) {
    let stop = AtomicBool::new(false);
    let waiter = Waiter::new();
    let (times, note) = thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let note = work();
            stop.store(true, Ordering::Relaxed);
            note
        });
        let mut number = first;
        let times = commit(&stop, || {
            waiter.append(log, items(number, 64));
            number += 64;
            waiter.wait();
        });
        (times, worker.join().unwrap())
    });
    show(name, &times, &note);
}

fn checkpoint(log: &Log, name: &str, applied: Seq) {
    for stream in 0..KEYS as u64 {
        let due = Some(Timestamp(stream));
        log.index().put(StreamId(spread(stream)), Entry { applied, due, bytes: vec![1; 200].into() });
    }
    beside(name, log, 1 << 40, || {
        let begin = now();
        let stats = log.checkpoint(applied).unwrap();
        format!("{:.0} entries/s, {} keys", stats.written as f64 / begin.elapsed().as_secs_f64(), stats.keys)
    });
}

fn main() {
    let folder = folder();
    let log = open(&folder.path().join("log"), Options::default());
    beside("nothing beside", &log, 0, || {
        thread::sleep(Duration::from_secs(3));
        String::new()
    });
    checkpoint(&log, "checkpoint of 100,000 new entries", log.committed());
    checkpoint(&log, "the same entries changed", log.committed());
    log.close().unwrap();
    let options = Options { segment_bytes: 16 << 20, ..Options::default() };
    let log = open(&folder.path().join("sealing"), options);
    beside("sealing segments of 16 MB", &log, 0, || {
        thread::sleep(Duration::from_secs(5));
        String::new()
    });
    let stats = log.stats().unwrap();
    println!("   {} segments, {} keys sealed", stats.segments, stats.lookups_sealed);
    log.close().unwrap();
}
