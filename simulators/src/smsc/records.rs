//! What an SMSC saw, for the questions of a test: how often a text came, in which order, how fast. All of it is
//! bounded; what no longer fits is counted, never lost in silence.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use channels::smpp::{Millis, pdu::ShortMessage};
use tokio::sync::mpsc;

use super::{
    script::Remember,
    text::{self, Concat},
};

/// The most submits, and joined messages, that are remembered; older ones are forgotten.
pub const RECENT_MAX: usize = 1_000_000;
/// The most milliseconds with submits that are remembered.
const BUCKETS_MAX: usize = 1_000_000;
/// The most long messages that wait for parts.
const ASSEMBLIES_MAX: usize = 100_000;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub connections: u64,
    pub binds: u64,
    pub binds_refused: u64,
    pub unbinds: u64,
    pub enquire_links: u64,
    pub enquire_links_unanswered: u64,
    pub generic_nacks: u64,
    /// PDUs that could not be read, or had to be repaired.
    pub malformed: u64,
    /// Every submit_sm and data_sm that came.
    pub submits: u64,
    pub accepted: u64,
    pub throttled: u64,
    pub refused: u64,
    pub swallowed: u64,
    pub late: u64,
    /// Connections that were cut on purpose.
    pub dropped: u64,
    /// Messages of which every part came.
    pub messages: u64,
    pub receipts_sent: u64,
    pub receipts_acked: u64,
    pub receipts_refused: u64,
    pub receipts_withheld: u64,
    pub mo_parts_sent: u64,
    pub mo_parts_acked: u64,
    pub mo_parts_refused: u64,
    /// Messages from customers of which every part was acknowledged.
    pub mo_acked: u64,
    /// Deliveries that were sent again.
    pub redeliveries: u64,
    /// Deliveries given up: too many tries, or a full queue.
    pub given_up: u64,
    /// Texts beyond [`RECENT_MAX`] different ones, and unfinished messages beyond their limit: how often they
    /// came is not known.
    pub forgotten: u64,
    /// Observations that an observer was too slow for.
    pub missed: u64,
    pub octets_in: u64,
}

/// One accepted submit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Milliseconds since the start.
    pub at_ms: Millis,
    /// Who submitted.
    pub system_id: Arc<str>,
    /// From.
    pub source: Box<str>,
    /// To.
    pub destination: Box<str>,
    /// Its own text, without header.
    pub text: Box<str>,
    /// Which part of how many.
    pub part: Option<(u8, u8)>,
    /// The id in its answer.
    pub message_id: Box<str>,
}

/// A message, joined of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When its last part came, in milliseconds since the start.
    pub at_ms: Millis,
    /// Who submitted it.
    pub system_id: Arc<str>,
    /// From.
    pub source: Box<str>,
    /// To.
    pub destination: Box<str>,
    /// All of its text.
    pub text: Box<str>,
    /// How many parts it came in.
    pub parts: u8,
}

/// What an observer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A bind was accepted.
    Bound {
        /// Whose.
        system_id: Arc<str>,
    },
    /// A connection ended.
    Closed {
        /// Whose; nothing when it was not bound.
        system_id: Option<Arc<str>>,
    },
    /// A submit was accepted.
    Submit(Submit),
    /// A message is complete.
    Message(Message),
    /// A message from a customer was acknowledged, all of it.
    MoAcked(super::MoId),
}

/// A text that came more than once to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// To.
    pub destination: Box<str>,
    /// The text of the submit (of one part).
    pub text: Box<str>,
    /// How often.
    pub times: u32,
}

type PartKey = (Box<str>, Box<str>, Option<(u8, u8)>);
type Joining = (Box<str>, Box<str>, u16, u8);

/// What is remembered.
#[derive(Default)]
pub(super) struct Records {
    pub(super) counts: Counts,
    pub(super) submits: VecDeque<Submit>,
    pub(super) messages: VecDeque<Message>,
    /// (destination, text) of each part, with its place among its parts, and how often it came.
    parts: BTreeMap<PartKey, u32>,
    /// Likewise of whole messages.
    wholes: BTreeMap<(Box<str>, Box<str>), u32>,
    joining: BTreeMap<Joining, BTreeMap<u8, Vec<u8>>>,
    /// Submits by millisecond.
    rate: VecDeque<(Millis, u32)>,
    observer: Option<mpsc::Sender<Seen>>,
}

