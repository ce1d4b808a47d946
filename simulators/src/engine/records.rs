//! What a simulated REST provider has seen and done, for the questions of a test. Bounded: the oldest go.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::{
    contract::{Message, Signature},
    smsc::Remember,
};

/// The most messages and webhooks, each, that are remembered.
pub const RECENT_MAX: usize = 100_000;
/// The most octets of a webhook's answer that are remembered.
const ANSWER_BYTES_MAX: usize = 4_096;
/// The most tries of a webhook that are remembered one by one.
const ATTEMPTS_MAX: usize = 100;

/// Counts since the start, or since a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub connections: u64,
    /// Requests to the provider's API.
    pub requests: u64,
    /// Requests that the provider itself refused: 4xx, or what it does instead.
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
    /// Tries of webhooks.
    pub webhooks_tried: u64,
    pub webhooks_taken: u64,
    /// Webhooks that were given up.
    pub webhooks_given_up: u64,
    /// Receipts and inbound messages that were made.
    pub receipts: u64,
    pub inbound: u64,
    pub polled: u64,
    /// Files of messages that were fetched, or could not be.
    pub fetched: u64,
    /// Messages of which it is not known any more how often they came.
    pub forgotten: u64,
}

/// One try of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When, in milliseconds since the start.
    pub at_ms: u64,
    /// The answer's status; nothing when none came.
    pub status: Option<u16>,
    /// The answer's body, or the beginning of it.
    pub body: String,
    /// Why no answer came.
    pub error: Option<String>,
    /// Whether it means that the event was taken.
    pub taken: bool,
}

/// A webhook: one or more events, and how often they were tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Counted from 1.
    pub number: u64,
    /// Where to.
    pub url: String,
    /// `inbound`, `receipt` or `handshake`.
    pub about: &'static str,
    /// How many events are in it.
    pub events: usize,
    /// How it is signed.
    pub signature: Signature,
    /// Its tries, oldest first.
    pub attempts: VecDeque<Attempt>,
    /// Whether it is over.
    pub done: bool,
}

/// A file that was fetched since a message named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetched {
    /// When, in milliseconds since the start.
    pub at_ms: u64,
    /// The message's id.
    pub message: String,
    /// From where.
    pub url: String,
    /// The answer's status; nothing when none came.
    pub status: Option<u16>,
    /// The media type that the answer tells.
    pub mime: String,
    /// How long it is.
    pub octets: usize,
    /// Why no answer came.
    pub error: Option<String>,
}

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) counts: Counts,
    pub(crate) messages: VecDeque<Message>,
    /// How often each text came to each recipient.
    times: BTreeMap<(String, String), u32>,
    pub(crate) webhooks: VecDeque<Webhook>,
    pub(crate) fetched: VecDeque<Fetched>,
    /// Accepted messages in the last second, by time.
    pub(crate) second: VecDeque<u64>,
}

impl Records {
    pub(crate) fn accept(&mut self, message: Message, remember: Remember) {
        self.counts.accepted += 1;
        if remember == Remember::Counts {
            return;
        }
        let key = (message.to.clone(), message.text.clone());
        if self.times.len() < RECENT_MAX || self.times.contains_key(&key) {
            *self.times.entry(key).or_default() += 1;
        } else {
            self.counts.forgotten += 1;
        }
        push(&mut self.messages, message);
    }

    pub(crate) fn times(&self, to: &str, text: &str) -> u32 {
        self.times.get(&(to.to_owned(), text.to_owned())).copied().unwrap_or_default()
    }

    pub(crate) fn by_recipient(&self) -> BTreeMap<&str, u32> {
        let mut by = BTreeMap::new();
        for ((to, _), times) in &self.times {
            *by.entry(to.as_str()).or_default() += times;
        }
        by
    }

    /// A message by id, the newest first.
    pub(crate) fn message(&self, id: &str) -> Option<&Message> {
        self.messages.iter().rev().find(|message| message.id == id)
    }

    pub(crate) fn webhook(&mut self, webhook: Webhook) {
        self.counts.webhooks += 1;
        push(&mut self.webhooks, webhook);
    }

    pub(crate) fn fetched(&mut self, fetched: Fetched) {
        self.counts.fetched += 1;
        push(&mut self.fetched, fetched);
    }

    pub(crate) fn tried(&mut self, number: u64, mut attempt: Attempt, done: bool) {
        self.counts.webhooks_tried += 1;
        if attempt.taken {
            self.counts.webhooks_taken += 1;
        } else if done {
            self.counts.webhooks_given_up += 1;
        }
        let end = (0..=ANSWER_BYTES_MAX).rev().find(|at| attempt.body.is_char_boundary(*at));
        attempt.body.truncate(end.unwrap_or_default());
        // Numbers grow along the queue, and all that are remembered are found by halving.
        let place = self.webhooks.partition_point(|webhook| webhook.number < number);
        if let Some(webhook) = self.webhooks.get_mut(place).filter(|webhook| webhook.number == number) {
            webhook.done = done;
            if webhook.attempts.len() < ATTEMPTS_MAX {
                webhook.attempts.push_back(attempt);
            }
        }
    }

    /// Whether one more message would be more than so many in the last second.
    pub(crate) fn too_many(&mut self, per_second: u32, now: u64) -> bool {
        while self.second.front().is_some_and(|at| at.saturating_add(1_000) <= now) {
            self.second.pop_front();
        }
        self.second.len() >= usize::try_from(per_second).unwrap_or(usize::MAX)
    }
}

fn push<T>(recent: &mut VecDeque<T>, item: T) {
    if recent.len() >= RECENT_MAX {
        recent.pop_front();
    }
    recent.push_back(item);
}
