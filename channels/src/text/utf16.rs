//! Inbound UTF-16: either order of octets, and parts cut anywhere.

/// The mark with which some senders begin a text: U+FEFF, of which the other order makes no
/// character.
const BIG_MARK: [u8; 2] = [0xFE, 0xFF];
const LITTLE_MARK: [u8; 2] = [0xFF, 0xFE];

/// Returns the byte order mark with which octets begin.
pub fn mark(octets: &[u8]) -> Option<[u8; 2]> {
    let first = *octets.first_chunk::<2>()?;
    [BIG_MARK, LITTLE_MARK].contains(&first).then_some(first)
}

/// Decodes a text without its byte order mark; returns whether part of it could not be read. An odd
/// length is damage: plain ASCII under a wrong data_coding is read as ASCII, else the last octet is
/// dropped.
pub(super) fn decode(octets: &[u8]) -> (String, bool) {
    let mark = mark(octets);
    let octets = mark.and_then(|mark| octets.strip_prefix(&mark)).unwrap_or(octets);
    let (pairs, odd) = octets.as_chunks::<2>();
    let mut lossy = !odd.is_empty();
    if lossy && octets.iter().all(|octet| matches!(octet, b' '..=b'~' | b'\n' | b'\r')) {
        return (octets.iter().copied().map(char::from).collect(), true);
    }
    let unit = if mark == Some(LITTLE_MARK) { u16::from_le_bytes } else { u16::from_be_bytes };
    let text = char::decode_utf16(pairs.iter().copied().map(unit)).map(|c| {
        c.unwrap_or_else(|_| {
            lossy = true;
            char::REPLACEMENT_CHARACTER
        })
    });
    (text.collect(), lossy)
}

/// Encodes characters, the high octet first.
pub(super) fn encode(text: impl Iterator<Item = char>) -> Vec<u8> {
    let mut octets = Vec::new();
    for c in text {
        octets.extend(c.encode_utf16(&mut [0; 2]).iter().copied().flat_map(u16::to_be_bytes));
    }
    octets
}

/// Joins neighbouring parts of a text whose first part begins with `mark`; some senders repeat it
/// in each part, others do not. UTF-16 cut at an odd octet is even again when joined; if not, an
/// octet was lost or added, and each odd part drops its last one so that the next is not shifted.
pub(super) fn join(parts: &[&[u8]], mark: Option<[u8; 2]>) -> Vec<u8> {
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let is_uneven = total % 2 == 1 && parts.len() > 1;
    let mut octets: Vec<u8> = mark.into_iter().flatten().collect();
    for part in parts {
        // Within a unit the octets do not form a mark.
        let bare = mark.filter(|_| octets.len().is_multiple_of(2)).and_then(|mark| part.strip_prefix(&mark));
        let part = bare.unwrap_or(part);
        let kept = if is_uneven { part.len() & !1 } else { part.len() };
        octets.extend(part.iter().take(kept));
    }
    octets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::text::utf16::*;

    fn little(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn a_mark_tells_the_order_and_is_no_text() {
        assert_eq!(decode(b"\xFF\xFE0\x000\x00 \x000\x001\x00"), ("00 01".into(), false));
        assert_eq!(decode(b"\xFE\xFF\x000\x000"), ("00".into(), false));
        assert_eq!(decode(b"\xFF\xFE"), (String::new(), false));
        // A mark elsewhere is a character, as is one of each order.
        assert_eq!(decode(b"\0a\xFE\xFF"), ("a\u{FEFF}".into(), false));
        assert_eq!(decode(b"\xFF\xFE0\0\x01"), ("0".into(), true));
    }

    proptest! {
        #[test]
        fn each_order_is_read_in_each_cut(
            text in "[^\u{FEFF}]{1,40}",
            cuts in prop::collection::vec(0_usize..90, 0..4),
            is_little in any::<bool>(),
            is_repeated in any::<bool>(),
        ) {
            let mark = if is_little { LITTLE_MARK } else { BIG_MARK };
            let octets = if is_little { little(&text) } else { encode(text.chars()) };
            // A sender that repeats the mark cuts between units.
            let grid = if is_repeated { 2 } else { 1 };
            let mut cuts: Vec<usize> = cuts.iter().map(|at| (at / grid * grid).min(octets.len())).collect();
            cuts.extend([0, octets.len()]);
            cuts.sort_unstable();
            let parts: Vec<Vec<u8>> = cuts.windows(2).enumerate().map(|(n, at)| {
                let has_mark = n == 0 || is_repeated;
                let own: Vec<u8> = if has_mark { mark.to_vec() } else { Vec::new() };
                [own, octets[at[0]..at[1]].to_vec()].concat()
            }).collect();
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(decode(&join(&parts, super::mark(parts[0]))), (text, false));
        }
    }
}
