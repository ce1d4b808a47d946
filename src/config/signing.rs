//! The secrets of the Standard Webhooks signature of a destination: one, or while it is replaced,
//! the new and the old one.

use std::sync::Arc;

use channels::toolkit::auth;
use secrecy::{ExposeSecret, SecretString};

use super::section::Section;

const KEY: &str = "signing_secrets";
/// The largest number of secrets at once.
const SECRETS_MAX: usize = 2;
/// The sizes of a key that the specification allows, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Reads the keys, the newest first.
pub(super) fn keys(section: &Section<'_>) -> Arc<[Arc<[u8]>]> {
    let secrets = section.secrets(KEY);
    if secrets.len() > SECRETS_MAX {
        section.problem(KEY, "expected at most 2 secrets: the new and the old one");
    }
    let keys: Vec<_> = secrets.iter().filter_map(key).collect();
    if keys.len() < secrets.len() {
        section.problem(
            KEY,
            "expected each secret as \"whsec_\" and 24 to 64 bytes in base64; make one with: \
             echo whsec_$(openssl rand -base64 32)",
        );
    }
    keys.into()
}

fn key(secret: &SecretString) -> Option<Arc<[u8]>> {
    let key = auth::unbase64(secret.expose_secret().strip_prefix("whsec_")?)?;
    KEY_BYTES.contains(&key.len()).then(|| key.into())
}
