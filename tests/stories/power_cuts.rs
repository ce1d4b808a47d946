//! The real binary under load on a disk that forgets, at a power cut, what was not flushed: `CUTS=`
//! times for each engine (a few in the suite). What `crash_loop` promises after a kill holds after
//! a cut, and a disk that lies about its flushes is found out.

use std::io;

use crate::{
    crash_loop::{Force, Play, play},
    support::{forgetful_disk::ForgetfulDisk, seed},
};

/// Number of power cuts for each engine in the suite.
const CUTS: u64 = 6;
/// Number of power cuts within which a disk without flushes must have lost something.
const CUTS_OF_A_LIAR: u64 = 40;

/// Mounts a disk; `None`, with the reason in the test's last line, where the system cannot.
fn disk(lies: bool) -> Option<ForgetfulDisk> {
    match ForgetfulDisk::mount(lies) {
        Ok(disk) => Some(disk),
        Err(error) if is_missing(&error) => {
            println!("NOT RUN: no power was cut, because FUSE cannot be mounted here: {error}");
            None
        }
        Err(error) => panic!("the disk cannot be mounted: {error}"),
    }
}

fn is_missing(error: &io::Error) -> bool {
    // ENXIO and ENODEV: the device is there, and the kernel has no FUSE.
    let has_no_driver = matches!(error.raw_os_error(), Some(6 | 19));
    has_no_driver || matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

fn run(crashes: u64, engine: &str, disk: ForgetfulDisk) -> Play<'_> {
    Play { crashes, seed: seed(), engine, force: Force::USUAL, broken: None, disk: Some(disk) }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost() {
    let cuts = std::env::var("CUTS").ok().map_or(CUTS, |text| text.parse().expect("CUTS is a number"));
    for engine in ["sled", "file"] {
        let Some(disk) = disk(false) else { return };
        play(run(cuts, engine, disk)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_flush_is_found_out() {
    for engine in ["sled", "file"] {
        let Some(disk) = disk(true) else { return };
        let played = tokio::spawn(async move { play(run(CUTS_OF_A_LIAR, engine, disk)).await }).await;
        let panic = played.expect_err("a log without flushes must lose something").into_panic();
        let told = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        println!("engine {engine}, no flushes: {}", told.lines().next().unwrap_or_default());
    }
}
