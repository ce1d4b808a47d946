//! The script of one run, drawn from its seed before it begins: channels, messages, faults,
//! crashes.

use std::{ops::Range, sync::Arc, time::Duration};

use actors::config::{ChannelConfig, Config, DestinationConfig, Did, HttpConfig, Limits, OnUnknown};
use channels::Channel;

use crate::{api::Account, pairs::Operation, rng::Rng};

/// Traffic and faults end here, in virtual milliseconds; from then on everything must settle.
pub(crate) const QUIET_MS: u64 = 60_000;

/// The system's answers when it has no free descriptor, and no room on the disk.
pub(crate) const EMFILE: &str = "Too many open files (os error 24)";
pub(crate) const ENOSPC: &str = "No space left on device (os error 28)";

/// How an SMSC spells its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdStyle {
    /// Identical in all runs.
    Decimal,
    /// Hexadecimal in answers, decimal in receipts.
    HexThenDecimal,
    /// Decimal in answers, hexadecimal in receipts.
    DecimalThenHex,
    /// Upper case in answers, lower case in receipts.
    CaseChanges,
    /// Leading zeros in answers only.
    ZerosVanish,
    /// Three nodes count from 1, each for its own customers: customers share ids.
    Nodes,
}

/// How an SMSC writes receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// With the type of a receipt, from the customer to the DID.
    Proper,
    /// The customer's number in any spelling, on either side, or beside another DID.
    Spelled,
    /// With the type of a message.
    Untyped,
}

/// A channel's nature.
#[derive(Clone, Debug)]
pub(crate) struct ChannelPlan {
    pub(crate) on_unknown: OnUnknown,
    pub(crate) send_rate: f64,
    /// Parts that may be unanswered at once, over all its links.
    pub(crate) window: usize,
    pub(crate) destination: usize,
    pub(crate) style: IdStyle,
    pub(crate) manners: Manners,
    pub(crate) account: String,
    pub(crate) inactivity_s: Option<u64>,
    pub(crate) doubt_grace_ms: u64,
    pub(crate) tries_max: u16,
    pub(crate) receipt_timeout_s: u64,
    /// When it refuses connections, binds, and when it throttles: from, to.
    pub(crate) closed: Vec<(u64, u64)>,
    pub(crate) bindless: Vec<(u64, u64, u32)>,
    pub(crate) throttling: Vec<(u64, u64)>,
    /// The customer whose queue is always full, until `full_until`; empty: everybody's is.
    pub(crate) full_for: Option<String>,
    pub(crate) full_until: u64,
    /// Faults in a thousand submits.
    pub(crate) faults: u64,
    /// It is an HTTP API instead of an SMSC.
    pub(crate) api: Option<ApiPlan>,
}

/// How an API is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApiPlan {
    pub(crate) connections: usize,
    pub(crate) timeout_ms: u64,
    pub(crate) probes: bool,
    pub(crate) polls: bool,
}

/// A message of the business.
#[derive(Clone, Debug)]
pub(crate) struct MessagePlan {
    pub(crate) id: String,
    pub(crate) channel: usize,
    pub(crate) customer: String,
    pub(crate) text: String,
    pub(crate) priority: Option<u8>,
    pub(crate) send_at: Option<u64>,
    pub(crate) validity_ms: Option<u64>,
    pub(crate) destination: Option<usize>,
}

/// A message of a customer.
#[derive(Clone, Debug)]
pub(crate) struct MoPlan {
    pub(crate) channel: usize,
    pub(crate) customer: String,
    pub(crate) text: String,
    pub(crate) parts: Vec<Vec<u8>>,
    pub(crate) reference: u8,
    /// It has the form of a receipt.
    pub(crate) forged: bool,
    pub(crate) at_ms: u64,
}

