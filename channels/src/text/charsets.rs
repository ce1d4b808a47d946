//! The character sets that SMPP 3.4 (5.2.19) names beside GSM, Latin-1 and UCS-2: Japanese, Korean,
//! Cyrillic and Hebrew. Servers mean different encodings by one name; the octets tell which.

use std::borrow::Cow;

use encoding_rs::{EUC_JP, EUC_KR, Encoding, ISO_8859_5, ISO_8859_8, SHIFT_JIS, WINDOWS_1252};

/// JIS X 0208-1990.
pub const JIS: u8 = 5;
/// ISO 8859-5.
pub const CYRILLIC: u8 = 6;
/// ISO 8859-8.
pub const HEBREW: u8 = 7;
/// Pictograms of Japanese networks, between Shift JIS.
pub const PICTOGRAMS: u8 = 9;
/// ISO-2022-JP.
pub const MUSIC: u8 = 10;
/// JIS X 0212-1990.
pub const EXTENDED_KANJI: u8 = 13;
/// KS C 5601.
pub const KOREAN: u8 = 14;

const ESCAPE: u8 = 0x1B;
const SHIFT_OUT: u8 = 0x0E;
const SHIFT_IN: u8 = 0x0F;

/// Returns whether [`decode`] knows the set of a data_coding.
pub fn is_known(data_coding: u8) -> bool {
    matches!(data_coding, JIS | CYRILLIC | HEBREW | PICTOGRAMS | MUSIC | EXTENDED_KANJI | KOREAN)
}

/// Decodes the octets of a whole text; returns it, and whether part of it could not be read.
pub fn decode(data_coding: u8, octets: &[u8]) -> (String, bool) {
    match data_coding {
        CYRILLIC => read(ISO_8859_5, octets),
        HEBREW => read(ISO_8859_8, octets),
        KOREAN => read(EUC_KR, &raised(&without_shifts(octets))),
        _ if octets.contains(&ESCAPE) => read(EUC_JP, &without_escapes(octets)),
        JIS | PICTOGRAMS | MUSIC | EXTENDED_KANJI => japanese(octets),
        _ => read(WINDOWS_1252, octets),
    }
}

/// Decodes Latin-1. C1 controls never occur in texts: servers that write them mean windows-1252.
pub fn latin1(octets: &[u8]) -> String {
    read(WINDOWS_1252, octets).0
}

fn read(encoding: &'static Encoding, octets: &[u8]) -> (String, bool) {
    let (text, lossy) = encoding.decode_without_bom_handling(octets);
    (text.into_owned(), lossy)
}

/// Reads EUC-JP, Shift JIS, or codes of JIS X 0208 without their escapes. EUC comes first: Shift
/// JIS reads most of it as half-width katakana, which JIS X 0208 does not have.
fn japanese(octets: &[u8]) -> (String, bool) {
    let raised = raised(octets);
    match EUC_JP.decode_without_bom_handling_and_without_replacement(&raised) {
        Some(text) => (text.into_owned(), false),
        None => read(SHIFT_JIS, octets),
    }
}

/// Returns double-byte codes of seven bits with their top bits set, as EUC has them. Text in ASCII
/// looks alike, except that few words are made of the rows of kana, hangul and punctuation.
fn raised(octets: &[u8]) -> Cow<'_, [u8]> {
    let (pairs, odd) = octets.as_chunks::<2>();
    let is_code = |pair: &[u8; 2]| pair.iter().all(|octet| (0x21..=0x7E).contains(octet));
    // Hiragana, katakana: rows 4 and 5.
    let is_kana = |pair: &&[u8; 2]| matches!(pair, [0x24..=0x25, _]);
    let kana = pairs.iter().filter(is_kana).count();
    if !odd.is_empty() || !pairs.iter().all(is_code) || kana == 0 || kana.saturating_mul(2) < pairs.len() {
        return Cow::Borrowed(octets);
    }
    Cow::Owned(octets.iter().map(|octet| octet | 0x80).collect())
}

