//! The contract between the log and an engine. Every test runs in memory, on files and on sled.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends on the first surprise"
)]

mod support;

use message::{Event, Seq, StreamId, Timestamp};
use storage::{AppendError, Due, Entry, Found, NoRoom, Options, Prev, verify};
use support::{
    Folders, Memory, SledFolders, Told, World, append_blocks, drive, first, inline, item, keyed, number_of,
    open, open_with, spread, tell,
};

macro_rules! every_engine {
    ($($story:ident)*) => {
        mod memory { $(#[test] fn $story() { super::$story::<super::Memory>(); })* }
        mod file { $(#[test] fn $story() { super::$story::<super::Folders>(); })* }
        mod sled { $(#[test] fn $story() { super::$story::<super::SledFolders>(); })* }
    };
}

every_engine! {
    what_was_committed_is_read_back
    what_was_not_flushed_is_not_there_after_a_crash
    history_walks_a_stream_backwards
    the_whole_log_is_read_backwards
    a_file_beside_the_segments_comes_back_whole_or_not_at_all
    completions_come_in_order_and_after_the_flush
    a_look_up_finds_the_newest_in_memory_and_sealed
    a_sealed_log_reopens_where_it_was
    retention_removes_what_nobody_needs
    due_streams_come_in_order_whoever_knows_them
    a_stream_born_and_finished_never_touches_the_index
    a_large_append_is_cut_into_blocks
    room_ends_before_the_disk_does
    an_empty_or_wrong_append_is_refused
    the_checkpoint_waits_for_the_flush
    verify_finds_nothing_wrong
}

fn small_segments() -> Options {
    Options { segment_bytes: 1_000, ..inline() }
}

fn numbers<'a>(events: impl Iterator<Item = Result<storage::Stored, storage::ReadError>> + 'a) -> Vec<u32> {
    let events = events.map(|event| event.unwrap().event);
    // The log's own records have no numbers.
    let ours = events.filter(|event| !matches!(event, Event::SegmentsRemoved { .. }));
    ours.map(|event| number_of(&event)).collect()
}

fn the_whole_log_is_read_backwards<W: World>() {
    let world = W::new();
    let (log, _) = open_with(&world, small_segments());
    assert_eq!(numbers(log.read_back(Seq(u64::MAX))), [] as [u32; 0]);
    for number in 1..=200 {
        log.append(vec![first(u128::from(number), number)], None).unwrap();
        if number % 3 == 0 {
            drive(&log);
        }
    }
    let newest = log.committed();
    assert!(newest < Seq(200), "what is not flushed is not shown");
    assert!(log.stats().unwrap().segments > 2);
    let all: Vec<u32> = (1..=u32::try_from(newest.0).unwrap()).rev().collect();
    assert_eq!(numbers(log.read_back(Seq(u64::MAX))), all);
    for from in [newest, Seq(77), Seq(2), Seq(1)] {
        let expected: Vec<u32> = (1..=u32::try_from(from.0).unwrap()).rev().collect();
        assert_eq!(numbers(log.read_back(from)), expected);
    }
    assert_eq!(numbers(log.read_back(Seq::NONE)), [] as [u32; 0]);
}

fn a_file_beside_the_segments_comes_back_whole_or_not_at_all<W: World>() {
    let mut world = W::new();
    let (log, _) = open(&world);
    assert_eq!(log.read_aside("notes"), Ok(None));
    log.write_aside("notes", b"one").unwrap();
    log.write_aside("notes", b"another").unwrap();
    assert_eq!(log.read_aside("notes"), Ok(Some(b"another".to_vec())));
    drop(log);
    world.crash();
    let (log, _) = open(&world);
    assert_eq!(log.read_aside("notes"), Ok(Some(b"another".to_vec())), "it is on the disk at once");
    drop(log);
    // Written by another hand: it does not end with its checksum.
    storage::Engine::write_file(&world.engine(), "", "notes", b"another hand").unwrap();
    let (log, _) = open(&world);
    assert!(log.read_aside("notes").is_err());
}

fn what_was_committed_is_read_back<W: World>() {
    let mut world = W::new();
    let (log, recovery) = open(&world);
    assert_eq!(recovery.last, Seq::NONE);
    assert_eq!(log.append(vec![first(1, 10), item(1, Prev::Earlier(0), 11)], None), Ok(Seq(1)));
    assert_eq!(log.append(vec![first(2, 12)], None), Ok(Seq(3)));
    assert_eq!(log.committed(), Seq::NONE);
    assert_eq!(numbers(log.read(Seq(1))), [] as [u32; 0], "reading forward shows only what is flushed");
    assert_eq!(number_of(&log.event(Seq(2)).unwrap().unwrap().event), 11, "one event is seen at once");
    drive(&log);
    assert_eq!(log.committed(), Seq(3));
    assert_eq!(numbers(log.read(Seq(2))), [11, 12]);
    let event = log.event(Seq(2)).unwrap().unwrap();
    assert_eq!((event.prev, event.stream, event.at), (Seq(1), StreamId(1), Timestamp(1_011)));
    assert_eq!(log.event(Seq(4)).unwrap(), None);
    world.crash();
    let (log, recovery) = open(&world);
    assert_eq!((recovery.last, recovery.torn), (Seq(3), None));
    assert_eq!(numbers(log.read(Seq(0))), [10, 11, 12]);
    assert_eq!(log.append(vec![first(3, 13)], None), Ok(Seq(4)));
    drive(&log);
    log.close().unwrap();
    let (log, _) = open(&world);
    assert_eq!(numbers(log.read(Seq(1))), [10, 11, 12, 13]);
}

fn what_was_not_flushed_is_not_there_after_a_crash<W: World>() {
    let mut world = W::new();
    let (log, _) = open(&world);
    append_blocks(&log, [first(1, 1)]);
    log.append(vec![keyed(1, 2, spread(7))], None).unwrap();
    assert!(log.find(spread(7)).is_some());
    world.crash();
    let (log, recovery) = open(&world);
    assert_eq!(recovery.last, Seq(1));
    assert_eq!(numbers(log.read(Seq(1))), [1]);
    assert_eq!(log.find(spread(7)), None);
}

fn history_walks_a_stream_backwards<W: World>() {
    let world = W::new();
    let (log, _) = open_with(&world, small_segments());
    let mut heads = [Seq::NONE; 3];
    for number in 0..60_u32 {
        let stream = number as usize % 3;
        heads[stream] = append_blocks(&log, [item(stream as u128, Prev::At(heads[stream]), number)])[0];
    }
    assert!(log.stats().unwrap().segments > 2);
    let waiting = log.append(vec![item(2, Prev::At(heads[2]), 60)], None).unwrap();
    let wanted: Vec<u32> = (0..20).map(|n| 59 - 3 * n).collect();
    assert_eq!(numbers(log.history(heads[2])), wanted);
    assert_eq!(numbers(log.history(waiting).take(2)), [60, 59], "history sees what is not flushed yet");
    assert_eq!(numbers(log.history(Seq::NONE)), [] as [u32; 0]);
}

fn completions_come_in_order_and_after_the_flush<W: World>() {
    let world = W::new();
    let (log, _) = open_with(&world, Options { block_bytes_max: 200, ..inline() });
    let told = Told::default();
    for number in 0..20 {
        log.append(vec![first(1, number)], tell(&told, number.into())).unwrap();
    }
    assert!(told.lock().unwrap().is_empty());
    let mut before = Seq::NONE;
    while log.drive() {
        let committed = log.committed();
        assert!(committed > before);
        before = committed;
        assert_eq!(told.lock().unwrap().len() as u64, committed.0, "each is told with its own block");
    }
    let wanted: Vec<_> = (0..20).map(|number| (number, true)).collect();
    assert_eq!(*told.lock().unwrap(), wanted);
}

fn a_look_up_finds_the_newest_in_memory_and_sealed<W: World>() {
    let mut world = W::new();
    let (log, _) = open_with(&world, small_segments());
    for number in 0..500_u32 {
        log.append(vec![keyed(1, number, spread(u64::from(number % 400)))], None).unwrap();
        if number % 5 == 4 {
            drive(&log);
        }
    }
    let check = |log: &storage::Log| {
        for key in 0..400_u64 {
            let number = if key < 100 { key + 400 } else { key };
            let wanted = Found { a: u128::from(number), b: number + 1 };
            assert_eq!(log.find(spread(key)), Some(wanted), "key {key}");
        }
        for key in 400..2_000 {
            assert_eq!(log.find(spread(key)), None);
        }
    };
    check(&log);
    let stats = log.stats().unwrap();
    assert!(stats.lookups_sealed > 300 && stats.segments > 20, "{stats:?}");
    world.crash();
    let (log, recovery) = open_with(&world, small_segments());
    assert_eq!(recovery.rebuilt, 1, "only the active segment is read");
    check(&log);
}

fn a_sealed_log_reopens_where_it_was<W: World>() {
    let mut world = W::new();
    let (log, _) = open(&world);
    append_blocks(&log, [keyed(1, 1, spread(1))]);
    log.seal();
    log.seal();
    append_blocks(&log, [keyed(1, 2, spread(2)), keyed(1, 3, spread(3))]);
    log.seal();
    world.crash();
    let (log, recovery) = open(&world);
    assert_eq!((recovery.segments, recovery.last), (2, Seq(3)));
    append_blocks(&log, [keyed(1, 4, spread(4))]);
    assert_eq!(numbers(log.read(Seq(1))), [1, 2, 3, 4]);
    for key in 1..=4 {
        assert_eq!(log.find(spread(key)).unwrap().b, key);
    }
}

fn retention_removes_what_nobody_needs<W: World>() {
    let mut world = W::new();
    let (log, _) = open_with(&world, small_segments());
    append_blocks(&log, (0..100).map(|number| keyed(1, number, spread(number.into()))));
    let before = log.stats().unwrap();
    let none = log.retain(Timestamp(u64::MAX), Seq(u64::MAX)).unwrap();
    assert_eq!(none.removed, 0, "nothing that replay needs is removed");
    log.checkpoint(log.committed()).unwrap();
    assert_eq!(log.retain(Timestamp(0), Seq(u64::MAX)).unwrap().removed, 0);
    assert_eq!(log.retain(Timestamp(u64::MAX), Seq(1)).unwrap().removed, 0);
    let half = log.retain(Timestamp(1_050), Seq(u64::MAX)).unwrap();
    assert!(half.removed > 2 && half.first > Seq(30) && half.first <= Seq(51), "{half:?}");
    assert_eq!(log.event(Seq(1)).unwrap(), None);
    assert_eq!(log.find(spread(0)), None);
    assert_eq!(numbers(log.read(Seq(1))).first(), Some(&(half.first.0 as u32 - 1)));
    let all = log.retain(Timestamp(u64::MAX), Seq(u64::MAX)).unwrap();
    let left = log.stats().unwrap().segments;
    assert!((1..=2).contains(&left), "the last segment stays, and the one with the record");
    assert!(half.removed + all.removed + left >= before.segments);
    assert_eq!(log.committed(), Seq(102), "each removal is recorded");
    world.crash();
    let (log, recovery) = open_with(&world, small_segments());
    assert_eq!((recovery.last, recovery.segments), (Seq(102), left));
    assert_eq!(append_blocks(&log, [first(1, 100)]), [Seq(103)]);
    assert_eq!(numbers(log.read(Seq(1))).last(), Some(&100));
}

fn entry(applied: u64, due: Option<u64>) -> Entry {
    Entry { applied: Seq(applied), due: due.map(Timestamp), bytes: Box::from(*b"state") }
}

fn due_streams_come_in_order_whoever_knows_them<W: World>() {
    let mut world = W::new();
    let (log, _) = open(&world);
    append_blocks(&log, (0..10).map(|number| first(1, number)));
    let index = log.index();
    for stream in 0..300_u64 {
        index.put(StreamId(stream.into()), entry(1, Some(1_000 + stream)));
    }
    log.checkpoint(Seq(10)).unwrap();
    index.put(StreamId(5), entry(2, Some(2_000)));
    index.put(StreamId(6), entry(2, None));
    index.remove(StreamId(7), Seq(2));
    index.put(StreamId(900), entry(2, Some(1_004)));
    let due = |log: &storage::Log, until, after, limit| -> Vec<(u64, u128)> {
        let found = log.index().due(Timestamp(until), after, limit).unwrap();
        found.into_iter().map(|due| (due.at.0, due.stream.0)).collect()
    };
    let wanted = [(1_002, 2), (1_003, 3), (1_004, 4), (1_004, 900), (1_008, 8)];
    let check = |log: &storage::Log| {
        assert_eq!(due(log, 1_008, Some(Due { at: Timestamp(1_001), stream: StreamId(1) }), 10), wanted);
        assert_eq!(due(log, 5_000, Some(Due { at: Timestamp(1_001), stream: StreamId(1) }), 5), wanted);
        assert_eq!(due(log, u64::MAX, None, 1_000).len(), 299);
        assert_eq!(due(log, u64::MAX, None, 1_000).last(), Some(&(2_000, 5)));
        let streams: Vec<_> = log.index().scan(Some(StreamId(4)), 3).unwrap();
        assert_eq!(streams.iter().map(|open| open.stream.0).collect::<Vec<_>>(), [5, 6, 8]);
        assert_eq!(log.index().scan(None, 1_000).unwrap().len(), 300);
    };
    check(&log);
    log.checkpoint(Seq(10)).unwrap();
    assert_eq!((index.delta_len(), index.len()), (0, 300));
    check(&log);
    world.crash();
    let (log, _) = open(&world);
    check(&log);
    assert_eq!(log.index().get(StreamId(5)).unwrap(), Some(entry(2, Some(2_000))));
    assert_eq!(log.index().get(StreamId(7)).unwrap(), None);
}

fn a_stream_born_and_finished_never_touches_the_index<W: World>() {
    let world = W::new();
    let (log, _) = open(&world);
    append_blocks(&log, (0..10).map(|number| first(1, number)));
    log.index().put(StreamId(1), entry(3, Some(9)));
    log.index().remove(StreamId(1), Seq(5));
    let stats = log.checkpoint(Seq(10)).unwrap();
    // The two keys are its own numbers.
    assert_eq!((stats.passed, stats.written, stats.removed, stats.keys), (1, 0, 0, 2));
}

fn a_large_append_is_cut_into_blocks<W: World>() {
    let mut world = W::new();
    let options = Options { block_bytes_max: 500, segment_bytes: 2_000, ..inline() };
    let (log, _) = open_with(&world, options);
    let told = Told::default();
    let items: Vec<_> = (0..100_u32)
        .map(|number| {
            let prev = if number == 0 { Prev::At(Seq::NONE) } else { Prev::Earlier(number - 1) };
            let mut item = item(1, prev, number);
            item.keys = keyed(1, number, spread(number.into())).keys;
            item
        })
        .collect();
    log.append(items, tell(&told, 0)).unwrap();
    assert!(log.drive());
    assert!(told.lock().unwrap().is_empty(), "not before its last block");
    drive(&log);
    assert_eq!(*told.lock().unwrap(), [(0, true)]);
    let stats = log.stats().unwrap();
    assert!(stats.blocks_written > 10 && stats.segments >= 3, "{stats:?}");
    world.crash();
    let (log, _) = open_with(&world, options);
    assert_eq!(numbers(log.read(Seq(1))), (0..100).collect::<Vec<_>>());
    assert_eq!(numbers(log.history(Seq(100))), (0..100).rev().collect::<Vec<_>>());
    for number in 0..100 {
        assert_eq!(log.find(spread(number)).unwrap(), Found { a: number.into(), b: number + 1 });
    }
}

fn room_ends_before_the_disk_does<W: World>() {
    let world = W::new();
    let (log, _) = open_with(&world, Options { disk_reserve_bytes: u64::MAX, ..inline() });
    assert!(matches!(log.room(), Err(NoRoom::Disk { .. })));
    assert!(log.append(vec![first(1, 1)], None).is_ok(), "what was accepted may still be finished");
    drop(log);
    let (log, _) = open_with(&world, Options { queue_bytes_max: 100, ..inline() });
    assert_eq!(log.room(), Ok(()));
    log.append((0..10).map(|number| first(1, number)).collect(), None).unwrap();
    assert!(matches!(log.room(), Err(NoRoom::Queue { max: 100, .. })));
    let refused = (0..20).find_map(|number| log.append(vec![first(1, number)], None).err());
    assert!(matches!(refused, Some(AppendError::Full { max: 400, .. })));
    drive(&log);
    assert_eq!(log.room(), Ok(()));
}

fn an_empty_or_wrong_append_is_refused<W: World>() {
    let world = W::new();
    let (log, _) = open(&world);
    assert_eq!(log.append(vec![], None), Err(AppendError::Empty));
    assert_eq!(log.append(vec![item(1, Prev::Earlier(0), 1)], None), Err(AppendError::Prev(0)));
    let mut keys = first(1, 1);
    keys.keys = (0..64).flat_map(|number| keyed(1, 1, spread(number)).keys).collect();
    assert_eq!(log.append(vec![keys], None), Err(AppendError::Keys(0)));
    assert_eq!(log.append(vec![first(1, 1)], None), Ok(Seq(1)), "a refused append takes no number");
    let other = log.clone();
    log.close().unwrap();
    assert_eq!(other.append(vec![first(1, 1)], None), Err(AppendError::Closed));
    assert_eq!(other.committed(), Seq(1), "closing writes what waits");
}

fn the_checkpoint_waits_for_the_flush<W: World>() {
    let mut world = W::new();
    let (log, _) = open(&world);
    log.append(vec![first(1, 1), item(1, Prev::Earlier(0), 2)], None).unwrap();
    log.index().put(StreamId(1), entry(2, None));
    assert_eq!(log.committed(), Seq::NONE);
    log.checkpoint(Seq(1)).unwrap();
    assert_eq!(log.committed(), Seq(2), "the entry holds event 2");
    world.crash();
    let (log, recovery) = open(&world);
    assert_eq!((recovery.checkpoint, recovery.last), (Seq(1), Seq(2)));
    assert_eq!(log.index().applied(StreamId(1)).unwrap(), Seq(2));
    assert!(log.checkpoint(Seq(0)).is_err(), "a checkpoint does not go backwards");
    assert!(log.checkpoint(Seq(3)).is_err(), "nor to events that are not there");
}

fn verify_finds_nothing_wrong<W: World>() {
    let world = W::new();
    let (log, _) = open_with(&world, small_segments());
    append_blocks(&log, (0..50).map(|number| keyed(1, number, spread(number.into()))));
    let segments = log.stats().unwrap().segments;
    log.close().unwrap();
    let report = verify(&world.engine()).unwrap();
    assert_eq!((report.segments, report.events, report.blocks), (segments, 50, 50));
    assert!(report.is_sound(), "{report:?}");
}
