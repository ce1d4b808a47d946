//! What disks do: a byte flips, the last write is torn, there is no room. The binary says what is wrong and
//! where, and never goes on as if nothing was.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    Patchbay, Peer, SOON, Setup, Sink,
    cim::{self, DID, customer},
    figure,
    peer::With,
    until,
};

async fn stage() -> (Peer, Sink, Patchbay) {
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let patchbay = Setup::simple(peer.port, &sink.url).start().await;
    (peer, sink, patchbay)
}

async fn send_some(patchbay: &Patchbay, sink: &Sink, count: usize) {
    for n in 0..count {
        patchbay.send(&cim::text(&format!("m-{n}"), &customer(n), &format!("a text of its own, number {n}."))).await;
    }
    until("all delivered", SOON, || async {
        let delivered = sink.notified("DELIVERED");
        if delivered == count { Ok(()) } else { Err(delivered) }
    })
    .await;
}

/// The files of a folder and those below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

/// Where in the log's files this text is.
fn find(data: &Path, text: &str) -> Vec<(PathBuf, usize)> {
    let mut found = Vec::new();
    for path in files(data) {
        let bytes = fs::read(&path).unwrap();
        let places = bytes.windows(text.len()).enumerate().filter(|(_, window)| *window == text.as_bytes());
        found.extend(places.map(|(at, _)| (path.clone(), at)));
    }
    found
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

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_stops_the_start_and_is_named() {
    let (_peer, sink, patchbay) = stage().await;
    send_some(&patchbay, &sink, 60).await;
    let data = patchbay.data();
    let (setup, folder) = patchbay.kill().await;
    for number in [0, 7, 30, 55] {
        let text = format!("a text of its own, number {number}.");
        let places = find(&data, &text);
        assert!(!places.is_empty(), "the texts can be found in the log's files");
        for (path, at) in places {
            let whole = fs::read(&path).unwrap();
            flip(&path, at + 3);
            let told = match setup.clone().start_in(folder.clone()).await {
                Ok(patchbay) => panic!("{path:?}, octet {at}: it started: {}", patchbay.told),
                Err(told) => told,
            };
            println!("number {number}: {}", told.lines().last().unwrap_or_default());
            assert!(told.contains("segment-") && told.contains("block "), "the address is named: {told}");
            let (sound, told) = log_command(&data, "verify");
            assert!(!sound && told.contains("segment-") && told.contains("block "), "{told}");
            fs::write(&path, whole).unwrap();
        }
    }
    let (sound, told) = log_command(&data, "verify");
    assert!(sound, "put back, it is sound: {told}");
    let patchbay = setup.start_in(folder).await.unwrap();
    for n in 0..60 {
        assert_eq!(patchbay.message(&format!("m-{n}")).await["status"], "DELIVERED");
    }
}
