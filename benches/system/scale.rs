//! Scale of state: millions of open sessions and finished messages, made by the real binary; then
//! kill -9 and start, right after the last callback and again when checkpoints are complete; the
//! same with little history for comparison. Never reports a start that lost something: its first
//! messages must be called back, too.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Plan, Result,
    driver::{self, Load},
    patchbay::Patchbay,
    process::{Folder, now},
    sink::{DELIVERED, Sink},
    smsc::Smsc,
};

/// How often the process is killed and started in each state.
const STARTS: u64 = 3;
/// The number of messages of the run with little history.
const FEW: u64 = 10_000;
/// The silence after which a missing callback counts as lost.
const SILENCE: Duration = Duration::from_secs(60);
/// How long after a start memory is measured.
const SETTLE: Duration = Duration::from_secs(2);
/// How long until checkpoints are complete without load: longer than the pause between two of them.
const IDLE: Duration = Duration::from_secs(25);
/// How often the counts of the SMSC are polled.
const SUBMIT_LOOK: Duration = Duration::from_micros(200);
/// The longest time a first message may take.
const FIRST: Duration = Duration::from_secs(30);

/// The figures of one start.
struct Start {
    ready: Duration,
    replayed: u64,
    rss_bytes: u64,
    /// The time from the request of the first message to its answer, and until the SMSC has the
    /// message.
    accepted: Duration,
    submitted: Duration,
}

/// A run with all its messages.
pub struct State {
    plan: Plan,
    folder: Folder,
    smsc: Smsc,
    sink: Sink,
    pub gateway: Option<Patchbay>,
    /// The number of first messages sent so far.
    firsts: u64,
}

/// Runs the case and prints a table.
pub fn run(plan: &Plan) -> Result<()> {
    println!(
        "{:>10} {:>9} {:<14} {:>8} {:>9} {:>7} {:>12} {:>13}",
        "messages", "sessions", "killed", "ready s", "replayed", "RSS MB", "accepted ms", "submitted ms"
    );
    let few = Plan { messages: FEW, customers: plan.customers.min(FEW), ..plan.clone() };
    let before = measure(few)?;
    let after = measure(plan.clone())?;
    println!("start to ready, killed idle, against {FEW} messages of history: {:.2} x", after / before);
    Ok(())
}

/// Returns the median of the starts of an idle process, in seconds.
fn measure(plan: Plan) -> Result<f64> {
    let (messages, customers) = (plan.messages, plan.customers.min(plan.messages));
    let mut state = State::build(plan)?;
    let disk = state.disk()?;
    let show = |killed: &str, start: &Start| {
        println!(
            "{messages:>10} {customers:>9} {killed:<14} {:>8.3} {:>9} {:>7.0} {:>12.2} {:>13.1}",
            start.ready.as_secs_f64(),
            start.replayed,
            start.rss_bytes as f64 / 1e6,
            start.accepted.as_secs_f64() * 1e3,
            start.submitted.as_secs_f64() * 1e3
        );
    };
    for start in 1..=STARTS {
        let again = if start == 1 { "at once" } else { "after a start" };
        show(again, &state.start()?);
    }
    let mut ready = Vec::new();
    for _ in 0..STARTS {
        thread::sleep(IDLE);
        let start = state.start()?;
        show("idle", &start);
        ready.push(start.ready.as_secs_f64());
    }
    println!("           {disk}");
    state.sink.wait(state.plan.messages + state.firsts, SILENCE)?;
    let (again, strange) = state.sink.faults();
    // Deliveries that were accepted just before a kill, and not recorded as accepted, are posted
    // again with the same event id.
    let under_way = state.plan.connections as u64 * state.plan.batch + 2 * STARTS;
    if again > under_way || strange > 0 {
        return Err(format!("{again} callbacks were repeated, {strange} unknown").into());
    }
    if again > 0 {
        println!("           {again} callbacks were repeated after a kill");
    }
    ready.sort_by(f64::total_cmp);
    Ok(ready.get(ready.len() / 2).copied().unwrap_or_default())
}

