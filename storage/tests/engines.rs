//! The contract of every engine's blocks, and how a log directory remembers its engine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends on the first surprise"
)]

mod support;

use std::{cell::Cell, fs, path::Path, sync::Arc};

use message::{Seq, StreamId};
use rustix::fs::{Advice, fadvise};
use storage::{BlockStore, DiskEngine, Engine, EngineError, EngineKind, Entry, Log, Options, verify};
use support::{Folders, Memory, SledFolders, World, append_blocks, inline, keyed, spread};

/// Runs each test in memory and with both engines on a disk.
macro_rules! every_engine {
    ($($test:ident)*) => {
        mod memory { $(#[test] fn $test() { super::$test::<super::Memory>(); })* }
        mod file { $(#[test] fn $test() { super::$test::<super::Folders>(); })* }
        mod sled { $(#[test] fn $test() { super::$test::<super::SledFolders>(); })* }
    };
}

every_engine! {
    blocks_are_kept_in_order_and_found_by_any_event_in_them
    a_block_number_that_does_not_rise_is_refused
    blocks_of_any_size_survive_a_crash
    a_frozen_store_is_read_and_does_not_grow
    a_cut_removes_a_block_and_all_after_it
    persisted_offsets_are_used_and_never_trusted
}

const SEGMENT: &str = "segment-00000000000000000001";

fn blocks<W: World>(world: &W) -> Arc<dyn BlockStore> {
    world.engine().open_blocks(SEGMENT).unwrap()
}

fn bytes(n: u64, len: usize) -> Vec<u8> {
    vec![u8::try_from(n % 250 + 1).unwrap(); len]
}

fn blocks_are_kept_in_order_and_found_by_any_event_in_them<W: World>() {
    let mut world = W::new();
    let store = blocks(&world);
    for n in 1..=200_u64 {
        store.commit(Seq(n * 10), &bytes(n, 2_000)).unwrap();
    }
    world.crash();
    let store = blocks(&world);
    store.commit(Seq(2_010), &bytes(201, 2_000)).unwrap();
    let all = store.range(Seq::NONE, 1_000).unwrap();
    assert_eq!(all.len(), 201);
    assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0));
    for n in 1..=201_u64 {
        for event in [n * 10, n * 10 + 3, n * 10 + 9] {
            let (block, found) = store.at_or_below(Seq(event)).unwrap().unwrap();
            assert_eq!((block, &*found), (Seq(n * 10), &bytes(n, 2_000)[..]));
        }
        let next = store.range(Seq(n * 10), 3).unwrap();
        assert_eq!(next.len() as u64, 3.min(201 - n));
        assert!(next.first().is_none_or(|(block, _)| *block == Seq(n * 10 + 10)));
    }
    assert_eq!(store.at_or_below(Seq(9)).unwrap(), None);
    assert_eq!(store.range(Seq(9), 1).unwrap()[0].0, Seq(10));
}

fn a_block_number_that_does_not_rise_is_refused<W: World>() {
    let world = W::new();
    let store = blocks(&world);
    store.commit(Seq(5), b"five").unwrap();
    for block in [4, 5] {
        assert!(store.commit(Seq(block), b"again").is_err());
    }
    assert!(store.commit(Seq(6), b"").is_err(), "an empty block");
    store.commit(Seq(6), b"six").unwrap();
    assert_eq!(store.at_or_below(Seq(5)).unwrap().unwrap().1.as_ref(), b"five");
}

/// Sizes from one byte to more than sled keeps in its own file; preallocation and blobs included.
fn blocks_of_any_size_survive_a_crash<W: World>() {
    let mut world = W::new();
    let store = blocks(&world);
    let len = |n: u64| match n {
        40 | 90 => 3_000_000,
        60 => 1_048_500,
        n => (n * 7_919 % 40_000) as usize + 1,
    };
    for n in 1..=300_u64 {
        store.commit(Seq(n), &bytes(n, len(n))).unwrap();
    }
    world.crash();
    let engine = world.engine();
    for store in [store, engine.open_blocks(SEGMENT).unwrap()] {
        // A crash in memory ends what was open before.
        if store.range(Seq::NONE, 1).is_err() {
            continue;
        }
        assert_eq!(store.tail().torn_bytes, None);
        for n in 1..=300_u64 {
            assert_eq!(store.at_or_below(Seq(n)).unwrap().unwrap().1.as_ref(), bytes(n, len(n)), "{n}");
        }
    }
}

fn a_frozen_store_is_read_and_does_not_grow<W: World>() {
    let mut world = W::new();
    let store = blocks(&world);
    for n in 1..=100_u64 {
        store.commit(Seq(n), &bytes(n, 50_000)).unwrap();
    }
    store.freeze().unwrap();
    drop(store);
    let mut sizes = vec![];
    for _ in 0..4 {
        let engine = world.engine();
        let store = engine.open_blocks(SEGMENT).unwrap();
        assert_eq!(store.range(Seq::NONE, 1_000).unwrap().len(), 100);
        assert_eq!(store.at_or_below(Seq(50)).unwrap().unwrap().1.as_ref(), bytes(50, 50_000));
        drop(store);
        sizes.push(engine.disk_bytes(SEGMENT).unwrap());
    }
    assert!(sizes[3] <= sizes[1] + (1 << 16) && sizes[3] < 9_000_000, "{sizes:?}");
    world.crash();
    assert_eq!(blocks(&world).range(Seq::NONE, 1_000).unwrap().len(), 100);
}

fn a_cut_removes_a_block_and_all_after_it<W: World>() {
    let mut world = W::new();
    let store = blocks(&world);
    for n in 1..=30_u64 {
        store.commit(Seq(n * 2), &bytes(n, 500)).unwrap();
    }
    store.cut(Seq(41)).unwrap();
    world.crash();
    let store = blocks(&world);
    assert_eq!(store.range(Seq::NONE, 100).unwrap().last().unwrap().0, Seq(40));
    store.commit(Seq(41), b"other").unwrap();
    world.crash();
    let store = blocks(&world);
    assert_eq!(store.range(Seq(38), 100).unwrap().len(), 2);
    assert_eq!(store.at_or_below(Seq(1_000)).unwrap().unwrap().1.as_ref(), b"other");
    store.cut(Seq(1)).unwrap();
    assert_eq!(store.range(Seq::NONE, 100).unwrap(), []);
    store.commit(Seq(1), b"again").unwrap();
}

fn persisted_offsets_are_used_and_never_trusted<W: World>() {
    let mut world = W::new();
    let store = blocks(&world);
    for n in 1..=40_u64 {
        store.commit(Seq(n), &bytes(n, 900)).unwrap();
        if n == 25 {
            store.persist_offsets().unwrap();
        }
    }
    world.crash();
    let offsets = world.engine().read_file(SEGMENT, "offsets", 0, 1 << 20).unwrap();
    let others: Vec<Vec<u8>> = offsets
        .iter()
        .flat_map(|whole| {
            let mut flipped = whole.clone();
            flipped[9] ^= 1;
            [whole.clone(), flipped, whole[..whole.len() / 2].to_vec(), vec![]]
        })
        .collect();
    for other in others {
        world.engine().write_file(SEGMENT, "offsets", &other).unwrap();
        assert_eq!(blocks(&world).range(Seq::NONE, 100).unwrap().len(), 40);
    }
}

#[test]
fn a_directory_remembers_its_engine_and_another_is_refused() {
    for has in EngineKind::ALL {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(DiskEngine::open(folder.path(), has).unwrap(), inline()).unwrap();
        append_blocks(&log, (1..=20).map(|n| keyed(1, n, spread(n.into()))));
        log.close().unwrap();
        for wanted in EngineKind::ALL.into_iter().filter(|wanted| *wanted != has) {
            let Err(error) = DiskEngine::open(folder.path(), wanted) else { panic!("it opened") };
            let fix = format!("set engine = \"{has}\"");
            assert!(error.to_string().contains(&fix), "{error}");
        }
        let engine = DiskEngine::open_existing(folder.path()).unwrap();
        assert_eq!(engine.kind(), has);
        assert_eq!(verify(&engine).unwrap().events, 20);
        drop(engine);
        let named = folder.path().join("engine");
        for damaged in [Some("slad"), Some(""), None] {
            match damaged {
                Some(name) => fs::write(&named, name).unwrap(),
                None => fs::remove_file(&named).unwrap(),
            }
            match DiskEngine::open(folder.path(), has) {
                Err(EngineError::UnknownEngine { segment, .. }) => assert_eq!(segment, SEGMENT),
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("it opened"),
            }
        }
        fs::write(&named, has.name()).unwrap();
        assert!(DiskEngine::open(folder.path(), has).is_ok());
    }
}

#[test]
fn an_engine_has_a_name() {
    assert_eq!(EngineKind::default(), EngineKind::Sled);
    for kind in EngineKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    let error = "rocks".parse::<EngineKind>().unwrap_err();
    assert_eq!(error.to_string(), "\"rocks\" is not a valid engine: expected \"sled\" or \"file\"");
}

/// sled ends a damaged file without an error: the flush marker must tell.
#[test]
fn a_flipped_bit_in_sled_s_file_stops_the_start_or_changes_no_answer() {
    const BLOCKS: u32 = 120;
    let world = SledFolders::new();
    let (log, _) = Log::open(world.engine(), inline()).unwrap();
    append_blocks(&log, (1..=BLOCKS).map(|n| keyed(1, n, spread(n.into()))));
    log.close().unwrap();
    let len = fs::metadata(world.path().join(SEGMENT).join("db")).unwrap().len();
    let flips = std::env::var("FLIPS").ok().and_then(|flips| flips.parse().ok()).unwrap_or(60_u64);
    let (mut seed, mut stopped) = (1_u64, 0);
    for _ in 0..flips {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (at, bit) = ((seed >> 20) % len, seed >> 60 & 7);
        let damaged = tempfile::tempdir().unwrap();
        support::copy(&world.path(), damaged.path());
        let db = damaged.path().join(SEGMENT).join("db");
        let mut bytes = fs::read(&db).unwrap();
        bytes[at as usize] ^= 1 << bit;
        fs::write(&db, bytes).unwrap();
        let engine = DiskEngine::open(damaged.path(), EngineKind::Sled).unwrap();
        let (log, recovery) = match Log::open(engine, inline()) {
            Ok(opened) => opened,
            Err(error) => {
                assert!(error.to_string().contains(SEGMENT), "byte {at}: {error}");
                stopped += 1;
                continue;
            }
        };
        assert_eq!(recovery.last, Seq(BLOCKS.into()), "byte {at}");
        let mut events = log.read(Seq(1));
        let read: Result<Vec<_>, _> = events.by_ref().collect();
        match read {
            Ok(read) => assert!(read.iter().map(|event| support::number_of(&event.event)).eq(1..=BLOCKS)),
            Err(error) => assert!(error.to_string().contains(SEGMENT), "byte {at}: {error}"),
        }
    }
    println!("{stopped} of {flips} flipped bits stopped the start");
    assert!(stopped > 0);
}

thread_local! {
    static HOOKED: Cell<u32> = const { Cell::new(0) };
}

fn count_reads(read: &mut dyn FnMut()) {
    HOOKED.set(HOOKED.get() + 1);
    read();
}

/// Returns what `work` found, and whether it called the hook.
fn hooked<T>(work: impl FnOnce() -> T) -> (T, bool) {
    HOOKED.set(0);
    let found = work();
    (found, HOOKED.get() > 0)
}

/// Drops what the kernel keeps in memory of the files below a folder.
fn forget(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            forget(&entry.path());
        } else {
            let file = fs::File::open(entry.path()).unwrap();
            file.sync_all().unwrap();
            fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        }
    }
}

/// The folder must lie on a disk: a file system in memory forgets nothing.
#[test]
fn a_read_of_the_disk_runs_inside_the_hook_and_one_from_memory_does_not() {
    for kind in EngineKind::ALL {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let open = || DiskEngine::open(folder.path(), kind).unwrap().around_reads(count_reads);
        let options = || Options { segment_bytes: 16 * 1024, ..inline() };
        let (log, _) = Log::open(open(), options()).unwrap();
        append_blocks(&log, (1..=600).map(|n| keyed(n.into(), n, spread(n.into()))));
        assert_eq!(hooked(|| log.find(spread(600)).is_some()), (true, false), "{kind}: from memory");
        for n in 1..=600_u32 {
            let entry = Entry { applied: Seq(n.into()), due: None, bytes: [7; 40].into() };
            log.index().put(StreamId(n.into()), entry);
        }
        log.checkpoint(log.committed()).unwrap();
        log.close().unwrap();
        let (log, _) = Log::open(open(), options()).unwrap();
        let reads: [(&str, &dyn Fn() -> usize, usize); 6] = [
            ("a key", &|| log.find(spread(3)).iter().count(), 1),
            ("an event", &|| log.event(Seq(3)).unwrap().iter().count(), 1),
            ("a stream's past", &|| log.history(Seq(200)).count(), 1),
            ("a walk", &|| log.read(Seq(400)).take(9).count(), 9),
            ("an entry", &|| log.index().get(StreamId(5)).unwrap().iter().count(), 1),
            ("no such entry", &|| log.index().get(StreamId(u128::MAX / 7)).unwrap().iter().count(), 0),
        ];
        for (name, read, expected) in reads {
            forget(folder.path());
            let is_hooked = expected > 0;
            assert_eq!(hooked(read), (expected, is_hooked), "{kind}: {name}, on the disk");
            // sled does not tell whether it has a block in memory.
            if kind == EngineKind::File {
                assert_eq!(hooked(read), (expected, false), "{kind}: {name}, in memory");
            }
        }
    }
}
