//! SMS texts as a handset reads and writes them: alphabets and user data headers. Shares no code
//! with the router's own conversion, so that a mistake there shows here instead of cancelling out.

use std::sync::LazyLock;

use channels::smpp::{
    pdu::ShortMessage,
    tlv::{SAR_MSG_REF_NUM, SAR_SEGMENT_SEQNUM, SAR_TOTAL_SEGMENTS},
};

/// The GSM 03.38 default alphabet; 0x1B announces the extension.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENDED: &[(u8, char)] = &[
    (0x0A, '\u{0c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];
const ESCAPE: u8 = 0x1B;

static TABLE: LazyLock<Vec<char>> = LazyLock::new(|| BASIC.chars().collect());

fn gsm_char(code: u8) -> char {
    TABLE.get(usize::from(code)).copied().unwrap_or('\u{fffd}')
}

/// Returns a character's septets, one octet each; `None` when the alphabet lacks it.
fn gsm_code(c: char) -> Option<Vec<u8>> {
    if c == '\u{1b}' {
        return None;
    }
    if let Some(at) = TABLE.iter().position(|other| *other == c) {
        return u8::try_from(at).ok().map(|code| vec![code]);
    }
    EXTENDED.iter().find(|(_, other)| *other == c).map(|(code, _)| vec![ESCAPE, *code])
}

fn decode_gsm(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets.iter().copied();
    while let Some(octet) = rest.next() {
        if octet != ESCAPE {
            text.push(gsm_char(octet));
            continue;
        }
        let Some(code) = rest.next() else { break };
        let found = EXTENDED.iter().find(|(extended, _)| *extended == code);
        text.push(found.map_or_else(|| gsm_char(code), |(_, c)| *c));
    }
    text
}

/// Decodes octets under a data_coding, for people and for comparison.
pub(super) fn decode(data_coding: u8, octets: &[u8]) -> String {
    match data_coding {
        8 => {
            let (pairs, _) = octets.as_chunks::<2>();
            char::decode_utf16(pairs.iter().map(|pair| u16::from_be_bytes(*pair)))
                .map(|c| c.unwrap_or('\u{fffd}'))
                .collect()
        }
        3 => octets.iter().copied().map(char::from).collect(),
        2 | 4 | 0xF4..=0xF7 => octets.iter().map(|octet| format!("{octet:02x}")).collect(),
        _ => decode_gsm(octets),
    }
}

/// Encodes a text as units that must not be split, and returns its data_coding.
fn encode(text: &str) -> (u8, Vec<Vec<u8>>) {
    let gsm: Option<Vec<Vec<u8>>> = text.chars().map(gsm_code).collect();
    match gsm {
        Some(units) => (0, units),
        None => {
            let unit = |c: char| {
                let mut pair = [0; 2];
                c.encode_utf16(&mut pair).iter().flat_map(|unit| unit.to_be_bytes()).collect()
            };
            (8, text.chars().map(unit).collect())
        }
    }
}

/// An encoded text.
pub(super) struct EncodedParts {
    pub(super) data_coding: u8,
    pub(super) parts: Vec<Vec<u8>>,
}

/// Encodes a text and splits it into parts, whose maximum size depends on the alphabet.
pub(super) fn encode_parts(text: &str, gsm_octets_max: usize, ucs2_octets_max: usize) -> EncodedParts {
    let (data_coding, units) = encode(text);
    let octets_max = if data_coding == 0 { gsm_octets_max } else { ucs2_octets_max };
    let mut parts = vec![Vec::new()];
    for unit in units {
        let full = parts.last().is_none_or(|part| part.len() + unit.len() > octets_max);
        if full {
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.extend(unit);
        }
    }
    EncodedParts { data_coding, parts }
}

/// The place of a PDU among the parts of a long message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Concat {
    pub(super) reference: u16,
    pub(super) total: u8,
    pub(super) number: u8,
}

/// A part's octets without their header, and its place if there are several parts.
pub(super) struct PartText<'a> {
    pub(super) octets: &'a [u8],
    pub(super) concat: Option<Concat>,
}

/// Separates a message's text from its header.
pub(super) fn read<'a>(message: &ShortMessage<'a>) -> PartText<'a> {
    let octets = message.text();
    let sar = || {
        let number = |tag| message.tlvs.number(tag);
        Some(Concat {
            reference: u16::try_from(number(SAR_MSG_REF_NUM)?).ok()?,
            total: u8::try_from(number(SAR_TOTAL_SEGMENTS)?).ok()?,
            number: u8::try_from(number(SAR_SEGMENT_SEQNUM)?).ok()?,
        })
    };
    let part =
        if message.esm_class & 0x40 == 0 { PartText { octets, concat: sar() } } else { header(octets) };
    let is_valid = |concat: &Concat| concat.total > 1 && (1..=concat.total).contains(&concat.number);
    PartText { concat: part.concat.filter(is_valid), ..part }
}

/// Reads a user data header; a malformed one is taken for text.
fn header(octets: &[u8]) -> PartText<'_> {
    let whole = PartText { octets, concat: None };
    let Some((length, rest)) = octets.split_first() else { return whole };
    let Some((mut elements, text)) = rest.split_at_checked(usize::from(*length)) else { return whole };
    let mut concat = None;
    while let [kind, length, more @ ..] = elements {
        let Some((value, after)) = more.split_at_checked(usize::from(*length)) else { break };
        match (kind, value) {
            (0x00, [reference, total, number]) => {
                let reference = u16::from(*reference);
                concat = Some(Concat { reference, total: *total, number: *number });
            }
            (0x08, [high, low, total, number]) => {
                let reference = u16::from_be_bytes([*high, *low]);
                concat = Some(Concat { reference, total: *total, number: *number });
            }
            _ => {}
        }
        elements = after;
    }
    PartText { octets: text, concat }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back_as_written() {
        for (text, expected) in [("@Hello {€} ñ\n", 0), ("Здравствуй 😀", 8), ("", 0)] {
            let EncodedParts { data_coding, parts } = encode_parts(text, 5, 6);
            assert_eq!(data_coding, expected);
            assert!(parts.iter().all(|part| part.len() <= 6));
            assert_eq!(decode(data_coding, &parts.concat()), text);
        }
        assert_eq!(BASIC.chars().count(), 128);
        assert_eq!(decode(4, &[0, 0xAB]), "00ab");
    }

    #[test]
    fn a_long_emoji_text_is_split_between_characters() {
        let parts = encode_parts(&"😀".repeat(40), 153, 134).parts;
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [132, 28]);
    }

    #[test]
    fn headers_are_read_and_malformed_ones_survived() {
        let check = |octets: &[u8], text: &[u8], concat| {
            let part = header(octets);
            assert_eq!((part.octets, part.concat), (text, concat), "{octets:?}");
        };
        let part = |reference, total, number| Some(Concat { reference, total, number });
        check(&[5, 0, 3, 9, 2, 1, b'a'], b"a", part(9, 2, 1));
        check(&[6, 8, 4, 1, 2, 2, 2], b"", part(258, 2, 2));
        check(&[9, 0, 3], &[9, 0, 3], None);
        check(&[2, 0, 200, b'x'], b"x", None);
        check(&[], b"", None);
    }
}
