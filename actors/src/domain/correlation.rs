//! Finds the part that a receipt is about: by the provider's id in every plausible spelling, scoped
//! to the channel and all its binds and, where receipts name addresses, to the customer. Pure: the
//! log's look-up is an argument.

use std::collections::HashMap;

use channels::address::{
    number,
    spelling::{self, IdBase, Rule, Tally},
};
use message::{ChannelId, MessageNo, PartState, StreamId, address};
use smallvec::SmallVec;
use storage::{Found, Key, Tag, invariant};

use crate::{domain::hash::StreamHash, sabotage::Sabotage};

/// Answers that are remembered until the log's look-ups contain them. Two generations of this size
/// are kept; the older one is dropped.
const RECENT_MAX: usize = 65_536;
/// Maximum number of parts remembered under one id; the oldest is dropped for another.
const SHARED_MAX: usize = 16;

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

    /// Returns a look-up key that leads to the part.
    pub(crate) fn to_key(self, hash: u128) -> Key {
        let b = Tag::Value(u64::from(self.number.0) << 16 | u64::from(self.part));
        Key { hash, a: self.stream.0, b }
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

/// Returns a spelling under which a message is found in its conversation, however its id is
/// spelled. `token` is the part of the id that all spellings share.
pub(crate) fn in_conversation(stream: StreamId, token: &str) -> String {
    // Neither occurs in an id as spelled.
    format!("{stream}\0{token}")
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

/// Whom a receipt names. Either of its addresses may be the customer's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// The sessions between the two addresses, in the order to try them.
    pub(crate) streams: SmallVec<[StreamId; 2]>,
    /// Sessions with customers whose addresses end alike. They must compare the whole.
    pub(crate) alike: SmallVec<[StreamId; 2]>,
    /// The ends of the addresses; empty where the provider's id alone decides, or where the receipt
    /// names nobody.
    pub(crate) scopes: SmallVec<[u64; 2]>,
}

/// Returns the end of an address as look-up keys hold it.
pub(crate) fn scope(address: &str) -> u64 {
    address::scope_of(&number::tail(address))
}

impl Named {
    /// The session of a place among those that it names or may name, and whether it names it.
    pub(crate) fn session(&self, place: u8) -> Option<(StreamId, bool)> {
        let named = self.streams.iter().map(|stream| (*stream, true));
        named.chain(self.alike.iter().map(|stream| (*stream, false))).nth(usize::from(place))
    }

    /// All sessions that it names or may name.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = StreamId> {
        self.streams.iter().chain(&self.alike).copied()
    }
}

/// A part with the id of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) part: PartRef,
    /// Whether the receipt names the part's session as it is spelled. Otherwise only the end of an
    /// address agrees, and the session must compare the whole.
    pub(crate) is_certain: bool,
}

/// The parts with ids of one channel.
#[derive(Debug)]
pub(crate) struct Correlation {
    channel: ChannelId,
    base: IdBase,
    /// Whether receipts name addresses, so that an id belongs to a customer.
    is_scoped: bool,
    tally: Tally,
    recent: [HashMap<u128, SmallVec<[PartRef; 1]>, StreamHash>; 2],
}

impl Correlation {
    pub(crate) fn new(channel: ChannelId, base: IdBase, is_scoped: bool) -> Self {
        Self { channel, base, is_scoped, tally: Tally::default(), recent: Default::default() }
    }

    /// Whether receipts name addresses, so that an id belongs to a customer.
    pub(crate) fn is_scoped(&self) -> bool {
        self.is_scoped
    }

