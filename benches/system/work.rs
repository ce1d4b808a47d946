//! Messages of the business through Patchbay, in whatever shape: how many channels, binds, customers, parts, receipts.
//! Ends only when each message that gets a receipt got its call-back exactly once.

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

/// A run in which nothing comes for so long has lost something.
pub const SILENCE: Duration = Duration::from_secs(20);
/// Repeats are looked out for so long after the last call-back.
pub const REPEATS: Duration = Duration::from_millis(1_500);
/// Between two looks at the SMSC's counts while submits are waited for.
const GLANCE: Duration = Duration::from_millis(20);

/// What is sent, and over what.
#[derive(Clone)]
pub struct Work {
    pub messages: u64,
    pub customers: u64,
    /// Messages in a request, and notifications in a call-back.
    pub batch: u64,
    /// Requests a second; none: as many as are answered.
    pub pace: Option<f64>,
    pub channels: u64,
    /// Of each channel.
    pub binds: u64,
    pub text: Arc<str>,
    /// Into which the text is split.
    pub parts: u64,
    /// Of a hundred messages, those whose receipt comes.
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

    /// What the SMSC is told, so that only a share of the receipts comes.
    fn withheld(&self) -> Vec<(&'static str, String)> {
        match self.receipts_percent {
            100 => Vec::new(),
            0 => vec![("receipts", "never".to_owned())],
            share => vec![("receipt_lost", format!("{}%", 100 - share))],
        }
    }
}

/// Processor time of everyone, to be subtracted.
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

/// Runs it once.
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

/// What was accepted, and when the SMSC had all of it.
pub struct Sent {
    pub driven: Driven,
    submitted: Instant,
}

/// Sends everything, and waits until everything was submitted.
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
    /// What came of it; `messages` were called back for, the receipt's second is taken from what that took.
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

/// How many receipts there were, once no more come.
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

/// Each message was called back for exactly once.
pub fn check(sink: &Sink, messages: u64) -> Result<()> {
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
