//! One connection to a simulated SMSC: takes, refuses, delays, reorders, forgets, throttles, hangs
//! up at any octet, answers late, sends receipts in every unkind way, and customers' messages until
//! they are acknowledged.

use std::{collections::BTreeMap, sync::Arc};

use bytes::BytesMut;
use channels::{
    smpp::{
        Inbound, ReplyToken,
        pdu::{Address, Pdu, QueryReply, ShortMessage},
        server::{BindRequest, PeerRequest, Server, ServerConfig, ServerEvent},
        tlv::{self, Tlv, Tlvs},
    },
    text::{
        incoming::{self, Decoding, Raw},
        join,
    },
};
use message::Content;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::sleep_until,
};

use crate::{
    pairs::{Fault, Operation, UnderWay},
    rng::Rng,
    script::{Manners, MoPlan, did},
    smsc::{Arrival, Copy, JobKind, JobState},
    world::World,
};

/// A bind is accepted, and the connection closed at once.
pub(crate) const HANGS_UP: u32 = 0;
/// A bind gets no answer.
pub(crate) const NO_ANSWER: u32 = u32::MAX;

enum Action {
    Answer { token: ReplyToken, code: u32, id: String, taking: UnderWay },
    HangUp,
}

struct Connection {
    world: Arc<World>,
    smsc: usize,
    number: u64,
    server: Server<u64>,
    actions: BTreeMap<(u64, u64), Action>,
    next_action: u64,
    hung_up: bool,
    /// Octets that may still go out, and come in, before it hangs up.
    out_left: usize,
    in_left: usize,
    /// Submits that it never answers.
    unanswered: Vec<UnderWay>,
    /// Until it is bound.
    binding: Option<UnderWay>,
}

/// Runs one connection.
pub(crate) async fn serve(world: Arc<World>, smsc: usize, number: u64, stream: DuplexStream) {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut connection = Connection::new(world.clone(), smsc, number);
    let mut buffer = BytesMut::new();
    loop {
        let notified = world.wakers[smsc].notified();
        let wake = connection.turn();
        let mut out = BytesMut::new();
        connection.server.peer_mut().take_output(&mut out);
        if out.len() >= connection.out_left {
            out.truncate(connection.out_left);
            connection.hung_up = true;
        }
        connection.out_left -= out.len();
        if !out.is_empty() && write.write_all(&out).await.is_err() {
            break;
        }
        if connection.hung_up || connection.server.is_closed() {
            break;
        }
        let wake = world.instant(wake);
        tokio::select! {
            biased;
            got = read.read_buf(&mut buffer) => match got {
                Ok(octets) if octets > 0 => connection.came(&mut buffer),
                _ => break,
            },
            () = notified => {}
            () = sleep_until(wake) => {}
        }
    }
    if connection.hung_up {
        world.fell(Fault::LinkLost);
    }
    let now = world.now_ms();
    world.note(|| format!("smsc{smsc}: connection {number} is over"));
    world.lock().smscs[smsc].gone(number, now);
    world.wakers[smsc].notify_waiters();
}

impl Connection {
    fn new(world: Arc<World>, smsc: usize, number: u64) -> Self {
        let now = world.now_ms();
        let config = ServerConfig { epoch: number, bind_timeout_ms: 20_000, ..ServerConfig::default() };
        let (mut out_left, mut in_left) = (usize::MAX, usize::MAX);
        let mut actions = BTreeMap::new();
        {
            let mut inner = world.lock();
            let shaky = inner.script.channels[smsc].faults;
            if !inner.quiet && inner.rng.chance(shaky) {
                match inner.rng.below(3) {
                    0 => out_left = inner.rng.within(1, 1_500) as usize,
                    1 => in_left = inner.rng.within(1, 3_000) as usize,
                    _ => {
                        actions.insert((now + inner.rng.within(1, 20_000), 0), Action::HangUp);
                    }
                }
            }
        }
        let server = Server::new(config, now);
        let binding = Some(UnderWay::begin(&world, Operation::Connect));
        Self {
            world,
            smsc,
            number,
            server,
            actions,
            next_action: 1,
            hung_up: false,
            out_left,
            in_left,
            unanswered: Vec::new(),
            binding,
        }
    }

    fn came(&mut self, buffer: &mut BytesMut) {
        let taken = buffer.len().min(self.in_left);
        self.in_left -= taken;
        let now = self.world.now_ms();
        self.server.handle_bytes(&buffer.split_to(taken), now);
        buffer.clear();
        if self.in_left == 0 {
            // What came is read, but nothing is answered any more.
            self.events(now);
            self.hung_up = true;
        }
    }

