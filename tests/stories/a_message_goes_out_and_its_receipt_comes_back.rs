//! From one HTTP request to the phone network, and the receipt back to the business.

use serde_json::{Value, json};

use crate::support::{
    Patchbay, Peer, SOON, Setup, Sink,
    cim::{self, customer},
    peer::With,
};

async fn stage() -> (Peer, Sink, Patchbay) {
    let peer = Peer::start(With::Sim, json!({ "receipt_delay_ms": 20 })).await;
    let sink = Sink::start().await;
    let patchbay = Setup::simple(peer.port, &sink.url).start().await;
    (peer, sink, patchbay)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_one() {
    let (peer, sink, patchbay) = stage().await;
    let message = cim::text("m-1", "+4917600000001", "Hello Ann, your parcel is here.");
    assert_eq!(patchbay.send(&message).await, json!({ "messageId": "m-1", "status": "ACCEPTED" }));

    let told = sink.wait_for("its notification", SOON, |body| body["body"]["messageId"] == "m-1").await;
    assert_eq!(told.body["body"]["type"], "DELIVERYNOTIFICATION");
    assert_eq!(told.body["body"]["status"], "DELIVERED");
    assert_eq!(told.body["body"]["reasonCode"], "200");
    for key in ["channelCustomerIdentifier", "serviceIdentifier"] {
        assert_eq!(told.body["header"]["channelData"][key], message["header"]["channelData"][key]);
    }
    assert_eq!(told.body["header"]["sender"]["type"], "CONNECTOR");
    assert!(!told.event_id.is_empty());
    assert_eq!(
        peer.messages().await,
        [("4917600000001".into(), "Hello Ann, your parcel is here.".into(), 1)]
    );

    let view = patchbay.until_status("m-1", "DELIVERED").await;
    assert_eq!(view["parts"].as_array().unwrap().len(), 1, "{view}");
    assert_eq!(view["parts"][0]["status"], "DELIVERED");
    assert_eq!(view["parts"][0]["providerId"], "1048577", "{view}");
    let events: Vec<_> =
        view["events"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    println!("its events: {}", events.join(", "));
    let place = |name| {
        events.iter().position(|event| *event == name).unwrap_or_else(|| panic!("no {name}: {events:?}"))
    };
    assert!(place("accepted") < place("submitted") && place("submitted") < place("receipt"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_and_lines_of_them() {
    let (peer, sink, patchbay) = stage().await;
    let all: Vec<Value> =
        (0..300).map(|n| cim::text(&format!("a-{n}"), &customer(n), &format!("number {n}"))).collect();
    patchbay.send_all(&all).await;
    let lines: String = (0..200)
        .map(|n| cim::text(&format!("l-{n}"), &customer(n), &format!("line {n}")).to_string() + "\n")
        .collect();
    let answer = patchbay
        .http
        .ask(
            http::Method::POST,
            &patchbay.messages.replace("/v1/messages", "/ccm-msg/receive"),
            "application/x-ndjson",
            lines,
        )
        .await
        .unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.json().as_array().unwrap().len(), 200);

    crate::support::until("500 notifications", SOON, || async {
        let notified = sink.notified("DELIVERED");
        if notified == 500 { Ok(()) } else { Err(notified) }
    })
    .await;
    let times = peer.times().await;
    assert_eq!(times.len(), 500);
    assert!(times.values().all(|times| *times == 1), "each exactly once");
    assert!(sink.notifications().values().all(|all| *all == ["DELIVERED"]), "one notification each");
    // Order within a session, that is, per customer: first the array, then the lines.
    let to = |n: usize| customer(n).trim_start_matches('+').to_owned();
    for n in 0..200 {
        let texts = peer.smsc().texts_to(&to(n));
        assert_eq!(texts, [format!("number {n}").into(), format!("line {n}").into()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_one_is_sent_once() {
    let (peer, sink, patchbay) = stage().await;
    let message = cim::text("m-1", "+4917600000001", "once");
    patchbay.send(&message).await;
    let again = json!({ "messageId": "m-1", "status": "ACCEPTED", "duplicate": true });
    assert_eq!(patchbay.send(&message).await, again);
    sink.wait_for("its notification", SOON, |body| body["body"]["messageId"] == "m-1").await;
    assert_eq!(patchbay.send(&message).await, again, "after it was finished");
    let patchbay = patchbay.kill_and_restart().await;
    assert_eq!(patchbay.send(&message).await, again, "after kill -9");
    // A later message arrives; the repeat did not.
    patchbay.send(&cim::text("m-2", "+4917600000001", "later")).await;
    sink.wait_for("the later one", SOON, |body| body["body"]["messageId"] == "m-2").await;
    assert_eq!(peer.smsc().texts_to("4917600000001"), ["once".into(), "later".into()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_told_and_nothing_sent() {
    let (peer, sink, patchbay) = stage().await;
    let text = "x".repeat(161);
    let url = format!("{}?plan=true", patchbay.messages);
    let answer =
        patchbay.http.post(&url, cim::text("m-1", "+4917600000001", &text).to_string()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    let plan = answer.json();
    assert_eq!((&plan["channel"], &plan["parts"]), (&json!("sms"), &json!(2)), "{plan}");
    assert_eq!(plan["destination"], "support");
    assert_eq!(plan["sessionOpen"], false);
    assert_eq!(patchbay.public("/v1/messages/m-1").await.status, 404, "it is not kept");
    patchbay.send(&cim::text("m-2", "+4917600000001", "real")).await;
    sink.wait_for("the real one", SOON, |body| body["body"]["messageId"] == "m-2").await;
    assert_eq!(peer.messages().await.len(), 1, "only the real one came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_too() {
    let (peer, sink, patchbay) = stage().await;
    peer.set(json!({ "receipt_failed": "always" })).await;
    patchbay.send(&cim::text("m-1", "+4917600000001", "undeliverable")).await;
    let told = sink.wait_for("its notification", SOON, |body| body["body"]["messageId"] == "m-1").await;
    assert_eq!(told.body["body"]["status"], "FAILED");
    let code = told.body["body"]["reasonCode"].as_str().unwrap();
    assert!(code.starts_with("UNDELIV/"), "the SMSC's code: {told:?}");
    peer.set(json!({ "refuse": "always", "refuse_status": 0x0B })).await;
    patchbay.send(&cim::text("m-2", "+4917600000001", "refused")).await;
    let told = sink.wait_for("its notification", SOON, |body| body["body"]["messageId"] == "m-2").await;
    assert_eq!(told.body["body"]["status"], "FAILED");
    assert_eq!(told.body["body"]["reasonCode"], "0x0000000B");
    println!("in words: {}", told.body["body"]["markdownText"]);
    patchbay.until_status("m-2", "FAILED").await;
    // Unknown ids do not change earlier notifications.
    assert!(sink.notifications().values().all(|all| *all == ["FAILED"]), "{:?}", sink.notifications());
}
