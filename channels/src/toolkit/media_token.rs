//! Addresses under which the business fetches customers' files: a token that names the file and
//! cannot be guessed. The key is handed in and never shown.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{contract::MediaRef, toolkit::auth};

/// Maximum length of a token, in octets; longer ones are refused unread.
pub const TOKEN_BYTES_MAX: usize = 6_144;

/// Returns the signed token of a channel's file.
pub fn token(key: &[u8], channel: &str, media: &MediaRef) -> String {
    let named = serde_json::json!([media.locator, media.content_type, media.file_name]).to_string();
    let signature = signature(key, channel, named.as_bytes());
    format!("{}.{}", URL_SAFE_NO_PAD.encode(named), URL_SAFE_NO_PAD.encode(signature))
}

/// Returns the file that a token names; `None` unless this key signed it.
pub fn open(key: &[u8], channel: &str, token: &str) -> Option<MediaRef> {
    let (named, signed) = token.split_once('.').filter(|_| token.len() <= TOKEN_BYTES_MAX)?;
    let named = URL_SAFE_NO_PAD.decode(named).ok()?;
    let signed = URL_SAFE_NO_PAD.decode(signed).ok()?;
    if !auth::equal(&signature(key, channel, &named), &signed) {
        return None;
    }
    let (locator, content_type, file_name) = serde_json::from_slice(&named).ok()?;
    Some(MediaRef { locator, content_type, file_name })
}

fn signature(key: &[u8], channel: &str, named: &[u8]) -> Vec<u8> {
    auth::hmac_sha256(key, &[channel.as_bytes(), b"\0", named].concat())
}

/// Returns the name under which a file is stored, derived from its channel and locator.
pub fn name(channel: &str, media: &MediaRef) -> String {
    use sha2::{Digest as _, Sha256};
    auth::hex(&Sha256::digest([channel.as_bytes(), b"\0", media.locator.as_bytes()].concat()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::toolkit::media_token::*;

    fn text() -> impl Strategy<Value = Box<str>> {
        "\\PC{0,40}".prop_map(Box::from)
    }

    proptest! {
        #[test]
        fn a_token_opens_with_its_own_key_and_channel_only(
            (locator, content_type, file_name) in (text(), prop::option::of(text()), prop::option::of(text())),
            key: [u8; 32],
            flip: prop::sample::Index,
        ) {
            let media = MediaRef { locator, content_type, file_name };
            let token = token(&key, "wa", &media);
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
            prop_assert_eq!(open(&key, "wa", &token), Some(media.clone()));
            prop_assert_eq!(open(&key, "other", &token), None);
            prop_assert_eq!(open(&[&key[..], b"x"].concat(), "wa", &token), None);
            let mut changed = token.clone().into_bytes();
            let at = flip.index(changed.len());
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            prop_assert_ne!(open(&key, "wa", &String::from_utf8(changed).unwrap()), Some(MediaRef {
                locator: "other".into(), ..media
            }));
        }

        #[test]
        fn any_text_is_a_token_or_none(text in "\\PC{0,60}") {
            prop_assert_eq!(open(b"key", "wa", &text), None);
        }
    }
}
