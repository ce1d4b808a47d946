//! Spellings of a provider's message id: the keys to remember for an id in a submit's answer, and
//! the keys to look up when a receipt spells it differently. An id spelled as registered always
//! finds its own part, so tolerance never misplaces a receipt that an exact comparison would have
//! placed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Separates folded keys from ids as spelled: an id is a C-string and cannot contain it.
const FOLDED: char = '\0';
/// Maximum number of digits of a number whose base may be changed.
const DIGITS_MAX: usize = 16;
/// Number of hits after which a change of base counts as the server's habit.
const LEARNT_MIN: u32 = 16;

/// The base of ids in a server's receipts compared with its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdBase {
    /// Unknown: exact first, then folded, then with the base changed either way.
    #[default]
    Auto,
    /// Only the exact spelling.
    Exact,
    /// Replies are hexadecimal, receipts decimal.
    ReplyHexReceiptDec,
    /// Replies are decimal, receipts hexadecimal.
    ReplyDecReceiptHex,
}

/// The rule that derived a spelling from the receipt's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The spelling itself.
    Exact,
    /// Letters in one case, no leading zeros.
    Folded,
    /// The receipt's decimal number in hexadecimal.
    DecimalToHex,
    /// The receipt's hexadecimal number in decimal.
    HexToDecimal,
}

/// A key to look up, and the rule that derived it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling<'a> {
    /// The key, as [`register_spellings`] returns them.
    pub key: Cow<'a, str>,
    /// The rule that derived it.
    pub rule: Rule,
}

/// Returns the keys under which to remember an id from a submit's answer: as spelled, and folded
/// where that differs. An empty id has no keys: its part cannot be tracked.
pub fn register_spellings(id: &str) -> SmallVec<[Cow<'_, str>; 2]> {
    let mut keys = SmallVec::new();
    if id.is_empty() {
        return keys;
    }
    keys.push(Cow::Borrowed(id));
    if let Cow::Owned(folded) = fold(id) {
        keys.push(Cow::Owned(marked(&folded)));
    }
    keys
}

/// Returns the keys under which to look up an id from a receipt, in the order to try them; the
/// first hit counts.
///
/// With [`IdBase::Auto`] a changed base is a guess, and an early receipt could match a stranger:
/// try [`Rule::DecimalToHex`] and [`Rule::HexToDecimal`] only when the receipt waited for its reply
/// in vain. Where the base is declared, its rule comes first: there, a number as spelled belongs to
/// another message.
pub fn lookup_spellings(id: &str, base: IdBase) -> SmallVec<[Spelling<'_>; 8]> {
    let mut spellings = SmallVec::new();
    if id.is_empty() {
        return spellings;
    }
    let as_spelled = |spellings: &mut SmallVec<[Spelling<'_>; 8]>| {
        push_folded(spellings, &fold(id), Rule::Folded);
    };
    let exact = Spelling { key: Cow::Borrowed(id), rule: Rule::Exact };
    let to_hex = |spellings: &mut SmallVec<[Spelling<'_>; 8]>| {
        if let Some(hex) = number(id, 10).map(|number| format!("{number:x}")) {
            push_folded(spellings, &hex, Rule::DecimalToHex);
        }
    };
    let to_decimal = |spellings: &mut SmallVec<[Spelling<'_>; 8]>| {
        let decimal = number(id, 16).map(|number| number.to_string());
        if let Some(decimal) = decimal.filter(|decimal| decimal.len() <= DIGITS_MAX) {
            push_folded(spellings, &decimal, Rule::HexToDecimal);
        }
    };
    match base {
        IdBase::Exact => spellings.push(exact),
        IdBase::Auto => {
            spellings.push(exact);
            as_spelled(&mut spellings);
            to_hex(&mut spellings);
            to_decimal(&mut spellings);
        }
        IdBase::ReplyHexReceiptDec => {
            to_hex(&mut spellings);
            spellings.push(exact);
            as_spelled(&mut spellings);
        }
        IdBase::ReplyDecReceiptHex => {
            to_decimal(&mut spellings);
            spellings.push(exact);
            as_spelled(&mut spellings);
        }
    }
    spellings
}

