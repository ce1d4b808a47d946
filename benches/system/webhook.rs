//! Customers on WhatsApp: signed webhooks in, callbacks out, beside a bare handler that only parses
//! the same JSON; and everything at once. A run that lost or repeated a callback has no figures.

use std::{convert::Infallible, net::SocketAddr, thread, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{
    Plan, Result,
    driver::{self, Driven, quantile},
    patchbay::{Patchbay, Setup, Sms},
    process::{Folder, now, own_cpu_s},
    sink::{DELIVERED, Sink, WRITTEN},
    smsc::{RECEIPT_DELAY_MS, Smsc},
    table::Row,
    work::{Clocks, REPEATS, SILENCE, check},
};

/// Customers' SMS per second in the mixed case.
const MO_PER_S: u64 = 2_000;

fn load(plan: &Plan, address: SocketAddr) -> driver::Load {
    driver::Load {
        address,
        connections: plan.connections,
        messages: plan.messages,
        batch: 1,
        pace: None,
        requests: driver::whatsapp(plan.customers),
        accepted: "",
    }
}

/// A gateway without log, sessions and destinations: the upper limit with this driver on this
/// machine.
pub fn bare(plan: &Plan) -> Result<Row> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(parse));
            connections.spawn(async move { _ = serving.await });
        }
    });
    let before = own_cpu_s();
    let driven = driver::start(load(plan, address)).join().map_err(|_| "the driver panicked")??;
    let load_cpu_us = (own_cpu_s() - before) * 1e6 / plan.messages as f64;
    runtime.shutdown_background();
    let per_s = plan.messages as f64 / (driven.ended - driven.begun).as_secs_f64();
    Ok(Row {
        gateway: "bare",
        accepted_per_s: per_s,
        e2e_per_s: per_s,
        load_cpu_us,
        ..accepted("webhook", &driven)
    })
}

