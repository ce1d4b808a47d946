//! Credentials and signatures as providers use them: pure, in constant time where a secret is
//! compared.

use base64::{
    Engine as _, alphabet,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD},
    },
};
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// `Basic` of a user and a password.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// `Bearer` of a token.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// SHA-256.
pub fn sha256(octets: &[u8]) -> Vec<u8> {
    Sha256::digest(octets).to_vec()
}

/// HMAC-SHA-256.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    mac::<Hmac<Sha256>>(key, message)
}

/// HMAC-SHA-1, for providers that still sign so.
pub fn hmac_sha1(key: &[u8], message: &[u8]) -> Vec<u8> {
    mac::<Hmac<Sha1>>(key, message)
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <M as Mac>::new_from_slice(key) else { return Vec::new() };
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Whether two octet strings are equal, in a time that depends on their lengths only.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |sum, (l, r)| sum | (l ^ r)) == 0
}

/// Lower-case hexadecimal.
pub fn hex(octets: &[u8]) -> String {
    hex::encode(octets)
}

/// Octets of hexadecimal in any case.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok()
}

/// Standard base64 with padding.
pub fn base64(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

/// Octets of standard base64 with padding.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok()
}

/// Octets of base64 in either alphabet, with or without padding.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
    GeneralPurpose::new(&alphabet, config).decode(text.trim()).ok()
}

/// Whether an Ed25519 signature holds.
pub fn ed25519(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = <[u8; 32]>::try_from(public_key) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    VerifyingKey::from_bytes(&key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use crate::toolkit::auth::*;

    #[test]
    fn signatures_agree_with_the_standards() {
        // RFC 4231, test case 2; RFC 2202, test case 2; RFC 8032, section 7.1, test 2.
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let mac = hmac_sha1(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let key = unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap();
        let signature = unhex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        )
        .unwrap();
        assert!(ed25519(&key, &[0x72], &signature));
        assert!(!ed25519(&key, &[0x73], &signature));
        assert!(!ed25519(&key[1..], &[0x72], &signature));
    }
}
