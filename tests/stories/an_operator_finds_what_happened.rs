//! An operator finds messages by anything known of them, what waits, and the counts of the last
//! day, also after a restart.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use simulators::smsc::Pattern;

use crate::support::{
    Answer, Patchbay, Peer, SOON, Setup, Sink,
    cim::{self, DID, customer},
    peer::With,
    until,
};

/// A number of ours on a channel without a provider.
const DEAD_DID: &str = "6000";

impl Patchbay {
    async fn listed(&self, query: &str) -> Answer {
        let answer = self.http.get(&format!("{}/api/messages?{query}", self.admin)).await.unwrap();
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        answer
    }

    /// Returns the ids that a query finds, along all pages.
    async fn found(&self, query: &str) -> Vec<String> {
        let (mut ids, mut next) = (Vec::new(), format!("?{query}"));
        loop {
            let answer = self.listed(&next[1..]).await;
            let page = answer.json();
            let items = page["items"].as_array().unwrap().iter();
            ids.extend(items.map(|item| item["id"].as_str().unwrap().to_owned()));
            assert!(page["searchedBackTo"].as_str().unwrap().ends_with('Z'), "{page}");
            let link = answer.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
            assert_eq!(page["complete"] == true, link.is_none(), "{page}");
            let Some(link) = link else { return ids };
            next = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
        }
    }

    async fn series(&self, query: &str) -> Value {
        self.admin(&format!("/api/series?{query}")).await
    }

    async fn metrics(&self) -> String {
        self.http.get(&format!("{}/metrics", self.admin)).await.unwrap().text
    }
}

fn sum(series: &Value, of: &str) -> u64 {
    series[of].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum()
}

