//! The receipts that a channel keeps because their part is not known yet: found again by id, by the
//! session that they name, and by time. Pure.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use channels::address::spelling::{self, IdBase};
use message::{
    ChannelId, StreamId, Timestamp, address,
    event::UnmatchedReceipt,
    snapshot::{ChannelSnapshot, ChannelV1, ParkedV1},
};
use storage::invariant;

use crate::domain::{
    correlation::{Named, Reported},
    hash::StreamHash,
};

/// Retries of a kept receipt, in milliseconds after its arrival. An early receipt waits for its
/// answer; one that needs a guess of its number base is tried without it first.
const RETRY_MS: [u64; 6] = [500, 2_000, 10_000, 65_000, 600_000, 3_600_000];

/// A receipt that is kept until its part is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    pub(crate) receipt: UnmatchedReceipt,
    /// Spellings of its id, in the order to try them.
    pub(crate) ids: Vec<Box<str>>,
    pub(crate) since: Timestamp,
    /// Retries so far.
    pub(crate) tries: u16,
}

impl<'a> From<&'a Parked> for ParkedV1<'a> {
    fn from(parked: &'a Parked) -> Self {
        Self {
            receipt: Cow::Borrowed(&parked.receipt),
            ids: Cow::Borrowed(&parked.ids),
            since: parked.since,
            tries: parked.tries,
        }
    }
}

impl From<ParkedV1<'_>> for Parked {
    fn from(v1: ParkedV1<'_>) -> Self {
        Self { receipt: v1.receipt.into_owned(), ids: v1.ids.into_owned(), since: v1.since, tries: v1.tries }
    }
}

/// Returns the kept receipts of a snapshot, oldest first.
pub(crate) fn parked_in(parked: Vec<ParkedV1<'_>>) -> impl Iterator<Item = Parked> {
    parked.into_iter().map(Parked::from)
}

/// A kept receipt, with what follows from it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) parked: Parked,
    pub(crate) named: Named,
    /// It was found to be a customer's message and is on its way to the session. It must not become
    /// a receipt any more.
    pub(crate) is_message: bool,
    /// A session to which its id led found that it names another customer.
    pub(crate) is_disowned: bool,
}

/// The kept receipts of one channel.
#[derive(Debug)]
pub(crate) struct KeptReceipts {
    channel: ChannelId,
    all: BTreeMap<u32, Kept>,
    by_key: HashMap<u128, u32, StreamHash>,
    by_stream: HashMap<StreamId, Vec<u32>, StreamHash>,
    /// Next retry of each kept receipt.
    due: BTreeMap<(Timestamp, u32), ()>,
    next_number: u32,
    max: usize,
}

impl KeptReceipts {
    pub(crate) fn new(channel: ChannelId, max: usize) -> Self {
        Self {
            channel,
            all: BTreeMap::new(),
            by_key: HashMap::default(),
            by_stream: HashMap::default(),
            due: BTreeMap::new(),
            next_number: 1,
            max,
        }
    }

