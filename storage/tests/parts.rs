//! Look-ups get to the disk part by part: whenever a crash comes, each key leads where it did, and
//! a start reads what came since the last part, no more. A damaged file of look-ups is rebuilt, and
//! damage is never taken for "not found".

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends on the first surprise"
)]

#[path = "support/fuse.rs"]
mod fuse;
mod support;

use std::{collections::BTreeMap, fs};

use fuse::{Failing, Fuse};
use message::Seq;
use proptest::prelude::*;
use storage::{Crash, Item, Log, OpenError, Options};
use support::{
    Folders, Memory, World, append_blocks, drive, first, inline, keyed, open_with, spread, try_open,
};

const SEGMENT: &str = "segment-00000000000000000001";

/// A part each four blocks or so, a segment each forty.
fn small() -> Options {
    Options { segment_bytes: 4_000, part_bytes: 300, ..inline() }
}

/// One segment for all.
fn wide() -> Options {
    Options { segment_bytes: 1 << 20, part_bytes: 1 << 16, ..inline() }
}

fn item(number: u64, keys: u64) -> Item {
    keyed(1, u32::try_from(number).unwrap(), spread(number % keys))
}

/// Asserts the event that each key leads to.
fn check(log: &Log, newest: &BTreeMap<u64, u64>, keys: u64) {
    for key in 0..keys + 20 {
        assert_eq!(log.find(spread(key)).map(|found| found.b), newest.get(&key).copied(), "key {key}");
    }
    assert_eq!(log.poisoned(), None);
}

fn files(world: &Folders) -> Vec<String> {
    let names = fs::read_dir(world.path().join(SEGMENT)).unwrap();
    let mut names: Vec<_> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("keys"));
    names.sort();
    names
}

#[test]
fn a_start_reads_what_came_since_the_last_part() {
    let mut world = Folders::new();
    let options = wide();
    let (log, _) = open_with(&world, options);
    let mut appended = 0;
    while log.stats().unwrap().block_bytes < 700_000 {
        log.append((appended..appended + 50).map(|n| item(n, 1 << 40)).collect(), None).unwrap();
        appended += 50;
        drive(&log);
    }
    let newest: BTreeMap<u64, u64> = (0..appended).map(|n| (n, n + 1)).collect();
    let stats = log.stats().unwrap();
    assert!(stats.lookups_in_memory < 2_000, "{stats:?}");
    world.crash();
    let (log, recovery) = open_with(&world, options);
    assert!((1..=1 << 16).contains(&recovery.bytes_read), "{recovery:?}");
    check(&log, &newest, appended);
    log.checkpoint(Seq(appended)).unwrap();
    assert!(log.stats().unwrap().lookups_in_memory < 100);
    world.crash();
    let (log, recovery) = open_with(&world, options);
    assert!(recovery.bytes_read <= 1 << 12 && recovery.last == Seq(appended), "{recovery:?}");
    check(&log, &newest, appended);
    assert_eq!(log.stats().unwrap().block_bytes, stats.block_bytes);
    assert_eq!(log.read(Seq(1)).filter(Result::is_ok).count() as u64, appended);
    log.seal();
    append_blocks(&log, [first(2, 1)]);
    assert_eq!(files(&world), ["keys"], "one file when it is full");
    check(&log, &newest, appended);
}

#[test]
fn small_parts_of_checkpoints_become_one() {
    let mut world = Folders::new();
    let (log, _) = open_with(&world, wide());
    let mut newest = BTreeMap::new();
    for number in 0..3_000 {
        let at = append_blocks(&log, [item(number, 900)]);
        newest.insert(number % 900, at[0].0);
        if number % 50 == 49 {
            log.checkpoint(at[0]).unwrap();
            assert!(files(&world).len() <= 10, "{:?}", files(&world));
        }
    }
    assert!(files(&world).len() > 1);
    check(&log, &newest, 900);
    world.crash();
    let (log, recovery) = open_with(&world, wide());
    assert!(recovery.bytes_read < 1 << 12, "{recovery:?}");
    check(&log, &newest, 900);
}

