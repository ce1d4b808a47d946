//! A provider hangs, then throttles, then works: nothing is lost, order is kept, the neighbouring
//! channel does not notice, and every attempt is listed. `HANG_S=` sets the duration of each fault
//! (seconds in the suite).

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use simulators::{rest::Script, smsc::Pattern};
use tokio::time::{Instant, sleep};

use super::{Keys, Simulated, number, setup, start};
use crate::support::{Sink, cim, cim::customer, figure, until};

/// Duration of each fault in the suite, in seconds.
const HANG_S: usize = 6;
/// Rate of the neighbouring channel, in parts per second.
const RATE: usize = 50;
const CUSTOMERS: usize = 12;
const MESSAGES: usize = 120;

/// Default number of concurrent calls of a channel.
const CONNECTIONS: u64 = 16;
/// Maximum number of parts that are probed in a minute, with growing pauses.
const TRIALS_MAX: u64 = 8;

/// Tolerance for the neighbouring channel.
const PACED: Keys = Keys { channel: "send_rate = 50", http: "" };

/// A paced channel as its provider saw it.
struct Paced {
    before: f64,
    during: f64,
    gap_ms: u64,
}

impl Paced {
    fn of(one: &Simulated, calm: Duration, troubled: Duration) -> Self {
        let messages = one.simulator.messages();
        let times: Vec<u64> = messages.iter().map(|message| message.at_ms - messages[0].at_ms).collect();
        let rate = |from: Duration, to: Duration| {
            let (from, to) = (from.as_millis() as u64, to.as_millis() as u64);
            let count = times.iter().filter(|at| (from..to).contains(at)).count();
            count as f64 * 1_000.0 / (to - from) as f64
        };
        let gap_ms = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
        Self { before: rate(Duration::ZERO, calm), during: rate(calm, calm + troubled), gap_ms }
    }
}

