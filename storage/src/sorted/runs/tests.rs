//! A merge that is stopped after each of its steps: reads, and a start after a crash at that
//! instant, show every completed write and nothing of an incomplete one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends on the first surprise")]

use std::{collections::BTreeMap, fs, path::Path, sync::mpsc};

use super::*;
use crate::disk::around::Around;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn key(n: u32) -> Box<[u8]> {
    n.to_be_bytes().into()
}

fn open(path: &Path) -> RunStore {
    RunStore::open(Folder::new(path.to_owned(), "index", Around::default())).unwrap()
}

/// The changes of one write: some keys are new, some changed, some removed.
fn writes(round: u32) -> Vec<Write> {
    let of = |n: u32| match (n + round).is_multiple_of(7) {
        true => Write::Delete(key(n)),
        false => Write::Put(key(n), round.to_le_bytes().repeat(1 + n as usize % 40).into()),
    };
    (0..2_000).filter(|n| (n * 31 + round).is_multiple_of(2 + round % 3)).map(of).collect()
}

fn apply(model: &mut Model, writes: &[Write]) {
    for write in writes {
        match write {
            Write::Put(key, value) => {
                model.insert(key.to_vec(), value.to_vec());
            }
            Write::Delete(key) => {
                model.remove(&**key);
            }
        }
    }
}

fn all(store: &RunStore) -> Model {
    let pairs = store.range(&[], &[0xff; 8], usize::MAX).unwrap();
    pairs.into_iter().map(|(key, value)| (key.into_vec(), value.to_vec())).collect()
}

/// The contents that a start finds after a crash at this instant. Nobody else writes now.
fn after_a_crash(folder: &Path) -> Model {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let found = all(&open(copy.path()));
    for run in fs::read_dir(copy.path()).unwrap() {
        let name = run.unwrap().file_name().into_string().unwrap();
        assert!(Span::parse(&name).is_some(), "{name} was left behind");
    }
    found
}

#[test]
fn at_each_step_of_a_merge_reads_and_crashes_show_every_write_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (steps, step) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    *lock(&store.files.watch) = Some(Box::new(move |name| {
        // Fails once the test has ended and dropped its receiver, which is fine.
        let _ = steps.send(name);
        let _ = wait.recv();
    }));
    let (mut model, mut round) = (Model::new(), 0);
    let mut write_more = |model: &mut Model| {
        round += 1;
        let writes = writes(round);
        apply(model, &writes);
        store.write_sorted(writes.len(), &mut writes.into_iter()).unwrap();
    };
    while lock(&store.merger).is_none() {
        write_more(&mut model);
    }
    let mut seen = Vec::new();
    // Until runs that were written during the first merge were merged as well.
    while seen.iter().filter(|name| **name == "before the merged run is read").count() < 2 {
        let name = step.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
        seen.push(name);
        assert_eq!(all(&store), model, "{name}");
        assert_eq!(after_a_crash(folder.path()), model, "{name}");
        if seen.len() < 12 {
            write_more(&mut model);
            assert_eq!(all(&store), model, "after a write, {name}");
            assert_eq!(after_a_crash(folder.path()), model, "after a write, {name}");
        }
        go.send(()).unwrap();
    }
    for name in [
        "merging",
        "before the merged run is there",
        "before the merged run is read",
        "before a run is removed",
    ] {
        assert!(seen.contains(&name), "{seen:?}");
    }
    drop(go);
    drop(store);
    assert_eq!(after_a_crash(folder.path()), model);
}

#[test]
fn a_write_waits_for_a_merge_that_falls_behind_and_returns_the_error_of_one_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (go, wait) = mpsc::channel::<()>();
    *lock(&store.files.watch) = Some(Box::new(move |_| {
        let _ = wait.recv();
    }));
    let write = |n: u32| store.write_sorted(1, &mut [Write::Put(key(n), key(n))].into_iter());
    for n in 0..RUNS_MAX as u32 - 1 {
        write(n).unwrap();
    }
    assert_eq!(store.files.runs().len(), RUNS_MAX - 1, "nothing was merged yet");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| write(RUNS_MAX as u32));
        thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished(), "it did not wait");
        drop(go);
        waiting.join().unwrap().unwrap();
    });
    assert!(store.files.runs().len() < 12);
    assert_eq!(all(&store).len(), RUNS_MAX);
    // A run that cannot be read cannot be merged, and a later write returns the error.
    let run = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).min().unwrap();
    let len = fs::metadata(&run).unwrap().len() as usize;
    fs::write(&run, vec![0; len]).unwrap();
    let failed = (1_000..2_000).any(|n| {
        thread::sleep(std::time::Duration::from_millis(1));
        write(n).is_err()
    });
    assert!(failed);
}