/// Something the business does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Sends messages in one request.
    Send(Vec<usize>),
    /// Uses a message's id for someone else.
    Steal(usize, String),
    /// Withdraws a message.
    Cancel(usize),
    /// Ends a customer's session.
    End(usize, String),
    /// An operator starts a channel again.
    Restart(usize),
    /// An operator pauses a channel for a time in milliseconds.
    Pause(usize, u64),
    /// An operator ends all pauses of a channel that failures caused.
    TryNow(usize),
    /// An operator withdraws all messages of a channel that wait.
    CancelQueued(usize),
    /// A channel is configured anew.
    Reload(usize),
    /// A channel is removed, and comes back after a time in milliseconds.
    Away(usize, u64),
    /// A destination is configured anew.
    ReloadDestination(usize),
}

impl Op {
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Send(_) => Operation::Accept,
            Self::Steal(..) => Operation::Steal,
            Self::Cancel(_) => Operation::Cancel,
            Self::End(..) => Operation::End,
            Self::Restart(_)
            | Self::Pause(..)
            | Self::TryNow(_)
            | Self::CancelQueued(_)
            | Self::Reload(_)
            | Self::Away(..)
            | Self::ReloadDestination(_) => Operation::Restart,
        }
    }
}

/// How a life of the router ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Killed.
    Kill { at_ms: u64, look_first: bool },
    /// Killed in the middle of a flush.
    KillInFlush { at_ms: u64 },
    /// The disk refuses a flush: the router must fail by itself.
    FlushFails { at_ms: u64 },
    /// Some calls to the disk fail: the router fails by itself, or goes on.
    CallsFail { at_ms: u64, after: u64, count: u64, reason: &'static str },
}

impl End {
    pub(crate) fn at_ms(self) -> u64 {
        match self {
            Self::Kill { at_ms, .. }
            | Self::KillInFlush { at_ms }
            | Self::FlushFails { at_ms }
            | Self::CallsFail { at_ms, .. } => at_ms,
        }
    }

    fn moved_to(mut self, to_ms: u64) -> Self {
        match &mut self {
            Self::Kill { at_ms, .. }
            | Self::KillInFlush { at_ms }
            | Self::FlushFails { at_ms }
            | Self::CallsFail { at_ms, .. } => *at_ms = to_ms,
        }
        self
    }
}

/// A destination's nature.
#[derive(Clone, Debug)]
pub(crate) struct DestinationPlan {
    pub(crate) batch_max: usize,
    pub(crate) connections: usize,
    /// From, to.
    pub(crate) down: Vec<(u64, u64)>,
    pub(crate) faults: u64,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) channels: Vec<ChannelPlan>,
    pub(crate) destinations: Vec<DestinationPlan>,
    pub(crate) messages: Vec<MessagePlan>,
    pub(crate) mos: Vec<MoPlan>,
    pub(crate) ops: Vec<(u64, Op)>,
    pub(crate) ends: Vec<End>,
    pub(crate) limits: Limits,
    pub(crate) segment_bytes: u64,
    /// The longest pause between two turns of the log's writer.
    pub(crate) flush_ms_max: u64,
    /// Times for which the wall clock is wrong.
    pub(crate) jumps: Vec<ClockJump>,
    /// Between two lives, files that can be rebuilt are damaged or removed: this many in a
    /// thousand.
    pub(crate) damaged_files: u64,
    /// Reads of files that return a wrong bit or too few bytes, by their times.
    pub(crate) faulty_reads: Vec<u64>,
    /// Retention, in seconds; sessions then owe things for longer than it.
    pub(crate) retention_s: Option<u64>,
}

/// A time for which the wall clock is wrong.
#[derive(Clone, Debug)]
pub(crate) struct ClockJump {
    pub(crate) during: Range<u64>,
    pub(crate) by_ms: i64,
}

fn windows(rng: &mut Rng, per_mille: u64, longest_ms: u64) -> Vec<(u64, u64)> {
    let mut windows = Vec::new();
    while rng.chance(per_mille) && windows.len() < 3 {
        let from = rng.below(QUIET_MS);
        windows.push((from, (from + rng.within(200, longest_ms)).min(QUIET_MS)));
    }
    windows
}

