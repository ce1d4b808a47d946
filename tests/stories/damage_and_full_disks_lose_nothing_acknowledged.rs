//! Disk faults: a flipped byte, a torn last write, a full disk. The binary names the fault and its
//! place, and never continues silently.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::json;

use crate::support::{
    Patchbay, Peer, SOON, Setup, Sink,
    cim::{self, customer},
    figure,
    peer::With,
    until,
};

/// Tells each story with either engine of the log.
macro_rules! either_engine {
    ($($story:ident)*) => {
        mod sled { $(#[tokio::test(flavor = "multi_thread")] async fn $story() { super::$story("sled").await; })* }
        mod file { $(#[tokio::test(flavor = "multi_thread")] async fn $story() { super::$story("file").await; })* }
    };
}

either_engine! {
    a_flipped_byte_stops_the_start_and_is_named
    a_torn_tail_is_cut_and_nothing_acknowledged_with_it
    a_full_disk_is_answered_503_and_loses_nothing_acknowledged
    a_write_that_fails_ends_the_process_and_loses_nothing_acknowledged
}

async fn stage(engine: &str) -> (Peer, Sink, Patchbay) {
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let patchbay = Setup::simple(peer.port, &sink.url).engine(engine).start().await;
    (peer, sink, patchbay)
}

async fn send_some(patchbay: &Patchbay, sink: &Sink, count: usize) {
    for n in 0..count {
        patchbay
            .send(&cim::text(&format!("m-{n}"), &customer(n), &format!("a text of its own, number {n}.")))
            .await;
    }
    until("all delivered", SOON, || async {
        let delivered = sink.notified("DELIVERED");
        if delivered == count { Ok(()) } else { Err(delivered) }
    })
    .await;
}

/// Lists the files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

/// Finds this text in the log's files.
fn find(data: &Path, text: &str) -> Vec<(PathBuf, usize)> {
    let mut found = Vec::new();
    for path in files(data) {
        let bytes = fs::read(&path).unwrap();
        let places = bytes.windows(text.len()).enumerate().filter(|(_, window)| *window == text.as_bytes());
        found.extend(places.map(|(at, _)| (path.clone(), at)));
    }
    found
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)
        } else {
            _ = fs::copy(entry.path(), target).unwrap()
        }
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn log_command(data: &Path, what: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_patchbay"))
        .args(["log", what, "--data-dir", data.to_str().unwrap()])
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(told).unwrap())
}

async fn a_flipped_byte_stops_the_start_and_is_named(engine: &str) {
    let (_peer, sink, patchbay) = stage(engine).await;
    send_some(&patchbay, &sink, 60).await;
    let data = patchbay.data();
    let (setup, folder) = patchbay.kill().await;
    for number in [0, 7, 30, 55] {
        let text = format!("a text of its own, number {number}.");
        let places = find(&data, &text);
        assert!(!places.is_empty(), "the texts can be found in the log's files");
        for (path, at) in places {
            // Uses a copy, because opening a damaged database changes it.
            let copy = tempfile::tempdir().unwrap();
            let copied = copy.path().join("data");
            copy_folder(&data, &copied);
            flip(&copied.join(path.strip_prefix(&data).unwrap()), at + 3);
            let told = match setup.clone().data(&copied).start_in(folder.clone()).await {
                Ok(patchbay) => panic!("{path:?}, octet {at}: it started: {}", patchbay.told),
                Err(told) => told,
            };
            println!("octet {at}: {}", told.lines().last().unwrap_or_default());
            assert!(told.contains("segment-") && told.contains("block "), "the address is named: {told}");
            let (sound, told) = log_command(&copied, "verify");
            assert!(!sound && told.contains("segment-") && told.contains("block "), "{told}");
        }
    }
    let (sound, told) = log_command(&data, "verify");
    assert!(sound, "the original is sound: {told}");
    let patchbay = setup.start_in(folder).await.unwrap();
    for n in 0..60 {
        assert_eq!(patchbay.message(&format!("m-{n}")).await["status"], "DELIVERED");
    }
}

async fn a_torn_tail_is_cut_and_nothing_acknowledged_with_it(engine: &str) {
    let (_peer, sink, patchbay) = stage(engine).await;
    send_some(&patchbay, &sink, 20).await;
    let data = patchbay.data();
    let (setup, folder) = patchbay.kill().await;
    // The state after a crash within a write: the flush marker is old, and the last block is
    // incomplete.
    let note = find_file(&data, "flushed");
    let flushed = fs::read(&note).unwrap();
    let patchbay = setup.start_in(folder).await.unwrap();
    patchbay.send(&cim::text("last", &customer(77), "the text that was being written")).await;
    let (setup, folder) = patchbay.kill().await;
    let (db, at) = find(&data, "the text that was being written").pop().unwrap();
    let whole = fs::read(&db).unwrap();
    fs::write(&db, &whole[..at + 4]).unwrap();
    fs::write(&note, flushed).unwrap();
    let patchbay = setup.start_in(folder).await.unwrap();
    for n in 0..20 {
        assert_eq!(patchbay.message(&format!("m-{n}")).await["status"], "DELIVERED");
    }
    assert_eq!(
        patchbay.public("/v1/messages/last").await.status,
        404,
        "it was torn, and nobody was told of it"
    );
    patchbay.send(&cim::text("later", &customer(77), "and it goes on")).await;
    sink.wait_for("the later one", SOON, |m| m["body"]["messageId"] == "later").await;
    let (status, _, _folder) = patchbay.terminate().await;
    assert!(status.success());
    let (sound, told) = log_command(&data, "verify");
    assert!(sound, "{told}");
}

fn find_file(folder: &Path, name: &str) -> PathBuf {
    let found = files(folder).into_iter().find(|path| path.file_name().is_some_and(|n| n == name));
    found.unwrap_or_else(|| panic!("no file {name} in {folder:?}"))
}

/// A small disk; dropped with its handle.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(megabytes: u32) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let disk = Self(folder);
        disk.mount(&format!("size={megabytes}m")).map(|()| disk)
    }

    fn mount(&self, options: &str) -> Result<(), String> {
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.0.path()).output();
        let output = output.map_err(|e| e.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn resize(&self, megabytes: u32) {
        self.mount(&format!("remount,size={megabytes}m")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Posts until it is refused; returns the number of accepted messages.
async fn fill(patchbay: &Patchbay, from: usize) -> (usize, u16, String) {
    let padding = "x".repeat(1_000);
    for n in from..from + 200_000 {
        let message = cim::text(&format!("f-{n}"), &customer(n % 100), &format!("{n} {padding}"));
        let Ok(answer) = patchbay.http.post(&patchbay.messages, message.to_string()).await else {
            return (n - from, 0, "the connection ended".into());
        };
        if answer.status != 202 {
            let retry_after = answer.headers.get("retry-after").is_some();
            return (n - from, answer.status, format!("{} (Retry-After: {retry_after})", answer.text));
        }
    }
    panic!("the disk is never full");
}

async fn a_full_disk_is_answered_503_and_loses_nothing_acknowledged(engine: &str) {
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let disk = SmallDisk::new(40).unwrap_or_else(|why| {
        panic!("a small tmpfs cannot be mounted ({why}); run the tests as root, e.g. in a container")
    });
    let setup = Setup::simple(peer.port, &sink.url)
        .engine(engine)
        .top("disk_reserve = \"16MB\"")
        .data(&disk.0.path().join("data"));
    let patchbay = setup.start().await;
    let (accepted, status, told) = fill(&patchbay, 0).await;
    assert_eq!(status, 503, "{told}");
    assert!(told.contains("free") && told.contains("Retry-After: true"), "{told}");
    let ready = patchbay.http.get(&format!("{}/readyz", patchbay.admin)).await.unwrap();
    assert_eq!(ready.status, 503, "{}", ready.text);
    // Accepted messages are still delivered: the reserve exists for them.
    delivered(&sink, accepted).await;
    let patchbay = patchbay.kill_and_restart().await;
    assert_eq!(patchbay.message(&format!("f-{}", accepted - 1)).await["status"], "DELIVERED");
    disk.resize(200);
    until("room again", SOON, || async {
        let answer = patchbay.post(cim::text("room", &customer(1), "room again").to_string()).await;
        if answer.status == 202 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    delivered(&sink, accepted + 1).await;
    figure(&format!(
        "full disk (tmpfs of 40 MB), engine {engine}: {accepted} accepted, then {status}: {told}; all {accepted} delivered, none lost; accepted again when there was room"
    ));
}

async fn a_write_that_fails_ends_the_process_and_loses_nothing_acknowledged(engine: &str) {
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let disk = SmallDisk::new(40).unwrap_or_else(|why| {
        panic!("a small tmpfs cannot be mounted ({why}); run the tests as root, e.g. in a container")
    });
    let setup = Setup::simple(peer.port, &sink.url)
        .engine(engine)
        .top("disk_reserve = \"1MB\"")
        .data(&disk.0.path().join("data"));
    let mut patchbay = setup.start().await;
    // Another program fills the disk at once.
    let ballast = disk.0.path().join("ballast");
    let accepted = {
        let (load, filled) = (fill(&patchbay, 0), async {
            peer.until_count("accepted", 200, SOON).await;
            let mut file = fs::File::create(&ballast).unwrap();
            let chunk = vec![1; 64 * 1024];
            while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
        });
        let ((accepted, status, told), ()) = tokio::join!(load, filled);
        println!("{accepted} accepted, then {status}: {told}");
        assert!(matches!(status, 0 | 503), "{told}");
        accepted
    };
    let status = patchbay.ended().await;
    assert_eq!(status.code(), Some(1), "{status}: {}", patchbay.stderr());
    println!("told: {}", patchbay.stderr().lines().last().unwrap_or_default());
    let (setup, folder) = patchbay.kill().await;
    fs::remove_file(&ballast).unwrap();
    let _patchbay = setup.start_in(folder).await.unwrap_or_else(|told| panic!("with room again: {told}"));
    delivered(&sink, accepted).await;
    figure(&format!(
        "engine {engine}: a write failed for want of room after {accepted} accepted: exit code 1; all {accepted} delivered after the restart"
    ));
}

/// Waits until at least `count` messages are known to be delivered, the first `count` among them.
async fn delivered(sink: &Sink, count: usize) {
    until("what was accepted to be delivered", Duration::from_secs(60), || async {
        let notified = sink.notifications();
        let missing = (0..count).filter(|n| !notified.contains_key(&format!("f-{n}"))).count();
        if missing <= usize::from(notified.contains_key("room")) {
            Ok(())
        } else {
            Err(format!("{missing} of {count} missing"))
        }
    })
    .await;
}
