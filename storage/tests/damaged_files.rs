//! Every kind of file of both engines, with a flipped bit, cut short or removed: no answer is ever
//! silently wrong. Damage to blocks stops the start, or the read, and names the segment; every
//! other file is rebuilt and gives the same answers as before.
//!
//! `SEED=` repeats a run. `FLIPS=300` is the long form: it flips that many bits of each kind of
//! file, and cuts and removes every file instead of a few of each kind.

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
    fs,
    path::{Path, PathBuf},
};

use message::{Seq, StreamId, Timestamp};
use storage::{DiskEngine, EngineKind, Entry, Log, OpenError, Options, Stored, verify};
use support::{
    Choice, FileEngine, OnDisk, SledEngine, World, append_blocks, copy, first, inline, keyed, number_of,
    open_with, spread,
};

const EVENTS: u64 = 360;
const STREAMS: u128 = 24;
/// Bits to flip of each kind of file, unless `FLIPS` says otherwise.
const SHORT_FLIPS: u64 = 10;
/// Maximum number of files of a kind that are cut short and removed in the short form.
const SHORT_FILES: usize = 2;

fn options() -> Options {
    Options { segment_bytes: 8_000, part_bytes: 500, ..inline() }
}

/// A log of several sealed segments and one that grows, with look-ups of all kinds and an index of
/// several runs.
struct Original {
    engine: EngineKind,
    folder: tempfile::TempDir,
    entries: BTreeMap<StreamId, Entry>,
}

fn entry(seq: u64) -> Entry {
    // An index of these has several pages.
    let bytes = seq.to_le_bytes().repeat(40 + seq as usize % 9).into();
    Entry { applied: Seq(seq), due: (!seq.is_multiple_of(3)).then_some(Timestamp(seq % 50)), bytes }
}

fn stream_of(seq: u64) -> StreamId {
    StreamId(u128::from(seq * 7) % STREAMS)
}

/// Applies an event to the index as the owner of the index would. Each 20th event finishes its
/// stream.
fn apply(log: &Log, seq: u64) {
    match seq.is_multiple_of(20) {
        true => log.index().remove(stream_of(seq), Seq(seq)),
        false => log.index().put(stream_of(seq), entry(seq)),
    }
}

fn replay(log: &Log, from: Seq) -> Result<(), storage::ReadError> {
    for event in log.read(Seq(from.0 + 1)) {
        let Stored { seq, stream, .. } = event?;
        if log.index().applied(stream).unwrap() < seq {
            apply(log, seq.0);
        }
    }
    Ok(())
}

fn original<C: Choice>() -> Original {
    let folder = tempfile::tempdir().unwrap();
    let mut world = OnDisk::<C>::new();
    let (log, _) = open_with(&world, options());
    for seq in 1..=EVENTS {
        let mut item = keyed(stream_of(seq).0, seq as u32, spread(seq % 300));
        item.stream = stream_of(seq);
        append_blocks(&log, [item]);
        apply(&log, seq);
        if seq.is_multiple_of(70) {
            log.checkpoint(Seq(seq)).unwrap();
        }
    }
    world.crash();
    copy(&world.path(), folder.path());
    let entries = log.index().scan(None, 1_000).unwrap();
    let entries = entries.into_iter().map(|open| (open.stream, open.entry)).collect();
    Original { engine: C::KIND, folder, entries }
}

/// The kind of a file, by its path below the folder of the log.
fn kind(path: &Path, last_segment: &str) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    let is_last = path.starts_with(last_segment);
    Some(match name {
        // The file `engine` names the engine: see engines.rs.
        "lock" | "engine" => return None,
        "blocks" | "db" if is_last => "blocks of the newest segment",
        "blocks" | "db" => "blocks of a sealed segment",
        "flushed" if is_last => "flush marker",
        "flushed" => "flush marker of a sealed segment",
        "offsets" => "offsets",
        "keys" => "look-ups of a segment",
        "segments" => "list of segments",
        _ if name.starts_with("keys-") => "look-ups of a part",
        _ if name.starts_with("run-") => "index run",
        "conf" => "configuration of sled",
        _ if name.starts_with("snap.") => "snapshot of sled",
        _ => panic!("a file of an unknown kind: {path:?}"),
    })
}

fn files_below(root: &Path, folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(root, &path, all);
        } else {
            all.push(path.strip_prefix(root).unwrap().to_owned());
        }
    }
}