/// Starts with two channels: one with a simulated SMSC, and one with nobody.
async fn stage() -> (Peer, Sink, Patchbay) {
    let peer = Peer::start(With::Sim, json!({ "receipt_delay_ms": 20 })).await;
    let sink = Sink::start().await;
    let setup = Setup::simple(peer.port, &sink.url).channel("dead", DEAD_DID, 1, "", "");
    let patchbay = setup.start().await;
    patchbay.until_channel("sms", "connected").await;
    (peer, sink, patchbay)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_by_what_is_known_of_them() {
    let (peer, sink, patchbay) = stage().await;
    let good: Vec<Value> =
        (0..40).map(|n| cim::text(&format!("good-{n}"), &customer(n % 4), &format!("Parcel {n}"))).collect();
    patchbay.send_all(&good).await;
    until("all delivered", SOON, || async {
        let delivered = sink.notified("DELIVERED");
        if delivered == 40 { Ok(()) } else { Err(delivered) }
    })
    .await;
    peer.smsc().change(|script| script.receipt_failed = Pattern::Always);
    for n in 0..5 {
        patchbay.send(&cim::text(&format!("bad-{n}"), &customer(9), "Größe 5")).await;
    }
    until("five failures", SOON, || async {
        let failed = sink.notified("FAILED");
        if failed == 5 { Ok(()) } else { Err(failed) }
    })
    .await;
    let customers = customer(2).trim_start_matches('+').to_owned();
    peer.mo(&customers, DID, "Where is it?").await;
    sink.wait_for("the customer's", SOON, |m| m["body"]["markdownText"] == "Where is it?").await;
    for n in 0..7 {
        patchbay.send(&cim::text_from(DEAD_DID, &format!("late-{n}"), &customer(n), "later")).await;
    }

    // Twice: what is live, and what is read from the log alone after a restart.
    let mut patchbay = patchbay;
    for _ in 0..2 {
        let all = patchbay.found("").await;
        assert_eq!(all.len(), 40 + 5 + 1 + 7, "{all:?}");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "each once");
        assert_eq!(all[..7], [6, 5, 4, 3, 2, 1, 0].map(|n| format!("late-{n}")), "the newest first");
        assert_eq!(patchbay.found("limit=3").await, all, "along pages");

        let number = |n| customer(n).replace('+', "%2B");
        let of_two = patchbay.found(&format!("customer={}", number(2))).await;
        assert_eq!(of_two.len(), 10 + 1 + 1, "{of_two:?}");
        assert_eq!(of_two[0], "late-2");
        let spelled = patchbay.found(&format!("customer={}&limit=2&channel=sms", customers)).await;
        assert_eq!(spelled, of_two[1..], "in another spelling, along pages, on one channel");
        assert!(patchbay.found(&format!("customer={}", number(77))).await.is_empty());

        let failed = patchbay.found("list=failed&limit=2").await;
        assert_eq!(failed.iter().collect::<BTreeSet<_>>().len(), 5, "{failed:?}");
        assert_eq!(failed.len(), 5, "{failed:?}");
        let first = patchbay.listed("list=failed&limit=1").await.json()["items"][0].clone();
        assert_eq!(
            (&first["status"], &first["direction"]),
            (&json!("FAILED"), &json!("outbound")),
            "{first}"
        );
        assert!(first["reasonCode"].as_str().unwrap().starts_with("UNDELIV"), "{first}");
        assert_eq!((&first["customer"], &first["own"]), (&json!(customer(9)), &json!(DID)), "{first}");
        assert_eq!((&first["text"], &first["parts"]), (&json!("Größe 5"), &json!(1)), "{first}");
        assert_eq!(patchbay.found("code=undeliv").await.len(), 5);
        assert_eq!(patchbay.found("status=FAILED").await.len(), 5);
        assert_eq!(patchbay.found("status=DELIVERED&limit=7").await.len(), 40);
        assert_eq!(patchbay.found("status=SENT").await, [""; 0]);
        assert_eq!(patchbay.found("status=RECEIVED").await.len(), 1);
        assert_eq!(patchbay.found("text=gr%C3%B6%C3%9FE").await.len(), 5, "in any case");
        assert_eq!(patchbay.found("text=Parcel%2039").await, ["good-39"]);
        let received = patchbay.listed("text=where%20is").await.json()["items"][0].clone();
        assert_eq!((&received["direction"], &received["status"]), (&json!("inbound"), &json!("RECEIVED")));

        let known = patchbay.message("good-3").await;
        let id = known["parts"][0]["providerId"].as_str().unwrap().to_owned();
        assert_eq!(patchbay.found(&format!("providerId={id}")).await, ["good-3"]);
        assert_eq!(patchbay.found("providerId=nobody").await, [""; 0]);
        let at = known["acceptedAt"].as_u64().unwrap();
        let then = patchbay.found(&format!("from={at}&to={at}")).await;
        assert!(then.contains(&"good-3".to_owned()) && !then.contains(&"bad-0".to_owned()), "{then:?}");
        assert!(patchbay.found("to=1000").await.is_empty());
        assert!(patchbay.found("from=99999999999999").await.is_empty());

        let waiting = patchbay.found("list=waiting&limit=2").await;
        let expected: BTreeSet<_> = (0..7).map(|n| format!("late-{n}")).collect();
        assert_eq!(waiting.len(), 7, "{waiting:?}");
        assert_eq!(waiting.into_iter().collect::<BTreeSet<_>>(), expected);
        assert_eq!(patchbay.found("status=QUEUED&channel=dead&text=LATER").await.len(), 7);
        assert_eq!(patchbay.found("list=waiting&channel=sms").await, [""; 0]);
        assert_eq!(patchbay.found(&format!("list=waiting&customer={}", number(3))).await, ["late-3"]);

        for (query, status, told) in [
            ("list=all", 400, "newest, failed, waiting"),
            ("channel=nope", 404, "no such channel"),
            ("customer=x%2By%2Bz&channel=sms", 400, "customer"),
            ("after=e5&list=waiting", 400, "another list"),
            ("cutsomer=1", 400, "cutsomer"),
        ] {
            let url = format!("{}/api/messages?{query}", patchbay.admin);
            let answer = patchbay.http.get(&url).await.unwrap();
            assert_eq!(answer.status, status, "{query}: {}", answer.text);
            assert!(answer.text.contains(told), "{query}: {}", answer.text);
        }
        patchbay = patchbay.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_by_channel_and_their_states_compared_as_json() {
    let (_peer, _sink, patchbay) = stage().await;
    for n in 0..6 {
        let did = if n % 2 == 0 { DID } else { DEAD_DID };
        patchbay.send(&cim::text_from(did, &format!("m-{n}"), &customer(n), "Hello")).await;
    }
    patchbay.until_status("m-4", "DELIVERED").await;
    for (channel, customers) in [("sms", [0, 2, 4]), ("dead", [1, 3, 5])] {
        let sessions = patchbay.admin(&format!("/api/sessions?channel={channel}")).await;
        let of: BTreeSet<_> =
            sessions.as_array().unwrap().iter().map(|s| s["customer"].to_string()).collect();
        assert_eq!(of, customers.map(|n| Value::from(customer(n)).to_string()).into(), "{channel}");
    }
    let answer = patchbay.http.get(&format!("{}/api/sessions?channel=nope", patchbay.admin)).await.unwrap();
    assert_eq!(answer.status, 404, "{}", answer.text);
    let page =
        patchbay.http.get(&format!("{}/api/sessions?channel=dead&limit=2", patchbay.admin)).await.unwrap();
    let link = page.headers["link"].to_str().unwrap();
    assert!(link.contains("channel=dead"), "the next page is of the same channel: {link}");

    let waiting = patchbay.message("m-1").await;
    let session = waiting["sessionId"].as_str().unwrap();
    let view = patchbay.admin(&format!("/api/sessions/{session}")).await;
    let state = &view["snapshot"];
    assert_eq!((&state["channel"], &state["open"]), (&json!("dead"), &json!(true)), "{state}");
    assert_eq!(state["queue"][0]["id"], "m-1", "{state}");
    assert_eq!(state["queue"][0]["parts"][0]["phase"], "waiting", "{state}");
    let first = view["events"][0]["at"].as_u64().unwrap();
    patchbay.send(&cim::text_from(DEAD_DID, "m-9", &customer(1), "And again")).await;
    let now = 99_999_999_999_999_u64;
    let difference = patchbay.admin(&format!("/api/sessions/{session}?at={first}&diff={now}")).await;
    let added: Vec<_> = difference["added"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    assert!(added.contains(&"queue[#2].id = \"m-9\""), "{added:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counts_of_the_last_day_outlive_a_restart_and_a_damaged_file() {
    let (peer, sink, patchbay) = stage().await;
    for n in 0..8 {
        patchbay.send(&cim::text(&format!("m-{n}"), &customer(n), "Hello")).await;
    }
    until("all delivered", SOON, || async {
        let delivered = sink.notified("DELIVERED");
        if delivered == 8 { Ok(()) } else { Err(delivered) }
    })
    .await;
    peer.smsc().change(|script| script.receipt_failed = Pattern::Always);
    patchbay.send(&cim::text("bad", &customer(20), "Hello")).await;
    patchbay.until_status("bad", "FAILED").await;
    peer.mo("4917600000001", DID, "Hi").await;
    sink.wait_for("the customer's", SOON, |m| m["body"]["markdownText"] == "Hi").await;
    for n in 0..3 {
        patchbay.send(&cim::text_from(DEAD_DID, &format!("late-{n}"), &customer(n), "later")).await;
    }
    let waiting = async |patchbay: &Patchbay| {
        until("three messages that wait", SOON, || async {
            let series = patchbay.series("channel=dead&hours=1").await;
            let waiting = series["waiting"][59].clone();
            if waiting == 3 { Ok(()) } else { Err(series.to_string()) }
        })
        .await;
        until("the metric of them", SOON, || async {
            let metrics = patchbay.metrics().await;
            let line = "patchbay_messages_waiting{channel=\"dead\"} 3";
            if metrics.contains(line) { Ok(()) } else { Err(metrics) }
        })
        .await;
    };
    waiting(&patchbay).await;

    let check = |series: &Value, times: u64| {
        assert_eq!(series["stepSeconds"], 60, "{series}");
        assert_eq!(series["sent"].as_array().unwrap().len(), 1_440, "{series}");
        let counts = ["sent", "delivered", "failed", "received"].map(|of| sum(series, of));
        assert_eq!(counts, [9 * times, 8 * times, times, times], "{series}");
        let seconds: Vec<f64> =
            series["receiptSeconds"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        assert_eq!(!seconds.is_empty(), times > 0, "{series}");
        assert!(seconds.iter().all(|s| *s > 0.0 && *s < 20.0), "{seconds:?}");
    };
    check(&patchbay.series("channel=sms").await, 1);
    check(&patchbay.series("").await, 1);
    let nope = patchbay.http.get(&format!("{}/api/series?channel=nope", patchbay.admin)).await.unwrap();
    assert_eq!(nope.status, 404, "{}", nope.text);

    let patchbay = patchbay.restart().await;
    check(&patchbay.series("channel=sms").await, 1);
    // They were not accepted by this process: they are counted from the index.
    waiting(&patchbay).await;

    let (status, setup, folder) = patchbay.terminate().await;
    assert!(status.success());
    let file = folder.path().join("data/series");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&file, bytes).unwrap();
    let patchbay =
        setup.start_in(folder).await.unwrap_or_else(|told| panic!("it starts all the same: {told}"));
    check(&patchbay.series("channel=sms").await, 0);
    assert!(patchbay.stderr().contains("the counts of the last day cannot be read"), "{}", patchbay.stderr());
}
