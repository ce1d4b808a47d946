//! The SMSC itself, without sockets or clocks: octets in, octets out, and what is due when. One lock around it
//! serves all connections, so that a receipt may leave over another one than its submit came by.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use channels::smpp::{
    Millis,
    frame::{HEADER_BYTES, PDU_BYTES_MAX},
    pdu::{self, BindKind, CommandId, DataSm, Pdu, PduHeader, QueryReply, ShortMessage},
    status,
};
use tokio::sync::Notify;

use super::{
    MoId,
    records::{Records, Seen},
    script::{Chance, Script, Triggers},
};

/// Names a connection.
pub(super) type ConnectionId = u64;
/// Names an account: its place in the list.
pub(super) type AccountId = usize;

/// A connection is not read, and gets no deliveries, while more octets than this wait to be written.
pub(super) const OUT_BYTES_MAX: usize = 4 << 20;
/// The most answers and receipts that wait for their time.
const DUE_MAX: usize = 5_000_000;
const TICK_MS: Millis = 1_000;
/// How long an unbind of ours waits for its answer.
const UNBIND_MS: Millis = 5_000;

/// Whether a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    No,
    /// When all is written.
    Flushed,
    /// At once, whatever waits.
    Now,
}

pub(super) struct Connection {
    pub(super) bound: Option<(AccountId, BindKind)>,
    pub(super) out: Vec<u8>,
    pub(super) sequence: u32,
    pub(super) in_flight: BTreeMap<u32, InFlight>,
    pub(super) end: End,
    /// Nothing more is written: the stream was broken on purpose.
    pub(super) muted: bool,
    pub(super) unbound: bool,
    pub(super) unbinding: Option<Millis>,
    octets: u64,
    heard: Millis,
    enquired: Option<Millis>,
    wake: Arc<Notify>,
}

pub(super) struct InFlight {
    pub(super) delivery: Delivery,
    pub(super) sent: Millis,
}

/// A deliver_sm (or data_sm) on its way, complete but for its sequence number.
pub(super) struct Delivery {
    pub(super) pdu: Vec<u8>,
    pub(super) what: What,
    pub(super) tries: u32,
    /// The connection of the submit.
    pub(super) origin: ConnectionId,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Receipt,
    Mo(MoId),
}

pub(super) struct Account {
    pub(super) name: Arc<str>,
    pub(super) queue: VecDeque<Delivery>,
    /// Its bound connections, oldest first.
    pub(super) connections: Vec<ConnectionId>,
    /// When the last submits came that count against the cap.
    pub(super) recent: VecDeque<Millis>,
    pub(super) turn: usize,
    pub(super) lost: Option<Millis>,
}

pub(super) enum Due {
    Octets(ConnectionId, Vec<u8>),
    Deliver(AccountId, Delivery),
    Bind(ConnectionId, PduHeader, Vec<u8>),
    Tick(ConnectionId),
    Background,
}

/// How a customer's message stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoState {
    /// How many PDUs it takes.
    pub parts: u32,
    /// How many of them were acknowledged.
    pub acked: u32,
    /// How many of them were refused for good, or given up.
    pub refused: u32,
    /// How many PDUs were sent for it, repeats counted.
    pub sent: u32,
}

pub(super) struct Core {
    pub(super) script: Arc<Script>,
    pub(super) triggers: Triggers,
    pub(super) chance: Chance,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) accounts: Vec<Account>,
    pub(super) records: Records,
    pub(super) mos: BTreeMap<MoId, MoState>,
    /// Customers' messages that wait for the first bind.
    pub(super) unclaimed: VecDeque<Delivery>,
    pub(super) message_number: u64,
    pub(super) mo_number: u64,
    pub(super) receipt_number: usize,
    pub(super) background: Option<u64>,
    due: BTreeMap<Millis, Vec<Due>>,
    due_count: usize,
    next_connection: ConnectionId,
}

/// query_sm failed.
const QUERY_FAILED: u32 = 0x67;
/// message_state of a delivered message.
const STATE_DELIVERED: u8 = 2;

