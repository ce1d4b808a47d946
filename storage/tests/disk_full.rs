//! A real disk that fills up. Runs only if `PATCHBAY_SMALL_DISK` names a small file system:
//!
//! ```text
//! mount -t tmpfs -o size=48m none /mnt/small
//! PATCHBAY_SMALL_DISK=/mnt/small cargo test -p storage --test disk_full
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends on the first surprise"
)]

mod support;

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use message::Seq;
use storage::{Completion, DiskEngine, EngineKind, Log, NoRoom, Options};
use support::{keyed, number_of, spread};

#[test]
fn a_full_disk_is_refused_ahead_and_loses_nothing_when_it_comes() {
    EngineKind::ALL.into_iter().for_each(fill);
}

fn fill(engine: EngineKind) {
    let Some(disk) = std::env::var_os("PATCHBAY_SMALL_DISK").map(PathBuf::from) else {
        println!("not run: PATCHBAY_SMALL_DISK names no folder");
        return;
    };
    let (folder, ballast) = (disk.join("log"), disk.join("ballast"));
    let _ = fs::remove_dir_all(&folder);
    fs::write(&ballast, vec![1; 24 << 20]).unwrap();
    let options = Options {
        segment_bytes: 4 << 20,
        disk_reserve_bytes: 6 << 20,
        block_bytes_max: 32_768,
        ..Options::default()
    };
    let open = || Log::open(DiskEngine::open(&folder, engine).unwrap(), options).unwrap();
    let (log, _) = open();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (mut number, mut refused_at) = (0_u32, None);
    while log.poisoned().is_none() {
        let items: Vec<_> = (0..100).map(|n| keyed(1, number + n, spread(u64::from(number + n)))).collect();
        let acknowledged = acknowledged.clone();
        let last = u64::from(number) + 100;
        let done: Completion = Box::new(move |fate| {
            if fate.is_ok() {
                acknowledged.store(last, Ordering::SeqCst);
            }
        });
        if let Err(NoRoom::Disk { free, reserve }) = log.room() {
            assert!(free < reserve);
            refused_at.get_or_insert(number);
        }
        if log.append(items, Some(done)).is_err() {
            break;
        }
        number += 100;
        let _ = log.wait_flushed(Seq(u64::from(number)));
    }
    println!("{}", log.poisoned().unwrap());
    let refused_at = refused_at.expect("room() said no before the disk was full");
    assert!(log.close().is_err());
    let acknowledged = acknowledged.load(Ordering::SeqCst);
    println!("refused new work at {refused_at}, acknowledged {acknowledged} of {number}");
    assert!(acknowledged > u64::from(refused_at));

    fs::remove_file(&ballast).unwrap();
    let (log, recovery) = open();
    println!("{recovery:?}");
    assert!(recovery.last.0 >= acknowledged);
    let mut expected = 0;
    for event in log.read(Seq(1)) {
        assert_eq!(number_of(&event.unwrap().event), expected);
        expected += 1;
    }
    assert_eq!(u64::from(expected), recovery.last.0);
    assert!((0..acknowledged).all(|number| log.find(spread(number)).is_some()));
    assert_eq!(log.room(), Ok(()));
    log.append(vec![keyed(1, expected, spread(u64::from(expected)))], None).unwrap();
    log.close().unwrap();
}
