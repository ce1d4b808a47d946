//! A message goes out over a provider's HTTP API; the API's answer decides what happens next, and
//! others are not affected.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Patchbay, SOON, Setup, Sink,
    api::{self, API_KEY, Api, Mood},
    cim::{self, customer},
    figure, until,
};

const DID: &str = "+12025550100";

fn texts(name: &str, count: usize) -> Vec<Value> {
    let one = |n| cim::text_from(DID, &format!("{name}-{n}"), &customer(n), &format!("{name} {n}"));
    (0..count).map(one).collect()
}

async fn stage(keys: &str, http: &str) -> (Api, Sink, Patchbay) {
    let api = Api::start().await;
    let sink = Sink::start().await;
    let setup =
        Setup::new().http("public_url = \"https://patchbay.example\"").destination("support", &sink.url, "");
    let patchbay = api::channel(setup, "us", DID, api.address, keys, http).start().await;
    patchbay.until_channel("us", "connected").await;
    (api, sink, patchbay)
}

#[tokio::test(flavor = "multi_thread")]
async fn and_takes_a_message() {
    let (api, _sink, patchbay) = stage("", "").await;
    patchbay.send(&cim::text_from(DID, "m-1", "+4917600000001", "Hello Ann")).await;
    let view = patchbay.until_status("m-1", "SENT").await;
    assert!(view["parts"][0]["providerId"].as_str().unwrap().starts_with("tx-"), "{view}");
    let [call] = <[api::Call; 1]>::try_from(api.sent()).unwrap();
    assert_eq!(call.path, "/v2/messages");
    assert_eq!(call.headers["authorization"], format!("Bearer {API_KEY}"));
    assert_eq!((&call.body["to"], &call.body["text"]), (&json!("+4917600000001"), &json!("Hello Ann")));
    assert_eq!(call.body["webhook_url"], "https://patchbay.example/webhooks/us");
    // The exchange is shown without its secrets, although the API repeats its key.
    let said = patchbay.admin("/api/channels/us/exchanges?message=m-1").await;
    let [exchange] = &said.as_array().unwrap()[..] else { panic!("{said}") };
    assert_eq!((&exchange["status"], &exchange["messageId"]), (&json!(200), &json!("m-1")), "{exchange}");
    assert!(exchange["body"].as_str().unwrap().contains("Hello Ann"), "{exchange}");
    let trace = patchbay.admin("/api/messages/m-1").await;
    assert_eq!(trace["exchanges"], said, "{trace}");
    let page = patchbay.http.get(&format!("{}/message?id=m-1", patchbay.admin)).await.unwrap();
    assert!(page.text.contains("/v2/messages"), "{}", page.text);
    let all = patchbay.admin("/api/channels/us/exchanges").await;
    let metrics = patchbay.http.get(&format!("{}/metrics", patchbay.admin)).await.unwrap().text;
    // The probe, the list of the account's numbers, and the message.
    assert!(metrics.contains("patchbay_calls_total{channel=\"us\",outcome=\"2xx\"} 3"), "{metrics}");
    for shown in [all.to_string(), trace.to_string(), page.text, metrics, patchbay.stderr()] {
        assert!(!shown.contains(API_KEY), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn and_asks_for_less() {
    let (api, _sink, patchbay) = stage("", "").await;
    api.set(Mood::Refuses(429, 2));
    patchbay.send_all(&texts("wait", 200)).await;
    until("a pause", SOON, || async {
        let channel = patchbay.channel("us").await;
        if channel["pausedUntil"].is_null() { Err(channel.to_string()) } else { Ok(()) }
    })
    .await;
    let asked = api.sent().len();
    api.set(Mood::Takes);
    api.until_sent(asked + 200, SOON).await;
    for n in [0, 99, 199] {
        patchbay.until_status(&format!("wait-{n}"), "SENT").await;
    }
    let sent = api.sent();
    assert_eq!(sent.len(), asked + 200, "each is taken once");
    assert!(asked <= 32, "{asked} calls into a refusal");
    let gap = sent[asked].at - sent[asked - 1].at;
    assert!(gap > Duration::from_millis(1_500), "the channel came back after {gap:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn and_refuses_the_credentials() {
    let (api, _sink, patchbay) = stage("", "").await;
    api.set(Mood::Refuses(401, 0));
    api.set_look(Mood::Refuses(401, 0));
    patchbay.send_all(&texts("kept", 100)).await;
    let channel = patchbay.until_channel("us", "credentials_refused").await;
    assert!(!channel.to_string().contains(API_KEY), "{channel}");
    let asked = api.sent().len();
    assert!(asked <= 16, "{asked} calls with refused credentials");
    api.set(Mood::Takes);
    api.set_look(Mood::Takes);
    let restart = format!("{}/api/channels/us/restart", patchbay.admin);
    assert!(patchbay.http.post(&restart, "").await.unwrap().status < 300);
    api.until_sent(asked + 100, SOON).await;
    for n in 0..100 {
        patchbay.until_status(&format!("kept-{n}"), "SENT").await;
    }
    assert_eq!(api.sent().len(), asked + 100, "each is taken once");
}

#[tokio::test(flavor = "multi_thread")]
async fn and_breaks_off_or_answers_late() {
    let (api, _sink, patchbay) = stage("on_unknown = \"hold\"", "timeout = \"300ms\"").await;
    api.set(Mood::BreaksOff);
    patchbay.send(&cim::text_from(DID, "doubt", "+4917600000001", "may be there")).await;
    patchbay.until_status("doubt", "IN_DOUBT").await;
    api.set(Mood::Late(Duration::from_millis(900)));
    patchbay.send(&cim::text_from(DID, "late", "+4917600000002", "is there")).await;
    patchbay.until_status("late", "IN_DOUBT").await;
    let view = patchbay.until_status("late", "SENT").await;
    assert!(view["parts"][0]["providerId"].as_str().unwrap().starts_with("tx-"), "{view}");
    assert_eq!(api.sent().len(), 2, "nothing is sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn and_is_not_there() {
    let (api, _sink, patchbay) = stage("", "").await;
    let address = api.address;
    drop(api);
    patchbay.send_all(&texts("later", 300)).await;
    let channel = patchbay.until_channel("us", "disconnected").await;
    assert!(channel["reason"].as_str().unwrap().contains("refused"), "{channel}");
    let api = Api::start_on(address).await;
    patchbay.until_channel("us", "connected").await;
    api.until_sent(300, SOON).await;
    for n in 0..300 {
        patchbay.until_status(&format!("later-{n}"), "SENT").await;
    }
    assert_eq!(api.sent().len(), 300, "each is taken once");
    let log = patchbay.stderr();
    assert!(!log.contains(API_KEY), "{log}");
}

/// A Patchbay with a channel to a fast API, and optionally one to an API that hangs.
async fn fast(beside: Option<&Api>) -> (Api, Sink, Patchbay) {
    let api = Api::start().await;
    let sink = Sink::start().await;
    let setup =
        Setup::new().http("public_url = \"https://patchbay.example\"").destination("support", &sink.url, "");
    // A rate that a busy machine can keep.
    let mut setup = api::channel(setup, "fast", DID, api.address, "send_rate = 200", "");
    if let Some(slow) = beside {
        setup = api::channel(setup, "slow", SLOW, slow.address, "send_rate = 200", "timeout = \"5s\"");
    }
    let patchbay = setup.start().await;
    patchbay.until_channel("fast", "connected").await;
    (api, sink, patchbay)
}

const SLOW: &str = "+12025550199";
const COUNT: usize = 800;

/// Returns the rate of the fast channel in calls per second, from the first to the last.
async fn rate(api: &Api, patchbay: &Patchbay, name: &str) -> f64 {
    let before = api.sent().len();
    patchbay.send_all(&texts(name, COUNT)).await;
    api.until_sent(before + COUNT, 3 * SOON).await;
    let sent = api.sent();
    let took = sent[before + COUNT - 1].at - sent[before].at;
    (COUNT - 1) as f64 / took.as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn and_hangs_beside_a_fast_one() {
    let slow = Api::start().await;
    slow.set(Mood::Hangs);
    let (alone, beside) = tokio::join!(fast(None), fast(Some(&slow)));
    let texts: Vec<Value> =
        (0..200).map(|n| cim::text_from(SLOW, &format!("slow-{n}"), &customer(n), "waits")).collect();
    beside.2.send_all(&texts).await;
    slow.until_sent(16, SOON).await;
    let mut least = f64::INFINITY;
    for round in 0..3 {
        let name = format!("round-{round}");
        let (alone, beside) =
            tokio::join!(rate(&alone.0, &alone.2, &name), rate(&beside.0, &beside.2, &name));
        let change = (alone - beside) / alone * 100.0;
        figure(&format!(
            "an API that hangs: {alone:.1} calls a second alone, {beside:.1} beside it ({change:.1} %)"
        ));
        least = least.min(change);
    }
    assert!(least < 5.0, "the fast channel lost {least:.1} %");
    assert!(slow.sent().len() < 64, "{} calls to an API that hangs", slow.sent().len());
}
