//! The faults of a simulated REST provider: plain data, set at start and changed at any time. By
//! default nothing fails: it answers at once, and reports sent and delivered shortly after.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::toolkit::{
    chance::{Chance, Pattern, Trigger},
    recent::Remember,
};

/// The faults and settings of a simulated REST provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// The seed of all randomness. Read at start; later changes have no effect.
    pub seed: u64,

    /// Latency of every answer.
    pub latency_ms: u64,
    /// Random addition to the latency, at most; answers overtake each other.
    pub latency_jitter_ms: u64,
    /// Maximum number of messages in any second; the provider throttles more, mostly with 429. 0:
    /// no cap.
    pub throttle_per_second: u32,
    /// Messages that are throttled, whatever their rate.
    pub throttle: Pattern,
    /// Seconds after which a throttled client is asked to return, if the provider can say so. 0:
    /// not said.
    pub retry_after_s: u64,
    /// Messages answered with `unavailable_status`.
    pub unavailable: Pattern,
    /// A status from 500 to 599.
    pub unavailable_status: u16,
    /// Whether such a message is accepted (its receipts come) or lost.
    pub unavailable_accepts: bool,
    /// Messages that are refused with `reject_code`, in the provider's form.
    pub reject: Pattern,
    /// The provider's code; empty: its code for an unusable recipient.
    pub reject_code: String,
    /// Messages that are refused as if the credentials were wrong.
    pub refuse_credentials: Pattern,
    /// Messages without an answer, on a connection that stays open.
    pub hang: Pattern,
    /// Whether such a message is accepted or lost.
    pub hang_accepts: bool,
    /// Messages whose connection is closed without an answer.
    pub close: Pattern,
    /// Whether such a message is accepted or lost.
    pub close_accepts: bool,
    /// Messages that are accepted at once but answered after `late_ms`.
    pub late: Pattern,
    /// Delay of late answers.
    pub late_ms: u64,
    /// Messages that are accepted and answered with an unreadable body.
    pub garbage: Pattern,
    /// Messages whose good answer has the content type `text/html`.
    pub wrong_type: Pattern,
    /// Messages that are accepted and answered without their id.
    pub without_id: Pattern,

    /// Length of the window after a customer's message in which the business may write freely,
    /// where the provider has one (WhatsApp, Messenger, Instagram). 0: windows are not watched.
    pub window_ms: u64,
    /// Whether files that messages name are fetched; the control API lists the results.
    pub fetch_media: bool,

    /// Delay of the report that a message was sent. 0: never.
    pub receipt_sent_ms: u64,
    /// Delay of the report that it was delivered, counted from its acceptance. 0: never.
    pub receipt_delivered_ms: u64,
    /// Delay of the report that it was read, counted from its acceptance. 0: never.
    pub receipt_read_ms: u64,
    /// Delay of the copy of each message of the business, where the provider posts copies, counted
    /// from its acceptance. 0: never.
    pub echo_ms: u64,
    /// Random addition to each delay, at most; receipts overtake each other.
    pub receipt_jitter_ms: u64,
    /// Messages that are reported failed instead of delivered.
    pub receipt_failed: Pattern,
    /// The provider's code in such a report; empty: a common one.
    pub receipt_failed_code: String,
    /// Messages whose receipts precede the answer.
    pub receipt_first: Pattern,
    /// Messages whose receipts are posted twice.
    pub receipt_duplicate: Pattern,
    /// Messages whose receipts are posted in the wrong order.
    pub receipt_reversed: Pattern,
    /// Messages whose receipts are delayed by `receipt_late_ms`.
    pub receipt_late: Pattern,
    /// Delay of late receipts.
    pub receipt_late_ms: u64,
    /// Messages without receipts.
    pub receipt_lost: Pattern,

    /// Webhooks that are posted twice.
    pub webhook_duplicate: Pattern,
    /// Webhooks without a signature.
    pub webhook_unsigned: Pattern,
    /// Webhooks with a wrong signature.
    pub webhook_missigned: Pattern,
    /// Maximum number of events in one POST, where the provider batches.
    pub batch_max: usize,
    /// Length of the slots in which receipts are gathered for a batch.
    pub batch_wait_ms: u64,
    /// Maximum number of attempts of a webhook. 0: the provider's own number, which is shorter than
    /// in reality.
    pub webhook_tries_max: u32,
    /// The first pause between attempts; it grows by the provider's factor.
    pub webhook_retry_ms: u64,
    /// The longest pause between attempts, even if the webhook asks for a longer one.
    pub webhook_retry_max_ms: u64,
    /// Time limit of one attempt.
    pub webhook_timeout_ms: u64,

    /// Messages per second that customers write in the background.
    pub inbound_per_second: u32,
    /// Their recipient; empty: the default business address.
    pub inbound_to: String,
    /// Their text; a number follows it.
    pub inbound_text: String,
    /// Number of customers who write them, in turn.
    pub inbound_customers: u32,

    /// How much is remembered for the questions of tests.
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
            echo_ms: 0,
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

/// The triggers of all faults, each with its own seed, so that faults do not influence each other.
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

    /// Returns whether the fault of this name happens this time.
    pub(crate) fn fires(&mut self, name: &'static str, pattern: Pattern) -> bool {
        if pattern == Pattern::Never {
            return false;
        }
        let mix = |seed: u64, octet| seed.rotate_left(8).wrapping_mul(0x100_0000_01B3) ^ u64::from(octet);
        let seed = self.seed;
        let new = || Trigger::new(name.bytes().fold(seed, mix));
        self.each.entry(name).or_insert_with(new).fires(pattern)
    }

    /// Returns a random number from 0 to `most`, inclusive.
    pub(crate) fn jitter(&mut self, most: u64) -> u64 {
        self.jitter.up_to(most)
    }
}