impl Core {
    pub(super) fn new(script: Script) -> Self {
        Self {
            triggers: Triggers::new(script.seed),
            chance: Chance(script.seed ^ 0x5eed),
            script: Arc::new(script),
            connections: BTreeMap::new(),
            accounts: Vec::new(),
            records: Records::default(),
            mos: BTreeMap::new(),
            unclaimed: VecDeque::new(),
            message_number: 1 << 20,
            mo_number: 0,
            receipt_number: 0,
            background: None,
            due: BTreeMap::new(),
            due_count: 0,
            next_connection: 0,
        }
    }

    pub(super) fn open(&mut self, wake: Arc<Notify>, now: Millis) -> ConnectionId {
        self.next_connection += 1;
        let id = self.next_connection;
        let connection = Connection {
            bound: None,
            out: Vec::new(),
            sequence: 0,
            in_flight: BTreeMap::new(),
            end: End::No,
            muted: false,
            unbound: false,
            unbinding: None,
            octets: 0,
            heard: now,
            enquired: None,
            wake,
        };
        self.connections.insert(id, connection);
        self.records.counts.connections += 1;
        self.at(now + TICK_MS, Due::Tick(id));
        id
    }

    /// The connection is gone: what it did not acknowledge goes to another one, or to the next.
    pub(super) fn close(&mut self, id: ConnectionId, now: Millis) {
        let Some(connection) = self.connections.remove(&id) else { return };
        let mut system_id = None;
        if let Some((account, _)) = connection.bound {
            for (_, in_flight) in connection.in_flight.into_iter().rev() {
                self.requeue(account, in_flight.delivery);
            }
            if let Some(account) = self.accounts.get_mut(account) {
                account.connections.retain(|other| *other != id);
                if !connection.unbound {
                    account.lost = Some(now);
                }
                system_id = Some(account.name.clone());
            }
            self.pump(account, now);
        }
        self.records.tell(|| Seen::Closed { system_id });
        self.wake_one();
    }

    pub(super) fn at(&mut self, when: Millis, due: Due) {
        if self.due_count >= DUE_MAX {
            self.records.counts.given_up += 1;
            return;
        }
        self.due_count += 1;
        let earliest = self.next_due().is_none_or(|first| when < first);
        self.due.entry(when).or_default().push(due);
        if earliest {
            self.wake_one();
        }
    }

    /// Every connection's task sleeps until what was due first when it last looked: one must look again.
    fn wake_one(&self) {
        if let Some(connection) = self.connections.values().next() {
            connection.wake.notify_one();
        }
    }

    pub(super) fn next_due(&self) -> Option<Millis> {
        self.due.first_key_value().map(|(when, _)| *when)
    }

    /// Does what is due.
    pub(super) fn run_due(&mut self, now: Millis) {
        while let Some(first) = self.due.first_entry()
            && *first.key() <= now
        {
            let all = first.remove();
            self.due_count = self.due_count.saturating_sub(all.len());
            for due in all {
                match due {
                    Due::Octets(id, octets) => self.write_raw(id, &octets),
                    Due::Deliver(account, delivery) => self.enqueue(account, delivery, now),
                    Due::Bind(id, header, body) => self.bind(id, header, &body, now),
                    Due::Tick(id) => self.tick(id, now),
                    Due::Background => self.run_background(now),
                }
            }
        }
    }

    fn tick(&mut self, id: ConnectionId, now: Millis) {
        let script = self.script.clone();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.unbinding.is_some_and(|since| now.saturating_sub(since) >= UNBIND_MS) {
            connection.end = End::Now;
            connection.wake.notify_one();
        }
        let overdue = |in_flight: &InFlight| {
            now.saturating_sub(in_flight.sent) >= script.deliver_timeout_ms && script.deliver_timeout_ms > 0
        };
        let mut again = Vec::new();
        while let Some(oldest) = connection.in_flight.first_entry()
            && overdue(oldest.get())
        {
            again.push(oldest.remove().delivery);
        }
        let quiet = now.saturating_sub(connection.heard) >= script.enquire_after_ms;
        let enquires = script.enquire_after_ms > 0 && quiet && connection.enquired.is_none();
        let account = connection.bound.map(|(account, _)| account);
        if enquires {
            connection.enquired = Some(now);
            let sequence = connection.next_sequence();
            self.write(id, &Pdu::EnquireLink, 0, sequence);
        }
        if let Some(account) = account {
            for delivery in again.into_iter().rev() {
                self.requeue(account, delivery);
            }
            self.pump(account, now);
        }
        self.at(now + TICK_MS, Due::Tick(id));
    }

