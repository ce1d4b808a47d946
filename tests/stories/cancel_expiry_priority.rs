//! A queued message can be cancelled, is not sent after its expiry, and leaves by priority.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::{
    Patchbay, Peer, SOON, Setup, Sink,
    cim::{self, DID, customer},
    peer::With,
    until,
};

async fn stage(send_rate: u32) -> (Peer, Sink, Patchbay) {
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let keys = format!("send_rate = {send_rate}");
    let setup = Setup::new().destination("support", &sink.url, "").channel("sms", DID, peer.port, &keys, "");
    let patchbay = setup.start().await;
    patchbay.until_channel("sms", "connected").await;
    (peer, sink, patchbay)
}

async fn cancel(patchbay: &Patchbay, id: &str) -> (u16, Value) {
    let answer =
        patchbay.http.ask(Method::DELETE, &format!("{}/{id}", patchbay.messages), "", "").await.unwrap();
    (answer.status, answer.json())
}

fn texts(count: usize, name: &str, priority: u8) -> Vec<Value> {
    let one = |n| {
        let message = cim::text(&format!("{name}-{n}"), &customer(n), &format!("{name} {n}"));
        cim::with(message, "requestPriority", json!(priority))
    };
    (0..count).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_is_not_sent() {
    let (peer, sink, patchbay) = stage(20).await;
    patchbay.send_all(&texts(40, "bulk", 0)).await;
    let (status, told) = cancel(&patchbay, "bulk-39").await;
    assert_eq!((status, &told["status"]), (200, &json!("CANCELLED")), "{told}");
    assert_eq!(patchbay.message("bulk-39").await["status"], "FAILED");
    assert_eq!(cancel(&patchbay, "bulk-39").await.0, 409, "it is settled");
    assert_eq!(cancel(&patchbay, "nobody").await.0, 404);
    until("all others delivered", SOON, || async {
        let delivered = sink.notified("DELIVERED");
        if delivered == 39 { Ok(()) } else { Err(delivered) }
    })
    .await;
    assert_eq!(cancel(&patchbay, "bulk-0").await.0, 409, "it is delivered");
    let came = peer.times().await;
    assert_eq!((came.len(), came.contains_key("bulk 39")), (39, false));
    // A restart does not revive it.
    let patchbay = patchbay.kill_and_restart().await;
    patchbay.send(&cim::text("last", &customer(39), "last")).await;
    sink.wait_for("the last", SOON, |m| m["body"]["messageId"] == "last").await;
    assert_eq!(peer.smsc().texts_to(customer(39).trim_start_matches('+')), ["last".into()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_is_not_sent() {
    let (peer, sink, patchbay) = stage(20).await;
    // Two seconds of work precede it, and it expires after one.
    patchbay.send_all(&texts(40, "bulk", 0)).await;
    let short = cim::text("short", &customer(90), "too late");
    patchbay.send(&cim::attribute(short, "validityPeriod", json!("500ms"))).await;
    let long = cim::text("long", &customer(91), "in time");
    patchbay.send(&cim::attribute(long, "validityPeriod", json!("1h"))).await;
    let told = sink.wait_for("its failure", SOON, |m| m["body"]["messageId"] == "short").await.body;
    assert_eq!(told["body"]["status"], "FAILED", "{told}");
    println!("told: {}", told["body"]["markdownText"]);
    sink.wait_for("the other", SOON, |m| m["body"]["messageId"] == "long").await;
    let came = peer.times().await;
    assert_eq!((came.get("in time"), came.get("too late")), (Some(&1), None));
    assert_eq!(patchbay.message("short").await["status"], "FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_urgent_goes_first() {
    let (peer, sink, patchbay) = stage(50).await;
    patchbay.send_all(&texts(100, "bulk", 0)).await;
    peer.until_count("accepted", 5, SOON).await;
    let urgent: Vec<Value> = (0..5)
        .map(|n| {
            cim::with(
                cim::text(&format!("u-{n}"), &customer(500 + n), &format!("urgent {n}")),
                "requestPriority",
                json!(10),
            )
        })
        .collect();
    patchbay.send_all(&urgent).await;
    // A reply to a waiting customer precedes bulk, too.
    peer.mo("4917600000077", DID, "Hello?").await;
    sink.wait_for("the question", SOON, |m| m["body"]["markdownText"] == "Hello?").await;
    patchbay.send(&cim::text("answer", "+4917600000077", "reply")).await;
    until("everything", SOON, || async {
        let delivered = sink.notified("DELIVERED");
        if delivered == 106 { Ok(()) } else { Err(delivered) }
    })
    .await;
    let order: Vec<String> = peer.messages().await.into_iter().map(|(_, text, _)| text).collect();
    let place = |text: &str| order.iter().position(|t| t == text).unwrap();
    let (last_urgent, reply) = ((0..5).map(|n| place(&format!("urgent {n}"))).max().unwrap(), place("reply"));
    println!("of 106, the last urgent one went as number {last_urgent}, the reply as number {reply}");
    assert!(last_urgent < 40, "{order:?}");
    assert!(reply < 70, "{order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_its_time_is_sent_then() {
    let (peer, sink, patchbay) = stage(100).await;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    let at = u64::try_from((now + Duration::from_secs(2)).as_millis()).unwrap();
    let later = cim::attribute(cim::text("later", &customer(1), "later"), "sendAt", json!(at));
    patchbay.send(&later).await;
    patchbay.send(&cim::text("now", &customer(2), "now")).await;
    sink.wait_for("the other", SOON, |m| m["body"]["messageId"] == "now").await;
    let patchbay = patchbay.kill_and_restart().await;
    assert_eq!(patchbay.message("later").await["status"], "QUEUED");
    sink.wait_for("the later one", SOON, |m| m["body"]["messageId"] == "later").await;
    let submitted = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    assert!(submitted >= u128::from(at), "not before its time");
    assert_eq!(peer.times().await["later"], 1);
}
