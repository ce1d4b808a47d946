//! The signatures that providers put on their webhooks. Written from their documentation alone,
//! never from the code that verifies them, so that the two sides can disagree.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Returns the HMAC-SHA256 of a message. A key may have any length, so there always is one.
pub(crate) fn hmac_sha256(key: &str, message: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        },
    )
}

/// Returns the HMAC-SHA1 of a message.
pub(crate) fn hmac_sha1(key: &str, message: &[u8]) -> Vec<u8> {
    Hmac::<Sha1>::new_from_slice(key.as_bytes()).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        },
    )
}

/// Returns the HMAC-SHA256 of a message in lower-case hexadecimal.
pub(crate) fn hmac_sha256_hex(key: &str, message: &[u8]) -> String {
    hex::encode(hmac_sha256(key, message))
}

/// Returns the HMAC-SHA1 of a message in base64.
pub(crate) fn hmac_sha1_base64(key: &str, message: &[u8]) -> String {
    STANDARD.encode(hmac_sha1(key, message))
}

/// Returns the SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256_hex(octets: &[u8]) -> String {
    hex::encode(Sha256::digest(octets))
}

/// Returns the Ed25519 key of a text: its 32 octets if it is base64, else its SHA-256.
fn ed25519(key: &str) -> SigningKey {
    let given = STANDARD.decode(key).ok().and_then(|octets| <[u8; 32]>::try_from(octets).ok());
    SigningKey::from_bytes(&given.unwrap_or_else(|| Sha256::digest(key.as_bytes()).into()))
}

/// Returns the Ed25519 signature in base64.
pub(crate) fn ed25519_base64(key: &str, message: &[u8]) -> String {
    STANDARD.encode(ed25519(key).sign(message).to_bytes())
}

/// Returns the public key that verifies it, in base64.
pub(crate) fn ed25519_public(key: &str) -> String {
    STANDARD.encode(ed25519(key).verifying_key().to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks published vectors: RFC 4231 case 2, RFC 2202 case 2, RFC 8032 test 2.
    #[test]
    fn published_vectors_come_out() {
        assert_eq!(
            hmac_sha256_hex("Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let sha1 = hex::decode("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79").unwrap();
        assert_eq!(hmac_sha1_base64("Jefe", b"what do ya want for nothing?"), STANDARD.encode(sha1));
        let secret = hex::decode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let public = hex::decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap();
        let signed = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
            085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        let secret = STANDARD.encode(secret);
        assert_eq!(ed25519_public(&secret), STANDARD.encode(public));
        assert_eq!(ed25519_base64(&secret, &[0x72]), STANDARD.encode(hex::decode(signed).unwrap()));
    }
}
