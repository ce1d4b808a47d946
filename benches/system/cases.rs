//! The cases: the processes to start, the measurement, and the proof that nothing was lost or
//! repeated.

use std::{net::SocketAddr, time::Duration};

use crate::{
    Plan, Result, driver,
    kannel::{self, Kannel},
    neighbours,
    patchbay::Patchbay,
    process::{Folder, Process},
    raw, restart, retention, scale, search,
    sink::{DLR, MO, Marks, Sink, WRITTEN},
    smsc::Smsc,
    sweep,
    table::{self, Row},
    webhook,
    work::{self, Clocks, REPEATS, SILENCE, Work, check, sent},
};

/// The SMSC's answer time in the slow case, the time of observation, and the windows.
const SLOW_MS: u64 = 20;
const SLOW_S: u64 = 20;
const SLOW_WINDOWS: [u64; 3] = [10, 100, 1_000];
/// Customers' messages per second that the SMSC offers: more than any gateway accepts, so its queue
/// stays full.
const MO_PER_S: u64 = 200_000;
/// The largest number of customers' messages in flight at the end.
const MO_SLACK: u64 = 4_000_000;

/// Runs the cases of the plan and prints one table.
pub fn run(plan: &Plan) -> Result<()> {
    let mut rows = Vec::new();
    let mut raw = None;
    for case in &plan.cases {
        match case.as_str() {
            "raw" => raw = Some(raw::run(plan)?),
            "outbound" => {
                rows.extend(several(plan, || work::run(plan, &Work::of(plan), "outbound"))?);
                if plan.kannel {
                    rows.extend(several(plan, || outbound_kannel(plan))?);
                }
            }
            "batch" => {
                let work = Work { batch: plan.batch, ..Work::of(plan) };
                rows.extend(several(plan, || work::run(plan, &work, "batch"))?);
            }
            "inbound" => {
                rows.extend(several(plan, || inbound(plan, "patchbay"))?);
                if plan.kannel {
                    rows.extend(several(plan, || inbound(plan, "kannel"))?);
                }
            }
            "restart" => restart::run(plan)?,
            "webhook" => {
                rows.extend(several(plan, || webhook::bare(plan))?);
                rows.extend(several(plan, || webhook::run(plan))?);
            }
            "mixed" => rows.extend(webhook::mixed(plan)?),
            "slow" => {
                for window in SLOW_WINDOWS {
                    rows.extend(several(plan, || slow(plan, window))?);
                }
            }
            "neighbours" => rows.extend(neighbours::run(plan)?),
            "sweep" => sweep::run(plan)?,
            "plots" => sweep::redraw(plan)?,
            "scale" => scale::run(plan)?,
            "search" => search::run(plan)?,
            "retention" => retention::run(plan)?,
            "latency" => rows.extend(several(plan, || half_load(plan, &rows))?),
            _ => {}
        }
    }
    table::print(&rows, raw.as_ref());
    Ok(())
}

/// Returns the median of several runs and prints each as it ends.
fn several(plan: &Plan, mut run: impl FnMut() -> Result<Row>) -> Result<Option<Row>> {
    let mut rows = Vec::new();
    for _ in 0..plan.runs {
        let row = run()?;
        eprintln!("{} {}: {:.0} e2e/s, {:.1} us", row.gateway, row.case, row.e2e_per_s, row.cpu_us);
        rows.push(row);
    }
    Ok(table::median(rows))
}

/// Measures acceptance at half the rate that single requests reached, or at 5,000/s if they were
/// not run.
fn half_load(plan: &Plan, rows: &[Row]) -> Result<Row> {
    let full = rows.iter().find(|row| row.case == "outbound" && row.gateway == "patchbay");
    let pace = Some(full.map_or(5_000.0, |row| row.e2e_per_s / 2.0));
    work::run(plan, &Work { pace, ..Work::of(plan) }, "half load")
}

/// Runs with an SMSC that answers late, for several windows.
fn slow(plan: &Plan, window: u64) -> Result<Row> {
    let most_per_s = window * 1_000 / SLOW_MS;
    let messages = plan.messages.min(most_per_s * SLOW_S).max(1);
    let plan = Plan { window, smsc_latency_ms: SLOW_MS, messages, ..plan.clone() };
    let work = Work { batch: plan.batch, ..Work::of(&plan) };
    let row = work::run(&plan, &work, &format!("slow {window}"))?;
    let share = |per_s: f64| 100.0 * per_s / most_per_s as f64;
    let (ours, bare) = (share(row.submitted_per_s), share(raw::submits(&plan, true, messages)?));
    println!(
        "slow: window {window} / {SLOW_MS} ms = {most_per_s}/s: {ours:.0} % of it, a bare client {bare:.0} %"
    );
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
    let sent = sent(load, plan.messages, &mut smsc)?;
    sink.wait(plan.messages, SILENCE)?;
    let mut row = sent.row(plan.messages, &sink);
    Clocks::of(&[&gateway.bearerbox, &gateway.smsbox], &smsc).since(&before, plan.messages, &mut row);
    row.rss_bytes = gateway.bearerbox.rss_bytes_max() + gateway.smsbox.rss_bytes_max();
    row.disk_bytes = gateway.disk_bytes() as f64 / plan.messages as f64;
    (row.gateway, row.case) = ("kannel", "outbound".to_owned());
    std::thread::sleep(REPEATS);
    check(&sink, plan.messages)?;
    Ok(row)
}

/// Runs customers that write to the business as fast as it accepts.
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
    // Messages in flight are counted too: the gateway worked on them.
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
