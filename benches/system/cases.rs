//! The runs: who is started, what is measured from when to when, and the proof that nothing was lost or came twice.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    Plan, Result,
    driver::{self, Driven},
    kannel::{self, Kannel},
    patchbay::Patchbay,
    process::{Folder, Process, own_cpu_s},
    raw, restart, retention, scale,
    sink::{DELIVERED, DLR, MO, Marks, Sink, WRITTEN},
    smsc::Smsc,
    table::{self, Row},
};

/// A run in which nothing comes for so long has lost something.
const SILENCE: Duration = Duration::from_secs(20);
/// Repeats are looked out for so long after the last call-back.
const REPEATS: Duration = Duration::from_millis(1_500);
/// Customers' messages a second that the SMSC offers: more than anyone takes; it waits when its queue is full.
const MO_PER_S: u64 = 200_000;
/// Customers' messages that may be under way when enough have come.
const MO_SLACK: u64 = 4_000_000;

pub fn run(plan: &Plan) -> Result<()> {
    let mut rows = Vec::new();
    let mut raw = None;
    for case in &plan.cases {
        match case.as_str() {
            "raw" => raw = Some(raw::run(plan)?),
            "outbound" => {
                rows.extend(several(plan, || outbound(plan, 1, None))?);
                if plan.kannel {
                    rows.extend(several(plan, || outbound_kannel(plan))?);
                }
            }
            "batch" => rows.extend(several(plan, || outbound(plan, plan.batch, None))?),
            "inbound" => {
                rows.extend(several(plan, || inbound(plan, "patchbay"))?);
                if plan.kannel {
                    rows.extend(several(plan, || inbound(plan, "kannel"))?);
                }
            }
            "restart" => restart::run(plan)?,
            "scale" => scale::run(plan)?,
            "retention" => retention::run(plan)?,
            "latency" => rows.extend(several(plan, || half_load(plan, &rows))?),
            _ => {}
        }
    }
    table::print(&rows, raw.as_ref());
    Ok(())
}

/// The median of several runs, each of which is told as it ends.
fn several(plan: &Plan, mut run: impl FnMut() -> Result<Row>) -> Result<Option<Row>> {
    let mut rows = Vec::new();
    for _ in 0..plan.runs {
        let row = run()?;
        eprintln!("{} {}: {:.0} e2e/s, {:.1} us", row.gateway, row.case, row.e2e_per_s, row.cpu_us);
        rows.push(row);
    }
    Ok(table::median(rows))
}

/// Acceptance latency at half of what single requests reached, or of 10,000/s when those were not run.
fn half_load(plan: &Plan, rows: &[Row]) -> Result<Row> {
    let full = rows.iter().find(|row| row.case == "outbound" && row.gateway == "patchbay");
    outbound(plan, 1, Some(full.map_or(5_000.0, |row| row.e2e_per_s / 2.0)))
}

/// Processor time of everyone, to be subtracted.
struct Clocks {
    gateway: f64,
    smsc: f64,
    own: f64,
}

impl Clocks {
    fn of(gateway: &[&Process], smsc: &Smsc) -> Self {
        let gateway = gateway.iter().map(|process| process.cpu_s()).sum();
        Self { gateway, smsc: smsc.process.cpu_s(), own: own_cpu_s() }
    }

    fn since(&self, before: &Self, messages: u64, row: &mut Row) {
        let each = |now: f64, before: f64| (now - before) * 1e6 / messages as f64;
        row.cpu_us = each(self.gateway, before.gateway);
        row.smsc_cpu_us = each(self.smsc, before.smsc);
        row.load_cpu_us = each(self.own, before.own);
    }
}

fn outbound(plan: &Plan, batch: u64, pace: Option<f64>) -> Result<Row> {
    let folder = Folder::new(&plan.folder, plan.keep)?;
    let mut smsc = Smsc::start(plan, &folder.path)?;
    let sink = Sink::start(DELIVERED, plan.messages)?;
    let mut gateway = Patchbay::start(plan, &folder.path, smsc.address, sink.address, batch)?;
    smsc.wait("binds", plan.binds, SILENCE)?;
    let disk_before = gateway.disk_bytes();
    let before = Clocks::of(&[&gateway.process], &smsc);
    let load = driver::Load {
        address: gateway.address,
        connections: plan.connections,
        messages: plan.messages,
        batch,
        pace,
        requests: driver::cim(plan.customers, batch),
        accepted: "\"ACCEPTED\"",
    };
    let mut row = sent(plan, load, &mut smsc, &sink)?;
    Clocks::of(&[&gateway.process], &smsc).since(&before, plan.messages, &mut row);
    gateway.process.still_runs()?;
    row.rss_bytes = gateway.process.rss_bytes_max();
    row.disk_bytes = gateway.disk_bytes().saturating_sub(disk_before) as f64 / plan.messages as f64;
    row.gateway = "patchbay";
    row.case = match (batch, pace) {
        (_, Some(_)) => "half load",
        (1, None) => "outbound",
        _ => "batch",
    }
    .to_owned();
    std::thread::sleep(REPEATS);
    check(&sink, plan.messages)?;
    gateway.process.stop()?;
    Ok(row)
}

