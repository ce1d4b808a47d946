//! Interprets the octets of an inbound SMS: user data header, data_coding, text. Tolerant: as much
//! as possible is read and the rest is marked; nothing here may fail, panic or drop a message.

use std::{borrow::Cow, fmt::Write as _};

use message::event::Alphabet;

use crate::text::gsm7::{self, HighOctets, Tables};

/// The position of a part in a long message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// The reference shared by the parts.
    pub reference: u16,
    /// The number of parts.
    pub total: u8,
    /// The part's number, from 1.
    pub number: u8,
}

impl Concat {
    /// TS 23.040: a header that contradicts itself is ignored. One of one is an ordinary message.
    fn believed(self) -> Option<Self> {
        (self.number >= 1 && self.number <= self.total && self.total > 1).then_some(self)
    }
}

/// The contents of a user data header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct UserDataHeader {
    /// The concatenation element, with an 8-bit or 16-bit reference.
    pub concatenation: Option<Concat>,
    /// Application ports: destination, source.
    pub ports: Option<(u16, u16)>,
    /// Language id of a national single shift table.
    pub single_shift: Option<u8>,
    /// Language id of a national locking shift table.
    pub locking_shift: Option<u8>,
    /// Length of the header in octets, its length octet included; 0 when it was rejected.
    pub octets: usize,
    /// Whether a length or value was wrong and the rest was salvaged.
    pub malformed: bool,
}

/// Parses the header before the text, and returns the text. A header that claims more octets than
/// present is taken for text: garbage can be seen and reported, lost words cannot.
pub fn read_udh(octets: &[u8]) -> (UserDataHeader, &[u8]) {
    let mut udh = UserDataHeader::default();
    let split = octets.split_first().and_then(|(length, rest)| rest.split_at_checked(usize::from(*length)));
    let Some((mut elements, text)) = split else {
        udh.malformed = true;
        return (udh, octets);
    };
    udh.octets = elements.len() + 1;
    while let [element, after @ ..] = elements {
        let value =
            after.split_first().and_then(|(length, rest)| rest.split_at_checked(usize::from(*length)));
        let Some((value, rest)) = value else {
            udh.malformed = true;
            break;
        };
        udh.read_element(*element, value);
        elements = rest;
    }
    (udh, text)
}

impl UserDataHeader {
    /// The last of repeated elements counts (TS 23.040); unknown ones are skipped.
    fn read_element(&mut self, element: u8, value: &[u8]) {
        match (element, value) {
            (0x00, &[reference, total, number]) => {
                self.read_concat(Concat { reference: u16::from(reference), total, number });
            }
            (0x08, &[high, low, total, number]) => {
                self.read_concat(Concat { reference: u16::from_be_bytes([high, low]), total, number });
            }
            (0x04, &[to, from]) => self.ports = Some((u16::from(to), u16::from(from))),
            (0x05, &[a, b, c, d]) => {
                self.ports = Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])));
            }
            (0x24, &[language]) => self.single_shift = Some(language),
            (0x25, &[language]) => self.locking_shift = Some(language),
            (0x00 | 0x04 | 0x05 | 0x08 | 0x24 | 0x25, _) => self.malformed = true,
            _ => {}
        }
    }

    fn read_concat(&mut self, concat: Concat) {
        match concat.believed() {
            Some(believed) => self.concatenation = Some(believed),
            None => self.malformed |= concat.total != 1 || concat.number != 1,
        }
    }
}

/// The way in which a channel's server encodes inbound text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoding {
    /// The alphabet of data_coding 0: [`Alphabet::Gsm7`], or [`Alphabet::Latin1`] on some servers.
    pub default_alphabet: Alphabet,
    /// The meaning of octets above 0x7F in GSM text.
    pub high: HighOctets,
    /// Whether GSM text is packed.
    pub packed: bool,
}

impl Default for Decoding {
    fn default() -> Self {
        Self { default_alphabet: Alphabet::Gsm7, high: HighOctets::Replace, packed: false }
    }
}

/// The character set that a data_coding announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// An alphabet that the log knows.
    Ours(Alphabet),
    /// ISO 8859-5.
    Cyrillic,
    /// ISO 8859-8.
    Hebrew,
    /// An unsupported set (Japanese, Korean, compressed, reserved): kept as octets.
    Unknown,
}

