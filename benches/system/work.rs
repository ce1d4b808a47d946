//! Messages of the business through Patchbay, with any number of channels, binds, customers, parts
//! and receipts. Succeeds only when every message with a receipt got its callback exactly once.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Plan, Result,
    driver::{self, Cim, Driven, quantile},
    patchbay::{Patchbay, Setup, Sms},
    process::{Folder, Process, now, own_cpu_s},
    sink::{DELIVERED, Sink},
    smsc::{RECEIPT_DELAY_MS, Smsc},
    table::Row,
};

/// The silence after which something counts as lost.
pub const SILENCE: Duration = Duration::from_secs(20);
/// How long after the last callback repeats are awaited.
pub const REPEATS: Duration = Duration::from_millis(1_500);
/// How often the SMSC's counts are polled.
const GLANCE: Duration = Duration::from_millis(20);

/// The load and the channels that carry it.
#[derive(Clone)]
pub struct Work {
    pub messages: u64,
    pub customers: u64,
    /// The number of messages in a request, and of notifications in a callback.
    pub batch: u64,
    /// Requests per second; `None` for full speed.
    pub pace: Option<f64>,
    pub channels: u64,
    /// The number of binds of each channel.
    pub binds: u64,
    pub text: Arc<str>,
    /// The number of parts of the text.
    pub parts: u64,
    /// The percentage of messages that get a receipt.
    pub receipts_percent: u64,
}

impl Work {
    pub fn of(plan: &Plan) -> Self {
        Self {
            messages: plan.messages,
            customers: plan.customers,
            batch: 1,
            pace: None,
            channels: 1,
            binds: plan.binds,
            text: driver::TEXT.into(),
            parts: 1,
            receipts_percent: 100,
        }
    }

    fn load(&self, gateway: &Patchbay, plan: &Plan) -> driver::Load {
        let Self { customers, batch, channels, text, .. } = self.clone();
        let cim = Cim { customers, batch, channels, text, ..Cim::default() };
        driver::Load {
            address: gateway.address,
            connections: plan.connections,
            messages: self.messages,
            batch: self.batch,
            pace: self.pace,
            requests: cim.requests(),
            accepted: "\"ACCEPTED\"",
        }
    }

    /// Returns the settings of the SMSC that yield this share of receipts.
    fn withheld(&self) -> Vec<(&'static str, String)> {
        match self.receipts_percent {
            100 => Vec::new(),
            0 => vec![("receipts", "never".to_owned())],
            share => vec![("receipt_lost", format!("{}%", 100 - share))],
        }
    }
}

/// The processor time of all processes at the start, to be subtracted.
pub struct Clocks {
    gateway: f64,
    smsc: f64,
    own: f64,
}

impl Clocks {
    pub fn of(gateway: &[&Process], smsc: &Smsc) -> Self {
        let gateway = gateway.iter().map(|process| process.cpu_s()).sum();
        Self { gateway, smsc: smsc.process.cpu_s(), own: own_cpu_s() }
    }

    pub fn since(&self, before: &Self, messages: u64, row: &mut Row) {
        let each = |now: f64, before: f64| (now - before) * 1e6 / messages as f64;
        row.cpu_us = each(self.gateway, before.gateway);
        row.smsc_cpu_us = each(self.smsc, before.smsc);
        row.load_cpu_us = each(self.own, before.own);
    }
}

/// Runs the work once.
pub fn run(plan: &Plan, work: &Work, case: &str) -> Result<Row> {
    let folder = Folder::new(&plan.folder, plan.keep)?;
    let mut smsc = Smsc::with(plan, &folder.path, "smsc", &work.withheld())?;
    let sink = Sink::start(DELIVERED, work.messages)?;
    let sms = vec![Sms { smsc: smsc.address, sink: 0, binds: work.binds }; work.channels as usize];
    let setup = Setup { sinks: vec![sink.address], batch_max: work.batch, sms, whatsapp: None };
    let mut gateway = Patchbay::with(plan, &folder.path, &setup)?;
    smsc.wait("binds", work.channels * work.binds, SILENCE)?;
    let disk_before = gateway.disk_bytes();
    let before = Clocks::of(&[&gateway.process], &smsc);
    let submits = work.messages * work.parts;
    let driven = sent(work.load(&gateway, plan), submits, &mut smsc)?;
    let called_back = match work.receipts_percent {
        100 => work.messages,
        _ => receipts(&mut smsc)?,
    };
    sink.wait(called_back, SILENCE)?;
    let mut row = driven.row(called_back.min(1) * work.messages, &sink);
    Clocks::of(&[&gateway.process], &smsc).since(&before, work.messages, &mut row);
    gateway.process.still_runs()?;
    row.rss_bytes = gateway.process.rss_bytes_max();
    row.disk_bytes = gateway.disk_bytes().saturating_sub(disk_before) as f64 / work.messages as f64;
    (row.gateway, row.case) = ("patchbay", case.to_owned());
    thread::sleep(REPEATS);
    check(&sink, called_back)?;
    gateway.process.stop()?;
    Ok(row)
}

/// The number of accepted messages, and when the SMSC had all of them.
pub struct Sent {
    pub driven: Driven,
    submitted: Instant,
}

/// Sends everything and waits until everything is submitted.
pub fn sent(load: driver::Load, submits: u64, smsc: &mut Smsc) -> Result<Sent> {
    let limit = Duration::from_secs(60 + submits / 100);
    let driving = driver::start(load);
    while !driving.is_finished() && smsc.count("accepted")? < submits {
        thread::sleep(GLANCE);
    }
    let submitted = smsc.wait("accepted", submits, limit)?;
    let driven: Driven = driving.join().map_err(|_| "the driver panicked")??;
    Ok(Sent { driven, submitted })
}

impl Sent {
    /// Returns the result. `messages` were called back; the receipt's second is subtracted from
    /// their times.
    pub fn row(self, messages: u64, sink: &Sink) -> Row {
        let driven = &self.driven;
        let sent = driven.sent_us.len() as f64;
        let per_s = |count: f64, end: Instant| count / (end - driven.begun).as_secs_f64();
        let e2e = sink.latencies(driven, Duration::from_millis(RECEIPT_DELAY_MS));
        Row {
            accepted_per_s: per_s(sent, driven.ended),
            submitted_per_s: per_s(sent, self.submitted),
            e2e_per_s: if messages == 0 { 0.0 } else { per_s(messages as f64, sink.last()) },
            p50: driven.quantile(0.5),
            p99: driven.quantile(0.99),
            longest: driven.quantile(1.0),
            e2e_p50: quantile(&e2e, 0.5),
            e2e_p99: quantile(&e2e, 0.99),
            refused: driven.refused,
            ..Row::default()
        }
    }
}

/// Returns the number of receipts once no more arrive.
fn receipts(smsc: &mut Smsc) -> Result<u64> {
    let mut before = u64::MAX;
    loop {
        let until = now() + Duration::from_millis(2 * RECEIPT_DELAY_MS);
        while now() < until {
            thread::sleep(GLANCE);
        }
        let acked = smsc.count("receipts_acked")?;
        if acked == before {
            return Ok(acked);
        }
        before = acked;
    }
}

/// Checks that each message was called back exactly once.
pub fn check(sink: &Sink, messages: u64) -> Result<()> {
    let (count, (again, strange)) = (sink.count(), sink.faults());
    if count != messages || again > 0 || strange > 0 {
        let requests = sink.requests();
        let text = format!(
            "callbacks for {count} of {messages} messages, {again} repeated, {strange} unknown, in {requests} requests"
        );
        return Err(text.into());
    }
    Ok(())
}
