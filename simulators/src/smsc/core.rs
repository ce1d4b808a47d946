//! The state of the SMSC, without sockets or clocks, and the writing of PDUs. One lock around it
//! serves all connections, so that a receipt may leave over another bind than its submit arrived
//! by.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use channels::smpp::{
    Millis,
    pdu::{self, CommandId, Pdu, PduHeader},
    status,
};
use tokio::sync::Notify;

use super::{
    connection::{AccountId, Connection, ConnectionId, Delivery, End},
    mo::{MoId, MoState},
    records::SmscRecords,
    schedule::{Added, Due, Schedule},
    script::{SmscScript, SmscTriggers},
};
use crate::toolkit::{chance::Chance, recent::LastSecond};

/// A system_id, with its binds and the deliveries that wait for one.
pub(super) struct Account {
    pub(super) name: Arc<str>,
    pub(super) queue: VecDeque<Delivery>,
    /// Its bound connections, oldest first.
    pub(super) connections: Vec<ConnectionId>,
    /// Submits that passed the cap in the last second.
    pub(super) last_second: LastSecond,
    /// The place of the bind that is next in turn.
    pub(super) turn: usize,
    /// When its last connection was lost without unbind.
    pub(super) lost: Option<Millis>,
}

impl Account {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            queue: VecDeque::new(),
            connections: Vec::new(),
            last_second: LastSecond::default(),
            turn: 0,
            lost: None,
        }
    }
}

/// Customers and their messages.
#[derive(Default)]
pub(super) struct Customers {
    pub(super) messages: BTreeMap<MoId, MoState>,
    /// Messages that wait for the first bind.
    pub(super) unclaimed: VecDeque<Delivery>,
    /// The number of the last message.
    pub(super) number: u64,
    /// Thousandths of a message that background customers still owe; `None` while they do not
    /// write.
    pub(super) background: Option<u64>,
}

/// The state of the SMSC.
pub(super) struct Core {
    pub(super) script: Arc<SmscScript>,
    pub(super) triggers: SmscTriggers,
    pub(super) chance: Chance,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) accounts: Vec<Account>,
    pub(super) records: SmscRecords,
    pub(super) customers: Customers,
    /// The number of the last accepted message.
    pub(super) message_number: u64,
    pub(super) receipt_number: usize,
    pub(super) schedule: Schedule,
    next_connection: ConnectionId,
}

impl Core {
    pub(super) fn new(script: SmscScript) -> Self {
        Self {
            triggers: SmscTriggers::new(script.seed),
            chance: Chance(script.seed ^ 0x5eed),
            script: Arc::new(script),
            connections: BTreeMap::new(),
            accounts: Vec::new(),
            records: SmscRecords::default(),
            customers: Customers::default(),
            message_number: 1 << 20,
            receipt_number: 0,
            schedule: Schedule::default(),
            next_connection: 0,
        }
    }

    pub(super) fn add_connection(&mut self, wake: Arc<Notify>, now: Millis) -> ConnectionId {
        self.next_connection += 1;
        let id = self.next_connection;
        self.connections.insert(id, Connection::new(wake, now));
        self.records.counts.connections += 1;
        id
    }

    pub(super) fn account(&mut self, id: AccountId) -> Option<&mut Account> {
        self.accounts.get_mut(id)
    }

    /// Schedules work.
    pub(super) fn at(&mut self, when: Millis, due: Due) {
        match self.schedule.add(when, due) {
            Added::Earliest => self.wake_one(),
            Added::Later => {}
            Added::Full => self.records.counts.given_up += 1,
        }
    }

    /// Wakes one connection's task. All of them sleep until the first due time they saw, so one
    /// must look again.
    pub(super) fn wake_one(&self) {
        if let Some(connection) = self.connections.values().next() {
            connection.wake();
        }
    }

    pub(super) fn end(&mut self, id: ConnectionId, end: End) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.end(end);
        }
    }

    /// Writes octets after a delay.
    pub(super) fn write_after(&mut self, id: ConnectionId, octets: Vec<u8>, delay_ms: Millis, now: Millis) {
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
            // Cannot fail: all fields are constants, or ids made here.
            connection.put(|out| {
                let _ = pdu::write(pdu, code, sequence, out);
            });
        }
    }

    /// Writes a reply without a body.
    pub(super) fn write_bare(&mut self, id: ConnectionId, command: CommandId, sequence: u32, code: u32) {
        if let Some(connection) = self.connections.get_mut(&id) {
            let header = PduHeader { command: command.reply(), status: code, sequence };
            connection.put(|out| {
                let _ = pdu::write_frame(header, &[], out);
            });
        }
    }

    /// Refuses a PDU whose body cannot be read.
    pub(super) fn refuse_unreadable(&mut self, id: ConnectionId, header: PduHeader) {
        self.records.counts.malformed += 1;
        self.write_bare(id, header.command, header.sequence, status::INVALID_COMMAND_LENGTH);
    }

    /// Asks the ESME to unbind.
    pub(super) fn unbind(&mut self, id: ConnectionId, now: Millis) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.unbinding.is_none() && connection.bound.is_some() {
            connection.unbinding = Some(now);
            let sequence = connection.next_sequence();
            self.write(id, &Pdu::Unbind, 0, sequence);
        }
    }
}
