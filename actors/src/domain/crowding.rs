//! Tells one customer's trouble from the channel's. A provider answers "queue full", "too many" or
//! "forbidden" for one recipient as well as for the whole account, and does not say which. The last
//! answers show it: when several customers are refused and few messages accepted, the channel is
//! meant. Time is an argument, in milliseconds of a monotonic clock; nothing here is random.

use std::collections::{HashMap, VecDeque};

use message::StreamId;
use storage::invariant;

use crate::domain::hash::StreamHash;

/// Number of answers that are remembered.
const ANSWERS_MAX: usize = 16;
/// Different customers that must be refused before the channel is meant.
const CUSTOMERS_MIN: usize = 3;
/// First pause of a customer, in milliseconds; doubles with each refusal.
const PAUSE_MIN_MS: u64 = 1_000;
/// Longest pause of a customer that is chosen here, in milliseconds.
const PAUSE_MAX_MS: u64 = 60_000;
/// Maximum number of customers whose pauses are remembered; beyond it all begin anew.
const PAUSES_MAX: usize = 10_000;

/// The last answers of a provider, as evidence about the channel.
#[derive(Debug, Default)]
pub(crate) struct RecentAnswers {
    /// The refused customer, or `None` for an accepted part; the newest last.
    last: VecDeque<Option<StreamId>>,
}

impl RecentAnswers {
    /// Notes an accepted part.
    pub(crate) fn accepted(&mut self) {
        // Without refusals there is nothing to weigh against.
        if !self.last.is_empty() {
            self.note(None);
        }
    }

    /// Notes a refusal.
    fn refused(&mut self, stream: StreamId) {
        self.note(Some(stream));
    }

    fn note(&mut self, answer: Option<StreamId>) {
        if self.last.len() >= ANSWERS_MAX {
            self.last.pop_front();
        }
        self.last.push_back(answer);
        invariant!(self.last.len() <= ANSWERS_MAX, "{} answers are kept", self.last.len());
        if self.last.iter().all(Option::is_none) {
            self.last.clear();
        }
    }

    fn customers(&self) -> usize {
        let refused = self.last.iter().flatten();
        let first =
            |(n, stream): &(usize, &StreamId)| !self.last.iter().flatten().take(*n).any(|s| s == *stream);
        refused.enumerate().filter(first).count()
    }

    fn accepted_count(&self) -> usize {
        self.last.iter().filter(|answer| answer.is_none()).count()
    }
}

/// The owner of a limit that a refusal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The customer's, who pauses for this number of milliseconds.
    Customer(u64),
    /// The channel's.
    Channel,
}

/// Decides whose limit a refusal shows, and how long a customer pauses.
#[derive(Debug, Default)]
pub(crate) struct Crowding {
    answers: RecentAnswers,
    /// The last pause of each refused customer.
    pauses: HashMap<StreamId, u64, StreamHash>,
}

impl Crowding {
    /// Notes an accepted part.
    pub(crate) fn accepted(&mut self, stream: StreamId) {
        self.answers.accepted();
        self.pauses.remove(&stream);
    }

    /// Handles a limit of this customer or of the channel; `after_ms` is the provider's advice, or
    /// 0.
    pub(crate) fn refused(&mut self, stream: StreamId, after_ms: u64) -> Scope {
        self.answers.refused(stream);
        let refused = self.answers.last.len() - self.answers.accepted_count();
        if self.answers.customers() >= CUSTOMERS_MIN && 2 * refused > self.answers.last.len() {
            self.answers.last.clear();
            return Scope::Channel;
        }
        Scope::Customer(self.pause(stream, after_ms))
    }

    /// Returns the pause of a customer: growing, and no shorter than the provider's advice.
    pub(crate) fn pause(&mut self, stream: StreamId, after_ms: u64) -> u64 {
        if self.pauses.len() >= PAUSES_MAX && !self.pauses.contains_key(&stream) {
            self.pauses.clear();
        }
        let last = self.pauses.entry(stream).or_default();
        *last = (*last * 2).clamp(PAUSE_MIN_MS, PAUSE_MAX_MS);
        let pause = after_ms.max(*last);
        invariant!(self.pauses.len() <= PAUSES_MAX, "{} pauses are kept", self.pauses.len());
        pause
    }
}

