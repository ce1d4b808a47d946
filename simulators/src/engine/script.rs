//! What a simulated REST provider does wrong, and when: plain data, settable at start and at any time after.
//! Everything wrong is off by default: then it answers at once and reports sent and delivered shortly after.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::smsc::{Chance, Pattern, Remember, Trigger};

/// Everything that can be told to a simulated REST provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// All chance comes from it. Taken at start; later changes have no effect.
    pub seed: u64,

    /// Answers after so long.
    pub latency_ms: u64,
    /// And up to so much more, by chance: answers overtake each other.
    pub latency_jitter_ms: u64,
    /// More messages in any second are answered as the provider answers them: 429, mostly. 0: no cap.
    pub throttle_per_second: u32,
    /// Messages answered likewise.
    pub throttle: Pattern,
    /// After how many seconds to come again, as the provider tells it. 0: untold.
    pub retry_after_s: u64,
    /// Messages answered with `unavailable_status`.
    pub unavailable: Pattern,
    /// A status of 500 or above.
    pub unavailable_status: u16,
    /// Whether such a message is taken all the same (its receipts come), or lost.
    pub unavailable_accepts: bool,
    /// Messages refused with the provider's own error of `reject_code`.
    pub reject: Pattern,
    /// The provider's code; empty: one it gives for an unusable recipient.
    pub reject_code: String,
    /// Messages answered as if the credentials were wrong.
    pub refuse_credentials: Pattern,
    /// Messages that are never answered, on a connection that stays open.
    pub hang: Pattern,
    /// Whether such a message is taken, or lost.
    pub hang_accepts: bool,
    /// Messages whose connection is closed instead of an answer.
    pub close: Pattern,
    /// Whether such a message is taken, or lost.
    pub close_accepts: bool,
    /// Messages that are taken at once but answered only after `late_ms`.
    pub late: Pattern,
    /// How late.
    pub late_ms: u64,
    /// Messages that are taken and answered with something nobody can read.
    pub garbage: Pattern,
    /// Messages whose good answer is called `text/html`.
    pub wrong_type: Pattern,
    /// Messages that are taken and answered without their id.
    pub without_id: Pattern,

    /// How long after a customer wrote the business may write what it likes, where the provider has such a window
    /// (WhatsApp, Messenger, Instagram). 0: always.
    pub window_ms: u64,
    /// Whether the files that messages name are fetched, as providers do it; see the control API.
    pub fetch_media: bool,

    /// A message is reported sent after so long. 0: never.
    pub receipt_sent_ms: u64,
    /// Delivered, after so long from its submit. 0: never.
    pub receipt_delivered_ms: u64,
    /// Read, after so long from its submit. 0: never.
    pub receipt_read_ms: u64,
    /// Each up to so much later, by chance: they overtake each other.
    pub receipt_jitter_ms: u64,
    /// Messages that are reported failed instead of delivered.
    pub receipt_failed: Pattern,
    /// The provider's code in such a report; empty: a usual one.
    pub receipt_failed_code: String,
    /// Messages whose receipts come before the answer.
    pub receipt_first: Pattern,
    /// Messages whose receipts come twice each.
    pub receipt_duplicate: Pattern,
    /// Messages whose receipts come in the wrong order.
    pub receipt_reversed: Pattern,
    /// Messages whose receipts come `receipt_late_ms` later.
    pub receipt_late: Pattern,
    /// How much later.
    pub receipt_late_ms: u64,
    /// Messages whose receipts never come.
    pub receipt_lost: Pattern,

    /// Webhooks that are sent twice.
    pub webhook_duplicate: Pattern,
    /// Webhooks without a signature.
    pub webhook_unsigned: Pattern,
    /// Webhooks with a wrong signature.
    pub webhook_missigned: Pattern,
    /// Up to so many events in one POST, where the provider does that.
    pub batch_max: usize,
    /// For how long automatic receipts are gathered for it.
    pub batch_wait_ms: u64,
    /// How often a webhook is tried that is not taken. 0: as often as this provider does it, within reason.
    pub webhook_tries_max: u32,
    /// The first pause between tries; it grows as with the provider, scaled down.
    pub webhook_retry_ms: u64,
    /// The longest pause between tries, also where the webhook asks for more.
    pub webhook_retry_max_ms: u64,
    /// How long a webhook may take.
    pub webhook_timeout_ms: u64,

    /// Messages from customers, in the background.
    pub inbound_per_second: u32,
    /// To whom they go; empty: the provider's default sender.
    pub inbound_to: String,
    /// What they say; a number follows.
    pub inbound_text: String,
    /// From how many customers they come, in turn.
    pub inbound_customers: u32,

    /// How much is remembered.
    pub remember: Remember,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            seed: 1,
            latency_ms: 0,
            latency_jitter_ms: 0,
            throttle_per_second: 0,
            throttle: Pattern::Never,
            retry_after_s: 1,
            unavailable: Pattern::Never,
            unavailable_status: 503,
            unavailable_accepts: false,
            reject: Pattern::Never,
            reject_code: String::new(),
            refuse_credentials: Pattern::Never,
            hang: Pattern::Never,
            hang_accepts: true,
            close: Pattern::Never,
            close_accepts: true,
            late: Pattern::Never,
            late_ms: 60_000,
            garbage: Pattern::Never,
            wrong_type: Pattern::Never,
            without_id: Pattern::Never,
            window_ms: 0,
            fetch_media: false,
            receipt_sent_ms: 50,
            receipt_delivered_ms: 200,
            receipt_read_ms: 0,
            receipt_jitter_ms: 0,
            receipt_failed: Pattern::Never,
            receipt_failed_code: String::new(),
            receipt_first: Pattern::Never,
            receipt_duplicate: Pattern::Never,
            receipt_reversed: Pattern::Never,
            receipt_late: Pattern::Never,
            receipt_late_ms: 5_000,
            receipt_lost: Pattern::Never,
            webhook_duplicate: Pattern::Never,
            webhook_unsigned: Pattern::Never,
            webhook_missigned: Pattern::Never,
            batch_max: 1,
            batch_wait_ms: 50,
            webhook_tries_max: 0,
            webhook_retry_ms: 100,
            webhook_retry_max_ms: 5_000,
            webhook_timeout_ms: 10_000,
            inbound_per_second: 0,
            inbound_to: String::new(),
            inbound_text: "Hello".to_owned(),
            inbound_customers: 100,
            remember: Remember::All,
        }
    }
}

/// The triggers of all faults, each with its own chance, so that faults do not change each other's course.
#[derive(Clone, Debug)]
pub(crate) struct Triggers {
    seed: u64,
    each: BTreeMap<&'static str, Trigger>,
    jitter: Chance,
}

impl Triggers {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, each: BTreeMap::new(), jitter: Chance(seed) }
    }

    /// Whether the fault of this name happens this time.
    pub(crate) fn fires(&mut self, name: &'static str, pattern: Pattern) -> bool {
        if pattern == Pattern::Never {
            return false;
        }
        let mix = |seed: u64, octet| seed.rotate_left(8).wrapping_mul(0x100_0000_01B3) ^ u64::from(octet);
        let seed = self.seed;
        let new = || Trigger::new(name.bytes().fold(seed, mix));
        self.each.entry(name).or_insert_with(new).fires(pattern)
    }

    /// A number from 0 to and with `most`.
    pub(crate) fn jitter(&mut self, most: u64) -> u64 {
        self.jitter.up_to(most)
    }
}
