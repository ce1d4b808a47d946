//! Damage and failure: a torn block is cut and reported, a corrupt one stops the start, and a
//! failed flush poisons the log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends on the first surprise"
)]

mod support;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use message::Seq;
use storage::{
    AppendError, BlockFault, Completion, Crash, DiskEngine, Driver, Engine, EngineKind, Log, NoRoom,
    OpenError, Options, ReadError, verify,
};
use support::{
    Folders, Memory, Told, World, append_blocks, drive, first, inline, keyed, open, open_with, spread, tell,
    try_open,
};

const SEGMENT: &str = "segment-00000000000000000001";

fn three_blocks(world: &Memory) -> Log {
    let (log, _) = open(world);
    append_blocks(&log, [first(1, 1), first(1, 2), first(1, 3)]);
    log
}

fn flip(world: &Memory, block: u64, at: usize) {
    assert!(world.0.flip(SEGMENT, &block.to_be_bytes(), at));
}

#[test]
fn a_flipped_byte_in_the_middle_stops_the_start_and_is_named() {
    let mut world = Memory::new();
    drop(three_blocks(&world));
    world.crash();
    for at in 0..40 {
        flip(&world, 2, at);
        let Err(error) = try_open(&world, inline()) else { panic!("byte {at}: it opened") };
        let OpenError::Block(bad) = &error else { panic!("byte {at}: {error}") };
        assert_eq!((bad.segment.as_str(), bad.block), (SEGMENT, Seq(2)), "byte {at}");
        assert!(error.to_string().contains("segment-00000000000000000001, block 2: "), "{error}");
        let report = verify(&world.engine()).unwrap();
        assert_eq!(report.bad.first().map(|bad| bad.block), Some(Seq(2)), "byte {at}");
        flip(&world, 2, at);
    }
    assert_eq!(open(&world).1.last, Seq(3));
}

#[test]
fn a_torn_last_block_is_cut_and_reported() {
    let world = Memory::new();
    let log = three_blocks(&world);
    log.append(vec![first(1, 4)], None).unwrap();
    world.0.fail_flush_after(0);
    drive(&log);
    world.0.crash(Crash::Tear(0));
    let (log, recovery) = open(&world);
    let torn = recovery.torn.expect("reported");
    assert_eq!((torn.block, recovery.last), (Seq(4), Seq(3)));
    assert!(matches!(torn.fault, BlockFault::Short { .. }));
    assert_eq!(
        append_blocks(&log, [first(1, 5)]),
        [Seq(4)],
        "its number was never given to anyone who was told"
    );
    world.0.crash(Crash::Lose);
    assert_eq!(open(&world).1.torn, None);
}

#[test]
fn a_last_block_that_a_checkpoint_covers_is_not_torn_but_corrupt() {
    let mut world = Memory::new();
    let log = three_blocks(&world);
    log.checkpoint(Seq(3)).unwrap();
    world.crash();
    flip(&world, 3, 30);
    assert!(matches!(try_open(&world, inline()), Err(OpenError::Block(bad)) if bad.block == Seq(3)));
}

#[test]
fn an_unknown_version_is_not_taken_for_damage() {
    let mut world = Memory::new();
    drop(three_blocks(&world));
    world.crash();
    flip(&world, 3, 0);
    let Err(error) = try_open(&world, inline()) else { panic!("it opened") };
    assert!(error.to_string().contains("version 0 is unknown"), "{error}");
}

#[test]
fn a_missing_segment_stops_the_start() {
    let mut world = Memory::new();
    let options = Options { segment_bytes: 200, ..inline() };
    let (log, _) = open_with(&world, options);
    append_blocks(&log, (0..30).map(|number| first(1, number)));
    world.crash();
    let names = world.engine().names().unwrap();
    assert!(names.len() > 4);
    world.engine().remove(&names[2]).unwrap();
    let missing = try_open(&world, options).map(|_| ());
    assert!(matches!(missing, Err(OpenError::Missing { segment }) if segment == names[2]));
    // Without the list of segments the gap is noticed.
    world.engine().remove_file("", "segments").unwrap();
    assert!(matches!(try_open(&world, options), Err(OpenError::Gap { segment, .. }) if segment == names[3]));
    assert_eq!(verify(&world.engine()).unwrap().gaps.len(), 1);
}