/// Returns the character set of a data_coding (SMPP 3.4, 5.2.19; the GSM groups as in TS 23.038,
/// 4).
pub fn charset(data_coding: u8, decoding: &Decoding) -> Charset {
    let default = Charset::Ours(decoding.default_alphabet);
    match data_coding {
        0x00 => default,
        // IA5 is ASCII, and Latin-1 reads ASCII.
        0x01 | 0x03 => Charset::Ours(Alphabet::Latin1),
        0x02 | 0x04 => Charset::Ours(Alphabet::Binary),
        0x06 => Charset::Cyrillic,
        0x07 => Charset::Hebrew,
        0x08 => Charset::Ours(Alphabet::Ucs2),
        // Reserved by SMPP, but flash messages arrive in the GSM general group with a class.
        0x10..=0x1F => match data_coding & 0x0C {
            0x00 => default,
            0x04 => Charset::Ours(Alphabet::Binary),
            0x08 => Charset::Ours(Alphabet::Ucs2),
            _ => Charset::Unknown,
        },
        0xC0..=0xDF => default,
        0xE0..=0xEF => Charset::Ours(Alphabet::Ucs2),
        0xF0..=0xFF if data_coding & 0x04 == 0 => default,
        0xF0..=0xFF => Charset::Ours(Alphabet::Binary),
        _ => Charset::Unknown,
    }
}

/// The text of one inbound PDU as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Whether esm_class announces a user data header (bit 0x40).
    pub udhi: bool,
    /// The PDU's data_coding.
    pub data_coding: u8,
    /// short_message, or message_payload when that is empty.
    pub octets: &'a [u8],
    /// The `sar_*` parameters, when all three are present.
    pub sar: Option<Concat>,
}

/// The interpreted text of one inbound PDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// The alphabet with which to [`decode`] the octets.
    pub alphabet: Alphabet,
    /// The text without its header: unpacked, and as UTF-16 where the log has no name for its
    /// alphabet.
    pub octets: Cow<'a, [u8]>,
    /// The position in a longer message. A header takes precedence over `sar_*`.
    pub concatenation: Option<Concat>,
    /// Application ports: destination, source.
    pub ports: Option<(u16, u16)>,
    /// Whether the header was damaged, or names an unknown language or data_coding.
    pub doubtful: bool,
}

/// Interprets the text of one inbound PDU.
pub fn read<'a>(raw: &Raw<'a>, decoding: &Decoding) -> Incoming<'a> {
    let (udh, octets) = if raw.udhi { read_udh(raw.octets) } else { (UserDataHeader::default(), raw.octets) };
    let mut doubtful = udh.malformed;
    let (alphabet, octets) = match charset(raw.data_coding, decoding) {
        Charset::Ours(Alphabet::Gsm7) => {
            let (alphabet, octets, missing) = gsm(&udh, octets, decoding);
            doubtful |= missing;
            (alphabet, octets)
        }
        Charset::Ours(alphabet) => (alphabet, Cow::Borrowed(octets)),
        Charset::Cyrillic => (Alphabet::Ucs2, Cow::Owned(utf16(octets.iter().map(|o| cyrillic(*o))))),
        Charset::Hebrew => (Alphabet::Ucs2, Cow::Owned(utf16(octets.iter().map(|o| hebrew(*o))))),
        Charset::Unknown => {
            doubtful = true;
            (Alphabet::Binary, Cow::Borrowed(octets))
        }
    };
    let concatenation = udh.concatenation.or_else(|| raw.sar.and_then(Concat::believed));
    Incoming { alphabet, octets, concatenation, ports: udh.ports, doubtful }
}

fn gsm<'a>(udh: &UserDataHeader, octets: &'a [u8], decoding: &Decoding) -> (Alphabet, Cow<'a, [u8]>, bool) {
    let mut octets = Cow::Borrowed(octets);
    if decoding.packed {
        octets = Cow::Owned(gsm7::unpack(&octets, gsm7::fill_bits(udh.octets), None));
    }
    let (tables, missing) = Tables::shifted(udh.locking_shift, udh.single_shift);
    // The log knows one language for both tables; the single shift tables contain the whole default
    // extension.
    let alphabet = match (udh.locking_shift, udh.single_shift) {
        _ if missing => None,
        (None, None) => Some(Alphabet::Gsm7),
        (None, Some(id)) => Some(Alphabet::Gsm7Single(id)),
        (Some(id), None) => Some(Alphabet::Gsm7Locking(id)),
        (Some(id), Some(other)) => (id == other).then_some(Alphabet::Gsm7Locking(id)),
    };
    let high = decoding.high == HighOctets::Latin1 && octets.iter().any(|octet| *octet > 0x7F);
    match alphabet {
        Some(alphabet) if !high => (alphabet, octets, missing),
        _ => {
            let (text, _) = gsm7::decode(&octets, &tables, decoding.high);
            (Alphabet::Ucs2, Cow::Owned(utf16(text.chars())), missing)
        }
    }
}

