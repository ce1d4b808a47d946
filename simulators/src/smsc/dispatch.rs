//! Dispatch: octets, due work and closed connections, led to binds, submits and deliveries.

use std::sync::Arc;

use channels::smpp::{
    Millis,
    frame::{HEADER_BYTES, PDU_BYTES_MAX},
    pdu::{BindKind, CommandId, DataSm, Pdu, PduHeader, QueryReply, ShortMessage},
    status,
};
use tokio::sync::Notify;

use super::{
    bind,
    connection::{Bound, ConnectionId, End, InFlight},
    core::Core,
    deliver,
    records::Seen,
    schedule::Due,
    submit,
};

/// Interval at which each connection is looked after.
const TICK_MS: Millis = 1_000;
/// Time after which an unanswered unbind cuts the connection.
const UNBIND_MS: Millis = 5_000;
/// The status for a failed query_sm.
const QUERY_FAILED: u32 = 0x67;
/// The message_state of a delivered message.
const STATE_DELIVERED: u8 = 2;

/// Adds a connection.
pub(super) fn open(core: &mut Core, wake: Arc<Notify>, now: Millis) -> ConnectionId {
    let id = core.add_connection(wake, now);
    core.at(now + TICK_MS, Due::Tick(id));
    id
}

/// Removes a connection; its unacknowledged deliveries wait for another bind.
pub(super) fn close(core: &mut Core, id: ConnectionId, now: Millis) {
    let Some(connection) = core.connections.remove(&id) else { return };
    let mut system_id = None;
    if let Some(Bound { account, .. }) = connection.bound {
        for (_, in_flight) in connection.in_flight.into_iter().rev() {
            deliver::requeue(core, account, in_flight.delivery);
        }
        if let Some(account) = core.accounts.get_mut(account) {
            account.connections.retain(|other| *other != id);
            if !connection.unbound {
                account.lost = Some(now);
            }
            system_id = Some(account.name.clone());
        }
        deliver::pump(core, account, now);
    }
    core.records.tell(|| Seen::Closed { system_id });
    core.wake_one();
}

/// Does what is due.
pub(super) fn run_due(core: &mut Core, now: Millis) {
    while let Some(items) = core.schedule.take_due(now) {
        for due in items {
            match due {
                Due::Octets(id, octets) => core.write_raw(id, &octets),
                Due::Deliver(account, delivery) => deliver::enqueue(core, account, delivery, now),
                Due::Bind(id, header, body) => bind::bind(core, id, header, &body, now),
                Due::Tick(id) => tick(core, id, now),
                Due::Background => deliver::run_background(core, now),
            }
        }
    }
}

