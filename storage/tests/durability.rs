//! The order of a commit, proven for both engines by a trace of the system calls of a real process:
//! a block is durable before the flush marker names it, and the marker is written before anyone is
//! told.
//!
//! Needs strace. On Debian, as root, it is installed when it is missing; otherwise the test fails.

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
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use message::{Content, Event, MessageId, event::Received};
use storage::{Completion, DiskEngine, EngineKind, Item, Log};
use support::{drive, first, inline};

const FOLDER: &str = "PATCHBAY_DURABILITY_FOLDER";
const ENGINE: &str = "PATCHBAY_DURABILITY_ENGINE";
const COMMITS: u32 = 20;
/// The commit whose block is larger than sled keeps in its own file.
const LARGE: u32 = 12;
const CALLS: &str = "write,pwrite64,pwritev,pwritev2,fsync,fdatasync,syncfs,sync_file_range";

/// An item of more than a megabyte.
fn large(number: u32) -> Item {
    let received = Received {
        delivery: 1,
        id: MessageId::new("m"),
        provider_id: "".into(),
        content: Content::Text("x".repeat(1_500_000).into()),
        provider_time: None,
        incomplete: None,
        attributes: vec![],
        is_written: true,
    };
    Item { event: Event::Received(Box::new(received)), ..first(1, number) }
}

/// Not a test of its own: the process that is traced.
#[test]
#[ignore = "the child of the test below"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let engine = std::env::var(ENGINE).unwrap().parse().unwrap();
    let (log, _) = Log::open(DiskEngine::open(folder, engine).unwrap(), inline()).unwrap();
    for number in 1..=COMMITS {
        let item = if number == LARGE { large(number) } else { first(1, number) };
        let done: Completion = Box::new(move |fate| {
            fate.unwrap();
            std::io::stdout().lock().write_all(format!("ack {number}\n").as_bytes()).unwrap();
        });
        log.append(vec![item], Some(done)).unwrap();
        drive(&log);
    }
}

fn need_strace() {
    let is_there = || Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok();
    if !is_there() {
        let install = "apt-get update -qq && apt-get install -y -qq --no-install-recommends strace";
        let _ = Command::new("sh").args(["-c", install]).stdout(Stdio::null()).status();
    }
    assert!(is_there(), "strace is missing: install the package strace");
}

/// Runs the child, and returns the lines of its trace.
fn trace(engine: EngineKind) -> Vec<String> {
    need_strace();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let status = Command::new("strace")
        .args(["-f", "-y", "-s", "32", "-e", &format!("trace={CALLS}"), "-e", "signal=none", "-o"])
        .arg(&path)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(FOLDER, folder.path().join("log"))
        .env(ENGINE, engine.name())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// A system call of a trace, completed.
#[derive(Debug)]
struct Call {
    thread: u32,
    name: String,
    /// Its arguments and result.
    text: String,
    /// The line in which it began. Only what ended before that is covered by a sync.
    begun: usize,
}

/// Joins calls that another thread interrupted in the trace, in the order in which they ended.
fn calls(lines: &[String]) -> Vec<(usize, Call)> {
    let mut open: BTreeMap<u32, (usize, String)> = BTreeMap::new();
    let mut all = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let (thread, rest) = (thread.parse().unwrap(), rest.trim_start());
        let (begun, text) = if let Some(begin) = rest.strip_suffix(" <unfinished ...>") {
            open.insert(thread, (at, begin.to_owned()));
            continue;
        } else if rest.starts_with("<... ") {
            let end = rest.split_once("resumed>").unwrap().1;
            let (begun, begin) = open.remove(&thread).unwrap();
            (begun, begin + end)
        } else {
            (at, rest.to_owned())
        };
        if let Some((name, text)) = text.split_once('(') {
            all.push((at, Call { thread, name: name.to_owned(), text: text.to_owned(), begun }));
        }
    }
    all
}

/// The file of a call's first argument, as strace -y writes it.
fn file_of(call: &Call) -> Option<&str> {
    let path = call.text.split_once('<')?.1.split_once('>')?.0;
    Path::new(path).file_name()?.to_str()
}

fn is_blob(call: &Call) -> bool {
    call.text.split(',').next().is_some_and(|file| file.contains("/blobs/"))
}