    pub(crate) fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// Creates the event of a receipt to keep and assigns its number.
    pub(crate) fn number(&mut self, receipt: &Reported, customer: &str, did: &str) -> UnmatchedReceipt {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1).max(1);
        UnmatchedReceipt {
            number,
            channel: self.channel.clone(),
            provider_id: receipt.ids.first().map_or_else(|| "".into(), |id| (**id).into()),
            customer: customer.into(),
            did: did.into(),
            state: receipt.state,
            code: receipt.code.clone(),
            words: None,
        }
    }

    /// The look-up keys under which a part's answer finds the receipt.
    fn keys_of<'k>(channel: &'k ChannelId, kept: &'k Kept) -> impl Iterator<Item = u128> + use<'k> {
        let spellings = kept.parked.ids.iter().flat_map(|id| spelling::lookup_spellings(id, IdBase::Exact));
        spellings.flat_map(move |spelling| {
            let id_key = address::provider_id_key(channel, &spelling.key);
            let plain = kept.named.scopes.is_empty().then_some(id_key);
            let scoped = kept.named.scopes.iter().map(move |scope| address::scoped_id_key(id_key, *scope));
            plain.into_iter().chain(scoped)
        })
    }

    /// Keeps a receipt. Returns the oldest one when the limit is exceeded; the caller settles it.
    pub(crate) fn park(&mut self, parked: Parked, named: Named) -> Option<u32> {
        let number = parked.receipt.number;
        self.next_number = self.next_number.max(number.wrapping_add(1));
        let kept = Kept { parked, named, is_message: false, is_disowned: false };
        self.by_key.extend(Self::keys_of(&self.channel, &kept).map(|key| (key, number)));
        for stream in kept.named.sessions() {
            self.by_stream.entry(stream).or_default().push(number);
        }
        if let Some(wait) = RETRY_MS.get(usize::from(kept.parked.tries)) {
            self.due.insert((kept.parked.since.plus_ms(*wait), number), ());
        }
        let before = self.all.insert(number, kept);
        invariant!(before.is_none(), "two receipts are kept as {number}");
        let (kept, due) = (self.all.len(), self.due.len());
        invariant!(due <= kept, "{due} retries of {kept} receipts");
        if self.all.len() <= self.max {
            return None;
        }
        // Words on their way to the business are not kept much longer.
        self.all.iter().find(|(_, kept)| !kept.is_message).map(|(number, _)| *number)
    }

    /// A receipt that is kept until its part is known.
    pub(crate) fn get(&self, number: u32) -> Option<&Kept> {
        self.all.get(&number)
    }

    /// Notes that a kept receipt is a customer's message, for good.
    pub(crate) fn mark_message(&mut self, number: u32) {
        if let Some(kept) = self.all.get_mut(&number) {
            kept.is_message = true;
        }
    }

    /// Notes that a session found that a kept receipt names another customer.
    pub(crate) fn mark_disowned(&mut self, number: u32) {
        if let Some(kept) = self.all.get_mut(&number) {
            kept.is_disowned = true;
        }
    }

    /// Returns the kept receipts, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Parked> {
        self.all.values().map(|kept| &kept.parked)
    }

    /// Returns the state of the channel that the index keeps.
    pub(crate) fn to_snapshot(&self, paused_since: Option<Timestamp>) -> ChannelSnapshot<'_> {
        let parked = self.iter().map(ParkedV1::from).collect();
        ChannelSnapshot::V1(ChannelV1 { paused_since, parked })
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns the kept receipts that name a session, the oldest first, at most `limit`.
    pub(crate) fn of_stream(&self, stream: StreamId, limit: usize) -> Vec<u32> {
        self.by_stream.get(&stream).map_or_else(Vec::new, |all| all.iter().take(limit).copied().collect())
    }

    /// Finds a receipt that came before the answer with these look-up keys.
    pub(crate) fn early(&self, keys: &[u128]) -> Option<u32> {
        if self.by_key.is_empty() {
            return None;
        }
        let number = keys.iter().find_map(|key| self.by_key.get(key)).copied()?;
        self.get(number).filter(|kept| !kept.is_message).map(|_| number)
    }

    /// Removes a kept receipt.
    pub(crate) fn settle(&mut self, number: u32) -> Option<Kept> {
        let kept = self.all.remove(&number)?;
        for key in Self::keys_of(&self.channel, &kept) {
            if self.by_key.get(&key) == Some(&number) {
                self.by_key.remove(&key);
            }
        }
        for stream in kept.named.sessions() {
            if let Some(numbers) = self.by_stream.get_mut(&stream) {
                numbers.retain(|n| *n != number);
                if numbers.is_empty() {
                    self.by_stream.remove(&stream);
                }
            }
        }
        if let Some(wait) = RETRY_MS.get(usize::from(kept.parked.tries)) {
            self.due.remove(&(kept.parked.since.plus_ms(*wait), number));
        }
        let is_empty = self.all.is_empty();
        invariant!(!is_empty || self.due.is_empty(), "{} retries of nothing", self.due.len());
        invariant!(!is_empty || self.by_stream.is_empty(), "nothing is kept for sessions");
        Some(kept)
    }

    /// Returns at most `limit` kept receipts that are due for a retry, and schedules their next
    /// one.
    pub(crate) fn due(&mut self, now: Timestamp, limit: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        while let Some((&(at, number), ())) = self.due.first_key_value() {
            if at > now || numbers.len() >= limit {
                break;
            }
            self.due.pop_first();
            invariant!(self.all.contains_key(&number), "a retry of {number}, which is not kept");
            if let Some(Kept { parked, .. }) = self.all.get_mut(&number) {
                parked.tries += 1;
                if let Some(wait) = RETRY_MS.get(usize::from(parked.tries)) {
                    self.due.insert((parked.since.plus_ms(*wait), number), ());
                }
                numbers.push(number);
            }
        }
        numbers
    }

    /// Returns the next instant of a retry.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), ())| *at)
    }
}
