//! SMS texts as a handset sees them: alphabets and user data headers, both ways. Written apart from the
//! router's own, so that a mistake there shows here instead of cancelling out.

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

/// A character's septets, one octet each; none when the alphabet lacks it.
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

/// The text of octets under a data_coding, for people and for comparison.
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

/// A text as units that must not be cut, and its data_coding.
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

/// The data_coding of a text, and its octets cut into parts of at most so many octets.
pub(super) fn encode_parts(text: &str, gsm_octets_max: usize, ucs2_octets_max: usize) -> (u8, Vec<Vec<u8>>) {
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
    (data_coding, parts)
}

/// Which part of which long message a PDU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Concat {
    pub(super) reference: u16,
    pub(super) total: u8,
    pub(super) number: u8,
}

/// The octets of the text without their header, and which part they are, if of several.
pub(super) fn read<'a>(message: &ShortMessage<'a>) -> (&'a [u8], Option<Concat>) {
    let octets = message.text();
    let sar = || {
        let number = |tag| message.tlvs.number(tag);
        Some(Concat {
            reference: u16::try_from(number(SAR_MSG_REF_NUM)?).ok()?,
            total: u8::try_from(number(SAR_TOTAL_SEGMENTS)?).ok()?,
            number: u8::try_from(number(SAR_SEGMENT_SEQNUM)?).ok()?,
        })
    };
    let (text, concat) = if message.esm_class & 0x40 == 0 { (octets, sar()) } else { header(octets) };
    (text, concat.filter(|concat| concat.total > 1 && (1..=concat.total).contains(&concat.number)))
}

fn header(octets: &[u8]) -> (&[u8], Option<Concat>) {
    let Some((length, rest)) = octets.split_first() else { return (octets, None) };
    let Some((mut elements, text)) = rest.split_at_checked(usize::from(*length)) else {
        return (octets, None);
    };
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
    (text, concat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_back_as_written() {
        for (text, data_coding) in [("@Hello {€} ñ\n", 0), ("Здравствуй 😀", 8), ("", 0)] {
            let (coding, parts) = encode_parts(text, 5, 6);
            assert_eq!(coding, data_coding);
            assert!(parts.iter().all(|part| part.len() <= 6));
            assert_eq!(decode(coding, &parts.concat()), text);
        }
        assert_eq!(BASIC.chars().count(), 128);
        assert_eq!(decode(4, &[0, 0xAB]), "00ab");
    }

    #[test]
    fn a_long_emoji_text_is_cut_between_characters() {
        let (_, parts) = encode_parts(&"😀".repeat(40), 153, 134);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [132, 28]);
    }

    #[test]
    fn headers_are_read_and_hostile_ones_survived() {
        let part = |reference, total, number| Some(Concat { reference, total, number });
        assert_eq!(header(&[5, 0, 3, 9, 2, 1, b'a']), (&b"a"[..], part(9, 2, 1)));
        assert_eq!(header(&[6, 8, 4, 1, 2, 2, 2]), (&b""[..], part(258, 2, 2)));
        assert_eq!(header(&[9, 0, 3]), (&[9, 0, 3][..], None));
        assert_eq!(header(&[2, 0, 200, b'x']), (&b"x"[..], None));
        assert_eq!(header(&[]), (&b""[..], None));
    }
}
