//! Deliveries to the ESME, receipts and customers' messages alike: queued per account, sent over
//! one of its binds within the window, repeated until acknowledged or given up. None is dropped
//! without a count.

use channels::smpp::{
    Millis,
    pdu::{CommandId, PduHeader},
    status,
};

use super::{
    connection::{AccountId, Bound, Connection, ConnectionId, Delivery, InFlight, Subject},
    core::Core,
    mo::{self, Mo, MoError, MoId, MoState},
    records::{RECENT_MAX, Seen},
    schedule::Due,
    script::ReceiptVia,
};
use crate::toolkit::recent::Remember;

/// Maximum number of deliveries that wait for a bind of one account; further ones are given up.
pub const QUEUE_MAX: usize = 1_000_000;
/// Interval at which background messages are made.
const BACKGROUND_MS: Millis = 10;
/// Maximum queue beside which background messages are made; beyond it they are skipped.
const BACKGROUND_QUEUE_MAX: usize = 10_000;

/// Appends a delivery to the queue, and sends as the windows allow.
pub(super) fn enqueue(core: &mut Core, account: AccountId, delivery: Delivery, now: Millis) {
    let Some(entry) = core.accounts.get_mut(account) else { return };
    if entry.queue.len() >= QUEUE_MAX {
        return give_up(core, delivery.subject);
    }
    entry.queue.push_back(delivery);
    pump(core, account, now);
}

/// Puts a delivery back to the front of the queue.
pub(super) fn requeue(core: &mut Core, account: AccountId, delivery: Delivery) {
    if delivery.tries >= core.script.deliver_tries_max {
        return give_up(core, delivery.subject);
    }
    if let Some(account) = core.accounts.get_mut(account) {
        account.queue.push_front(delivery);
    }
}

fn give_up(core: &mut Core, subject: Subject) {
    core.records.counts.given_up += 1;
    update_mo(core, subject, |state| state.refused += 1);
}

fn update_mo(core: &mut Core, subject: Subject, change: impl FnOnce(&mut MoState)) {
    if let Subject::Mo(id) = subject
        && let Some(state) = core.customers.messages.get_mut(&id)
    {
        change(state);
    }
}

/// Sends waiting deliveries as the windows allow.
pub(super) fn pump(core: &mut Core, account: AccountId, now: Millis) {
    loop {
        let Some(entry) = core.accounts.get_mut(account) else { return };
        let Some(first) = entry.queue.front() else { return };
        let (origin, subject) = (first.origin, first.subject);
        let Some(id) = choose(core, account, origin, subject) else { return };
        let Some(entry) = core.accounts.get_mut(account) else { return };
        let Some(delivery) = entry.queue.pop_front() else { return };
        send_over(core, id, delivery, now);
    }
}

