//! Submits: accepted, refused, swallowed, cut off or answered late, and their receipts, as the
//! script says.

use channels::smpp::{
    Millis,
    pdu::{self, CommandId, IdReply, Pdu, PduHeader, ShortMessage},
    status,
};

use super::{
    connection::{AccountId, Bound, ConnectionId, Delivery, End, Subject},
    core::Core,
    deliver,
    receipt::{self, MessageIds, Receipt, ReportedState},
    schedule::Due,
    script::{ReceiptForm, Receipts, SmscScript},
};

/// Time by which a receipt that precedes its answer does so.
const RECEIPT_FIRST_MS: Millis = 20;
/// Time by which a repeated or stale receipt follows the good one.
const RECEIPT_AGAIN_MS: Millis = 5;

/// An accepted submit.
struct Accepted<'a> {
    connection: ConnectionId,
    account: AccountId,
    header: PduHeader,
    message: &'a ShortMessage<'a>,
    ids: MessageIds,
    /// Whether the connection was cut, so that the answer is lost.
    is_cut: bool,
}

/// Handles a submit_sm or data_sm.
pub(super) fn submit(
    core: &mut Core,
    id: ConnectionId,
    header: PduHeader,
    message: &ShortMessage<'_>,
    now: Millis,
) {
    core.records.count_submit(now);
    let script = core.script.clone();
    let bound = core.connections.get(&id).and_then(|connection| connection.bound);
    let Some(Bound { account, .. }) = bound.filter(|bound| bound.kind.submits()) else {
        return core.write_bare(id, header.command, header.sequence, status::INVALID_BIND_STATE);
    };
    if throttles(core, account, &script, now) {
        core.records.counts.throttled += 1;
        return refuse(core, id, header, status::THROTTLED, &script, now);
    }
    if core.triggers.refuse.fires(script.refuse) {
        core.records.counts.refused += 1;
        return refuse(core, id, header, script.refuse_status, &script, now);
    }
    let drops = core.triggers.drop_connection.fires(script.drop_connection);
    if drops {
        core.records.counts.dropped += 1;
        core.end(id, End::Now);
    }
    if drops && !script.drop_accepts {
        return;
    }
    core.message_number += 1;
    let ids = receipt::ids(script.id_style, core.message_number);
    if let Some(account) = core.accounts.get(account) {
        core.records.add_submit(script.remember, &account.name, message, &ids.in_answer, now);
    }
    let accepted = Accepted { connection: id, account, header, message, ids, is_cut: drops };
    answer(core, &accepted, &script, now);
    add_faults(core, id, &script, now);
}

fn throttles(core: &mut Core, account: AccountId, script: &SmscScript, now: Millis) -> bool {
    let cap = script.throttle_per_second;
    let Some(account) = core.account(account).filter(|_| cap > 0) else { return false };
    let full = account.last_second.is_full(cap, now);
    if !full {
        account.last_second.add(now);
    }
    full
}

fn refuse(core: &mut Core, id: ConnectionId, header: PduHeader, code: u32, script: &SmscScript, now: Millis) {
    if script.latency_ms == 0 {
        return core.write_bare(id, header.command, header.sequence, code);
    }
    let mut out = Vec::new();
    let reply = PduHeader { command: header.command.reply(), status: code, ..header };
    let _ = pdu::write_frame(reply, &[], &mut out);
    core.write_after(id, out, script.latency_ms, now);
}

fn answer(core: &mut Core, accepted: &Accepted<'_>, script: &SmscScript, now: Millis) {
    let swallows = core.triggers.swallow.fires(script.swallow);
    let late = core.triggers.late.fires(script.late);
    core.records.counts.swallowed += u64::from(swallows);
    core.records.counts.late += u64::from(late && !swallows);
    let first = core.triggers.receipt_first.fires(script.receipt_first);
    let mut delay = script.latency_ms + core.chance.up_to(script.latency_jitter_ms);
    let normal = delay;
    if late {
        delay = script.late_ms;
    }
    if first {
        delay = delay.max(RECEIPT_FIRST_MS);
        send_receipts(core, accepted, 0, script, now);
    }
    if !swallows && !accepted.is_cut {
        answer_after(core, accepted, delay, now);
    }
    if !first {
        let jitter = core.chance.up_to(script.receipt_jitter_ms);
        send_receipts(core, accepted, normal + script.receipt_delay_ms + jitter, script, now);
    }
}

fn answer_after(core: &mut Core, accepted: &Accepted<'_>, delay: Millis, now: Millis) {
    let reply = IdReply { message_id: accepted.ids.in_answer.as_bytes(), ..IdReply::default() };
    let pdu = match accepted.header.command {
        CommandId::DATA_SM => Pdu::DataSmResp(reply),
        _ => Pdu::SubmitSmResp(reply),
    };
    if delay == 0 {
        return core.write(accepted.connection, &pdu, 0, accepted.header.sequence);
    }
    let mut out = Vec::new();
    // Cannot fail: the ids made here fit.
    let _ = pdu::write(&pdu, 0, accepted.header.sequence, &mut out);
    core.write_after(accepted.connection, out, delay, now);
}

