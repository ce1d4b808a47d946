//! Absence is told, never assumed: whatever is taken away from a log, or is put back from an older
//! copy, the start says so and names it, with both engines. What retention removed is not missed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends on the first surprise"
)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use message::{Event, Seq, Timestamp, address};
use storage::{EngineKind, Log, OpenError, Options, Prev, ReadError};
use support::{
    Choice, FileEngine, OnDisk, SledEngine, World, append_blocks, copy, first, inline, item, keyed,
    open_with, try_open,
};

fn options() -> Options {
    Options { segment_bytes: 3_000, ..inline() }
}

/// A log of several sealed segments and one that grows.
fn filled<C: Choice>() -> (OnDisk<C>, Log) {
    let world = OnDisk::<C>::new();
    let (log, _) = open_with(&world, options());
    append_blocks(&log, (1..=200).map(|number| keyed(1, number, u128::from(number) << 90)));
    log.checkpoint(Seq(200)).unwrap();
    assert!(log.stats().unwrap().segments > 4);
    (world, log)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("segment-")).collect();
    segments.sort();
    segments
}

fn blocks<C: Choice>(segment: &Path) -> PathBuf {
    segment.join(if C::KIND == EngineKind::File { "blocks" } else { "db" })
}

/// Returns the error of a start.
fn start<C: Choice>(world: &OnDisk<C>) -> Option<String> {
    try_open(world, options()).err().map(|error| error.to_string())
}

fn replace(folder: &Path, by: &Path) {
    fs::remove_dir_all(folder).unwrap();
    copy(by, folder);
}

fn sealed_blocks_that_were_cut_removed_or_exchanged_are_named<C: Choice>() {
    type Damage = fn(&Path, &Path);
    let damages: [(&str, Damage); 5] = [
        ("removed", |blocks, _| fs::remove_file(blocks).unwrap()),
        ("emptied", |blocks, _| fs::write(blocks, []).unwrap()),
        ("cut in half", |blocks, _| {
            let bytes = fs::read(blocks).unwrap();
            fs::write(blocks, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("cut by a byte", |blocks, _| {
            let bytes = fs::read(blocks).unwrap();
            fs::write(blocks, &bytes[..bytes.len() - 1]).unwrap();
        }),
        ("exchanged for those of another segment", |blocks, other| {
            let mut bytes = fs::read(other).unwrap();
            bytes.resize(bytes.len().max(fs::metadata(blocks).unwrap().len() as usize), 0);
            fs::write(blocks, bytes).unwrap();
        }),
    ];
    for place in [0, 2] {
        for (what, damage) in &damages {
            let (mut world, _log) = filled::<C>();
            world.crash();
            let segments = segments(&world.path());
            damage(&blocks::<C>(&segments[place]), &blocks::<C>(&segments[place + 1]));
            let name = segments[place].file_name().unwrap().to_str().unwrap();
            let told = start(&world).unwrap_or_else(|| panic!("{what}: it opened"));
            assert!(told.contains(name), "{what}: {told}");
        }
    }
}

fn missing_first_segments_are_told_from_those_that_retention_removed<C: Choice>() {
    let (mut world, log) = filled::<C>();
    let retained = log.retain(Timestamp(1_130), Seq(200)).unwrap();
    assert!(retained.removed > 1 && retained.first > Seq(1));
    let told = log.event(Seq(log.find(address::log_stream().0).unwrap().b)).unwrap().unwrap();
    assert_eq!(told.event, Event::SegmentsRemoved { before: retained.first });
    world.crash();
    let whole = world.path();
    // The list says what is there, and without it the log says where it begins.
    for has_list in [true, false] {
        world.crash();
        if !has_list {
            fs::remove_file(world.path().join("segments")).unwrap();
        }
        assert_eq!(start(&world), None);
    }
    for has_list in [true, false] {
        replace(&world.path(), &whole);
        fs::remove_dir_all(&segments(&world.path())[0]).unwrap();
        if !has_list {
            fs::remove_file(world.path().join("segments")).unwrap();
        }
        let told = start(&world).expect("it does not open");
        assert!(told.contains("missing") && told.contains(&retained.first.to_string()), "{told}");
    }
    // Nothing was removed yet, and the first folder and the list are gone.
    let (mut world, _log) = filled::<C>();
    world.crash();
    fs::remove_dir_all(&segments(&world.path())[0]).unwrap();
    fs::remove_file(world.path().join("segments")).unwrap();
    let missing = try_open(&world, options()).map(|_| ());
    assert!(matches!(missing, Err(OpenError::NoBeginning { left: Seq(1), .. })), "{missing:?}");
}

fn an_older_copy_of_the_newest_segment_is_noticed<C: Choice>() {
    let world = OnDisk::<C>::new();
    let (log, _) = open_with(&world, Options { segment_bytes: 1 << 20, ..options() });
    append_blocks(&log, (1..=20).map(|number| first(1, number)));
    let older = tempfile::tempdir().unwrap();
    copy(&world.path(), older.path());
    append_blocks(&log, (21..=40).map(|number| first(1, number)));
    log.close().unwrap();
    let segment = "segment-00000000000000000001";
    replace(&world.path().join(segment), &older.path().join(segment));
    let told = try_open(&world, options()).map(|_| ());
    assert!(
        matches!(told, Err(OpenError::Behind { last: Seq(20), committed: Seq(40) })),
        "also without an index that knows: {told:?}"
    );
    let report = storage::verify(&world.engine()).unwrap();
    assert!(report.needs_backup() && report.files.iter().any(|file| file.file == segment), "{report:?}");
}

fn a_walk_says_where_retention_has_cut_it_off<C: Choice>() {
    let world = OnDisk::<C>::new();
    let (log, _) = open_with(&world, options());
    for number in 1..=200u64 {
        append_blocks(&log, [item(1, Prev::At(Seq(number - 1)), number as u32)]);
    }
    log.checkpoint(Seq(200)).unwrap();
    let mut history = log.history(Seq(200));
    assert_eq!(history.by_ref().count(), 200);
    assert_eq!(history.cut(), None, "it ended at the first event");
    let retained = log.retain(Timestamp(1_130), Seq(200)).unwrap();
    let mut history = log.history(Seq(200));
    let seen: Result<Vec<Seq>, ReadError> = history.by_ref().map(|event| event.map(|e| e.seq)).collect();
    assert_eq!(seen.unwrap().last(), Some(&retained.first));
    assert_eq!(history.cut(), Some(Seq(retained.first.0 - 1)));
}

macro_rules! both_engines {
    ($($story:ident)*) => {
        mod file { $(#[test] fn $story() { super::$story::<super::FileEngine>(); })* }
        mod sled { $(#[test] fn $story() { super::$story::<super::SledEngine>(); })* }
    };
}

both_engines! {
    sealed_blocks_that_were_cut_removed_or_exchanged_are_named
    missing_first_segments_are_told_from_those_that_retention_removed
    an_older_copy_of_the_newest_segment_is_noticed
    a_walk_says_where_retention_has_cut_it_off
}