/// Chooses the bind for the next delivery, if one has room.
fn choose(
    core: &mut Core,
    account: AccountId,
    origin: ConnectionId,
    subject: Subject,
) -> Option<ConnectionId> {
    let window = core.script.deliver_window;
    let via = if subject == Subject::Receipt { core.script.receipt_via } else { ReceiptVia::Turns };
    let connections = &core.connections;
    let may = |id: &ConnectionId| connections.get(id).is_some_and(|other| other.has_room(window));
    let entry = core.accounts.get_mut(account)?;
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

fn send_over(core: &mut Core, id: ConnectionId, mut delivery: Delivery, now: Millis) {
    let Some(connection) = core.connections.get_mut(&id) else { return };
    let sequence = connection.next_sequence();
    if let Some(place) = delivery.pdu.get_mut(12..16) {
        place.copy_from_slice(&sequence.to_be_bytes());
    }
    connection.put(|out| out.extend_from_slice(&delivery.pdu));
    let counts = &mut core.records.counts;
    match delivery.subject {
        Subject::Receipt => counts.receipts_sent += 1,
        Subject::Mo(_) => counts.mo_parts_sent += 1,
    }
    counts.redeliveries += u64::from(delivery.tries > 0);
    delivery.tries += 1;
    let subject = delivery.subject;
    connection.in_flight.insert(sequence, InFlight { delivery, sent: now });
    update_mo(core, subject, |state| state.sent += 1);
}

/// Handles the answer to a delivery.
pub(super) fn on_answer(core: &mut Core, id: ConnectionId, header: PduHeader, now: Millis) {
    if header.command == CommandId::GENERIC_NACK {
        core.records.counts.generic_nacks += 1;
    }
    let Some(connection) = core.connections.get_mut(&id) else { return };
    let Some(Bound { account, .. }) = connection.bound else { return };
    let Some(InFlight { delivery, .. }) = connection.in_flight.remove(&header.sequence) else { return };
    let again = matches!(
        header.status,
        status::RETRY_LATER | status::THROTTLED | status::QUEUE_FULL | status::SYSTEM_ERROR
    );
    match header.status {
        status::OK => on_acked(core, delivery.subject),
        _ if again && delivery.tries < core.script.deliver_tries_max => {
            core.at(now + core.script.deliver_again_ms.max(1), Due::Deliver(account, delivery));
        }
        _ if again => give_up(core, delivery.subject),
        _ => {
            match delivery.subject {
                Subject::Receipt => core.records.counts.receipts_refused += 1,
                Subject::Mo(_) => core.records.counts.mo_parts_refused += 1,
            }
            update_mo(core, delivery.subject, |state| state.refused += 1);
        }
    }
    pump(core, account, now);
}

fn on_acked(core: &mut Core, subject: Subject) {
    let Subject::Mo(id) = subject else {
        core.records.counts.receipts_acked += 1;
        return;
    };
    core.records.counts.mo_parts_acked += 1;
    let complete = match core.customers.messages.get_mut(&id) {
        Some(state) => {
            state.acked += 1;
            state.acked == state.parts
        }
        // A background message is not remembered, and has one part.
        None => true,
    };
    if complete {
        core.records.counts.mo_acked += 1;
        core.records.tell(|| Seen::MoAcked(id));
    }
}

/// Sends a customer's message, or keeps it for the first bind.
pub(super) fn send_mo(core: &mut Core, mo: &Mo, now: Millis) -> Result<MoId, MoError> {
    let number = core.customers.number + 1;
    let reference = u16::try_from(number & 0xffff).unwrap_or_default();
    let pdus = mo::pdus(mo, reference)?;
    core.customers.number = number;
    let id = MoId(number);
    let parts = u32::try_from(pdus.len()).unwrap_or(u32::MAX);
    if core.script.remember == Remember::All || parts > 1 {
        core.customers.messages.insert(id, MoState { parts, ..MoState::default() });
        if core.customers.messages.len() > RECENT_MAX {
            core.customers.messages.pop_first();
        }
    }
    let account = receiver(core, &mo.system_id);
    for pdu in pdus {
        let delivery = Delivery { pdu, subject: Subject::Mo(id), tries: 0, origin: 0 };
        match account {
            Some(account) => enqueue(core, account, delivery, now),
            None if core.customers.unclaimed.len() < QUEUE_MAX => {
                core.customers.unclaimed.push_back(delivery)
            }
            None => give_up(core, delivery.subject),
        }
    }
    Ok(id)
}

/// Returns the account for a customer's message: the named one, else the first that receives, else
/// the first.
fn receiver(core: &Core, system_id: &str) -> Option<AccountId> {
    if system_id.is_empty() {
        let receives = |id: &ConnectionId| core.connections.get(id).is_some_and(Connection::receives);
        let now = core.accounts.iter().position(|account| account.connections.iter().any(receives));
        return now.or(if core.accounts.is_empty() { None } else { Some(0) });
    }
    core.accounts.iter().position(|account| *account.name == *system_id)
}

/// Gives an account the messages that waited for the first bind.
pub(super) fn claim(core: &mut Core, account: AccountId) {
    let waiting = std::mem::take(&mut core.customers.unclaimed);
    if let Some(account) = core.accounts.get_mut(account) {
        account.queue.extend(waiting);
    }
}

pub(super) fn start_background(core: &mut Core, now: Millis) {
    if core.customers.background.is_none() && core.script.mo_per_second > 0 {
        core.customers.background = Some(0);
        core.at(now + BACKGROUND_MS, Due::Background);
    }
}

/// Makes the background messages that are due; fractions carry over.
pub(super) fn run_background(core: &mut Core, now: Millis) {
    let rate = u64::from(core.script.mo_per_second);
    let account = receiver(core, "").and_then(|account| core.accounts.get(account));
    let Some(account) = account.filter(|account| rate > 0 && !account.connections.is_empty()) else {
        core.customers.background = None;
        return;
    };
    let full = account.queue.len() >= BACKGROUND_QUEUE_MAX;
    let mut credit = core.customers.background.unwrap_or_default() + rate * BACKGROUND_MS;
    let script = core.script.clone();
    while credit >= 1_000 {
        credit -= 1_000;
        if full {
            continue;
        }
        let number = core.customers.number + 1;
        let customer = number % u64::from(script.mo_customers.max(1));
        let mo = Mo {
            from: format!("4917{customer:08}"),
            to: script.mo_to.clone(),
            text: format!("{} {number}", script.mo_text),
            ..Mo::default()
        };
        if send_mo(core, &mo, now).is_err() {
            // The text or a number does not fit into a PDU: the script must change first.
            core.customers.background = None;
            return;
        }
    }
    core.customers.background = Some(credit);
    core.at(now + BACKGROUND_MS, Due::Background);
}
