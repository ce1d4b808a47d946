//! The wall clock jumps while messages wait for their time: all of them are sent once it is right
//! again, however the jump met them.

use std::{ops::Range, sync::Arc};

use actors::{Router, config::Limits};
use storage::{Driver, Log, MemoryDisk, Options};
use tokio::time::sleep_until;

use crate::{
    business,
    rng::Rng,
    run,
    script::{ChannelPlan, ClockJump, DestinationPlan, MessagePlan, Op, Script},
    world::World,
};

const MESSAGES: usize = 60;
/// All are due by now: sending takes 30 seconds.
const DUE_MS: u64 = 5_000;
const END_MS: u64 = 120_000;
const DAY_MS: i64 = 24 * 3_600_000;

/// A jump of the clock, and messages that wait.
struct Case {
    jumps: &'static [(Range<u64>, i64)],
    send_at: Option<u64>,
    validity_ms: Option<u64>,
    live_sessions_max: usize,
}

fn script(rng: &mut Rng, case: &Case) -> Script {
    let mut script = Script::new(rng);
    let channel = ChannelPlan {
        send_rate: 2.0,
        window: 10,
        destination: 0,
        account: "host = \"smsc0\"\nsystem_id = \"pb\"\npassword = \"pw\"\n".to_owned(),
        closed: Vec::new(),
        bindless: Vec::new(),
        throttling: Vec::new(),
        full_for: None,
        faults: 0,
        api: None,
        ..script.channels[0].clone()
    };
    script.channels = vec![channel];
    script.destinations = vec![DestinationPlan { batch_max: 1, connections: 4, down: Vec::new(), faults: 0 }];
    script.messages = (0..MESSAGES)
        .map(|n| MessagePlan {
            id: format!("m{n}"),
            channel: 0,
            customer: format!("4917600{n:05}"),
            text: format!("<m{n}>"),
            priority: None,
            send_at: case.send_at,
            validity_ms: case.validity_ms,
            destination: None,
        })
        .collect();
    script.ops = vec![(100, Op::Send((0..MESSAGES).collect()))];
    let of = |(during, by_ms): &(Range<u64>, i64)| ClockJump { during: during.clone(), by_ms: *by_ms };
    script.jumps = case.jumps.iter().map(of).collect();
    let live_sessions_max = case.live_sessions_max;
    script.limits = Limits { live_sessions_max, hosts: 1, ..Limits::default() };
    (script.mos, script.ends, script.faulty_reads, script.retention_s) = Default::default();
    script.flush_ms_max = 5;
    script
}

async fn two_minutes(world: &Arc<World>) {
    world.begin(0);
    world.lock().quiet = true;
    let options = Options { driver: Driver::Inline, disk_reserve_bytes: 0, ..Options::default() };
    let (log, _) = Log::open(MemoryDisk::new().engine(), options).unwrap();
    let config = world.lock().script.config();
    let router = Router::start(config, log.clone(), world.seams()).await.unwrap();
    tokio::spawn(run::drive(world.clone(), log));
    business::start(world, &router);
    sleep_until(world.instant(END_MS)).await;
}

#[test]
fn whatever_waits_while_the_clock_jumps_is_sent_once_it_is_right_again() {
    let day_back: &[(Range<u64>, i64)] = &[(10_000..12_000, -DAY_MS)];
    let hour_back: &[(Range<u64>, i64)] = &[(10_000..40_000, -3_600_000)];
    let step_back: &[(Range<u64>, i64)] = &[(DUE_MS + 100..9_000, -1_500)];
    let day_ahead: &[(Range<u64>, i64)] = &[(10_000..30_000, DAY_MS)];
    let before_due: &[(Range<u64>, i64)] = &[(3_000..8_000, DAY_MS)];
    let both: &[(Range<u64>, i64)] = &[(8_000..12_000, DAY_MS), (12_000..15_000, -DAY_MS)];
    for jumps in [day_back, hour_back, step_back, day_ahead, before_due, both] {
        for (send_at, validity_ms) in
            [(None, None), (Some(DUE_MS), None), (None, Some(600_000)), (Some(DUE_MS), Some(600_000))]
        {
            for live_sessions_max in [1, 1_000] {
                let case = Case { jumps, send_at, validity_ms, live_sessions_max };
                let mut rng = Rng::new(1);
                let script = script(&mut rng, &case);
                let world = World::with(script, rng, false);
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build()
                    .unwrap();
                runtime.block_on(two_minutes(&world));
                let inner = world.lock();
                let sent = inner.smscs[0].copies.len();
                let about = (jumps, send_at, validity_ms, live_sessions_max);
                assert_eq!(sent, MESSAGES, "sent of what waited: {about:?}");
                assert_eq!(inner.failures, Vec::<String>::new(), "{about:?}");
            }
        }
    }
}
