//! What an SMSC does wrong, and when: plain data, settable at start and at any time after. Everything is off
//! by default: then it is a well-behaved SMSC that answers at once and delivers every message.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How often a fault happens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pattern {
    /// Not at all.
    #[default]
    Never,
    /// Each time.
    Always,
    /// Each Nth time, exactly: `1/100`.
    Every(u32),
    /// By chance, from 0 to 1, from the script's seed: `0.5%`.
    Rate(f64),
}

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no pattern; write never, always, 1/100 (each hundredth) or 0.5% (by chance)")]
pub struct NoPattern(String);

impl FromStr for Pattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        let wrong = || NoPattern(text.chars().take(40).collect());
        match text.trim() {
            "never" | "" | "0" => return Ok(Self::Never),
            "always" => return Ok(Self::Always),
            _ => {}
        }
        if let Some(percent) = text.trim().strip_suffix('%') {
            let rate = percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0;
            return if (0.0..=1.0).contains(&rate) { Ok(Self::Rate(rate)) } else { Err(wrong()) };
        }
        let every = text.trim().strip_prefix("1/").ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
        if every == 0 { Err(wrong()) } else { Ok(Self::Every(every)) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Always => f.write_str("always"),
            Self::Every(every) => write!(f, "1/{every}"),
            Self::Rate(rate) => write!(f, "{}%", rate * 100.0),
        }
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How message ids are spelled, in the submit_sm_resp and in the receipt.
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

/// How a receipt is written.
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
    /// Other order and case of the keys, dates with seconds, no TLVs.
    Shuffled,
    /// No text: TLVs alone.
    TlvOnly,
    /// The text in a `message_payload`.
    Payload,
    /// The usual text under esm_class 0, no TLVs.
    EsmClass0,
    /// The usual text, then a TLV whose length reaches past the end.
    ClippedTlv,
    /// As a data_sm: TLVs and a `message_payload`.
    DataSm,
}

/// Over which bind of the system_id a receipt goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptVia {
    /// That of the submit, if it still is and receives.
    #[default]
    Same,
    /// Another one, if there is one.
    Other,
    /// Each in turn.
    Turns,
}

/// For which submits receipts are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipts {
    /// Where `registered_delivery` asks.
    #[default]
    AsAsked,
    /// For each one.
    Always,
    /// For none.
    Never,
}

/// How much is remembered for the test's questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remember {
    /// Counts, recent submits, joined messages, how often each text came.
    #[default]
    All,
    /// Counts alone: for load.
    Counts,
}

