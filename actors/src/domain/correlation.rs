//! Matches receipts to parts, by the provider's id in every plausible spelling, scoped to the
//! channel and all its binds. Early and unknown receipts are kept and retried. Pure: the log's
//! look-up is an argument.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use channels::address::spelling::{self, IdBase, Rule, Tally};
use message::{
    ChannelId, MessageNo, PartState, StreamId, Timestamp, address,
    event::UnmatchedReceipt,
    snapshot::{ChannelSnapshot, ChannelV1, ParkedV1},
};
use storage::Found;

use crate::domain::hash::StreamHash;

/// Answers that are remembered until the log's look-ups contain them. Two generations of this size
/// are kept; the older one is dropped.
const RECENT_MAX: usize = 65_536;
/// Retries of a kept receipt, in milliseconds after its arrival. An early receipt waits for its
/// answer; one that needs a guess of its number base is tried without it first.
const RETRY_MS: [u64; 6] = [500, 2_000, 10_000, 65_000, 600_000, 3_600_000];

/// The part that a receipt refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartRef {
    pub(crate) stream: StreamId,
    pub(crate) number: MessageNo,
    pub(crate) part: u16,
}

impl PartRef {
    pub(crate) fn of(found: Found) -> Self {
        Self {
            stream: StreamId(found.a),
            number: MessageNo((found.b >> 16) as u32),
            part: (found.b & 0xffff) as u16,
        }
    }

    /// Returns our own reference for providers that echo one: `<stream hex>-<number>-<part>`.
    pub(crate) fn to_reference(self) -> String {
        format!("{:032x}-{}-{}", self.stream.0, self.number.0, self.part)
    }

    /// Parses a reference in upper or lower case.
    pub(crate) fn from_reference(text: &str) -> Option<Self> {
        // `parse` also accepts a sign, which a reference never contains.
        if !text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            return None;
        }
        let mut pieces = text.split('-');
        let stream = pieces.next().filter(|hex| hex.len() == REFERENCE_HEX)?;
        let reference = Self {
            stream: StreamId(u128::from_str_radix(stream, 16).ok()?),
            number: MessageNo(pieces.next()?.parse().ok()?),
            part: pieces.next()?.parse().ok()?,
        };
        pieces.next().is_none().then_some(reference)
    }
}

/// A provider's report on a part, independent of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) state: PartState,
    /// The provider's code, or `<code>: <words>`.
    pub(crate) code: Box<str>,
    /// Spellings of the part's id, in the order to try them.
    pub(crate) ids: Vec<Box<str>>,
}

/// Number of hexadecimal digits of a stream in a reference.
const REFERENCE_HEX: usize = 32;

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
pub(crate) fn parked_in(snapshot: ChannelSnapshot<'_>) -> impl Iterator<Item = Parked> {
    let ChannelSnapshot::V1(v1) = snapshot;
    v1.parked.into_iter().map(Parked::from)
}

/// The receipts and recent answers of one channel.
#[derive(Debug)]
pub(crate) struct Correlation {
    channel: ChannelId,
    base: IdBase,
    tally: Tally,
    recent: [HashMap<u128, PartRef, StreamHash>; 2],
    parked: BTreeMap<u32, Parked>,
    by_key: HashMap<u128, u32, StreamHash>,
    by_stream: HashMap<StreamId, Vec<u32>, StreamHash>,
    /// Next retry of each kept receipt.
    due: BTreeMap<(Timestamp, u32), ()>,
    next_number: u32,
    max: usize,
}

impl Correlation {
    pub(crate) fn new(channel: ChannelId, base: IdBase, max: usize) -> Self {
        Self {
            channel,
            base,
            tally: Tally::default(),
            recent: Default::default(),
            parked: BTreeMap::new(),
            by_key: HashMap::default(),
            by_stream: HashMap::default(),
            due: BTreeMap::new(),
            next_number: 1,
            max,
        }
    }

    /// Returns the look-up keys of an id in a submit's answer.
    pub(crate) fn keys(&self, provider_id: &str) -> Vec<u128> {
        let spellings = spelling::register_spellings(provider_id);
        spellings.iter().map(|s| address::provider_id_key(&self.channel, s)).collect()
    }

    /// Remembers an answer. Returns the number of a receipt that arrived before it.
    pub(crate) fn answered(&mut self, keys: &[u128], part: PartRef) -> Option<u32> {
        let [now, before] = &mut self.recent;
        if now.len() >= RECENT_MAX {
            *before = std::mem::take(now);
        }
        now.extend(keys.iter().map(|key| (*key, part)));
        if self.by_key.is_empty() {
            return None;
        }
        keys.iter().find_map(|key| self.by_key.get(key)).copied()
    }