#[test]
fn filters_take_no_more_memory_than_they_may_and_look_ups_are_the_same_without() {
    let world = Memory::new();
    let (log, _) = open_with(&world, small());
    let mut newest = BTreeMap::new();
    for number in 0..2_000 {
        let at = append_blocks(&log, [item(number, 1_500)]);
        newest.insert(number % 1_500, at[0].0);
    }
    let all = log.stats().unwrap().filter_bytes;
    drop(log);
    for (filter_bytes_max, least) in [(0, 0), (2_000, 1_000), (1 << 20, all)] {
        let options = Options { filter_bytes_max, ..small() };
        let (log, _) = open_with(&world, options);
        let filters = log.stats().unwrap().filter_bytes;
        assert!((least..=filter_bytes_max as u64).contains(&filters), "{filters} of {filter_bytes_max}");
        check(&log, &newest, 1_500);
        for unknown in 5_000..8_000 {
            assert_eq!(log.find(spread(unknown)), None);
        }
    }
    // Keys that are not spread: found all the same.
    let (log, _) = open_with(&world, Options { filter_bytes_max: 0, ..small() });
    let from = append_blocks(&log, (0..300_u64).map(|n| keyed(1, 7, u128::from(n) * 3)))[0].0;
    log.seal();
    append_blocks(&log, [first(2, 1)]);
    for n in 0..300_u64 {
        assert_eq!(log.find(u128::from(n) * 3).map(|found| found.b), Some(from + n));
        assert_eq!(log.find(u128::from(n) * 3 + 1), None);
    }
}

/// Some files of one segment: parts, and blocks beyond them.
fn in_parts() -> (Folders, BTreeMap<u64, u64>) {
    let mut world = Folders::new();
    let (log, _) = open_with(&world, wide());
    let mut newest = BTreeMap::new();
    for number in 0..1_500 {
        let at = append_blocks(&log, [item(number, 1 << 40)]);
        newest.insert(number, at[0].0);
        if number == 600 || number == 1_200 {
            log.checkpoint(at[0]).unwrap();
        }
    }
    world.crash();
    (world, newest)
}

/// Opens a copy of the log after changing one of its files, and checks the result.
fn with(
    world: &Folders,
    file: &str,
    change: impl FnOnce(&mut Vec<u8>),
    then: impl FnOnce(Result<Log, OpenError>),
) {
    let path = world.path().join(SEGMENT).join(file);
    let before = fs::read(&path).unwrap();
    let mut bytes = before.clone();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let others: Vec<_> = files(world).into_iter().map(|name| world.path().join(SEGMENT).join(name)).collect();
    let others: Vec<_> = others.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    // A start that seals nothing of what it reads.
    let options = Options { part_bytes: 1 << 20, ..wide() };
    then(try_open(world, options).map(|(log, _)| log));
    for name in files(world) {
        fs::remove_file(world.path().join(SEGMENT).join(name)).unwrap();
    }
    for (bytes, path) in others {
        fs::write(path, bytes).unwrap();
    }
    fs::write(&path, before).unwrap();
}

#[test]
fn a_damaged_file_of_look_ups_is_rebuilt() {
    let (mut world, newest) = in_parts();
    let parts = files(&world);
    assert_eq!(parts.len(), 2, "{parts:?}");
    let rebuilt = |opened: Result<Log, OpenError>, told: &str| {
        let log = opened.unwrap();
        check(&log, &newest, 1_500);
        assert_eq!(log.stats().unwrap().rebuilt_files, 1, "{told}");
        assert!(files(&world).len() <= 2);
    };
    for file in &parts {
        let len = fs::metadata(world.path().join(SEGMENT).join(file)).unwrap().len() as usize;
        // The trailer, filter and fences, and pages.
        for at in (1..=124).step_by(9).map(|back| len - back).chain([len - 130, len - 2_000, 1_000, 0]) {
            with(
                &world,
                file,
                |bytes| bytes[at] ^= 1,
                |opened| rebuilt(opened, &format!("{file}, byte {at} of {len}")),
            );
        }
        for cut in [1, 124, 125, 5_000, len] {
            with(
                &world,
                file,
                |bytes| bytes.truncate(len - cut),
                |opened| rebuilt(opened, &format!("{file}, {cut} of {len} cut off")),
            );
        }
    }
    for file in &parts {
        fs::remove_file(world.path().join(SEGMENT).join(file)).unwrap();
        let (log, recovery) = open_with(&world, wide());
        assert_eq!(recovery.last, Seq(1_500));
        check(&log, &newest, 1_500);
        world.crash();
    }
}

