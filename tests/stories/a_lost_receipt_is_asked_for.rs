//! With `query_after` the provider is queried about a part whose receipt is missing.

use serde_json::json;

use crate::support::{
    Peer, SOON, Setup, Sink,
    cim::{self, DID},
    peer::With,
};

#[tokio::test(flavor = "multi_thread")]
async fn and_its_answer_stands_for_the_receipt() {
    let peer = Peer::start(With::Sim, json!({ "receipt_lost": "always" })).await;
    let sink = Sink::start().await;
    let patchbay = Setup::new()
        .destination("support", &sink.url, "")
        .channel("sms", DID, peer.port, "", "query_after = \"300ms\"")
        .start()
        .await;
    patchbay.send(&cim::text("q-1", "+4917600000009", "Did it come?")).await;
    let told = sink.wait_for("its notification", SOON, |body| body["body"]["messageId"] == "q-1").await;
    assert_eq!(told.body["body"]["status"], "DELIVERED");
    let view = patchbay.until_status("q-1", "DELIVERED").await;
    let events: Vec<_> =
        view["events"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert!(events.contains(&"queried"), "{events:?}");
}
