//! Own addresses that the provider does not know: told by `check --probe`, and by the running
//! channel. Messages to addresses that no channel has are counted and told.

use std::fs;

use serde_json::Value;
use simulators::rest::{Inbound, Script};

use super::command_line::check;
use crate::{
    providers::{Keys, Simulated, follow, setup},
    support::{SOON, Setup, Sink, until},
};

const KEYS: Keys = Keys { channel: "", http: "" };

/// Each provider that states our addresses, the right one at its simulator, a wrong one, and the
/// word by which it is told.
const PROVIDERS: [(&str, &str, &str, &str); 8] = [
    ("telegram", "shop_bot", "other_bot", "username"),
    ("whatsapp_cloud", "", "15550000000", "display_phone_number"),
    ("twilio", "", "+15550000000", "list of numbers"),
    ("twilio_whatsapp", "", "+15550000000", "list of WhatsApp senders"),
    ("telnyx", "", "+15550000000", "list of numbers"),
    ("viber", "", "other_bot", "uri, name and id"),
    ("facebook", "", "123", "page id"),
    ("instagram", "", "123", "Instagram account id"),
];

/// Returns the lines of a channel with another own address.
fn with_did(one: &Simulated, setup: Setup, wrong: &str) -> (Setup, String) {
    let lines = one.simulator.channel("support");
    let right = lines.split("number = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let lines = lines.replacen(&format!("\"{right}\""), &format!("{wrong:?}"), 1);
    let (head, account) = lines.split_once("[channel.account]\n").unwrap();
    let account = account.split("[channel.http]").next().unwrap_or_default();
    let http = "[channel.http]\nallow_private = [\"127.0.0.1\"]";
    (setup.tables(&format!("{head}\n{http}\n[channel.account]\n{account}")), right)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_own_address_is_told_by_the_probe_and_by_the_channel() {
    for (name, right, wrong, called) in PROVIDERS {
        let sink = Sink::start().await;
        let one = Simulated::start(name, Script::default()).await;
        let (setup, found) = with_did(&one, setup(&sink), wrong);
        let right = if right.is_empty() { &found } else { right };
        let patchbay = setup.start().await;
        let channel = patchbay.until_channel(name, "misconfigured").await;
        let reason = channel["reason"].as_str().unwrap();
        let parts = [&format!("dids has {wrong:?}"), called, right.trim_start_matches('+'), "set dids = ["];
        for part in parts {
            assert!(reason.contains(part), "{name}: {part:?} is not in {reason}");
        }
        let folder = patchbay.folder.path().to_owned();
        let told = tokio::task::spawn_blocking(move || {
            check(&folder, &["check", "-c", "config.toml", "--probe"], 1, "FAILED   channel")
        });
        let told = told.await.unwrap();
        let line = told.lines().find(|line| line.contains(&format!("FAILED   channel {name}"))).unwrap();
        for part in parts {
            assert!(line.contains(part), "{name}: {part:?} is not in {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_own_address_is_connected_and_reached() {
    for (name, ..) in PROVIDERS {
        let sink = Sink::start().await;
        let one = Simulated::start(name, Script::default()).await;
        let patchbay = one.channel(setup(&sink), KEYS).start().await;
        patchbay.until_channel(name, "connected").await;
        let folder = patchbay.folder.path().to_owned();
        let told = move || check(&folder, &["check", "-c", "config.toml", "--probe"], 0, "reached  channel");
        tokio::task::spawn_blocking(told).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_name_the_keys_to_check() {
    let sink = Sink::start().await;
    let one = Simulated::start("telegram", Script::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let account = one.simulator.channel("support");
    let token = account.split("token = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let text = account.replacen(token, "123456:wrong", 1);
    let text = format!(
        "[http]\npublic_url = \"https://p.example\"\n[[destination]]\nid = \"support\"\nurl = {:?}\n{text}",
        sink.url
    );
    fs::write(folder.path().join("my.toml"), text).unwrap();
    let path = folder.path().to_owned();
    let told = move || check(&path, &["check", "-c", "my.toml", "--probe"], 1, "FAILED   channel telegram");
    let told = tokio::task::spawn_blocking(told).await.unwrap();
    assert!(told.contains("check token in [channel.account]"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_an_address_that_no_channel_has_is_counted_and_told() {
    let sink = Sink::start().await;
    let one = Simulated::start("whatsapp_cloud", Script::default()).await;
    let (setup, right) = with_did(&one, setup(&sink), "15550000000");
    let patchbay = setup.start().await;
    follow(&patchbay, &[&one]);
    patchbay.until_channel("whatsapp_cloud", "misconfigured").await;
    for _ in 0..2 {
        one.write(Inbound { text: "hello".into(), ..Inbound::default() }).await;
    }
    let found: Value = until("the unknown address", SOON, || async {
        let channel = patchbay.channel("whatsapp_cloud").await;
        let found = channel["unknownDids"][0].clone();
        if found["messages"] == 2 { Ok(found) } else { Err(channel.to_string()) }
    })
    .await;
    assert_eq!(found["did"], right.trim_start_matches('+'));
    let reason = found["reason"].as_str().unwrap();
    assert!(reason.contains("\"15550000000\"") && reason.contains("add it to dids"), "{reason}");
    let metrics = patchbay.http.get(&format!("{}/metrics", patchbay.admin)).await.unwrap().text;
    let counted = "patchbay_received_unknown_did_total{channel=\"whatsapp_cloud\"} 2";
    assert!(metrics.contains(counted), "{metrics}");
    let log = patchbay.stderr();
    assert_eq!(log.matches("a customer wrote to an unknown own address").count(), 1, "{log}");
}