/// Files by their kind.
fn kinds(original: &Path) -> BTreeMap<&'static str, Vec<PathBuf>> {
    let mut files = Vec::new();
    files_below(original, original, &mut files);
    files.sort();
    let last = files.iter().rfind(|path| path.ends_with("blocks") || path.ends_with("db")).unwrap();
    let last = last.parent().unwrap().to_str().unwrap().to_owned();
    let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for path in files {
        if let Some(kind) = kind(&path, &last) {
            kinds.entry(kind).or_default().push(path);
        }
    }
    kinds
}

/// The result of opening and reading a damaged log.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The start, a read or a look-up failed with this.
    Failed(String),
    /// All answers were right; the number of files that were reported as rebuilt.
    Right(u64),
}

/// Opens a log and compares all of its answers with the original's.
fn answers(folder: &Path, original: &Original) -> Outcome {
    let opened = DiskEngine::open(folder, original.engine).map_err(OpenError::from);
    let (log, recovery) = match opened.and_then(|engine| Log::open(engine, options())) {
        Ok(opened) => opened,
        Err(e) => return Outcome::Failed(e.to_string()),
    };
    assert_eq!(recovery.last, Seq(EVENTS));
    if let Err(e) = replay(&log, recovery.checkpoint) {
        return Outcome::Failed(e.to_string());
    }
    let mut next = 1;
    for event in log.read(Seq(1)) {
        match event {
            Ok(event) => assert_eq!((event.seq.0, number_of(&event.event)), (next, next as u32)),
            Err(e) => return Outcome::Failed(e.to_string()),
        }
        next += 1;
    }
    assert_eq!(next, EVENTS + 1);
    for key in 0..300 {
        let newest = if key <= EVENTS - 300 { key + 300 } else { key };
        let found = log.find(spread(key)).map(|found| found.b);
        if let Some(poisoned) = log.poisoned() {
            return Outcome::Failed(poisoned.to_string());
        }
        assert_eq!(found, Some(newest), "key {key}");
    }
    for key in 1_000..1_200 {
        assert_eq!(log.find(spread(key)), None);
    }
    rebuild_lost_states(&log);
    let entries = log.index().scan(None, 1_000).unwrap();
    let entries: BTreeMap<_, _> = entries.into_iter().map(|open| (open.stream, open.entry)).collect();
    assert_eq!(entries, original.entries);
    let due = log.index().due(Timestamp(u64::MAX), None, 1_000).unwrap();
    assert_eq!(due.len(), original.entries.values().filter(|entry| entry.due.is_some()).count());
    // It goes on.
    append_blocks(&log, [first(1, 900)]);
    log.checkpoint(Seq(EVENTS)).unwrap();
    assert_eq!(log.poisoned(), None);
    Outcome::Right(log.stats().unwrap().rebuilt_files)
}

/// Rebuilds states that were lost to damage, as the owner of the index would from the events.
fn rebuild_lost_states(log: &Log) {
    for open in log.index().scan(None, 1_000).unwrap() {
        if open.entry.bytes.is_empty() {
            let events = log.history(open.entry.applied).map(|event| event.unwrap());
            assert!(events.map(|event| event.stream).eq([open.stream]), "its last event is known");
            apply(log, open.entry.applied.0);
        }
    }
}

/// Whether `patchbay log verify` names the file, or its segment.
fn is_found(engine: EngineKind, folder: &Path, path: &Path) -> bool {
    let report = match verify(&DiskEngine::open(folder, engine).unwrap()) {
        Ok(report) => report,
        Err(e) => return e.to_string().contains(path.parent().unwrap().to_str().unwrap()),
    };
    let segment = path.parent().unwrap().to_str().unwrap();
    let file = path.to_str().unwrap();
    report.bad.iter().any(|bad| bad.segment == segment)
        || report.gaps.iter().any(|gap| gap.folder == segment)
        || report.files.iter().any(|damaged| damaged.file == file || damaged.file.starts_with(segment))
}

/// The number of damaged logs by their outcome.
#[derive(Debug, Default)]
struct Tally {
    failed: u32,
    rebuilt_and_right: u32,
    silently_right: u32,
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Right(0) => &mut self.silently_right,
            Outcome::Right(_) => &mut self.rebuilt_and_right,
        } += 1;
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 20) as usize % end
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// The change that is made to a file.
#[derive(Debug)]
enum Change {
    Flip(usize),
    Cut(usize),
    Remove,
}

