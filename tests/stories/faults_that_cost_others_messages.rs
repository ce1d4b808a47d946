//! The faults by which Kannel 1.4.5 lost messages or receipts, each with the simulated SMSC and
//! with the npm library `smpp`: nothing accepted is lost, and a text that the SMSC gets twice is
//! flagged as a resend after doubt.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    Patchbay, Peer, Setup, Sink,
    cim::{self, DID, customer},
    figure,
    peer::With,
    until,
};

/// Time limit of a case, for all its messages.
const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    with: With,
    peer: Peer,
    sink: Sink,
    setup: Setup,
}

impl Stage {
    async fn set(with: With, script: Value, keys: &str, account: &str) -> Self {
        let peer = Peer::start(with, script).await;
        let sink = Sink::start().await;
        let setup =
            Setup::new().destination("support", &sink.url, "").channel("sms", DID, peer.port, keys, account);
        Self { with, peer, sink, setup }
    }

    async fn start(&self) -> Patchbay {
        let patchbay = self.setup.clone().start().await;
        patchbay.until_channel("sms", "connected").await;
        patchbay
    }

    async fn until_delivered(&self, count: usize) {
        until("all delivered", PATIENCE, || async {
            let delivered = self.sink.notified("DELIVERED");
            if delivered >= count {
                Ok(())
            } else {
                Err(format!("{delivered} of {count}; {}", self.peer.counts().await))
            }
        })
        .await;
    }

    /// Checks the rules for every case, and prints the figures.
    async fn settle(&self, patchbay: &Patchbay, count: usize, case: &str, kannel: &str) {
        self.until_delivered(count).await;
        let times = self.peer.times().await;
        assert_eq!(times.len(), count, "every message reached the SMSC");
        let notifications = self.sink.notifications();
        assert!(notifications.values().all(|all| *all == ["DELIVERED"]), "one notification each");
        let mut twice = BTreeMap::new();
        for (text, times) in times.into_iter().filter(|(_, times)| *times > 1) {
            let view = patchbay.message(&text).await;
            let resent = view["parts"][0]["resentInDoubt"].as_u64();
            assert!(
                resent.unwrap() as usize >= times - 1,
                "{text} came {times} times and is not flagged: {view}"
            );
            twice.insert(text, times);
        }
        let unmatched = patchbay.admin("/api/receipts/unmatched").await;
        let (unmatched, in_doubt) =
            (unmatched.as_array().unwrap().len(), patchbay.admin("/api/in-doubt").await);
        let with = if self.with == With::Sim { "sim smsc" } else { "npm smpp" };
        figure(&format!(
            "| {case} | {with} | {kannel} | {count} of {count} delivered and notified once, {} sent again after doubt (each flagged), {} still listed as resent or in doubt, {unmatched} receipts unmatched |",
            twice.len(),
            in_doubt.as_array().unwrap().len(),
        ));
        assert_eq!(unmatched, 0, "every receipt found its message");
    }
}

fn texts(from: usize, to: usize) -> Vec<Value> {
    (from..to).map(|n| cim::text(&format!("m-{n}"), &customer(n), &format!("m-{n}"))).collect()
}

async fn kill_9_under_load(with: With) {
    const COUNT: usize = 2_000;
    let stage =
        Stage::set(with, json!({ "latency_ms": 20, "receipt_delay_ms": 200 }), "doubt_grace = \"2s\"", "")
            .await;
    let mut patchbay = stage.start().await;
    let all = texts(0, COUNT);
    for (n, several) in all.chunks(COUNT / 4).enumerate() {
        patchbay.send_all(several).await;
        // Some messages are sent, some await an answer, some have not left.
        stage.peer.until_count("accepted", (n * COUNT / 4 + 100) as u64, PATIENCE).await;
        patchbay = patchbay.kill_and_restart().await;
    }
    stage
        .settle(
            &patchbay,
            COUNT,
            "kill -9 under load, 4 times",
            "360 of 2,000 sent (no store); 70-80 receipts lost (file store)",
        )
        .await;
}

async fn clean_restart_with_receipts_awaited(with: With) {
    let stage = Stage::set(with, json!({ "receipt_delay_ms": 2_000 }), "", "").await;
    let patchbay = stage.start().await;
    patchbay.send_all(&texts(0, 500)).await;
    stage.peer.until_count("accepted", 500, PATIENCE).await;
    assert_eq!(stage.sink.notified("DELIVERED"), 0, "all receipts are still to come");
    let patchbay = patchbay.restart().await;
    stage.settle(&patchbay, 500, "clean restart with 500 receipts awaited", "0 of 500 receipts").await;
    assert_eq!(stage.peer.count("accepted").await, 500, "an orderly end leaves nothing in doubt");
}