    /// Does what is due; gives the instant of the next turn.
    fn turn(&mut self) -> u64 {
        let now = self.world.now_ms();
        if self.server.poll_timeout().is_some_and(|at| at <= now) {
            self.server.handle_timeout(now);
        }
        self.events(now);
        while let Some(entry) = self.actions.first_entry() {
            if entry.key().0 > now {
                break;
            }
            match entry.remove() {
                Action::Answer { token, code, id, taking } => {
                    drop(taking);
                    self.server.reply_submit(token, code, id.as_bytes(), now).expect("an answer");
                }
                Action::HangUp => self.hung_up = true,
            }
        }
        let jobs = self.deliver(now);
        self.events(now);
        let timeout = self.server.poll_timeout().unwrap_or(u64::MAX);
        let action = self.actions.first_key_value().map_or(u64::MAX, |(key, _)| key.0);
        timeout.min(action).min(jobs).clamp(now + 1, now + 60_000)
    }

    fn later(&mut self, at_ms: u64, action: Action) {
        self.next_action += 1;
        self.actions.insert((at_ms, self.next_action), action);
    }

    fn events(&mut self, now: u64) {
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Bind(request) => self.bind(&request, now),
                ServerEvent::Submitted { reply, message } => self.submitted(reply, &message, now),
                ServerEvent::Requested { reply, request } => self.query(reply, &request, now),
                ServerEvent::Answered { token, status } | ServerEvent::LateAnswer { token, status } => {
                    self.acknowledged(token, status, now);
                }
                ServerEvent::Unanswered { token, .. } => {
                    let mut inner = self.world.lock();
                    let job = &mut inner.smscs[self.smsc].jobs[token as usize];
                    if job.state == JobState::With(self.number) {
                        job.state = JobState::Due(now + 500);
                    }
                }
                ServerEvent::Protocol(warning) => {
                    let (smsc, warning) = (self.smsc, format!("{warning:?}"));
                    self.world.note(|| format!("smsc{smsc}: {warning}"));
                }
                ServerEvent::UnknownReply(_) | ServerEvent::Closed { .. } => {}
            }
        }
    }

    fn bind(&mut self, request: &BindRequest, now: u64) {
        let refused = {
            let inner = self.world.lock();
            let plan = &inner.script.channels[self.smsc];
            plan.bindless.iter().find(|(from, to, _)| (*from..*to).contains(&now)).map(|(_, _, code)| *code)
        };
        let (smsc, number, kind) = (self.smsc, self.number, request.kind());
        self.world
            .note(|| format!("smsc{smsc}: connection {number} binds as {kind:?}, refused: {refused:?}"));
        match refused {
            None => self.binding = None,
            Some(NO_ANSWER) => self.world.fell(Fault::AnswerLost),
            Some(_) => self.world.fell(Fault::Refused),
        }
        match refused {
            Some(HANGS_UP) => {
                self.server.accept_bind(request);
                self.hung_up = true;
            }
            Some(NO_ANSWER) => {}
            Some(code) => self.server.refuse_bind(request, code),
            None => {
                self.server.accept_bind(request);
                if kind.receives() {
                    self.world.lock().smscs[self.smsc].receivers.push(self.number);
                    self.world.wakers[self.smsc].notify_waiters();
                }
            }
        }
    }

    fn acknowledged(&mut self, token: u64, status: u32, now: u64) {
        let (smsc, number) = (self.smsc, self.number);
        self.world.note(|| format!("smsc{smsc}: delivery {token} on {number} answered {status}"));
        let mut inner = self.world.lock();
        let job = &mut inner.smscs[self.smsc].jobs[token as usize];
        if status == 0 {
            job.acked = true;
            job.state = JobState::Done;
        } else {
            job.state = JobState::Due(now + 1_000);
        }
    }

    /// Delivers what is due; gives the instant of the next.
    fn deliver(&mut self, now: u64) -> u64 {
        loop {
            let mut inner = self.world.lock();
            let (job, next) = inner.smscs[self.smsc].next_job(self.number, now);
            let Some(job) = job else { return next };
            if self.server.window_free() == 0 || self.hung_up {
                return now + 100;
            }
            let kind = inner.smscs[self.smsc].jobs[job].kind.clone();
            let sent = match &kind {
                JobKind::Receipt { copy, id, word, with_tlv, shape } => {
                    let customer = inner.smscs[self.smsc].copies[*copy].customer.clone();
                    let manners = inner.script.channels[self.smsc].manners;
                    let report = Report { id, word, with_tlv: *with_tlv, manners, shape: *shape };
                    receipt(&mut self.server, self.smsc, job, &customer, &report, now)
                }
                JobKind::Mo { mo, part } => {
                    let mo = inner.script.mos[*mo].clone();
                    customer_writes(&mut self.server, self.smsc, job, &mo, *part, now)
                }
            };
            let slot = &mut inner.smscs[self.smsc].jobs[job];
            slot.state = if sent { JobState::With(self.number) } else { JobState::Due(now + 100) };
            slot.sends += u32::from(sent);
            if sent && slot.is_lost && matches!(kind, JobKind::Mo { .. }) {
                *inner.met.entry("message repeated after a lost link").or_default() += 1;
            }
            drop(inner);
            let (smsc, number) = (self.smsc, self.number);
            self.world.note(|| format!("smsc{smsc}: delivery {job} on {number}: {kind:?}"));
        }
    }

    fn query(&mut self, reply: ReplyToken, request: &PeerRequest, now: u64) {
        let Pdu::QuerySm(query) = request.pdu() else { return self.server.refuse(reply, 0x03, now) };
        let id = String::from_utf8_lossy(query.message_id).into_owned();
        let state = {
            let inner = self.world.lock();
            inner.smscs[self.smsc].copies.iter().find(|copy| copy.id == id).map(|copy| copy.state)
        };
        let Some(message_state) = state else { return self.server.refuse(reply, 0x67, now) };
        let answer = QueryReply { message_id: query.message_id, message_state, ..QueryReply::default() };
        self.server.reply(reply, 0, &Pdu::QuerySmResp(answer), now).expect("an answer");
    }

    fn submitted(&mut self, reply: ReplyToken, message: &Inbound, now: u64) {
        let message = message.message();
        let copy = read(&message, now);
        let world = self.world.clone();
        let taking = UnderWay::begin(&world, Operation::Submit);
        let mut guard = world.lock();
        let inner = &mut *guard;
        let Some(copy) = copy else {
            inner.failures.push("the SMSC got a part that shows no message".to_owned());
            return self.server.refuse(reply, 0x01, now);
        };
        let (number, part) = (copy.message, copy.part);
        inner.smscs[self.smsc].arrivals.push(Arrival { at_ms: now, message: number });
        let plan = &inner.script.channels[self.smsc];
        let throttling = plan.throttling.iter().any(|(from, to)| (*from..*to).contains(&now));
        let faults = if inner.quiet { 0 } else { plan.faults };
        let is_full = plan.full_for.as_ref().is_some_and(|customer| {
            now < plan.full_until && (customer.is_empty() || copy.customer.ends_with(customer.as_str()))
        });
        let fate = match is_full {
            true => Fate::Refuse(0x14),
            false => Fate::draw(&mut inner.rng, throttling, faults),
        };
        let answer_ms = match fate {
            Fate::TakeLate => 6_000 + inner.rng.below(4_000),
            _ => inner.rng.pick(&[0, 0, 10, 80, 400]),
        };
        let id = if matches!(fate, Fate::Take | Fate::TakeLate | Fate::TakeSilently | Fate::TakeAndHangUp) {
            inner.smscs[self.smsc].take(copy, answer_ms, inner.quiet, &mut inner.rng)
        } else {
            String::new()
        };
        let smsc = self.smsc;
        let line = format!("smsc{smsc}: m{number}.{part} on {}: {fate:?} {id} in {answer_ms}", self.number);
        match fate {
            Fate::Take | Fate::TakeLate => {
                self.later(now + answer_ms, Action::Answer { token: reply, code: 0, id, taking });
            }
            Fate::TakeSilently | Fate::Ignore => {
                self.server.ignore(reply, now);
                self.unanswered.push(taking);
            }
            Fate::TakeAndHangUp | Fate::HangUp => {
                self.hung_up = true;
                self.unanswered.push(taking);
            }
            Fate::Refuse(code) => {
                self.later(now + answer_ms, Action::Answer { token: reply, code, id, taking });
            }
        }
        drop(guard);
        match fate {
            Fate::TakeLate => world.fell(Fault::AnswerLate),
            Fate::TakeSilently | Fate::Ignore => world.fell(Fault::AnswerLost),
            Fate::Refuse(_) => world.fell(Fault::Refused),
            Fate::Take | Fate::TakeAndHangUp | Fate::HangUp => {}
        }
        world.wakers[smsc].notify_waiters();
        world.note(|| line);
    }
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Take,
    TakeLate,
    TakeSilently,
    TakeAndHangUp,
    Ignore,
    HangUp,
    Refuse(u32),
}

