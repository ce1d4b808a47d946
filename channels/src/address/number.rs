//! Telephone numbers as people and providers spell them, in one canonical spelling: digits without
//! `+`.

use std::{borrow::Cow, sync::Arc};

use smallvec::SmallVec;

/// Maximum number of digits (E.164); longer addresses are refused.
const DIGITS_MAX: usize = 15;
/// Number of digits at the end of a number that a national spelling keeps in every country.
const TAIL_DIGITS: usize = 7;
/// Maximum number of digits before a national number: the country's, and one for mobiles.
const PREFIX_DIGITS_MAX: usize = 4;

/// A customer's address that is not a telephone number: empty, with letters, or too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "channelCustomerIdentifier {0:?} is not a telephone number: expected up to {DIGITS_MAX} digits, with or without +"
)]
pub struct InvalidNumber(pub Box<str>);

/// Returns a customer's number in the canonical spelling.
///
/// # Errors
/// The address is not a telephone number; names cannot answer.
pub fn customer(address: &str) -> Result<Arc<str>, InvalidNumber> {
    let canonical = canonical(address);
    if canonical.is_empty() || !is_digits(&canonical) || canonical.len() > DIGITS_MAX {
        return Err(InvalidNumber(address.into()));
    }
    Ok(Arc::from(&*canonical))
}

/// Removes the punctuation around a number's digits, and the type that an SMPP channel writes
/// behind them (`;ton=2`); an address with letters is only trimmed. Borrowed where nothing stands
/// between the digits.
pub fn canonical(address: &str) -> Cow<'_, str> {
    let address = match address.find(';').and_then(|_| address.split_once(";ton=")) {
        Some((digits, _)) => digits.trim(),
        None => address.trim(),
    };
    let (bare, has_plus) = without_plus(address);
    if !is_digits(bare) && address.chars().any(char::is_alphabetic) {
        return Cow::Borrowed(address);
    }
    let digits = without_punctuation(bare);
    match digits.strip_prefix("00").map(str::len) {
        Some(rest) if rest > 6 && !has_plus => match digits {
            Cow::Borrowed(digits) => Cow::Borrowed(digits.get(2..).unwrap_or(digits)),
            Cow::Owned(digits) => Cow::Owned(digits.get(2..).unwrap_or(&digits).to_owned()),
        },
        _ => digits,
    }
}

/// Returns an address without its `+`, and whether it had one.
pub(crate) fn without_plus(address: &str) -> (&str, bool) {
    match address.strip_prefix('+') {
        Some(rest) => (rest, true),
        None => (address, false),
    }
}

/// Returns a number without the characters that people put between its digits.
pub(crate) fn without_punctuation(number: &str) -> Cow<'_, str> {
    const PUNCTUATION: [char; 6] = [' ', '-', '.', '(', ')', '/'];
    if is_digits(number) {
        return Cow::Borrowed(number);
    }
    number.chars().filter(|c| !PUNCTUATION.contains(c)).collect::<String>().into()
}

/// Returns whether a text is empty or of digits alone.
pub(crate) fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns other numbers that reach the same telephone: Brazil's mobiles with and without the ninth
/// digit, Mexico's with and without the 1 that was dropped in 2019. Providers mix the spellings
/// within one conversation.
pub fn variants(canonical: &str) -> SmallVec<[String; 1]> {
    let mut variants = SmallVec::new();
    if !is_digits(canonical) {
        return variants;
    }
    if let Some(national) = canonical.strip_prefix("55") {
        let (area, subscriber) = national.split_at_checked(2).unwrap_or_default();
        match subscriber.as_bytes() {
            // Eight digits with this beginning were always a mobile; landlines begin with 2 to 5.
            [b'6'..=b'9', ..] if subscriber.len() == 8 => variants.push(format!("55{area}9{subscriber}")),
            [b'9', b'6'..=b'9', ..] if subscriber.len() == 9 => {
                variants.extend(subscriber.get(1..).map(|old| format!("55{area}{old}")));
            }
            _ => {}
        }
    } else if let Some(national) = canonical.strip_prefix("52") {
        match (national.len(), national.strip_prefix('1')) {
            (10, _) => variants.push(format!("521{national}")),
            (11, Some(rest)) => variants.push(format!("52{rest}")),
            _ => {}
        }
    }
    variants
}