impl State {
    /// Sends all messages and waits for their callbacks.
    pub fn build(plan: Plan) -> Result<Self> {
        let folder = Folder::new(&plan.folder, plan.keep)?;
        let mut smsc = Smsc::start(&plan, &folder.path)?;
        let sink = Sink::start(DELIVERED, plan.messages + 2 * STARTS)?;
        let gateway = Patchbay::start(&plan, &folder.path, smsc.address, sink.address, plan.batch)?;
        smsc.wait("binds", plan.binds, SILENCE)?;
        let begun = now();
        let load = Load {
            address: gateway.address,
            connections: plan.connections,
            messages: plan.messages,
            batch: plan.batch,
            pace: None,
            requests: driver::cim(plan.customers, plan.batch),
            accepted: "\"ACCEPTED\"",
        };
        let driven = driver::start(load).join().map_err(|_| "the driver panicked")??;
        sink.wait(plan.messages, SILENCE)?;
        println!(
            "           built with {:.0} messages/s; acceptance p50 {:.1}, p99 {:.1}, p100 {:.1} ms, {} refused; memory {} MB at most",
            plan.messages as f64 / begun.elapsed().as_secs_f64(),
            driven.quantile(0.5).as_secs_f64() * 1e3,
            driven.quantile(0.99).as_secs_f64() * 1e3,
            driven.quantile(1.0).as_secs_f64() * 1e3,
            driven.refused,
            gateway.process.rss_bytes_max() / 1_000_000
        );
        Ok(Self { plan, folder, smsc, sink, gateway: Some(gateway), firsts: 0 })
    }

    /// Returns the disk space of one message.
    fn disk(&mut self) -> Result<String> {
        let gateway = self.gateway.as_mut().ok_or("it does not run")?;
        let figures = figures(gateway)?;
        let number = |key: &str| figures.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let (disk, blocks, messages) =
            (gateway.disk_bytes() as f64, number("blockBytes"), self.plan.messages as f64);
        Ok(format!(
            "disk {:.0} B a message, {:.2} x the encoded events ({:.0} B); {} segments, filters {:.1} MB, {} look-ups in memory",
            disk / messages,
            disk / blocks,
            blocks / messages,
            number("segments"),
            number("filterBytes") / 1e6,
            number("lookupsInMemory")
        ))
    }

    /// Kills the process, starts it, and sends a first message.
    fn start(&mut self) -> Result<Start> {
        // Dropping the process kills it.
        self.gateway = None;
        let begun = now();
        let plan = &self.plan;
        let mut gateway =
            Patchbay::start(plan, &self.folder.path, self.smsc.address, self.sink.address, plan.batch)?;
        let ready = begun.elapsed();
        let line = gateway.process.line_after("event log")?;
        let replayed = line.split(", ").find_map(|part| part.split_once(" replayed")?.0.parse().ok());
        let (accepted, submitted) = self.first(&gateway)?;
        thread::sleep(SETTLE);
        let rss_bytes = gateway.process.rss_bytes();
        self.gateway = Some(gateway);
        Ok(Start { ready, replayed: replayed.unwrap_or(0), rss_bytes, accepted, submitted })
    }

    fn first(&mut self, gateway: &Patchbay) -> Result<(Duration, Duration)> {
        let before = self.smsc.count("accepted")?;
        let number = self.plan.messages + self.firsts;
        self.firsts += 1;
        let requests = driver::cim(self.plan.customers, 1);
        let load = Load {
            address: gateway.address,
            connections: 1,
            messages: 1,
            batch: 1,
            pace: None,
            requests: Arc::new(move |to, from, until| requests(to, number + from, number + until)),
            accepted: "\"ACCEPTED\"",
        };
        let begun = now();
        let driving = driver::start(load);
        let submitted = self.submitted(before, begun)?;
        let driven = driving.join().map_err(|_| "the driver panicked")??;
        Ok((driven.quantile(1.0), submitted))
    }

    fn submitted(&mut self, before: u64, begun: Instant) -> Result<Duration> {
        while self.smsc.count("accepted")? == before {
            if begun.elapsed() > FIRST {
                return Err(format!("the first message was not sent within {FIRST:?}").into());
            }
            thread::sleep(SUBMIT_LOOK);
        }
        Ok(begun.elapsed())
    }
}

/// Returns the figures of the log from the admin port.
fn figures(gateway: &mut Patchbay) -> Result<Value> {
    let url = gateway.process.line_after("admin page")?;
    let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET /api/log HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let (_, from, length) = driver::head(&answer).ok_or("the admin port gave no answer")?;
    let body = answer.get(from..from + length).ok_or("the admin port's answer is cut short")?;
    Ok(serde_json::from_slice(body)?)
}