impl Fate {
    fn draw(rng: &mut Rng, throttling: bool, faults: u64) -> Self {
        if throttling && rng.chance(800) {
            return Self::Refuse(0x58);
        }
        if !rng.chance(faults) {
            return Self::Take;
        }
        match rng.weighed(&[4, 4, 2, 3, 2, 3, 1, 3, 1, 1]) {
            0 => Self::TakeLate,
            1 => Self::TakeSilently,
            2 => Self::TakeAndHangUp,
            3 => Self::Ignore,
            4 => Self::HangUp,
            5 => Self::Refuse(0x58),
            6 => Self::Refuse(0x14),
            7 => Self::Refuse(0x08),
            8 => Self::Refuse(0x45),
            _ => Self::Refuse(0x0B),
        }
    }
}

/// The content of a submit.
fn read(message: &ShortMessage<'_>, now: u64) -> Option<Copy> {
    let sar = |tag| message.tlvs.number(tag).and_then(|n| u16::try_from(n).ok());
    let raw = Raw {
        udhi: message.esm_class & 0x40 != 0,
        data_coding: message.data_coding,
        octets: message.text(),
        sar: None,
    };
    let incoming = incoming::read(&raw, &Decoding::default());
    let by_header = incoming.concatenation.map(|concat| u16::from(concat.number));
    let part = by_header.or_else(|| sar(tlv::SAR_SEGMENT_SEQNUM)).unwrap_or(1) - 1;
    let (Content::Text(text), _) = join::whole(incoming.alphabet, &incoming.octets) else { return None };
    // A tag may be cut at either end: the first whole one tells.
    let tagged = text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).next();
    let number = tagged.and_then(|(tag, _)| tag.strip_prefix('m')?.parse().ok())?;
    Some(Copy {
        message: number,
        part,
        id: String::new(),
        at_ms: now,
        text: text.into(),
        customer: String::from_utf8_lossy(message.destination.text).into_owned(),
        reference: None,
        state: 1,
    })
}

