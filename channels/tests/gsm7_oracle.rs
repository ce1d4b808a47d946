//! The crate `gsm7` as an oracle of our GSM 03.38 tables and packing (TS 23.038, 6.1.2 and 6.2.1).
//! Two differences: the escape code itself is not a character for us, and a single spare bit at the
//! end is zero (6.1.2.1, SMS), where `gsm7` sets it: it writes the first bit of the carriage return
//! with which USSD fills seven spare bits (6.1.2.3).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by a panic"
)]

use ::gsm7::{Gsm7Reader, Gsm7Writer};
use channels::text::gsm7::{HighOctets, Tables, decode, encode, pack, unpack};
use proptest::prelude::*;

/// Packs a text with the oracle, with a single spare bit at the end cleared; `None` when a
/// character is missing in its table.
fn packed_by_oracle(text: &str) -> Option<Vec<u8>> {
    let mut writer = Gsm7Writer::new(Vec::new());
    writer.write_str(text).ok()?;
    let mut packed = writer.into_writer().unwrap();
    if septets(text).is_some_and(|septets| septets.len() % 8 == 1) {
        let last = packed.last_mut().unwrap();
        assert_eq!(*last & 0x80, 0x80, "gsm7 no longer sets the spare bit");
        *last &= 0x7F;
    }
    Some(packed)
}

/// Encodes a text with our tables; `None` when a character is missing in them.
fn septets(text: &str) -> Option<Vec<u8>> {
    let mut septets = Vec::new();
    let is_lossy = encode(text, &Tables::STANDARD, &mut septets);
    (!is_lossy).then_some(septets)
}

#[test]
fn both_have_the_same_characters_under_the_same_codes() {
    let mut encodable = 0;
    for c in ('\0'..=char::MAX).filter(|c| *c != '\u{1B}') {
        let ours = septets(c.encode_utf8(&mut [0; 4]));
        let theirs = packed_by_oracle(c.encode_utf8(&mut [0; 4]));
        assert_eq!(ours.as_deref().map(|septets| pack(septets, 0)), theirs, "{c:?}");
        encodable += usize::from(ours.is_some());
    }
    assert_eq!(encodable, 127 + 10);
    assert_eq!(septets("\u{1B}"), None);
}

proptest! {
    #[test]
    fn packed_texts_are_the_same(text in "[@-Za-z0-9 €{}\\[\\]~^|äöüÄÖÜßñÑàéèùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞ\n\r]{0,160}") {
        let (ours, theirs) = (septets(&text), packed_by_oracle(&text));
        prop_assert_eq!(ours.is_some(), theirs.is_some());
        let (Some(ours), Some(theirs)) = (ours, theirs) else { return Ok(()) };
        let packed = pack(&ours, 0);
        prop_assert_eq!(&packed, &theirs);

        let read: String = Gsm7Reader::new(&packed[..]).take(text.chars().count()).map(Result::unwrap).collect();
        prop_assert_eq!(&read, &text);
        let unpacked = unpack(&theirs, 0, Some(ours.len()));
        prop_assert_eq!(decode(&unpacked, &Tables::STANDARD, HighOctets::Replace), (text, false));
    }
}
