//! A possible repeat is said: a provider without message ids repeats what it saw no acknowledgement
//! for, and cannot be told from a customer who writes the same twice.

use actors::Router;
use serde_json::Value;
use storage::Crash;

use crate::{
    paper::{self, Paper},
    says,
    stage::{World, id},
    taken,
};

async fn brings(router: &Router, item: Value) {
    let answer = router.webhook(&id(), &paper::call(&[item])).await;
    assert!(taken(&answer), "{answer:?}");
}

/// The ids of the deliveries with a text, each with the message that it may repeat.
async fn came(world: &World, text: &str, count: usize) -> Vec<(String, Option<String>)> {
    let all = || {
        let taken = world.taken().into_iter().filter(|v| v["body"]["markdownText"] == text);
        let attribute = |v: &Value| {
            let attributes = v["header"]["channelData"]["additionalAttributes"].as_array()?.clone();
            let repeat = attributes.into_iter().find(|a| a["key"] == "possibleRepeatOf")?;
            Some(repeat["value"].as_str()?.to_owned())
        };
        taken.map(|v| (v["id"].as_str().unwrap().to_owned(), attribute(&v))).collect::<Vec<_>>()
    };
    world.wait(text, |_| all().len() >= count).await;
    all()
}

#[tokio::test]
async fn what_comes_again_after_a_loss_is_delivered_and_flagged() {
    let world = World::new();
    let router = world.start(Paper::default().channel()).await;
    for item in [says("", "yes"), says("", "no"), says("", "yes"), says("x1", "named")] {
        brings(&router, item).await;
        world.pass(1_000);
    }
    let yes = came(&world, "yes", 2).await;
    assert!(yes.iter().all(|(_, repeats)| repeats.is_none()), "nothing was lost: {yes:?}");
    came(&world, "no", 1).await;
    // The provider may have missed the answers to all of them.
    drop(router);
    world.disk.crash(Crash::Lose);
    let router = world.start(Paper::default().channel()).await;
    for item in [says("", "yes"), says("", "maybe"), says("x2", "named"), says("", "yes"), says("", "no")] {
        world.pass(1_000);
        brings(&router, item).await;
    }
    let yes = came(&world, "yes", 4).await;
    let first = Some(yes[1].0.clone());
    assert_eq!((&yes[2].1, &yes[3].1), (&first, &first), "of the newest before the loss");
    assert!(came(&world, "no", 2).await[1].1.is_some());
    assert_eq!(came(&world, "maybe", 1).await[0].1, None);
    assert!(
        came(&world, "named", 2).await.iter().all(|(_, repeats)| repeats.is_none()),
        "ids tell them apart"
    );
    // Long after it, the same word is a new message.
    world.pass(16 * 60_000);
    brings(&router, says("", "no")).await;
    assert_eq!(came(&world, "no", 3).await[2].1, None);
}
