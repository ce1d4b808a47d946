//! The index's database: it behaves as an ordered map whatever is flushed, merged, crashed and
//! opened again when; it never gives a wrong answer from a damaged file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends on the first surprise"
)]

mod support;

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use proptest::prelude::*;
use storage::{Engine, KeyValueStore, Write};
use support::{Folders, World};

const NAME: &str = "index";
/// Runs that a flush leaves, at most.
const RUNS_MAX: usize = 32;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(u8, Option<u16>)>),
    Crash,
    Range(u8, u8, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let writes = prop::collection::vec((any::<u8>(), prop::option::weighted(0.7, 0u16..9_000)), 1..40);
    let step = prop_oneof![
        6 => writes.prop_map(Step::Write),
        1 => Just(Step::Crash),
        3 => (any::<u8>(), any::<u8>(), 1usize..50).prop_map(|(a, b, n)| Step::Range(a, b, n)),
    ];
    prop::collection::vec(step, 1..60)
}

fn key(n: u8) -> Vec<u8> {
    // Of different lengths, some the beginning of others.
    [vec![b'k'], vec![n / 16; usize::from(n % 16) + 1]].concat()
}

fn value(key: u8, len: u16) -> Vec<u8> {
    vec![key ^ len as u8; usize::from(len)]
}

fn open(world: &Folders) -> Arc<dyn KeyValueStore> {
    world.engine().open_index(NAME).unwrap()
}

fn all(store: &dyn KeyValueStore, after: &[u8], end: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let page = store.range(after, end, limit).unwrap();
    page.into_iter().map(|(key, value)| (key.into_vec(), value.to_vec())).collect()
}

fn expected(model: &Model, after: &[u8], end: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let inside = model.iter().filter(|(key, _)| key.as_slice() > after && key.as_slice() < end);
    inside.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Writes, and what they make of a map.
fn batch(writes: Vec<(u8, Option<u16>)>, model: &mut Model) -> Vec<Write> {
    let mut batch = Vec::new();
    for (n, len) in writes {
        match len {
            Some(len) => {
                batch.push(Write::Put(key(n).into(), value(n, len).into()));
                model.insert(key(n), value(n, len));
            }
            None => {
                batch.push(Write::Delete(key(n).into()));
                model.remove(&key(n));
            }
        }
    }
    batch
}

fn key_of(write: &Write) -> &[u8] {
    match write {
        Write::Put(key, _) | Write::Delete(key) => key,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn it_is_an_ordered_map_and_what_was_written_survives(steps in steps()) {
        let mut world = Folders::new();
        let mut store = open(&world);
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Write(writes) => {
                    let mut writes = batch(writes, &mut model);
                    writes.reverse();
                    writes.sort_by(|a, b| key_of(a).cmp(key_of(b)));
                    // Of a key that is there twice the last word counts.
                    writes.dedup_by(|a, b| key_of(a) == key_of(b));
                    store.write_sorted(writes.len(), &mut writes.into_iter()).unwrap();
                }
                Step::Crash => {
                    world.crash();
                    store = open(&world);
                }
                Step::Range(a, b, limit) => {
                    let (after, end) = (key(a), key(b));
                    prop_assert_eq!(all(&*store, &after, &end, limit), expected(&model, &after, &end, limit));
                }
            }
            for n in [0, 17, 255] {
                prop_assert_eq!(store.get(&key(n)).unwrap().map(|v| v.to_vec()), model.get(&key(n)).cloned());
            }
        }
        prop_assert_eq!(all(&*store, &[], &[0xff], usize::MAX), expected(&model, &[], &[0xff], usize::MAX));
    }
}

fn put(store: &dyn KeyValueStore, pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) {
    let pairs: Model = pairs.into_iter().collect();
    let mut writes = pairs.into_iter().map(|(key, value)| Write::Put(key.into(), value.into()));
    store.write_sorted(1_000, &mut writes).unwrap();
}

