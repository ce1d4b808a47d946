//! Interprets the octets of an inbound SMS: user data header, data_coding, text. Tolerant: as much
//! as possible is read and the rest is marked; nothing here may fail, panic or drop a message.

use std::{borrow::Cow, fmt::Write as _};

use message::event::Alphabet;

use crate::text::{
    charsets,
    gsm7::{self, HighOctets, Tables},
    utf16,
};

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
pub struct Charset {
    /// The alphabet with which to decode the octets.
    pub alphabet: Alphabet,
    /// Whether it is a guess: the value is reserved, or the text is compressed.
    pub is_doubtful: bool,
}

/// Returns the character set of a data_coding (SMPP 3.4, 5.2.19; the GSM groups as in TS 23.038,
/// 4).
pub fn charset(data_coding: u8, decoding: &Decoding) -> Charset {
    let known = |alphabet| Charset { alphabet, is_doubtful: false };
    let default = decoding.default_alphabet;
    match data_coding {
        0x00 => known(default),
        // IA5 is ASCII, and Latin-1 reads ASCII.
        0x01 | 0x03 => known(Alphabet::Latin1),
        0x02 | 0x04 => known(Alphabet::Binary),
        0x08 => known(Alphabet::Ucs2),
        coded if charsets::is_known(coded) => known(Alphabet::Coded(coded)),
        // Reserved by SMPP, but flash messages arrive in the GSM general group with a class, and
        // others in the group that is marked for automatic deletion.
        0x10..=0x1F | 0x40..=0x5F => match data_coding & 0x0C {
            0x00 => known(default),
            0x04 => known(Alphabet::Binary),
            0x08 => known(Alphabet::Ucs2),
            _ => Charset { alphabet: default, is_doubtful: true },
        },
        // Compressed (TS 23.042), which nobody implements.
        0x20..=0x3F | 0x60..=0x7F => Charset { alphabet: Alphabet::Binary, is_doubtful: true },
        0xC0..=0xDF => known(default),
        0xE0..=0xEF => known(Alphabet::Ucs2),
        0xF0..=0xFF if data_coding & 0x04 == 0 => known(default),
        0xF0..=0xFF => known(Alphabet::Binary),
        // A receiver takes reserved codings for the default alphabet (TS 23.038, 4).
        _ => Charset { alphabet: default, is_doubtful: true },
    }
}

