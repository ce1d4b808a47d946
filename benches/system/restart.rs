//! The time from start to ready after a kill -9 right after the last callback. No checkpoint is
//! awaited: the latest events are replayed.

use std::{thread, time::Duration};

use crate::{
    Plan, Result,
    driver::{self, Load},
    patchbay::Patchbay,
    process::{Folder, now},
    sink::{DELIVERED, Sink},
    smsc::Smsc,
};

/// How often the process is killed and started.
const STARTS: usize = 3;
/// The silence after which a missing callback counts as lost.
const SILENCE: Duration = Duration::from_secs(40);
/// How long after a start memory is measured.
const SETTLE: Duration = Duration::from_secs(2);

/// Runs the case and prints a line for each start.
pub fn run(plan: &Plan) -> Result<()> {
    let folder = Folder::new(&plan.folder, plan.keep)?;
    let mut smsc = Smsc::start(plan, &folder.path)?;
    let sink = Sink::start(DELIVERED, plan.messages)?;
    let mut gateway = Patchbay::start(plan, &folder.path, smsc.address, sink.address, plan.batch)?;
    smsc.wait("binds", plan.binds, SILENCE)?;
    let load = Load {
        address: gateway.address,
        connections: plan.connections,
        messages: plan.messages,
        batch: plan.batch,
        pace: None,
        requests: driver::cim(plan.customers, plan.batch),
        accepted: "\"ACCEPTED\"",
    };
    driver::start(load).join().map_err(|_| "the driver panicked")??;
    sink.wait(plan.messages, SILENCE)?;
    for start in 1..=STARTS {
        // Dropping the process kills it.
        drop(gateway);
        let begin = now();
        gateway = Patchbay::start(plan, &folder.path, smsc.address, sink.address, plan.batch)?;
        let took = begin.elapsed();
        thread::sleep(SETTLE);
        println!(
            "restart {start}: {:.2} s from start to ready after kill -9; {} messages to {} customers, memory {} MB at most",
            took.as_secs_f64(),
            plan.messages,
            plan.customers,
            gateway.process.rss_bytes_max() / 1_000_000,
        );
    }
    gateway.process.stop()
}