#[test]
fn a_file_of_look_ups_that_is_damaged_while_the_log_runs_is_rebuilt() {
    let (world, newest) = in_parts();
    let (log, _) = open_with(&world, Options { filter_bytes_max: 0, ..wide() });
    for (n, file) in files(&world).iter().take(2).enumerate() {
        let path = world.path().join(SEGMENT).join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[20_000] ^= 1;
        // The same file: the log has it open.
        fs::write(&path, bytes).unwrap();
        check(&log, &newest, 1_500);
        assert_eq!(log.stats().unwrap().rebuilt_files, n as u64 + 1);
    }
    drop(log);
    assert!(storage::verify(&world.engine()).unwrap().is_sound());
}

#[test]
fn parts_that_are_damaged_when_the_segment_is_sealed_are_rebuilt() {
    let (world, newest) = in_parts();
    let (log, _) = open_with(&world, wide());
    let path = world.path().join(SEGMENT).join(&files(&world)[0]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    log.seal();
    append_blocks(&log, [first(2, 1)]);
    assert_eq!(files(&world), ["keys"]);
    check(&log, &newest, 1_500);
    assert_eq!(log.stats().unwrap().rebuilt_files, 1);
}

#[test]
fn blocks_that_a_part_knows_and_that_are_gone_stop_the_start() {
    let (world, newest) = in_parts();
    let blocks = fs::metadata(world.path().join(SEGMENT).join("blocks")).unwrap().len() as usize;
    with(&world, "blocks", |bytes| bytes.truncate(blocks / 4), |opened| assert!(opened.is_err()));
    with(&world, "blocks", |bytes| bytes[blocks / 4..].fill(0), |opened| assert!(opened.is_err()));
    // Without what says where they lie they are read all the same.
    for at in [0, 5, 20] {
        with(&world, "offsets", |bytes| bytes[at] ^= 1, |opened| check(&opened.unwrap(), &newest, 1_500));
    }
    let offsets = fs::read(world.path().join(SEGMENT).join("offsets")).unwrap();
    let places = fs::read(world.path().join(SEGMENT).join("blocks")).unwrap();
    // A flipped byte behind the last part is found by reading it, as ever.
    let end = u64::from_le_bytes(offsets[10..18].try_into().unwrap()) as usize;
    assert!(end < places.len());
    for at in [end + 2, end + 30, end + 100] {
        with(&world, "blocks", |bytes| bytes[at] ^= 1, |opened| assert!(opened.is_err(), "byte {at}"));
    }
    // One in its last block, too.
    with(&world, "blocks", |bytes| bytes[end - 3] ^= 1, |opened| assert!(opened.is_err()));
}

#[derive(Debug, Clone)]
enum Step {
    Append { from: u64, blocks: u64 },
    Checkpoint,
    Seal,
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..80_u64, 1..12_u64).prop_map(|(from, blocks)| Step::Append { from, blocks }),
        3 => Just(Step::Checkpoint),
        1 => Just(Step::Seal),
        2 => any::<u64>().prop_map(Step::Crash),
    ]
}

/// Does the steps on an engine that fails when its fuse has burned down. What was acknowledged, by
/// number and key.
fn perform(log: &Log, steps: &[Step], newest: &mut BTreeMap<u64, u64>) -> Vec<(u64, u64)> {
    let mut pending = Vec::new();
    for step in steps {
        match step {
            Step::Append { from, blocks } => {
                for key in *from..from + blocks {
                    let Ok(at) = log.append(vec![keyed(1, 7, spread(key))], None) else { return pending };
                    drive(log);
                    if log.committed() < at {
                        // It may be there, or not.
                        pending.push((key, at.0));
                        return pending;
                    }
                    newest.insert(key, at.0);
                }
            }
            Step::Checkpoint => {
                let _failed = log.checkpoint(log.committed());
            }
            Step::Seal => log.seal(),
            Step::Crash(_) => {}
        }
        if log.poisoned().is_none() {
            check(log, newest, 100);
        }
    }
    pending
}

/// The log as it is found after a crash: what was acknowledged, and perhaps what came after.
fn found_again(log: &Log, last: Seq, newest: &mut BTreeMap<u64, u64>, pending: Vec<(u64, u64)>) {
    for (key, at) in pending {
        if at <= last.0 {
            newest.insert(key, at);
        }
    }
    check(log, newest, 100);
    let events = log.read(Seq(1)).filter(Result::is_ok).count();
    assert_eq!(events as u64, last.0);
}

fn options() -> Options {
    Options { segment_bytes: 1_600, part_bytes: 200, filter_bytes_max: 700, ..inline() }
}