/// Returns the end of an address that all spellings of it share: the last seven digits of a number,
/// whatever stands before them; a name in lower case. Different addresses may share it, see
/// [`is_same`].
pub fn tail(address: &str) -> Cow<'_, str> {
    let canonical = canonical(address);
    if !is_digits(&canonical) {
        return canonical.to_lowercase().into();
    }
    let zeros = canonical.len() - canonical.trim_start_matches('0').len();
    let from = canonical.len().saturating_sub(TAIL_DIGITS).max(zeros);
    match canonical {
        Cow::Borrowed(digits) => Cow::Borrowed(digits.get(from..).unwrap_or(digits)),
        Cow::Owned(digits) => Cow::Owned(digits.get(from..).unwrap_or(&digits).to_owned()),
    }
}

/// Returns whether two addresses may be spellings of one: with `+`, `00`, a national `0` or without
/// the country, with and without the digits of [`variants`]. Two whole international numbers are
/// never one.
pub fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (canonical(one), canonical(other));
    if one.is_empty() || other.is_empty() {
        return false;
    }
    if !is_digits(&one) || !is_digits(&other) {
        return one.to_lowercase() == other.to_lowercase();
    }
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    if one.is_empty() || other.is_empty() {
        return false;
    }
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let national = short.len() >= TAIL_DIGITS && long.ends_with(short);
    short == long
        || (national && long.len() - short.len() <= PREFIX_DIGITS_MAX)
        || variants(long).iter().chain(&variants(short)).any(|variant| variant == short || variant == long)
}

/// Returns a number with `+`, as E.164 providers expect it. Short codes (up to 6 digits), names,
/// and national numbers with their 0 stay unchanged: no international number begins with 0.
pub fn e164(address: &str) -> String {
    let canonical = canonical(address);
    if canonical.len() > 6 && is_digits(&canonical) && !canonical.starts_with('0') {
        return format!("+{canonical}");
    }
    canonical.into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::address::number::*;

    #[test]
    fn variants_are_the_other_spellings_of_one_telephone() {
        for (number, expected) in [
            ("5511987654321", &["551187654321"][..]),
            ("551187654321", &["5511987654321"]),
            ("551133334444", &[]),
            ("5511912345678", &[]),
            ("5215512345678", &["525512345678"]),
            ("525512345678", &["5215512345678"]),
            ("4917600000001", &[]),
            ("55", &[]),
            ("52", &[]),
            ("", &[]),
            ("user-55", &[]),
        ] {
            assert_eq!(variants(number).as_slice(), expected, "{number}");
        }
    }

    #[test]
    fn spellings_of_one_number_are_the_same_and_share_their_tail() {
        for (one, other) in [
            ("4917600000001", "+4917600000001"),
            ("4917600000001", "004917600000001"),
            ("4917600000001", "017600000001"),
            ("4917600000001", "17600000001"),
            ("15550100002", "5550100002"),
            ("3545550001", "5550001"),
            ("5511987654321", "551187654321"),
            ("525512345678", "5215512345678"),
            ("7600003300", "+49 7600 003300"),
            ("5155", "05155"),
            ("Cafe", "CAFE"),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one} {other}");
            assert_eq!(tail(one), tail(other), "{one} {other}");
        }
        for (one, other) in [
            ("4917600000001", "4917600000002"),
            ("4915500000001", "4316500000001"),
            ("4917600000001", "0000001"),
            ("5155", "95155"),
            ("", ""),
            ("0", "00"),
            ("Cafe", "Tea"),
            ("4917600000001", "INFO"),
        ] {
            assert!(!is_same(one, other) && !is_same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn only_international_numbers_get_a_plus() {
        for (address, expected) in [
            ("4917600000001", "+4917600000001"),
            ("0049 176 00000001", "+4917600000001"),
            ("+1 (202) 555-0100", "+12025550100"),
            ("0176 00000001", "017600000001"),
            ("72727", "72727"),
            ("Patch Bay", "Patch Bay"),
        ] {
            assert_eq!(e164(address), expected, "{address}");
        }
        assert!(customer("1234567890123456").is_err());
    }

    proptest! {
        #[test]
        fn what_is_the_same_shares_its_tail(one in "[+0]{0,2}[0-9]{0,14}", other in "[+0]{0,2}[0-9]{0,14}") {
            prop_assert!(!is_same(&one, &other) || tail(&one) == tail(&other));
        }

        #[test]
        fn a_variant_leads_back(number in "(55|52|521|49)?[0-9]{0,12}") {
            for variant in variants(&number) {
                prop_assert_ne!(&variant, &number);
                let back = variants(&variant);
                prop_assert!(back.contains(&number), "{} {:?}", variant, back);
            }
        }

        #[test]
        fn any_text_has_variants_or_none(text in "\\PC{0,20}") {
            prop_assert!(variants(&text).len() <= 1);
        }
    }
}
