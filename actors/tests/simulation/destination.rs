//! The simulated business end: takes, refuses, loses its answers, is down; and remembers all it
//! took.

use std::{future::pending, sync::Arc, time::Duration};

use actors::seams::{BoxFuture, Post, PostAnswer, PostResult, Poster};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    pairs::{Fault, Operation, UnderWay},
    world::World,
};

/// Something that a destination took, whether or not its answer reached the router.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) destination: usize,
    pub(crate) event_id: Option<String>,
    pub(crate) kind: String,
    /// The message's own id, or the event's for all others.
    pub(crate) id: String,
    pub(crate) text: String,
    /// The message that it may repeat, as it was told.
    pub(crate) repeats: Option<String>,
}

/// The seam.
pub(crate) struct Destinations(pub(crate) Arc<World>);

impl Poster for Destinations {
    fn post(&self, post: Post) -> BoxFuture<'static, PostResult> {
        let world = self.0.clone();
        Box::pin(async move {
            let _under_way = UnderWay::begin(&world, Operation::Delivery);
            let number = usize::from(post.url.contains("dest1"));
            let (fate, delay_ms) = draw(&world, number);
            sleep(Duration::from_millis(delay_ms)).await;
            match fate {
                Fate::Takes => {}
                Fate::Answers(_) | Fate::Throttles => world.fell(Fault::Refused),
                Fate::Unreachable => world.fell(Fault::Unreachable),
                Fate::TakesAndLoses => world.fell(Fault::LinkLost),
                Fate::Hangs | Fate::TakesAndHangs => world.fell(Fault::AnswerLost),
            }
            perform(&world, number, &post, fate).await
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Takes,
    Answers(u16),
    Throttles,
    Unreachable,
    Hangs,
    TakesAndLoses,
    TakesAndHangs,
}

fn draw(world: &World, number: usize) -> (Fate, u64) {
    let now = world.now_ms();
    let mut inner = world.lock();
    let plan = &inner.script.destinations[number];
    let down = plan.down.iter().any(|(from, to)| (*from..*to).contains(&now));
    let faults = plan.faults;
    let quiet = inner.quiet;
    let rng = &mut inner.rng;
    let delay = rng.pick(&[0, 5, 20, 150]);
    if quiet {
        return (Fate::Takes, delay);
    }
    if down {
        return (if rng.chance(500) { Fate::Unreachable } else { Fate::Answers(503) }, delay);
    }
    if !rng.chance(faults) {
        return (Fate::Takes, delay);
    }
    let fates = [
        Fate::Answers(500),
        Fate::Answers(400),
        Fate::Answers(404),
        Fate::Throttles,
        Fate::Unreachable,
        Fate::Hangs,
        Fate::TakesAndLoses,
        Fate::TakesAndHangs,
    ];
    (rng.pick(&fates), delay)
}

async fn perform(world: &World, number: usize, post: &Post, fate: Fate) -> PostResult {
    if matches!(fate, Fate::Takes | Fate::TakesAndLoses | Fate::TakesAndHangs) {
        take(world, number, post);
    }
    world.note(|| format!("dest{number}: {} {fate:?}", post.event_id));
    let answer = |status| Ok(PostAnswer { status, retry_after_s: None });
    match fate {
        Fate::Takes => answer(200),
        Fate::Answers(status) => answer(status),
        Fate::Throttles => Ok(PostAnswer { status: 429, retry_after_s: Some(1) }),
        Fate::Unreachable | Fate::TakesAndLoses => Err("connection reset".to_owned()),
        Fate::Hangs | Fate::TakesAndHangs => pending().await,
    }
}

fn take(world: &World, number: usize, post: &Post) {
    let mut inner = world.lock();
    let Ok(body) = serde_json::from_slice::<Value>(&post.body) else {
        inner.failures.push(format!("a destination got no JSON: {}", String::from_utf8_lossy(&post.body)));
        return;
    };
    let batched = inner.script.destinations[number].batch_max > 1;
    if batched != body.is_array() {
        inner.failures.push("a destination got an array and wanted none, or the reverse".to_owned());
    }
    let single = std::slice::from_ref(&body);
    let items = body.as_array().map_or(single, Vec::as_slice);
    for (at, item) in items.iter().enumerate() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = match (text(&item["body"]["type"]).as_str(), item["header"]["intent"].as_str()) {
            ("DELIVERYNOTIFICATION", _) => "notification",
            (_, Some("END_CHAT")) => "end",
            _ => "message",
        };
        inner.taken.push(Taken {
            destination: number,
            event_id: (at == 0).then(|| post.event_id.clone()),
            kind: kind.to_owned(),
            id: text(&item["id"]),
            text: text(&item["body"]["markdownText"]),
            repeats: repeats_of(item),
        });
    }
}

fn repeats_of(item: &Value) -> Option<String> {
    let attributes = item["header"]["channelData"]["additionalAttributes"].as_array()?;
    let repeats = attributes.iter().find(|attribute| attribute["key"] == "possibleRepeatOf")?;
    Some(repeats["value"].as_str()?.to_owned())
}
