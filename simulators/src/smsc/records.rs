//! Records of what the SMSC saw, for the questions of tests: how often a text came, in which order,
//! how fast. Bounded: what does not fit is counted, never dropped silently.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use channels::smpp::{Millis, pdu::ShortMessage};
use tokio::sync::mpsc;

use super::{
    mo::MoId,
    text::{self, Concat, PartText},
};
use crate::toolkit::recent::{Remember, Tally, push};

/// Maximum number of remembered submits, and of whole messages; evicts the oldest.
pub const RECENT_MAX: usize = 1_000_000;
/// Maximum number of remembered milliseconds with submits; evicts the oldest.
const BUCKETS_MAX: usize = 1_000_000;
/// Maximum number of long messages that wait for parts; evicts the first.
const ASSEMBLIES_MAX: usize = 100_000;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct SmscCounts {
    pub connections: u64,
    pub binds: u64,
    pub binds_refused: u64,
    pub unbinds: u64,
    pub enquire_links: u64,
    pub enquire_links_unanswered: u64,
    pub generic_nacks: u64,
    /// Unreadable PDUs, and those that had to be repaired.
    pub malformed: u64,
    /// All submit_sm and data_sm.
    pub submits: u64,
    pub accepted: u64,
    pub throttled: u64,
    pub refused: u64,
    pub swallowed: u64,
    pub late: u64,
    /// Connections that a fault cut.
    pub dropped: u64,
    /// Messages with all their parts.
    pub messages: u64,
    pub receipts_sent: u64,
    pub receipts_acked: u64,
    pub receipts_refused: u64,
    pub receipts_withheld: u64,
    pub mo_parts_sent: u64,
    pub mo_parts_acked: u64,
    pub mo_parts_refused: u64,
    /// Customers' messages with all parts acknowledged.
    pub mo_acked: u64,
    /// Deliveries that were sent again.
    pub redeliveries: u64,
    /// Deliveries given up after too many attempts, or because a queue was full.
    pub given_up: u64,
    /// Texts beyond [`RECENT_MAX`] different ones, and unfinished messages beyond their maximum,
    /// which are missing from the counts per text.
    pub forgotten: u64,
    /// Observations lost because the observer was too slow.
    pub missed: u64,
    pub octets_in: u64,
}

/// One accepted submit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Milliseconds since the start.
    pub at_ms: Millis,
    /// The submitter.
    pub system_id: Arc<str>,
    /// The source address.
    pub source: Box<str>,
    /// The destination address.
    pub destination: Box<str>,
    /// The text of this part, without its header.
    pub text: Box<str>,
    /// The part's place; `None` for a message of one part.
    pub part: Option<PartOf>,
    /// The id in its answer.
    pub message_id: Box<str>,
}

/// A message, joined from its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeMessage {
    /// Arrival of its last part, in milliseconds since the start.
    pub at_ms: Millis,
    /// The submitter.
    pub system_id: Arc<str>,
    /// The source address.
    pub source: Box<str>,
    /// The destination address.
    pub destination: Box<str>,
    /// The whole text.
    pub text: Box<str>,
    /// Number of parts.
    pub parts: u8,
}

/// An event for an observer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A bind was accepted.
    Bound {
        /// The account.
        system_id: Arc<str>,
    },
    /// A connection ended.
    Closed {
        /// The account; `None` if the connection was not bound.
        system_id: Option<Arc<str>>,
    },
    /// A submit was accepted.
    Submit(Submit),
    /// A message is complete.
    Message(WholeMessage),
    /// All parts of a customer's message were acknowledged.
    MoAcked(MoId),
}

/// A text that came more than once to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// The destination address.
    pub destination: Box<str>,
    /// The text of the part.
    pub text: Box<str>,
    /// Number of arrivals.
    pub times: u32,
}

/// The place of a part in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartOf {
    /// The part's number, from 1.
    pub number: u8,
    /// Number of parts.
    pub total: u8,
}

/// A text for a destination, as a whole message or as a part.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TextKey {
    destination: Box<str>,
    text: Box<str>,
    part: Option<PartOf>,
}

/// A long message whose parts are still arriving.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AssemblyKey {
    source: Box<str>,
    destination: Box<str>,
    reference: u16,
    total: u8,
}

/// Number of submits in one millisecond.
struct Bucket {
    at_ms: Millis,
    submits: u32,
}

/// All records of an SMSC.
pub(super) struct SmscRecords {
    pub(super) counts: SmscCounts,
    pub(super) submits: VecDeque<Submit>,
    pub(super) messages: VecDeque<WholeMessage>,
    parts: Tally<TextKey>,
    wholes: Tally<TextKey>,
    assemblies: BTreeMap<AssemblyKey, BTreeMap<u8, Vec<u8>>>,
    rate: VecDeque<Bucket>,
    observer: Option<mpsc::Sender<Seen>>,
}

impl Default for SmscRecords {
    fn default() -> Self {
        Self {
            counts: SmscCounts::default(),
            submits: VecDeque::new(),
            messages: VecDeque::new(),
            parts: Tally::new(RECENT_MAX),
            wholes: Tally::new(RECENT_MAX),
            assemblies: BTreeMap::new(),
            rate: VecDeque::new(),
            observer: None,
        }
    }
}

impl SmscRecords {
    pub(super) fn observe(&mut self, capacity: usize) -> mpsc::Receiver<Seen> {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        self.observer = Some(sender);
        receiver
    }

