//! Who may bind, and how a bind ends. A password is compared here and kept nowhere.

use std::collections::VecDeque;

use channels::smpp::{
    Millis,
    pdu::{BindReply, Pdu, PduHeader},
    status,
    tlv::{SC_INTERFACE_VERSION, Tlv, Tlvs},
};

use super::{
    core::{Account, AccountId, ConnectionId, Core, End},
    records::Seen,
};

/// The most system_ids that are told apart; binds of more are refused.
const ACCOUNTS_MAX: usize = 10_000;

impl Core {
    pub(super) fn bind(&mut self, id: ConnectionId, header: PduHeader, body: &[u8], now: Millis) {
        let Ok((Pdu::Bind(kind, bind), _)) = Pdu::read(header.command, 0, body) else {
            return self.unreadable(id, header);
        };
        let system_id = String::from_utf8_lossy(bind.system_id).into_owned();
        let refusal = self.refusal(id, &system_id, bind.password, now);
        let account = if refusal == status::OK { self.account(&system_id) } else { None };
        let Some(account) = account else {
            self.records.counts.binds_refused += 1;
            let code = if refusal == status::OK { status::BIND_FAILED } else { refusal };
            return self.bare(id, header.command, header.sequence, code);
        };
        self.records.counts.binds += 1;
        let list = [Tlv { tag: SC_INTERFACE_VERSION, value: &[0x34] }];
        let reply = BindReply { system_id: b"patchbay-smsc", tlvs: Tlvs::list(&list) };
        self.write(id, &Pdu::BindResp(kind, reply), 0, header.sequence);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.bound = Some((account, kind));
        }
        if let Some(account) = self.accounts.get_mut(account) {
            account.connections.push(id);
            account.lost = None;
            let system_id = account.name.clone();
            self.records.tell(|| Seen::Bound { system_id });
        }
        if kind.receives() {
            self.claim(account);
            self.start_background(now);
            self.pump(account, now);
        }
    }

    /// Why a bind is refused; 0 when it is not.
    fn refusal(&self, id: ConnectionId, system_id: &str, password: &[u8], now: Millis) -> u32 {
        let script = &self.script;
        if script.bind_status != 0 {
            return script.bind_status;
        }
        if !script.accounts.is_empty() {
            match script.accounts.get(system_id) {
                None => return status::INVALID_SYSTEM_ID,
                Some(expected) if expected.as_bytes() != password => return status::INVALID_PASSWORD,
                Some(_) => {}
            }
        }
        if self.connections.get(&id).is_some_and(|connection| connection.bound.is_some()) {
            return status::ALREADY_BOUND;
        }
        let Some(account) = self.accounts.iter().find(|account| *account.name == *system_id) else {
            return status::OK;
        };
        let lost_lately = account.lost.is_some_and(|lost| now < lost.saturating_add(script.already_bound_ms));
        let full = script.binds_max > 0 && account.connections.len() >= script.binds_max;
        if lost_lately || full { status::ALREADY_BOUND } else { status::OK }
    }

    fn account(&mut self, system_id: &str) -> Option<AccountId> {
        if let Some(at) = self.accounts.iter().position(|account| *account.name == *system_id) {
            return Some(at);
        }
        if self.accounts.len() >= ACCOUNTS_MAX {
            return None;
        }
        self.accounts.push(Account {
            name: system_id.into(),
            queue: VecDeque::new(),
            connections: Vec::new(),
            recent: VecDeque::new(),
            turn: 0,
            lost: None,
        });
        Some(self.accounts.len() - 1)
    }

    pub(super) fn leave(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.unbound = true;
        }
        self.end(id, End::Flushed);
    }

    /// Asks the ESME to go.
    pub(super) fn unbind(&mut self, id: ConnectionId, now: Millis) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.unbinding.is_none() && connection.bound.is_some() {
            connection.unbinding = Some(now);
            let sequence = connection.next_sequence();
            self.write(id, &Pdu::Unbind, 0, sequence);
        }
    }
}
