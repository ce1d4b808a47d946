//! Deliveries to the ESME, receipts and customers' messages alike: queued per account, sent over one of its
//! binds within the window, repeated until acknowledged or given up. Nothing here is lost without a count.

use channels::smpp::{Millis, pdu::PduHeader, status};

use super::{
    MoId,
    core::{
        AccountId, Connection, ConnectionId, Core, Delivery, Due, End, InFlight, MoState, OUT_BYTES_MAX, What,
    },
    mo::{self, Mo, MoError},
    records::{RECENT_MAX, Seen},
    script::{ReceiptVia, Remember},
};

/// The most deliveries that wait for a bind of one account.
pub const QUEUE_MAX: usize = 1_000_000;
/// Background messages come in bunches at this distance.
const BACKGROUND_MS: Millis = 10;
/// No more background messages are made while so many deliveries wait.
const BACKGROUND_QUEUE_MAX: usize = 10_000;

impl Core {
    /// Adds a delivery behind those that wait, and sends what may be sent.
    pub(super) fn enqueue(&mut self, account: AccountId, delivery: Delivery, now: Millis) {
        let Some(entry) = self.accounts.get_mut(account) else { return };
        if entry.queue.len() >= QUEUE_MAX {
            return self.give_up(delivery.what);
        }
        entry.queue.push_back(delivery);
        self.pump(account, now);
    }

    /// Puts a delivery back in front of those that wait.
    pub(super) fn requeue(&mut self, account: AccountId, delivery: Delivery) {
        if delivery.tries >= self.script.deliver_tries_max {
            return self.give_up(delivery.what);
        }
        if let Some(account) = self.accounts.get_mut(account) {
            account.queue.push_front(delivery);
        }
    }

    fn give_up(&mut self, what: What) {
        self.records.counts.given_up += 1;
        self.settle_mo(what, |state| state.refused += 1);
    }

    fn settle_mo(&mut self, what: What, change: impl FnOnce(&mut MoState)) {
        if let What::Mo(id) = what
            && let Some(state) = self.mos.get_mut(&id)
        {
            change(state);
        }
    }

    /// Sends what waits, as far as the windows go.
    pub(super) fn pump(&mut self, account: AccountId, now: Millis) {
        loop {
            let Some(entry) = self.accounts.get_mut(account) else { return };
            let Some(first) = entry.queue.front() else { return };
            let (origin, what) = (first.origin, first.what);
            let Some(id) = self.choose(account, origin, what) else { return };
            let Some(entry) = self.accounts.get_mut(account) else { return };
            let Some(delivery) = entry.queue.pop_front() else { return };
            self.send(id, delivery, now);
        }
    }

    /// The bind that takes the next delivery, if one may.
    fn choose(&mut self, account: AccountId, origin: ConnectionId, what: What) -> Option<ConnectionId> {
        let window = self.script.deliver_window;
        let via = if what == What::Receipt { self.script.receipt_via } else { ReceiptVia::Turns };
        let connections = &self.connections;
        let may = |id: &ConnectionId| connections.get(id).is_some_and(|other| other.takes(window));
        let entry = self.accounts.get_mut(account)?;
        let all = &entry.connections;
        match via {
            ReceiptVia::Same if may(&origin) && all.contains(&origin) => Some(origin),
            ReceiptVia::Same => all.iter().find(|id| may(id)).copied(),
            ReceiptVia::Other => {
                let other = all.iter().find(|id| **id != origin && may(id));
                other.or_else(|| all.iter().find(|id| may(id))).copied()
            }
            ReceiptVia::Turns => {
                let (before, after) = all.split_at_checked(entry.turn % all.len().max(1))?;
                let next = after.iter().chain(before).find(|id| may(id)).copied()?;
                entry.turn = all.iter().position(|id| *id == next).unwrap_or_default() + 1;
                Some(next)
            }
        }
    }

