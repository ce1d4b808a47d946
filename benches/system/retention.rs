//! Disk usage under a constant load with a short retention and small segments. Fails when usage
//! still grows after retention has begun to remove segments.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    Plan, Result,
    driver::{self, Load},
    patchbay::Patchbay,
    process::{Folder, now},
    sink::{DELIVERED, Sink},
    smsc::Smsc,
};

/// The load, in messages per second.
const RATE: f64 = 4_000.0;
const RETENTION: Duration = Duration::from_secs(20);
/// The retention. Sessions stay open, so history is kept for a little more than twice this time.
const STEADY: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);
const SHOW: Duration = Duration::from_secs(10);
/// How much the disk usage may exceed its first steady value: one segment more or less.
const GROWTH_MAX: f64 = 1.25;
const SILENCE: Duration = Duration::from_secs(20);

/// Runs the case and prints the usage every ten seconds.
pub fn run(plan: &Plan) -> Result<()> {
    let root = format!("retention = \"{}s\"\nsegment_size = \"8MB\"", RETENTION.as_secs());
    let plan = Plan { root, ..plan.clone() };
    let folder = Folder::new(&plan.folder, plan.keep)?;
    let mut smsc = Smsc::start(&plan, &folder.path)?;
    let sink = Sink::start(DELIVERED, plan.messages)?;
    let mut gateway = Patchbay::start(&plan, &folder.path, smsc.address, sink.address, 1)?;
    smsc.wait("binds", plan.binds, SILENCE)?;
    let driving = driver::start(Load {
        address: gateway.address,
        connections: plan.connections,
        messages: plan.messages,
        batch: 1,
        pace: Some(RATE),
        requests: driver::cim(plan.customers, 1),
        accepted: "\"ACCEPTED\"",
    });
    let begun = now();
    let sizes = watch(&mut gateway, begun, || driving.is_finished())?;
    let driven = driving.join().map_err(|_| "the driver panicked")??;
    sink.wait(plan.messages, SILENCE)?;
    let most = |from: Duration, to: Duration| {
        sizes.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, bytes)| *bytes).max().unwrap_or(0)
    };
    let first = most(STEADY, STEADY * 2);
    let last = most(STEADY * 2, Duration::MAX);
    println!(
        "retention {RETENTION:?}, {RATE:.0} messages/s: at most {:.1} MB on the disk from {STEADY:?} on, {:.1} MB from {:?} on, {} MB of memory; acceptance p50 {:.2}, p99 {:.2} ms",
        first as f64 / 1e6,
        last as f64 / 1e6,
        STEADY * 2,
        gateway.process.rss_bytes_max() / 1_000_000,
        driven.quantile(0.5).as_secs_f64() * 1e3,
        driven.quantile(0.99).as_secs_f64() * 1e3
    );
    gateway.process.stop()?;
    if first == 0 || last as f64 > first as f64 * GROWTH_MAX {
        return Err(
            "the disk still grows, or the run was too short: --messages 720000 takes three minutes".into()
        );
    }
    Ok(())
}

/// The disk usage over time.
fn watch(gateway: &mut Patchbay, begun: Instant, is_over: impl Fn() -> bool) -> Result<Vec<(Duration, u64)>> {
    let mut sizes = Vec::new();
    let mut shown = Duration::ZERO;
    while !is_over() {
        let (at, bytes) = (begun.elapsed(), gateway.disk_bytes());
        if at >= shown {
            println!("  after {:>4} s {:>8.1} MB", at.as_secs(), bytes as f64 / 1e6);
            shown += SHOW;
        }
        sizes.push((at, bytes));
        gateway.process.still_runs()?;
        thread::sleep(LOOK);
    }
    Ok(sizes)
}
