//! The faults of a simulated SMSC: plain data, set at start and changed at any time. By default
//! nothing fails: it answers at once and delivers every message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::toolkit::{
    chance::{Chance, Pattern, Trigger},
    recent::Remember,
};

/// The spelling of message ids in the submit_sm_resp and in the receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdStyle {
    /// `1048577` both times.
    #[default]
    Decimal,
    /// `10000f` both times.
    Hex,
    /// `0001048577` both times.
    Padded,
    /// A UUID both times.
    Uuid,
    /// Answered in hexadecimal, receipted in decimal.
    HexThenDecimal,
    /// Answered in decimal, receipted in hexadecimal.
    DecimalThenHex,
    /// Answered `1048577`, receipted `0001048577`.
    PlainThenPadded,
    /// Answered in lower-case, receipted in upper-case hexadecimal.
    LowerThenUpper,
    /// Accepted without an id, receipted with one.
    Empty,
}

impl IdStyle {
    /// All styles, for tests that try each.
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

/// The text and TLVs of a receipt, in the variants of many SMSCs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptForm {
    /// All fields of the usual text, and the TLVs.
    #[default]
    Full,
    /// The usual text without TLVs.
    TextOnly,
    /// Only `id`, `stat` and `err`, no TLVs.
    Short,
    /// Another order and case of the keys, dates with seconds, no TLVs.
    Shuffled,
    /// TLVs without a text.
    TlvOnly,
    /// The text in a `message_payload`.
    Payload,
    /// The usual text under esm_class 0, no TLVs.
    EsmClass0,
    /// The usual text, then a TLV whose length exceeds the PDU.
    ClippedTlv,
    /// A data_sm with TLVs and a `message_payload`.
    DataSm,
}

/// The bind of the system_id over which a receipt goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptVia {
    /// The bind of the submit, if it still exists and receives.
    #[default]
    Same,
    /// Another bind, if there is one.
    Other,
    /// All binds in turn.
    Turns,
}

/// The submits that get receipts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipts {
    /// Those whose `registered_delivery` asks for one.
    #[default]
    AsAsked,
    /// All submits.
    Always,
    /// No submit.
    Never,
}

/// The faults and settings of a simulated SMSC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmscScript {
    /// The seed of all randomness. Read at start; later changes have no effect.
    pub seed: u64,
    /// Passwords by system_id. Empty: everyone may bind.
    pub accounts: BTreeMap<String, String>,
    /// Refuses every bind with this status (0x0D, 0x0E, ...); 0 refuses none.
    pub bind_status: u32,
    /// Delay of the answer to a bind.
    pub bind_delay_ms: u64,
    /// Maximum number of binds of one system_id; more are refused with 0x05. 0: any number.
    pub binds_max: usize,
    /// Time after a connection was lost without unbind in which binds are refused with 0x05.
    pub already_bound_ms: u64,

    /// Latency of every answer.
    pub latency_ms: u64,
    /// Random addition to the latency, at most; answers overtake each other.
    pub latency_jitter_ms: u64,
    /// Maximum number of submits of a system_id in any second; more are answered 0x58. 0: no cap.
    pub throttle_per_second: u32,
    /// Submits refused with `refuse_status`.
    pub refuse: Pattern,
    /// The status of refused submits.
    pub refuse_status: u32,
    /// Submits that are accepted and receipted but never answered.
    pub swallow: Pattern,
    /// Submits that are accepted but answered only after `late_ms`.
    pub late: Pattern,
    /// Delay of late answers.
    pub late_ms: u64,
    /// Cuts the connection at a submit.
    pub drop_connection: Pattern,
    /// Whether that submit is accepted first (its receipt comes), or lost.
    pub drop_accepts: bool,
    /// Cuts each connection after this number of octets from the ESME, within a PDU. 0: never.
    pub drop_after_bytes: u64,
    /// Sends an unbind at a submit.
    pub unbind: Pattern,
    /// Sends a malformed PDU in addition to the answer to a submit.
    pub malformed: Pattern,
    /// Sends a PDU with an unknown command in addition to the answer to a submit.
    pub unknown_command: Pattern,
    /// Sends an impossible PDU length: the ESME must reconnect.
    pub bad_length: Pattern,
    /// Leaves enquire_link unanswered.
    pub enquire_silent: bool,
    /// Leaves everything unanswered, as a half-open connection does.
    pub silent: bool,
    /// Sends an enquire_link after this much silence. 0: never.
    pub enquire_after_ms: u64,
    /// Maximum number of octets in one write, so that PDUs are split. 0: unlimited.
    pub write_bytes_max: usize,

    /// The spelling of message ids.
    pub id_style: IdStyle,
    /// The submits that get receipts.
    pub receipts: Receipts,
    /// Delay of receipts, counted from the answer.
    pub receipt_delay_ms: u64,
    /// Random addition to that delay, at most; receipts overtake each other.
    pub receipt_jitter_ms: u64,
    /// Receipts that precede the submit_sm_resp.
    pub receipt_first: Pattern,
    /// Receipts that are sent twice.
    pub receipt_duplicate: Pattern,
    /// Receipts that are not sent.
    pub receipt_lost: Pattern,
    /// Messages whose receipt says UNDELIV.
    pub receipt_failed: Pattern,
    /// Messages that get an ENROUTE receipt, after the final one.
    pub receipt_stale: Pattern,
    /// The forms of receipts, in turn; empty: [`ReceiptForm::Full`].
    pub receipt_forms: Vec<ReceiptForm>,
    /// The bind over which they go.
    pub receipt_via: ReceiptVia,

    /// Maximum number of unacknowledged deliveries on a bind.
    pub deliver_window: usize,
    /// Time after which an unanswered delivery is sent again.
    pub deliver_timeout_ms: u64,
    /// Pause before a delivery that was answered with 0x64 or 0x58 is sent again.
    pub deliver_again_ms: u64,
    /// Maximum number of attempts of a delivery.
    pub deliver_tries_max: u32,
    /// Messages per second that customers write in the background.
    pub mo_per_second: u32,
    /// Their recipient.
    pub mo_to: String,
    /// Their text; a number follows it.
    pub mo_text: String,
    /// Number of customers who write them, in turn.
    pub mo_customers: u32,

    /// How much is remembered for the questions of tests.
    pub remember: Remember,
    /// The time at start, in seconds since 1970: receipts carry dates.
    pub started_at_s: u64,
}

