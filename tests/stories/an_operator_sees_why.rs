//! Every message that waits says why, every failure says who, why and what helps, and the node's
//! status names each problem with its cause and its fix.

use std::process::Command;

use http::Method;
use serde_json::{Value, json};

use crate::support::{
    Patchbay, Peer, SOON, Setup, Sink,
    cim::{self, DID, customer},
    peer::With,
    until,
};

/// Waits until a message waits for a reason; returns the whole message.
async fn until_waits(patchbay: &Patchbay, id: &str, reason: &str) -> Value {
    until("a reason", SOON, || async {
        let message = patchbay.message(id).await;
        if message["waitingFor"]["reason"] == reason { Ok(message) } else { Err(message.to_string()) }
    })
    .await
}

/// Waits until the status has a problem of a kind; returns the problem.
async fn until_problem(patchbay: &Patchbay, kind: &str) -> Value {
    until("a problem", SOON, || async {
        let status = patchbay.admin("/api/status").await;
        let found = status["problems"].as_array().unwrap().iter().find(|problem| problem["kind"] == kind);
        found.cloned().ok_or_else(|| status.to_string())
    })
    .await
}

async fn until_well(patchbay: &Patchbay) -> Value {
    until("no problem", SOON, || async {
        let status = patchbay.admin("/api/status").await;
        if status["well"] == true { Ok(status) } else { Err(status.to_string()) }
    })
    .await
}