/// Decides whether denied access concerns the channel although its probe is accepted: only when
/// several customers were refused and nobody was accepted.
#[derive(Debug, Default)]
pub(crate) struct Denials(RecentAnswers);

impl Denials {
    /// Notes an accepted part: access is not denied to the channel.
    pub(crate) fn accepted(&mut self) {
        self.0.last.clear();
    }

    /// Notes denied access; returns whether it concerns the channel.
    pub(crate) fn refused(&mut self, stream: StreamId) -> bool {
        self.0.refused(stream);
        self.0.customers() >= CUSTOMERS_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays answers: a letter is a refused customer, a dot an accepted part. Returns `C` for each
    /// refusal that is the channel's and `c` for each that is the customer's.
    fn played(answers: &str) -> String {
        let mut crowding = Crowding::default();
        let mut told = String::new();
        for answer in answers.bytes() {
            match answer {
                b'.' => crowding.accepted(StreamId(0)),
                customer => told.push(match crowding.refused(StreamId(u128::from(customer)), 0) {
                    Scope::Channel => 'C',
                    Scope::Customer(_) => 'c',
                }),
            }
        }
        told
    }

    #[test]
    fn one_customers_trouble_is_not_the_channels() {
        for (answers, told) in [
            // One customer's queue is full: with and without others between (SMPP 3.4, 5.1.3:
            // ESME_RMSGQFUL; Kannel and Jasmin pause the whole bind).
            ("aaaaaaaaaaaaaaaaaaaa", "cccccccccccccccccccc"),
            ("a....a....a....a", "cccc"),
            // Two customers, nobody else writes (WhatsApp 131056 to two chatty customers).
            ("abababab", "cccccccc"),
            // Three and more among many who are accepted (Telegram groups, 20 a minute each).
            ("a..b..c..d..a..b", "cccccc"),
            // Everybody's: the queue of the SMSC itself.
            ("abc", "ccC"),
            ("aabbc", "ccccC"),
            (".....abcdef", "ccCccC"),
            // A provider that accepts some and refuses most, each a different customer.
            ("a.b.cdef", "ccCccC"),
            // One that accepts more than it refuses is left to its customers.
            ("a..b..c...d..e...f", "cccccc"),
        ] {
            assert_eq!(played(answers), told, "{answers}");
        }
    }

    #[test]
    fn a_customers_pause_grows_to_its_bound_and_ends_with_an_accepted_part() {
        let mut crowding = Crowding::default();
        let (ann, ben) = (StreamId(1), StreamId(2));
        for pause in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            assert_eq!(crowding.refused(ann, 0), Scope::Customer(pause));
        }
        assert_eq!(crowding.refused(ben, 0), Scope::Customer(1_000), "each has a pause of its own");
        crowding.accepted(ann);
        assert_eq!(crowding.refused(ann, 0), Scope::Customer(1_000));
        assert_eq!(crowding.refused(ann, 30_000), Scope::Customer(30_000), "the provider's advice");
    }

    #[test]
    fn memory_is_bounded() {
        let mut crowding = Crowding::default();
        for n in 0..30_000 {
            crowding.pause(StreamId(n), 0);
            assert!(crowding.pauses.len() <= PAUSES_MAX);
        }
        for n in 0..100 {
            crowding.refused(StreamId(n % 2), 0);
            assert!(crowding.answers.last.len() <= ANSWERS_MAX);
        }
    }

    #[test]
    fn denied_access_is_the_channels_when_nobody_else_is_accepted() {
        let mut denials = Denials::default();
        let refused = |denials: &mut Denials, n: u128| denials.refused(StreamId(n));
        assert!((0..20).all(|_| !refused(&mut denials, 1)), "one message tried again and again");
        assert!(!refused(&mut denials, 2));
        assert!(refused(&mut denials, 3));
        assert!(refused(&mut denials, 3), "until a part is accepted");
        denials.accepted();
        assert!(!refused(&mut denials, 3) && !refused(&mut denials, 2));
    }
}