/// A folded form is registered either as an id with that spelling, or marked.
fn push_folded(spellings: &mut SmallVec<[Spelling<'_>; 8]>, folded: &str, rule: Rule) {
    for key in [folded.to_owned(), marked(folded)] {
        if !spellings.iter().any(|known| known.key == key) {
            spellings.push(Spelling { key: Cow::Owned(key), rule });
        }
    }
}

fn marked(folded: &str) -> String {
    let mut key = String::with_capacity(folded.len() + 1);
    key.push(FOLDED);
    key.push_str(folded);
    key
}

/// Returns an id in lower case without leading zeros; borrowed when it already is.
fn fold(id: &str) -> Cow<'_, str> {
    let trimmed = id.trim_start_matches('0');
    let trimmed = if trimmed.is_empty() { "0" } else { trimmed };
    if trimmed.len() == id.len() && !id.bytes().any(|octet| octet.is_ascii_uppercase()) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(trimmed.to_ascii_lowercase())
}

/// Parses an id as a number: digits of the base and nothing else, never a UUID or a word.
fn number(id: &str, base: u32) -> Option<u64> {
    let digits = id.trim_start_matches('0');
    let plain = id.len() <= DIGITS_MAX + 4 && id.chars().all(|c| c.is_digit(base));
    if !plain || digits.is_empty() || digits.len() > DIGITS_MAX {
        return None;
    }
    u64::from_str_radix(digits, base).ok()
}

/// Counts the rules by which receipts found their parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Hits of the exact spelling.
    pub exact: u32,
    /// Hits of the folded spelling.
    pub folded: u32,
    /// Decimal receipts of hexadecimal replies.
    pub decimal_to_hex: u32,
    /// Hexadecimal receipts of decimal replies.
    pub hex_to_decimal: u32,
}

impl Tally {
    /// Counts a hit.
    pub fn hit(&mut self, rule: Rule) {
        let count = match rule {
            Rule::Exact => &mut self.exact,
            Rule::Folded => &mut self.folded,
            Rule::DecimalToHex => &mut self.decimal_to_hex,
            Rule::HexToDecimal => &mut self.hex_to_decimal,
        };
        *count = count.saturating_add(1);
    }

