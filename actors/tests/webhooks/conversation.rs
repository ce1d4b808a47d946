//! Conversations: one customer under several names, windows, pauses, lists,
//! replies, reports.

use std::time::Duration;

use actors::{Origin, Refusal, Router};
use channels::Capabilities;
use message::{BodyType, MessageId, cim};
use serde_json::{Value, json};
use storage::Crash;
use tokio::time::timeout;

use crate::{
    ANN, paper,
    paper::Paper,
    says,
    stage::{DID, World, id},
    taken,
};

const HOUR_MS: u64 = 3_600_000;

/// The business posts a message.
pub(crate) async fn post(router: &Router, message: Value) -> Result<MessageId, Refusal> {
    let message = cim::parse(message.to_string().as_bytes()).unwrap();
    let answer = router.accept(vec![message], &Origin::default()).await.pop().unwrap();
    answer.map(|acceptance| acceptance.message_id)
}

fn to(customer: &str, id: &str, body: Value) -> Value {
    json!({
        "id": id,
        "header": { "channelData": { "channelCustomerIdentifier": customer, "serviceIdentifier": DID } },
        "body": body,
    })
}

pub(crate) fn text(customer: &str, id: &str, text: &str) -> Value {
    to(customer, id, json!({ "type": "PLAIN", "markdownText": text }))
}

pub(crate) async fn brings(router: &Router, items: &[Value]) {
    let answer = router.webhook(&id(), &paper::call(items)).await;
    assert!(taken(&answer), "{answer:?}");
}

pub(crate) fn session_of(delivery: &Value) -> String {
    delivery["header"]["channelSessionId"].as_str().unwrap().to_owned()
}

fn paper_with(change: impl FnOnce(&mut Capabilities)) -> std::sync::Arc<dyn channels::Channel> {
    let mut paper = Paper::default();
    change(&mut paper.capabilities);
    paper.channel()
}

#[tokio::test]
async fn every_name_of_a_customer_leads_to_one_session_also_after_a_crash() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    let both = json!({ "id": "a", "from": ANN, "text": "a", "aliases": ["user-ann"] });
    let only = |id: &str| json!({ "id": id, "from": "user-ann", "text": id });
    brings(&router, &[both, only("b")]).await;
    let session = session_of(&world.text("a").await);
    assert_eq!(session_of(&world.text("b").await), session, "within one call");
    drop(router);
    world.disk.crash(Crash::Lose);
    let router = world.start(Paper::default().channel()).await;
    brings(&router, &[only("c")]).await;
    let c = world.text("c").await;
    assert_eq!(session_of(&c), session);
    assert_eq!(c["header"]["channelData"]["channelCustomerIdentifier"], "user-ann");
    post(&router, text(ANN, "m1", "to the number")).await.unwrap();
    let sent = world.wait_sent("the answer", |v| v["text"] == "to the number").await;
    assert_eq!((&sent["to"], &sent["canonical"]), (&json!("user-ann"), &json!("4917600000001")));
    let view = router.message(&"m1".into()).await.unwrap();
    assert_eq!(view.session_id.0.to_string(), session);
}

#[tokio::test]
async fn a_number_spelled_as_it_was_years_ago_is_the_same_customer() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    post(&router, text("+5511987654321", "m1", "hello")).await.unwrap();
    world.wait_sent("hello", |v| v["text"] == "hello").await;
    brings(&router, &[json!({ "id": "a", "from": "551187654321", "text": "hi" })]).await;
    let hi = world.text("hi").await;
    let first = router.message(&"m1".into()).await.unwrap();
    assert_eq!(session_of(&hi), first.session_id.0.to_string());
    post(&router, text("+5511987654321", "m2", "again")).await.unwrap();
    let again = world.wait_sent("again", |v| v["text"] == "again").await;
    assert_eq!(again["to"], "551187654321", "the customer's own spelling is written to");
}

