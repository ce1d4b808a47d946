//! Work for one thing is bounded by that thing: in a session with a long history, a receipt, a look
//! at a message or a page of the session reads the events that it is about. Counted in events.

use actors::Router;
use message::SessionId;
use serde_json::{Value, json};
use storage::{Crash, Log};

use crate::{
    ANN, paper,
    paper::Paper,
    stage::{DID, World, id},
    taken,
};

const MESSAGES: usize = 1_200;

async fn send(router: &Router, ids: std::ops::Range<usize>) {
    let message = |n: usize| {
        let message = json!({
            "id": format!("m{n}"),
            "header": { "channelData": { "channelCustomerIdentifier": ANN, "serviceIdentifier": DID } },
            "body": { "type": "PLAIN", "markdownText": format!("text {n}") },
        });
        message::cim::parse(message.to_string().as_bytes()).unwrap()
    };
    let answers = router.accept(ids.map(message).collect(), &actors::Origin::default()).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// Brings receipts, and returns how many events were read for them.
async fn brings(router: &Router, log: &Log, items: &[Value]) -> u64 {
    let before = log.events_read();
    let answer = router.webhook(&id(), &paper::call(items)).await;
    assert!(taken(&answer), "{answer:?}");
    log.events_read() - before
}

/// A customer with many messages, all of them delivered.
async fn long_history(world: &std::sync::Arc<World>) -> (Router, Log, SessionId) {
    let (router, log) =
        world.start_on_log(Default::default(), vec![("paper", Paper::default().channel())]).await;
    for from in (0..MESSAGES).step_by(100) {
        send(&router, from..from + 100).await;
    }
    let last = format!("text {}", MESSAGES - 1);
    world.wait_sent("the last", |v| v["text"] == last.as_str()).await;
    let receipts: Vec<Value> = world.sent().iter().map(|sent| receipt(sent, "delivered")).collect();
    for some in receipts.chunks(100) {
        brings(&router, &log, some).await;
    }
    let shown = router.message(&format!("m{}", MESSAGES - 1).as_str().into()).await.unwrap();
    (router, log, shown.session_id.0)
}

fn receipt(sent: &Value, report: &str) -> Value {
    json!({ "report": report, "id": "", "reference": sent["reference"], "from": ANN, "code": "0" })
}

#[tokio::test]
async fn a_receipt_or_a_look_reads_the_events_of_its_message_however_long_the_session() {
    let world = World::new();
    let (router, log, session) = long_history(&world).await;
    let sent = world.sent();
    for what in ["live", "after a restart"] {
        let (router, log) = match what {
            "live" => (router.clone(), log.clone()),
            _ => {
                world.disk.crash(Crash::Lose);
                world.start_on_log(Default::default(), vec![("paper", Paper::default().channel())]).await
            }
        };
        for n in [0, MESSAGES / 2, MESSAGES - 1] {
            let id = format!("m{n}");
            let repeated: Vec<Value> = vec![receipt(&sent[n], "delivered"); 40];
            assert_eq!(brings(&router, &log, &repeated).await, 0, "{what}: a receipt that adds nothing");
            let before = log.events_read();
            let shown = router.message(&id.as_str().into()).await.unwrap();
            let names: Vec<&str> = shown.events.iter().map(|event| event.event).collect();
            assert!(names.starts_with(&["accepted", "submitting", "submitted", "receipt"]), "{names:?}");
            assert_eq!((shown.session_id.0, shown.parts.len()), (session, 1));
            let read = log.events_read() - before;
            assert!(read <= names.len() as u64 + 2, "{what}: {read} events were read for a look at {id}");
        }
    }
}

#[tokio::test]
async fn a_late_receipt_costs_its_message_and_a_page_what_it_shows() {
    let world = World::new();
    let (router, log, session) = long_history(&world).await;
    let sent = world.sent();
    let read = brings(&router, &log, &[receipt(&sent[3], "read")]).await;
    assert!((1..=20).contains(&read), "{read} events were read for a receipt that adds something");
    let read = brings(&router, &log, &vec![receipt(&sent[3], "read"); 863]).await;
    assert_eq!(read, 0, "863 repeats of it");
    let shown = router.message(&"m3".into()).await.unwrap();
    assert_eq!(shown.events.last().unwrap().event, "late_receipt");
    assert_eq!(shown.status, message::MessageStatus::Read);

    let before = log.events_read();
    let mut page = router.session(session, None).await.unwrap();
    let read = log.events_read() - before;
    assert!(page.events.len() >= 500 && read <= page.events.len() as u64 + 20, "{read}");
    let mut seen: Vec<_> = page.events.iter().map(|event| event.seq).collect();
    while let Some(earlier) = page.earlier {
        page = router.session_before(session, earlier).await.unwrap();
        assert!(page.events.iter().all(|event| event.seq < earlier) && !page.events.is_empty());
        seen.extend(page.events.iter().map(|event| event.seq));
    }
    assert_eq!(page.events[0].event, "session_opened");
    seen.sort_unstable();
    seen.dedup();
    // What the destination took is among them.
    assert!(seen.len() >= MESSAGES * 4, "{}", seen.len());
}

#[tokio::test]
async fn receipts_that_wait_are_tried_in_pieces() {
    let world = World::new();
    let (router, log) =
        world.start_on_log(Default::default(), vec![("paper", Paper::default().channel())]).await;
    let early =
        |n: usize, id: &str| json!({ "report": "read", "id": id, "from": ANN, "code": n.to_string() });
    // The provider will call the first part so.
    let waiting: Vec<Value> = (0..863).map(|n| early(n, "p-1")).collect();
    for some in waiting.chunks(100) {
        brings(&router, &log, some).await;
    }
    assert_eq!(router.unmatched(None, 0, 10_000).await.len(), 863);
    let before = log.events_read();
    send(&router, 0..1).await;
    let started = std::time::Instant::now();
    loop {
        let left = router.unmatched(None, 0, 10_000).await.len();
        if left == 0 {
            break;
        }
        world.pass(500);
        assert!(started.elapsed().as_secs() < 20, "{left} are left");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let read = log.events_read() - before;
    assert!(read < 100, "{read} events were read for 863 receipts of one message");
    assert_eq!(router.message(&"m0".into()).await.unwrap().status, message::MessageStatus::Read);
}