    pub(super) fn tell(&mut self, seen: impl FnOnce() -> Seen) {
        if let Some(observer) = &self.observer {
            match observer.try_send(seen()) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => self.counts.missed += 1,
                Err(mpsc::error::TrySendError::Closed(_)) => self.observer = None,
            }
        }
    }

    /// Counts a submit, whatever becomes of it.
    pub(super) fn count_submit(&mut self, now: Millis) {
        self.counts.submits += 1;
        match self.rate.back_mut() {
            Some(bucket) if bucket.at_ms == now => bucket.submits += 1,
            _ => push(&mut self.rate, Bucket { at_ms: now, submits: 1 }, BUCKETS_MAX),
        }
    }

    /// Records an accepted submit.
    pub(super) fn add_submit(
        &mut self,
        remember: Remember,
        system_id: &Arc<str>,
        message: &ShortMessage<'_>,
        message_id: &str,
        now: Millis,
    ) {
        self.counts.accepted += 1;
        if remember == Remember::Counts {
            return;
        }
        let PartText { octets, concat } = text::read(message);
        let text: Box<str> = text::decode(message.data_coding, octets).into();
        let (source, destination) = (address(message.source.text), address(message.destination.text));
        let part = concat.map(|Concat { number, total, .. }| PartOf { number, total });
        let key = TextKey { destination: destination.clone(), text: text.clone(), part };
        self.counts.forgotten += u64::from(!self.parts.count(key));
        let submit = Submit {
            at_ms: now,
            system_id: system_id.clone(),
            source,
            destination,
            text,
            part,
            message_id: message_id.into(),
        };
        self.tell(|| Seen::Submit(submit.clone()));
        self.join(&submit, octets, concat, message.data_coding);
        push(&mut self.submits, submit, RECENT_MAX);
    }

    /// Records the message that this part completes, if it does.
    fn join(&mut self, submit: &Submit, octets: &[u8], concat: Option<Concat>, data_coding: u8) {
        let (text, parts) = match concat {
            None => (submit.text.clone(), 1),
            Some(concat) => match self.assemble(submit, octets, concat) {
                Some(whole) => (text::decode(data_coding, &whole).into(), concat.total),
                None => return,
            },
        };
        let message = WholeMessage {
            at_ms: submit.at_ms,
            system_id: submit.system_id.clone(),
            source: submit.source.clone(),
            destination: submit.destination.clone(),
            text,
            parts,
        };
        self.counts.messages += 1;
        let (destination, text) = (message.destination.clone(), message.text.clone());
        self.counts.forgotten += u64::from(!self.wholes.count(TextKey { destination, text, part: None }));
        self.tell(|| Seen::Message(message.clone()));
        push(&mut self.messages, message, RECENT_MAX);
    }

    /// Adds a part to its message; returns the octets of all parts with the last one.
    fn assemble(&mut self, submit: &Submit, octets: &[u8], concat: Concat) -> Option<Vec<u8>> {
        let key = AssemblyKey {
            source: submit.source.clone(),
            destination: submit.destination.clone(),
            reference: concat.reference,
            total: concat.total,
        };
        if self.assemblies.len() >= ASSEMBLIES_MAX && self.assemblies.pop_first().is_some() {
            self.counts.forgotten += 1;
        }
        let parts = self.assemblies.entry(key.clone()).or_default();
        parts.insert(concat.number, octets.to_vec());
        if parts.len() < usize::from(concat.total) {
            return None;
        }
        let parts = self.assemblies.remove(&key).unwrap_or_default();
        Some(parts.into_values().flatten().collect())
    }

    pub(super) fn times(&self, destination: &str, text: &str) -> u32 {
        self.wholes.get(&TextKey { destination: destination.into(), text: text.into(), part: None })
    }

    pub(super) fn repeated(&self) -> Vec<Repeated> {
        let often = self.parts.iter().filter(|(_, times)| *times > 1);
        often
            .map(|(key, times)| Repeated {
                destination: key.destination.clone(),
                text: key.text.clone(),
                times,
            })
            .collect()
    }

    pub(super) fn texts_to(&self, destination: &str) -> Vec<Box<str>> {
        let to = self.messages.iter().filter(|message| &*message.destination == destination);
        to.map(|message| message.text.clone()).collect()
    }

    /// Returns the maximum number of submits in any window of this length.
    pub(super) fn most_in(&self, window_ms: Millis) -> u64 {
        let (mut most, mut current) = (0, 0);
        let mut oldest = self.rate.iter().peekable();
        for bucket in &self.rate {
            current += u64::from(bucket.submits);
            while let Some(old) = oldest.next_if(|old| old.at_ms.saturating_add(window_ms) <= bucket.at_ms) {
                current -= u64::from(old.submits);
            }
            most = most.max(current);
        }
        most
    }
}

fn address(text: &[u8]) -> Box<str> {
    String::from_utf8_lossy(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_window_is_found() {
        let mut records = SmscRecords::default();
        for at in [0, 0, 500, 999, 1_000, 1_999, 2_500] {
            records.count_submit(at);
        }
        assert_eq!(records.most_in(1), 2);
        assert_eq!(records.most_in(1_000), 4);
        assert_eq!(records.most_in(1_001), 5);
        assert_eq!(records.most_in(10_000), 7);
    }
}