fn damage(original: &Original, path: &Path, change: &Change) -> (Outcome, bool) {
    let damaged = tempfile::tempdir().unwrap();
    copy(original.folder.path(), damaged.path());
    let file = damaged.path().join(path);
    let mut bytes = fs::read(&file).unwrap();
    match change {
        Change::Flip(bit) => bytes[bit / 8] ^= 1 << (bit % 8),
        Change::Cut(len) => bytes.truncate(*len),
        Change::Remove => {}
    }
    match change {
        Change::Remove => fs::remove_file(&file).unwrap(),
        _ => fs::write(&file, bytes).unwrap(),
    }
    let checked = tempfile::tempdir().unwrap();
    copy(damaged.path(), checked.path());
    let is_found = is_found(original.engine, checked.path(), path);
    (answers(damaged.path(), original), is_found)
}

/// Checks an outcome, given the kind of file.
fn check(kind: &str, path: &Path, change: &Change, outcome: &Outcome, is_found: bool) {
    let told = format!("{kind}, {path:?}, {change:?}: {outcome:?}");
    match outcome {
        Outcome::Failed(error) => {
            assert!(kind.starts_with("blocks") || kind.ends_with("of sled"), "{told}");
            let segment = path.parent().unwrap().to_str().unwrap();
            assert!(error.contains(segment), "{told}");
            assert!(is_found, "not found by verify: {told}");
        }
        Outcome::Right(_) if kind == "blocks of the newest segment" => {
            // Behind the last block there are zeros: a bit among them is cut off and reported.
        }
        Outcome::Right(_) if kind.ends_with("of sled") => {
            // sled writes its own files anew if they are missing.
        }
        Outcome::Right(rebuilt) => {
            assert!(!kind.starts_with("blocks"), "{told}");
            // Of a marker, one of two copies may be wrong in its padding only; what was removed may
            // be the newest of its kind, without which more is read again.
            let may_be_silent = kind.starts_with("flush marker") || matches!(change, Change::Remove);
            assert!(*rebuilt > 0 || may_be_silent, "not reported: {told}");
            assert!(is_found || may_be_silent, "not found by verify: {told}");
        }
    }
}

fn check_kind<C: Choice>(kind: &str) {
    let seed = number("SEED", 1);
    println!("SEED={seed}");
    let mut random = Random(seed);
    let original = original::<C>();
    let files = kinds(original.folder.path()).remove(kind).expect("there are files of this kind");
    let mut tally = Tally::default();
    let mut with = |path: &Path, change: Change| {
        let (outcome, is_found) = damage(&original, path, &change);
        check(kind, path, &change, &outcome, is_found);
        tally.count(&outcome);
    };
    let len_of = |path: &Path| fs::metadata(original.folder.path().join(path)).unwrap().len() as usize;
    let files_max = if flips() > SHORT_FLIPS { files.len() } else { SHORT_FILES };
    for path in files.iter().step_by(files.len().div_ceil(files_max)) {
        for change in
            [Change::Remove, Change::Cut(0), Change::Cut(len_of(path) / 2), Change::Cut(len_of(path) - 1)]
        {
            with(path, change);
        }
    }
    for _ in 0..flips() {
        let path = &files[random.below(files.len())];
        let bit = random.below(len_of(path) * 8);
        with(path, Change::Flip(bit));
    }
    println!("{kind} ({}): {tally:?}", C::KIND);
}

/// The number of bits to flip of each kind of file.
fn flips() -> u64 {
    number("FLIPS", SHORT_FLIPS)
}