/// Everything that can be told to an SMSC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// All chance comes from it. Taken at start; later changes have no effect.
    pub seed: u64,
    /// Who may bind: system_id and password. Empty: everyone.
    pub accounts: BTreeMap<String, String>,
    /// Refuses every bind with this status (0x0D, 0x0E, ...); 0 refuses none.
    pub bind_status: u32,
    /// How long a bind is thought about.
    pub bind_delay_ms: u64,
    /// The most binds of one system_id at a time; more are refused with 0x05. 0: any number.
    pub binds_max: usize,
    /// For so long after a link was lost without unbind, binds are refused with 0x05.
    pub already_bound_ms: u64,

    /// Answers after so long.
    pub latency_ms: u64,
    /// And up to so much more, by chance: answers overtake each other.
    pub latency_jitter_ms: u64,
    /// More submits in any second (per system_id) are answered 0x58. 0: no cap.
    pub throttle_per_second: u32,
    /// Submits refused with `refuse_status`.
    pub refuse: Pattern,
    /// The status of refused submits.
    pub refuse_status: u32,
    /// Submits that are accepted but never answered; their receipts come.
    pub swallow: Pattern,
    /// Submits that are accepted but answered only after `late_ms`.
    pub late: Pattern,
    /// How late.
    pub late_ms: u64,
    /// Cuts the connection at a submit.
    pub drop_connection: Pattern,
    /// Whether that submit is accepted first (its receipt comes), or lost.
    pub drop_accepts: bool,
    /// Cuts each connection after so many octets from the ESME, in the midst of a PDU. 0: never.
    pub drop_after_bytes: u64,
    /// Sends an unbind at a submit.
    pub unbind: Pattern,
    /// Sends a broken PDU beside the answer to a submit.
    pub malformed: Pattern,
    /// Sends a PDU of an unknown command beside the answer to a submit.
    pub unknown_command: Pattern,
    /// Sends a length that no PDU can have: the ESME must reconnect.
    pub bad_length: Pattern,
    /// Leaves enquire_link unanswered.
    pub enquire_silent: bool,
    /// Leaves everything unanswered: a half-open connection.
    pub silent: bool,
    /// Asks the ESME for a sign of life after so much silence. 0: never.
    pub enquire_after_ms: u64,
    /// Writes at most so many octets at a time, so that PDUs are split. 0: as many as there are.
    pub write_bytes_max: usize,

    /// How ids are spelled.
    pub id_style: IdStyle,
    /// Which submits get receipts.
    pub receipts: Receipts,
    /// Receipts come so long after the submit.
    pub receipt_delay_ms: u64,
    /// And up to so much later, by chance: they overtake each other.
    pub receipt_jitter_ms: u64,
    /// Receipts that come before the submit_sm_resp.
    pub receipt_first: Pattern,
    /// Receipts that come twice.
    pub receipt_duplicate: Pattern,
    /// Receipts that never come.
    pub receipt_lost: Pattern,
    /// Messages whose receipt says UNDELIV.
    pub receipt_failed: Pattern,
    /// Messages that get an ENROUTE receipt, after the final one.
    pub receipt_stale: Pattern,
    /// How receipts are written, each in turn; empty: in full.
    pub receipt_forms: Vec<ReceiptForm>,
    /// Over which bind they go.
    pub receipt_via: ReceiptVia,

    /// Unacknowledged deliveries on a bind, at most.
    pub deliver_window: usize,
    /// A delivery that is not answered in so long is sent again.
    pub deliver_timeout_ms: u64,
    /// A delivery answered with 0x64 or 0x58 is sent again after so long.
    pub deliver_again_ms: u64,
    /// How often a delivery is tried.
    pub deliver_tries_max: u32,
    /// Messages from customers, in the background.
    pub mo_per_second: u32,
    /// To whom they go.
    pub mo_to: String,
    /// What they say; a number follows.
    pub mo_text: String,
    /// From how many customers they come, in turn.
    pub mo_customers: u32,

    /// How much is remembered.
    pub remember: Remember,
    /// The time at start, in seconds since 1970: receipts carry dates.
    pub started_at_s: u64,
}

impl Default for Script {
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

/// Random numbers from a seed (splitmix64): the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to and with `most`.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        if most == 0 { 0 } else { self.next() % most.saturating_add(1).max(1) }
    }
}

/// One fault's own count and chance, so that faults do not change each other's course.
#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    count: u32,
    chance: Chance,
}

impl Trigger {
    pub(crate) fn new(seed: u64) -> Self {
        Self { count: 0, chance: Chance(seed) }
    }

    /// Whether it happens this time.
    pub(crate) fn fires(&mut self, pattern: Pattern) -> bool {
        match pattern {
            Pattern::Never => false,
            Pattern::Always => true,
            Pattern::Every(every) => {
                self.count += 1;
                let due = self.count >= every;
                if due {
                    self.count = 0;
                }
                due
            }
            #[allow(clippy::cast_precision_loss, reason = "a chance needs no more than 53 bits")]
            Pattern::Rate(rate) => ((self.chance.next() >> 11) as f64) < rate * (1u64 << 53) as f64,
        }
    }
}

/// The triggers of all faults.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "named like the script's fields")]
pub(super) struct Triggers {
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

impl Triggers {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_read_back_as_written() {
        for (text, pattern) in [
            ("never", Pattern::Never),
            ("always", Pattern::Always),
            ("1/100", Pattern::Every(100)),
            ("50%", Pattern::Rate(0.5)),
        ] {
            assert_eq!(text.parse(), Ok(pattern));
            assert_eq!(pattern.to_string(), text);
        }
        for wrong in ["1/0", "often", "101%", "-1%", "1/-2", "%"] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_fire_as_often_as_they_say() {
        let fired = |pattern| {
            let mut triggers = Triggers::new(7);
            (0..10_000).filter(|_| triggers.late.fires(pattern)).count()
        };
        assert_eq!(fired(Pattern::Every(100)), 100);
        assert_eq!(fired(Pattern::Always), 10_000);
        let by_chance = fired(Pattern::Rate(0.1));
        assert!((900..1_100).contains(&by_chance), "{by_chance}");
        assert_eq!(by_chance, fired(Pattern::Rate(0.1)), "the seed decides");
    }
}