    fn send(&mut self, id: ConnectionId, mut delivery: Delivery, now: Millis) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let sequence = connection.next_sequence();
        if let Some(place) = delivery.pdu.get_mut(12..16) {
            place.copy_from_slice(&sequence.to_be_bytes());
        }
        connection.put(|out| out.extend_from_slice(&delivery.pdu));
        let counts = &mut self.records.counts;
        match delivery.what {
            What::Receipt => counts.receipts_sent += 1,
            What::Mo(_) => counts.mo_parts_sent += 1,
        }
        counts.redeliveries += u64::from(delivery.tries > 0);
        delivery.tries += 1;
        let what = delivery.what;
        connection.in_flight.insert(sequence, InFlight { delivery, sent: now });
        self.settle_mo(what, |state| state.sent += 1);
    }

    /// The ESME answered a delivery.
    pub(super) fn answered(&mut self, id: ConnectionId, header: PduHeader, now: Millis) {
        if header.command.0 == 0x8000_0000 {
            self.records.counts.generic_nacks += 1;
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some((account, _)) = connection.bound else { return };
        let Some(InFlight { delivery, .. }) = connection.in_flight.remove(&header.sequence) else { return };
        let again = matches!(
            header.status,
            status::RETRY_LATER | status::THROTTLED | status::QUEUE_FULL | status::SYSTEM_ERROR
        );
        match header.status {
            status::OK => self.acked(delivery.what),
            _ if again && delivery.tries < self.script.deliver_tries_max => {
                self.at(now + self.script.deliver_again_ms.max(1), Due::Deliver(account, delivery));
            }
            _ if again => self.give_up(delivery.what),
            _ => {
                match delivery.what {
                    What::Receipt => self.records.counts.receipts_refused += 1,
                    What::Mo(_) => self.records.counts.mo_parts_refused += 1,
                }
                self.settle_mo(delivery.what, |state| state.refused += 1);
            }
        }
        self.pump(account, now);
    }

    fn acked(&mut self, what: What) {
        let What::Mo(id) = what else {
            self.records.counts.receipts_acked += 1;
            return;
        };
        self.records.counts.mo_parts_acked += 1;
        let complete = match self.mos.get_mut(&id) {
            Some(state) => {
                state.acked += 1;
                state.acked == state.parts
            }
            // Not remembered: a background message, of one part.
            None => true,
        };
        if complete {
            self.records.counts.mo_acked += 1;
            self.records.tell(|| Seen::MoAcked(id));
        }
    }

    /// Sends a customer's message, now or at the next bind.
    pub(super) fn send_mo(&mut self, mo: &Mo, now: Millis) -> Result<MoId, MoError> {
        let number = self.mo_number + 1;
        let reference = u16::try_from(number & 0xffff).unwrap_or_default();
        let pdus = mo::pdus(mo, reference)?;
        self.mo_number = number;
        let id = MoId(number);
        let parts = u32::try_from(pdus.len()).unwrap_or(u32::MAX);
        if self.script.remember == Remember::All || parts > 1 {
            self.mos.insert(id, MoState { parts, ..MoState::default() });
            if self.mos.len() > RECENT_MAX {
                self.mos.pop_first();
            }
        }
        let account = self.receiver(&mo.system_id);
        for pdu in pdus {
            let delivery = Delivery { pdu, what: What::Mo(id), tries: 0, origin: 0 };
            match account {
                Some(account) => self.enqueue(account, delivery, now),
                None if self.unclaimed.len() < QUEUE_MAX => self.unclaimed.push_back(delivery),
                None => self.give_up(delivery.what),
            }
        }
        Ok(id)
    }

    /// The account a customer's message goes to: the named one, else the first that is or was bound.
    fn receiver(&self, system_id: &str) -> Option<AccountId> {
        if system_id.is_empty() {
            let receives = |id: &ConnectionId| {
                let bound = self.connections.get(id).and_then(|connection| connection.bound);
                bound.is_some_and(|(_, kind)| kind.receives())
            };
            let now = self.accounts.iter().position(|account| account.connections.iter().any(receives));
            return now.or(if self.accounts.is_empty() { None } else { Some(0) });
        }
        self.accounts.iter().position(|account| *account.name == *system_id)
    }

    /// The first bind that receives gets what came before it.
    pub(super) fn claim(&mut self, account: AccountId) {
        let waiting = std::mem::take(&mut self.unclaimed);
        if let Some(account) = self.accounts.get_mut(account) {
            account.queue.extend(waiting);
        }
    }

    pub(super) fn start_background(&mut self, now: Millis) {
        if self.background.is_none() && self.script.mo_per_second > 0 {
            self.background = Some(0);
            self.at(now + BACKGROUND_MS, Due::Background);
        }
    }

    /// Makes as many messages as are due, in thousandths of one.
    pub(super) fn run_background(&mut self, now: Millis) {
        let rate = u64::from(self.script.mo_per_second);
        let account = self.receiver("").and_then(|account| self.accounts.get(account));
        let Some(account) = account.filter(|account| rate > 0 && !account.connections.is_empty()) else {
            self.background = None;
            return;
        };
        let full = account.queue.len() >= BACKGROUND_QUEUE_MAX;
        let mut credit = self.background.unwrap_or_default() + rate * BACKGROUND_MS;
        let script = self.script.clone();
        while credit >= 1_000 {
            credit -= 1_000;
            if full {
                continue;
            }
            let number = self.mo_number + 1;
            let customer = number % u64::from(script.mo_customers.max(1));
            let mo = Mo {
                from: format!("4917{customer:08}"),
                to: script.mo_to.clone(),
                text: format!("{} {number}", script.mo_text),
                ..Mo::default()
            };
            if self.send_mo(&mo, now).is_err() {
                // A text or number that fits into no PDU: the script must be changed first.
                self.background = None;
                return;
            }
        }
        self.background = Some(credit);
        self.at(now + BACKGROUND_MS, Due::Background);
    }
}

impl Connection {
    /// Whether it takes one more delivery.
    fn takes(&self, window: usize) -> bool {
        self.bound.is_some_and(|(_, kind)| kind.receives())
            && self.end == End::No
            && !self.muted
            && self.in_flight.len() < window
            && self.out.len() < OUT_BYTES_MAX
    }
}