    /// Returns the look-up keys of an id in a submit's answer: one for each spelling, then those
    /// for customers with these ends of their addresses.
    pub(crate) fn keys(&self, provider_id: &str, scopes: &[u64]) -> Vec<u128> {
        let spellings = spelling::register_spellings(provider_id);
        let scopes = if self.is_scoped { scopes } else { &[] };
        let mut keys = Vec::with_capacity(spellings.len() * (1 + scopes.len()) + 1);
        keys.extend(spellings.iter().map(|s| address::provider_id_key(&self.channel, s)));
        for plain in 0..keys.len() {
            let id_key = keys.get(plain).copied().unwrap_or_default();
            keys.extend(scopes.iter().map(|scope| address::scoped_id_key(id_key, *scope)));
        }
        keys
    }

    /// Remembers the id of an accepted part to a customer. Returns its look-up keys.
    ///
    /// `token` is another spelling of the id, for this conversation only. An id that was given to
    /// another customer before is noted as shared. The log is asked only
    /// while the memory of this process is short.
    pub(crate) fn on_accepted(
        &mut self,
        provider_id: &str,
        scope: u64,
        token: Option<&str>,
        part: PartRef,
        log: impl Fn(u128) -> Option<Found>,
    ) -> Vec<u128> {
        let mut keys = self.keys(provider_id, &[scope]);
        let is_young = self.recent.last().is_some_and(HashMap::is_empty);
        let spellings = spelling::register_spellings(provider_id);
        let shared: SmallVec<[u128; 1]> = spellings
            .iter()
            .zip(&keys)
            .filter(|_| self.is_scoped)
            .filter(|(_, key)| {
                let key = **key;
                let stored = if is_young { log(key).map(PartRef::of) } else { None };
                self.recent(key).chain(stored).any(|known| known.stream != part.stream)
            })
            .map(|(s, _)| address::shared_id_key(&self.channel, s))
            .collect();
        keys.extend(token.map(|token| address::provider_id_key(&self.channel, token)));
        let [now, before] = &mut self.recent;
        if now.len() >= RECENT_MAX {
            *before = std::mem::take(now);
        }
        for key in &keys {
            let parts = now.entry(*key).or_default();
            parts.retain(|known| *known != part);
            if parts.len() >= SHARED_MAX {
                parts.remove(0);
            }
            parts.push(part);
            invariant!(parts.len() <= SHARED_MAX, "{} parts of one id", parts.len());
        }
        invariant!(now.len() <= RECENT_MAX + keys.len(), "{} ids are remembered", now.len());
        keys.extend(shared);
        keys
    }

    /// The parts remembered under a key, the newest first.
    fn recent(&self, key: u128) -> impl Iterator<Item = PartRef> {
        self.recent.iter().flat_map(move |parts| parts.get(&key).into_iter().flatten().rev().copied())
    }

    /// Finds the part of a receipt. Tries another number base only if `guess` is true, because an
    /// early receipt must not match an unrelated part.
    pub(crate) fn find(
        &mut self,
        ids: &[Box<str>],
        named: &Named,
        guess: bool,
        log: impl Fn(u128) -> Option<Found>,
    ) -> Option<Match> {
        let (found, rule) = self.first(ids, guess, |spelling| self.known(spelling, named, &log))?;
        self.tally.hit(rule);
        Some(found)
    }

    /// Finds the part of a receipt that names the part's session as it is spelled. Nothing is
    /// noted of another one, which is looked for again.
    pub(crate) fn find_certain(
        &mut self,
        ids: &[Box<str>],
        named: &Named,
        log: impl Fn(u128) -> Option<Found>,
    ) -> Option<PartRef> {
        let (found, rule) = self.first(ids, false, |spelling| self.known(spelling, named, &log))?;
        found.is_certain.then(|| {
            self.tally.hit(rule);
            found.part
        })
    }

    /// Finds the part of a receipt by the id alone, if only one customer was sent parts with it.
    pub(crate) fn find_alone(
        &mut self,
        ids: &[Box<str>],
        log: impl Fn(u128) -> Option<Found>,
    ) -> Option<PartRef> {
        let (found, rule) = self.first(ids, false, |spelling| {
            let key = address::provider_id_key(&self.channel, spelling);
            let stored = log(key).map(PartRef::of);
            let newest = self.recent(key).next().or(stored)?;
            let of_another = self.recent(key).chain(stored).any(|part| part.stream != newest.stream);
            let is_shared = of_another || log(address::shared_id_key(&self.channel, spelling)).is_some();
            Some((!is_shared).then_some(newest))
        })?;
        self.tally.hit(rule);
        found
    }

