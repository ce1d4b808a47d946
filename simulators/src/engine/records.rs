//! Records of what a simulated REST provider saw and did, for the questions of tests. Bounded;
//! evicts the oldest.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::{
    contract::{Message, Signature},
    toolkit::recent::{LastSecond, Remember, Tally, push},
};

/// Maximum number of remembered messages, of webhooks, and of fetched files.
pub const RECENT_MAX: usize = 100_000;
/// Maximum size of a remembered answer of a webhook, in bytes; the rest is cut.
const ANSWER_BYTES_MAX: usize = 4_096;
/// Maximum number of remembered attempts of one webhook.
const ATTEMPTS_MAX: usize = 100;

/// Counts since the start, or since a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub connections: u64,
    /// Requests to the provider's API.
    pub requests: u64,
    /// Requests that the provider refused by its own rules, with 4xx or its own sign of refusal.
    pub refused: u64,
    pub accepted: u64,
    pub throttled: u64,
    pub unavailable: u64,
    pub rejected: u64,
    pub hung: u64,
    pub closed: u64,
    pub late: u64,
    pub garbled: u64,
    pub webhooks: u64,
    /// Attempts of webhooks.
    pub webhooks_tried: u64,
    pub webhooks_taken: u64,
    /// Webhooks that were given up after their last attempt.
    pub webhooks_given_up: u64,
    /// Posted receipts.
    pub receipts: u64,
    /// Customers' messages, posted or kept for a poll.
    pub inbound: u64,
    pub polled: u64,
    /// Attempts to fetch a file of a message.
    pub fetched: u64,
    /// Messages that are missing from the count per text, because it was full.
    pub forgotten: u64,
}

/// One attempt of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Milliseconds since the start.
    pub at_ms: u64,
    /// The called address.
    pub url: String,
    /// The answer's status; `None` without an answer.
    pub status: Option<u16>,
    /// The beginning of the answer's body.
    pub body: String,
    /// The reason for a missing answer.
    pub error: Option<String>,
    /// Whether the answer acknowledges the event.
    pub taken: bool,
}

/// A webhook: one or more events, and its attempts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Grows from webhook to webhook.
    pub number: u64,
    /// The called address.
    pub url: String,
    /// `inbound`, `receipt` or `handshake`.
    pub about: &'static str,
    /// Number of events.
    pub events: usize,
    /// The kind of signature.
    pub signature: Signature,
    /// The attempts, oldest first.
    pub attempts: VecDeque<Attempt>,
    /// Whether it was acknowledged or given up.
    pub done: bool,
}

/// A file that was fetched because a message named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetched {
    /// Milliseconds since the start.
    pub at_ms: u64,
    /// The message's id.
    pub message: String,
    /// The file's address.
    pub url: String,
    /// The answer's status; `None` without an answer.
    pub status: Option<u16>,
    /// The answer's media type.
    pub mime: String,
    /// Size in bytes.
    pub octets: usize,
    /// The reason for a missing answer.
    pub error: Option<String>,
}

/// All records of a simulator.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) counts: Counts,
    pub(super) messages: VecDeque<Message>,
    pub(super) webhooks: VecDeque<Webhook>,
    pub(super) fetched: VecDeque<Fetched>,
    /// Messages that passed the cap in the last second.
    pub(super) last_second: LastSecond,
    /// The newest attempt of a webhook.
    pub(super) last_attempt: Option<Attempt>,
    texts: Tally<RecipientText>,
}

/// A recipient, and a text for them.
type RecipientText = (String, String);

impl Default for Records {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            messages: VecDeque::new(),
            webhooks: VecDeque::new(),
            fetched: VecDeque::new(),
            last_second: LastSecond::default(),
            last_attempt: None,
            texts: Tally::new(RECENT_MAX),
        }
    }
}

impl Records {
    pub(super) fn add_message(&mut self, message: Message, remember: Remember) {
        self.counts.accepted += 1;
        if remember == Remember::Counts {
            return;
        }
        if !self.texts.count((message.to.clone(), message.text.clone())) {
            self.counts.forgotten += 1;
        }
        push(&mut self.messages, message, RECENT_MAX);
    }

    pub(super) fn times(&self, to: &str, text: &str) -> u32 {
        self.texts.get(&(to.to_owned(), text.to_owned()))
    }

    pub(super) fn by_recipient(&self) -> BTreeMap<&str, u32> {
        let mut by = BTreeMap::new();
        for ((to, _), times) in self.texts.iter() {
            *by.entry(to.as_str()).or_default() += times;
        }
        by
    }

    /// Returns the newest message with this id.
    pub(super) fn message(&self, id: &str) -> Option<&Message> {
        self.messages.iter().rev().find(|message| message.id == id)
    }

    pub(super) fn add_webhook(&mut self, webhook: Webhook, remember: Remember) {
        self.counts.webhooks += 1;
        if remember == Remember::All {
            push(&mut self.webhooks, webhook, RECENT_MAX);
        }
    }

    pub(super) fn add_fetched(&mut self, fetched: Fetched) {
        self.counts.fetched += 1;
        push(&mut self.fetched, fetched, RECENT_MAX);
    }

    /// Adds an attempt to a webhook; `done` says that it is the last one.
    pub(super) fn add_attempt(&mut self, number: u64, mut attempt: Attempt, done: bool) {
        self.counts.webhooks_tried += 1;
        if attempt.taken {
            self.counts.webhooks_taken += 1;
        } else if done {
            self.counts.webhooks_given_up += 1;
        }
        let end = (0..=ANSWER_BYTES_MAX).rev().find(|at| attempt.body.is_char_boundary(*at));
        attempt.body.truncate(end.unwrap_or_default());
        self.last_attempt = Some(attempt.clone());
        // Numbers grow along the queue.
        let place = self.webhooks.partition_point(|webhook| webhook.number < number);
        if let Some(webhook) = self.webhooks.get_mut(place).filter(|webhook| webhook.number == number) {
            webhook.done = done;
            if webhook.attempts.len() < ATTEMPTS_MAX {
                webhook.attempts.push_back(attempt);
            }
        }
    }
}
