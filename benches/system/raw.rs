//! What this machine can do at all, measured in the same run: driver against bare sink, and append + fdatasync.

use std::{
    fs::{self, File},
    io::Write,
    time::Duration,
};

use crate::{
    Plan, Result, driver,
    process::{Folder, now},
    sink::{Marks, Sink},
};

/// Requests of the raw HTTP run.
const REQUESTS: u64 = 200_000;
/// Appends one by one, each with its own fdatasync; and in groups of so many.
const APPENDS: usize = 2_000;
const GROUP: usize = 64;

pub struct Raw {
    pub requests_per_s: f64,
    pub appends_per_s: f64,
    pub grouped_per_s: f64,
    pub append_p50: Duration,
}

pub fn run(plan: &Plan) -> Result<Raw> {
    let sink = Sink::start(Marks { before: "\"id\":\"b-", after: "\"" }, REQUESTS)?;
    let load = driver::Load {
        address: sink.address,
        connections: plan.connections,
        messages: REQUESTS,
        batch: 1,
        pace: None,
        requests: driver::cim(plan.customers, 1),
        accepted: "",
    };
    let driven = driver::start(load).join().map_err(|_| "the driver panicked")??;
    let requests_per_s = REQUESTS as f64 / (driven.ended - driven.begun).as_secs_f64();
    let (appends_per_s, append_p50) = append(plan, 200, APPENDS)?;
    let (groups_per_s, _) = append(plan, 225 * GROUP, APPENDS)?;
    Ok(Raw { requests_per_s, appends_per_s, grouped_per_s: groups_per_s * GROUP as f64, append_p50 })
}

fn append(plan: &Plan, bytes: usize, times: usize) -> Result<(f64, Duration)> {
    let folder = Folder::new(&plan.folder, false)?;
    fs::create_dir_all(&folder.path)?;
    let mut file = File::create(folder.path.join("plain"))?;
    let record = vec![b'x'; bytes];
    let mut each = Vec::with_capacity(times);
    let begun = now();
    for _ in 0..times {
        let before = now();
        file.write_all(&record)?;
        file.sync_data()?;
        each.push(before.elapsed());
    }
    let per_s = times as f64 / begun.elapsed().as_secs_f64();
    each.sort_unstable();
    Ok((per_s, each.get(times / 2).copied().unwrap_or_default()))
}