fn channel(rng: &mut Rng, n: usize, destinations: usize) -> ChannelPlan {
    let style = rng.pick(&[
        IdStyle::Decimal,
        IdStyle::HexThenDecimal,
        IdStyle::DecimalThenHex,
        IdStyle::CaseChanges,
        IdStyle::ZerosVanish,
        IdStyle::Nodes,
        IdStyle::Nodes,
    ]);
    let receipt_ids = match style {
        IdStyle::HexThenDecimal if rng.chance(500) => "hex_to_decimal",
        IdStyle::DecimalThenHex if rng.chance(500) => "decimal_to_hex",
        IdStyle::Decimal if rng.chance(300) => "exact",
        // So small numbers mean something in every base.
        IdStyle::Nodes => "exact",
        _ => "auto",
    };
    let bind = rng.pick(&["transceiver", "transceiver", "pair"]);
    let (binds, window) = (rng.within(1, 3), rng.pick(&[1, 2, 5, 10, 50]));
    let mut account = format!(
        "host = \"smsc{n}\"\nsystem_id = \"pb\"\npassword = \"pw\"\nbind = \"{bind}\"\nbinds = {binds}\nwindow = {window}\n\
         enquire_link = \"{}s\"\nreply_timeout = \"{}ms\"\nbind_timeout = \"3s\"\nconnect_timeout = \"2s\"\n\
         concatenation = \"{}\"\nreceipt_ids = \"{receipt_ids}\"\n",
        rng.within(5, 20),
        rng.within(1_500, 5_000),
        rng.pick(&["udh8", "udh8", "udh16", "sar"]),
    );
    // A query names no customer.
    if rng.chance(250) && style != IdStyle::Nodes {
        account.push_str("query_after = \"15s\"\n");
    }
    let api = rng.chance(350).then(|| ApiPlan {
        connections: rng.pick(&[1, 2, 5, 16]),
        timeout_ms: rng.within(1_500, 5_000),
        probes: rng.chance(500),
        polls: rng.chance(300),
    });
    ChannelPlan {
        on_unknown: if rng.chance(350) { OnUnknown::Hold } else { OnUnknown::Resend },
        // The last lets the window alone decide.
        send_rate: rng.pick(&[1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 2_000.0]),
        window: api.map_or(binds as usize * window, |api| api.connections),
        destination: rng.below(destinations as u64) as usize,
        // What an API calls a part it calls it everywhere.
        style: if api.is_some() { IdStyle::Decimal } else { style },
        manners: match api {
            Some(_) => Manners::Proper,
            None => rng.pick(&[Manners::Proper, Manners::Spelled, Manners::Spelled, Manners::Untyped]),
        },
        account,
        inactivity_s: rng.chance(600).then(|| rng.within(5, 40)),
        doubt_grace_ms: rng.within(200, 6_000),
        tries_max: rng.within(2, 6) as u16,
        receipt_timeout_s: rng.within(15, 40),
        closed: windows(rng, 250, 12_000),
        bindless: windows(rng, 250, 8_000)
            .into_iter()
            .map(|(from, to)| (from, to, rng.pick(&[0x08, 0x08, 0x05, 0x0E])))
            .collect(),
        throttling: windows(rng, 250, 6_000),
        full_for: rng.chance(150).then(|| if rng.chance(500) { customer(rng, 1) } else { String::new() }),
        full_until: rng.below(QUIET_MS),
        faults: rng.pick(&[0, 50, 150, 400]),
        api,
    }
}

fn customer(rng: &mut Rng, many: u64) -> String {
    format!("4917600{:05}", rng.below(many))
}

/// A text in which every part shows whose it is.
fn text(rng: &mut Rng, tag: &str) -> String {
    let wide = rng.chance(150);
    let units = match rng.weighed(&[70, 15, 10, 5]) {
        0 => 1,
        1 => {
            if wide {
                20
            } else {
                40
            }
        }
        2 => {
            if wide {
                30
            } else {
                90
            }
        }
        _ => {
            if wide {
                60
            } else {
                150
            }
        }
    };
    let mut text = format!("<{tag}>").repeat(units);
    if wide {
        text.push('ж');
    }
    text
}