async fn parse(request: Request<Incoming>) -> std::result::Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    let body = request.into_body().collect().await.map(|all| all.to_bytes()).unwrap_or_default();
    if serde_json::from_slice::<serde_json::Value>(&body).is_err() {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

/// The answers to the requests of a run.
fn accepted(case: &str, driven: &Driven) -> Row {
    Row {
        gateway: "patchbay",
        case: case.to_owned(),
        accepted_per_s: driven.sent_us.len() as f64 / (driven.ended - driven.begun).as_secs_f64(),
        p50: driven.quantile(0.5),
        p99: driven.quantile(0.99),
        refused: driven.refused,
        ..Row::default()
    }
}

/// Returns the figures of a run, from its requests to its callbacks.
fn called_back(case: &str, driven: &Driven, sink: &Sink, less: Duration) -> Row {
    let e2e = sink.latencies(driven, less);
    Row {
        e2e_per_s: driven.sent_us.len() as f64 / (sink.last() - driven.begun).as_secs_f64(),
        e2e_p50: quantile(&e2e, 0.5),
        e2e_p99: quantile(&e2e, 0.99),
        ..accepted(case, driven)
    }
}

/// Runs webhooks alone.
pub fn run(plan: &Plan) -> Result<Row> {
    let folder = Folder::new(&plan.folder, plan.keep)?;
    let sink = Sink::start(WRITTEN, plan.messages)?;
    let setup = Setup { sinks: vec![sink.address], batch_max: 1, sms: Vec::new(), whatsapp: Some(0) };
    let mut gateway = Patchbay::with(plan, &folder.path, &setup)?;
    let (disk, cpu, own) = (gateway.disk_bytes(), gateway.process.cpu_s(), own_cpu_s());
    let driving = driver::start(load(plan, gateway.address));
    let driven = driving.join().map_err(|_| "the driver panicked")??;
    sink.wait(plan.messages, SILENCE)?;
    let each = |amount: f64| amount / plan.messages as f64;
    let mut row = Row {
        cpu_us: each((gateway.process.cpu_s() - cpu) * 1e6),
        load_cpu_us: each((own_cpu_s() - own) * 1e6),
        disk_bytes: each(gateway.disk_bytes().saturating_sub(disk) as f64),
        ..called_back("webhook", &driven, &sink, Duration::ZERO)
    };
    gateway.process.still_runs()?;
    row.rss_bytes = gateway.process.rss_bytes_max();
    thread::sleep(REPEATS);
    check(&sink, plan.messages)?;
    gateway.process.stop()?;
    Ok(row)
}

/// Runs messages of the business, customers' SMS at a steady rate, and customers on WhatsApp, all
/// at once. Processor time is divided by all messages, and shown with each.
pub fn mixed(plan: &Plan) -> Result<Vec<Row>> {
    let folder = Folder::new(&plan.folder, plan.keep)?;
    let mut smsc = Smsc::start(plan, &folder.path)?;
    let mut customers = Smsc::with(plan, &folder.path, "customers", &[("mo_to", "5156".to_owned())])?;
    let numbers = plan.messages + MO_PER_S * 600;
    let (out, mo, wa) = (
        Sink::start(DELIVERED, plan.messages)?,
        Sink::start(WRITTEN, numbers)?,
        Sink::start(WRITTEN, plan.messages)?,
    );
    let sms = vec![
        Sms { smsc: smsc.address, sink: 0, binds: plan.binds },
        Sms { smsc: customers.address, sink: 1, binds: 1 },
    ];
    let setup =
        Setup { sinks: vec![out.address, mo.address, wa.address], batch_max: 1, sms, whatsapp: Some(2) };
    let mut gateway = Patchbay::with(plan, &folder.path, &setup)?;
    smsc.wait("binds", plan.binds, SILENCE)?;
    customers.wait("binds", 1, SILENCE)?;
    let disk = gateway.disk_bytes();
    let before = Clocks::of(&[&gateway.process], &smsc);
    let begun = now();
    customers.change(&format!("{{\"mo_per_second\":{MO_PER_S}}}"))?;
    let webhooks = driver::start(load(plan, gateway.address));
    let requests = driver::cim(plan.customers, 1);
    let sends = driver::Load { requests, accepted: "\"ACCEPTED\"", ..load(plan, gateway.address) };
    let sends = driver::start(sends).join().map_err(|_| "the driver panicked")??;
    let webhooks = webhooks.join().map_err(|_| "the driver panicked")??;
    out.wait(plan.messages, SILENCE)?;
    wa.wait(plan.messages, SILENCE)?;
    customers.change("{\"mo_per_second\":0}")?;
    let mut acked = u64::MAX;
    while customers.count("mo_acked")? != acked {
        acked = customers.count("mo_acked")?;
        thread::sleep(Duration::from_millis(500));
    }
    mo.wait(acked, SILENCE)?;
    let all = 2 * plan.messages + acked;
    let mut shared = Row::default();
    Clocks::of(&[&gateway.process], &smsc).since(&before, all, &mut shared);
    shared.disk_bytes = gateway.disk_bytes().saturating_sub(disk) as f64 / all as f64;
    shared.rss_bytes = gateway.process.rss_bytes_max();
    gateway.process.still_runs()?;
    thread::sleep(REPEATS);
    check(&out, plan.messages)?;
    check(&wa, plan.messages)?;
    check(&mo, acked)?;
    gateway.process.stop()?;
    let receipt = Duration::from_millis(RECEIPT_DELAY_MS);
    let in_rate = acked as f64 / (mo.last() - begun).as_secs_f64();
    let inbound = Row { gateway: "patchbay", case: "mixed: MO".into(), e2e_per_s: in_rate, ..Row::default() };
    let rows = [
        called_back("mixed: out", &sends, &out, receipt),
        called_back("mixed: hook", &webhooks, &wa, Duration::ZERO),
        inbound,
    ];
    let Row { cpu_us, smsc_cpu_us, load_cpu_us, disk_bytes, rss_bytes, .. } = shared;
    Ok(rows.map(|row| Row { cpu_us, smsc_cpu_us, load_cpu_us, disk_bytes, rss_bytes, ..row }).into())
}
