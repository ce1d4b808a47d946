//! A merge beside everything else, stopped and looked at after each of its steps: what is read, and what a crash would
//! leave, is all that was flushed and nothing of what was not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends on the first surprise")]

use std::sync::mpsc;

use super::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn key(n: u32) -> Box<[u8]> {
    n.to_be_bytes().into()
}

/// The writes of one flush: some new, some changed, some removed.
fn writes(flush: u32) -> Vec<Write> {
    let of = |n: u32| match (n + flush).is_multiple_of(7) {
        true => Write::Delete(key(n)),
        false => Write::Put(key(n), flush.to_le_bytes().repeat(1 + n as usize % 40).into()),
    };
    (0..2_000).filter(|n| (n * 31 + flush).is_multiple_of(2 + flush % 3)).map(of).collect()
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

/// What a start finds after a crash at this instant. Nobody else writes now.
fn after_a_crash(folder: &Path) -> Model {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let store = RunStore::open(copy.path()).unwrap();
    let found = all(&store);
    for run in fs::read_dir(copy.path()).unwrap() {
        let name = run.unwrap().file_name().into_string().unwrap();
        assert!(Span::of(&name).is_some(), "{name} was not tidied away");
    }
    found
}

#[test]
fn at_each_step_of_a_merge_reads_and_crashes_show_every_flush_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = RunStore::open(folder.path()).unwrap();
    let (steps, step) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    *lock(&store.files.watch) = Some(Box::new(move |name| {
        // The test may have seen enough.
        let _ = steps.send(name);
        let _ = wait.recv();
    }));
    let (mut model, mut flush) = (Model::new(), 0);
    let mut flush_more = |model: &mut Model| {
        flush += 1;
        let writes = writes(flush);
        apply(model, &writes);
        match flush % 2 {
            0 => store.write_sorted(writes.len(), &mut writes.into_iter()).unwrap(),
            _ => store.apply(writes).and_then(|()| store.flush()).unwrap(),
        }
    };
    while lock(&store.merger).is_none() {
        flush_more(&mut model);
    }
    let mut seen = Vec::new();
    // Until runs that came beside the first merge were merged as well.
    while seen.iter().filter(|name| **name == "before the merged run is read").count() < 2 {
        let name = step.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
        seen.push(name);
        assert_eq!(all(&store), model, "{name}");
        assert_eq!(after_a_crash(folder.path()), model, "{name}");
        // A flush goes on beside it, and so does what is not flushed.
        if seen.len() < 12 {
            flush_more(&mut model);
            assert_eq!(all(&store), model, "after a flush, {name}");
            assert_eq!(after_a_crash(folder.path()), model, "after a flush, {name}");
            store.insert(&key(9_999), b"not flushed").unwrap();
            assert_eq!(after_a_crash(folder.path()), model, "not flushed, {name}");
            store.apply(vec![Write::Delete(key(9_999))]).unwrap();
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
fn a_merge_that_falls_behind_is_waited_for_and_one_that_fails_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = RunStore::open(folder.path()).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    *lock(&store.files.watch) = Some(Box::new(move |_| {
        let _ = wait.recv();
    }));
    let flush = |n: u32| store.write_sorted(1, &mut [Write::Put(key(n), key(n))].into_iter());
    for n in 0..RUNS_MAX as u32 - 1 {
        flush(n).unwrap();
    }
    assert_eq!(store.files.read().runs.len(), RUNS_MAX - 1, "nothing was merged yet");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| flush(RUNS_MAX as u32));
        thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished(), "it did not wait");
        drop(go);
        waiting.join().unwrap().unwrap();
    });
    assert!(store.files.read().runs.len() < 12);
    assert_eq!(all(&store).len(), RUNS_MAX);
    // A run that cannot be read any more cannot be merged, and the next who flushes is told.
    let run = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).min().unwrap();
    let len = fs::metadata(&run).unwrap().len() as usize;
    fs::write(&run, vec![0; len]).unwrap();
    let failed = (1_000..2_000).any(|n| {
        thread::sleep(std::time::Duration::from_millis(1));
        flush(n).is_err()
    });
    assert!(failed);
}
