//! The signatures of a POST to a destination: of its body alone, and those of Standard Webhooks,
//! which cover its id and time as well, so that a copy of it cannot be replayed later.

use std::sync::Arc;

use channels::toolkit::auth;
use hmac::{Hmac, Mac};
use message::Timestamp;
use sha2::Sha256;

use crate::seams::WebhookSignature;

/// Returns the value of `X-Patchbay-Signature`: `sha256=` and the HMAC of the body in hexadecimal.
pub(super) fn of_body(key: &[u8], body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(body);
    let mut text = String::with_capacity(7 + 64);
    text.push_str("sha256=");
    for byte in mac.finalize().into_bytes() {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

/// Returns the signature of Standard Webhooks with each key; `None` without a key.
pub(super) fn of_webhook(
    keys: &[Arc<[u8]>],
    id: &str,
    now: Timestamp,
    body: &[u8],
) -> Option<WebhookSignature> {
    if keys.is_empty() {
        return None;
    }
    let timestamp_s = now.0 / 1_000;
    let signed = [format!("{id}.{timestamp_s}.").as_bytes(), body].concat();
    let one = |key: &Arc<[u8]>| format!("v1,{}", auth::base64(&auth::hmac_sha256(key, &signed)));
    Some(WebhookSignature { timestamp_s, signatures: keys.iter().map(one).collect::<Vec<_>>().join(" ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_signs_the_id_the_time_and_the_body() {
        // The example of the specification, https://www.standardwebhooks.com.
        let key = auth::unbase64("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (keys, body) = ([Arc::from(key), Arc::from(*b"another key")], br#"{"test": 2432232314}"#);
        let at = Timestamp(1_614_265_330_999);
        let signed = of_webhook(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body).unwrap();
        assert_eq!(signed.timestamp_s, 1_614_265_330);
        let (new, old) = signed.signatures.split_once(' ').unwrap();
        assert_eq!(new, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(old.starts_with("v1,") && old != new, "{old}");
        assert_eq!(of_webhook(&[], "id", at, body), None);
    }
}