#[tokio::test]
async fn free_messages_go_only_within_the_window_which_outlives_session_and_process() {
    let channel = || {
        paper_with(|c| {
            c.window_hours = Some(24);
            c.native = &[BodyType::Plain, BodyType::Template];
        })
    };
    let world = World::new();
    let router = world.start(channel()).await;
    let too_early = post(&router, text(ANN, "m0", "hello")).await.unwrap_err();
    assert!(too_early.to_string().contains("has not written yet"), "{too_early}");
    brings(&router, &[says("a", "hi")]).await;
    let hi = world.text("hi").await;
    post(&router, text(ANN, "m1", "hello")).await.unwrap();
    while router.message(&"m1".into()).await.unwrap().status.as_str() != "SENT" {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    router.end_session(session_of(&hi).parse().unwrap()).await.unwrap();
    drop(router);
    world.disk.crash(Crash::Lose);
    world.pass(23 * HOUR_MS);
    let router = world.start(channel()).await;
    post(&router, text(ANN, "m2", "still there?")).await.unwrap();
    world.wait_sent("still there?", |v| v["text"] == "still there?").await;
    world.pass(2 * HOUR_MS);
    let refusal = post(&router, text(ANN, "m3", "too late")).await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Unsendable(cause) if &*cause.code == "window"), "{refusal}");
    assert!(refusal.to_string().contains("25 hours ago"), "{refusal}");
    let message = cim::parse(text(ANN, "m3", "too late").to_string().as_bytes()).unwrap();
    assert_eq!(router.plan(message, &Origin::default()).await.unwrap_err(), refusal, "the plan says so, too");
    let template =
        json!({ "type": "TEMPLATE", "name": "hello", "namespace": "n", "language": { "code": "en" } });
    post(&router, to(ANN, "m4", template)).await.unwrap();
    world.wait_sent("the template", |v| v["text"].as_str().unwrap().contains("TEMPLATE")).await;
    assert!(world.sent().iter().all(|v| v["text"] != "too late"));
}

#[tokio::test]
async fn a_message_whose_window_closes_while_it_waits_fails_with_the_reason() {
    let world = World::new();
    let router = world.start(paper_with(|c| c.window_hours = Some(24))).await;
    brings(&router, &[says("a", "hi")]).await;
    world.text("hi").await;
    let mut later = text(ANN, "m1", "later");
    later["header"]["schedulingMetaData"] = json!({ "sendAt": world.now() + 23 * HOUR_MS });
    post(&router, later).await.unwrap();
    world.pass(25 * HOUR_MS);
    let told = world.wait("the notification", |v| v["body"]["messageId"] == "m1").await;
    assert_eq!((&told["body"]["status"], &told["body"]["reasonCode"]), (&json!("FAILED"), &json!("400")));
    assert!(told["body"]["markdownText"].as_str().unwrap().contains("within 24 hours"), "{told}");
    assert_eq!(world.sent(), Vec::<Value>::new());
}

#[tokio::test]
async fn two_messages_to_one_customer_keep_their_distance() {
    let world = World::new();
    let router = world.start(paper_with(|c| c.pair_interval_ms = 6_000)).await;
    for n in 0..3 {
        post(&router, text(ANN, &format!("m{n}"), &format!("n{n}"))).await.unwrap();
    }
    post(&router, text("+4917600000002", "other", "other")).await.unwrap();
    world.wait_sent("n0", |v| v["text"] == "n0").await;
    world.wait_sent("other", |v| v["text"] == "other").await;
    for n in 1..3 {
        world.pass(5_000);
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(world.sent().len(), n + 1, "too early: {:?}", world.sent());
        world.pass(1_000);
        world.wait_sent("the next", |v| v["text"] == format!("n{n}")).await;
    }
}

#[tokio::test]
async fn the_answer_to_a_numbered_list_is_the_press_of_its_button() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    let buttons = json!({
        "type": "BUTTON", "buttonMessageType": "BUTTON", "markdownText": "Where to?",
        "buttons": [
            { "type": "reply", "title": "Sales", "payload": "go-sales" },
            { "type": "reply", "title": "Help", "payload": "go-help" },
        ],
    });
    post(&router, to(ANN, "m1", buttons)).await.unwrap();
    world.wait_sent("the list", |v| v["text"].as_str().unwrap().contains("Sales")).await;
    // Its answer must be safe before the crash, or the list is in doubt and what follows waits for
    // it.
    while router.message(&message::MessageId::new("m1")).await.unwrap().status < message::MessageStatus::Sent
    {
        tokio::task::yield_now().await;
    }
    drop(router);
    world.disk.crash(Crash::Lose);
    let router = world.start(Paper::default().channel()).await;
    brings(&router, &[says("a", " 2. "), says("b", "sales"), says("c", "neither")]).await;
    let help = world.text("Help").await;
    assert_eq!(
        help["body"],
        json!({ "type": "PLAIN", "markdownText": "Help", "additionalDetails": { "payload": "go-help" } })
    );
    let attributes = &help["header"]["channelData"]["additionalAttributes"];
    assert_eq!((&attributes[0]["key"], &attributes[0]["value"]), (&json!("originalText"), &json!(" 2. ")));
    assert_eq!(world.text("Sales").await["body"]["additionalDetails"]["payload"], "go-sales");
    world.text("neither").await;
    post(&router, text(ANN, "m2", "How many?")).await.unwrap();
    world.wait_sent("the question", |v| v["text"] == "How many?").await;
    brings(&router, &[says("d", "2")]).await;
    assert_eq!(
        world.text("2").await["body"],
        json!({ "type": "PLAIN", "markdownText": "2" }),
        "it answers m2"
    );
    let press = json!({ "id": "e", "from": ANN, "text": "Yes", "payload": "yes-1" });
    brings(&router, &[press]).await;
    assert_eq!(world.text("Yes").await["body"]["additionalDetails"]["payload"], "yes-1");
}

