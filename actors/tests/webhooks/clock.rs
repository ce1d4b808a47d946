//! A jump of one clock is doubted: what cannot be undone waits until the jump has lasted.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use actors::Router;
use message::MessageStatus;
use serde_json::json;

use crate::{
    ANN,
    paper::Paper,
    stage::{DID, World},
};

const HOUR_MS: u64 = 3_600_000;
const DAYS_MS: i64 = 3 * 24 * HOUR_MS as i64;

/// A message for later, with an end.
async fn scheduled(world: &World, router: &Router) {
    let attribute = |key: &str, at: u64| json!({ "key": key, "type": "String100", "value": at.to_string() });
    let times =
        [attribute("sendAt", world.now() + 2 * HOUR_MS), attribute("expiresAt", world.now() + 4 * HOUR_MS)];
    let message = json!({
        "id": "later",
        "header": { "channelData": {
            "channelCustomerIdentifier": ANN, "serviceIdentifier": DID, "additionalAttributes": times } },
        "body": { "type": "PLAIN", "markdownText": "later" },
    });
    let message = message::cim::parse(message.to_string().as_bytes()).unwrap();
    router.accept(vec![message], &actors::Origin::default()).await.pop().unwrap().unwrap();
}

/// Several ticks of the timers.
async fn ticks() {
    tokio::time::sleep(Duration::from_millis(600)).await;
}

async fn status(router: &Router) -> MessageStatus {
    router.message(&"later".into()).await.unwrap().status
}

async fn started() -> (Arc<World>, Router) {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    scheduled(&world, &router).await;
    ticks().await;
    (world, router)
}

#[tokio::test]
async fn a_jump_of_three_days_for_three_seconds_sends_nothing_early_and_expires_nothing() {
    for by in [DAYS_MS, -DAYS_MS, 3 * HOUR_MS as i64] {
        let (world, router) = started().await;
        world.skew.store(by, Ordering::SeqCst);
        for _ in 0..3 {
            ticks().await;
            world.pass(1_000);
        }
        assert_eq!(router.clock_doubt_ms(), Some(by));
        assert_eq!(status(&router).await, MessageStatus::Queued, "{by}");
        world.skew.store(0, Ordering::SeqCst);
        ticks().await;
        assert_eq!(router.clock_doubt_ms(), None);
        assert_eq!((status(&router).await, world.sent().len()), (MessageStatus::Queued, 0), "{by}");
        // Its time comes as if nothing had happened.
        world.pass(2 * HOUR_MS);
        world.wait_sent("it", |v| v["text"] == "later").await;
    }
}

#[tokio::test]
async fn a_jump_that_lasts_is_believed() {
    let (world, router) = started().await;
    world.skew.store(DAYS_MS, Ordering::SeqCst);
    ticks().await;
    world.pass(4 * 60_000);
    ticks().await;
    assert_eq!(status(&router).await, MessageStatus::Queued);
    world.pass(2 * 60_000);
    let failed = world.wait("its end", |v| v["body"]["type"] == "DELIVERYNOTIFICATION").await;
    assert!(failed.to_string().contains("expired"), "{failed}");
    assert_eq!((status(&router).await, router.clock_doubt_ms()), (MessageStatus::Failed, None));
}

#[tokio::test]
async fn a_start_with_a_wrong_clock_waits_as_well() {
    for by in [DAYS_MS, -DAYS_MS] {
        let (world, router) = started().await;
        drop(router);
        world.disk.crash(storage::Crash::Lose);
        world.skew.store(by, Ordering::SeqCst);
        let router = world.start(Paper::default().channel()).await;
        ticks().await;
        assert!(router.clock_doubt_ms().is_some(), "{by}");
        assert_eq!((status(&router).await, world.sent().len()), (MessageStatus::Queued, 0), "{by}");
        world.skew.store(0, Ordering::SeqCst);
        world.pass(2 * HOUR_MS);
        world.wait_sent("it", |v| v["text"] == "later").await;
    }
}