/// The commits in a trace, and whether each was acknowledged in the right order.
#[derive(Debug, Default)]
struct Commits {
    acknowledged: u32,
    /// Commits that wrote a file in sled's folder of large values.
    with_blobs: u32,
}

/// Checks the order of all commits of a trace.
fn check(lines: &[String], engine: EngineKind) -> Result<Commits, String> {
    let calls = calls(lines);
    let writer = calls.iter().find(|(_, call)| call.text.contains("\"ack ")).ok_or("no acknowledgement")?;
    let writer = writer.1.thread;
    let mut commits = Commits::default();
    // Files with data that is not durable, and the line at which the last write of it ended.
    let mut dirty: BTreeMap<String, usize> = BTreeMap::new();
    let mut written: BTreeSet<String> = BTreeSet::new();
    let mut is_marked = false;
    for (at, call) in &calls {
        let file = file_of(call).unwrap_or_default().to_owned();
        let is_data = match engine {
            EngineKind::Sled => file == "db" || is_blob(call),
            // Another thread writes the zeros of the preallocation.
            EngineKind::File => file == "blocks" && call.thread == writer,
        };
        match call.name.as_str() {
            "fsync" | "fdatasync" => dirty.retain(|name, wrote| *name != file || *wrote > call.begun),
            "syncfs" => dirty.retain(|_, wrote| *wrote > call.begun),
            "write" if call.text.contains("\"ack ") => {
                let number = commits.acknowledged + 1;
                if !is_marked || !dirty.is_empty() {
                    return Err(format!("{number} was acknowledged too early, not durable: {dirty:?}"));
                }
                (is_marked, commits.acknowledged) = (false, number);
            }
            "sync_file_range" => {}
            _ if file == "flushed" => {
                if written.is_empty() || !dirty.is_empty() {
                    return Err(format!("the marker is ahead of {dirty:?}, line {at}"));
                }
                written.clear();
                is_marked = true;
            }
            _ if is_data => {
                commits.with_blobs += u32::from(is_blob(call));
                if !call.text.contains("RWF_DSYNC") {
                    dirty.insert(file.clone(), *at);
                }
                written.insert(file);
            }
            _ => {}
        }
    }
    Ok(commits)
}

fn proves(engine: EngineKind) {
    let lines = trace(engine);
    let commits = check(&lines, engine).unwrap();
    assert_eq!(commits.acknowledged, COMMITS);
    assert_eq!(commits.with_blobs > 0, engine == EngineKind::Sled, "{commits:?}");
    // The check itself: it must find each order that is broken.
    let first_ack = lines.iter().position(|line| line.contains("\"ack 1\\n")).unwrap();
    let mut broken = 0;
    for at in first_ack + 1..lines.len() {
        let line = &lines[at];
        if line.contains("resumed>") || line.contains("unfinished") {
            continue;
        }
        let mut without = lines.clone();
        if line.contains("RWF_DSYNC") {
            without[at] = line.replace("RWF_DSYNC", "0");
        } else if line.contains("fdatasync(") && line.contains("/db>") || line.contains("syncfs(") {
            without.remove(at);
        } else if line.contains("\"ack ") {
            // Before the marker, or at least before the write of the marker ended.
            let marker = lines[..at].iter().rposition(|line| line.contains("/flushed>")).unwrap();
            let ack = without.remove(at);
            without.insert(marker, ack);
        } else if line.contains("/flushed>") {
            // Before the block was made durable, by the thread that writes the marker: another may
            // sync room for later blocks in between.
            let thread = line.split(' ').next().unwrap();
            let is_sync = |line: &String| {
                let syncs = ["RWF_DSYNC", "fdatasync(", "syncfs("];
                line.starts_with(thread) && syncs.iter().any(|call| line.contains(call))
            };
            let sync = lines[..at].iter().rposition(is_sync).unwrap();
            let marker = without.remove(at);
            without.insert(sync, marker);
        } else {
            continue;
        }
        broken += 1;
        assert!(check(&without, engine).is_err(), "{engine}: not found without {line}");
    }
    println!("{engine}: {broken} broken orders were found, of {} lines", lines.len());
    assert!(broken >= 2 * COMMITS as usize, "{broken}");
}

#[test]
fn the_sled_engine_makes_a_block_durable_before_it_is_acknowledged() {
    proves(EngineKind::Sled);
}

#[test]
fn the_file_engine_makes_a_block_durable_before_it_is_acknowledged() {
    proves(EngineKind::File);
}