/// Looks after a connection: overdue deliveries, silence, an unanswered unbind.
fn tick(core: &mut Core, id: ConnectionId, now: Millis) {
    let script = core.script.clone();
    let Some(connection) = core.connections.get_mut(&id) else { return };
    if connection.unbinding.is_some_and(|since| now.saturating_sub(since) >= UNBIND_MS) {
        connection.end(End::Now);
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
    let account = connection.bound.map(|bound| bound.account);
    if enquires {
        connection.enquired = Some(now);
        let sequence = connection.next_sequence();
        core.write(id, &Pdu::EnquireLink, 0, sequence);
    }
    if let Some(account) = account {
        for delivery in again.into_iter().rev() {
            deliver::requeue(core, account, delivery);
        }
        deliver::pump(core, account, now);
    }
    core.at(now + TICK_MS, Due::Tick(id));
}

/// Handles received octets; returns how many of them were consumed.
pub(super) fn handle_bytes(core: &mut Core, id: ConnectionId, bytes: &[u8], now: Millis) -> usize {
    let mut rest = bytes;
    let limit = core.script.drop_after_bytes;
    loop {
        let Some(connection) = core.connections.get_mut(&id) else { return bytes.len() };
        if connection.end != End::No {
            return bytes.len();
        }
        let pdu = match next_frame(rest) {
            Framed::Pdu(pdu, after) => {
                rest = after;
                pdu
            }
            Framed::More if limit > 0 && connection.octets + rest.len() as u64 >= limit => {
                return cut_off(core, id, bytes.len());
            }
            Framed::More => return bytes.len() - rest.len(),
            Framed::Impossible => {
                core.records.counts.malformed += 1;
                return cut_off(core, id, bytes.len());
            }
        };
        connection.heard = now;
        connection.octets += pdu.len() as u64;
        if limit > 0 && connection.octets > limit {
            return cut_off(core, id, bytes.len());
        }
        core.records.counts.octets_in += pdu.len() as u64;
        if !core.script.silent {
            handle_pdu(core, id, pdu, now);
        }
    }
}

fn cut_off(core: &mut Core, id: ConnectionId, octets: usize) -> usize {
    core.records.counts.dropped += 1;
    core.end(id, End::Now);
    octets
}

fn handle_pdu(core: &mut Core, id: ConnectionId, pdu: &[u8], now: Millis) {
    let (Some(header), Some(body)) = (PduHeader::read(pdu), pdu.get(HEADER_BYTES..)) else { return };
    const DELIVERED: u32 = 0x8000_0005;
    const DATA_DELIVERED: u32 = 0x8000_0103;
    const ALIVE: u32 = 0x8000_0015;
    const UNBOUND: u32 = 0x8000_0006;
    match header.command {
        CommandId::SUBMIT_SM => match ShortMessage::read(body) {
            Ok((message, salvage)) => {
                core.records.counts.malformed += u64::from(!salvage.is_clean());
                submit::submit(core, id, header, &message, now);
            }
            Err(_) => core.refuse_unreadable(id, header),
        },
        CommandId::DATA_SM => match DataSm::read(body) {
            Ok((data, _)) => submit::submit(core, id, header, &data.into(), now),
            Err(_) => core.refuse_unreadable(id, header),
        },
        CommandId(DELIVERED | DATA_DELIVERED) | CommandId::GENERIC_NACK => {
            deliver::on_answer(core, id, header, now)
        }
        CommandId::ENQUIRE_LINK => on_enquire_link(core, id, header),
        CommandId(ALIVE) => {
            if let Some(connection) = core.connections.get_mut(&id) {
                connection.enquired = None;
            }
        }
        CommandId::UNBIND => {
            core.records.counts.unbinds += 1;
            core.write(id, &Pdu::UnbindResp, 0, header.sequence);
            leave(core, id);
        }
        CommandId(UNBOUND) => leave(core, id),
        command if BindKind::of(command).is_some() && !command.is_reply() => {
            match core.script.bind_delay_ms {
                0 => bind::bind(core, id, header, body, now),
                delay => core.at(now + delay, Due::Bind(id, header, body.to_vec())),
            }
        }
        CommandId::QUERY_SM => on_query(core, id, header, body),
        command => on_other(core, id, command, header.sequence),
    }
}

/// Answers a query_sm: every accepted message counts as delivered, whatever its receipt said.
fn on_query(core: &mut Core, id: ConnectionId, header: PduHeader, body: &[u8]) {
    let read = Pdu::read(header.command, header.status, body);
    let Ok((Pdu::QuerySm(query), _)) = read else {
        return core.write_bare(id, header.command, header.sequence, QUERY_FAILED);
    };
    if !core.records.submits.iter().any(|submit| submit.message_id.as_bytes() == query.message_id) {
        return core.write_bare(id, header.command, header.sequence, QUERY_FAILED);
    }
    let message_id = query.message_id;
    let reply = QueryReply { message_id, message_state: STATE_DELIVERED, ..QueryReply::default() };
    core.write(id, &Pdu::QuerySmResp(reply), 0, header.sequence);
}

fn on_enquire_link(core: &mut Core, id: ConnectionId, header: PduHeader) {
    core.records.counts.enquire_links += 1;
    if core.script.enquire_silent {
        core.records.counts.enquire_links_unanswered += 1;
    } else {
        core.write(id, &Pdu::EnquireLinkResp, 0, header.sequence);
    }
}

/// Answers the commands that this SMSC does not perform, and unknown ones.
fn on_other(core: &mut Core, id: ConnectionId, command: CommandId, sequence: u32) {
    let code = match command {
        CommandId::CANCEL_SM => 0x11,
        CommandId::REPLACE_SM => 0x13,
        CommandId::SUBMIT_MULTI => status::INVALID_COMMAND,
        reply if reply.is_reply() => return,
        _ => return core.write(id, &Pdu::GenericNack, status::INVALID_COMMAND, sequence),
    };
    core.write_bare(id, command, sequence, code);
}

/// The beginning of a stream.
enum Framed<'a> {
    Pdu(&'a [u8], &'a [u8]),
    More,
    Impossible,
}

/// Splits the first PDU from a stream.
fn next_frame(bytes: &[u8]) -> Framed<'_> {
    let Some(length) = bytes.first_chunk::<4>() else { return Framed::More };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if !(HEADER_BYTES..=PDU_BYTES_MAX).contains(&length) {
        return Framed::Impossible;
    }
    match bytes.split_at_checked(length) {
        Some((pdu, rest)) => Framed::Pdu(pdu, rest),
        None => Framed::More,
    }
}

/// Ends a connection after an unbind.
fn leave(core: &mut Core, id: ConnectionId) {
    if let Some(connection) = core.connections.get_mut(&id) {
        connection.unbound = true;
    }
    core.end(id, End::Flushed);
}