fn files(world: &Folders) -> Vec<PathBuf> {
    let folder = world.path().join(NAME);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Three runs over one another, of a few pages each.
fn three_runs() -> (Folders, Model) {
    let world = Folders::new();
    let (store, mut model) = (open(&world), Model::new());
    for round in 0..3_u8 {
        let pairs = (0..=255).filter(|n| n % (round + 2) == 0);
        let pairs: Model = pairs.map(|n| (key(n), value(n, 40 + u16::from(round)))).collect();
        put(&*store, pairs.clone());
        model.extend(pairs);
    }
    (world, model)
}

#[test]
fn a_damaged_run_is_an_error_and_never_a_wrong_answer() {
    let (world, model) = three_runs();
    let all_files = files(&world);
    for (n, path) in all_files.iter().enumerate() {
        let whole = fs::read(path).unwrap();
        for at in (0..whole.len()).step_by(5) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            fs::write(path, &bytes).unwrap();
            let Ok(store) = world.engine().open_index(NAME) else { continue };
            assert!(store.range(&[], &[0xff], 1_000).is_err(), "{path:?}, byte {at}");
            for n in (0..=255).step_by(5) {
                if let Ok(found) = store.get(&key(n)) {
                    assert_eq!(found.map(|v| v.to_vec()), model.get(&key(n)).cloned(), "{path:?}, byte {at}");
                }
            }
        }
        for len in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(path, &whole[..len]).unwrap();
            assert!(world.engine().open_index(NAME).is_err(), "{path:?} cut at {len}");
        }
        fs::remove_file(path).unwrap();
        // Without the newest it is as it was before that flush, and the log is replayed from there.
        let is_newest = n + 1 == all_files.len();
        assert_eq!(world.engine().open_index(NAME).is_ok(), is_newest);
        fs::write(path, whole).unwrap();
    }
    assert_eq!(all(&*open(&world), &[], &[0xff], 1_000), expected(&model, &[], &[0xff], 1_000));
}

#[test]
fn what_a_crash_leaves_of_writing_and_merging_is_tidied_away() {
    let (mut world, mut model) = three_runs();
    let before = files(&world);
    let copies: Vec<Vec<u8>> = before.iter().map(|path| fs::read(path).unwrap()).collect();
    let store = open(&world);
    put(&*store, [(b"more".to_vec(), b"value".to_vec())]);
    model.insert(b"more".to_vec(), b"value".to_vec());
    merged_to(&world, 1);
    // The merged ones were not removed yet, and another was being written.
    for (path, bytes) in before.iter().zip(copies) {
        fs::write(path, bytes).unwrap();
    }
    fs::write(world.path().join(NAME).join("run-0000000000000005-0000000000000005.part"), b"half").unwrap();
    world.crash();
    let store = open(&world);
    assert_eq!(files(&world).len(), 1);
    assert_eq!(all(&*store, &[], &[0xff], 1_000), expected(&model, &[], &[0xff], 1_000));
}

/// Waits until compaction has left at most `most` runs.
fn merged_to(world: &Folders, most: usize) {
    for _ in 0..10_000 {
        if files(world).len() <= most {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("{:?}", files(world));
}

#[test]
fn many_flushes_leave_few_runs() {
    let world = Folders::new();
    let store = open(&world);
    for n in 0..200_u32 {
        put(&*store, (0..20_u32).map(|m| ((n * 20 + m).to_be_bytes().to_vec(), vec![7; 100])));
        // Those that are merged are removed one by one after what they became is there, and that is
        // `.part` before.
        assert!(files(&world).len() <= 2 * RUNS_MAX + 1, "{} after {n}", files(&world).len());
    }
    merged_to(&world, 12);
    assert_eq!(store.range(&[], &[0xff], usize::MAX).unwrap().len(), 4_000);
}

#[test]
fn reads_go_on_while_runs_are_written_and_merged() {
    let world = Folders::new();
    let store = open(&world);
    let put = |round: u32| {
        put(&*store, (0..200_u32).map(|n| (n.to_be_bytes().to_vec(), round.to_be_bytes().to_vec())));
    };
    put(0);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut newest, mut looks) = (0, 0);
            while newest < 60 {
                let seen = u32::from_be_bytes(
                    store.get(&7_u32.to_be_bytes()).unwrap().unwrap()[..].try_into().unwrap(),
                );
                assert!(seen >= newest);
                newest = seen;
                assert_eq!(store.range(&[], &[0xff], 1_000).unwrap().len(), 200);
                looks += 1;
            }
            looks
        });
        for round in 1..=60 {
            put(round);
        }
        assert!(reader.join().unwrap() > 0);
    });
}
