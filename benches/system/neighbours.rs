//! The price of a broken neighbour: the same load on a healthy channel, alone and beside messages
//! that are stuck at a silent provider or a dead destination.

use std::net::{SocketAddr, TcpListener};

use crate::{
    Plan, Result,
    driver::{self, Cim, Load},
    patchbay::{Patchbay, Setup, Sms},
    process::Folder,
    sink::{DELIVERED, Sink},
    smsc::Smsc,
    table::Row,
    work::{Clocks, SILENCE, check, sent},
};

/// The number of stuck messages of the neighbour.
const STUCK: u64 = 10_000;

#[derive(Clone, Copy, PartialEq)]
enum Neighbour {
    Healthy,
    /// The neighbour's SMSC accepts submits and never answers.
    Silent,
    /// The neighbour's destination refuses connections.
    Dead,
}

/// Measures healthy, silent and dead in turn, as often as asked for, and prints medians relative to
/// the healthy one.
pub fn run(plan: &Plan) -> Result<Vec<Row>> {
    let kinds = [
        (Neighbour::Healthy, "beside: fine"),
        (Neighbour::Silent, "beside: silent"),
        (Neighbour::Dead, "beside: dead"),
    ];
    let mut runs: Vec<Vec<Row>> = vec![Vec::new(); kinds.len()];
    for _ in 0..plan.runs {
        for ((kind, case), rows) in kinds.iter().zip(&mut runs) {
            let row = one(plan, *kind, case)?;
            eprintln!("{case}: {:.0} e2e/s, {:.1} us", row.e2e_per_s, row.cpu_us);
            rows.push(row);
        }
    }
    let rows: Vec<Row> = runs.into_iter().filter_map(crate::table::median).collect();
    if let Some(fine) = rows.first() {
        for row in rows.iter().skip(1) {
            let change = 100.0 * (row.e2e_per_s / fine.e2e_per_s - 1.0);
            println!("{}: {change:+.1} % e2e/s against a healthy neighbour", row.case);
        }
    }
    Ok(rows)
}

fn one(plan: &Plan, neighbour: Neighbour, case: &str) -> Result<Row> {
    let folder = Folder::new(&plan.folder, plan.keep)?;
    let mut smsc = Smsc::start(plan, &folder.path)?;
    let mut other = Smsc::with(plan, &folder.path, "neighbour", &[])?;
    let sink = Sink::start(DELIVERED, plan.messages)?;
    let other_sink = Sink::start(DELIVERED, plan.messages + STUCK)?;
    let other_at = if neighbour == Neighbour::Dead { nobody()? } else { other_sink.address };
    let sms =
        vec![Sms { smsc: smsc.address, sink: 0, binds: 1 }, Sms { smsc: other.address, sink: 1, binds: 1 }];
    let setup = Setup { sinks: vec![sink.address, other_at], batch_max: 1, sms, whatsapp: None };
    let mut gateway = Patchbay::with(plan, &folder.path, &setup)?;
    smsc.wait("binds", 1, SILENCE)?;
    other.wait("binds", 1, SILENCE)?;
    if neighbour == Neighbour::Silent {
        other.change("{\"silent\":true}")?;
    }
    let load = |requests, messages, batch| Load {
        address: gateway.address,
        connections: plan.connections,
        messages,
        batch,
        pace: None,
        requests,
        accepted: "\"ACCEPTED\"",
    };
    // The neighbour's messages are sent first, in batches, with numbers above the others.
    let cim = Cim { customers: plan.customers, first_id: plan.messages, ..Cim::default() };
    let stuck = Cim { batch: plan.batch, first_channel: 1, ..cim };
    driver::start(load(stuck.requests(), STUCK, plan.batch)).join().map_err(|_| "the driver panicked")??;
    match neighbour {
        Neighbour::Healthy => other_sink.wait(STUCK, SILENCE)?,
        Neighbour::Silent => {}
        Neighbour::Dead => _ = other.wait("receipts_acked", STUCK, SILENCE)?,
    }
    let before = Clocks::of(&[&gateway.process], &smsc);
    let requests = driver::cim(plan.customers, 1);
    let sent = sent(load(requests, plan.messages, 1), plan.messages, &mut smsc)?;
    sink.wait(plan.messages, SILENCE)?;
    let mut row = sent.row(plan.messages, &sink);
    Clocks::of(&[&gateway.process], &smsc).since(&before, plan.messages, &mut row);
    gateway.process.still_runs()?;
    row.rss_bytes = gateway.process.rss_bytes_max();
    (row.gateway, row.case) = ("patchbay", case.to_owned());
    check(&sink, plan.messages)?;
    Ok(row)
}

/// Returns an address at which no process listens.
fn nobody() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
