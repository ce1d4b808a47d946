//! No read of the log runs on the network runtime: a router on several threads makes each kind of
//! read, and counts those on the wrong thread.

use serde_json::json;

use crate::{
    ANN,
    paper::{self, Paper},
    says,
    stage::{World, id},
    taken,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_on_the_network_runtime() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    for n in 0..20 {
        let answer = router.webhook(&id(), &paper::call(&[says(&format!("in-{n}"), "hello")])).await;
        assert!(taken(&answer), "{answer:?}");
        let message = json!({
            "id": format!("out-{n}"),
            "header": { "channelData": {
                "channelCustomerIdentifier": ANN, "serviceIdentifier": crate::stage::DID } },
            "body": { "type": "PLAIN", "markdownText": format!("reply {n}") },
        });
        let message = message::cim::parse(message.to_string().as_bytes()).unwrap();
        let plan = router.plan(message.clone(), &actors::Origin::default()).await.unwrap();
        assert!(plan.session_open);
        let answers = router.accept(vec![message], &actors::Origin::default()).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    world.wait_sent("the last reply", |sent| sent["text"] == "reply 19").await;
    let shown = router.message(&"out-3".into()).await.unwrap();
    router.session(shown.session_id.0, None).await.unwrap();
    router.find_session(crate::stage::DID, ANN).await.unwrap();
    assert_eq!(router.sessions(None, 10).await.unwrap().items.len(), 1);
    assert!(router.cancel(&"out-3".into()).await.is_err());
    router.drain(1_000).await;
    assert_eq!(router.misplaced_reads(), 0);
}