    /// Takes what was read; gives how many octets of it are done with.
    pub(super) fn handle_bytes(&mut self, id: ConnectionId, bytes: &[u8], now: Millis) -> usize {
        let mut rest = bytes;
        let limit = self.script.drop_after_bytes;
        loop {
            let Some(connection) = self.connections.get_mut(&id) else { return bytes.len() };
            if connection.end != End::No {
                return bytes.len();
            }
            let pdu = match cut(rest) {
                Cut::Pdu(pdu, after) => {
                    rest = after;
                    pdu
                }
                Cut::More if limit > 0 && connection.octets + rest.len() as u64 >= limit => {
                    return self.cut_off(id, bytes.len());
                }
                Cut::More => return bytes.len() - rest.len(),
                Cut::Impossible => {
                    self.records.counts.malformed += 1;
                    return self.cut_off(id, bytes.len());
                }
            };
            connection.heard = now;
            connection.octets += pdu.len() as u64;
            if limit > 0 && connection.octets > limit {
                return self.cut_off(id, bytes.len());
            }
            self.records.counts.octets_in += pdu.len() as u64;
            if !self.script.silent {
                self.handle_pdu(id, pdu, now);
            }
        }
    }

    fn cut_off(&mut self, id: ConnectionId, octets: usize) -> usize {
        self.records.counts.dropped += 1;
        self.end(id, End::Now);
        octets
    }

