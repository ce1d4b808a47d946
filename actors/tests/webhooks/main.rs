//! Webhooks into a router: each customer's message becomes one delivery, however often and in
//! whatever pieces it comes, and nothing is answered as taken before its flush.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends on the first surprise, and lives in real time"
)]

mod clock;
mod conversation;
mod files;
mod moves;
mod once;
mod owed;
mod paper;
mod past;
mod repeats;
mod spellings;
mod stage;
#[path = "../support/mod.rs"]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actors::{Origin, config::Limits, webhook::WebhookAnswer};
use channels::http::Reply;
use serde_json::{Value, json};
use stage::{World, id};
use storage::Crash;

const ANN: &str = "+4917600000001";

fn says(id: &str, text: &str) -> Value {
    json!({ "id": id, "from": ANN, "text": text })
}

fn taken(answer: &WebhookAnswer) -> bool {
    *answer == WebhookAnswer::Reply(Reply::json("{\"taken\":true}"))
}

#[tokio::test]
async fn a_signed_call_becomes_deliveries_and_is_answered_in_the_providers_words() {
    let world = World::new();
    let router = world.start(paper::Paper::default().channel()).await;
    let items = [says("a", "one"), json!({ "broken": true }), says("b", "two")];
    let answer = router.webhook(&id(), &paper::call(&items)).await;
    assert!(taken(&answer), "{answer:?}");
    let one = world.text("one").await;
    world.text("two").await;
    assert_eq!(one["header"]["channelData"]["channelCustomerIdentifier"], ANN);
    assert_eq!(one["header"]["channelData"]["serviceIdentifier"], stage::DID);
    assert_eq!(one["header"]["providerMessageId"], "a");
    assert_eq!(world.taken().len(), 2, "a broken item loses no other and is none itself");
}

#[tokio::test]
async fn a_wrong_call_changes_nothing() {
    let world = World::new();
    let router = world.start(paper::Paper::default().channel()).await;
    let body = serde_json::to_vec(&[says("a", "one")]).unwrap();
    let before = router.committed();
    let cases = [
        (
            paper::signed("", body.clone()),
            WebhookAnswer::Refused { status: 401, reason: "x-signature is missing".into(), challenge: None },
        ),
        (
            paper::signed("bad", body),
            WebhookAnswer::Refused {
                status: 403,
                reason: "x-signature does not fit".into(),
                challenge: None,
            },
        ),
        (paper::signed("good", b"{".to_vec()), WebhookAnswer::Malformed("the body is not JSON".into())),
    ];
    for (call, expected) in cases {
        assert_eq!(router.webhook(&id(), &call).await, expected);
    }
    assert_eq!(router.webhook(&"none".into(), &paper::call(&[])).await, WebhookAnswer::Unknown);
    assert_eq!((router.committed(), world.taken().len()), (before, 0));
    let mut hello = paper::signed("", Vec::new());
    hello.query = "challenge=42".into();
    assert_eq!(router.webhook(&id(), &hello).await, WebhookAnswer::Reply(Reply::text("42")));
}

#[tokio::test]
async fn a_repetition_is_one_delivery_in_one_call_in_flight_and_after_a_crash() {
    let world = World::new();
    let router = world.start(paper::Paper::default().channel()).await;
    let items = [says("a", "one"), says("a", "one"), says("b", "two")];
    let call = paper::call(&items);
    let channel = id();
    let (first, second) = tokio::join!(router.webhook(&channel, &call), router.webhook(&channel, &call));
    assert!(taken(&first) && taken(&second));
    world.text("two").await;
    drop(router);
    world.disk.crash(Crash::Lose);
    let router = world.start(paper::Paper::default().channel()).await;
    assert!(taken(&router.webhook(&id(), &paper::call(&[says("a", "one"), says("c", "three")])).await));
    world.text("three").await;
    let texts: Vec<_> = world.taken().iter().map(|v| v["body"]["markdownText"].clone()).collect();
    assert_eq!(texts, ["one", "two", "three"], "each once, in order");
}

#[tokio::test]
async fn what_cannot_be_flushed_is_to_be_repeated() {
    let world = World::new();
    let router = world.start(paper::Paper::default().channel()).await;
    world.disk.fail_flush_after(0);
    let answer = router.webhook(&id(), &paper::call(&[says("a", "one")])).await;
    assert!(matches!(answer, WebhookAnswer::Busy { .. }), "{answer:?}");
    drop(router);
    world.disk.crash(Crash::Lose);
    let router = world.start(paper::Paper::default().channel()).await;
    assert!(taken(&router.webhook(&id(), &paper::call(&[says("a", "one")])).await));
    world.text("one").await;
    assert_eq!(world.taken().len(), 1);
}

