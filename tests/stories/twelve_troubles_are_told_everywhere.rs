//! Twelve troubles that operators meet: the page's top line, `patchbay status`, the message and the
//! metrics say the cause of each and what helps. Prints a table of what they say.

use std::process::Command;

use http::Method;
use serde_json::{Value, json};
use simulators::rest::{Inbound, Script};

use super::providers::{PUBLIC_URL, Simulated, text};
use crate::support::{
    Patchbay, Peer, SOON, Setup, Sink,
    cim::{self, DID, customer},
    moved_clock::MovedClock,
    peer::With,
    until,
};

/// A trouble, and the words that must be said of it.
struct Trouble {
    name: &'static str,
    kind: &'static str,
    /// Words of the cause and of the fix.
    cause: &'static str,
    fix: &'static str,
    /// A metric beside `patchbay_problems`, and its least value.
    metric: (&'static str, f64),
}

/// The words that were said of a trouble.
struct Told {
    name: &'static str,
    top: String,
    status: String,
    message: String,
    metric: String,
}

/// A part of the answer to a message that tells why it waits or failed, with what helps.
fn words_of(message: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(waits) = text(&message["waitingFor"]["text"]) {
        return Some(waits);
    }
    let reason = text(&message["reason"])?;
    Some(format!("{reason} ({}): {}", text(&message["reasonCode"])?, text(&message["fix"])?))
}

/// Returns what a message says once it says all of this.
async fn message(patchbay: &Patchbay, id: &str, words: &[&str]) -> String {
    until("the message's words", SOON, || async {
        let message = patchbay.message(id).await;
        let said = words_of(&message).filter(|said| words.iter().all(|word| said.contains(word)));
        said.ok_or_else(|| format!("not {words:?}: {message}"))
    })
    .await
}

impl Trouble {
    /// Checks what status, command line and metrics say, beside the message's own words.
    async fn told(self, patchbay: &Patchbay, message: String) -> Told {
        let Self { name, kind, cause, fix, metric } = self;
        let top = until("the first problem", SOON, || async {
            let status = patchbay.admin("/api/status").await;
            let first = &status["problems"][0];
            let said = |key: &str, words: &str| first[key].as_str().is_some_and(|said| said.contains(words));
            let is_told = first["kind"] == kind && said("reason", cause) && said("fix", fix);
            if is_told { Ok(first.clone()) } else { Err(format!("{name}: {status}")) }
        })
        .await;
        let status = status(patchbay).await;
        let lines: Vec<&str> = status.lines().map(str::trim).collect();
        assert!(lines[0].starts_with("not well"), "{name}: {status}");
        assert!(lines[1].contains(cause) && lines[2].starts_with("fix: "), "{name}: {status}");
        assert!(lines[2].contains(fix), "{name}: {status}");
        let value = |line: &str, prefix: &str| -> Option<f64> {
            line.strip_prefix(prefix)?.rsplit(' ').next()?.parse().ok()
        };
        let severity = top["severity"].as_str().unwrap();
        let of_kind = format!("patchbay_problems{{kind=\"{kind}\",severity=\"{severity}\"");
        let (prefix, least) = metric;
        let metric = until("the metrics", SOON, || async {
            let metrics = patchbay.http.get(&format!("{}/metrics", patchbay.admin)).await.unwrap().text;
            let problem = metrics.lines().find(|line| value(line, &of_kind) == Some(1.0));
            let own = metrics.lines().find(|line| value(line, prefix).is_some_and(|value| value >= least));
            let both = problem.zip(own).map(|(problem, own)| format!("{problem} {own}"));
            both.ok_or_else(|| format!("{name}: {of_kind}, {prefix} from {least} on:\n{metrics}"))
        })
        .await;
        Told {
            name,
            top: format!("{} Fix: {}", top["reason"].as_str().unwrap(), top["fix"].as_str().unwrap()),
            status: lines[1..3].join(" "),
            message,
            metric,
        }
    }
}

/// Returns what `patchbay status` prints.
async fn status(patchbay: &Patchbay) -> String {
    let admin = patchbay.admin.clone();
    let run = move || Command::new(env!("CARGO_BIN_EXE_patchbay")).args(["status", "--url", &admin]).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A channel `sms` to a simulated SMSC that does this, and a message on it.
async fn on_sms(script: Value, keys: &str, account: &str) -> (Peer, Sink, Patchbay) {
    let peer = Peer::start(With::Sim, script).await;
    let sink = Sink::start().await;
    let setup = Setup::new().destination("support", &sink.url, "");
    let patchbay = setup.channel("sms", DID, peer.port, keys, account).start().await;
    patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
    (peer, sink, patchbay)
}

async fn wrong_password() -> Told {
    let (_peer, _sink, patchbay) = on_sms(json!({ "bind_status": 0x0E }), "", "").await;
    let (cause, fix) = ("password is invalid", "password in [channel.account] of channel sms");
    let message = message(&patchbay, "m-1", &[cause, fix]).await;
    let metric = ("patchbay_links_bound{channel=\"sms\"}", 0.0);
    Trouble { name: "wrong password", kind: "channelStopped", cause, fix, metric }
        .told(&patchbay, message)
        .await
}

async fn dead_host() -> Told {
    let sink = Sink::start().await;
    let patchbay = Setup::simple(closed_port(), &sink.url).start().await;
    patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
    let (cause, fix) = ("refused", "host and port in [channel.account] of channel sms");
    let message = message(&patchbay, "m-1", &[cause, fix]).await;
    let metric = ("patchbay_links_bound{channel=\"sms\"}", 0.0);
    let name = "dead host";
    Trouble { name, kind: "channelUnreachable", cause, fix, metric }.told(&patchbay, message).await
}

async fn wrong_number() -> Told {
    let script = json!({ "refuse": "always", "refuse_status": 0x0B });
    let (_peer, _sink, patchbay) = on_sms(script, "", "").await;
    let (cause, fix) = ("0x0000000B", "country code");
    let message = message(&patchbay, "m-1", &[cause, fix]).await;
    let metric =
        ("patchbay_message_outcomes_total{channel=\"sms\",outcome=\"failed\",code=\"0x0000000B\"}", 1.0);
    Trouble { name: "wrong number", kind: "messagesFail", cause, fix, metric }.told(&patchbay, message).await
}

async fn closed_window() -> Told {
    let one = Simulated::start("whatsapp_cloud", Script::default()).await;
    let sink = Sink::start().await;
    let patchbay = super::providers::start(on_whatsapp(&one, &sink, "EAAsimulated"), &[&one]).await;
    let answer = patchbay
        .post(cim::text_from(one.simulator.credential("number"), "m-1", "15550001111", "Hello").to_string())
        .await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let (cause, fix) = ("the customer has not written yet", "template");
    assert!(answer.text.contains(cause) && answer.text.contains(fix), "{}", answer.text);
    let metric = ("patchbay_messages_refused_total{channel=\"whatsapp_cloud\",code=\"window\"}", 1.0);
    let message = format!("400: {}", answer.text);
    Trouble { name: "closed window", kind: "messagesFail", cause, fix, metric }.told(&patchbay, message).await
}

/// The channel of a simulated WhatsApp, with this token.
fn on_whatsapp(one: &Simulated, sink: &Sink, token: &str) -> Setup {
    let keys = super::providers::Keys { channel: "", http: "" };
    let tables = one.channel(super::providers::setup(sink), keys).tables_text();
    Setup::new()
        .http(&format!("public_url = \"{PUBLIC_URL}\""))
        .tables(&tables.replace("EAAsimulated", token))
}

async fn rate_too_small() -> Told {
    let (_peer, _sink, patchbay) = on_sms(json!({}), "send_rate = 1", "").await;
    let texts: Vec<Value> = (2..150).map(|n| cim::text(&format!("m-{n}"), &customer(n), "Hello")).collect();
    patchbay.send_all(&texts).await;
    let (cause, fix) = ("send_rate", "Raise send_rate");
    let message = until("one that waits for the rate", SOON, || async {
        for n in (2..150).rev() {
            let message = patchbay.message(&format!("m-{n}")).await;
            if message["waitingFor"]["reason"] == "rate" {
                return Ok(words_of(&message).unwrap());
            }
        }
        Err("none")
    })
    .await;
    assert!(message.contains("send_rate = 1") && message.contains(fix), "{message}");
    let metric = ("patchbay_messages_waiting{channel=\"sms\"}", 60.0);
    let name = "rate too small";
    Trouble { name, kind: "sendRateReached", cause, fix, metric }.told(&patchbay, message).await
}

async fn dead_destination() -> Told {
    let peer = Peer::start(With::Sim, json!({ "receipt_delay_ms": 20 })).await;
    let url = format!("http://127.0.0.1:{}/cim", closed_port());
    let patchbay = Setup::simple(peer.port, &url).start().await;
    patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
    let (cause, fix) = ("destination support is down", "Start the service at");
    let message = message(&patchbay, "m-1", &[cause, fix]).await;
    let metric = ("patchbay_delivery_failures_total{destination=\"support\"}", 1.0);
    let name = "dead destination";
    Trouble { name, kind: "destinationDown", cause, fix, metric }.told(&patchbay, message).await
}

async fn forged_webhooks() -> Told {
    let one = Simulated::start("whatsapp_cloud", Script::default()).await;
    let sink = Sink::start().await;
    let patchbay = super::providers::start(on_whatsapp(&one, &sink, "EAAsimulated"), &[&one]).await;
    let url = format!("{}/webhooks/whatsapp_cloud", patchbay.public);
    let headers = [("x-hub-signature-256", "sha256=00"), ("content-type", "application/json")];
    let (status, _, body) = patchbay.http.with(Method::POST, &url, &headers, "{}").await.unwrap();
    assert_eq!(status, 401);
    let message = format!("(none; the caller gets 401: {})", String::from_utf8_lossy(&body));
    let (cause, fix) = ("refused 1 webhook", "app_secret in [channel.account] of channel whatsapp_cloud");
    let metric = ("patchbay_webhooks_total{channel=\"whatsapp_cloud\",outcome=\"refused\"}", 1.0);
    let name = "forged webhooks";
    Trouble { name, kind: "webhooksRefused", cause, fix, metric }.told(&patchbay, message).await
}

async fn expired_token() -> Told {
    let one = Simulated::start("whatsapp_cloud", Script::default()).await;
    let sink = Sink::start().await;
    let patchbay = on_whatsapp(&one, &sink, "EAAexpired").start().await;
    super::providers::follow(&patchbay, &[&one]);
    one.write(Inbound { text: "Hi".into(), ..Inbound::default() }).await;
    let heard = sink.wait_for("the customer's message", SOON, |m| m["body"]["type"] == "PLAIN").await;
    patchbay.send(&text("m-1", &heard.body, "Hello")).await;
    let (cause, fix) = ("(190", "access_token in [channel.account] of channel whatsapp_cloud");
    let message = message(&patchbay, "m-1", &[cause, fix]).await;
    let metric = ("patchbay_links_bound{channel=\"whatsapp_cloud\"}", 0.0);
    Trouble { name: "expired token", kind: "channelStopped", cause, fix, metric }
        .told(&patchbay, message)
        .await
}

/// The SMSC keeps no more for this customer.
async fn full_mailbox() -> Told {
    let script = json!({ "refuse": "always", "refuse_status": 0x14 });
    let (_peer, _sink, patchbay) = on_sms(script, "", "").await;
    let (cause, fix) = ("0x00000014", "Ask for a larger queue");
    let message = message(&patchbay, "m-1", &[cause, fix]).await;
    let metric = ("patchbay_parts_deferred_total{channel=\"sms\"}", 1.0);
    let name = "full mailbox";
    Trouble { name, kind: "messagesPutOff", cause, fix, metric }.told(&patchbay, message).await
}

/// Receipts with unknown ids, ten minutes old: at first the clock is ten minutes behind.
async fn unknown_receipt_ids() -> Told {
    let clock = MovedClock::new();
    clock.move_to(-600);
    let peer =
        Peer::start(With::Sim, json!({ "id_style": "decimal_then_hex", "receipt_delay_ms": 20 })).await;
    let sink = Sink::start().await;
    let setup = Setup::new().destination("support", &sink.url, "");
    let setup = setup.channel("sms", DID, peer.port, "", "receipt_ids = \"exact\"");
    let patchbay = clock.of(setup).start().await;
    patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
    patchbay.until_status("m-1", "SENT").await;
    until("the receipt", SOON, || async {
        let channel = patchbay.channel("sms").await;
        if channel["receiptsUnmatched"] == 1 { Ok(()) } else { Err(channel.to_string()) }
    })
    .await;
    clock.move_to(0);
    let patchbay = patchbay.restart().await;
    let (cause, fix) = ("1 receipt of channel sms match", "Compare their ids with those of the parts");
    let message = message(&patchbay, "m-1", &["its receipt is awaited", "Unmatched receipts"]).await;
    let metric = ("patchbay_receipts_kept{channel=\"sms\"}", 1.0);
    let name = "unknown receipt ids";
    Trouble { name, kind: "receiptsUnmatched", cause, fix, metric }.told(&patchbay, message).await
}

async fn disk_nearly_full() -> Told {
    let folder = tempfile::tempdir().unwrap();
    let disk = rustix::fs::statvfs(folder.path()).unwrap();
    let free_mb = disk.f_bavail * disk.f_frsize / (1024 * 1024);
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let with_reserve =
        |mb: u64| Setup::simple(peer.port, &sink.url).top(&format!("disk_reserve = \"{mb}MB\""));
    let patchbay = with_reserve(free_mb * 7 / 10).start().await;
    patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
    let name = "disk nearly full";
    let (cause, fix) = ("MB are free on the disk of data_dir", "Free space on the disk of data_dir");
    let metric = ("patchbay_disk_free_bytes", 1.0);
    let told =
        Trouble { name, kind: "diskNearlyFull", cause, fix, metric }.told(&patchbay, String::new()).await;
    // A message says so when the reserve is reached.
    let full = with_reserve(free_mb * 2).start().await;
    let answer = full.post(cim::text("m-2", &customer(2), "Hello").to_string()).await;
    assert!(answer.status == 503 && answer.text.contains("free some space"), "{}", answer.text);
    Told { message: format!("(accepted; below the reserve 503: {})", answer.text), ..told }
}

async fn clock_off() -> Told {
    let clock = MovedClock::new();
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let patchbay = clock.of(Setup::simple(peer.port, &sink.url)).start().await;
    patchbay.send(&cim::text("m-0", &customer(1), "Hello")).await;
    patchbay.until_status("m-0", "DELIVERED").await;
    let mut later = cim::text("m-1", &customer(2), "in half an hour");
    let at = patchbay.message("m-0").await["acceptedAt"].as_u64().unwrap() + 1_800_000;
    later["header"]["schedulingMetaData"] = json!({ "sendAt": at });
    patchbay.send(&later).await;
    clock.move_to(3_600);
    let (cause, fix) = ("clock of this machine jumped", "Correct the clock");
    let message = message(&patchbay, "m-1", &[cause, fix]).await;
    let metric = ("patchbay_clock_doubt_seconds", 3_000.0);
    Trouble { name: "clock off", kind: "clockInDoubt", cause, fix, metric }.told(&patchbay, message).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_their_cause_and_fix() {
    // All at once, so that it takes as long as the longest.
    let troubles = [
        tokio::spawn(wrong_password()),
        tokio::spawn(dead_host()),
        tokio::spawn(wrong_number()),
        tokio::spawn(closed_window()),
        tokio::spawn(rate_too_small()),
        tokio::spawn(dead_destination()),
        tokio::spawn(forged_webhooks()),
        tokio::spawn(expired_token()),
        tokio::spawn(full_mailbox()),
        tokio::spawn(unknown_receipt_ids()),
        tokio::spawn(disk_nearly_full()),
        tokio::spawn(clock_off()),
    ];
    let (mut rows, mut failed) = (Vec::new(), 0);
    for trouble in troubles {
        match trouble.await {
            Ok(told) => rows.push(told),
            Err(_) => failed += 1,
        }
    }
    println!("| trouble | top line | `patchbay status` | message | metric |\n|---|---|---|---|---|");
    for Told { name, top, status, message, metric } in rows {
        let cells = [top, status, message, metric].map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        println!("| {name} | {} |", cells.join(" | "));
    }
    assert_eq!(failed, 0, "troubles that are not told: see above");
}