impl Records {
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

    /// A submit came, whatever is done with it.
    pub(super) fn came(&mut self, now: Millis) {
        self.counts.submits += 1;
        match self.rate.back_mut() {
            Some((at, count)) if *at == now => *count += 1,
            _ => {
                if self.rate.len() >= BUCKETS_MAX {
                    self.rate.pop_front();
                }
                self.rate.push_back((now, 1));
            }
        }
    }

    /// A submit was accepted.
    pub(super) fn accepted(
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
        let (octets, concat) = text::read(message);
        let text: Box<str> = text::decode(message.data_coding, octets).into();
        let (source, destination) = (address(message.source.text), address(message.destination.text));
        let part = concat.map(|concat| (concat.number, concat.total));
        self.counts.forgotten += count(&mut self.parts, (destination.clone(), text.clone(), part));
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
        push(&mut self.submits, submit);
    }

    fn join(&mut self, submit: &Submit, octets: &[u8], concat: Option<Concat>, data_coding: u8) {
        let (text, parts) = match concat {
            None => (submit.text.clone(), 1),
            Some(concat) => {
                let key = (submit.source.clone(), submit.destination.clone(), concat.reference, concat.total);
                if self.joining.len() >= ASSEMBLIES_MAX && self.joining.pop_first().is_some() {
                    self.counts.forgotten += 1;
                }
                let have = self.joining.entry(key.clone()).or_default();
                have.insert(concat.number, octets.to_vec());
                if have.len() < usize::from(concat.total) {
                    return;
                }
                let parts = self.joining.remove(&key).unwrap_or_default();
                let whole: Vec<u8> = parts.into_values().flatten().collect();
                (text::decode(data_coding, &whole).into(), concat.total)
            }
        };
        let message = Message {
            at_ms: submit.at_ms,
            system_id: submit.system_id.clone(),
            source: submit.source.clone(),
            destination: submit.destination.clone(),
            text,
            parts,
        };
        self.counts.messages += 1;
        let key = (message.destination.clone(), message.text.clone());
        self.counts.forgotten += count(&mut self.wholes, key);
        self.tell(|| Seen::Message(message.clone()));
        push(&mut self.messages, message);
    }

    pub(super) fn times(&self, destination: &str, text: &str) -> u32 {
        self.wholes.get(&(destination.into(), text.into())).copied().unwrap_or_default()
    }

    pub(super) fn repeated(&self) -> Vec<Repeated> {
        let often = self.parts.iter().filter(|(_, times)| **times > 1);
        often
            .map(|((destination, text, _), times)| Repeated {
                destination: destination.clone(),
                text: text.clone(),
                times: *times,
            })
            .collect()
    }

    pub(super) fn texts_to(&self, destination: &str) -> Vec<Box<str>> {
        let to = self.messages.iter().filter(|message| &*message.destination == destination);
        to.map(|message| message.text.clone()).collect()
    }

    /// The most submits in any window of so many milliseconds.
    pub(super) fn most_in(&self, window_ms: Millis) -> u64 {
        let (mut most, mut now) = (0, 0);
        let mut from = self.rate.iter().peekable();
        for (at, count) in &self.rate {
            now += u64::from(*count);
            while let Some((first, old)) = from.peek().copied()
                && first.saturating_add(window_ms) <= *at
            {
                now -= u64::from(*old);
                from.next();
            }
            most = most.max(now);
        }
        most
    }
}

/// Counts one more; gives 1 when there is no room for a new key.
fn count<K: Ord>(times: &mut BTreeMap<K, u32>, key: K) -> u64 {
    if times.len() >= RECENT_MAX && !times.contains_key(&key) {
        return 1;
    }
    *times.entry(key).or_default() += 1;
    0
}

fn push<T>(recent: &mut VecDeque<T>, item: T) {
    if recent.len() >= RECENT_MAX {
        recent.pop_front();
    }
    recent.push_back(item);
}

fn address(text: &[u8]) -> Box<str> {
    String::from_utf8_lossy(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_window_is_found() {
        let mut records = Records::default();
        for at in [0, 0, 500, 999, 1_000, 1_999, 2_500] {
            records.came(at);
        }
        assert_eq!(records.most_in(1), 2);
        assert_eq!(records.most_in(1_000), 4);
        assert_eq!(records.most_in(1_001), 5);
        assert_eq!(records.most_in(10_000), 7);
    }
}