fn message(
    rng: &mut Rng,
    n: usize,
    channels: usize,
    destinations: usize,
    many: u64,
    at_ms: u64,
) -> MessagePlan {
    MessagePlan {
        id: format!("m{n}"),
        channel: rng.below(channels as u64) as usize,
        customer: customer(rng, many),
        text: text(rng, &format!("m{n}")),
        priority: rng.chance(300).then(|| rng.below(11) as u8),
        send_at: rng.chance(100).then(|| at_ms + rng.within(500, 15_000)),
        validity_ms: rng.chance(120).then(|| rng.within(500, 20_000)),
        destination: rng.chance(150).then(|| rng.below(destinations as u64) as usize),
    }
}

fn mo(rng: &mut Rng, n: usize, channels: usize, many: u64) -> MoPlan {
    let count = match rng.weighed(&[60, 25, 15]) {
        0 => 1,
        1 => 2,
        _ => rng.within(3, 5) as usize,
    };
    let parts: Vec<Vec<u8>> = (0..count).map(|part| format!("<o{n}>part{part}.").into_bytes()).collect();
    let text = parts.iter().map(|part| String::from_utf8_lossy(part)).collect();
    MoPlan {
        channel: rng.below(channels as u64) as usize,
        customer: customer(rng, many),
        text,
        parts,
        reference: n as u8,
        forged: count == 1 && rng.chance(400),
        at_ms: rng.below(QUIET_MS - 15_000),
    }
}

fn ends(rng: &mut Rng) -> Vec<End> {
    let count = rng.weighed(&[30, 30, 20, 12, 8]);
    let mut ends: Vec<End> = (0..count)
        .map(|_| {
            let at_ms = rng.within(20, QUIET_MS - 2_000);
            match rng.weighed(&[5, 3, 2, 3]) {
                0 => End::Kill { at_ms, look_first: rng.chance(400) },
                1 => End::KillInFlush { at_ms },
                2 => End::FlushFails { at_ms },
                _ => End::CallsFail {
                    at_ms,
                    after: rng.pick(&[0, 1, 7, 60]),
                    count: rng.pick(&[1, 3, 1_000]),
                    reason: rng.pick(&[EMFILE, ENOSPC]),
                },
            }
        })
        .collect();
    ends.sort_by_key(|end| end.at_ms());
    ends
}

/// A jump of the wall clock from an instant on, within one life of the router: a life that begins
/// in one has nothing to compare it with.
fn jump(rng: &mut Rng, from: u64, ends: &[End]) -> Option<ClockJump> {
    let during = from..(from + rng.pick(&[1_000, 3_000, 20_000, QUIET_MS])).min(QUIET_MS);
    let by_ms = rng.pick(&[3, -3, 30]) * rng.pick(&[10_000, 3_600_000, 24 * 3_600_000]);
    // A router whose flush failed may take a minute to end.
    let (first, last) = (during.start.saturating_sub(62_000), during.end + 1_000);
    let is_alone = ends.iter().all(|end| !(first..last).contains(&end.at_ms()));
    is_alone.then_some(ClockJump { during, by_ms })
}

