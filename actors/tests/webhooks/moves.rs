//! A customer's address is a fact that events change: from a change on, messages go to the new
//! address, in this and in later sessions, and the next writer from the old one is somebody else.

use std::sync::Arc;

use actors::Router;
use serde_json::{Value, json};
use storage::Crash;

use crate::{
    conversation::{brings, post, session_of, text},
    paper::Paper,
    stage::World,
};

const A: &str = "15550100002";
const B: &str = "15550100003";
const C: &str = "15550100004";
const FIRST: u64 = 1_790_000_000_000;

fn writes(from: &str, id: &str, at: u64) -> Value {
    json!({ "id": id, "from": from, "text": id, "at": FIRST + at })
}

fn moves(id: &str, from: &[&str], to: &[&str], free: &[&str], at: u64) -> Value {
    json!({ "id": id, "moved": { "from": from, "to": to, "free": free }, "at": FIRST + at })
}

fn number(id: &str, from: &str, to: &str, at: u64) -> Value {
    moves(id, &[from], &[to], &[from], at)
}

async fn start(world: &Arc<World>) -> Router {
    world.start(Paper::default().channel()).await
}

/// Sends to a customer and returns the canonical address to which it goes.
async fn goes_to(world: &World, router: &Router, customer: &str, id: &str) -> String {
    post(router, text(customer, id, id)).await.unwrap();
    let sent = world.wait_sent(id, |v| v["text"] == id).await;
    sent["canonical"].as_str().unwrap().to_owned()
}

async fn session_with(world: &World, text: &str) -> String {
    session_of(&world.text(text).await)
}

async fn crash(world: &Arc<World>, router: Router) -> Router {
    drop(router);
    world.disk.crash(Crash::Lose);
    start(world).await
}

