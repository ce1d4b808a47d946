//! Measures the time from start to ready: after kill -9 (files copied while open) and after a clean
//! close, with a little and a lot of history, and with 1,000,000 entries in the index. Also
//! measures look-ups.
//!

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and ends on the first surprise"
)]

mod support;

use std::{fs, path::Path};

use message::{Seq, StreamId, Timestamp};
use storage::{DiskEngine, Engine, Entry, Log, Options};
use support::{Waiter, engine, folder, items, now, open, spread};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Resident memory of this process, in MB.
fn resident_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

/// Processor time of this process so far, in milliseconds: what a busy machine does not blur.
fn cpu_ms() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields.iter().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}

fn fill(log: &Log, from: u64, events: u64) {
    let waiter = Waiter::new();
    for (at, number) in (from..from + events).step_by(512).enumerate() {
        waiter.append(log, items(number, 512));
        if at >= 32 {
            waiter.wait();
        }
    }
    log.wait_flushed(Seq(log.stats().unwrap().next.0 - 1)).unwrap();
}

/// Measures the share of the engine alone.
fn time_engine(path: &Path) {
    let begin = now();
    let engine = DiskEngine::open(path, engine()).unwrap();
    let names = engine.names().unwrap();
    let last = names.iter().rfind(|name| name.starts_with("segment")).unwrap();
    let store = engine.open_blocks(last).unwrap();
    let opened = begin.elapsed();
    let (mut cursor, mut bytes, mut blocks, begin) = (message::Seq::NONE, 0, 0, now());
    loop {
        let page = store.range(cursor, 8).unwrap();
        let Some((last, _)) = page.last() else { break };
        cursor = *last;
        bytes += page.iter().map(|(_, value)| value.len()).sum::<usize>();
        blocks += page.len();
    }
    let read = begin.elapsed();
    let begin = now();
    drop(engine.open_index("index").unwrap());
    println!(
        "   the engine alone: segment {opened:.1?}, {blocks} blocks of {bytes} bytes read {read:.1?}, index {:.1?}",
        begin.elapsed()
    );
}

fn time_open(name: &str, path: &Path) -> Log {
    let before = resident_mb();
    let (begin, cpu) = (now(), cpu_ms());
    let (log, recovery) = Log::open(DiskEngine::open(path, engine()).unwrap(), Options::default()).unwrap();
    let took = begin.elapsed();
    println!(
        "{name:46} {took:>9.1?} ({} ms of processor)  {} events, {} segments, {:.0} MB of blocks read, {} MB more resident",
        cpu_ms() - cpu,
        recovery.last,
        recovery.segments,
        recovery.bytes_read as f64 / 1e6,
        resident_mb().saturating_sub(before)
    );
    log
}

fn look_ups(log: &Log, known: u64) {
    for (name, from) in [("known", 0), ("unknown", 1 << 50)] {
        let begin = now();
        let found = (0..100_000).filter(|n| log.find(spread(from + n * 7 % known)).is_some()).count();
        println!("   find, {name:8} {:>8.2?} each ({found} of 100,000 found)", begin.elapsed() / 100_000);
    }
}

fn main() {
    let folder = folder();
    let (path, copied) = (folder.path().join("log"), folder.path().join("copied"));
    let log = open(&path, Options::default());
    fill(&log, 0, 10_000);
    copy(&path, &copied);
    drop(time_open("killed, 10,000 events", &copied));
    drop(time_open("closed, 10,000 events", &copied));
    fs::remove_dir_all(&copied).unwrap();

    let events = 4_500_000;
    let begin = now();
    fill(&log, 10_000, events);
    let rate = events as f64 / begin.elapsed().as_secs_f64();
    println!("   filled with {rate:.0} events/s");
    let stats = log.stats().unwrap();
    println!(
        "   {} segments, disk / payload {:.2}, {} keys in memory, {} sealed, filters {:.1} MB",
        stats.segments,
        stats.disk_bytes as f64 / stats.block_bytes as f64,
        stats.lookups_in_memory,
        stats.lookups_sealed,
        stats.filter_bytes as f64 / 1e6
    );
    look_ups(&log, events);
    copy(&path, &copied);
    drop(time_open("killed, 4,500,000 events", &copied));
    let options = Options { filter_bytes_max: 0, ..Options::default() };
    let (without, _) = Log::open(DiskEngine::open(&copied, engine()).unwrap(), options).unwrap();
    println!("   without a filter in memory:");
    look_ups(&without, events);
    drop(without);
    fs::remove_dir_all(&copied).unwrap();
    copy(&path, &copied);
    time_engine(&copied);
    fs::remove_dir_all(&copied).unwrap();

    let applied = log.committed();
    for stream in 0..1_000_000_u64 {
        let due = Some(Timestamp(stream));
        log.index().put(StreamId(spread(stream)), Entry { applied, due, bytes: vec![1; 100].into() });
        if stream % 100_000 == 99_999 {
            log.checkpoint(applied).unwrap();
        }
    }
    copy(&path, &copied);
    time_engine(&copied);
    fs::remove_dir_all(&copied).unwrap();
    copy(&path, &copied);
    drop(time_open("killed, and 1,000,000 entries in the index", &copied));
    drop(time_open("closed, and 1,000,000 entries in the index", &copied));
    log.close().unwrap();
}