fn outbound_kannel(plan: &Plan) -> Result<Row> {
    let folder = Folder::new(&plan.folder, plan.keep)?;
    let mut smsc = Smsc::start(plan, &folder.path)?;
    let sink = Sink::start(DLR, plan.messages)?;
    let gateway = Kannel::start(plan, &folder.path, smsc.address, sink.address)?;
    smsc.wait("binds", 1, SILENCE)?;
    let before = Clocks::of(&[&gateway.bearerbox, &gateway.smsbox], &smsc);
    let load = driver::Load {
        address: gateway.address,
        connections: plan.connections,
        messages: plan.messages,
        batch: 1,
        pace: None,
        requests: kannel::sendsms(plan.customers, sink.address),
        accepted: "0: Accepted",
    };
    let mut row = sent(plan, load, &mut smsc, &sink)?;
    Clocks::of(&[&gateway.bearerbox, &gateway.smsbox], &smsc).since(&before, plan.messages, &mut row);
    row.rss_bytes = gateway.bearerbox.rss_bytes_max() + gateway.smsbox.rss_bytes_max();
    row.disk_bytes = gateway.disk_bytes() as f64 / plan.messages as f64;
    (row.gateway, row.case) = ("kannel", "outbound".to_owned());
    std::thread::sleep(REPEATS);
    check(&sink, plan.messages)?;
    Ok(row)
}

/// Sends everything, and waits until everything was submitted and called back.
fn sent(plan: &Plan, load: driver::Load, smsc: &mut Smsc, sink: &Sink) -> Result<Row> {
    let driving = driver::start(load);
    let limit = Duration::from_secs(60 + plan.messages / 100);
    while !driving.is_finished() && smsc.count("accepted")? < plan.messages {
        std::thread::sleep(Duration::from_millis(20));
    }
    let submitted = if driving.is_finished() && smsc.count("accepted")? < plan.messages {
        None
    } else {
        Some(crate::process::now())
    };
    let driven: Driven = driving.join().map_err(|_| "the driver panicked")??;
    let submitted = match submitted {
        Some(at) => at,
        None => smsc.wait("accepted", plan.messages, limit)?,
    };
    sink.wait(plan.messages, SILENCE)?;
    let per_s = |end: Instant| plan.messages as f64 / (end - driven.begun).as_secs_f64();
    Ok(Row {
        accepted_per_s: per_s(driven.ended),
        submitted_per_s: per_s(submitted),
        e2e_per_s: per_s(sink.last()),
        p50: driven.quantile(0.5),
        p99: driven.quantile(0.99),
        refused: driven.refused,
        ..Row::default()
    })
}

/// Customers write to the business, as fast as it takes them.
fn inbound(plan: &Plan, gateway: &'static str) -> Result<Row> {
    let folder = Folder::new(&plan.folder, plan.keep)?;
    let mut smsc = Smsc::start(plan, &folder.path)?;
    let marks: Marks = if gateway == "kannel" { MO } else { WRITTEN };
    let sink = Sink::start(marks, plan.messages + MO_SLACK)?;
    let running = Gateway::start(gateway, plan, &folder, smsc.address, sink.address)?;
    smsc.wait("binds", 1, SILENCE)?;
    let disk_before = running.disk_bytes();
    let before = Clocks::of(&running.processes(), &smsc);
    smsc.change(&format!("{{\"mo_per_second\":{MO_PER_S}}}"))?;
    sink.wait(plan.messages, SILENCE)?;
    smsc.change("{\"mo_per_second\":0}")?;
    // What was under way is counted too: it was worked for.
    let mut acked = u64::MAX;
    while smsc.count("mo_acked")? != acked {
        acked = smsc.count("mo_acked")?;
        std::thread::sleep(Duration::from_millis(500));
    }
    sink.wait(acked, SILENCE)?;
    let mut row = Row { gateway, case: "inbound".to_owned(), ..Row::default() };
    let after = Clocks::of(&running.processes(), &smsc);
    after.since(&before, acked, &mut row);
    row.e2e_per_s = acked as f64 / (sink.last() - sink.first()).as_secs_f64();
    row.rss_bytes = running.processes().iter().map(|process| process.rss_bytes_max()).sum();
    row.disk_bytes = running.disk_bytes().saturating_sub(disk_before) as f64 / acked as f64;
    std::thread::sleep(REPEATS);
    check(&sink, acked)?;
    Ok(row)
}

enum Gateway {
    Patchbay(Patchbay),
    Kannel(Kannel),
}

impl Gateway {
    fn start(name: &str, plan: &Plan, folder: &Folder, smsc: SocketAddr, sink: SocketAddr) -> Result<Self> {
        Ok(match name {
            "kannel" => Self::Kannel(Kannel::start(plan, &folder.path, smsc, sink)?),
            _ => Self::Patchbay(Patchbay::start(plan, &folder.path, smsc, sink, 1)?),
        })
    }

    fn processes(&self) -> Vec<&Process> {
        match self {
            Self::Patchbay(it) => vec![&it.process],
            Self::Kannel(it) => vec![&it.bearerbox, &it.smsbox],
        }
    }

    fn disk_bytes(&self) -> u64 {
        match self {
            Self::Patchbay(it) => it.disk_bytes(),
            Self::Kannel(it) => it.disk_bytes(),
        }
    }
}

/// Each message was called back for exactly once.
fn check(sink: &Sink, messages: u64) -> Result<()> {
    let (count, (again, strange)) = (sink.count(), sink.faults());
    if count != messages || again > 0 || strange > 0 {
        let requests = sink.requests();
        let text = format!(
            "call-backs for {count} of {messages} messages, {again} repeated, {strange} strange, in {requests} requests"
        );
        return Err(text.into());
    }
    Ok(())
}