/// Waits until a message is out, and ends the session.
async fn end(router: &Router, session: &str, last: &str) {
    while router.message(&last.into()).await.unwrap().status.as_str() != "SENT" {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    router.end_session(session.parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn messages_follow_a_customer_to_the_new_number_in_this_and_the_next_session() {
    let world = World::new();
    let mut router = start(&world).await;
    brings(&router, &[writes(A, "a1", 0), number("n1", A, B, 1_000)]).await;
    let session = session_with(&world, "a1").await;
    let told = world.wait("the notice", |v| v["header"]["providerMessageId"] == "n1").await;
    assert_eq!(session_of(&told), session);
    assert_eq!(told["body"]["type"], "NOTIFICATION");
    assert_eq!(told["header"]["channelData"]["channelCustomerIdentifier"], B);
    assert_eq!(goes_to(&world, &router, A, "m1").await, B);
    assert_eq!(goes_to(&world, &router, B, "m2").await, B);
    router = crash(&world, router).await;
    assert_eq!(goes_to(&world, &router, A, "m3").await, B, "after a crash");
    brings(&router, &[writes(B, "b1", 2_000)]).await;
    assert_eq!(session_with(&world, "b1").await, session);
    end(&router, &session, "m3").await;
    assert_eq!(goes_to(&world, &router, A, "m4").await, B, "in a new session, by the old number");
    let second = router.message(&"m4".into()).await.unwrap().session_id.0.to_string();
    assert_ne!(second, session);
    end(&router, &second, "m4").await;
    router = crash(&world, router).await;
    assert_eq!(goes_to(&world, &router, B, "m5").await, B, "and by the new one");
    let view = router.message(&"m5".into()).await.unwrap();
    assert_eq!(view.session_id.0.stream, session.parse::<message::SessionId>().unwrap().stream);
}

#[tokio::test]
async fn a_later_owner_of_the_old_number_is_another_customer() {
    let world = World::new();
    let mut router = start(&world).await;
    brings(&router, &[writes(A, "a1", 0), number("n1", A, B, 1_000)]).await;
    // Late on its way, written before the change; and one of the number's next owner.
    brings(&router, &[writes(A, "late", 500), writes(A, "new1", 1_000)]).await;
    let (first, other) = (session_with(&world, "a1").await, session_with(&world, "new1").await);
    assert_eq!(session_with(&world, "late").await, first);
    assert_ne!(other, first);
    let new = world.text("new1").await;
    assert_eq!(new["header"]["channelData"]["channelCustomerIdentifier"], A);
    for round in ["one", "two"] {
        assert_eq!(goes_to(&world, &router, A, &format!("{round}-a")).await, A);
        assert_eq!(goes_to(&world, &router, B, &format!("{round}-b")).await, B);
        let id = format!("{round}-new");
        brings(&router, &[writes(A, &id, 3_000)]).await;
        assert_eq!(session_with(&world, &id).await, other);
        router = crash(&world, router).await;
    }
    // The next owner goes away, too.
    brings(&router, &[number("n2", A, C, 5_000), writes(A, "third", 6_000)]).await;
    let third = session_with(&world, "third").await;
    assert!(third != first && third != other);
    assert_eq!(goes_to(&world, &router, C, "to-c").await, C);
    let view = router.message(&"to-c".into()).await.unwrap();
    assert_eq!(view.session_id.0.to_string(), other);
}

#[tokio::test]
async fn a_change_of_the_user_id_keeps_one_customer() {
    // With and without a number, known before by either or by both.
    let cases: [(&str, Value, Value, &str); 4] = [
        ("id only", json!({ "from": "user-1" }), moves("n", &["user-1"], &["user-2"], &[], 1_000), "user-2"),
        (
            "both, no number told",
            json!({ "from": A, "aliases": ["user-1"] }),
            moves("n", &["user-1"], &["user-2"], &[], 1_000),
            "user-2",
        ),
        (
            "both, with the number",
            json!({ "from": A, "aliases": ["user-1"] }),
            moves("n", &["user-1", A], &[A, "user-2"], &[], 1_000),
            A,
        ),
        ("number only", json!({ "from": A }), moves("n", &["user-1", A], &[A, "user-2"], &[], 1_000), A),
    ];
    for (case, mut before, change, reached) in cases {
        let world = World::new();
        let mut router = start(&world).await;
        before["id"] = json!("a1");
        before["text"] = json!("a1");
        brings(&router, &[before, change.clone()]).await;
        let session = session_with(&world, "a1").await;
        router = crash(&world, router).await;
        brings(&router, &[change, writes("user-2", "b1", 2_000)]).await;
        assert_eq!(session_with(&world, "b1").await, session, "{case}");
        assert_eq!(goes_to(&world, &router, "user-1", "m1").await, reached, "{case}");
        assert_eq!(goes_to(&world, &router, "user-2", "m2").await, reached, "{case}");
        assert_eq!(world.taken().iter().filter(|v| v["header"]["providerMessageId"] == "n").count(), 1);
    }
}

#[tokio::test]
async fn changes_come_in_chains_back_again_repeated_and_out_of_order() {
    let (ab, bc) = (number("n1", A, B, 1_000), number("n2", B, C, 2_000));
    let ba = number("n3", B, A, 2_000);
    let cases: [(&str, Vec<Value>, &str); 7] = [
        ("chain", vec![ab.clone(), bc.clone()], C),
        ("chain, late", vec![bc.clone(), ab.clone()], C),
        ("chain, repeated", vec![ab.clone(), bc.clone(), ab.clone(), bc.clone()], C),
        ("chain, all late", vec![bc.clone(), ab.clone(), bc, ab.clone()], C),
        ("back", vec![ab.clone(), ba.clone()], A),
        ("back, repeated", vec![ab.clone(), ba.clone(), ab.clone()], A),
        ("twice", vec![ab.clone(), ab], B),
    ];
    for (case, changes, last) in cases {
        for is_crashing in [false, true] {
            let world = World::new();
            let mut router = start(&world).await;
            brings(&router, &[writes(A, "a1", 0)]).await;
            let session = session_with(&world, "a1").await;
            for change in &changes {
                brings(&router, std::slice::from_ref(change)).await;
                if is_crashing {
                    router = crash(&world, router).await;
                }
            }
            let said = format!("{case}, with crashes: {is_crashing}");
            brings(&router, &[writes(last, "z1", 9_000)]).await;
            assert_eq!(session_with(&world, "z1").await, session, "{said}");
            assert_eq!(goes_to(&world, &router, last, "m1").await, last, "{said}");
            assert_eq!(goes_to(&world, &router, A, "m2").await, last, "{said}");
            let told = world.taken().iter().filter(|v| v["body"]["type"] == "NOTIFICATION").count();
            let distinct: std::collections::BTreeSet<_> =
                changes.iter().map(|c| c["id"].to_string()).collect();
            assert_eq!(told, distinct.len(), "{said}: each change is told once");
        }
    }
}

#[tokio::test]
async fn a_new_number_with_an_open_session_passes_to_the_customer() {
    // A writer from the new number before the change was told is the same customer if it was
    // written since, and a stranger otherwise.
    for (written, is_same) in [(1_500, true), (500, false)] {
        let world = World::new();
        let router = start(&world).await;
        brings(&router, &[writes(A, "a1", 0), writes(B, "b1", written)]).await;
        let (first, second) = (session_with(&world, "a1").await, session_with(&world, "b1").await);
        assert_ne!(first, second);
        brings(&router, &[number("n1", A, B, 1_000)]).await;
        let ended = world.wait("the end", |v| v["header"]["intent"] == "END_CHAT").await;
        assert_eq!(session_of(&ended), second, "{written}");
        let router = crash(&world, router).await;
        brings(&router, &[number("n1", A, B, 1_000), writes(B, "b2", 2_000)]).await;
        assert_eq!(session_with(&world, "b2").await, first, "{written}");
        assert_eq!(goes_to(&world, &router, B, "m1").await, B);
        assert_eq!(router.message(&"m1".into()).await.unwrap().session_id.0.to_string(), first);
        let _ = is_same;
    }
}

#[tokio::test]
async fn what_waits_for_the_old_number_goes_to_the_new_one_and_never_to_a_stranger() {
    let world = World::new();
    let router = start(&world).await;
    brings(&router, &[writes(A, "a1", 0), writes(B, "b1", 500)]).await;
    let later = |customer: &str, id: &str| {
        let mut later = text(customer, id, id);
        later["header"]["schedulingMetaData"] = json!({ "sendAt": world.now() + 60_000 });
        later
    };
    post(&router, later(A, "for-ann")).await.unwrap();
    post(&router, later(B, "for-bob")).await.unwrap();
    brings(&router, &[number("n1", A, B, 1_000)]).await;
    let failed = world.wait("the failure", |v| v["body"]["messageId"] == "for-bob").await;
    assert_eq!(failed["body"]["status"], "FAILED");
    assert!(failed["body"]["markdownText"].as_str().unwrap().contains("passed to another"), "{failed}");
    let router = crash(&world, router).await;
    world.pass(61_000);
    let sent = world.wait_sent("for-ann", |v| v["text"] == "for-ann").await;
    assert_eq!(sent["canonical"], B);
    assert!(world.sent().iter().all(|v| v["text"] != "for-bob"));
    drop(router);
}

#[tokio::test]
async fn a_stranger_who_lost_the_number_is_answered_under_the_name_they_write_by() {
    for is_ended in [false, true] {
        let world = World::new();
        let router = start(&world).await;
        let both = json!({ "id": "b1", "from": B, "aliases": ["user-bob"], "text": "b1", "at": FIRST });
        brings(&router, &[writes(A, "a1", 0), both]).await;
        let bobs = session_with(&world, "b1").await;
        if is_ended {
            router.end_session(bobs.parse().unwrap()).await.unwrap();
        }
        brings(&router, &[number("n1", A, B, 1_000)]).await;
        let refusal = post(&router, text("user-bob", "m1", "m1")).await.unwrap_err();
        assert!(refusal.to_string().contains("passed to another customer"), "{refusal}");
        let router = crash(&world, router).await;
        brings(&router, &[writes("user-bob", "b2", 2_000)]).await;
        assert_ne!(session_with(&world, "b2").await, session_with(&world, "a1").await);
        assert_eq!(goes_to(&world, &router, "user-bob", "m2").await, "user-bob");
        assert_eq!(goes_to(&world, &router, B, "m3").await, B);
    }
}

#[tokio::test]
async fn a_notice_opens_no_window() {
    let channel = || {
        let mut paper = Paper::default();
        paper.capabilities.window_hours = Some(24);
        paper.channel()
    };
    let world = World::new();
    let router = world.start(channel()).await;
    let out = json!({ "optOut": true, "from": A, "id": "o1" });
    brings(&router, &[number("n1", A, B, 0), out]).await;
    let refusal = post(&router, text(A, "m1", "m1")).await.unwrap_err();
    assert!(refusal.to_string().contains("has not written yet"), "{refusal}");
}