async fn receipt_before_the_answer(with: With) {
    let stage = Stage::set(with, json!({ "receipt_first": "always" }), "", "").await;
    let patchbay = stage.start().await;
    patchbay.send_all(&texts(0, 2_000)).await;
    stage.settle(&patchbay, 2_000, "receipt before the submit_sm_resp", "0 of 2,000 receipts").await;
    assert_eq!(stage.peer.count("accepted").await, 2_000, "nothing was sent again");
}

async fn swallowed_answers(with: With) {
    let stage = Stage::set(
        with,
        json!({ "swallow": "1/100", "receipt_delay_ms": 100 }),
        "doubt_grace = \"3s\"",
        "reply_timeout = \"1s\"",
    )
    .await;
    let patchbay = stage.start().await;
    patchbay.send_all(&texts(0, 2_000)).await;
    stage.settle(&patchbay, 2_000, "each 100th answer swallowed", "20 receipts lost").await;
    assert_eq!(stage.peer.count("swallowed").await, 20);
    assert_eq!(
        stage.peer.count("accepted").await,
        2_000,
        "their receipts settled the doubt; nothing was sent again"
    );
}

async fn hexadecimal_then_decimal(with: With) {
    let stage = Stage::set(with, json!({ "id_style": "hex_then_decimal" }), "", "").await;
    let patchbay = stage.start().await;
    patchbay.send_all(&texts(0, 2_000)).await;
    stage
        .settle(&patchbay, 2_000, "ids hexadecimal in answers, decimal in receipts", "0 of 2,000 receipts")
        .await;
}

async fn throttled_at_200(with: With) {
    let stage = Stage::set(with, json!({ "throttle_per_second": 200 }), "", "").await;
    let patchbay = stage.start().await;
    let started = tokio::time::Instant::now();
    patchbay.send_all(&texts(0, 1_000)).await;
    stage.until_delivered(1_000).await;
    let took = started.elapsed();
    let case = format!("SMSC throttles at 200/s (1,000 took {:.1} s)", took.as_secs_f64());
    stage.settle(&patchbay, 1_000, &case, "361 of 1,000 after 150 s").await;
    assert_eq!(stage.peer.count("accepted").await, 1_000, "nothing was sent again");
}

async fn dropped_connections(with: With) {
    const COUNT: usize = 2_000;
    let stage =
        Stage::set(with, json!({ "latency_ms": 20, "receipt_delay_ms": 100 }), "doubt_grace = \"2s\"", "")
            .await;
    let patchbay = stage.start().await;
    patchbay.send_all(&texts(0, COUNT)).await;
    for at in [200, 800, 1_400] {
        stage.peer.until_count("accepted", at, PATIENCE).await;
        stage.peer.drop_connections().await;
    }
    stage.settle(&patchbay, COUNT, "three dropped connections", "all sent, 98-139 twice").await;
}

async fn a_rate_of_200(with: With) {
    let stage = Stage::set(with, json!({}), "send_rate = 200", "").await;
    let patchbay = stage.start().await;
    let started = tokio::time::Instant::now();
    patchbay.send_all(&texts(0, 1_000)).await;
    stage.until_delivered(1_000).await;
    let took = started.elapsed();
    let most = stage.peer.most_in_second().await;
    let case =
        format!("send_rate = 200: at most {most} in any second, 1,000 took {:.2} s", took.as_secs_f64());
    stage.settle(&patchbay, 1_000, &case, "249/s over 4 s").await;
    // A peer that was not scheduled sees its queue as a burst: 50 ms of that are 10 submits. The
    // simulation checks the rate exactly, on virtual time.
    assert!(most <= 210, "{most} in a second");
    assert!(took >= Duration::from_millis(4_900), "{took:?}");
}

/// Runs each case with each peer.
macro_rules! with_both {
    ($($case:ident),* $(,)?) => {
        mod sim_smsc {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(super::With::Sim).await;
            })*
        }
        mod npm_smpp {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(super::With::Npm).await;
            })*
        }
    };
}

with_both!(
    kill_9_under_load,
    clean_restart_with_receipts_awaited,
    receipt_before_the_answer,
    swallowed_answers,
    hexadecimal_then_decimal,
    throttled_at_200,
    dropped_connections,
    a_rate_of_200,
);