impl Script {
    /// The script of a seed.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let destinations = rng.within(1, 2) as usize;
        let channels = rng.within(1, 3) as usize;
        let many = rng.pick(&[1, 3, 8, 40]);
        let messages = rng.within(1, 60) as usize;
        let mut script = Self {
            channels: (0..channels).map(|n| channel(rng, n, destinations)).collect(),
            destinations: (0..destinations)
                .map(|_| DestinationPlan {
                    batch_max: rng.pick(&[1, 1, 5]),
                    connections: rng.within(1, 4) as usize,
                    down: windows(rng, 300, 30_000),
                    faults: rng.pick(&[0, 50, 200, 400]),
                })
                .collect(),
            messages: Vec::new(),
            mos: (0..rng.below(12) as usize).map(|n| mo(rng, n, channels, many)).collect(),
            ops: Vec::new(),
            ends: ends(rng),
            limits: Limits {
                hosts: rng.within(1, 2) as usize,
                live_sessions_max: rng.pick(&[1, 50_000]),
                checkpoint_events: rng.pick(&[5, 40, 200_000]),
                checkpoint_every: Duration::from_millis(rng.within(300, 10_000)),
                ..Limits::default()
            },
            segment_bytes: rng.pick(&[4 * 1024, 64 * 1024, 16 * 1024 * 1024]),
            flush_ms_max: rng.pick(&[3, 20, 80]),
            jumps: Vec::new(),
            damaged_files: rng.pick(&[0, 0, 100, 400]),
            faulty_reads: Vec::new(),
            retention_s: rng.chance(90).then_some(100),
        };
        if script.retention_s.is_some() {
            // So retention removes segments in which something is owed.
            script.segment_bytes = 4 * 1024;
            script.channels[0].on_unknown = OnUnknown::Hold;
        }
        for mo in &mut script.mos {
            if script.channels[mo.channel].api.is_some() {
                mo.parts = vec![mo.parts.concat()];
                mo.forged = false;
            }
        }
        script.operate(rng, messages, many);
        script.control(rng);
        script.aim(rng);
        script
    }

    /// Lets some faults fall while something is under way that takes a moment only.
    fn aim(&mut self, rng: &mut Rng) {
        let rare = self.ops.iter().filter(|(_, op)| !matches!(op, Op::Send(_)));
        let rare: Vec<u64> = rare.map(|(at_ms, _)| *at_ms).collect();
        let aimed = |rng: &mut Rng, at_ms: u64| {
            let is_aimed = rng.chance(300) && !rare.is_empty();
            let target = if is_aimed { rng.pick(&rare) + rng.pick(&[0, 1, 3, 20, 60]) } else { at_ms };
            target.min(QUIET_MS - 5_000)
        };
        for end in &mut self.ends {
            *end = end.moved_to(aimed(rng, end.at_ms()));
        }
        self.ends.sort_by_key(|end| end.at_ms());
        while rng.chance(300) && self.faulty_reads.len() < 3 {
            let at_ms = rng.below(QUIET_MS);
            self.faulty_reads.push(aimed(rng, at_ms));
        }
        self.faulty_reads.sort_unstable();
        while rng.chance(300) && self.jumps.len() < 2 {
            let at_ms = rng.within(2_000, QUIET_MS - 5_000);
            let from = aimed(rng, at_ms).max(2_000);
            self.jumps.extend(jump(rng, from, &self.ends));
        }
    }

    /// Draws the actions of operators while messages flow.
    fn control(&mut self, rng: &mut Rng) {
        for channel in 0..self.channels.len() {
            // Two pauses at once would end each other.
            let mut is_pausing = false;
            while rng.chance(350) {
                let op = match rng.weighed(&[4, 2, 4, 2, 2, 1]) {
                    0 if std::mem::replace(&mut is_pausing, true) => continue,
                    0 => Op::Pause(channel, rng.within(100, 15_000)),
                    1 => Op::TryNow(channel),
                    2 => Op::Reload(channel),
                    3 => Op::Away(channel, rng.within(100, 15_000)),
                    4 => Op::ReloadDestination(rng.below(self.destinations.len() as u64) as usize),
                    _ => Op::CancelQueued(channel),
                };
                self.ops.push((rng.below(QUIET_MS - 16_000), op));
            }
        }
        self.ops.sort_by_key(|(at_ms, _)| *at_ms);
    }

    /// The actions of the business, with their times.
    fn operate(&mut self, rng: &mut Rng, messages: usize, many: u64) {
        let span = rng.pick(&[1_000, 15_000, QUIET_MS - 15_000]);
        while self.messages.len() < messages {
            let at_ms = rng.below(span);
            let mut ids: Vec<usize> = Vec::new();
            for _ in 0..rng.pick(&[1, 1, 1, 4]) {
                let n = self.messages.len();
                let (channels, destinations) = (self.channels.len(), self.destinations.len());
                let mut plan = message(rng, n, channels, destinations, many, at_ms);
                // Answers of one request go to one destination.
                plan.destination =
                    ids.first().map_or(plan.destination, |first| self.messages[*first].destination);
                self.messages.push(plan);
                ids.push(n);
            }
            if rng.chance(60) {
                ids.push(ids[0]);
            }
            let first = ids[0];
            self.ops.push((at_ms, Op::Send(ids.clone())));
            if rng.chance(120) {
                self.ops.push((at_ms + rng.below(30_000), Op::Send(ids)));
            }
            if rng.chance(60) {
                self.ops.push((at_ms + rng.within(1, 20_000), Op::Steal(first, "4917699999999".to_owned())));
            }
            if rng.chance(60) {
                self.ops.push((at_ms + rng.within(1, 5_000), Op::Cancel(first)));
            }
        }
        for _ in 0..rng.below(6) {
            let channel = rng.below(self.channels.len() as u64) as usize;
            self.ops.push((rng.below(QUIET_MS), Op::End(channel, customer(rng, many))));
        }
        for channel in 0..self.channels.len() {
            // Refused credentials recover by themselves; an operator may be faster, or too early.
            let ends: Vec<u64> = self.channels[channel].bindless.iter().map(|(_, to, _)| to + 500).collect();
            for at_ms in ends {
                if rng.chance(500) {
                    let early = rng.below(2_000);
                    self.ops.push((at_ms.saturating_sub(early), Op::Restart(channel)));
                }
            }
        }
        self.ops.sort_by_key(|(at_ms, _)| *at_ms);
    }

    /// The router's configuration.
    pub(crate) fn config(&self) -> Config {
        let channels = self.channels.iter().enumerate().map(|(n, plan)| ChannelConfig {
            id: channel_id(n).as_str().into(),
            name: format!("Channel {n}").into(),
            channel: match plan.api {
                Some(api) => Arc::new(Account { number: n, probes: api.probes, polls: api.polls }),
                None => smpp(&plan.account),
            },
            dids: vec![Did {
                number: did(n).into(),
                destination: destination_id(plan.destination).as_str().into(),
            }],
            send_rate: Some(plan.send_rate),
            inactivity_timeout: plan.inactivity_s.map(Duration::from_secs),
            on_unknown: plan.on_unknown,
            doubt_grace: Duration::from_millis(plan.doubt_grace_ms),
            validity: None,
            tries_max: plan.tries_max,
            backoff: Duration::from_millis(400),
            backoff_max: Duration::from_secs(4),
            receipt_timeout: Duration::from_secs(plan.receipt_timeout_s),
            reassembly_timeout: Duration::from_secs(600),
            http: plan.api.map_or_else(HttpConfig::default, |api| HttpConfig {
                timeout: Duration::from_millis(api.timeout_ms),
                connections: api.connections,
                ..HttpConfig::default()
            }),
            unsigned: false,
            preferred: None,
            default_country: None,
        });
        let destinations = self.destinations.iter().enumerate().map(|(n, plan)| DestinationConfig {
            id: destination_id(n).as_str().into(),
            url: Arc::from(format!("http://{}/cim", destination_id(n))),
            batch_max: plan.batch_max,
            secret: (n == 0).then(|| Arc::from(&b"secret"[..])),
            signing_keys: [].into(),
            connections: plan.connections,
            timeout: Duration::from_secs(2),
            backoff: Duration::from_millis(200),
            backoff_max: Duration::from_secs(5),
            give_up_after: None,
        });
        Config {
            channels: channels.collect(),
            destinations: destinations.collect(),
            limits: self.limits.clone(),
            retention: self.retention_s.map(Duration::from_secs),
            media: None,
            stream_key: message::address::StreamKey::new([7; 32]),
        }
    }
}

fn smpp(account: &str) -> Arc<dyn Channel> {
    let provider = channels::provider("smpp").expect("smpp");
    provider.open(account.parse().expect("a table")).expect("an account")
}

pub(crate) fn channel_id(n: usize) -> String {
    format!("sms{n}")
}

pub(crate) fn did(n: usize) -> String {
    format!("515{n}")
}

pub(crate) fn destination_id(n: usize) -> String {
    format!("dest{n}")
}
