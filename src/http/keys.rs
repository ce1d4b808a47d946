//! API keys and the admin token. Both are compared in constant time and never printed, and may be
//! replaced while requests come.

use std::sync::Arc;

use actors::Origin;
use arc_swap::{ArcSwap, ArcSwapOption};
use http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

use crate::config::ApiKey;

/// The API keys of the public listener, each with the origin of its messages. Only their hashes are
/// kept.
pub struct Keys(ArcSwap<KeyList>);

type KeyList = Vec<(Digest, Origin)>;

/// The token of `[admin]`, which a reload may replace.
#[derive(Default)]
pub struct AdminToken(ArcSwapOption<SecretString>);

impl AdminToken {
    /// Takes the configured token; without one, everyone is admitted.
    pub fn new(token: Option<SecretString>) -> Self {
        Self(ArcSwapOption::new(token.map(Arc::new)))
    }

    /// Returns the token.
    pub fn get(&self) -> Option<Arc<SecretString>> {
        self.0.load_full()
    }

    /// Replaces the token.
    pub fn replace(&self, token: Option<SecretString>) {
        self.0.store(token.map(Arc::new));
    }
}

/// The SHA-256 of a key. Comparing hashes tells nothing of the length of a key.
type Digest = [u8; 32];

fn digest(key: &[u8]) -> Digest {
    Sha256::digest(key).into()
}

fn digests(keys: Vec<ApiKey>) -> KeyList {
    let digest_of =
        |k: ApiKey| (digest(k.key.expose_secret().as_bytes()), Origin { destination: k.destination });
    keys.into_iter().map(digest_of).collect()
}

impl Keys {
    /// Takes the configured keys. Without any key, every request is admitted.
    pub fn new(keys: Vec<ApiKey>) -> Self {
        Self(ArcSwap::from_pointee(digests(keys)))
    }

    /// Replaces the configured keys.
    pub fn replace(&self, keys: Vec<ApiKey>) {
        self.0.store(Arc::new(digests(keys)));
    }

    /// Whether every request is admitted, because a key is not configured.
    pub fn is_open(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Returns the origin of a request; `None` when its key is missing or wrong.
    pub fn origin(&self, headers: &HeaderMap) -> Option<Origin> {
        let keys = self.0.load();
        if keys.is_empty() {
            return Some(Origin::default());
        }
        let given = bearer(headers).or_else(|| headers.get("x-api-key").map(|v| v.as_bytes()))?;
        let given = digest(given);
        // Every key is compared, so that the time taken does not depend on which one matches.
        let mut found = None;
        for (key, origin) in keys.iter() {
            if same(&given, key) {
                found = Some(origin);
            }
        }
        found.cloned()
    }
}

/// Returns the token after `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Compares two secrets. The time taken tells neither where they differ nor how long they are.
pub fn same_secret(a: &[u8], b: &[u8]) -> bool {
    same(&digest(a), &digest(b))
}

/// Compares two values in a time that depends on their lengths only.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |all, (x, y)| std::hint::black_box(all | (x ^ y)));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_both_headers_and_nowhere_else() {
        let keys = Keys::new(vec![
            ApiKey { key: "one".into(), destination: None },
            ApiKey { key: "two".into(), destination: Some("crm".into()) },
        ]);
        let origin = |name: &'static str, value: &'static str| {
            keys.origin(&HeaderMap::from_iter([(
                header::HeaderName::from_static(name),
                header::HeaderValue::from_static(value),
            )]))
        };
        assert!(origin("authorization", "Bearer one").is_some());
        assert_eq!(origin("x-api-key", "two").unwrap().destination.unwrap().as_str(), "crm");
        for (name, value) in [
            ("authorization", "one"),
            ("authorization", "Bearer on"),
            ("x-api-key", "onee"),
            ("x-api-key", ""),
        ] {
            assert!(origin(name, value).is_none(), "{name} {value}");
        }
        assert!(Keys::new(vec![]).origin(&HeaderMap::new()).is_some());
        keys.replace(vec![ApiKey { key: "three".into(), destination: None }]);
        assert!(origin("x-api-key", "one").is_none() && origin("x-api-key", "three").is_some());
    }
}