fn utf16(text: impl Iterator<Item = char>) -> Vec<u8> {
    let mut octets = Vec::new();
    for c in text {
        octets.extend(c.encode_utf16(&mut [0; 2]).iter().copied().flat_map(u16::to_be_bytes));
    }
    octets
}

fn cyrillic(octet: u8) -> char {
    let code = match octet {
        0xA1..=0xAC | 0xAE..=0xEF | 0xF1..=0xFC | 0xFE | 0xFF => 0x0400 + u32::from(octet) - 0xA0,
        0xF0 => 0x2116,
        0xFD => 0xA7,
        same => u32::from(same),
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn hebrew(octet: u8) -> char {
    match octet {
        0xAA => '×',
        0xBA => '÷',
        0xDF => '\u{2017}',
        0xE0..=0xFA => {
            char::from_u32(0x05D0 + u32::from(octet) - 0xE0).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        0xFD => '\u{200E}',
        0xFE => '\u{200F}',
        0xA1 | 0xBF..=0xDE | 0xFB | 0xFC | 0xFF => char::REPLACEMENT_CHARACTER,
        same => char::from(same),
    }
}

/// Decodes octets; returns the text, and whether part of it could not be read. Octets without an
/// alphabet are shown in hexadecimal.
pub fn decode(alphabet: Alphabet, octets: &[u8]) -> (String, bool) {
    match alphabet {
        Alphabet::Gsm7 | Alphabet::Gsm7Single(_) | Alphabet::Gsm7Locking(_) => {
            gsm7::decode(octets, &Tables::of(alphabet).unwrap_or(Tables::STANDARD), HighOctets::Replace)
        }
        Alphabet::Latin1 => (octets.iter().copied().map(char::from).collect(), false),
        Alphabet::Ucs2 => decode_ucs2(octets),
        Alphabet::Provider => match String::from_utf8_lossy(octets) {
            Cow::Borrowed(text) => (text.to_owned(), false),
            Cow::Owned(text) => (text, true),
        },
        Alphabet::Binary => {
            let mut text = String::with_capacity(octets.len() * 2);
            for octet in octets {
                // Writing to a String cannot fail.
                let _ = write!(text, "{octet:02x}");
            }
            (text, false)
        }
    }
}

/// An odd length is damage: plain ASCII under a wrong data_coding is read as ASCII, else the last
/// octet is dropped.
fn decode_ucs2(octets: &[u8]) -> (String, bool) {
    let (pairs, odd) = octets.as_chunks::<2>();
    let mut lossy = !odd.is_empty();
    if lossy && octets.iter().all(|octet| matches!(octet, b' '..=b'~' | b'\n' | b'\r')) {
        return (octets.iter().copied().map(char::from).collect(), true);
    }
    let units = pairs.iter().copied().map(u16::from_be_bytes);
    let text = char::decode_utf16(units).map(|c| {
        c.unwrap_or_else(|_| {
            lossy = true;
            char::REPLACEMENT_CHARACTER
        })
    });
    (text.collect(), lossy)
}

#[cfg(test)]
mod tests {
    use crate::text::incoming::*;

    fn concat(reference: u16, total: u8, number: u8) -> Option<Concat> {
        Some(Concat { reference, total, number })
    }

    #[test]
    fn headers_in_every_shape() {
        let check = |octets: &[u8], concatenation, ports, malformed, rest: &[u8]| {
            let (udh, text) = read_udh(octets);
            assert_eq!((udh.concatenation, udh.ports, udh.malformed), (concatenation, ports, malformed));
            assert_eq!(text, rest, "{octets:?}");
        };
        check(b"\x05\x00\x03\x2A\x02\x01hi", concat(42, 2, 1), None, false, b"hi");
        check(b"\x06\x08\x04\x01\x02\x03\x03hi", concat(258, 3, 3), None, false, b"hi");
        let ports = b"\x0B\x05\x04\x0B\x84\x23\xF0\x00\x03\x2A\x02\x01hi";
        check(ports, concat(42, 2, 1), Some((2948, 9200)), false, b"hi");
        // An unknown element first, then the same element twice: the last one counts.
        check(
            b"\x0D\x70\x01\xFF\x00\x03\x01\x02\x01\x00\x03\x02\x02\x02hi",
            concat(2, 2, 2),
            None,
            false,
            b"hi",
        );
        check(b"\x05\x00\x03\x2A\x01\x01hi", None, None, false, b"hi");
        check(b"\x05\x00\x03\x2A\x02\x03hi", None, None, true, b"hi");
        check(b"\x05\x00\x03\x2A\x00\x00hi", None, None, true, b"hi");
        check(b"\x05\x00\x09\x2A\x02\x01hi", None, None, true, b"hi");
        check(b"\x04\x00\x02\x2A\x02hi", None, None, true, b"hi");
        check(b"\x7F\x00\x03hi", None, None, true, b"\x7F\x00\x03hi");
        check(b"", None, None, true, b"");
        check(b"\x00hi", None, None, false, b"hi");
    }

    #[test]
    fn data_codings() {
        let of = |data_coding| charset(data_coding, &Decoding::default());
        use Charset::{Cyrillic, Hebrew, Ours, Unknown};
        for (codings, expected) in [
            (&[0x00, 0x10, 0xC0, 0xD8, 0xF0, 0xF1][..], Ours(Alphabet::Gsm7)),
            (&[0x01, 0x03], Ours(Alphabet::Latin1)),
            (&[0x02, 0x04, 0x15, 0xF4, 0xF5, 0xF7], Ours(Alphabet::Binary)),
            (&[0x08, 0x18, 0xE0, 0xEF], Ours(Alphabet::Ucs2)),
            (&[0x06], Cyrillic),
            (&[0x07], Hebrew),
            (&[0x05, 0x09, 0x0A, 0x0D, 0x0E, 0x1C, 0x20, 0x80, 0xBF], Unknown),
        ] {
            for coding in codings {
                assert_eq!(of(*coding), expected, "{coding:#x}");
            }
        }
        let latin = Decoding { default_alphabet: Alphabet::Latin1, ..Decoding::default() };
        assert_eq!(charset(0, &latin), Ours(Alphabet::Latin1));
    }

    #[test]
    fn texts_in_every_alphabet() {
        let check = |data_coding, udhi, octets: &[u8], text: &str, doubtful| {
            let raw = Raw { udhi, data_coding, octets, sar: None };
            let incoming = read(&raw, &Decoding::default());
            assert_eq!(decode(incoming.alphabet, &incoming.octets).0, text);
            assert_eq!(incoming.doubtful, doubtful, "{text}");
        };
        check(8, false, &[0x06, 0x45, 0x06, 0x31], "مر", false);
        check(6, false, b"\xBF\xE0\xD8\xA1\xF0\xFD.", "ПриЁ№§.", false);
        check(7, false, b"\xF9\xEC\xE5\xED", "שלום", false);
        check(5, false, b"\xB1", "b1", true);
        check(0, true, b"\x03\x24\x01\x01\x1Bs", "ş", false);
        check(0, true, b"\x03\x25\x01\x01\x04", "€", false);
        check(0, true, b"\x06\x25\x01\x03\x24\x01\x01\x1Bs\x06", "şú", false);
        check(0, true, b"\x03\x24\x01\x06ab\x1B\x65", "ab€", true);
        let packed = Decoding { packed: true, ..Decoding::default() };
        let mut octets = b"\x05\x00\x03\x01\x02\x01".to_vec();
        octets.extend(gsm7::pack(b"hellohello", gsm7::fill_bits(6)));
        let incoming = read(&Raw { udhi: true, data_coding: 0, octets: &octets, sar: None }, &packed);
        assert_eq!(*incoming.octets, *b"hellohello");
        let mixed = Decoding { high: HighOctets::Latin1, ..Decoding::default() };
        let incoming = read(&Raw { udhi: false, data_coding: 0, octets: b"\x00\xE9", sar: None }, &mixed);
        assert_eq!(decode(incoming.alphabet, &incoming.octets), ("@é".into(), false));
    }

    #[test]
    fn damaged_utf16_is_salvaged() {
        assert_eq!(decode(Alphabet::Ucs2, &[0x06, 0x45, 0x06]), ("م".into(), true));
        assert_eq!(decode(Alphabet::Ucs2, b"hello"), ("hello".into(), true));
        assert_eq!(decode(Alphabet::Ucs2, &[0xD8, 0x3C, 0, b'a']), ("\u{FFFD}a".into(), true));
    }
}