impl std::fmt::Display for Paced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { before, during, gap_ms } = self;
        write!(f, "{before:.1} parts/s before, {during:.1} parts/s meanwhile (longest gap {gap_ms} ms)")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn and_nobody_loses_by_it() {
    let trouble = Duration::from_secs(number("HANG_S", HANG_S) as u64);
    let patience = Duration::from_secs(60) + trouble * 2;
    let quick = Script { receipt_sent_ms: 0, ..Script::default() };
    let ill = Simulated::start("whatsapp_cloud", Script { hang_accepts: false, ..quick.clone() }).await;
    let neighbour = Simulated::start("telnyx", quick.clone()).await;
    let sink = Sink::start().await;
    let keys = Keys {
        channel: "send_rate = 200\nbackoff = \"100ms\"\nbackoff_max = \"1s\"\ndoubt_grace = \"1s\"\ntries_max = 10000",
        http: "timeout = \"2s\"",
    };
    let setup_of_both = neighbour.channel(ill.channel(setup(&sink), keys), PACED);
    let patchbay = start(setup_of_both, &[&ill, &neighbour]).await;
    // The neighbour alone: shows the influence of the machine on its rate.
    let alone = Simulated::start("telnyx", quick).await;
    let undisturbed = start(alone.channel(setup(&sink), PACED), &[&alone]).await;

    // The neighbours have work until the end, and first show their rates undisturbed.
    let calm = Duration::from_secs(3);
    let count = RATE * (calm + trouble * 2 + Duration::from_secs(2)).as_secs() as usize;
    let texts: Vec<_> = (0..count)
        .map(|n| {
            cim::text_from(
                alone.simulator.credential("number"),
                &format!("n-{n}"),
                &customer(n % 500),
                "steady",
            )
        })
        .collect();
    for (patchbay, one) in [(&patchbay, &neighbour), (&undisturbed, &alone)] {
        patchbay.send_all(&texts).await;
        one.simulator.wait_for(|counts| counts.accepted > 0).await;
    }
    sleep(calm).await;
    let ill_from = Instant::now();
    ill.simulator.change(|script| script.hang = Pattern::Always);
    // The customer must have written first.
    for n in 0..CUSTOMERS {
        let from = customer(n);
        ill.write(simulators::rest::Inbound {
            from: from.trim_start_matches('+').into(),
            text: "Hi".into(),
            ..Default::default()
        })
        .await;
    }
    let of_ill = ill.simulator.credential("number");
    let texts = (0..MESSAGES)
        .map(|n| cim::text_from(of_ill, &format!("i-{n}"), &customer(n % CUSTOMERS), &format!("{n:04}")));
    patchbay.send_all(&texts.collect::<Vec<_>>()).await;
    sleep(trouble).await;
    let hung = ill.simulator.counts().hung;
    ill.simulator.change(|script| (script.hang, script.throttle) = (Pattern::Never, Pattern::Always));
    sleep(trouble).await;
    ill.simulator.change(|script| script.throttle = Pattern::Never);
    let troubled = ill_from.elapsed();
    let at_end = ill.simulator.counts();
    assert!(hung > 0 && at_end.throttled > 0, "no trouble: {at_end:?}");
    // Probes are answered all the time; after the first calls, one part at a time shows that sends
    // are not.
    assert!(hung <= CONNECTIONS + TRIALS_MAX, "{hung} calls into silence");
    assert_eq!(at_end.accepted, 0, "it took some while it could take nothing");

    // Nothing is lost, and each customer's order is kept.
    until("all of it", patience, || async {
        let accepted = ill.simulator.counts().accepted as usize;
        if accepted >= MESSAGES {
            Ok(())
        } else {
            Err(format!("{accepted} of {MESSAGES}: {}", patchbay.channel("whatsapp_cloud").await))
        }
    })
    .await;
    let well_after = ill_from.elapsed() - troubled;
    for n in 0..MESSAGES {
        let id = format!("i-{n}");
        until("its receipt", patience, || async {
            let view = patchbay.message(&id).await;
            if view["status"] == "DELIVERED" { Ok(()) } else { Err(view.to_string()) }
        })
        .await;
    }
    let mut orders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in ill.simulator.messages() {
        orders.entry(message.to).or_default().push(message.text);
    }
    assert_eq!(orders.len(), CUSTOMERS);
    for (to, texts) in &orders {
        let mut sorted = texts.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(*texts, sorted, "{to}: out of order, or twice");
        assert_eq!(texts.len(), MESSAGES / CUSTOMERS, "{to}");
    }

    // Every attempt is listed.
    let counts = ill.simulator.counts();
    let exchanges = patchbay.admin("/api/channels/whatsapp_cloud/exchanges?limit=1000").await;
    let about: Vec<_> =
        exchanges.as_array().unwrap().iter().filter(|exchange| !exchange["messageId"].is_null()).collect();
    let answered = about.iter().filter(|exchange| !exchange["status"].is_null()).count() as u64;
    let (attempts, silent) = (about.len() as u64, about.len() as u64 - answered);
    assert_eq!(answered, counts.throttled + counts.accepted, "answers in the trace, and given: {counts:?}");
    // One attempt may have ended before it reached the provider.
    assert!(silent >= counts.hung, "{silent} attempts without an answer in the trace: {counts:?}");
    let of_first = patchbay.admin("/api/messages/i-0").await;
    let said = of_first["exchanges"].as_array().unwrap();
    assert!(said.iter().any(|exchange| !exchange["error"].is_null()), "no hanging call in {of_first}");
    assert!(said.iter().any(|exchange| exchange["status"] == 200), "no good call in {of_first}");
    assert!(exchanges.as_array().unwrap().iter().any(|exchange| exchange["status"] == 429));
    assert!(of_first["events"].as_array().unwrap().len() >= said.len(), "{of_first}");

    // The neighbour was not affected.
    let [with, without] = [&neighbour, &alone].map(|one| Paced::of(one, calm, troubled));
    figure(&format!(
        "a provider hangs {0} s and answers 429 for {0} s: {MESSAGES} messages of {CUSTOMERS} customers, none lost, none twice, in order, all taken {1:.1} s after it worked again; {hung} calls hung, {2} were put off, all {attempts} attempts in the trace; its neighbour: {with}; the same alone in another process: {without}",
        trouble.as_secs(),
        well_after.as_secs_f64(),
        counts.throttled,
    ));
    assert!(with.during > without.during * 0.9, "the neighbour's rate fell: {with}, but {without} alone");
    let unfinished: Vec<Value> = patchbay.admin("/api/in-doubt").await.as_array().unwrap().clone();
    assert!(unfinished.iter().all(|part| part["held"] == false), "{unfinished:?}");
}