impl Default for SmscScript {
    fn default() -> Self {
        Self {
            seed: 1,
            accounts: BTreeMap::new(),
            bind_status: 0,
            bind_delay_ms: 0,
            binds_max: 0,
            already_bound_ms: 0,
            latency_ms: 0,
            latency_jitter_ms: 0,
            throttle_per_second: 0,
            refuse: Pattern::Never,
            refuse_status: 0x08,
            swallow: Pattern::Never,
            late: Pattern::Never,
            late_ms: 120_000,
            drop_connection: Pattern::Never,
            drop_accepts: true,
            drop_after_bytes: 0,
            unbind: Pattern::Never,
            malformed: Pattern::Never,
            unknown_command: Pattern::Never,
            bad_length: Pattern::Never,
            enquire_silent: false,
            silent: false,
            enquire_after_ms: 0,
            write_bytes_max: 0,
            id_style: IdStyle::Decimal,
            receipts: Receipts::AsAsked,
            receipt_delay_ms: 0,
            receipt_jitter_ms: 0,
            receipt_first: Pattern::Never,
            receipt_duplicate: Pattern::Never,
            receipt_lost: Pattern::Never,
            receipt_failed: Pattern::Never,
            receipt_stale: Pattern::Never,
            receipt_forms: Vec::new(),
            receipt_via: ReceiptVia::Same,
            deliver_window: 1_000,
            deliver_timeout_ms: 30_000,
            deliver_again_ms: 1_000,
            deliver_tries_max: 100,
            mo_per_second: 0,
            mo_to: "5155".to_owned(),
            mo_text: "Hello".to_owned(),
            mo_customers: 100,
            remember: Remember::All,
            started_at_s: 1_767_225_600,
        }
    }
}

/// The triggers of all faults, each with its own seed.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "named like the script's fields")]
pub(super) struct SmscTriggers {
    pub(super) refuse: Trigger,
    pub(super) swallow: Trigger,
    pub(super) late: Trigger,
    pub(super) drop_connection: Trigger,
    pub(super) unbind: Trigger,
    pub(super) malformed: Trigger,
    pub(super) unknown_command: Trigger,
    pub(super) bad_length: Trigger,
    pub(super) receipt_first: Trigger,
    pub(super) receipt_duplicate: Trigger,
    pub(super) receipt_lost: Trigger,
    pub(super) receipt_failed: Trigger,
    pub(super) receipt_stale: Trigger,
}

impl SmscTriggers {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let mut one = || Trigger::new(chance.next());
        Self {
            refuse: one(),
            swallow: one(),
            late: one(),
            drop_connection: one(),
            unbind: one(),
            malformed: one(),
            unknown_command: one(),
            bad_length: one(),
            receipt_first: one(),
            receipt_duplicate: one(),
            receipt_lost: one(),
            receipt_failed: one(),
            receipt_stale: one(),
        }
    }
}