    pub(super) fn end(&mut self, id: ConnectionId, end: End) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.end = end;
            connection.wake.notify_one();
        }
    }

    fn handle_pdu(&mut self, id: ConnectionId, pdu: &[u8], now: Millis) {
        let (Some(header), Some(body)) = (PduHeader::read(pdu), pdu.get(HEADER_BYTES..)) else { return };
        const DELIVERED: u32 = 0x8000_0005;
        const DATA_DELIVERED: u32 = 0x8000_0103;
        const ALIVE: u32 = 0x8000_0015;
        const UNBOUND: u32 = 0x8000_0006;
        match header.command {
            CommandId::SUBMIT_SM => match ShortMessage::read(body) {
                Ok((message, salvage)) => {
                    self.records.counts.malformed += u64::from(!salvage.is_clean());
                    self.submit(id, header, &message, now);
                }
                Err(_) => self.unreadable(id, header),
            },
            CommandId::DATA_SM => match DataSm::read(body) {
                Ok((data, _)) => self.submit(id, header, &data.into(), now),
                Err(_) => self.unreadable(id, header),
            },
            CommandId(DELIVERED | DATA_DELIVERED) | CommandId::GENERIC_NACK => self.answered(id, header, now),
            CommandId::ENQUIRE_LINK => self.enquired(id, header),
            CommandId(ALIVE) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.enquired = None;
                }
            }
            CommandId::UNBIND => {
                self.records.counts.unbinds += 1;
                self.write(id, &Pdu::UnbindResp, 0, header.sequence);
                self.leave(id);
            }
            CommandId(UNBOUND) => self.leave(id),
            command if BindKind::of(command).is_some() && !command.is_reply() => {
                match self.script.bind_delay_ms {
                    0 => self.bind(id, header, body, now),
                    delay => self.at(now + delay, Due::Bind(id, header, body.to_vec())),
                }
            }
            CommandId::QUERY_SM => self.queried(id, header, body),
            command => self.other(id, command, header.sequence),
        }
    }

    /// A message that was accepted is said to be delivered, whatever became of its receipt.
    fn queried(&mut self, id: ConnectionId, header: PduHeader, body: &[u8]) {
        let read = Pdu::read(header.command, header.status, body);
        let Ok((Pdu::QuerySm(query), _)) = read else {
            return self.bare(id, header.command, header.sequence, QUERY_FAILED);
        };
        if !self.records.submits.iter().any(|submit| submit.message_id.as_bytes() == query.message_id) {
            return self.bare(id, header.command, header.sequence, QUERY_FAILED);
        }
        let message_id = query.message_id;
        let reply = QueryReply { message_id, message_state: STATE_DELIVERED, ..QueryReply::default() };
        self.write(id, &Pdu::QuerySmResp(reply), 0, header.sequence);
    }

    fn enquired(&mut self, id: ConnectionId, header: PduHeader) {
        self.records.counts.enquire_links += 1;
        if self.script.enquire_silent {
            self.records.counts.enquire_links_unanswered += 1;
        } else {
            self.write(id, &Pdu::EnquireLinkResp, 0, header.sequence);
        }
    }

    /// What this SMSC knows but does not do, and what it does not know.
    fn other(&mut self, id: ConnectionId, command: CommandId, sequence: u32) {
        let code = match command {
            CommandId::CANCEL_SM => 0x11,
            CommandId::REPLACE_SM => 0x13,
            CommandId::SUBMIT_MULTI => status::INVALID_COMMAND,
            reply if reply.is_reply() => return,
            _ => return self.write(id, &Pdu::GenericNack, status::INVALID_COMMAND, sequence),
        };
        self.bare(id, command, sequence, code);
    }

    pub(super) fn unreadable(&mut self, id: ConnectionId, header: PduHeader) {
        self.records.counts.malformed += 1;
        self.bare(id, header.command, header.sequence, status::INVALID_COMMAND_LENGTH);
    }

    /// Writes octets after a delay, or at once.
    pub(super) fn later(&mut self, id: ConnectionId, octets: Vec<u8>, delay_ms: Millis, now: Millis) {
        if delay_ms == 0 {
            self.write_raw(id, &octets);
        } else {
            self.at(now + delay_ms, Due::Octets(id, octets));
        }
    }

    pub(super) fn write_raw(&mut self, id: ConnectionId, octets: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.put(|out| out.extend_from_slice(octets));
        }
    }

    pub(super) fn write(&mut self, id: ConnectionId, pdu: &Pdu<'_>, code: u32, sequence: u32) {
        if let Some(connection) = self.connections.get_mut(&id) {
            // All that is written here fits: its fields are constants, or ids of ours.
            connection.put(|out| {
                let _ = pdu::write(pdu, code, sequence, out);
            });
        }
    }

    /// A reply without a body.
    pub(super) fn bare(&mut self, id: ConnectionId, command: CommandId, sequence: u32, code: u32) {
        if let Some(connection) = self.connections.get_mut(&id) {
            let header = PduHeader { command: command.reply(), status: code, sequence };
            connection.put(|out| {
                let _ = pdu::write_frame(header, &[], out);
            });
        }
    }
}

impl Connection {
    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence = if self.sequence >= 0x7FFF_FFFF { 1 } else { self.sequence + 1 };
        self.sequence
    }

    /// Appends to what is to be written, and wakes who writes it.
    pub(super) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.muted {
            return;
        }
        if self.out.is_empty() {
            self.wake.notify_one();
        }
        write(&mut self.out);
    }
}

enum Cut<'a> {
    Pdu(&'a [u8], &'a [u8]),
    More,
    Impossible,
}

/// The first PDU of a stream.
fn cut(bytes: &[u8]) -> Cut<'_> {
    let Some(length) = bytes.first_chunk::<4>() else { return Cut::More };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if !(HEADER_BYTES..=PDU_BYTES_MAX).contains(&length) {
        return Cut::Impossible;
    }
    match bytes.split_at_checked(length) {
        Some((pdu, rest)) => Cut::Pdu(pdu, rest),
        None => Cut::More,
    }
}
