//! A seed gives one trace in every process: nothing in it comes from addresses of memory, hashes
//! that differ from process to process, the machine's time or the order of its threads.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::run::run;

const SEEDS: u64 = 30;
/// The file into which a process writes its traces.
const TRACE_TO: &str = "TRACE_TO";

/// The traces of this process, one line for each step.
fn traces() -> String {
    let mut text = String::new();
    for seed in number("SEED").map_or(0..SEEDS, |seed| seed..seed + 1) {
        let outcome = run(seed, true);
        for (at_ms, line) in &outcome.trace {
            text.push_str(&format!("seed {seed} {at_ms:>8} {line}\n"));
        }
        text.push_str(&format!("seed {seed} digest {:016x}, {} events\n", outcome.hash, outcome.events));
    }
    text
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs this test binary again, for the traces of another process. Its environment is larger by
/// `more` bytes, which moves everything on its stack.
fn of_process(name: &str, more: usize) -> String {
    let to: PathBuf =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("trace-{}-{name}", std::process::id()));
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::traces_for_another_process", "--nocapture"])
        .env(TRACE_TO, &to)
        .env("PADDING", "x".repeat(more))
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let text = fs::read_to_string(&to).unwrap();
    fs::remove_file(&to).unwrap();
    text
}

/// Does nothing unless another process asks for its traces.
#[test]
fn traces_for_another_process() {
    if let Some(to) = std::env::var_os(TRACE_TO) {
        fs::write(to, traces()).unwrap();
    }
}

#[test]
fn one_seed_gives_one_trace_in_two_processes() {
    let (first, second) = (of_process("first", 1), of_process("second", 4_321));
    if first != second {
        let mut lines = first.lines().zip(second.lines()).enumerate();
        let differing = lines.find(|(_, (one, other))| one != other);
        panic!(
            "the traces of two processes differ (SEED=<n> runs one seed), first at line {:?}",
            differing.map(|(n, (one, other))| format!("{}:\n{one}\n{other}", n + 1))
        );
    }
    let steps = first.lines().count();
    println!("{SEEDS} seeds: {steps} lines, equal in two processes");
    assert!(steps > 10_000, "{steps} lines");
}