    /// Finds the part of a receipt. Tries another number base only if `guess` is true, because an
    /// early receipt must not match an unrelated part.
    pub(crate) fn find(
        &mut self,
        ids: &[Box<str>],
        guess: bool,
        log: impl Fn(u128) -> Option<Found>,
    ) -> Option<PartRef> {
        let base = if self.base == IdBase::Auto { self.tally.habit() } else { self.base };
        // Most ids come as spelled; the other spellings cost more to compute.
        let exact_first = matches!(base, IdBase::Auto | IdBase::Exact);
        for id in ids {
            if exact_first
                && !id.is_empty()
                && let Some(part) = self.known(id, &log)
            {
                self.tally.hit(Rule::Exact);
                return Some(part);
            }
            for spelling in spelling::lookup_spellings(id, base) {
                if exact_first && spelling.rule == Rule::Exact {
                    continue;
                }
                let guessed = matches!(spelling.rule, Rule::DecimalToHex | Rule::HexToDecimal);
                if guessed && !guess && base == IdBase::Auto {
                    continue;
                }
                if let Some(part) = self.known(&spelling.key, &log) {
                    self.tally.hit(spelling.rule);
                    return Some(part);
                }
            }
        }
        None
    }

    /// Returns the part that is known under a spelling.
    fn known(&self, spelling: &str, log: impl Fn(u128) -> Option<Found>) -> Option<PartRef> {
        let key = address::provider_id_key(&self.channel, spelling);
        let [now, before] = &self.recent;
        let found = now.get(&key).or_else(|| before.get(&key)).copied();
        found.or_else(|| log(key).map(PartRef::of))
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
        }
    }

    /// Keeps a receipt. Returns the oldest one when the limit is exceeded; the caller settles it.
    pub(crate) fn park(&mut self, parked: Parked, stream: StreamId) -> Option<u32> {
        let number = parked.receipt.number;
        self.next_number = self.next_number.max(number.wrapping_add(1));
        for id in &parked.ids {
            for spelling in spelling::lookup_spellings(id, IdBase::Exact) {
                self.by_key.insert(address::provider_id_key(&self.channel, &spelling.key), number);
            }
        }
        self.by_stream.entry(stream).or_default().push(number);
        if let Some(wait) = RETRY_MS.get(usize::from(parked.tries)) {
            self.due.insert((parked.since.plus_ms(*wait), number), ());
        }
        self.parked.insert(number, parked);
        if self.parked.len() <= self.max {
            return None;
        }
        self.parked.first_key_value().map(|(number, _)| *number)
    }

    /// A receipt that is kept until its part is known.
    pub(crate) fn get(&self, number: u32) -> Option<&Parked> {
        self.parked.get(&number)
    }

    /// Returns the kept receipts, oldest first.
    pub(crate) fn parked(&self) -> impl Iterator<Item = &Parked> {
        self.parked.values()
    }

    /// Returns the state that the index keeps.
    pub(crate) fn to_snapshot(&self) -> ChannelSnapshot<'_> {
        ChannelSnapshot::V1(ChannelV1 { parked: self.parked.values().map(ParkedV1::from).collect() })
    }

    /// Returns the number of kept receipts.
    pub(crate) fn parked_len(&self) -> usize {
        self.parked.len()
    }

    /// Returns the kept receipts of one customer and DID.
    pub(crate) fn of_stream(&self, stream: StreamId) -> &[u32] {
        self.by_stream.get(&stream).map_or(&[], Vec::as_slice)
    }

    /// Removes a kept receipt.
    pub(crate) fn settle(&mut self, number: u32, stream: StreamId) -> Option<Parked> {
        let parked = self.parked.remove(&number)?;
        for id in &parked.ids {
            for spelling in spelling::lookup_spellings(id, IdBase::Exact) {
                let key = address::provider_id_key(&self.channel, &spelling.key);
                if self.by_key.get(&key) == Some(&number) {
                    self.by_key.remove(&key);
                }
            }
        }
        if let Some(numbers) = self.by_stream.get_mut(&stream) {
            numbers.retain(|n| *n != number);
            if numbers.is_empty() {
                self.by_stream.remove(&stream);
            }
        }
        if let Some(wait) = RETRY_MS.get(usize::from(parked.tries)) {
            self.due.remove(&(parked.since.plus_ms(*wait), number));
        }
        Some(parked)
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
            if let Some(parked) = self.parked.get_mut(&number) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_reference_is_read_again_in_any_case(stream: u128, number: u32, part: u16) {
            let part = PartRef { stream: StreamId(stream), number: MessageNo(number), part };
            let text = part.to_reference();
            prop_assert!(text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
            prop_assert_eq!(PartRef::from_reference(&text), Some(part));
            prop_assert_eq!(PartRef::from_reference(&text.to_uppercase()), Some(part));
        }

        #[test]
        fn no_other_text_is_a_reference(
            text in prop_oneof!["[0-9a-f]{30,34}(-[+-]?[0-9]{1,11}){0,3}", "\\PC{0,60}"],
        ) {
            if let Some(part) = PartRef::from_reference(&text) {
                let plain = |piece: &str| piece.trim_start_matches('0').to_owned();
                let (ours, theirs) = (part.to_reference(), text.to_lowercase());
                let (mut ours, mut theirs) = (ours.split('-').map(plain), theirs.split('-').map(plain));
                prop_assert!(ours.by_ref().eq(theirs.by_ref()), "{}", text);
            }
        }
    }
}