/// Turns ISO-2022-JP, with the sets of JIS X 0212 and half-width katakana, into EUC-JP.
fn without_escapes(octets: &[u8]) -> Vec<u8> {
    /// The set that an escape selects.
    enum Set {
        Ascii,
        Kanji,
        Extended,
        Katakana,
    }
    let mut euc = Vec::with_capacity(octets.len());
    let (mut rest, mut set) = (octets, Set::Ascii);
    loop {
        rest = match (rest, &set) {
            ([], _) => return euc,
            ([ESCAPE, b'$', b'(', b'D', after @ ..], _) => {
                set = Set::Extended;
                after
            }
            ([ESCAPE, b'$', b'@' | b'B', after @ ..] | [ESCAPE, b'$', b'(', b'@' | b'B', after @ ..], _) => {
                set = Set::Kanji;
                after
            }
            ([ESCAPE, b'(', b'I', after @ ..], _) => {
                set = Set::Katakana;
                after
            }
            ([ESCAPE, b'(', _, after @ ..], _) => {
                set = Set::Ascii;
                after
            }
            ([octet @ (b'\n' | b'\r'), after @ ..], _) => {
                euc.push(*octet);
                set = Set::Ascii;
                after
            }
            ([first, second, after @ ..], Set::Kanji) => {
                euc.extend([first | 0x80, second | 0x80]);
                after
            }
            ([first, second, after @ ..], Set::Extended) => {
                euc.extend([0x8F, first | 0x80, second | 0x80]);
                after
            }
            ([octet, after @ ..], Set::Katakana) => {
                euc.extend([0x8E, octet | 0x80]);
                after
            }
            ([octet, after @ ..], _) => {
                euc.push(*octet);
                after
            }
        };
    }
}

/// Turns ISO-2022-KR (RFC 1557) into EUC-KR.
fn without_shifts(octets: &[u8]) -> Cow<'_, [u8]> {
    if !octets.contains(&SHIFT_OUT) {
        return Cow::Borrowed(octets);
    }
    let body = octets.strip_prefix(b"\x1B$)C").unwrap_or(octets);
    let (mut euc, mut is_out) = (Vec::with_capacity(body.len()), false);
    for octet in body {
        match *octet {
            SHIFT_OUT => is_out = true,
            SHIFT_IN => is_out = false,
            code @ 0x21..=0x7E if is_out => euc.push(code | 0x80),
            plain => euc.push(plain),
        }
    }
    Cow::Owned(euc)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sets of SMPP 3.4, 5.2.19, in the encodings that servers use for them (jsmpp 137,
    /// node-smpp 127, thingsboard 15477).
    #[test]
    fn each_coding_in_each_encoding() {
        for (data_coding, octets, text) in [
            (JIS, &b"\x82\xB1\x82\xF1\x82\xC9\x82\xBF\x82\xCD"[..], "こんにちは"),
            (JIS, b"\xA4\xB3\xA4\xF3\xA4\xCB\xA4\xC1\xA4\xCF", "こんにちは"),
            (JIS, b"$3$s$K$A$O", "こんにちは"),
            (JIS, b"\x1B$B$3$s$K$A$O\x1B(B!", "こんにちは!"),
            (JIS, b"Order 12 of $24", "Order 12 of $24"),
            (JIS, b"\xB1\xB2\xB3", "ｱｲｳ"),
            (PICTOGRAMS, b"\x93\xFA\x96{", "日本"),
            (MUSIC, b"\x1B$BF|K\\\x1B(J abc", "日本 abc"),
            (MUSIC, b"\x1B(I1\x1B(B", "ｱ"),
            (EXTENDED_KANJI, b"\x8F\xB0\xA1\xA4\xB3", "丂こ"),
            (EXTENDED_KANJI, b"\x1B$(D0!\x1B(B", "丂"),
            (KOREAN, b"\xBE\xC8\xB3\xE7 ok", "안녕 ok"),
            (KOREAN, b"\x1B$)C\x0E>H3g\x0F ok", "안녕 ok"),
            // Windows-949 beyond KS C 5601.
            (KOREAN, b"\x8C\x63", "똠"),
            (CYRILLIC, b"\xBF\xE0\xD8\xA1\xF0\xFD.", "ПриЁ№§."),
            (HEBREW, b"\xF9\xEC\xE5\xED", "שלום"),
        ] {
            assert!(is_known(data_coding));
            assert_eq!(decode(data_coding, octets), (text.to_owned(), false), "{data_coding} {octets:x?}");
        }
        assert_eq!(latin1(b"M\xFCller \x80 5 \x93ok\x94"), "Müller € 5 “ok”");
        assert!(decode(KOREAN, b"\xBE").1);
    }

    #[test]
    fn any_octets_are_a_text() {
        for data_coding in 0..=u8::MAX {
            for first in 0..=u8::MAX {
                let octets = [first, 0x1B, b'$', first, data_coding, 0x0E, first];
                for end in 0..=octets.len() {
                    decode(data_coding, octets.get(..end).unwrap_or_default());
                }
            }
        }
    }
}
