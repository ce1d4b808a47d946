//! After any sequence of appends, index changes, checkpoints, failures and crashes the log equals a
//! model that keeps every event in a list and computes each answer from it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends on the first surprise"
)]

mod support;

use std::collections::BTreeMap;

use message::{Event, Seq, StreamId, Timestamp};
use proptest::prelude::*;
use storage::{Crash, Due, Entry, Log, OpenStream, Options, Prev, Stored, StoredEntry};
use support::{Folders, Memory, World, drive, inline, item, number_of, open_with};

#[derive(Debug, Clone)]
enum Step {
    Append { stream: u128, numbers: Vec<u32> },
    Drive,
    Seal,
    Checkpoint { lag: u64 },
    FailAfter(u64),
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6_u128, prop::collection::vec(any::<u32>(), 1..4))
            .prop_map(|(stream, numbers)| Step::Append { stream, numbers }),
        3 => Just(Step::Drive),
        1 => Just(Step::Seal),
        3 => (0..6_u64).prop_map(|lag| Step::Checkpoint { lag }),
        1 => (0..4_u64).prop_map(Step::FailAfter),
        2 => any::<u64>().prop_map(Step::Crash),
    ]
}

/// Returns a stream's entry after an event. Every sixth event finishes the stream.
fn apply(entry: Option<Entry>, seq: Seq, number: u32) -> Option<Entry> {
    if number.is_multiple_of(6) {
        return None;
    }
    let mut bytes = entry.map_or_else(Vec::new, |entry| entry.bytes.into_vec());
    bytes.extend_from_slice(&(seq.0 as u32 ^ number).to_le_bytes());
    let due = (!number.is_multiple_of(3)).then(|| Timestamp(u64::from(number % 50)));
    Some(Entry { applied: seq, due, bytes: bytes.into() })
}

/// Applies an event to the index. A third of the streams leave it to the checkpoint to find out
/// which entry they had before.
fn apply_to_index(log: &Log, stream: StreamId, seq: Seq, number: u32) {
    let old = log.index().get(stream).unwrap();
    let before = match &old {
        _ if stream.0.is_multiple_of(3) => StoredEntry::Unknown,
        None => StoredEntry::Absent,
        Some(old) => StoredEntry::with_due(old.due),
    };
    match apply(old, seq, number) {
        Some(entry) => log.index().put_over(stream, entry, before),
        None => log.index().remove_over(stream, seq, before),
    }
}

fn replay(log: &Log, checkpoint: Seq) {
    for event in log.read(Seq(checkpoint.0 + 1)) {
        let Stored { seq, stream, event, .. } = event.unwrap();
        if seq > log.index().applied(stream).unwrap() {
            apply_to_index(log, stream, seq, number_of(&event));
        }
    }
}

struct Model {
    events: Vec<(u128, u32)>,
}

impl Model {
    fn state(&self) -> BTreeMap<u128, Entry> {
        let mut state: BTreeMap<u128, Entry> = BTreeMap::new();
        for (at, (stream, number)) in self.events.iter().enumerate() {
            match apply(state.remove(stream), Seq(at as u64 + 1), *number) {
                Some(entry) => state.insert(*stream, entry),
                None => None,
            };
        }
        state
    }