macro_rules! every_kind {
    ($engine:ty, $($test:ident $kind:literal)*) => {
        use super::*;

        $(#[test] fn $test() { check_kind::<$engine>($kind); })*

        #[test]
        fn an_index_that_is_damaged_while_the_log_runs_is_rebuilt() {
            damage_the_index_while_the_log_runs::<$engine>();
        }

        #[test]
        fn look_ups_that_are_damaged_while_the_log_runs_are_rebuilt() {
            damage_look_ups_while_the_log_runs::<$engine>();
        }
    };
}

mod file {
    every_kind! { FileEngine,
        damaged_blocks_of_the_newest_segment_are_named "blocks of the newest segment"
        damaged_blocks_of_a_sealed_segment_are_named "blocks of a sealed segment"
        a_damaged_flush_marker_changes_no_answer "flush marker"
        damaged_offsets_are_rebuilt "offsets"
        damaged_look_ups_of_a_segment_are_rebuilt "look-ups of a segment"
        damaged_look_ups_of_a_part_are_rebuilt "look-ups of a part"
        a_damaged_index_run_is_rebuilt "index run"
        a_damaged_list_of_segments_is_rebuilt "list of segments"
    }
}

mod sled {
    every_kind! { SledEngine,
        damaged_blocks_of_the_newest_segment_are_named "blocks of the newest segment"
        damaged_blocks_of_a_sealed_segment_are_named "blocks of a sealed segment"
        damage_to_the_configuration_of_sled_changes_no_answer "configuration of sled"
        a_damaged_flush_marker_changes_no_answer "flush marker"
        damaged_offsets_are_rebuilt "offsets"
        damaged_look_ups_of_a_segment_are_rebuilt "look-ups of a segment"
        damaged_look_ups_of_a_part_are_rebuilt "look-ups of a part"
        a_damaged_index_run_is_rebuilt "index run"
        a_damaged_list_of_segments_is_rebuilt "list of segments"
    }
}

fn damage_the_index_while_the_log_runs<C: Choice>() {
    let seed = number("SEED", 1);
    println!("SEED={seed}");
    let mut random = Random(seed);
    let original = original::<C>();
    let mut repaired = 0;
    for _ in 0..flips().div_ceil(4) {
        let folder = tempfile::tempdir().unwrap();
        copy(original.folder.path(), folder.path());
        let (log, recovery) =
            Log::open(DiskEngine::open(folder.path(), C::KIND).unwrap(), options()).unwrap();
        replay(&log, recovery.checkpoint).unwrap();
        let runs: Vec<PathBuf> =
            fs::read_dir(folder.path().join("index")).unwrap().map(|run| run.unwrap().path()).collect();
        let run = &runs[random.below(runs.len())];
        let mut bytes = fs::read(run).unwrap();
        // Anywhere in the first pages.
        let bit = random.below(9_000.min(bytes.len() / 2) * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        // In place, since the log has the file open.
        fs::write(run, bytes).unwrap();
        if random.below(2) == 0 {
            log.checkpoint(Seq(EVENTS)).unwrap();
        }
        for stream in 0..STREAMS {
            log.index().get(StreamId(stream)).unwrap();
        }
        log.index().due(Timestamp(u64::MAX), None, 1_000).unwrap();
        rebuild_lost_states(&log);
        let entries = log.index().scan(None, 1_000).unwrap();
        let entries: BTreeMap<_, _> = entries.into_iter().map(|open| (open.stream, open.entry)).collect();
        assert_eq!(entries, original.entries, "{run:?}, bit {bit}");
        let due = log.index().due(Timestamp(u64::MAX), None, 1_000).unwrap();
        let wanted = original.entries.iter().filter_map(|(stream, entry)| Some((entry.due?, *stream)));
        let mut wanted: Vec<_> = wanted.collect();
        wanted.sort_unstable();
        assert!(due.iter().map(|due| (due.at, due.stream)).eq(wanted), "{run:?}, bit {bit}");
        log.checkpoint(Seq(EVENTS)).unwrap();
        repaired += log.stats().unwrap().rebuilt_files;
        drop(log);
        assert!(matches!(answers(folder.path(), &original), Outcome::Right(_)));
    }
    assert!(repaired > 0, "no damage was met");
}

fn damage_look_ups_while_the_log_runs<C: Choice>() {
    let seed = number("SEED", 1);
    println!("SEED={seed}");
    let mut random = Random(seed);
    let original = original::<C>();
    let files = kinds(original.folder.path());
    for kind in ["look-ups of a segment", "look-ups of a part"] {
        let mut rebuilt = 0;
        for _ in 0..flips() {
            let folder = tempfile::tempdir().unwrap();
            copy(original.folder.path(), folder.path());
            // Without filters in memory, each look-up reads the file.
            let options = Options { filter_bytes_max: 0, ..options() };
            let (log, recovery) =
                Log::open(DiskEngine::open(folder.path(), C::KIND).unwrap(), options).unwrap();
            replay(&log, recovery.checkpoint).unwrap();
            let file = folder.path().join(&files[kind][random.below(files[kind].len())]);
            let Ok(mut bytes) = fs::read(&file) else { continue };
            let bit = random.below(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            // In place, since the log may have the file open.
            fs::write(&file, bytes).unwrap();
            for key in 0..300 {
                let newest = if key <= EVENTS - 300 { key + 300 } else { key };
                let found = log.find(spread(key)).map(|found| found.b);
                assert_eq!(log.poisoned(), None, "{file:?}, bit {bit}");
                assert_eq!(found, Some(newest), "{file:?}, bit {bit}, key {key}");
            }
            rebuilt += log.rebuilt_files();
            append_blocks(&log, [first(1, 900)]);
            log.checkpoint(Seq(EVENTS)).unwrap();
        }
        assert!(rebuilt > 0, "no damage to {kind} was met");
    }
}
