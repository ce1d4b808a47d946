//! Phone numbers in the forms that the providers' APIs accept.

/// Returns whether `number` is in E.164 form: `+` and 7 to 15 digits, the first of which is not 0.
pub(crate) fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && digits.bytes().all(|octet| octet.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

/// Returns whether `number` has 7 to 15 digits and nothing else.
pub(crate) fn is_digits(number: &str) -> bool {
    (7..=15).contains(&number.len()) && number.bytes().all(|octet| octet.is_ascii_digit())
}
