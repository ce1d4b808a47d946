//! Retention never takes what is still owed: messages that are held, scheduled, queued or wait for
//! their receipts, and deliveries that wait or were given up, are found and settled however old
//! they are, also after a restart, and after the index was lost.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use actors::{Config, Refusal, Router, config::Limits};
use message::{MessageId, MessageStatus, event::DoubtSettlement};
use serde_json::{Value, json};
use storage::{Crash, Log, Options};

use crate::{
    ANN, paper,
    paper::Paper,
    says,
    stage::{self, DID, World, id},
    taken,
};

const BOB: &str = "+4917600000002";
const RETENTION_MS: u64 = 8_000;

async fn start(world: &Arc<World>) -> (Router, Log) {
    let mut config = stage::config(vec![("paper", Paper::default().channel())]);
    for channel in &mut config.channels {
        channel.on_unknown = actors::config::OnUnknown::Hold;
        channel.receipt_timeout = Duration::from_secs(365 * 24 * 3_600);
    }
    let limits = Limits { checkpoint_every: Duration::from_millis(200), ..Limits::default() };
    let retention = Some(Duration::from_millis(RETENTION_MS));
    let options = Options { segment_bytes: 20_000, ..Options::default() };
    world.start_as(options, Config { limits, retention, ..config }).await
}

async fn send(router: &Router, id: &str, customer: &str, text: &str, send_at: Option<u64>) {
    post(router, id, customer, text, send_at).await.unwrap();
}

async fn post(
    router: &Router,
    id: &str,
    customer: &str,
    text: &str,
    send_at: Option<u64>,
) -> Result<(), Refusal> {
    let mut attributes = Vec::new();
    if let Some(at) = send_at {
        attributes.push(json!({ "key": "sendAt", "type": "String100", "value": at.to_string() }));
    }
    let message = json!({
        "id": id,
        "header": { "channelData": {
            "channelCustomerIdentifier": customer, "serviceIdentifier": DID, "additionalAttributes": attributes } },
        "body": { "type": "PLAIN", "markdownText": text },
    });
    let message = message::cim::parse(message.to_string().as_bytes()).unwrap();
    router.accept(vec![message], &actors::Origin::default()).await.pop().unwrap().map(|_| ())
}

