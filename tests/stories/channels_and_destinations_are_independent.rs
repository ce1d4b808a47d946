//! A provider that refuses, hangs or throttles, and a business that is down, affect nobody else.

use std::time::Duration;

use serde_json::{Value, json};
use simulators::smsc::Mo;
use tokio::{net::TcpListener, time::Instant};

use crate::support::{
    Patchbay, Peer, Setup, Sink,
    cim::{self, customer},
    figure,
    peer::With,
    until,
};

const GOOD: &str = "5155";
const BAD: &str = "6000";
const COUNT: usize = 1_200;
const ROUNDS: usize = 3;

fn texts(did: &str, name: &str, count: usize) -> Vec<Value> {
    let one = |n| cim::text_from(did, &format!("{name}-{n}"), &customer(n), &format!("{name} {n}"));
    (0..count).map(one).collect()
}

/// A Patchbay with a good channel, and optionally a bad one.
struct One {
    good: Peer,
    _sink: Sink,
    patchbay: Patchbay,
}

impl One {
    async fn start(bad_port: Option<u16>) -> Self {
        let good = Peer::start(With::Sim, json!({})).await;
        let sink = Sink::start().await;
        // A rate that a busy machine can keep.
        let mut setup = Setup::new().destination("support", &sink.url, "").channel(
            "good",
            GOOD,
            good.port,
            "send_rate = 300",
            "system_id = \"good\"",
        );
        if let Some(port) = bad_port {
            setup = setup.channel(
                "bad",
                BAD,
                port,
                "send_rate = 300",
                "system_id = \"bad\"\nreply_timeout = \"2s\"",
            );
        }
        let patchbay = setup.start().await;
        patchbay.until_channel("good", "connected").await;
        Self { good, _sink: sink, patchbay }
    }

    /// Returns the rate of the good channel in parts per second, from the first to the last
    /// accepted one.
    async fn rate(&self, name: &str) -> f64 {
        let before = self.good.smsc().submits().len();
        self.patchbay.send_all(&texts(GOOD, name, COUNT)).await;
        self.good.until_count("accepted", (before + COUNT) as u64, Duration::from_secs(60)).await;
        let submits = self.good.smsc().submits();
        let of = &submits[before..before + COUNT];
        let took = of[COUNT - 1].at_ms - of[0].at_ms;
        (COUNT - 1) as f64 * 1_000.0 / took as f64
    }
}

/// Compares with a second Patchbay without a bad channel that runs at the same time, so that the
/// machine's load affects both.
async fn compare(what: &str, bad_port: u16, trouble: impl AsyncFnOnce(&Patchbay)) {
    let (alone, beside) = tokio::join!(One::start(None), One::start(Some(bad_port)));
    trouble(&beside.patchbay).await;
    let mut least = f64::INFINITY;
    for round in 0..ROUNDS {
        let name = format!("round-{round}");
        let (alone, beside) = tokio::join!(alone.rate(&name), beside.rate(&name));
        let change = (alone - beside) / alone * 100.0;
        figure(&format!(
            "{what}: the other channel {alone:.1}/s alone, {beside:.1}/s beside it: {change:.1} % less"
        ));
        least = least.min(change);
        if least < 5.0 {
            break;
        }
    }
    println!("the bad one says of itself: {}", beside.patchbay.channel("bad").await["reason"]);
    // Noise differs from round to round; an influence would persist.
    assert!(least < 5.0, "{what}: {least:.1} % less in the best of {ROUNDS} rounds");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_smsc_that_refuses_connections() {
    let port = {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        tcp.local_addr().unwrap().port()
    };
    compare("refused connections, 2,000 messages queued", port, async |patchbay| {
        patchbay.send_all(&texts(BAD, "bad", 2_000)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_smsc_that_hangs() {
    // The SMSC accepts connections and binds, and then falls silent.
    let bad = Peer::start(With::Sim, json!({})).await;
    compare("an SMSC that hangs with its window full, 2,000 messages queued", bad.port, async |patchbay| {
        patchbay.until_channel("bad", "connected").await;
        bad.set(json!({ "silent": true })).await;
        patchbay.send_all(&texts(BAD, "bad", 2_000)).await;
    })
    .await;
}

fn write(peer: &Peer, system_id: &str, from: usize, to: &str, text: &str) {
    let from = customer(from).trim_start_matches('+').to_owned();
    let mo = Mo { system_id: system_id.into(), from, to: to.into(), text: text.into(), ..Mo::default() };
    peer.smsc().send_mo(&mo).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_down() {
    let peer = Peer::start(With::Sim, json!({})).await;
    let (up, down) = (Sink::start().await, Sink::start().await);
    let patchbay = Setup::new()
        .destination("support", &up.url, "")
        .destination("other", &down.url, "timeout = \"1s\"")
        .channel_to("support", "good", GOOD, peer.port, "", "system_id = \"good\"")
        .channel_to("other", "bad", BAD, peer.port, "", "system_id = \"bad\"")
        .start()
        .await;
    patchbay.until_channel("good", "connected").await;
    patchbay.until_channel("bad", "connected").await;
    // Measures the time from a customer's message to the business, one message after the other.
    let round = async |name: &str| {
        let mut all: Vec<Duration> = Vec::new();
        for n in 0..100 {
            let (text, started) = (format!("{name} {n}"), Instant::now());
            write(&peer, "good", n, GOOD, &text);
            let taken = up
                .wait_for(&text, Duration::from_secs(20), |m| m["body"]["markdownText"] == text.as_str())
                .await;
            all.push(taken.at - started);
        }
        all.sort_unstable();
        (all[50], all[98])
    };
    round("warm-up").await;
    let (median, p99) = round("before").await;
    for (status, name) in [(503, "refuses"), (0, "hangs")] {
        if status == 0 {
            down.hang()
        } else {
            down.refuse_with(status)
        }
        for n in 0..500 {
            write(&peer, "bad", n, BAD, &format!("{name} kept {n}"));
        }
        let (beside, beside_p99) = round(name).await;
        figure(&format!(
            "a destination that {name}, 500 customers waiting for it: customer to the other destination {median:?} (p99 {p99:?}) before, {beside:?} (p99 {beside_p99:?}) beside it"
        ));
        assert!(beside < median * 2 + Duration::from_millis(10), "{median:?} before, {beside:?} beside it");
    }
    assert!(down.refused() > 0);
    assert_eq!(down.len(), 0);
    assert_eq!(up.texts().len(), 400, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn and_what_it_missed_comes_in_order_when_it_is_up_again() {
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let patchbay = Setup::simple(peer.port, &sink.url).start().await;
    patchbay.until_channel("sms", "connected").await;
    sink.refuse_with(500);
    for n in 0..20 {
        for from in 0..10 {
            peer.mo(&format!("49176000000{from:02}"), GOOD, &format!("{n}")).await;
        }
    }
    peer.until_count("mo_acked", 200, Duration::from_secs(20)).await;
    let patchbay = patchbay.kill_and_restart().await;
    sink.refuse_with(0);
    until("all of them", Duration::from_secs(30), || async {
        let count = sink.texts().len();
        if count == 200 { Ok(()) } else { Err(count) }
    })
    .await;
    let texts = sink.texts();
    for from in 0..10 {
        let customer = format!("+49176000000{from:02}");
        let order: Vec<_> =
            texts.iter().filter(|(c, _)| *c == customer).map(|(_, text)| text.clone()).collect();
        assert_eq!(order, (0..20).map(|n| n.to_string()).collect::<Vec<_>>(), "{customer}");
    }
    drop(patchbay);
}