fn told(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

async fn stage(peer: &Peer, sink: &Sink, keys: &str) -> Patchbay {
    Setup::new().destination("support", &sink.url, "").channel("sms", DID, peer.port, keys, "").start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_channel_without_a_connection() {
    let sink = Sink::start().await;
    // Nobody listens on the port of a server that ended.
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let patchbay = Setup::simple(closed, &sink.url).start().await;
    patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
    let message = until_waits(&patchbay, "m-1", "channelConnecting").await;
    let text = until("a link's reason", SOON, || async {
        let message = patchbay.message("m-1").await;
        let text = told(&message["waitingFor"]["text"]).to_owned();
        if text.contains("refused") { Ok(text) } else { Err(text) }
    })
    .await;
    assert!(text.contains("host and port in [channel.account] of channel sms"), "{text}");
    assert_eq!(message["status"], "QUEUED");
    let problem = until("the message in the problem", SOON, || async {
        let problem = until_problem(&patchbay, "channelUnreachable").await;
        if told(&problem["reason"]).contains("1 message waits") { Ok(problem) } else { Err(problem) }
    })
    .await;
    assert_eq!((&problem["severity"], &problem["channel"]), (&json!("error"), &json!("sms")), "{problem}");
    assert!(told(&problem["since"]).ends_with('Z'), "{problem}");
    let status = patchbay.admin("/api/status").await;
    assert_eq!(status["messagesWaiting"], 1, "{status}");
    assert_eq!((&status["channels"]["total"], &status["channels"]["connected"]), (&json!(1), &json!(0)));
    // The page and the command line say the same.
    let page = patchbay.http.get(&format!("{}/message?id=m-1", patchbay.admin)).await.unwrap();
    assert!(page.text.contains("Why it waits") && page.text.contains("host and port"), "{}", page.text);
    let sent = Command::new(env!("CARGO_BIN_EXE_patchbay"))
        .args(["send", "--to", &customer(2), "--from", DID, "--text", "Hi", "--wait", "1s", "--url"])
        .arg(&patchbay.public)
        .output()
        .unwrap();
    let stderr = String::from_utf8(sent.stderr).unwrap();
    assert!(
        !sent.status.success()
            && stderr.contains("is QUEUED after 1s")
            && stderr.contains("waits    Channel sms"),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_refused_credentials_and_of_a_refused_message() {
    let peer = Peer::start(With::Sim, json!({ "bind_status": 0x0E })).await;
    let sink = Sink::start().await;
    let patchbay = stage(&peer, &sink, "").await;
    patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
    let message = until_waits(&patchbay, "m-1", "channelStopped").await;
    let text = told(&message["waitingFor"]["text"]);
    assert!(
        text.contains("0x0000000E") && text.contains("password in [channel.account] of channel sms"),
        "{text}"
    );
    let problem = until_problem(&patchbay, "channelStopped").await;
    assert_eq!((&problem["code"], &problem["channel"]), (&json!("0x0000000E"), &json!("sms")), "{problem}");
    assert!(told(&problem["fix"]).contains("password in [channel.account] of channel sms"), "{problem}");
    // The SMSC takes the password from now on, and refuses messages instead.
    peer.set(json!({ "bind_status": 0, "refuse": "always", "refuse_status": 0x0B })).await;
    let restart = format!("{}/api/channels/sms/restart", patchbay.admin);
    assert_eq!(patchbay.http.post(&restart, "{}").await.unwrap().status, 200);
    let failed = patchbay.until_status("m-1", "FAILED").await;
    assert!(failed.get("waitingFor").is_none(), "{failed}");
    for part in [&failed, &failed["parts"][0]] {
        assert_eq!(
            (&part["reasonCode"], &part["failedBy"]),
            (&json!("0x0000000B"), &json!("smsc")),
            "{part}"
        );
        assert!(told(&part["meaning"]).contains("recipient"), "{part}");
        assert!(told(&part["fix"]).contains("country code"), "{part}");
        assert!(told(&part["link"]).starts_with("https://"), "{part}");
    }
    let notified = sink.wait_for("a notification", SOON, |m| m["body"]["messageId"] == "m-1").await;
    let body = &notified.body["body"];
    for key in ["reasonCode", "reason", "failedBy", "meaning", "fix", "link"] {
        assert_eq!(body[key], failed[key], "{key}: {body}");
    }
    assert_eq!(body["failedPart"], 1, "{body}");
    // The channel works; the share of its messages that fail is told.
    let problem = until_problem(&patchbay, "messagesFail").await;
    assert_eq!(
        (&problem["severity"], &problem["code"]),
        (&json!("warning"), &json!("0x0000000B")),
        "{problem}"
    );
    assert!(
        told(&problem["reason"]).starts_with("1 message on channel sms failed within 10 min"),
        "{problem}"
    );
    let status = patchbay.admin("/api/status").await;
    let alone = (status["problems"].as_array().unwrap().len(), &status["channels"]["connected"]);
    assert_eq!(alone, (1, &json!(1)), "{status}");
    let page = patchbay.http.get(&format!("{}/message?id=m-1", patchbay.admin)).await.unwrap();
    assert!(page.text.contains("Why it failed") && page.text.contains("country code"), "{}", page.text);
    let sent = Command::new(env!("CARGO_BIN_EXE_patchbay"))
        .args(["send", "--to", &customer(2), "--from", DID, "--text", "Hi", "--wait", "20s", "--url"])
        .arg(&patchbay.public)
        .output()
        .unwrap();
    let stderr = String::from_utf8(sent.stderr).unwrap();
    assert!(stderr.contains("(0x0000000B), by smsc") && stderr.contains("\nfix "), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_rate_a_schedule_and_an_earlier_message() {
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let patchbay = stage(&peer, &sink, "send_rate = 2").await;
    patchbay.until_channel("sms", "connected").await;
    let texts: Vec<Value> = (0..60).map(|n| cim::text(&format!("m-{n}"), &customer(n), "Hello")).collect();
    patchbay.send_all(&texts).await;
    // Sessions queue in the order in which their hosts announce them: one far behind is looked for.
    let (n, message) = until("one far behind", SOON, || async {
        for n in (0..60).rev() {
            let message = patchbay.message(&format!("m-{n}")).await;
            let waiting = &message["waitingFor"];
            if waiting["reason"] == "rate" && waiting["ahead"].as_u64() >= Some(25) {
                return Ok((n, message));
            }
        }
        Err("none waits behind 25 others")
    })
    .await;
    let waiting = &message["waitingFor"];
    let ahead = waiting["ahead"].as_u64().unwrap();
    let takes_ms = waiting["eta"].as_u64().unwrap() - message["acceptedAt"].as_u64().unwrap();
    let at_rate_ms = (ahead + 1) * 500;
    assert!((at_rate_ms..at_rate_ms + 20_000).contains(&takes_ms), "2 parts a second: {waiting}");
    assert!(told(&waiting["text"]).contains("send_rate = 2"), "{waiting}");
    // One more for the same customer tells that the channel is the cause.
    patchbay.send(&cim::text("behind", &customer(n), "again")).await;
    let behind = until_waits(&patchbay, "behind", "rate").await;
    assert!(
        told(&behind["waitingFor"]["text"]).contains("1 earlier message to the same customer"),
        "{behind}"
    );
    // One that is scheduled is not held back by others.
    let at = message["acceptedAt"].as_u64().unwrap() + 3_600_000;
    let mut later = cim::text("later", &customer(70), "in an hour");
    later["header"]["schedulingMetaData"] = json!({ "sendAt": at });
    patchbay.send(&later).await;
    let later = until_waits(&patchbay, "later", "notDue").await;
    assert_eq!(later["waitingFor"]["eta"], at, "{later}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_held_part_and_a_destination_that_is_down() {
    let peer = Peer::start(With::Sim, json!({ "swallow": "always", "receipts": "never" })).await;
    let sink = Sink::start().await;
    let patchbay = Setup::new()
        .destination("support", &sink.url, "")
        .channel("sms", DID, peer.port, "on_unknown = \"hold\"", "reply_timeout = \"1s\"")
        .start()
        .await;
    patchbay.until_channel("sms", "connected").await;
    patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
    let message = until_waits(&patchbay, "m-1", "inDoubtHeld").await;
    assert!(told(&message["waitingFor"]["text"]).contains("POST /api/in-doubt"), "{message}");
    let problem = until_problem(&patchbay, "inDoubtHeld").await;
    assert_eq!(problem["link"], "/doubt", "{problem}");
    sink.refuse_with(503);
    let settle = json!({ "messageId": "m-1", "part": 1, "action": "fail" }).to_string();
    let answer = patchbay.http.post(&format!("{}/api/in-doubt", patchbay.admin), settle).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    let failed = until_waits(&patchbay, "m-1", "destinationDown").await;
    assert_eq!((&failed["status"], &failed["failedBy"]), (&json!("FAILED"), &json!("operator")), "{failed}");
    let problem = until_problem(&patchbay, "destinationDown").await;
    assert_eq!(problem["destination"], "support", "{problem}");
    assert!(told(&problem["reason"]).contains("http 503"), "{problem}");
    sink.refuse_with(0);
    sink.wait_for("the notification", SOON, |m| m["body"]["failedBy"] == "operator").await;
    until_well(&patchbay).await;
    assert!(patchbay.message("m-1").await.get("waitingFor").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_paused_and_a_removed_channel_and_a_withdrawn_message() {
    let (peer, sink) = tokio::join!(Peer::start(With::Sim, json!({})), Sink::start());
    let patchbay = stage(&peer, &sink, "").await;
    patchbay.until_channel("sms", "connected").await;
    let act = async |path: &str| {
        let answer = patchbay.http.post(&format!("{}{path}", patchbay.admin), "").await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    };
    act("/api/channels/sms/pause").await;
    patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
    let message = until_waits(&patchbay, "m-1", "channelPaused").await;
    let channel = patchbay.channel("sms").await;
    let waiting = &message["waitingFor"];
    assert_eq!(waiting["since"], channel["pausedSince"], "{message}");
    assert!(told(&waiting["text"]).contains("esume it: patchbay channel resume sms"), "{message}");
    let problem = until_problem(&patchbay, "channelPaused").await;
    assert!(told(&problem["fix"]).contains("patchbay channel resume sms"), "{problem}");
    act("/api/channels/sms/cancel-queued").await;
    let failed = patchbay.until_status("m-1", "FAILED").await;
    let by = (&failed["reasonCode"], &failed["failedBy"]);
    assert_eq!(by, (&json!("cancelled"), &json!("operator")), "{failed}");
    sink.wait_for("the notification", SOON, |m| m["body"]["failedBy"] == "operator").await;
    // The configuration without the channel.
    patchbay.send(&cim::text("m-2", &customer(1), "Hello")).await;
    until_waits(&patchbay, "m-2", "channelPaused").await;
    let file = patchbay.folder.path().join("config.toml");
    let with = std::fs::read_to_string(&file).unwrap();
    let (without, _) = with.split_once("[[channel]]").unwrap();
    std::fs::write(&file, without).unwrap();
    act("/api/reload").await;
    let message = until_waits(&patchbay, "m-2", "channelMissing").await;
    assert!(told(&message["waitingFor"]["text"]).contains("add it again"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_forged_webhooks() {
    let sink = Sink::start().await;
    let patchbay = Setup::new()
        .http("public_url = \"https://patchbay.example\"")
        .destination("support", &sink.url, "")
        .tables(
            "[[channel]]\nid = \"wa\"\nprovider = \"whatsapp_cloud\"\ndids = [\"15550100001\"]\n\
             [channel.account]\naccess_token = \"hush\"\napp_secret = \"secret\"\nverify_token = \"token\"\n\
             phone_number_id = \"PN1\"\nbase_url = \"http://127.0.0.1:9\"\n",
        )
        .start()
        .await;
    for _ in 0..3 {
        let url = format!("{}/webhooks/wa", patchbay.public);
        let headers = [("x-hub-signature-256", "sha256=00"), ("content-type", "application/json")];
        let (status, ..) = patchbay.http.with(Method::POST, &url, &headers, "{}").await.unwrap();
        assert_eq!(status, 401);
    }
    let problem = until_problem(&patchbay, "webhooksRefused").await;
    assert!(told(&problem["reason"]).starts_with("channel wa refused 3 webhooks"), "{problem}");
    assert!(told(&problem["fix"]).contains("app_secret in [channel.account] of channel wa"), "{problem}");
    assert_eq!(problem["severity"], "warning");
}
