//! Append and flush: the log beside a plain file with the same bytes.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and ends on the first surprise"
)]

mod support;

use std::{fs::File, io::Write, path::Path, time::Duration};

use storage::Options;
use support::{Waiter, folder, items, now, open, quantile};

const ROUND: Duration = Duration::from_millis(1_200);
const ROUNDS: usize = 3;
const ALLOCATED: u64 = 256 << 20;

struct Outcome {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

fn measure(batch: usize, mut once: impl FnMut()) -> Outcome {
    let (start, mut times) = (now(), Vec::new());
    while start.elapsed() < ROUND {
        let begin = now();
        once();
        times.push(begin.elapsed());
    }
    let per_second = (times.len() * batch) as f64 / start.elapsed().as_secs_f64();
    times.sort_unstable();
    Outcome { per_second, p50: quantile(&times, 0.5), p99: quantile(&times, 0.99) }
}

/// Bytes this process gave to the disk.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}

fn plain(path: &Path, batch: usize) -> Outcome {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    let bytes = vec![7_u8; batch * 225 + 21];
    measure(batch, || {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
    })
}

/// Measures commits into a file whose blocks are allocated: what the drive can do, without its file
/// system's journal.
fn preallocated(path: &Path, batch: usize) -> Outcome {
    use std::os::unix::fs::FileExt;
    let bytes = vec![7_u8; batch * 225 + 21];
    let file = File::create(path).unwrap();
    let zeroes = vec![0_u8; 1 << 20];
    for at in 0..ALLOCATED >> 20 {
        file.write_all_at(&zeroes, at << 20).unwrap();
    }
    file.sync_all().unwrap();
    let mut at = 0;
    measure(batch, || {
        file.write_all_at(&bytes, at % (ALLOCATED - bytes.len() as u64)).unwrap();
        at += bytes.len() as u64;
        file.sync_data().unwrap();
    })
}

fn log(path: &Path, batch: usize) -> Outcome {
    let log = open(path, Options::default());
    let waiter = Waiter::new();
    let written_before = written();
    let mut number = 0;
    let outcome = measure(batch, || {
        waiter.append(&log, items(number, batch));
        number += batch as u64;
        waiter.wait();
    });
    let stats = log.stats().unwrap();
    let (disk, bytes) = (stats.disk_bytes as f64, stats.bytes_written.max(1) as f64);
    let written = written() - written_before;
    print!("[disk / payload {:.2}, written / payload {:.2}] ", disk / bytes, written as f64 / bytes);
    log.close().unwrap();
    outcome
}

/// Many batches of 64 under way at once, as many actors give them: the writer gathers.
fn streaming(path: &Path) {
    let log = open(path, Options::default());
    let waiter = Waiter::new();
    let (mut number, mut under_way, start) = (0, 0, now());
    while start.elapsed() < ROUND * 2 {
        while under_way < 64 {
            waiter.append(&log, items(number, 64));
            number += 64;
            under_way += 1;
        }
        waiter.wait();
        under_way -= 1;
    }
    let per_second = log.committed().0 as f64 / start.elapsed().as_secs_f64();
    let blocks = log.stats().unwrap().blocks_written as f64;
    println!(
        "64 appends of 64 under way: {per_second:.0} events/s, {:.0} a block",
        log.committed().0 as f64 / blocks
    );
    log.close().unwrap();
}

fn main() {
    for batch in [1, 64, 512] {
        let mut ratios = Vec::new();
        for round in 0..ROUNDS {
            let folder = folder();
            let at = folder.path();
            println!("batch {batch}, round {round}");
            let show = |name: &str, o: &Outcome| {
                println!("{name:18} {:>9.0} events/s   p50 {:?}   p99 {:?}", o.per_second, o.p50, o.p99);
            };
            let plain = plain(&at.join("plain"), batch);
            show("plain file", &plain);
            let preallocated = preallocated(&at.join("preallocated"), batch);
            show("preallocated file", &preallocated);
            let log = log(&at.join("log"), batch);
            show("log", &log);
            ratios.push((log.per_second / plain.per_second, log.per_second / preallocated.per_second));
        }
        ratios.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (plain, preallocated) = ratios.get(ROUNDS / 2).unwrap();
        println!(
            "batch {batch}: log / plain = {plain:.2}, log / preallocated = {preallocated:.2} (median of {ROUNDS})\n"
        );
    }
    streaming(&folder().path().join("log"));
}