#[tokio::test]
async fn replies_name_what_they_answer_both_ways() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    brings(&router, &[says("wamid.1", "question")]).await;
    let question = world.text("question").await;
    let reply = |id: &str, original: &Value| {
        let mut reply = text(ANN, id, id);
        reply["header"]["intent"] = json!("REPLY_TO");
        reply["header"]["originalMessageId"] = original.clone();
        reply
    };
    post(&router, reply("m1", &question["id"])).await.unwrap();
    let sent = world.wait_sent("m1", |v| v["text"] == "m1").await;
    assert_eq!(sent["replyTo"], "wamid.1");
    post(&router, reply("m2", &json!("m1"))).await.unwrap();
    assert_eq!(world.wait_sent("m2", |v| v["text"] == "m2").await["replyTo"], "p-1", "its own message");
    post(&router, reply("m3", &json!("unheard-of"))).await.unwrap();
    assert_eq!(world.wait_sent("m3", |v| v["text"] == "m3").await["replyTo"], Value::Null);
    let adapted = router.message(&"m3".into()).await.unwrap().adapted;
    assert!(adapted[0].contains("not known"), "{adapted:?}");

    let answer = |id: &str, to: &str| json!({ "id": id, "from": ANN, "text": id, "replyTo": to });
    brings(&router, &[answer("b", "p-2"), answer("c", "wamid.1"), answer("d", "nothing")]).await;
    let header = |delivery: &Value| {
        (delivery["header"]["intent"].clone(), delivery["header"]["originalMessageId"].clone())
    };
    assert_eq!(header(&world.text("b").await), (json!("REPLY_TO"), json!("m2")));
    assert_eq!(header(&world.text("c").await), (json!("REPLY_TO"), question["id"].clone()));
    let d = world.text("d").await;
    assert_eq!(header(&d), (Value::Null, Value::Null));
    assert_eq!(d["header"]["channelData"]["additionalAttributes"][0]["value"], "nothing");
}

#[tokio::test]
async fn receipts_find_their_part_by_reference_by_id_and_by_time() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    let mut references = Vec::new();
    for n in 1..=4 {
        let id = format!("m{n}");
        post(&router, text(ANN, &id, &id)).await.unwrap();
        let sent = world.wait_sent(&id, |v| v["text"] == id).await;
        references.push(sent["reference"].clone());
        world.pass(1_000);
    }
    let until = async |id: &str, status: &str| {
        world
            .wait(&format!("{id} {status}"), |v| {
                v["body"]["messageId"] == id && v["body"]["status"] == status
            })
            .await
    };
    let receipt = |report: &str, id: &str| json!({ "report": report, "id": id, "from": ANN, "code": report });
    let failed = json!({ "report": "failed", "id": "p-2", "from": ANN, "code": "131026: cannot be reached" });
    let by_reference = json!({ "report": "delivered", "id": "", "reference": references[0], "from": "" });
    brings(&router, &[by_reference, failed, receipt("delivered", "unheard-of")]).await;
    until("m1", "DELIVERED").await;
    let told = until("m2", "FAILED").await;
    assert_eq!(told["body"]["markdownText"], "cannot be reached (131026)");
    assert_eq!(router.unmatched(None, 0, 10).await.len(), 1, "one that nobody knows is kept");

    let upto = world.now() - 1_500;
    let watermark =
        |report: &str, at: u64| json!({ "report": report, "id": "", "from": ANN, "watermark": at });
    brings(&router, &[watermark("read", upto)]).await;
    until("m1", "READ").await;
    until("m3", "READ").await;
    assert_eq!(router.message(&"m4".into()).await.unwrap().status.as_str(), "SENT", "it was sent later");
    brings(&router, &[watermark("delivered", world.now()), watermark("read", world.now())]).await;
    until("m4", "READ").await;
    let before = world.taken().len();
    brings(&router, &[watermark("read", world.now()), says("z", "end")]).await;
    world.text("end").await;
    assert_eq!(world.taken().len(), before + 1, "a repetition says nothing new");
}

