//! The faults of the simulated REST providers happen as the script says, and webhooks are retried
//! by each provider's rules.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

#[path = "support/web.rs"]
mod web;

use std::time::Duration;

use serde_json::{Value, json};
use simulators::rest::{Script, Simulator};
use tokio::time::timeout;
use web::{Http, World, statuses, text, try_call};

const KEY: [(&str, &str); 1] = [("authorization", "Bearer sim-api-key")];

fn message(words: &str) -> Value {
    json!({"from": "+15550100001", "to": "+15550100002", "text": words})
}

async fn send(world: &World, words: &str) -> Http {
    world.post("/send", &KEY, &message(words)).await
}

#[tokio::test]
async fn faulty_answers_follow_a_script_that_may_change_at_any_time() {
    let world = World::start("general").await;
    let fault = async |change: Value| {
        world.order("faults", change).await;
        let answer = send(&world, "x").await;
        world.order("reset", json!({})).await;
        answer
    };
    let throttled = fault(json!({"throttle": "always", "retry_after_s": 7})).await;
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, "7"));
    assert_eq!(fault(json!({"unavailable": "always", "unavailable_status": 502})).await.status, 502);
    assert_eq!(fault(json!({"reject": "always", "reject_code": "400"})).await.status, 400);
    assert_eq!(fault(json!({"refuse_credentials": "always"})).await.status, 401);
    let garbage = fault(json!({"garbage": "always"})).await;
    assert!(garbage.status == 200 && serde_json::from_slice::<Value>(&garbage.body).is_err());
    let wrong = fault(json!({"wrong_type": "always"})).await;
    assert_eq!((wrong.header("content-type"), wrong.status), ("text/html", 200));
    assert_eq!(fault(json!({"without_id": "always"})).await.json()["data"]["id"], Value::Null);
    assert_eq!(fault(json!({})).await.status, 200, "a reset forgets the faults");
    let unknown = world.post("/_sim/faults", &[], &json!({"hangs": "always"})).await;
    assert_eq!(unknown.status, 400);
}

#[tokio::test]
async fn a_pattern_of_one_half_hits_exactly_every_second_message() {
    let world = World::scripted("general", |script| script.throttle = "1/2".parse().unwrap()).await;
    let mut got = Vec::new();
    for _ in 0..4 {
        got.push(send(&world, "x").await.status);
    }
    assert_eq!(got, [200, 429, 200, 429]);
    assert_eq!(world.sim.times("+15550100002", "x"), 2);
}

#[tokio::test]
async fn the_cap_holds_in_any_second() {
    let world = World::scripted("general", |script| script.throttle_per_second = 3).await;
    let mut good = 0;
    for _ in 0..6 {
        good += u32::from(send(&world, "x").await.status == 200);
    }
    // Six calls may straddle a second on a busy machine, but not two.
    assert!((3..6).contains(&good), "{good}");
    assert_eq!(world.sim.counts().throttled + u64::from(good), 6);
}

#[tokio::test]
async fn closed_and_hanging_connections_leave_the_client_in_doubt() {
    let mut world = World::scripted("general", |script| script.close = "always".parse().unwrap()).await;
    let url = format!("{}/send", world.base);
    let headers = [("content-type", "application/json"), KEY[0]];
    let body = message("closed").to_string();
    assert!(try_call("POST", &url, &headers, body.as_bytes()).await.is_none());
    assert_eq!(world.sim.times("+15550100002", "closed"), 1, "taken all the same");
    assert_eq!(world.hook.next().await.json()["data"]["payload"]["text"], "closed");
    world.order("faults", json!({"close_accepts": false})).await;
    assert!(try_call("POST", &url, &headers, body.as_bytes()).await.is_none());
    assert_eq!(world.sim.times("+15550100002", "closed"), 1, "lost this time");

    world.order("faults", json!({"close": "never", "hang": "always"})).await;
    let body = message("hangs").to_string();
    let answer = try_call("POST", &url, &headers, body.as_bytes());
    let hung = timeout(Duration::from_millis(200), answer).await;
    assert!(hung.is_err() && world.sim.counts().hung == 1);
    assert_eq!(world.sim.times("+15550100002", "hangs"), 1);
}