async fn brings(router: &Router, items: &[Value]) {
    let answer = router.webhook(&id(), &paper::call(items)).await;
    assert!(taken(&answer), "{answer:?}");
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lets time pass, with another customer's traffic, until retention has removed everything so far.
async fn outlive(world: &World, router: &Router, log: &Log, round: usize) {
    let end = log.committed();
    let mut n = 0;
    until("retention removes segments", async || {
        world.pass(RETENTION_MS / 4);
        for _ in 0..20 {
            n += 1;
            brings(router, &[json!({ "id": format!("b{round}-{n}"), "from": BOB, "text": "x".repeat(100) })])
                .await;
        }
        log.stats().unwrap().first > end
    })
    .await;
}

async fn status(router: &Router, id: &str) -> MessageStatus {
    router.message(&MessageId::new(id)).await.unwrap_or_else(|e| panic!("{id}: {e}")).status
}

#[tokio::test]
async fn whatever_is_owed_is_found_and_settled_after_twice_the_retention() {
    let world = World::new();
    let (router, log) = start(&world).await;
    let far = world.now() + 1_000_000_000_000;
    send(&router, "held", ANN, "lost on the way", None).await;
    send(&router, "held too", ANN, "lost again", None).await;
    until("both are held", async || router.in_doubt(None, None, 10).await.unwrap().items.len() == 2).await;
    send(&router, "sent", ANN, "hello", None).await;
    let sent = world.wait_sent("hello", |v| v["text"] == "hello").await;
    let number = world.sent().iter().position(|v| v["text"] == "hello").unwrap() + 1;
    send(&router, "scheduled", ANN, "later", Some(far)).await;
    send(&router, "scheduled too", "+4917600000003", "later", Some(far)).await;
    until("it is sent", async || status(&router, "sent").await == MessageStatus::Sent).await;
    world.is_down.store(true, Ordering::SeqCst);
    brings(&router, &[says("in-1", "is anybody there?")]).await;
    let alias = json!({ "id": "in-2", "from": ANN, "text": "hm", "aliases": ["user-ann"] });
    brings(&router, &[alias]).await;
    outlive(&world, &router, &log, 1).await;
    outlive(&world, &router, &log, 2).await;

    for id in ["held", "held too", "sent", "scheduled", "scheduled too"] {
        let shown = router.message(&MessageId::new(id)).await.unwrap_or_else(|e| panic!("{id}: {e}"));
        assert_eq!(shown.message_id.as_str(), id);
        assert_eq!(&*shown.customer, if id == "scheduled too" { "+4917600000003" } else { ANN });
    }
    let session = router.message(&"held".into()).await.unwrap().session_id.0;
    assert_eq!(router.session(session, None).await.unwrap().state, "open");
    assert_eq!(
        router.find_session(DID, "user-ann").await.unwrap(),
        session,
        "the other name still leads there"
    );

    // The process dies, and the index is lost: all of it follows from what is left of the log.
    drop((router, log));
    world.disk.crash(Crash::Lose);
    storage::Engine::remove(&world.disk.engine(), "index").unwrap();
    let (router, log) = start(&world).await;
    assert_eq!(router.in_doubt(None, None, 10).await.unwrap().items.len(), 2);
    router.settle_doubt(&"held".into(), 1, DoubtSettlement::Sent).await.unwrap();
    router.settle_doubt(&"held too".into(), 1, DoubtSettlement::Fail).await.unwrap();
    assert_eq!(status(&router, "held").await, MessageStatus::Sent);
    assert_eq!(status(&router, "held too").await, MessageStatus::Failed);
    router.cancel(&"scheduled".into()).await.unwrap();
    // Receipts by the provider's id, and by ours.
    brings(&router, &[json!({ "report": "delivered", "id": format!("p-{number}"), "from": ANN })]).await;
    assert_eq!(status(&router, "sent").await, MessageStatus::Delivered);
    brings(&router, &[json!({ "report": "read", "id": "", "reference": sent["reference"], "from": ANN })])
        .await;
    assert_eq!(status(&router, "sent").await, MessageStatus::Read);
    let again = post(&router, "scheduled too", "+4917600000003", "another text", None).await;
    assert!(matches!(again, Err(Refusal::IdDiffers(_))), "{again:?}");
    send(&router, "scheduled too", "+4917600000003", "later", None).await;
    assert_eq!(world.sent().iter().filter(|v| v["text"] == "another text").count(), 0, "its id is known");

    world.is_down.store(false, Ordering::SeqCst);
    until("the customer's words arrive", async || {
        world.pass(10_000);
        world.taken().iter().any(|v| v["body"]["markdownText"] == "is anybody there?")
    })
    .await;
    assert!(log.poisoned().is_none());
}

#[tokio::test]
async fn what_lost_its_beginning_is_left_out_and_never_guessed() {
    let world = World::new();
    let (router, log) = start(&world).await;
    brings(&router, &[says("in-1", "one")]).await;
    world.text("one").await;
    let session = router.find_session(DID, ANN).await.unwrap();
    outlive(&world, &router, &log, 1).await;
    router.end_session(session).await.unwrap();
    drop((router, log));
    world.disk.crash(Crash::Lose);
    storage::Engine::remove(&world.disk.engine(), "index").unwrap();
    let (router, _log) = start(&world).await;
    assert!(router.find_session(DID, ANN).await.is_err(), "it is over");
    brings(&router, &[says("in-9", "again")]).await;
    let again = world.text("again").await;
    let second = again["header"]["channelSessionId"].as_str().unwrap().to_owned();
    assert!(second.ends_with("-2"), "its numbers go on: {second}");
}