#[tokio::test]
async fn the_receipt_that_settles_a_doubt_names_its_part_for_those_that_follow() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    let receipt = |report: &str| json!({ "report": report, "id": "x-1", "from": ANN, "code": report });
    let until = async |id: &str, status: &str| {
        while router.message(&id.into()).await.unwrap().status.as_str() != status {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let until = async |id, status| timeout(Duration::from_secs(20), until(id, status)).await.expect(status);
    post(&router, text(ANN, "a", "lost a")).await.unwrap();
    world.wait_sent("a", |v| v["text"] == "lost a").await;
    brings(&router, &[receipt("sent")]).await;
    // It waits for an answer that may still name it.
    world.pass(600);
    until("a", "SENT").await;
    // Now that another is in doubt, the addresses alone would not tell which is meant.
    post(&router, text(ANN, "b", "lost b")).await.unwrap();
    world.wait_sent("b", |v| v["text"] == "lost b").await;
    brings(&router, &[receipt("delivered")]).await;
    world.pass(600);
    until("a", "DELIVERED").await;
    assert_eq!(router.unmatched(None, 0, 10).await.len(), 0);
    assert_ne!(router.message(&"b".into()).await.unwrap().status.as_str(), "DELIVERED");
}

#[tokio::test]
async fn a_reference_that_leads_nowhere_is_kept_and_one_of_another_channel_changes_nothing() {
    let world = World::new();
    let channels = vec![("paper", Paper::default().channel()), ("other", Paper::default().channel())];
    let router = world.start_all(channels).await;
    post(&router, text(ANN, "m1", "one")).await.unwrap();
    let sent = world.wait_sent("one", |v| v["text"] == "one").await;
    let reference = sent["reference"].as_str().unwrap();
    let report = |id: &str, reference: &str| json!({ "report": "delivered", "id": id, "reference": reference, "from": ANN, "code": "ok" });
    let (stream, _) = reference.split_once('-').unwrap();
    let strangers = [format!("{:032x}-1-0", 7), format!("{stream}-9-0"), format!("{stream}-1-5")];
    let items: Vec<Value> = strangers.iter().map(|of| report("", of)).collect();
    brings(&router, &items).await;
    // The other channel's webhook cannot speak for this one's messages.
    let answer = router.webhook(&"other".into(), &paper::call(&[report("", reference)])).await;
    assert!(taken(&answer), "{answer:?}");
    let unmatched = router.unmatched(None, 0, 10).await;
    let mut kept: Vec<_> =
        unmatched.iter().map(|r| (r.channel.as_str(), r.provider_id.to_string())).collect();
    kept.sort_unstable();
    let mut expected: Vec<_> = strangers.iter().map(|of| ("paper", of.clone())).collect();
    expected.push(("other", reference.to_owned()));
    expected.sort_unstable();
    assert_eq!(kept, expected);
    assert_eq!(router.message(&"m1".into()).await.unwrap().status.as_str(), "SENT");
    // By its id it is found all the same, and by its own name at its own channel.
    brings(&router, &[report("p-1", &strangers[0])]).await;
    world.wait("its receipt", |v| v["body"]["status"] == "DELIVERED").await;
    assert_eq!(router.unmatched(None, 0, 10).await.len(), 4);
    let counts = router.channels().await;
    assert_eq!((counts[0].counts.receipts, counts[0].counts.receipts_unmatched), (1, 3));
}

#[tokio::test]
async fn an_opt_out_by_itself_is_told_once_however_often_it_is_brought() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    let opt = |id: &str, out: bool| json!({ "id": id, "from": ANN, "optOut": out });
    brings(&router, &[opt("e1", true)]).await;
    brings(&router, &[opt("e1", true)]).await;
    brings(&router, &[opt("e2", false), says("z", "end")]).await;
    world.text("end").await;
    let told: Vec<Value> = world
        .taken()
        .iter()
        .filter(|v| v["body"]["type"] == "NOTIFICATION")
        .map(|v| v["body"]["notificationData"]["optOut"].clone())
        .collect();
    assert_eq!(told, [json!(true), json!(false)]);
}