#[tokio::test]
async fn receipts_precede_the_answer_repeat_reverse_fail_or_stay_away() {
    let mut world =
        World::scripted("general", |script| script.receipt_first = "always".parse().unwrap()).await;
    let status = |request: &Http| request.json()["data"]["payload"]["to"][0]["status"].clone();
    let id = send(&world, "first").await.json()["data"]["id"].clone();
    // Both arrived before the answer.
    assert_eq!(world.sim.counts().webhooks_taken, 2);
    let first = world.hook.next().await;
    assert_eq!((status(&first), first.json()["data"]["payload"]["id"].clone()), (json!("sent"), id));
    assert_eq!(status(&world.hook.next().await), "delivered");

    world.order("faults", json!({"receipt_first": "never", "receipt_reversed": "always"})).await;
    send(&world, "reversed").await;
    assert_eq!(status(&world.hook.next().await), "delivered");
    assert_eq!(status(&world.hook.next().await), "sent");

    let twice = json!({"receipt_reversed": "never", "receipt_duplicate": "always", "receipt_sent_ms": 0});
    world.order("faults", twice).await;
    send(&world, "twice").await;
    assert_eq!(status(&world.hook.next().await), "delivered");
    assert_eq!(status(&world.hook.next().await), "delivered");

    let failed =
        json!({"receipt_duplicate": "never", "receipt_failed": "always", "receipt_failed_code": "40002"});
    world.order("faults", failed).await;
    send(&world, "failed").await;
    let report = world.hook.next().await;
    assert_eq!(status(&report), "delivery_failed");
    assert_eq!(report.json()["data"]["payload"]["errors"][0]["code"], "40002");

    world.order("faults", json!({"receipt_lost": "always"})).await;
    let before = world.sim.counts().receipts;
    send(&world, "lost").await;
    assert_eq!(world.sim.counts().receipts, before);
    assert_eq!(world.hook.left(), 0);
}

#[tokio::test]
async fn a_webhook_is_retried_until_it_is_acknowledged() {
    let mut world = World::start("general").await;
    world.hook.answer(&[500, 503, 404]);
    let first = world.sim.inbound(&text("hi")).await.unwrap();
    assert_eq!(statuses(&first), [Some(500)], "the order is answered with the first try");
    let mut bodies = Vec::new();
    for _ in 0..4 {
        bodies.push(world.hook.next().await.body);
    }
    assert!(bodies.windows(2).all(|two| two[0] == two[1]), "the same event each time");
    timeout(Duration::from_secs(10), world.sim.wait_for(|counts| counts.webhooks_taken == 1)).await.unwrap();
    let told = world.ask("webhooks").await;
    let tries: Vec<&Value> = told[0]["attempts"].as_array().unwrap().iter().map(|a| &a["status"]).collect();
    assert_eq!(tries, [500, 503, 404, 200]);
    assert_eq!((&told[0]["done"], &told[0]["about"]), (&json!(true), &json!("inbound")));
}

#[tokio::test]
async fn a_webhook_without_acknowledgement_is_given_up() {
    let mut world = World::scripted("general", |script| script.webhook_tries_max = 3).await;
    world.hook.answer(&[500; 10]);
    world.sim.inbound(&text("hi")).await.unwrap();
    timeout(Duration::from_secs(10), world.sim.wait_for(|counts| counts.webhooks_given_up == 1))
        .await
        .unwrap();
    assert_eq!(world.hook.left(), 3);
}

#[tokio::test]
async fn webhooks_are_repeated_unsigned_or_wrongly_signed() {
    let mut world = World::scripted("general", |script| {
        script.webhook_duplicate = "always".parse().unwrap();
    })
    .await;
    assert_eq!(world.sim.inbound(&text("hi")).await.unwrap().len(), 2);
    let (one, two) = (world.hook.next().await, world.hook.next().await);
    assert_eq!(one.body, two.body);
    let right = one.header("x-signature-256").to_owned();
    assert!(right.starts_with("sha256=") && right.len() == 71);

    world.order("faults", json!({"webhook_duplicate": "never", "webhook_unsigned": "always"})).await;
    world.sim.inbound(&text("hi")).await.unwrap();
    assert_eq!(world.hook.next().await.header("x-signature-256"), "");
    world.order("faults", json!({"webhook_unsigned": "never", "webhook_missigned": "always"})).await;
    let same = json!({"text": "hi", "id": "in-1", "extra": {"data": {"payload": {"received_at": "x"}}}});
    world.order("inbound", same.clone()).await;
    let wrong = world.hook.next().await;
    world.order("faults", json!({"webhook_missigned": "never"})).await;
    world.order("inbound", same).await;
    let good = world.hook.next().await;
    assert_eq!(wrong.body, good.body);
    assert_ne!(wrong.header("x-signature-256"), good.header("x-signature-256"));
}