    /// Returns what `known` finds for the first of the ids' spellings for which it finds something,
    /// and the rule of the spelling.
    fn first<T>(
        &self,
        ids: &[Box<str>],
        guess: bool,
        known: impl Fn(&str) -> Option<T>,
    ) -> Option<(T, Rule)> {
        let base = if self.base == IdBase::Auto { self.tally.habit() } else { self.base };
        // Most ids come as spelled; the other spellings cost more to compute.
        let exact_first = matches!(base, IdBase::Auto | IdBase::Exact);
        for id in ids {
            if exact_first
                && !id.is_empty()
                && let Some(found) = known(id)
            {
                return Some((found, Rule::Exact));
            }
            for spelling in spelling::lookup_spellings(id, base) {
                if exact_first && spelling.rule == Rule::Exact {
                    continue;
                }
                let guessed = matches!(spelling.rule, Rule::DecimalToHex | Rule::HexToDecimal);
                if guessed && !guess && base == IdBase::Auto {
                    continue;
                }
                if let Some(found) = known(&spelling.key) {
                    return Some((found, spelling.rule));
                }
            }
        }
        None
    }

    /// Returns the part that is known under a spelling: of the session that the receipt names, else
    /// the newest of a customer whose address ends alike.
    fn known(&self, spelling: &str, named: &Named, log: impl Fn(u128) -> Option<Found>) -> Option<Match> {
        if !self.is_scoped || Sabotage::MatchByIdAlone.is_chosen() {
            let key = address::provider_id_key(&self.channel, spelling);
            let part = self.recent(key).next().or_else(|| log(key).map(PartRef::of))?;
            return Some(Match { part, is_certain: true });
        }
        let mut alike = None;
        let id_key = address::provider_id_key(&self.channel, spelling);
        for scope in &named.scopes {
            let key = address::scoped_id_key(id_key, *scope);
            let is_named = |part: &PartRef| named.streams.contains(&part.stream);
            let certain = self.recent(key).find(is_named);
            let stored = if certain.is_none() { log(key).map(PartRef::of) } else { None };
            if let Some(part) = certain.or(stored.filter(is_named)) {
                return Some(Match { part, is_certain: true });
            }
            alike = alike.or_else(|| self.recent(key).next()).or(stored);
        }
        alike.map(|part| Match { part, is_certain: false })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use message::Address;
    use proptest::prelude::*;

    use super::*;

    /// Numbers of which several share their last seven digits.
    const CUSTOMERS: [&str; 5] =
        ["4917600000001", "4917600000002", "4315500000001", "15550100002", "5511987654321"];

    fn stream(customer: &str, did: &str) -> StreamId {
        Address { channel: "sms".into(), did: did.into(), customer: customer.into() }
            .stream(&message::address::StreamKey::default())
    }

    /// Whom a receipt between two addresses names, as a channel finds it.
    fn named(source: &str, destination: &str) -> Named {
        let canonical = number::canonical;
        let (source, destination) = (canonical(source), canonical(destination));
        Named {
            streams: [stream(&source, &destination), stream(&destination, &source)].into_iter().collect(),
            alike: SmallVec::new(),
            scopes: [&source, &destination].into_iter().map(|address| scope(address)).collect(),
        }
    }

    #[test]
    fn a_receipt_whose_customer_is_spelled_otherwise_counts_once() {
        let mut correlation = Correlation::new("sms".into(), IdBase::Auto, true);
        let (sent, reported) = (CUSTOMERS[0], "017600000001");
        let part = PartRef { stream: stream(sent, "5155"), number: MessageNo(1), part: 0 };
        correlation.on_accepted("77", scope(sent), None, part, |_| None);
        let (ids, named) = ([Box::from("77")], named(reported, "5155"));
        assert_eq!(correlation.find_certain(&ids, &named, |_| None), None);
        assert_eq!(correlation.tally, Tally::default(), "it is looked for again");
        let found = correlation.find(&ids, &named, false, |_| None).unwrap();
        assert!(found.part == part && !found.is_certain);
        assert_eq!(correlation.tally.exact, 1);
    }

    /// One spelling of a customer's number, and the other address, on either side.
    fn spelled(customer: &str, style: u8) -> (String, String) {
        let did = "5155".to_owned();
        match style % 6 {
            0 => (format!("+{customer}"), did),
            1 => (format!("00{customer}"), did),
            2 => (customer.get(2..).map(|rest| format!("0{rest}")).unwrap(), "INFO".into()),
            3 => (did, customer.to_owned()),
            4 => ("INFO".into(), format!("+{customer}")),
            _ => (customer.to_owned(), did),
        }
    }

    proptest! {
        /// However customers share ids, and however receipts spell their addresses, an id never
        /// leads to a part of a customer whom the receipt does not name; and it does lead to the
        /// newest part with this id of the one whom it names.
        #[test]
        fn an_id_belongs_to_a_customer(
            accepted in prop::collection::vec((0usize..5, 1u8..4), 1..24),
            receipts in prop::collection::vec((0usize..5, 1u8..4, any::<u8>()), 1..24),
            restarts in 0usize..24,
        ) {
            let log = std::cell::RefCell::new(BTreeMap::<u128, Found>::new());
            let look_up = |key: u128| log.borrow().get(&key).copied();
            let new = || Correlation::new("sms".into(), IdBase::Auto, true);
            let mut correlation = new();
            let mut newest: BTreeMap<(usize, u8), PartRef> = BTreeMap::new();
            for (at, (who, id)) in accepted.iter().enumerate() {
                if at == restarts {
                    correlation = new();
                }
                let part = PartRef {
                    stream: stream(CUSTOMERS[*who], "5155"),
                    number: MessageNo(at as u32 + 1),
                    part: 0,
                };
                let scope = scope(CUSTOMERS[*who]);
                for key in correlation.on_accepted(&id.to_string(), scope, None, part, look_up) {
                    let b = u64::from(part.number.0) << 16;
                    log.borrow_mut().insert(key, Found { a: part.stream.0, b });
                }
                newest.insert((*who, *id), part);
            }
            for (who, id, style) in receipts {
                let (source, destination) = spelled(CUSTOMERS[who], style);
                let ids = [Box::from(id.to_string())];
                let found = correlation.find(&ids, &named(&source, &destination), false, look_up);
                // The session compares the whole address where only its end agrees.
                let own = found.filter(|found| {
                    let customer = CUSTOMERS.iter().find(|c| stream(c, "5155") == found.part.stream).unwrap();
                    found.is_certain || [&source, &destination].iter().any(|a| number::is_same(customer, a))
                });
                let right = newest.get(&(who, id)).copied();
                prop_assert!(own.is_none_or(|own| Some(own.part) == right), "{:?} {:?}", own, right);
                let ends_alike = newest.keys().any(|(other, i)| {
                    *i == id && *other != who && number::tail(CUSTOMERS[*other]) == number::tail(CUSTOMERS[who])
                });
                prop_assert!(ends_alike || own.map(|own| own.part) == right, "{:?} {:?}", own, right);
                // By the id alone it is found only if nobody else was given it.
                let others = newest.keys().filter(|(_, i)| *i == id).count();
                let alone = correlation.find_alone(&ids, look_up);
                prop_assert!(others <= 1 || alone.is_none(), "{:?}", alone);
                prop_assert!(others != 1 || alone.is_some());
            }
        }

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