    /// Returns the server's habit once it shows: the base with which a channel set to
    /// [`IdBase::Auto`] should continue.
    pub fn habit(&self) -> IdBase {
        let plain = self.exact.saturating_add(self.folded);
        let shows = |hits: u32, other: u32| hits >= LEARNT_MIN && hits > plain.saturating_add(other);
        if shows(self.decimal_to_hex, self.hex_to_decimal) {
            IdBase::ReplyHexReceiptDec
        } else if shows(self.hex_to_decimal, self.decimal_to_hex) {
            IdBase::ReplyDecReceiptHex
        } else {
            IdBase::Auto
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use crate::address::spelling::*;

    fn registered(ids: &[String]) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        for id in ids {
            for key in register_spellings(id) {
                map.insert(key.into_owned(), id.clone());
            }
        }
        map
    }

    fn found(map: &BTreeMap<String, String>, id: &str, base: IdBase) -> Option<(String, Rule)> {
        let spellings = lookup_spellings(id, base);
        spellings.iter().find_map(|one| map.get(&*one.key).map(|found| (found.clone(), one.rule)))
    }

    fn check(reply: &str, receipt: &str, base: IdBase, expected: Option<Rule>) {
        let map = registered(&[reply.to_owned()]);
        assert_eq!(found(&map, receipt, base).map(|(_, rule)| rule), expected, "{reply} {receipt}");
    }

    #[test]
    fn spellings_seen_in_the_field() {
        use IdBase::{Auto, Exact, ReplyDecReceiptHex, ReplyHexReceiptDec};
        check("2A5F3C01", "710884353", Auto, Some(Rule::DecimalToHex));
        check("2A5F3C01", "0710884353", Auto, Some(Rule::DecimalToHex));
        check("2a5f3c01", "0710884353", ReplyHexReceiptDec, Some(Rule::DecimalToHex));
        check("0710884353", "2a5f3c01", Auto, Some(Rule::HexToDecimal));
        check("710884353", "2A5F3C01", ReplyDecReceiptHex, Some(Rule::HexToDecimal));
        check("710884353", "2A5F3C01", ReplyHexReceiptDec, None);
        check("00AB-x", "ab-X", Auto, Some(Rule::Folded));
        check("ab-x", "00AB-X", Auto, Some(Rule::Folded));
        check("00AB", "0AB", Exact, None);
        check("AB", "AB", Exact, Some(Rule::Exact));
        check("0", "000", Auto, Some(Rule::Folded));
        check("", "", Auto, None);
        let uuid = "0f9619ff-8b86-d011-b42d-00c04fc964ff";
        check(uuid, &uuid.to_uppercase(), Auto, Some(Rule::Folded));
        for never in [uuid, "12345678901234567890", "zz12", "1e5x", "+12", "-12"] {
            let changed = |one: &Spelling<'_>| one.rule > Rule::Folded;
            assert!(!lookup_spellings(never, Auto).iter().any(changed), "{never}");
        }
        assert!(register_spellings("1000").len() == 1, "one key for a plain id");
    }

    #[test]
    fn a_declared_base_reads_numbers_in_that_base() {
        // 1000 in a receipt is 3e8 in a reply; the reply 1000 is another message.
        let map = registered(&["1000".into(), "3e8".into()]);
        let of = |base| found(&map, "1000", base).map(|(id, _)| id);
        assert_eq!(of(IdBase::ReplyHexReceiptDec).as_deref(), Some("3e8"));
        assert_eq!(of(IdBase::Auto).as_deref(), Some("1000"));
    }

    #[test]
    fn a_habit_shows_after_a_while() {
        let mut tally = Tally::default();
        tally.hit(Rule::Exact);
        for _ in 0..LEARNT_MIN {
            assert_eq!(tally.habit(), IdBase::Auto);
            tally.hit(Rule::DecimalToHex);
        }
        assert_eq!(tally.habit(), IdBase::ReplyHexReceiptDec);
    }

    /// Ids of few letters, so that their spellings collide.
    fn ids() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::btree_set("0{0,2}[0-3aAfF]{1,3}(-x)?", 1..40)
            .prop_map(|ids| ids.into_iter().collect())
    }

    proptest! {
        #[test]
        fn an_exact_spelling_is_never_led_astray(ids in ids().prop_shuffle()) {
            let map = registered(&ids);
            for id in &ids {
                for base in [IdBase::Auto, IdBase::Exact] {
                    prop_assert_eq!(found(&map, id, base), Some((id.clone(), Rule::Exact)));
                }
            }
        }

        #[test]
        fn every_plausible_spelling_is_found(number: u64, zeros in 0_usize..4, upper: bool, style in 0..4) {
            let number = number >> 14;
            let (reply, receipt) = match style {
                0 => (format!("{number:x}"), number.to_string()),
                1 => (number.to_string(), format!("{number:x}")),
                2 => (format!("{number:x}"), format!("{number:x}")),
                _ => (number.to_string(), number.to_string()),
            };
            let respell = |id: String| format!("{}{}", "0".repeat(zeros), if upper { id.to_uppercase() } else { id });
            let map = registered(std::slice::from_ref(&reply));
            prop_assert!(reply.len() > DIGITS_MAX || found(&map, &respell(receipt.clone()), IdBase::Auto).is_some());
            let map = registered(&[respell(reply)]);
            prop_assert!(found(&map, &receipt, IdBase::Auto).is_some());
        }

        #[test]
        fn any_text_is_taken(id in ".{0,80}") {
            for base in [IdBase::Auto, IdBase::Exact, IdBase::ReplyDecReceiptHex, IdBase::ReplyHexReceiptDec] {
                let map = registered(std::slice::from_ref(&id));
                prop_assert_eq!(found(&map, &id, base).is_some(), !id.is_empty());
            }
        }
    }
}
