//! The programs in `examples/`, run as their comments say, against the binary: each sends and sees
//! its message delivered; each receiver takes what is signed, once, and nothing else.

use std::{
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use channels::toolkit::auth;
use http::Method;
use serde_json::json;

use crate::support::{
    Http, Patchbay, Peer, Setup,
    cim::{DID, customer},
    peer::With,
    process::Process,
};

const KEY: &str = "key-1";
const SIGNING_KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn secret() -> String {
    format!("whsec_{}", auth::base64(SIGNING_KEY))
}

/// Prepares an example. It needs nothing but its interpreter.
fn example(program: &str) -> Command {
    let interpreter = match program.rsplit('.').next().unwrap() {
        "py" => "python3",
        "mjs" => "node",
        _ => "sh",
    };
    let mut command = Command::new(interpreter);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(program));
    command.envs([("WHSEC", &*secret()), ("PORT", "0"), ("PATCHBAY_API_KEY", KEY), ("FROM", DID)]);
    command
}

async fn line(receiver: &mut Process, piece: &str) -> String {
    let line = receiver.line().await.expect("it tells what it takes");
    assert!(line.contains(piece), "{piece:?}: {line}");
    line
}

async fn post(url: &str, id: &str, at_s: u64, body: &str, key: &[u8]) -> u16 {
    let signed = auth::base64(&auth::hmac_sha256(key, format!("{id}.{at_s}.{body}").as_bytes()));
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", &at_s.to_string()),
        ("webhook-signature", &format!("v1,AAAA v1,{signed}")),
    ];
    Http::default().with(Method::POST, url, &headers, body.to_owned()).await.unwrap().0
}

/// Sends with a program, which ends when the message is delivered.
async fn sends(patchbay: &Patchbay, program: &str) {
    let mut command = example(program);
    command.env("PATCHBAY_URL", &patchbay.public).args([&*customer(1), "Hello"]);
    let mut sender = Process::start(command);
    let mut told = String::new();
    while let Some(line) = sender.line().await {
        told.push_str(&line);
        told.push('\n');
    }
    assert!(sender.ended().await.success(), "{program}: {told}");
    assert!(told.contains("ACCEPTED") && told.trim_end().ends_with("DELIVERED"), "{program}: {told}");
}

async fn works(senders: &[&str], receiver: &str) {
    let mut receiver = Process::start(example(receiver));
    let url = line(&mut receiver, "listening on ").await;
    let url = url.trim_start_matches("listening on ").trim().to_owned();
    let peer = Peer::start(With::Sim, json!({})).await;
    let patchbay = Setup::new()
        .http(&format!("api_keys = [\"{KEY}\"]"))
        .destination("support", &url, &format!("signing_secrets = [\"{}\"]", secret()))
        .channel("sms", DID, peer.port, "", "")
        .start()
        .await;
    patchbay.until_channel("sms", "connected").await;
    for sender in senders {
        sends(&patchbay, sender).await;
        line(&mut receiver, "DELIVERYNOTIFICATION DELIVERED").await;
    }
    peer.mo("4917600000001", DID, "Hello from the customer").await;
    line(&mut receiver, "Hello from the customer").await;

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let body = |text: &str| json!({"body": {"type": "PLAIN", "markdownText": text}}).to_string();
    for (id, at_s, key, status) in [
        ("forged", now, &b"another key"[..], 401),
        ("old", now - 3_600, SIGNING_KEY, 401),
        ("once", now, SIGNING_KEY, 200),
        ("once", now, SIGNING_KEY, 200),
        ("last", now, SIGNING_KEY, 200),
    ] {
        assert_eq!(post(&url, id, at_s, &body(id), key).await, status, "{id}");
    }
    // Neither the forged one, nor the old one, nor the second of two is taken.
    line(&mut receiver, "once").await;
    line(&mut receiver, "last").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_python() {
    works(&["send.py"], "receive.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_node_and_with_curl() {
    works(&["send.mjs", "send.sh"], "receive.mjs").await;
}
