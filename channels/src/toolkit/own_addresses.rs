//! Our own addresses as the provider states them, compared with those of the configuration: a
//! mistyped one would never be reached, and nothing else would say so.

use crate::contract::{Channel, OwnAddresses};

/// Maximum number of the provider's addresses that a mismatch names.
const NAMED_MAX: usize = 5;

/// Minimum length of a number with its country, in digits.
const NUMBER_DIGITS_MIN: usize = 8;

/// Compares the configured addresses with those that the provider states, and returns the fix for
/// those that it does not have.
pub fn mismatch<'d>(
    channel: &dyn Channel,
    dids: impl IntoIterator<Item = &'d str>,
    own: &OwnAddresses,
) -> Option<String> {
    if own.addresses.is_empty() {
        return None;
    }
    let canonical: Vec<_> = own.addresses.iter().map(|address| channel.did(address)).collect();
    let is_number = |did: &str| did.len() >= NUMBER_DIGITS_MIN && did.bytes().all(|b| b.is_ascii_digit());
    let wrong: Vec<String> = dids
        .into_iter()
        .filter(|did| {
            let did = channel.did(did);
            !canonical.contains(&did) && (!own.only_numbers || is_number(&did))
        })
        .map(|did| format!("{did:?}"))
        .collect();
    if wrong.is_empty() {
        return None;
    }
    let named: Vec<String> = own.addresses.iter().take(NAMED_MAX).map(|a| format!("{a:?}")).collect();
    let more = own.addresses.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let provider = channel.provider().name;
    let (called, first) = (own.called, own.addresses.first().map(|a| &**a).unwrap_or_default());
    Some(format!(
        "dids has {}, but {provider} says that this account's {called} is {}{more}: set dids = [{first:?}], or \
         use the credentials of the other account",
        wrong.join(", "),
        named.join(" or "),
    ))
}
