//! The business's id of a message leads to it after retention, and never to "no such message"
//! because a disk failed.

use std::{sync::Arc, time::Duration};

use actors::{Acceptance, Origin, Refusal, Router};
use message::{Event, MessageId, Seq, event::DoubtSettlement};
use storage::{Driver, Log, MemoryDisk, Options};
use tokio::time::sleep_until;

use crate::{
    business::cim_of,
    refusals::{on_virtual_time, world},
    run,
    script::MessagePlan,
    world::World,
};

const RETENTION_S: u64 = 100;

fn plan(text: &str, send_at: Option<u64>) -> MessagePlan {
    MessagePlan {
        id: "m0".to_owned(),
        channel: 0,
        customer: "4917600000001".to_owned(),
        text: text.to_owned(),
        priority: None,
        send_at,
        validity_ms: None,
        destination: None,
    }
}

async fn start(world: &Arc<World>, disk: &MemoryDisk) -> (Router, Log) {
    world.begin(0);
    world.lock().quiet = true;
    let options = Options {
        driver: Driver::Inline,
        segment_bytes: 2_000,
        disk_reserve_bytes: 0,
        checkpoint_pause: Duration::ZERO,
        ..Options::default()
    };
    let (log, _) = Log::open(disk.engine(), options).unwrap();
    let config = world.lock().script.config();
    let router = Router::start(config, log.clone(), world.seams()).await.unwrap();
    tokio::spawn(run::drive(world.clone(), log.clone()));
    (router, log)
}

async fn send(router: &Router, plan: &MessagePlan) -> Result<Acceptance, Refusal> {
    router.accept(vec![cim_of(plan)], &Origin::default()).await.remove(0)
}

/// Sends others for ten minutes, which fill a few segments. The look-ups of the first are then on
/// the disk only.
async fn fill(world: &World, router: &Router) {
    for n in 1..=60 {
        let other = MessagePlan {
            id: format!("m{n}"),
            customer: format!("49176000001{n:02}"),
            ..plan(&"other ".repeat(20), None)
        };
        send(router, &other).await.unwrap();
        sleep_until(world.instant(n * 10_000)).await;
    }
}

/// Each request comes first to a router whose disk began to fail, as a system without file
/// descriptors left fails.
#[test]
fn a_disk_that_fails_does_not_make_a_message_unknown() {
    for request in ["message", "cancel", "settle", "plan", "accept"] {
        on_virtual_time(async move {
            let (world, disk) = (world(None, |_| {}), MemoryDisk::new());
            let (router, log) = start(&world, &disk).await;
            let (plan, id) = (plan("<m0>", Some(3_600_000)), MessageId::new("m0"));
            send(&router, &plan).await.unwrap();
            fill(&world, &router).await;
            router.message(&id).await.unwrap();
            disk.fail_calls_after(0, u64::MAX, "Too many open files (os error 24)");
            let refused = match request {
                "message" => router.message(&id).await.err(),
                "cancel" => router.cancel(&id).await.err(),
                "settle" => router.settle_doubt(&id, 1, DoubtSettlement::Resend).await.err(),
                "plan" => router.plan(cim_of(&plan), &Origin::default()).await.err(),
                _ => send(&router, &plan).await.err(),
            };
            assert!(log.poisoned().is_some(), "{request}: the look-up was not on the disk");
            assert!(matches!(refused, Some(Refusal::Busy { .. })), "{request}: {refused:?}");
        });
    }
}

/// The id of a message that is owed for longer than retention still tells a repetition from another
/// message.
#[test]
fn an_id_still_tells_a_repetition_from_another_message_after_retention() {
    on_virtual_time(async {
        let world = world(None, |script| script.retention_s = Some(RETENTION_S));
        let (router, log) = start(&world, &MemoryDisk::new()).await;
        let owed = plan("<m0>", Some(20 * RETENTION_S * 1_000));
        send(&router, &owed).await.unwrap();
        fill(&world, &router).await;
        let first = log.read(Seq(1)).next().unwrap().unwrap();
        assert!(first.seq > Seq(1), "retention removed nothing");
        let is_carried = |event: &Event| matches!(event, Event::Carried { message: Some(_), .. });
        assert!(log.read(Seq(1)).map_while(Result::ok).any(|stored| is_carried(&stored.event)));
        assert!(send(&router, &owed).await.unwrap().duplicate);
        let another = send(&router, &MessagePlan { text: "<m0> anew".to_owned(), ..owed }).await;
        assert!(matches!(another, Err(Refusal::IdDiffers(_))), "{another:?}");
    });
}
