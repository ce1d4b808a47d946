//! Telephone numbers as people and providers spell them, in one canonical spelling: digits without
//! `+`.

use std::sync::Arc;

use smallvec::SmallVec;

/// Maximum number of digits, by SMPP's address field; longer addresses are refused.
const DIGITS_MAX: usize = 20;

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
    let digits = canonical.bytes().all(|b| b.is_ascii_digit());
    if canonical.is_empty() || !digits || canonical.len() > DIGITS_MAX {
        return Err(InvalidNumber(address.into()));
    }
    Ok(canonical.into())
}

/// Removes the punctuation around a number's digits; an address with letters is only trimmed.
pub fn canonical(address: &str) -> String {
    let address = address.trim();
    if address.chars().any(char::is_alphabetic) {
        return address.to_owned();
    }
    let bare = address.strip_prefix('+').unwrap_or(address);
    let digits: String = bare.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/')).collect();
    match digits.strip_prefix("00") {
        Some(rest) if rest.len() > 6 && !address.starts_with('+') => rest.to_owned(),
        _ => digits,
    }
}

/// Returns other numbers that reach the same telephone: Brazil's mobiles with and without the ninth
/// digit, Mexico's with and without the 1 that was dropped in 2019. Providers mix the spellings
/// within one conversation.
pub fn variants(canonical: &str) -> SmallVec<[String; 1]> {
    let mut variants = SmallVec::new();
    if !canonical.bytes().all(|b| b.is_ascii_digit()) {
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

/// Returns a number with `+`, as E.164 providers expect it. Short codes (up to 6 digits) and names
/// stay unchanged.
pub fn e164(address: &str) -> String {
    let canonical = canonical(address);
    if canonical.len() > 6 && canonical.bytes().all(|b| b.is_ascii_digit()) {
        return format!("+{canonical}");
    }
    canonical
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

    proptest! {
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