    fn check(&self, log: &Log) {
        let state = self.state();
        for stream in 0..6 {
            assert_eq!(log.index().get(StreamId(stream)).unwrap().as_ref(), state.get(&stream));
        }
        for limit in [1, 3, 100] {
            let open = |(s, e): (&u128, &Entry)| OpenStream { stream: StreamId(*s), entry: e.clone() };
            let wanted: Vec<_> = state.iter().map(open).take(limit).collect();
            assert_eq!(log.index().scan(None, limit).unwrap(), wanted);
        }
        let mut due: Vec<_> =
            state.iter().filter_map(|(s, e)| Some(Due { at: e.due?, stream: StreamId(*s) })).collect();
        due.sort_unstable();
        assert_eq!(log.index().due(Timestamp(100), None, 100).unwrap(), due);
        let early: Vec<_> = due.iter().filter(|due| due.at.0 <= 20).take(2).copied().collect();
        assert_eq!(log.index().due(Timestamp(20), None, 2).unwrap(), early);
        if let Some(cursor) = due.first() {
            assert_eq!(log.index().due(Timestamp(100), Some(*cursor), 100).unwrap(), due[1..]);
        }
        if log.poisoned().is_some() {
            return; // What was not flushed is gone; a restart follows.
        }
        for stream in 0..6 {
            let last = self.events.iter().rposition(|(s, _)| *s == stream);
            let history: Vec<Seq> = log
                .history(Seq(last.map_or(0, |at| at as u64 + 1)))
                .map(|event| event.unwrap().seq)
                .collect();
            let mine = self.events.iter().enumerate().filter(|(_, (s, _))| *s == stream);
            let wanted: Vec<Seq> = mine.map(|(at, _)| Seq(at as u64 + 1)).rev().collect();
            assert_eq!(history, wanted);
        }
    }
}

fn append(log: &Log, model: &mut Model, stream: u128, numbers: &[u32]) {
    let head =
        model.events.iter().rposition(|(s, _)| *s == stream).map_or(Seq::NONE, |at| Seq(at as u64 + 1));
    let items = numbers.iter().enumerate().map(|(at, number)| {
        let prev = if at == 0 { Prev::At(head) } else { Prev::Earlier(at as u32 - 1) };
        item(stream, prev, *number)
    });
    let Ok(first) = log.append(items.collect(), None) else { return };
    assert_eq!(first.0, model.events.len() as u64 + 1);
    for (at, number) in numbers.iter().enumerate() {
        model.events.push((stream, *number));
        apply_to_index(log, StreamId(stream), Seq(first.0 + at as u64), *number);
    }
}

fn run<W: World>(steps: Vec<Step>, mut fail: impl FnMut(&W, u64), mut crash: impl FnMut(&mut W, u64)) {
    let options = Options { segment_bytes: 300, part_bytes: 100, block_bytes_max: 150, ..inline() };
    let mut world = W::new();
    let (mut log, _) = open_with(&world, options);
    let mut model = Model { events: Vec::new() };
    for step in steps {
        match step {
            Step::Append { stream, numbers } => append(&log, &mut model, stream, &numbers),
            Step::Drive => drive(&log),
            Step::Seal => log.seal(),
            Step::Checkpoint { lag } => {
                let upto =
                    (model.events.len() as u64).saturating_sub(lag).max(log.index().checkpoint_seq().0);
                let done = log.checkpoint(Seq(upto));
                assert!(done.is_err() || log.committed() >= log.index().checkpoint_seq());
            }
            Step::FailAfter(flushes) => fail(&world, flushes),
            Step::Crash(seed) => {
                let committed = log.committed();
                crash(&mut world, seed);
                let (reopened, recovery) = open_with(&world, options);
                log = reopened;
                assert!(recovery.last >= committed, "acknowledged and lost: {committed:?} {recovery:?}");
                model.events.truncate(recovery.last.0 as usize);
                replay(&log, recovery.checkpoint);
                let forward: Vec<_> = log
                    .read(Seq(1))
                    .map(|event| event.unwrap())
                    .map(|event| (event.stream.0, number_of(&event.event)))
                    .collect();
                assert_eq!(forward, model.events);
            }
        }
        model.check(&log);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn in_memory_with_every_kind_of_failure(steps in prop::collection::vec(step(), 1..60)) {
        run::<Memory>(
            steps,
            |world, flushes| world.0.fail_flush_after(flushes),
            |world, seed| world.0.crash(Crash::from_seed(seed)),
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn on_sled(steps in prop::collection::vec(step(), 1..40)) {
        run::<Folders>(steps, |_, _| {}, |world, _| world.crash());
    }
}

#[test]
fn numbers_are_read_back_from_the_events_the_model_uses() {
    let event: Event = item(1, Prev::At(Seq::NONE), 7).event;
    assert_eq!(number_of(&event), 7);
}