/// Returns the message class that a data_coding announces (TS 23.038, 4).
pub fn message_class(data_coding: u8) -> Option<u8> {
    let has_class =
        matches!(data_coding, 0x10..=0x1F | 0x30..=0x3F | 0x50..=0x5F | 0x70..=0x7F | 0xF0..=0xFF);
    has_class.then_some(data_coding & 0x03)
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
    let Charset { alphabet, is_doubtful } = charset(raw.data_coding, decoding);
    let mut doubtful = udh.malformed | is_doubtful;
    let (alphabet, octets) = match alphabet {
        Alphabet::Gsm7 => {
            let (alphabet, octets, missing) = gsm(&udh, octets, decoding);
            doubtful |= missing;
            (alphabet, octets)
        }
        alphabet => (alphabet, Cow::Borrowed(octets)),
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
    let high = octets.iter().any(|octet| *octet > 0x7F);
    if high && decoding.high == HighOctets::Replace && !decoding.packed {
        let (alphabet, octets) = not_gsm(octets);
        return (alphabet, octets, true);
    }
    match alphabet {
        Some(alphabet) if !(high && decoding.high == HighOctets::Latin1) => (alphabet, octets, missing),
        _ => {
            let (text, _) = gsm7::decode(&octets, &tables, decoding.high);
            (Alphabet::Ucs2, Cow::Owned(utf16::encode(text.chars())), missing)
        }
    }
}

/// Returns the alphabet of octets that GSM does not have: UTF-8 if they are that, else Latin-1.
/// Codes below 0x20 that no text in Latin-1 has are GSM, which the server mixes with Latin-1.
fn not_gsm(octets: Cow<'_, [u8]>) -> (Alphabet, Cow<'_, [u8]>) {
    if std::str::from_utf8(&octets).is_ok() {
        return (Alphabet::Provider, octets);
    }
    if octets.iter().all(|octet| matches!(octet, b'\n' | b'\r' | b'\t' | b' '..)) {
        return (Alphabet::Latin1, octets);
    }
    let (text, _) = gsm7::decode(&octets, &Tables::STANDARD, HighOctets::Latin1);
    (Alphabet::Ucs2, Cow::Owned(utf16::encode(text.chars())))
}

/// Decodes octets; returns the text, and whether part of it could not be read. Octets without an
/// alphabet are shown in hexadecimal.
pub fn decode(alphabet: Alphabet, octets: &[u8]) -> (String, bool) {
    match alphabet {
        Alphabet::Gsm7 | Alphabet::Gsm7Single(_) | Alphabet::Gsm7Locking(_) => {
            gsm7::decode(octets, &Tables::of(alphabet).unwrap_or(Tables::STANDARD), HighOctets::Replace)
        }
        Alphabet::Latin1 => (charsets::latin1(octets), false),
        Alphabet::Coded(data_coding) => charsets::decode(data_coding, octets),
        Alphabet::Ucs2 => utf16::decode(octets),
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
        for (codings, alphabet, is_doubtful) in [
            (&[0x00, 0x10, 0x40, 0x53, 0xC0, 0xD8, 0xF0, 0xF1, 0xF3][..], Alphabet::Gsm7, false),
            (&[0x01, 0x03], Alphabet::Latin1, false),
            (&[0x02, 0x04, 0x15, 0x44, 0xF4, 0xF5, 0xF7], Alphabet::Binary, false),
            (&[0x08, 0x18, 0x48, 0xE0, 0xEF], Alphabet::Ucs2, false),
            (&[0x05], Alphabet::Coded(5), false),
            (&[0x0E], Alphabet::Coded(14), false),
            (&[0x0B, 0x0C, 0x0F, 0x1C, 0x80, 0xBF], Alphabet::Gsm7, true),
            (&[0x20, 0x38, 0x60], Alphabet::Binary, true),
        ] {
            for coding in codings {
                assert_eq!(of(*coding), Charset { alphabet, is_doubtful }, "{coding:#x}");
            }
        }
        let latin = Decoding { default_alphabet: Alphabet::Latin1, ..Decoding::default() };
        assert_eq!(charset(0, &latin).alphabet, Alphabet::Latin1);
        for (data_coding, class) in
            [(0x10, 0), (0x18, 0), (0x11, 1), (0xF0, 0), (0xF2, 2), (0xF7, 3), (0x5A, 2)]
        {
            assert_eq!(message_class(data_coding), Some(class), "{data_coding:#x}");
        }
        for data_coding in [0x00, 0x08, 0x0E, 0x48, 0xC0, 0xE1] {
            assert_eq!(message_class(data_coding), None, "{data_coding:#x}");
        }
    }

    /// Servers that mean another alphabet by data_coding 0 (ksmppd 50, node-smpp 26).
    #[test]
    fn octets_that_are_no_gsm_are_read_all_the_same() {
        let of = |octets: &[u8], decoding: &Decoding| {
            let incoming = read(&Raw { udhi: false, data_coding: 0, octets, sar: None }, decoding);
            (decode(incoming.alphabet, &incoming.octets).0, incoming.doubtful)
        };
        let gsm = Decoding::default();
        for (octets, text) in [
            (&b"M\xFCller @ home_1"[..], "Müller @ home_1"),
            ("Müller @ home".as_bytes(), "Müller @ home"),
            (b"\x00 \xE9", "@ é"),
            ("Привет".as_bytes(), "Привет"),
            (b"5 \x80", "5 €"),
        ] {
            assert_eq!(of(octets, &gsm), (text.into(), true), "{text}");
        }
        let utf8 = Decoding { default_alphabet: Alphabet::Provider, ..gsm };
        assert_eq!(of("Grüße @".as_bytes(), &utf8), ("Grüße @".into(), false));
        let ucs2 = Decoding { default_alphabet: Alphabet::Ucs2, ..gsm };
        assert_eq!(of(&[0x06, 0x45], &ucs2), ("م".into(), false));
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
        check(5, false, b"\xB1", "ｱ", false);
        check(0x20, false, b"\xB1", "b1", true);
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