#[tokio::test]
async fn what_a_provider_says_of_the_account_is_shown_until_it_says_otherwise() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    let fact = |says: &str| json!({ "about": "quality", "says": says });
    brings(&router, &[fact("GREEN"), fact("YELLOW"), json!({ "about": "name", "says": "APPROVED" })]).await;
    let channel = router.channels().await.remove(0);
    let shown: Vec<_> = channel.account.iter().map(|fact| (&*fact.about, &*fact.says)).collect();
    assert_eq!(shown, [("name", "APPROVED"), ("quality", "YELLOW")]);
    assert!(world.taken().is_empty(), "it is nothing of a customer's");
}

#[tokio::test]
async fn typing_and_marks_of_reading_are_calls_and_nothing_in_the_log() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    brings(&router, &[says("wamid.1", "one"), says("wamid.2", "two")]).await;
    let one = world.text("one").await;
    world.text("two").await;
    let settled = async || loop {
        let before = router.committed();
        tokio::time::sleep(Duration::from_millis(30)).await;
        if router.committed() == before {
            return before;
        }
    };
    let before = settled().await;
    let typing = json!({ "type": "NOTIFICATION", "notificationType": "TYPING_STARTED" });
    post(&router, to(ANN, "t1", typing)).await.unwrap();
    let sent = world.wait_sent("typing", |v| v["typing"] == true).await;
    assert_eq!(sent["last"], "wamid.2");
    let read = json!({ "type": "DELIVERYNOTIFICATION", "messageId": one["id"], "status": "READ", "reasonCode": 200 });
    post(&router, to(ANN, "t2", read)).await.unwrap();
    world.wait_sent("the mark", |v| v["read"] == "wamid.1").await;
    assert_eq!(settled().await, before, "nothing is logged");
    assert!(router.message(&"t1".into()).await.is_err());
}

#[tokio::test]
async fn a_name_that_the_provider_answers_with_leads_to_the_session() {
    let world = World::new();
    let router = world.start(Paper { renames: true, ..Paper::default() }.channel()).await;
    post(&router, text("+5491155550000", "m1", "hello")).await.unwrap();
    world.wait_sent("hello", |v| v["text"] == "hello").await;
    while router.message(&"m1".into()).await.unwrap().status.as_str() != "SENT" {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    brings(&router, &[json!({ "id": "a", "from": "user-5491155550000", "text": "hi" })]).await;
    let session = router.message(&"m1".into()).await.unwrap().session_id.0.to_string();
    assert_eq!(session_of(&world.text("hi").await), session);
}

#[tokio::test]
async fn who_opts_out_is_told_to_the_business_once() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    let items = [says("a", "STOP"), json!({ "optOut": true, "from": ANN })];
    brings(&router, &items).await;
    brings(&router, &items).await;
    brings(&router, &[says("b", "end")]).await;
    world.text("end").await;
    let kinds: Vec<_> = world.taken().iter().map(|v| v["body"]["type"].clone()).collect();
    assert_eq!(kinds, ["PLAIN", "NOTIFICATION", "PLAIN"]);
    assert_eq!(world.taken()[1]["body"]["notificationData"], json!({ "optOut": true }));
}

/// All of them at the same instant.
async fn post_all(router: &Router, messages: [Value; 4]) -> [Result<MessageId, Refusal>; 4] {
    let [a, b, c, d] = messages.map(|message| post(router, message));
    tokio::join!(a, b, c, d).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_id_for_several_customers_at_the_same_instant_is_taken_once() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    for round in 100..600 {
        let id = format!("twice-{round}");
        let messages = [0, 1, 2, 3].map(|n| text(&format!("+4917600{round}00{n}"), &id, "to whom?"));
        let (taken, refused): (Vec<_>, Vec<_>) =
            post_all(&router, messages).await.into_iter().partition(Result::is_ok);
        assert_eq!(taken.len(), 1, "{id}: {taken:?}");
        assert!(refused.iter().all(|r| matches!(r, Err(Refusal::IdTaken(taken)) if taken.as_str() == id)));
    }
    // Said again for the one who has it, it is a repeat.
    let again = post_all(&router, [0; 4].map(|_| text(ANN, "mine", "once"))).await;
    assert!(again.iter().all(Result::is_ok), "{again:?}");
    world.wait_sent("the message", |sent| sent["text"] == "once").await;
    assert_eq!(world.sent().iter().filter(|sent| sent["text"] == "once").count(), 1);
}
