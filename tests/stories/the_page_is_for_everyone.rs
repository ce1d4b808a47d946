//! The admin page in a real browser, beside troubles of every kind: on a phone and on a screen, by
//! day and by night, nothing is a barrier to a reader, nothing is wider than the screen, and pause,
//! test send and replay are done by keyboard alone.

use serde_json::{Value, json};

use crate::support::{
    Patchbay, Peer, SOON, Setup, Sink,
    cim::{self, DID, customer, text_from},
    peer::{With, browse},
    until,
};

/// The own address whose destination refuses everything.
const REFUSED: &str = "5156";
/// The own address of the channel that nobody answers.
const SPARE: &str = "6000";

#[tokio::test(flavor = "multi_thread")]
async fn on_every_page_by_eye_and_by_keyboard() {
    let peer = Peer::start(With::Sim, json!({ "receipt_delay_ms": 5 })).await;
    let (sink, refusing) = (Sink::start().await, Sink::start().await);
    refusing.refuse_with(400);
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let dids = format!(
        "dids = [{{ number = \"{DID}\", destination = \"support\" }}, {{ number = \"{REFUSED}\", destination = \"crm\" }}]"
    );
    let keys = "send_rate = 50\nbackoff = \"100ms\"\non_unknown = \"hold\"\n";
    let account =
        "host = \"127.0.0.1\"\nsystem_id = \"patchbay\"\npassword = \"secret\"\nreply_timeout = \"1s\"\n";
    let sms = format!(
        "[[channel]]\nid = \"sms\"\nname = \"SMS of the shop in Paderborn\"\nprovider = \"smpp\"\n{dids}\n{keys}[channel.account]\n\
         port = {}\n{account}",
        peer.port
    );
    let patchbay = Setup::new()
        .destination("support", &sink.url, "")
        .destination("crm", &refusing.url, "give_up_after = \"1ms\"")
        .tables(&sms)
        .channel("spare", SPARE, closed, "", "")
        .start()
        .await;
    patchbay.until_channel("sms", "connected").await;
    let session = fill(&patchbay, &peer).await;
    // From now on replays are accepted.
    refusing.refuse_with(0);
    let request = json!({
        "base": patchbay.admin, "pages": pages(&session), "to": customer(77),
        "shots": std::env::var("SHOTS").ok(),
    });
    let answer = browse(&request).await;
    assert_eq!(answer["findings"], json!([]), "{answer:#}");
}

/// Fills every list of the pages. Returns the id of a session.
async fn fill(patchbay: &Patchbay, peer: &Peer) -> String {
    let long = format!("A long link: https://shop.example/{} and more.", "order-and-customer/".repeat(8));
    patchbay.send(&cim::text("delivered", &customer(1), &long)).await;
    patchbay.until_status("delivered", "DELIVERED").await;
    peer.mo(&customer(1), DID, "Thank you! When does it come?").await;
    peer.set(json!({ "receipt_failed": "always" })).await;
    patchbay.send(&cim::text("failed", &customer(1), "Tomorrow at noon.")).await;
    patchbay.until_status("failed", "FAILED").await;
    peer.set(json!({ "receipt_failed": "never" })).await;
    for n in 0..3 {
        let text = format!("Reminder {n}: {}", "please bring your passport ".repeat(3));
        patchbay.send(&text_from(SPARE, &format!("waits-{n}"), &customer(2 + n), &text)).await;
    }
    for n in 0..3 {
        peer.mo(&customer(20 + n), REFUSED, &format!("Question {n} to the crm")).await;
    }
    until("the dead letters", SOON, || async {
        let count = patchbay.admin("/api/dead-letters").await.as_array().unwrap().len();
        if count == 3 { Ok(()) } else { Err(count) }
    })
    .await;
    peer.set(json!({ "swallow": "always", "receipts": "never" })).await;
    patchbay.send(&cim::text("doubtful", &customer(9), "Did this arrive?")).await;
    until("a part in doubt", SOON, || async {
        let doubts = patchbay.admin("/api/in-doubt").await;
        if doubts[0]["held"] == true { Ok(()) } else { Err(doubts.to_string()) }
    })
    .await;
    peer.set(json!({ "swallow": "never", "receipts": "as_asked" })).await;
    patchbay.message("delivered").await["sessionId"].as_str().unwrap().to_owned()
}

fn pages(session: &str) -> Value {
    let session = format!("/session?id={session}");
    let send = format!("/send?from={DID}%7Csms&to=%2B49170000001&text=Hello%20there");
    let all = [
        ("overview", "/"),
        ("channel", "/channel?id=sms"),
        ("channel-down", "/channel?id=spare&hours=1"),
        ("messages", "/messages"),
        ("messages-failed", "/messages?list=failed"),
        ("messages-none", "/messages?q=nothing+has+this"),
        ("message", "/message?id=delivered"),
        ("message-failed", "/message?id=failed"),
        ("message-waits", "/message?id=waits-1"),
        ("message-unknown", "/message?id=nobody-has-this-id"),
        ("sessions", "/sessions"),
        ("conversation", &session),
        ("events", &format!("{session}&view=events")),
        ("send", &send),
        ("live", "/tail"),
        ("doubt", "/doubt"),
        ("receipts", "/receipts"),
        ("dead", "/dead"),
    ];
    all.iter().map(|(name, path)| json!({ "name": name, "path": path })).collect()
}