#[tokio::test]
async fn the_shared_address_gives_each_account_its_own_and_loses_none() {
    let world = World::new();
    let paper =
        |shared, word| paper::Paper { shared: Some(shared), word, ..paper::Paper::default() }.channel();
    let channels = || {
        vec![("one", paper("111", "good")), ("two", paper("222", "good")), ("three", paper("333", "other"))]
    };
    let router = world.start_all(channels()).await;
    let entry = |id: &str, message: &str| json!({ "id": id, "messaging": [says(message, message)] });
    let body = json!({ "object": "page", "entry": [
        entry("111", "a"), entry("999", "stranger"), entry("333", "unsigned"), entry("222", "b"), 7,
        { "id": "222", "messaging": 7 }, entry("111", "c"),
    ]});
    let call = |word: &str, body: &Value| paper::signed(word, body.to_string().into_bytes());
    let before = router.committed();
    assert!(matches!(
        router.shared_webhook(&call("wrong", &body)).await,
        WebhookAnswer::Refused { status: 403, .. }
    ));
    assert!(matches!(
        router.shared_webhook(&call("", &body)).await,
        WebhookAnswer::Refused { status: 401, .. }
    ));
    assert!(matches!(router.shared_webhook(&call("good", &json!([]))).await, WebhookAnswer::Malformed(_)));
    assert_eq!(router.committed(), before, "nothing was changed");
    for _ in 0..2 {
        let answer = router.shared_webhook(&call("good", &body)).await;
        assert_eq!(answer, WebhookAnswer::Reply(Reply::text("EVENT_RECEIVED")));
    }
    let mut of_one = Vec::new();
    for text in ["a", "b", "c"] {
        of_one.push(world.text(text).await["header"]["channelData"]["serviceIdentifier"].clone());
    }
    assert_eq!(of_one, ["5155", "5156", "5155"]);
    assert_eq!(world.taken().len(), 3, "{:#?}", world.taken());
}

/// A message of the business to a customer.
fn to(customer: &str, n: usize) -> message::cim::Message {
    let message = json!({
        "id": format!("m{n}"),
        "header": { "channelData": { "channelCustomerIdentifier": customer, "serviceIdentifier": stage::DID } },
        "body": { "type": "PLAIN", "markdownText": format!("m{n}") },
    });
    message::cim::parse(message.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn the_business_waits_for_a_checkpoint_that_is_too_far_behind_and_customers_do_not() {
    let world = World::new();
    let hour = Duration::from_secs(3_600);
    let limits = Limits { checkpoint_every: hour, replay_events_max: 8, ..Limits::default() };
    let router = world.start_with(limits, vec![("paper", paper::Paper::default().channel())]).await;
    let post = async |n: usize| router.accept(vec![to(ANN, n)], &Origin::default()).await.pop().unwrap();
    // Far more than may be replayed: taken at once, since it is a customer who writes.
    let items: Vec<Value> = (0..40).map(|n| says(&n.to_string(), "hello")).collect();
    assert!(taken(&router.webhook(&id(), &paper::call(&items)).await));
    let begun = Instant::now();
    assert!(post(1).await.is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(10), "it did not wait");
    // Each checkpoint comes when there is something to replay, not when its hour has come.
    for n in 2..12 {
        assert!(post(n).await.is_ok(), "m{n}");
    }
}

/// A campaign to customers who are not in memory, as fast as it is taken: what is not written yet
/// stays within its bound, nobody waits long, and all of it is there in the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_to_strangers_is_taken_no_faster_than_it_is_written() {
    const CUSTOMERS: usize = 20_000;
    const BATCH: usize = 50;
    const UNWRITTEN: u64 = 1_000_000;
    let world = World::new();
    let hour = Duration::from_secs(3_600);
    let limits = Limits {
        checkpoint_every: hour,
        checkpoint_events: u64::MAX,
        replay_events_max: u64::MAX,
        unwritten_bytes_max: UNWRITTEN,
        live_sessions_max: 64,
        ..Limits::default()
    };
    let (router, log) = world.start_on_log(limits, vec![("paper", paper::Paper::default().channel())]).await;
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (router, log, next) = (router.clone(), log.clone(), next.clone());
        senders.spawn(async move {
            let (mut most, mut longest) = (0, Duration::ZERO);
            loop {
                let from = next.fetch_add(BATCH, Ordering::Relaxed);
                if from >= CUSTOMERS {
                    return (most, longest);
                }
                let all = (from..from + BATCH).map(|n| to(&format!("+49176{n:08}"), n)).collect();
                let begun = Instant::now();
                let answers = router.accept(all, &Origin::default()).await;
                longest = longest.max(begun.elapsed());
                assert!(answers.iter().all(Result::is_ok), "{answers:?}");
                let unwritten = log.index().delta();
                most = most.max(unwritten.live_bytes + unwritten.frozen_bytes);
            }
        });
    }
    let (mut most, mut longest) = (0, Duration::ZERO);
    while let Some(done) = senders.join_next().await {
        let (this, took) = done.unwrap();
        (most, longest) = (most.max(this), longest.max(took));
    }
    // Twice the bound while a checkpoint has moved all but not ended, and what the hosts keep of
    // live sessions.
    let of_live = 2 * (32 + 1_024) * 500;
    assert!(most < 2 * UNWRITTEN as usize + of_live, "{most} bytes were not written");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    assert!(log.index().len() > CUSTOMERS as u64 / 4, "checkpoints wrote {}", log.index().len());
    let found = log.index().scan(None, CUSTOMERS + 1).unwrap().len();
    assert!(found > CUSTOMERS - 2 * (32 + 1_024) && found <= CUSTOMERS, "{found}");
}