#[test]
fn the_first_or_the_newest_segment_missing_stops_the_start() {
    for is_first in [true, false] {
        let mut world = Folders::new();
        let options = Options { segment_bytes: 200, ..inline() };
        let (log, _) = open_with(&world, options);
        append_blocks(&log, (0..30).map(|number| first(1, number)));
        world.crash();
        let names = world.engine().names().unwrap();
        let segments = || names.iter().filter(|name| name.starts_with("segment"));
        let gone = if is_first { segments().next() } else { segments().next_back() }.unwrap();
        world.engine().remove(gone).unwrap();
        let Err(error) = try_open(&world, options) else { panic!("it opened without {gone}") };
        assert!(error.to_string().contains(gone), "{error}");
        let report = verify(&world.engine()).unwrap();
        assert!(report.needs_backup() && report.files.iter().any(|file| file.file == *gone), "{report:?}");
    }
}

#[test]
fn a_retention_that_a_crash_interrupted_is_completed() {
    let mut world = Folders::new();
    let options = Options { segment_bytes: 200, ..inline() };
    let (log, _) = open_with(&world, options);
    append_blocks(&log, (0..30).map(|number| first(1, number)));
    log.checkpoint(Seq(30)).unwrap();
    world.crash();
    let (log, recovery) = open_with(&world, options);
    let before = world.path();
    world.crash();
    let removed = log.retain(message::Timestamp(1_020), Seq(30)).unwrap();
    assert!(removed.removed > 1);
    // The list is as after the retention, the folders are as before.
    std::fs::copy(before.join("segments"), world.path().join("segments")).unwrap();
    let (log, again) = open_with(&world, options);
    assert_eq!(again.segments, recovery.segments - removed.removed);
    assert_eq!(log.read(Seq(1)).next().unwrap().unwrap().seq, removed.first);
}

#[test]
fn an_index_ahead_of_its_log_stops_the_start() {
    let mut world = Memory::new();
    let log = three_blocks(&world);
    log.checkpoint(Seq(3)).unwrap();
    world.crash();
    world.engine().remove(SEGMENT).unwrap();
    assert!(matches!(try_open(&world, inline()), Err(OpenError::Missing { .. })));
    world.engine().remove_file("", "segments").unwrap();
    assert!(matches!(try_open(&world, inline()), Err(OpenError::IndexAhead { .. })));
}

#[test]
fn reading_a_damaged_block_is_an_error_and_ends_there() {
    let world = Memory::new();
    let log = three_blocks(&world);
    assert!(world.0.flip(SEGMENT, &2_u64.to_be_bytes(), 30));
    let mut events = log.read(Seq(1));
    assert!(events.next().unwrap().is_ok());
    assert!(matches!(events.next(), Some(Err(ReadError::Block(_)))));
    assert!(events.next().is_none());
}

#[test]
fn a_failed_flush_poisons_and_everyone_is_told() {
    let mut world = Memory::new();
    let (log, _) = open_with(&world, Options { block_bytes_max: 60, ..inline() });
    let (told, heard) = (Told::default(), Arc::new(Mutex::new(0)));
    let hook = heard.clone();
    log.on_poison(move |_| *hook.lock().unwrap() += 1);
    append_blocks(&log, [first(1, 0)]);
    for number in 1..=5 {
        log.append(vec![first(1, number)], tell(&told, number.into())).unwrap();
    }
    world.0.fail_flush_after(1);
    drive(&log);
    assert_eq!(*told.lock().unwrap(), [(1, true), (2, false), (3, false), (4, false), (5, false)]);
    assert_eq!((log.committed(), *heard.lock().unwrap()), (Seq(2), 1));
    assert!(matches!(log.append(vec![first(1, 9)], None), Err(AppendError::Poisoned(_))));
    assert!(matches!(log.room(), Err(NoRoom::Poisoned(_))));
    assert!(log.wait_flushed(Seq(3)).is_err() && log.poisoned().is_some());
    let hook = heard.clone();
    log.on_poison(move |_| *hook.lock().unwrap() += 10);
    assert_eq!(*heard.lock().unwrap(), 11);
    world.crash();
    assert_eq!(open(&world).1.last, Seq(2));
}

#[test]
fn a_failed_flush_poisons_the_thread_too() {
    let world = Memory::new();
    let (log, _) = open_with(&world, Options { disk_reserve_bytes: 0, ..Options::default() });
    let told = Told::default();
    log.append(vec![first(1, 0)], tell(&told, 0)).unwrap();
    log.wait_flushed(Seq(1)).unwrap();
    world.0.fail_flush_after(0);
    log.append(vec![first(1, 1)], tell(&told, 1)).unwrap();
    assert!(log.wait_flushed(Seq(2)).is_err());
    assert!(log.close().is_err());
    assert_eq!(*told.lock().unwrap(), [(0, true), (1, false)]);
}

