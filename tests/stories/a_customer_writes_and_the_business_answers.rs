//! From a customer's phone to the business, the answer in its session, and the end of an inactive
//! session.

use serde_json::{Value, json};
use simulators::smsc::{Mo, MoConcat, MoOrder};

use crate::support::{
    Patchbay, Peer, SOON, Setup, Sink,
    cim::{self, DID},
    peer::With,
    until,
};

const ANN: &str = "4917600000001";

async fn stage(keys: &str) -> (Peer, Sink, Patchbay) {
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let setup = Setup::new().destination("support", &sink.url, "").channel("sms", DID, peer.port, keys, "");
    let patchbay = setup.start().await;
    patchbay.until_channel("sms", "connected").await;
    (peer, sink, patchbay)
}

fn says(text: &str) -> impl Fn(&Value) -> bool {
    move |message| message["body"]["markdownText"] == text
}

fn intent(name: &str) -> impl Fn(&Value) -> bool {
    move |message| message["header"]["intent"] == name
}

#[tokio::test(flavor = "multi_thread")]
async fn and_the_answer_is_in_the_same_session() {
    let (peer, sink, patchbay) = stage("inactivity_timeout = \"30m\"").await;
    peer.mo(ANN, DID, "Are you open?").await;
    let message = sink.wait_for("the customer's message", SOON, says("Are you open?")).await.body;
    let header = &message["header"];
    assert_eq!(header["channelData"]["channelCustomerIdentifier"], "+4917600000001");
    assert_eq!(header["channelData"]["serviceIdentifier"], DID);
    assert_eq!(header["sender"]["type"], "CONNECTOR");
    let session = header["channelSessionId"].as_str().unwrap().to_owned();

    patchbay.send(&cim::text("answer", "+4917600000001", "Until six.")).await;
    sink.wait_for("the answer's notification", SOON, |m| m["body"]["messageId"] == "answer").await;
    assert_eq!(patchbay.message("answer").await["sessionId"], json!(session));
    assert_eq!(peer.messages().await, [(ANN.into(), "Until six.".into(), 1)]);

    peer.mo(ANN, DID, "Thanks").await;
    let thanks = sink.wait_for("thanks", SOON, says("Thanks")).await.body;
    assert_eq!(thanks["header"]["channelSessionId"], json!(session));

    let view = patchbay.public(&format!("/v1/sessions/{session}")).await.json();
    assert_eq!((&view["state"], &view["customer"]), (&json!("open"), &json!("+4917600000001")), "{view}");
    let listed = patchbay.admin("/api/sessions").await;
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let url = format!("{}/v1/sessions/{session}", patchbay.public);
    let ended = patchbay.http.ask(http::Method::DELETE, &url, "", "").await.unwrap();
    assert_eq!(ended.status, 200, "{}", ended.text);
    assert_eq!(patchbay.public(&format!("/v1/sessions/{session}")).await.json()["state"], "closed");

    peer.mo(ANN, DID, "One more thing").await;
    let later = sink.wait_for("one more", SOON, says("One more thing")).await.body;
    assert_ne!(later["header"]["channelSessionId"], json!(session), "an ended session stays ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_parts_that_come_in_any_order_and_marking() {
    let (peer, sink, _patchbay) = stage("").await;
    let plain = "A long text in the GSM alphabet, with {brackets} and € signs. ".repeat(6);
    let emoji = "Un très long texte 🎉 avec des émojis 😊🔧 et 漢字. ".repeat(5) + "Fin.";
    let concats = [MoConcat::Udh8, MoConcat::Udh16, MoConcat::Sar, MoConcat::Payload];
    for (n, (concat, text)) in concats.iter().flat_map(|c| [(c, &plain), (c, &emoji)]).enumerate() {
        for order in [MoOrder::Straight, MoOrder::Reversed, MoOrder::These(vec![1, 0, 1, 4, 2, 3, 0])] {
            let text = format!("{n} {order:?}: {text}");
            // A message_payload is one PDU, and the third order is for five parts.
            let parts = if text.is_ascii() || !text.contains('🎉') { 3 } else { 5 };
            if matches!(order, MoOrder::These(_)) && (*concat == MoConcat::Payload || parts != 5) {
                continue;
            }
            let mo = Mo {
                from: ANN.into(),
                to: DID.into(),
                text: text.trim_end().into(),
                concat: *concat,
                order,
                ..Mo::default()
            };
            peer.smsc().send_mo(&mo).unwrap();
            sink.wait_for(&mo.text, SOON, says(&mo.text)).await;
        }
    }
    let texts = sink.texts();
    println!("{} long messages came whole and once", texts.len());
    let distinct: std::collections::BTreeSet<_> = texts.iter().collect();
    assert_eq!(distinct.len(), texts.len(), "none twice");
    until("all parts acknowledged", SOON, || async {
        let open = peer.smsc().deliveries_open();
        if open == 0 { Ok(()) } else { Err(open) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_what_stays_incomplete_is_delivered_as_far_as_it_came() {
    let (peer, sink, patchbay) = stage("reassembly_timeout = \"1s\"").await;
    let text = "first part ".repeat(15) + &"second part ".repeat(14);
    let mo = |order| Mo { from: ANN.into(), to: DID.into(), text: text.clone(), order, ..Mo::default() };
    peer.smsc().send_mo(&mo(MoOrder::These(vec![0]))).unwrap();
    peer.until_count("mo_parts_acked", 1, SOON).await;
    // An acknowledged part is durable: it survives kill -9, and so does its deadline.
    let _patchbay = patchbay.kill_and_restart().await;
    let came = sink
        .wait_for("what came of it", SOON, |m| {
            m["body"]["markdownText"].as_str().is_some_and(|t| t.starts_with("first part"))
        })
        .await;
    let came = came.body["body"]["markdownText"].as_str().unwrap().to_owned();
    println!("what came: {came:?}");
    assert!(came.len() < text.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn and_a_quiet_session_is_ended_also_after_a_restart() {
    let (peer, sink, patchbay) = stage("inactivity_timeout = \"2s\"").await;
    peer.mo(ANN, DID, "Hello").await;
    let first = sink.wait_for("hello", SOON, says("Hello")).await;
    let ended = sink.wait_for("its end", SOON, intent("END_CHAT")).await;
    let quiet = ended.at - first.at;
    println!("ended after {quiet:?} of silence; told: {}", ended.body["header"]["entities"]);
    assert!(quiet.as_millis() >= 1_900, "not before its time: {quiet:?}");
    let session = first.body["header"]["channelSessionId"].clone();
    assert_eq!(ended.body["header"]["channelSessionId"], session);

    // Another part, whose deadline passes while the process is down.
    peer.mo("4917600000002", DID, "Hello too").await;
    let second = sink.wait_for("hello too", SOON, says("Hello too")).await.body;
    let (setup, folder) = patchbay.kill().await;
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    assert_eq!(sink.taken().iter().filter(|t| intent("END_CHAT")(&t.body)).count(), 1);
    let patchbay = setup.start_in(folder).await.unwrap();
    let session = second["header"]["channelSessionId"].as_str().unwrap().to_owned();
    sink.wait_for("the end of the second", SOON, |m| {
        intent("END_CHAT")(m) && m["header"]["channelSessionId"] == session.as_str()
    })
    .await;
    assert_eq!(patchbay.public(&format!("/v1/sessions/{session}")).await.json()["state"], "closed");
    assert_eq!(sink.taken().iter().filter(|t| intent("END_CHAT")(&t.body)).count(), 2, "each told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_opened_taken_over_and_kept_from_others() {
    let (_peer, _sink, patchbay) = stage("").await;
    let open = |handler: &str, takeover: bool| {
        let body = json!({ "serviceIdentifier": DID, "customer": "+4917600000001", "handler": handler, "takeover": takeover });
        let url = format!("{}/v1/sessions", patchbay.public);
        let http = patchbay.http.clone();
        async move { http.post(&url, body.to_string()).await.unwrap() }
    };
    let first = open("ann", false).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let first = first.json();
    assert_eq!((&first["state"], &first["handler"]), (&json!("open"), &json!("ann")));
    assert_eq!(open("ann", false).await.json()["sessionId"], first["sessionId"], "hers already");
    assert_eq!(open("bob", false).await.status, 409, "held by another");
    let taken = open("bob", true).await.json();
    assert_eq!(taken["handler"], "bob", "{taken}");
    let patchbay = patchbay.kill_and_restart().await;
    let id = taken["sessionId"].as_str().unwrap();
    assert_eq!(patchbay.public(&format!("/v1/sessions/{id}")).await.json()["handler"], "bob");
}