struct Report<'a> {
    id: &'a str,
    word: &'a str,
    with_tlv: bool,
    manners: Manners,
    shape: u8,
}

impl Report<'_> {
    /// Its source and destination.
    fn addresses(&self, customer: &str, did: &str) -> (String, String) {
        let (customer, did) = (customer.to_owned(), did.to_owned());
        if self.manners != Manners::Spelled {
            return (customer, did);
        }
        match self.shape {
            0 => (format!("+{customer}"), did),
            1 => (format!("00{customer}"), did),
            2 => (customer.replacen("49", "0", 1), did),
            3 => (did, customer),
            4 => (did, format!("+{customer}")),
            5 => (customer, "INFO".to_owned()),
            6 => (customer.replacen("49", "0", 1), "INFO".to_owned()),
            _ => (customer, did),
        }
    }
}

fn receipt(
    server: &mut Server<u64>,
    smsc: usize,
    job: usize,
    customer: &str,
    report: &Report<'_>,
    now: u64,
) -> bool {
    let Report { id, word, with_tlv, manners, .. } = *report;
    let text = format!(
        "id:{id} sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:{word} err:000 text:-"
    );
    let value = format!("{id}\0");
    let list = [Tlv { tag: tlv::RECEIPTED_MESSAGE_ID, value: value.as_bytes() }];
    let (source, destination) = report.addresses(customer, &did(smsc));
    let is_typed = manners != Manners::Untyped;
    let message = ShortMessage {
        source: Address { ton: 1, npi: 1, text: source.as_bytes() },
        destination: Address { ton: 3, npi: 0, text: destination.as_bytes() },
        esm_class: match word {
            _ if !is_typed => 0,
            "ENROUTE" => 0x20,
            _ => 0x04,
        },
        short_message: text.as_bytes(),
        tlvs: if with_tlv && is_typed { Tlvs::list(&list) } else { Tlvs::default() },
        ..ShortMessage::default()
    };
    server.deliver(job as u64, &message, now).is_ok()
}

fn customer_writes(
    server: &mut Server<u64>,
    smsc: usize,
    job: usize,
    mo: &MoPlan,
    part: usize,
    now: u64,
) -> bool {
    let total = mo.parts.len();
    let mut octets = Vec::new();
    if total > 1 {
        octets.extend([5, 0, 3, mo.reference, total as u8, part as u8 + 1]);
    }
    octets.extend_from_slice(&mo.parts[part]);
    let number = did(smsc);
    let message = ShortMessage {
        source: Address { ton: 1, npi: 1, text: mo.customer.as_bytes() },
        destination: Address { ton: 3, npi: 0, text: number.as_bytes() },
        esm_class: if total > 1 { 0x40 } else { 0 },
        short_message: &octets,
        ..ShortMessage::default()
    };
    server.deliver(job as u64, &message, now).is_ok()
}