#[tokio::test]
async fn background_customers_write_at_the_given_rate() {
    let mut world = World::scripted("general", |script| script.inbound_per_second = 200).await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..50 {
        ids.insert(world.hook.next().await.json()["data"]["id"].to_string());
    }
    assert_eq!(ids.len(), 50);
}

#[tokio::test]
async fn a_webhook_delivered_elsewhere_keeps_its_address_host_and_signature() {
    let mut world = World::with("general", Script::default(), |options| {
        let hook = options.webhook.replace("https://example.org/webhooks/1?x=y".to_owned());
        options.deliver_to = hook.map(|url| url.replace("/hook", ""));
    })
    .await;
    let got = world.writes(json!({"text": "hi"})).await;
    assert_eq!((got.path.as_str(), got.header("host")), ("/webhooks/1?x=y", "example.org"));
}

#[tokio::test]
async fn unknown_names_are_refused_with_the_known_ones() {
    let options =
        |provider: &str| simulators::rest::Options { provider: provider.to_owned(), ..Default::default() };
    let nobody = Simulator::new(options("nobody")).err().unwrap().to_string();
    assert!(nobody.contains("general") && nobody.contains("telnyx"), "{nobody}");
    let mut wrong = options("general");
    wrong.credentials.insert("api_kex".into(), "x".into());
    assert!(Simulator::new(wrong).err().unwrap().to_string().contains("api_kex"));
    let world = World::start("general").await;
    let answer = world.post("/_sim/inbound", &[], &json!({"kind": "reaction"})).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("general does not support inbound reaction"), "{}", answer.text());
}

#[tokio::test]
async fn a_watched_window_closes_and_opens_again() {
    let watched = |script: &mut Script| script.window_ms = 60_000;
    let token = [("authorization", "Bearer EAAsimulated")];
    let mut world = World::scripted("whatsapp_cloud", watched).await;
    let path = "/v25.0/100000000000001/messages";
    let free =
        json!({"messaging_product": "whatsapp", "to": "15550001111", "type": "text", "text": {"body": "x"}});
    let template = json!({"messaging_product": "whatsapp", "to": "15550001111", "type": "template",
        "template": {"name": "t", "language": {"code": "en"}}});
    let last = async |world: &mut World| {
        world.hook.next().await;
        world.hook.next().await.json()["entry"][0]["changes"][0]["value"]["statuses"][0].clone()
    };
    assert_eq!(world.post(path, &token, &free).await.status, 200);
    let report = last(&mut world).await;
    assert_eq!((&report["status"], &report["errors"][0]["code"]), (&json!("failed"), &json!(131_047)));
    assert_eq!(world.post(path, &token, &template).await.status, 200);
    assert_eq!(last(&mut world).await["status"], "delivered");
    world.writes(json!({"text": "hi", "from": "+15550001111"})).await;
    assert_eq!(world.post(path, &token, &free).await.status, 200);
    assert_eq!(last(&mut world).await["status"], "delivered");

    let mut pages = World::scripted("facebook", watched).await;
    let path = "/me/messages";
    let free = json!({"recipient": {"id": "77"}, "message": {"text": "x"}});
    let shut = pages.post(path, &token, &free).await.json();
    assert_eq!((&shut["error"]["code"], &shut["error"]["error_subcode"]), (&json!(10), &json!(2_018_278)));
    pages.writes(json!({"text": "hi", "from": "77"})).await;
    assert_eq!(pages.post(path, &token, &free).await.status, 200);
}

#[tokio::test]
async fn files_of_messages_are_fetched_if_the_script_says_so() {
    let world = World::scripted("general", |script| script.fetch_media = true).await;
    let mut body = message("look");
    body["media_urls"] = json!([format!("{}/a.png", world.hook.url), "http://127.0.0.1:1/gone"]);
    assert_eq!(world.post("/send", &KEY, &body).await.status, 200);
    timeout(Duration::from_secs(10), world.sim.wait_for(|counts| counts.fetched == 2)).await.unwrap();
    let mut all = world.sim.fetched();
    all.sort_by_key(|one| std::cmp::Reverse(one.status));
    assert_eq!((all[0].status, all[1].status), (Some(200), None));
    assert!(all[0].url.ends_with("/hook/a.png") && all[1].error.is_some());
    assert_eq!(world.ask("fetched").await.as_array().unwrap().len(), 2);
}
