//! A reload touches only what differs: other channels keep their binds, and no message is lost or
//! doubled. A file with problems changes nothing. A pause outlives kill -9.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    Patchbay, Peer, SOON, Setup, Sink,
    cim::{customer, text_from},
    peer::With,
    until,
};

/// The messages of the load on each channel.
const LOAD: usize = 400;
const INFO: &str = "[log]\nfilter = \"info\"";
const LONG: Duration = Duration::from_secs(120);

/// An SMSC that knows one account.
async fn smsc(system_id: &str, password: &str) -> Peer {
    Peer::start(With::Sim, json!({ "accounts": { system_id: password } })).await
}

fn account(system_id: &str, password: &str) -> String {
    format!("system_id = \"{system_id}\"\npassword = \"{password}\"\nwindow = 20")
}

fn file(patchbay: &Patchbay) -> PathBuf {
    patchbay.folder.path().join("config.toml")
}

/// Replaces a part of the configuration file.
fn edit(patchbay: &Patchbay, from: &str, to: &str) {
    let text = fs::read_to_string(file(patchbay)).unwrap();
    assert!(text.contains(from), "{from} is not in\n{text}");
    fs::write(file(patchbay), text.replacen(from, to, 1)).unwrap();
}

async fn act(patchbay: &Patchbay, path: &str, body: &str) -> Value {
    let answer = patchbay.http.post(&format!("{}{path}", patchbay.admin), body.to_owned()).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

/// Sends a load in small requests, so that it lasts.
async fn load(patchbay: &Patchbay, did: &str, name: &str) {
    for from in (0..LOAD).step_by(20) {
        let one =
            |n: usize| text_from(did, &format!("{name}-{n}"), &customer(n % 150), &format!("{name} {n}"));
        let some: Vec<Value> = (from..from + 20).map(one).collect();
        patchbay.send_all(&some).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every message of a load came to its SMSC, once each, and its receipt to the business.
async fn all_arrived_once(peer: &Peer, sink: &Sink, name: &str) {
    peer.until_count("messages", LOAD as u64, LONG).await;
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    for (_, text, _) in peer.messages().await {
        *copies.entry(text).or_default() += 1;
    }
    let doubled: Vec<_> = copies.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
    assert_eq!(copies.len(), LOAD);
    let delivered = || {
        let all = sink.notifications();
        let count =
            all.iter().filter(|(id, all)| id.starts_with(name) && all.iter().any(|s| s == "DELIVERED"));
        count.count()
    };
    until("notifications", LONG, || {
        let count = delivered();
        async move { if count == LOAD { Ok(()) } else { Err(format!("{count} of {LOAD}")) } }
    })
    .await;
}

#[tokio::test]
async fn a_rotated_password_and_a_new_destination_touch_no_other_channel() {
    let (calm, turned) = tokio::join!(smsc("calm", "c"), smsc("turned", "old"));
    let (sink, second) = tokio::join!(Sink::start(), Sink::start());
    let setup = Setup::new()
        .destination("support", &sink.url, "")
        .channel("calm", "5155", calm.port, "send_rate = 400", &account("calm", "c"))
        .channel("turned", "6000", turned.port, "send_rate = 400", &account("turned", "file:secret"))
        .tables(INFO);
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    fs::write(folder.path().join("secret"), "old\n").unwrap();
    let patchbay = setup.start_in(folder).await.unwrap();
    tokio::join!(patchbay.until_channel("calm", "connected"), patchbay.until_channel("turned", "connected"));
    let change = async {
        turned.until_count("accepted", 40, LONG).await;
        assert_eq!(act(&patchbay, "/api/reload", "").await["channels"]["changed"], json!([]));
        fs::write(patchbay.folder.path().join("secret"), "new\n").unwrap();
        turned.set(json!({ "accounts": { "turned": "new" } })).await;
        let destination = format!("[[destination]]\nid = \"second\"\nurl = \"{}\"\n", second.url);
        edit(&patchbay, "[[destination]]", &format!("{destination}[[destination]]"));
        let plan = act(&patchbay, "/api/reload", "{\"plan\":true}").await;
        assert_eq!(plan["applied"], false);
        assert_eq!(turned.count("unbinds").await, 0, "a plan changes nothing");
        let reloaded = act(&patchbay, "/api/reload", "{}").await;
        for answer in [plan, reloaded] {
            let changed = json!([{ "id": "turned", "keys": ["account.password"] }]);
            assert_eq!(answer["channels"]["changed"], changed, "{answer}");
            assert_eq!(answer["channels"]["unchanged"], json!(["calm"]), "{answer}");
            assert_eq!(answer["destinations"]["added"], json!(["second"]), "{answer}");
            assert_eq!(answer["remarks"], json!([]), "{answer}");
        }
    };
    tokio::join!(load(&patchbay, "5155", "calm"), load(&patchbay, "6000", "turned"), change);
    tokio::join!(all_arrived_once(&calm, &sink, "calm"), all_arrived_once(&turned, &sink, "turned"));
    let (calm, turned) = (calm.counts().await, turned.counts().await);
    let binds = |counts: &Value| json!([counts["connections"], counts["binds"], counts["unbinds"]]);
    assert_eq!(binds(&calm), json!([1, 1, 0]), "the other channel's bind stays");
    assert_eq!(binds(&turned), json!([2, 2, 1]), "unbound, and bound again with the new password");
    assert_eq!(turned["binds_refused"], 0);
    let told = patchbay.stderr();
    for line in ["~ channel turned: account.password", "+ destination second"] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    assert!(patchbay.admin("/api/in-doubt").await.as_array().unwrap().is_empty());
    // What was counted before the reload still counts.
    assert_eq!(patchbay.channel("turned").await["counts"]["submitted"], LOAD);
    // The new destination works: the channel is told to use it.
    edit(
        &patchbay,
        "number = \"6000\", destination = \"support\"",
        "number = \"6000\", destination = \"second\"",
    );
    act(&patchbay, "/api/reload", "").await;
    patchbay.until_channel("turned", "connected").await;
    patchbay.send(&text_from("6000", "to-second", &customer(1), "hello")).await;
    let is_it = |body: &Value| body["body"]["messageId"] == "to-second";
    until("the notification at the new destination", SOON, || {
        let found = second.len();
        async move { if found > 0 { Ok(()) } else { Err("none came") } }
    })
    .await;
    assert!(!sink.taken().iter().any(|taken| is_it(&taken.body)));
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_every_problem_is_told() {
    let (peer, sink) = tokio::join!(smsc("one", "x"), Sink::start());
    let setup = Setup::new()
        .destination("support", &sink.url, "")
        .channel("one", "5155", peer.port, "", &account("one", "x"))
        .tables(INFO);
    let patchbay = setup.start().await;
    patchbay.until_channel("one", "connected").await;
    let good = fs::read_to_string(file(&patchbay)).unwrap();
    let broken = good.replacen("send_rate = 100000", "send_rat = 5\ntries_max = \"x\"", 1) + "\n[htp]\n";
    fs::write(file(&patchbay), &broken).unwrap();
    patchbay.hang_up();
    let problems = ["send_rat: unknown key; did you mean \"send_rate\"?", "tries_max", "htp: unknown key"];
    until("every problem in the log", SOON, || {
        let told = patchbay.stderr();
        let missing = problems.iter().find(|problem| !told.contains(**problem));
        async move { missing.map_or(Ok(()), |missing| Err(format!("{missing} is not in\n{told}"))) }
    })
    .await;
    let answer = patchbay.http.post(&format!("{}/api/reload", patchbay.admin), "{}").await.unwrap();
    assert_eq!((answer.status, answer.json()["problems"].as_array().unwrap().len()), (400, 3));
    patchbay.send(&text_from("5155", "after", &customer(1), "still here")).await;
    patchbay.until_status("after", "DELIVERED").await;
    assert_eq!(peer.count("connections").await, 1);
    // Corrected, with a channel more, the next signal works.
    let more = smsc("two", "y").await;
    let channel = Setup::new().channel("two", "6000", more.port, "", &account("two", "y"));
    fs::write(file(&patchbay), good + &channel.tables_text()).unwrap();
    patchbay.hang_up();
    until("the new channel", SOON, || async {
        let all = patchbay.admin("/api/channels").await.to_string();
        if all.contains("\"two\"") { Ok(()) } else { Err(all) }
    })
    .await;
    patchbay.send(&text_from("6000", "second", &customer(1), "from the new one")).await;
    patchbay.until_status("second", "DELIVERED").await;
    assert_eq!(peer.count("connections").await, 1);
}

#[tokio::test]
async fn the_messages_of_a_removed_channel_wait_until_it_is_back() {
    let (peer, sink) = tokio::join!(smsc("one", "x"), Sink::start());
    let setup = Setup::new().destination("support", &sink.url, "").channel(
        "one",
        "5155",
        peer.port,
        "send_rate = 5",
        &account("one", "x"),
    );
    let patchbay = setup.start().await;
    patchbay.until_channel("one", "connected").await;
    let all: Vec<Value> =
        (0..40).map(|n| text_from("5155", &format!("m-{n}"), &customer(n), &format!("text {n}"))).collect();
    patchbay.send_all(&all).await;
    let with = fs::read_to_string(file(&patchbay)).unwrap();
    let without = with.split("[[channel]]").next().unwrap();
    fs::write(file(&patchbay), without).unwrap();
    let answer = act(&patchbay, "/api/reload", "").await;
    assert_eq!(answer["channels"]["removed"], json!(["one"]));
    let remark = answer["remarks"][0].as_str().unwrap_or_default();
    assert!(remark.contains("wait until a channel of that name comes back"), "{answer}");
    let sent = peer.count("accepted").await;
    assert!(sent < 40, "{sent}");
    let refused = patchbay.post(text_from("5155", "no", &customer(1), "x").to_string()).await;
    assert_eq!(refused.status, 404, "{}", refused.text);
    // One of those that wait is withdrawn, as ever.
    let waiting = (0..40).rev().find(|n| *n > 30).unwrap();
    let url = format!("{}/v1/messages/m-{waiting}", patchbay.public);
    let cancelled = patchbay.http.ask(http::Method::DELETE, &url, "application/json", "").await.unwrap();
    assert!(cancelled.status < 300, "{}", cancelled.text);
    fs::write(file(&patchbay), with).unwrap();
    act(&patchbay, "/api/reload", "").await;
    peer.until_count("messages", 39, LONG).await;
    let texts: std::collections::BTreeSet<String> =
        peer.messages().await.into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(texts.len(), 39, "each once");
    assert!(!texts.contains(&format!("text {waiting}")));
}

#[tokio::test]
async fn a_pause_outlives_kill_9_and_all_that_is_queued_can_be_withdrawn() {
    let (peer, sink) = tokio::join!(smsc("one", "x"), Sink::start());
    let setup = Setup::new().destination("support", &sink.url, "").channel(
        "one",
        "5155",
        peer.port,
        "",
        &account("one", "x"),
    );
    let patchbay = setup.start().await;
    patchbay.until_channel("one", "connected").await;
    let paused = act(&patchbay, "/api/channels/one/pause", "").await;
    let since = paused["since"].clone();
    assert!(since.is_u64() || since.is_string(), "{paused}");
    assert_eq!(act(&patchbay, "/api/channels/one/pause", "").await["since"], since, "a repetition");
    let all: Vec<Value> = (0..700)
        .map(|n| text_from("5155", &format!("m-{n}"), &customer(n % 3), &format!("text {n}")))
        .collect();
    patchbay.send_all(&all).await;
    let patchbay = patchbay.kill_and_restart().await;
    let channel = patchbay.until_channel("one", "paused").await;
    assert_eq!((&channel["pausedSince"], &channel["since"]), (&since, &since), "{channel}");
    // The link is up all the same.
    until("the bind", SOON, || async {
        let channel = patchbay.channel("one").await;
        if channel["links"][0]["status"] == "bound" { Ok(()) } else { Err(channel.to_string()) }
    })
    .await;
    assert_eq!(peer.count("submits").await, 0);
    let done = act(&patchbay, "/api/channels/one/cancel-queued", "").await;
    assert_eq!(done, json!({ "done": true, "cancelled": 700, "more": false }));
    until("a notification of each", LONG, || {
        let failed = sink.notified("FAILED");
        async move { if failed == 700 { Ok(()) } else { Err(failed) } }
    })
    .await;
    patchbay.send(&text_from("5155", "kept", &customer(1), "the only one")).await;
    assert_eq!(act(&patchbay, "/api/channels/one/resume", "").await["since"], Value::Null);
    patchbay.until_status("kept", "DELIVERED").await;
    assert_eq!(peer.count("submits").await, 1);
    let patchbay = patchbay.kill_and_restart().await;
    patchbay.until_channel("one", "connected").await;
}

#[tokio::test]
async fn backoffs_end_at_once_and_dead_letters_are_replayed_in_bounded_calls() {
    let (peer, sink) = tokio::join!(smsc("one", "x"), Sink::start());
    let patient = "give_up_after = \"300ms\"";
    let setup = Setup::new().destination("support", &sink.url, patient).channel(
        "one",
        "5155",
        peer.port,
        "backoff = \"60s\"\nbackoff_max = \"60s\"",
        &account("one", "x"),
    );
    let patchbay = setup.start().await;
    patchbay.until_channel("one", "connected").await;
    // The provider refuses for now: the next try is in a minute.
    peer.set(json!({ "refuse": "always", "refuse_status": 8 })).await;
    patchbay.send(&text_from("5155", "deferred", &customer(1), "later")).await;
    peer.until_count("refused", 1, SOON).await;
    peer.set(json!({ "refuse": "never" })).await;
    until("the deferred message to be sent", SOON, || async {
        act(&patchbay, "/api/channels/one/try-now", "").await;
        let message = patchbay.message("deferred").await;
        if message["status"] == "DELIVERED" { Ok(()) } else { Err(message.to_string()) }
    })
    .await;
    // Deliveries are given up, then replayed.
    until("the first notification", SOON, || {
        let count = sink.notified("DELIVERED");
        async move { if count == 1 { Ok(()) } else { Err(count) } }
    })
    .await;
    sink.refuse_with(400);
    let all: Vec<Value> = (0..12).map(|n| text_from("5155", &format!("d-{n}"), &customer(n), "x")).collect();
    patchbay.send_all(&all).await;
    until("the dead letters", LONG, || async {
        act(&patchbay, "/api/destinations/support/try-now", "").await;
        let count = patchbay.admin("/api/dead-letters").await.as_array().unwrap().len();
        if count == 12 { Ok(()) } else { Err(count) }
    })
    .await;
    sink.refuse_with(0);
    let none = act(&patchbay, "/api/dead-letters/replay", "{\"channel\":\"other\"}").await;
    assert_eq!((&none["replayed"], &none["left"]), (&json!(0), &json!(0)));
    let some = act(&patchbay, "/api/dead-letters/replay", "{\"destination\":\"support\",\"limit\":5}").await;
    assert_eq!((&some["replayed"], &some["left"], &some["done"]), (&json!(5), &json!(7), &json!(false)));
    let rest = act(&patchbay, "/api/dead-letters/replay", "").await;
    assert_eq!((&rest["replayed"], &rest["left"], &rest["done"]), (&json!(7), &json!(0), &json!(true)));
    until("every notification", SOON, || {
        let count = sink.notified("DELIVERED");
        async move { if count == 13 { Ok(()) } else { Err(count) } }
    })
    .await;
    let unknown = format!("{}/api/channels/one/stop", patchbay.admin);
    let refused = patchbay.http.post(&unknown, "").await.unwrap();
    assert_eq!(refused.status, 404);
    assert!(refused.text.contains("pause, resume, restart, try-now, cancel-queued"), "{}", refused.text);
}
