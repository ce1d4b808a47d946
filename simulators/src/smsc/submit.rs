//! What becomes of a submit: accepted, refused, swallowed, cut off, answered late, and its receipts, as the
//! script says. It only decides and writes; time and chance come from the core.

use std::sync::Arc;

use channels::smpp::{
    Millis,
    pdu::{self, CommandId, IdReply, Pdu, PduHeader, ShortMessage},
    status,
};

use super::{
    core::{AccountId, ConnectionId, Core, Delivery, Due, End, What},
    receipt::{self, Fate, Receipt},
    script::{IdStyle, ReceiptForm, Receipts, Script},
};

/// A receipt that comes before its answer comes so long before it.
const RECEIPT_FIRST_MS: Millis = 20;
/// A repeated, or stale, receipt comes so long after the good one.
const RECEIPT_AGAIN_MS: Millis = 5;

/// One accepted submit.
struct Accepted<'a> {
    connection: ConnectionId,
    account: AccountId,
    header: PduHeader,
    message: &'a ShortMessage<'a>,
    receipt_id: String,
}

impl Core {
    pub(super) fn submit(
        &mut self,
        id: ConnectionId,
        header: PduHeader,
        message: &ShortMessage<'_>,
        now: Millis,
    ) {
        self.records.came(now);
        let script = self.script.clone();
        let bound = self.connections.get(&id).and_then(|connection| connection.bound);
        let Some((account, _)) = bound.filter(|(_, kind)| kind.submits()) else {
            return self.bare(id, header.command, header.sequence, status::INVALID_BIND_STATE);
        };
        if self.throttles(account, &script, now) {
            self.records.counts.throttled += 1;
            return self.refuse(id, header, status::THROTTLED, &script, now);
        }
        if self.triggers.refuse.fires(script.refuse) {
            self.records.counts.refused += 1;
            return self.refuse(id, header, script.refuse_status, &script, now);
        }
        let drops = self.triggers.drop_connection.fires(script.drop_connection);
        if drops {
            self.records.counts.dropped += 1;
            self.end(id, End::Now);
        }
        if drops && !script.drop_accepts {
            return;
        }
        self.message_number += 1;
        let (message_id, receipt_id) = receipt::ids(script.id_style, self.message_number);
        if let Some(account) = self.accounts.get(account) {
            self.records.accepted(script.remember, &account.name, message, &message_id, now);
        }
        let accepted = Accepted { connection: id, account, header, message, receipt_id };
        self.answer(&accepted, &message_id, drops, &script, now);
        self.disturb(id, &script, now);
    }

    fn throttles(&mut self, account: AccountId, script: &Script, now: Millis) -> bool {
        let cap = usize::try_from(script.throttle_per_second).unwrap_or(usize::MAX);
        let Some(account) = self.accounts.get_mut(account).filter(|_| cap > 0) else { return false };
        while account.recent.front().is_some_and(|at| at.saturating_add(1_000) <= now) {
            account.recent.pop_front();
        }
        let full = account.recent.len() >= cap;
        if !full {
            account.recent.push_back(now);
        }
        full
    }

    fn refuse(&mut self, id: ConnectionId, header: PduHeader, code: u32, script: &Script, now: Millis) {
        if script.latency_ms == 0 {
            return self.bare(id, header.command, header.sequence, code);
        }
        let mut out = Vec::new();
        let reply = PduHeader { command: header.command.reply(), status: code, ..header };
        let _ = pdu::write_frame(reply, &[], &mut out);
        self.later(id, out, script.latency_ms, now);
    }

    fn answer(&mut self, accepted: &Accepted<'_>, id: &str, drops: bool, script: &Script, now: Millis) {
        let swallows = self.triggers.swallow.fires(script.swallow);
        let late = self.triggers.late.fires(script.late);
        self.records.counts.swallowed += u64::from(swallows);
        self.records.counts.late += u64::from(late && !swallows);
        let first = self.triggers.receipt_first.fires(script.receipt_first);
        let mut delay = script.latency_ms + self.chance.up_to(script.latency_jitter_ms);
        let normal = delay;
        if late {
            delay = script.late_ms;
        }
        if first {
            delay = delay.max(RECEIPT_FIRST_MS);
            self.receipts(accepted, 0, script, now);
        }
        if !swallows && !drops {
            self.answer_after(accepted, id, delay, now);
        }
        if !first {
            let jitter = self.chance.up_to(script.receipt_jitter_ms);
            self.receipts(accepted, normal + script.receipt_delay_ms + jitter, script, now);
        }
    }

    fn answer_after(&mut self, accepted: &Accepted<'_>, id: &str, delay: Millis, now: Millis) {
        let reply = IdReply { message_id: id.as_bytes(), ..IdReply::default() };
        let pdu = match accepted.header.command {
            CommandId::DATA_SM => Pdu::DataSmResp(reply),
            _ => Pdu::SubmitSmResp(reply),
        };
        if delay == 0 {
            return self.write(accepted.connection, &pdu, 0, accepted.header.sequence);
        }
        let mut out = Vec::new();
        // An id of ours always fits.
        let _ = pdu::write(&pdu, 0, accepted.header.sequence, &mut out);
        self.later(accepted.connection, out, delay, now);
    }