fn crash_at<W: World>(
    mut world: W,
    steps: &[Step],
    writes: i64,
    is_late: bool,
    mut crash: impl FnMut(&mut W),
) -> bool {
    let fuse = Fuse::new(writes, is_late);
    let (log, _) = Log::open(Failing(world.engine(), fuse.clone()), options()).unwrap();
    let mut newest = BTreeMap::new();
    let pending = perform(&log, steps, &mut newest);
    let has_burned = fuse.has_burned();
    crash(&mut world);
    let (log, recovery) = open_with(&world, options());
    found_again(&log, recovery.last, &mut newest, pending);
    // And it goes on.
    let more = perform(&log, steps, &mut newest);
    assert!(more.is_empty());
    crash(&mut world);
    let (log, recovery) = open_with(&world, options());
    found_again(&log, recovery.last, &mut newest, more);
    has_burned
}

/// A crash at each `stride`th write, before it is done or after.
fn every_crash<W: World>(stride: usize, crash: impl FnMut(&mut W) + Copy) {
    let mut steps = Vec::new();
    for round in 0..12 {
        steps.push(Step::Append { from: round * 6 % 70, blocks: 2 + round % 5 });
        steps.push(Step::Checkpoint);
    }
    steps.push(Step::Append { from: 0, blocks: 30 });
    steps.push(Step::Seal);
    steps.push(Step::Append { from: 40, blocks: 20 });
    for is_late in [false, true] {
        let at = (i64::from(is_late)..).step_by(stride);
        let last = at.take_while(|writes| crash_at(W::new(), &steps, *writes, is_late, crash)).last();
        assert!(last > Some(100), "it came to {last:?} writes");
    }
}

#[test]
fn a_crash_at_any_write_leaves_every_key() {
    every_crash::<Memory>(1, |world| world.0.crash(Crash::Lose));
}

#[test]
fn crashes_at_many_writes_leave_every_key_in_folders() {
    every_crash::<Folders>(23, |world| world.crash());
}

fn any_order<W: World>(steps: Vec<Step>, mut crash: impl FnMut(&mut W, u64)) {
    let mut world = W::new();
    let (mut log, _) = open_with(&world, options());
    let mut newest = BTreeMap::new();
    for steps in steps.split_inclusive(|step| matches!(step, Step::Crash(_))) {
        let pending = perform(&log, steps, &mut newest);
        if let Some(Step::Crash(seed)) = steps.last() {
            crash(&mut world, *seed);
            let (again, recovery) = open_with(&world, options());
            log = again;
            found_again(&log, recovery.last, &mut newest, pending);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_appends_checkpoints_and_crashes(steps in prop::collection::vec(step(), 1..60)) {
        any_order::<Memory>(steps, |world, seed| world.0.crash(Crash::from_seed(seed)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_order_in_folders(steps in prop::collection::vec(step(), 1..40)) {
        any_order::<Folders>(steps, |world, _| world.crash());
    }
}

#[test]
fn without_files_of_look_ups_all_blocks_are_read() {
    let (world, newest) = in_parts();
    for file in files(&world).iter().map(String::as_str).chain(["offsets"]) {
        fs::remove_file(world.path().join(SEGMENT).join(file)).unwrap();
    }
    let (log, recovery) = open_with(&world, wide());
    assert!(recovery.bytes_read > 100_000, "all of it is read: {recovery:?}");
    check(&log, &newest, 1_500);
    log.checkpoint(Seq(1_500)).unwrap();
    assert_eq!(files(&world).len(), 1, "from then on it is as any other");
}

#[test]
fn what_retention_removes_while_it_is_asked_is_no_damage() {
    let world = Folders::new();
    let options = Options { filter_bytes_max: 0, segment_bytes: 1_000, ..small() };
    let (log, _) = open_with(&world, options);
    append_blocks(&log, (0..600).map(|number| item(number, 1 << 40)));
    log.checkpoint(Seq(600)).unwrap();
    let segments = log.stats().unwrap().segments;
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut unknown = 1 << 50;
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                unknown += 1;
                assert_eq!(log.find(spread(unknown)), None);
            }
        });
        for before in 0..60 {
            log.retain(message::Timestamp(1_000 + before * 10), Seq(600)).unwrap();
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    // The records of what was removed take a few.
    assert!(log.stats().unwrap().segments < segments / 5);
    assert_eq!(log.poisoned(), None);
    assert!(log.find(spread(599)).is_some());
}