/// Sends or schedules the receipts of a submit.
fn send_receipts(core: &mut Core, accepted: &Accepted<'_>, delay: Millis, script: &SmscScript, now: Millis) {
    let asked = accepted.message.registered_delivery & 3;
    let failed = core.triggers.receipt_failed.fires(script.receipt_failed);
    let wanted = match script.receipts {
        Receipts::Never => false,
        Receipts::Always => true,
        // 2 asks for failures only, 3 for successes only (5.0).
        Receipts::AsAsked => asked == 1 || (asked == 2 && failed) || (asked == 3 && !failed),
    };
    if !wanted {
        return;
    }
    if core.triggers.receipt_lost.fires(script.receipt_lost) {
        core.records.counts.receipts_withheld += 1;
        return;
    }
    let state = if failed { ReportedState::Failed } else { ReportedState::Delivered };
    send_receipt(core, accepted, state, delay, script, now);
    if core.triggers.receipt_duplicate.fires(script.receipt_duplicate) {
        send_receipt(core, accepted, state, delay + RECEIPT_AGAIN_MS, script, now);
    }
    if core.triggers.receipt_stale.fires(script.receipt_stale) {
        send_receipt(core, accepted, ReportedState::Enroute, delay + RECEIPT_AGAIN_MS, script, now);
    }
}

fn send_receipt(
    core: &mut Core,
    accepted: &Accepted<'_>,
    state: ReportedState,
    delay: Millis,
    script: &SmscScript,
    now: Millis,
) {
    let turn = core.receipt_number;
    core.receipt_number = core.receipt_number.wrapping_add(1);
    let forms = &script.receipt_forms;
    let form = turn.checked_rem(forms.len()).and_then(|at| forms.get(at)).copied();
    let receipt = Receipt {
        id: &accepted.ids.in_receipt,
        state,
        source: accepted.message.source,
        destination: accepted.message.destination,
        text: accepted.message.text(),
        submitted_s: script.started_at_s + now / 1_000,
        done_s: script.started_at_s + (now + delay) / 1_000,
    };
    let mut pdu = Vec::with_capacity(256);
    if receipt::write(&receipt, form.unwrap_or(ReceiptForm::Full), &mut pdu).is_err() {
        // Only a source or destination beyond the protocol's maximum fails.
        core.records.counts.given_up += 1;
        return;
    }
    let delivery = Delivery { pdu, subject: Subject::Receipt, tries: 0, origin: accepted.connection };
    if delay == 0 {
        deliver::enqueue(core, accepted.account, delivery, now);
    } else {
        core.at(now + delay, Due::Deliver(accepted.account, delivery));
    }
}

/// Sends what other faults add to the answer.
fn add_faults(core: &mut Core, id: ConnectionId, script: &SmscScript, now: Millis) {
    if core.triggers.malformed.fires(script.malformed) {
        let broken = malformed_pdu(core);
        core.write_raw(id, &broken);
    }
    if core.triggers.unknown_command.fires(script.unknown_command) {
        let header = PduHeader { command: CommandId(0x0001_0203), status: 0, sequence: 0x7000_0001 };
        let mut out = Vec::new();
        let _ = pdu::write_frame(header, b"vendor\0", &mut out);
        core.write_raw(id, &out);
    }
    if core.triggers.unbind.fires(script.unbind) {
        core.unbind(id, now);
    }
    if core.triggers.bad_length.fires(script.bad_length) {
        core.write_raw(id, &[0, 0, 0, 8, 0, 0, 0, 0]);
        if let Some(connection) = core.connections.get_mut(&id) {
            connection.muted = true;
        }
    }
}

/// Returns a PDU with a correct length and a malformed body.
fn malformed_pdu(core: &mut Core) -> Vec<u8> {
    let sequence = 0x7100_0000 + u32::try_from(core.chance.up_to(0xffff)).unwrap_or_default();
    let (command, body): (CommandId, &[u8]) = match core.chance.up_to(3) {
        // A deliver_sm that ends within its source address.
        0 => (CommandId::DELIVER_SM, b"\0\x01\x01491"),
        // A deliver_sm without a body.
        1 => (CommandId::DELIVER_SM, b""),
        // An answer to no submit, whose id has no NUL.
        2 => (CommandId::SUBMIT_SM.reply(), b"12345"),
        _ => (CommandId::GENERIC_NACK, b""),
    };
    let mut out = Vec::new();
    let _ = pdu::write_frame(PduHeader { command, status: 0, sequence }, body, &mut out);
    out
}
