//! One SMSC refuses connections for an hour of virtual time: it is tried a handful of times, and
//! nobody else notices.

use std::sync::Arc;

use actors::{Router, config::Limits};
use storage::{Driver, Log, MemoryDisk, Options};
use tokio::time::sleep_until;

use crate::{
    business,
    rng::Rng,
    run,
    script::{ApiPlan, ChannelPlan, DestinationPlan, MessagePlan, Op, Script},
    world::World,
};

const HOUR_MS: u64 = 3_600_000;
const RATE: usize = 25;
/// Messages for the channel that works: a minute at its full rate.
const MESSAGES: usize = RATE * 60;
/// Messages for the one that does not.
const WAITING: usize = 20;
/// Connections tried in the hour.
const ATTEMPTS_MAX: u64 = 70;

fn script(rng: &mut Rng, api: Option<ApiPlan>) -> Script {
    let mut script = Script::new(rng);
    let channel = |n: usize| ChannelPlan {
        send_rate: RATE as f64,
        window: 50,
        destination: 0,
        account: format!("host = \"smsc{n}\"\nsystem_id = \"pb\"\npassword = \"pw\"\nwindow = 50\n"),
        closed: Vec::new(),
        bindless: Vec::new(),
        throttling: Vec::new(),
        faults: 0,
        api,
        ..script.channels[0].clone()
    };
    let (mut refusing, working) = (channel(0), channel(1));
    refusing.closed = vec![(0, HOUR_MS)];
    script.channels = vec![refusing, working];
    script.destinations = vec![DestinationPlan { batch_max: 1, connections: 4, down: Vec::new(), faults: 0 }];
    script.messages = (0..MESSAGES + WAITING)
        .map(|n| MessagePlan {
            id: format!("m{n}"),
            channel: usize::from(n < MESSAGES),
            customer: format!("4917600{n:05}"),
            text: format!("<m{n}>"),
            priority: None,
            send_at: None,
            validity_ms: None,
            destination: None,
        })
        .collect();
    let all: Vec<usize> = (0..script.messages.len()).collect();
    script.ops = all.chunks(500).map(|chunk| (100, Op::Send(chunk.to_vec()))).collect();
    script.limits = Limits::default();
    (script.mos, script.ends, script.jumps) = (Vec::new(), Vec::new(), Vec::new());
    (script.faulty_reads, script.retention_s) = (Vec::new(), None);
    script.flush_ms_max = 20;
    script
}

#[test]
fn an_smsc_that_refuses_for_an_hour_is_tried_a_handful_of_times_and_holds_nobody_up() {
    an_hour(None);
}

#[test]
fn so_is_an_api_whether_it_can_be_looked_at_or_not() {
    for probes in [true, false] {
        an_hour(Some(ApiPlan { connections: 16, timeout_ms: 5_000, probes, polls: false }));
    }
}

fn an_hour(api: Option<ApiPlan>) {
    let mut rng = Rng::new(1);
    let script = script(&mut rng, api);
    let world = World::with(script, rng, false);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(hour(&world));
    let inner = world.lock();
    assert_eq!(inner.failures, Vec::<String>::new());
}

async fn hour(world: &Arc<World>) {
    world.begin(0);
    let options = Options { driver: Driver::Inline, disk_reserve_bytes: 0, ..Options::default() };
    let (log, _) = Log::open(MemoryDisk::new().engine(), options).unwrap();
    let config = world.lock().script.config();
    let router = Router::start(config, log.clone(), world.seams()).await.unwrap();
    tokio::spawn(run::drive(world.clone(), log));
    business::start(world, &router);
    sleep_until(world.instant(HOUR_MS - 1)).await;
    {
        let inner = world.lock();
        let [refusing, working] = &inner.smscs[..] else { panic!("two SMSCs") };
        println!("{} attempts in an hour", refusing.attempts);
        assert!((10..=ATTEMPTS_MAX).contains(&refusing.attempts), "{} attempts", refusing.attempts);
        assert!(refusing.arrivals.is_empty());
        assert_eq!(working.copies.len(), MESSAGES);
        let took_ms = working.copies[MESSAGES - 1].at_ms - working.copies[0].at_ms;
        println!("{MESSAGES} parts at {RATE} a second took {took_ms} ms");
        assert!((59_000..=62_000).contains(&took_ms), "{took_ms} ms");
    }
    // Then nothing else fails: a connection that hangs would add its time to the pause.
    world.lock().quiet = true;
    sleep_until(world.instant(HOUR_MS + 120_000)).await;
    let inner = world.lock();
    assert_eq!(inner.smscs[0].copies.len(), WAITING, "what waited was sent when it came back");
}