#[test]
fn a_directory_in_use_is_refused() {
    let world = Folders::new();
    let (log, _) = open(&world);
    let Err(error) = DiskEngine::open(world.path(), EngineKind::File) else { panic!("it opened twice") };
    assert!(error.to_string().contains("in use by another process"), "{error}");
    log.close().unwrap();
    assert!(DiskEngine::open(world.path(), EngineKind::File).is_ok());
}

#[test]
fn an_item_of_the_largest_size_is_kept_and_a_larger_one_refused() {
    let mut world = Folders::new();
    let (log, _) = open(&world);
    let of = |bytes: usize| {
        let mut item = first(1, 1);
        let json = "x".repeat(bytes).into();
        let content = message::Content::Rich { body_type: message::BodyType::Custom, json };
        item.event = message::Event::Received(Box::new(message::event::Received {
            delivery: 1,
            id: message::MessageId::new("m"),
            provider_id: "".into(),
            content,
            provider_time: None,
            incomplete: None,
            attributes: vec![],
            is_written: true,
        }));
        item
    };
    let refused = log.append(vec![of(storage::RECORD_BYTES_MAX)], None);
    assert!(matches!(refused, Err(AppendError::TooLarge { index: 0, .. })));
    let large = of(storage::RECORD_BYTES_MAX - 100);
    for _ in 0..4 {
        append_blocks(&log, [large.clone()]);
    }
    world.crash();
    let (log, _) = open(&world);
    assert_eq!(log.event(Seq(4)).unwrap().unwrap().event, large.event);
}

#[test]
fn many_threads_append_and_the_log_has_it_all() {
    let mut world = Folders::new();
    let options = Options {
        segment_bytes: 100_000,
        part_bytes: 7_000,
        block_bytes_max: 20_000,
        disk_reserve_bytes: 0,
        driver: Driver::Threaded,
        ..Options::default()
    };
    let (log, _) = open_with(&world, options);
    let told = Told::default();
    let missed = Arc::new(AtomicU32::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (log, told, missed) = (log.clone(), told.clone(), missed.clone());
            scope.spawn(move || {
                for number in 0..2_000 {
                    let number = thread * 2_000 + number;
                    let (seen, missed) = (log.clone(), missed.clone());
                    let done: Completion = Box::new(move |_| {
                        missed.fetch_add(
                            u32::from(seen.find(spread(number.into())).is_none()),
                            Ordering::SeqCst,
                        );
                    });
                    let seq = log.append(vec![keyed(1, number, spread(number.into()))], Some(done)).unwrap();
                    assert_eq!(
                        log.find(spread(number.into())).unwrap().b,
                        seq.0,
                        "seen at once, sealed or not"
                    );
                    if number % 100 == 0 {
                        log.append(vec![first(2, number)], tell(&told, seq.0 + 1)).unwrap();
                    }
                }
            });
        }
    });
    log.wait_flushed(Seq(8_080)).unwrap();
    log.close().unwrap();
    assert_eq!(missed.load(Ordering::SeqCst), 0, "who is told of a flush finds its keys");
    let told = told.lock().unwrap();
    assert!(told.len() == 80 && told.iter().all(|(_, fate)| *fate));
    world.crash();
    let (log, recovery) = open_with(&world, options);
    assert_eq!(recovery.last, Seq(8_080));
    assert!(recovery.segments > 3);
    assert_eq!(log.read(Seq(1)).filter(|event| event.is_ok()).count(), 8_080);
    for number in 0..8_000 {
        assert!(log.find(spread(number)).is_some());
    }
}

#[test]
fn a_completion_that_panics_poisons_the_log_and_the_rest_are_told() {
    let world = Memory::new();
    let (log, _) = open_with(&world, Options { disk_reserve_bytes: 0, ..Options::default() });
    let told = Told::default();
    let heard = told.clone();
    let done: storage::Completion = Box::new(|_| panic!("on purpose"));
    log.append(vec![first(1, 0)], Some(done)).unwrap();
    let hook = tell(&heard, 7).unwrap();
    log.on_poison(move |poisoned| hook(Err(poisoned)));
    assert!(log.close().is_err());
    assert_eq!(*told.lock().unwrap(), [(7, false)]);
}