    /// Sends or schedules the receipts of a submit.
    fn receipts(&mut self, accepted: &Accepted<'_>, delay: Millis, script: &Script, now: Millis) {
        let asked = accepted.message.registered_delivery & 3;
        let failed = self.triggers.receipt_failed.fires(script.receipt_failed);
        let wanted = match script.receipts {
            Receipts::Never => false,
            Receipts::Always => true,
            // 2 asks for failures only, 3 for successes only (5.0).
            Receipts::AsAsked => asked == 1 || (asked == 2 && failed) || (asked == 3 && !failed),
        };
        if !wanted {
            return;
        }
        if self.triggers.receipt_lost.fires(script.receipt_lost) {
            self.records.counts.receipts_withheld += 1;
            return;
        }
        let fate = if failed { Fate::Failed } else { Fate::Delivered };
        self.receipt(accepted, fate, delay, script, now);
        if self.triggers.receipt_duplicate.fires(script.receipt_duplicate) {
            self.receipt(accepted, fate, delay + RECEIPT_AGAIN_MS, script, now);
        }
        if self.triggers.receipt_stale.fires(script.receipt_stale) {
            self.receipt(accepted, Fate::Enroute, delay + RECEIPT_AGAIN_MS, script, now);
        }
    }

    fn receipt(&mut self, accepted: &Accepted<'_>, fate: Fate, delay: Millis, script: &Script, now: Millis) {
        let turn = self.receipt_number;
        self.receipt_number = self.receipt_number.wrapping_add(1);
        let forms = &script.receipt_forms;
        let form = turn.checked_rem(forms.len()).and_then(|at| forms.get(at)).copied();
        let receipt = Receipt {
            id: &accepted.receipt_id,
            fate,
            source: accepted.message.source,
            destination: accepted.message.destination,
            text: accepted.message.text(),
            submitted_s: script.started_at_s + now / 1_000,
            done_s: script.started_at_s + (now + delay) / 1_000,
        };
        let mut pdu = Vec::with_capacity(256);
        if receipt::write(&receipt, form.unwrap_or(ReceiptForm::Full), &mut pdu).is_err() {
            // Only a source or destination longer than the protocol allows comes here.
            self.records.counts.given_up += 1;
            return;
        }
        let delivery = Delivery { pdu, what: What::Receipt, tries: 0, origin: accepted.connection };
        if delay == 0 {
            self.enqueue(accepted.account, delivery, now);
        } else {
            self.at(now + delay, Due::Deliver(accepted.account, delivery));
        }
    }

    /// What goes wrong beside the answer.
    fn disturb(&mut self, id: ConnectionId, script: &Arc<Script>, now: Millis) {
        if self.triggers.malformed.fires(script.malformed) {
            let broken = self.broken();
            self.write_raw(id, &broken);
        }
        if self.triggers.unknown_command.fires(script.unknown_command) {
            let header = PduHeader { command: CommandId(0x0001_0203), status: 0, sequence: 0x7000_0001 };
            let mut out = Vec::new();
            let _ = pdu::write_frame(header, b"vendor\0", &mut out);
            self.write_raw(id, &out);
        }
        if self.triggers.unbind.fires(script.unbind) {
            self.unbind(id, now);
        }
        if self.triggers.bad_length.fires(script.bad_length) {
            self.write_raw(id, &[0, 0, 0, 8, 0, 0, 0, 0]);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.muted = true;
            }
        }
    }

    /// A PDU whose length is right and whose body is not.
    fn broken(&mut self) -> Vec<u8> {
        let sequence = 0x7100_0000 + u32::try_from(self.chance.up_to(0xffff)).unwrap_or_default();
        let (command, body): (CommandId, &[u8]) = match self.chance.up_to(3) {
            // A deliver_sm that ends within its source address.
            0 => (CommandId::DELIVER_SM, b"\0\x01\x01491"),
            // A deliver_sm without a body.
            1 => (CommandId::DELIVER_SM, b""),
            // An answer to nothing, whose id has no end.
            2 => (CommandId::SUBMIT_SM.reply(), b"12345"),
            _ => (CommandId::GENERIC_NACK, b""),
        };
        let mut out = Vec::new();
        let _ = pdu::write_frame(PduHeader { command, status: 0, sequence }, body, &mut out);
        out
    }
}

impl IdStyle {
    /// All of them, for tests that try each.
    pub const ALL: [Self; 9] = [
        Self::Decimal,
        Self::Hex,
        Self::Padded,
        Self::Uuid,
        Self::HexThenDecimal,
        Self::DecimalThenHex,
        Self::PlainThenPadded,
        Self::LowerThenUpper,
        Self::Empty,
    ];
}
