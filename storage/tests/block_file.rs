//! The block file: the remains of an interrupted write are cut and reported; any other change stops
//! the start and is named.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends on the first surprise"
)]

mod support;

use std::{fs, path::PathBuf};

use message::Seq;
use proptest::prelude::*;
use storage::{Log, Options, Recovery, verify};
use support::{World, append_blocks, first, inline, keyed, number_of, open_with, spread, try_open};

const SEGMENT: &str = "segment-00000000000000000001";

/// Folders; a crash is a copy of the files as they are.
type Disk = support::Folders;

fn file(world: &Disk, name: &str) -> PathBuf {
    world.path().join(SEGMENT).join(name)
}

/// Where the frames of a block file begin, and where the last one ends.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut at = 16;
    let mut all = vec![at];
    while let Some(len) = bytes.get(at..at + 4).map(|b| u32::from_le_bytes(b.try_into().unwrap())) {
        if bytes[at..at + 20].iter().all(|b| *b == 0) {
            break;
        }
        at += 20 + len as usize;
        all.push(at);
    }
    all
}

/// A log of `blocks` blocks that lost power.
fn crashed(blocks: u32) -> Disk {
    let mut world = Disk::new();
    let (log, _) = open_with(&world, inline());
    append_blocks(&log, (1..=blocks).map(|n| keyed(1, n, spread(n.into()))));
    world.crash();
    world
}

fn numbers(log: &Log) -> Vec<u32> {
    log.read(Seq(1)).map(|event| number_of(&event.unwrap().event)).collect()
}

/// Opens what is left, checks that exactly `whole` blocks are, and that it goes on from there.
fn goes_on(world: &mut Disk, whole: u32, is_torn: bool) {
    let (log, recovery) = open_with(world, inline());
    assert_eq!(recovery.last, Seq(whole.into()));
    assert_eq!(recovery.torn.as_ref().map(|bad| bad.block), is_torn.then_some(Seq(u64::from(whole) + 1)));
    append_blocks(&log, [first(2, 900), first(2, 901)]);
    let expected: Vec<u32> = (1..=whole).chain([900, 901]).collect();
    assert_eq!(numbers(&log), expected);
    world.crash();
    let (log, Recovery { torn, .. }) = open_with(world, inline());
    assert_eq!((numbers(&log), torn), (expected, None));
    drop(log);
    assert!(verify(&world.engine()).unwrap().bad.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A power cut leaves any of the pages of the last write, here of any size and place, followed
    /// by zeros or by the end of the file.
    #[test]
    fn what_a_crash_leaves_of_the_last_write_is_cut_and_reported(
        blocks in 1u32..8,
        kept in prop::collection::vec(any::<bool>(), 1..12),
        room in prop_oneof![Just(0usize), 1usize..9_000],
        is_cut in any::<bool>(),
    ) {
        let mut world = crashed(blocks);
        let path = file(&world, "blocks");
        let mut bytes = fs::read(&path).unwrap();
        let ends = frames(&bytes);
        let (from, to) = (ends[ends.len() - 2], ends[ends.len() - 1]);
        bytes.truncate(to);
        // The note of what was flushed is as it was before.
        fs::remove_file(file(&world, "flushed")).unwrap();
        let page = (to - from).div_ceil(kept.len());
        for (n, _) in kept.iter().enumerate().filter(|(_, kept)| !**kept) {
            let begin = (from + n * page).min(to);
            bytes[begin..(begin + page).min(to)].fill(0);
        }
        let is_whole = kept.iter().all(|kept| *kept);
        if is_cut && !is_whole {
            let used = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
            bytes.truncate(used.max(from));
        } else {
            bytes.resize(to + room, 0);
        }
        let is_torn = !is_whole && bytes[from..].iter().any(|b| *b != 0);
        fs::write(&path, bytes).unwrap();
        goes_on(&mut world, if is_whole { blocks } else { blocks - 1 }, is_torn);
    }

    #[test]
    fn a_file_cut_anywhere_in_its_last_write_loses_that_one_only(blocks in 1u32..6, share in 0.0f64..1.0) {
        let mut world = crashed(blocks);
        let path = file(&world, "blocks");
        let bytes = fs::read(&path).unwrap();
        let ends = frames(&bytes);
        let (from, to) = (ends[ends.len() - 2], ends[ends.len() - 1]);
        let cut = from + ((to - from) as f64 * share) as usize;
        fs::remove_file(file(&world, "flushed")).unwrap();
        fs::write(&path, &bytes[..cut]).unwrap();
        goes_on(&mut world, blocks - 1, cut > from);
    }
}

#[test]
fn a_flipped_byte_anywhere_stops_the_start_and_is_named() {
    let world = crashed(5);
    let path = file(&world, "blocks");
    let whole = fs::read(&path).unwrap();
    let ends = frames(&whole);
    for at in 0..*ends.last().unwrap() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        let Err(error) = try_open(&world, inline()) else { panic!("byte {at}: it opened") };
        let told = error.to_string();
        assert!(told.contains(SEGMENT), "byte {at}: {told}");
        // Blocks of one event each: the block's number is its frame's place.
        let block = ends.iter().position(|end| at < *end).unwrap();
        assert!(at < 16 || told.contains(&format!("block {block}")), "byte {at}: {told}");
        let report = verify(&world.engine());
        assert!(report.is_err() || !report.unwrap().bad.is_empty(), "byte {at}");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(open_with(&world, inline()).1.last, Seq(5));
}

#[test]
fn blocks_that_were_flushed_and_are_gone_stop_the_start() {
    let world = crashed(5);
    let path = file(&world, "blocks");
    let whole = fs::read(&path).unwrap();
    let ends = frames(&whole);
    for end in [16, ends[2], ends[4] - 1] {
        fs::write(&path, &whole[..end]).unwrap();
        let Err(error) = try_open(&world, inline()) else { panic!("cut at {end}: it opened") };
        assert!(error.to_string().contains("was flushed"), "{error}");
    }
}

#[test]
fn a_sealed_file_is_exactly_as_long_as_its_blocks_and_read_by_its_offsets_or_without() {
    let mut world = Disk::new();
    let options = Options { segment_bytes: 200_000, ..inline() };
    let (log, _) = open_with(&world, options);
    append_blocks(&log, (1..=4_000).map(|n| keyed(1, n, spread(n.into()))));
    world.crash();
    let bytes = fs::read(file(&world, "blocks")).unwrap();
    assert_eq!(frames(&bytes).last(), Some(&bytes.len()), "no zeros are left");
    let all: Vec<u32> = (1..=4_000).collect();
    let (log, recovery) = open_with(&world, options);
    assert!(recovery.segments > 1 && recovery.rebuilt == 1);
    assert_eq!(numbers(&log), all);
    drop(log);
    for offsets in [None, Some(vec![]), Some(vec![7; 300])] {
        match offsets {
            None => fs::remove_file(file(&world, "offsets")).unwrap(),
            Some(bytes) => fs::write(file(&world, "offsets"), bytes).unwrap(),
        }
        let (log, _) = open_with(&world, options);
        assert_eq!(numbers(&log), all);
        for seq in (1..=4_000).rev().step_by(7) {
            assert_eq!(number_of(&log.event(Seq(seq)).unwrap().unwrap().event), seq as u32);
        }
    }
}
