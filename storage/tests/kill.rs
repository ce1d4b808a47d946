//! kill -9 at random instants: a child process appends, checkpoints and prints the acknowledged
//! numbers; all of those events must be in the log afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends on the first surprise"
)]

mod support;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::channel,
    thread,
    time::Duration,
};

use message::{Seq, StreamId, Timestamp};
use storage::{DiskEngine, Due, EngineKind, Entry, Log, OpenStream, Options, Prev, Recovery};
use support::{item, keyed, number_of, spread};

const FOLDER: &str = "PATCHBAY_KILL_FOLDER";
const ENGINE: &str = "PATCHBAY_KILL_ENGINE";
const STREAMS: u128 = 20;
/// Kills for each engine.
const ROUNDS: u64 = 4;

fn open(path: &Path, engine: EngineKind) -> (Log, Recovery) {
    let options =
        Options { segment_bytes: 300_000, part_bytes: 20_000, disk_reserve_bytes: 0, ..Options::default() };
    Log::open(DiskEngine::open(path, engine).unwrap(), options).unwrap()
}

/// Counts a stream's events in its entry; each fiftieth finishes the stream.
fn count(log: &Log, stream: StreamId, seq: Seq) {
    let before = log.index().get(stream).unwrap().map_or(0, |entry| entry.bytes[0]);
    if before == 49 {
        log.index().remove(stream, seq);
    } else {
        let due = Some(Timestamp(seq.0 % 100));
        log.index().put(stream, Entry { applied: seq, due, bytes: Box::from([before + 1]) });
    }
}

fn replay(log: &Log, checkpoint: Seq) {
    for event in log.read(Seq(checkpoint.0 + 1)) {
        let event = event.unwrap();
        if event.seq > log.index().applied(event.stream).unwrap() {
            count(log, event.stream, event.seq);
        }
    }
}

/// Not a test of its own: what the parent starts and kills.
#[test]
#[ignore = "the child of the test below"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let engine = std::env::var(ENGINE).unwrap().parse().unwrap();
    let (log, recovery) = open(Path::new(&folder), engine);
    replay(&log, recovery.checkpoint);
    let (tell, told) = channel::<u64>();
    thread::spawn(move || {
        for seq in told {
            // One write, straight to the pipe: what is said is said, whatever happens next.
            std::io::stdout().lock().write_all(format!("ack {seq}\n").as_bytes()).unwrap();
        }
    });
    let mut heads = vec![Seq::NONE; STREAMS as usize];
    let mut number = 0_u32;
    loop {
        number += 1;
        let stream = u128::from(number.wrapping_mul(7)) % STREAMS;
        let next = Seq(log.stats().map_or(0, |stats| stats.next.0));
        let mut one = item(stream, Prev::At(heads[stream as usize]), next.0 as u32);
        one.keys = keyed(1, number, spread(next.0)).keys;
        let tell = tell.clone();
        let done: storage::Completion = Box::new(move |fate| {
            fate.unwrap();
            tell.send(next.0).unwrap();
        });
        let seq = log.append(vec![one], Some(done)).unwrap();
        assert_eq!(seq, next);
        heads[stream as usize] = seq;
        count(&log, StreamId(stream), seq);
        if number.is_multiple_of(400) {
            log.checkpoint(Seq(seq.0 - u64::from(number) % 3)).unwrap();
        }
        if number.is_multiple_of(16) {
            log.wait_flushed(seq).unwrap();
        }
    }
}

/// Lets a child run for `ms` after its first acknowledgement and kills it. Returns the last number
/// that it acknowledged.
fn run_and_kill(folder: &Path, engine: EngineKind, ms: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(FOLDER, folder)
        .env(ENGINE, engine.name())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (started, start) = channel();
    let reader = thread::spawn(move || {
        let mut last = 0;
        for line in lines.map_while(Result::ok) {
            if let Some(seq) = line.strip_prefix("ack ").and_then(|seq| seq.parse::<u64>().ok()) {
                assert!(seq > last, "acknowledged in order");
                last = seq;
                let _ = started.send(());
            }
        }
        last
    });
    start.recv().expect("the child acknowledged something");
    thread::sleep(Duration::from_millis(ms));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn check(folder: &Path, engine: EngineKind, acknowledged: u64) {
    let (log, recovery) = open(folder, engine);
    assert!(recovery.last.0 >= acknowledged, "acknowledged {acknowledged}, but {recovery:?}");
    replay(&log, recovery.checkpoint);
    let mut counts: BTreeMap<StreamId, u8> = BTreeMap::new();
    let mut expected = 0;
    for event in log.read(Seq(1)) {
        let event = event.unwrap();
        expected += 1;
        assert_eq!((event.seq.0, number_of(&event.event)), (expected, expected as u32));
        let count = counts.remove(&event.stream).unwrap_or(0);
        if count < 49 {
            counts.insert(event.stream, count + 1);
        }
    }
    assert_eq!(expected, recovery.last.0);
    let entries = log.index().scan(None, 1_000).unwrap();
    let found: BTreeMap<StreamId, u8> =
        entries.iter().map(|open| (open.stream, open.entry.bytes[0])).collect();
    assert_eq!(found, counts);
    let due = |open: &OpenStream| Some(Due { at: open.entry.due?, stream: open.stream });
    let mut due: Vec<_> = entries.iter().filter_map(due).collect();
    due.sort_unstable();
    assert_eq!(log.index().due(Timestamp(u64::MAX), None, 1_000).unwrap(), due);
    for seq in (1..=expected).step_by(97) {
        assert_eq!(log.find(spread(seq)).map(|found| found.b), Some(seq));
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let mut seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("SEED={seed}");
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    for engine in EngineKind::ALL {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..rounds {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let acknowledged = run_and_kill(folder.path(), engine, (seed >> 33) % 250);
            check(folder.path(), engine, acknowledged);
        }
    }
}
