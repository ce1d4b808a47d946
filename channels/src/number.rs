//! Telephone numbers as people and providers spell them, in one canonical spelling: digits without `+`.

use std::sync::Arc;

use message::event::Cause;

use crate::provider::Rejection;

/// The most digits of a number, by SMPP's address field.
const DIGITS_MAX: usize = 20;

/// A customer's number, canonical.
///
/// # Errors
/// Names what is wrong: letters, nothing at all, too many digits. Nobody answers a name.
pub fn customer(address: &str) -> Result<Arc<str>, Rejection> {
    let canonical = canonical(address);
    let digits = canonical.bytes().all(|b| b.is_ascii_digit());
    if canonical.is_empty() || !digits || canonical.len() > DIGITS_MAX {
        let reason = format!(
            "channelCustomerIdentifier {address:?} is no telephone number: expected up to {DIGITS_MAX} digits, with or without +"
        );
        return Err(Rejection(Cause::new("400", reason)));
    }
    Ok(canonical.into())
}

/// A number without what people put around its digits; anything with letters as it is, trimmed.
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

/// With `+`, as E.164 providers want it. Short codes (up to 6 digits) and names stay as they are.
pub fn e164(address: &str) -> String {
    let canonical = canonical(address);
    if canonical.len() > 6 && canonical.bytes().all(|b| b.is_ascii_digit()) {
        return format!("+{canonical}");
    }
    canonical
}
