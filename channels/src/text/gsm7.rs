//! The GSM 03.38 alphabet (TS 23.038): characters to septets and back, one septet an octet as SMPP
//! carries it, and the packed form for the few peers that require it. Encoded text must never be
//! treated as a C-string: `@` is 0.

use message::event::Alphabet;

use crate::text::{
    default_tables::{DEFAULT, ESCAPE, EXTENSION},
    national,
};

/// Marks a character that the table lacks.
const ABSENT: u16 = u16::MAX;
/// Marks a code that follows an escape.
const ESCAPED: u16 = (ESCAPE as u16) << 8;

/// The inverse of the default tables for the first 256 characters, which covers nearly all GSM
/// text.
const LATIN: [u16; 256] = turned_round();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks the bounds")]
const fn turned_round() -> [u16; 256] {
    let mut table = [ABSENT; 256];
    let mut code = 0;
    while code < DEFAULT.len() {
        let c = DEFAULT[code] as usize;
        if c < 256 && code != ESCAPE as usize {
            table[c] = code as u16;
        }
        code += 1;
    }
    let mut at = 0;
    while at < EXTENSION.len() {
        let c = EXTENSION[at].1 as usize;
        if c < 256 {
            table[c] = ESCAPED | EXTENSION[at].0 as u16;
        }
        at += 1;
    }
    table
}

/// A character as one septet, or as an escape and a septet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(u16);

impl Code {
    fn plain(code: u8) -> Self {
        Self(u16::from(code))
    }

    fn escaped(code: u8) -> Self {
        Self(ESCAPED | u16::from(code))
    }

    /// Returns the number of septets: 1 or 2.
    pub fn septets(self) -> usize {
        if self.0 >= ESCAPED { 2 } else { 1 }
    }

    /// Appends the code, one septet an octet.
    pub fn push(self, octets: &mut Vec<u8>) {
        let [first, second] = self.0.to_be_bytes();
        if self.0 >= ESCAPED {
            octets.push(first);
        }
        octets.push(second);
    }
}

/// A pair of tables: the characters of septets, and of septets after an escape.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    base: &'static [char; 128],
    extension: &'static [(u8, char)],
    /// Whether neither table is a national one, so that the inverse table can be used.
    standard: bool,
}

impl Tables {
    /// GSM 03.38 without national tables.
    pub const STANDARD: Tables = Tables { base: &DEFAULT, extension: &EXTENSION, standard: true };

    /// Returns the tables that shift elements of a header select (language ids of TS 23.038), and
    /// whether one of them is unknown: the standard table then stands in, and the text should be
    /// marked.
    pub fn shifted(locking: Option<u8>, single: Option<u8>) -> (Tables, bool) {
        let base = locking.map(national::locking);
        let extension = single.map(national::single);
        let missing = base == Some(None) || extension == Some(None);
        let (base, extension) = (base.flatten(), extension.flatten());
        let standard = base.is_none() && extension.is_none();
        let (base, extension) = (base.unwrap_or(&DEFAULT), extension.unwrap_or(&EXTENSION));
        (Tables { base, extension, standard }, missing)
    }

    /// Returns the tables of a GSM alphabet; `None` for other alphabets.
    pub fn of(alphabet: Alphabet) -> Option<Tables> {
        match alphabet {
            Alphabet::Gsm7 => Some(Self::STANDARD),
            Alphabet::Gsm7Single(id) => Some(Self::shifted(None, Some(id)).0),
            Alphabet::Gsm7Locking(id) => Some(Self::shifted(Some(id), Some(id)).0),
            Alphabet::Provider
            | Alphabet::Ucs2
            | Alphabet::Latin1
            | Alphabet::Binary
            | Alphabet::Coded(_) => None,
        }
    }

    /// Returns the code of a character; `None` when the tables lack it.
    pub fn code(&self, c: char) -> Option<Code> {
        let standard = standard_code(c);
        if self.standard || standard.is_some_and(|code| self.decode_code(code) == c) {
            return standard;
        }
        if c == '\u{1B}' {
            return None;
        }
        let plain = self.base.iter().position(|&at| at == c).and_then(|code| u8::try_from(code).ok());
        plain
            .map(Code::plain)
            .or_else(|| self.extension.iter().find(|(_, at)| *at == c).map(|(code, _)| Code::escaped(*code)))
    }

    fn decode_code(&self, code: Code) -> char {
        let [_, low] = code.0.to_be_bytes();
        if code.0 >= ESCAPED { self.after_escape(low) } else { self.plain(low) }
    }

    fn plain(&self, octet: u8) -> char {
        self.base.get(usize::from(octet)).copied().unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// TS 23.038: a code that the extension lacks shows the base table's character; an escape here
    /// is a space.
    fn after_escape(&self, octet: u8) -> char {
        if octet == ESCAPE {
            return ' ';
        }
        let found = self.extension.iter().find(|(code, _)| *code == octet);
        found.map_or_else(|| self.plain(octet), |(_, c)| *c)
    }
}

/// Returns the code of a character in the standard tables; `None` when they lack it.
pub fn standard_code(c: char) -> Option<Code> {
    if let Some(&code) = LATIN.get(c as usize) {
        return (code != ABSENT).then_some(Code(code));
    }
    let code = match c {
        'Δ' => 0x10,
        'Φ' => 0x12,
        'Γ' => 0x13,
        'Λ' => 0x14,
        'Ω' => 0x15,
        'Π' => 0x16,
        'Ψ' => 0x17,
        'Σ' => 0x18,
        'Θ' => 0x19,
        'Ξ' => 0x1A,
        '€' => return Some(Code::escaped(0x65)),
        _ => return None,
    };
    Some(Code::plain(code))
}

/// Appends `text`, one septet an octet. Characters that the tables lack become `?`; returns whether
/// that happened.
pub fn encode(text: &str, tables: &Tables, octets: &mut Vec<u8>) -> bool {
    let mut lossy = false;
    octets.reserve(text.len());
    for c in text.chars() {
        match tables.code(c) {
            Some(code) => code.push(octets),
            None => {
                octets.push(b'?');
                lossy = true;
            }
        }
    }
    lossy
}

/// The meaning of octets of 0x80 and above in GSM text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum HighOctets {
    /// They are damage, shown as U+FFFD.
    #[default]
    Replace,
    /// They are Latin-1, which the server mixes in.
    Latin1,
}

/// Decodes unpacked octets; returns the text, and whether part of it could not be read.
pub fn decode(octets: &[u8], tables: &Tables, high: HighOctets) -> (String, bool) {
    let mut text = String::with_capacity(octets.len());
    let mut lossy = false;
    let mut octets = octets.iter().copied();
    while let Some(octet) = octets.next() {
        let (octet, escaped) = match octet {
            ESCAPE => (octets.next().unwrap_or(ESCAPE), true),
            plain => (plain, false),
        };
        text.push(match octet {
            0x80.. if high == HighOctets::Latin1 => char::from(octet),
            0x80.. => {
                lossy = true;
                char::REPLACEMENT_CHARACTER
            }
            _ if escaped => tables.after_escape(octet),
            _ => tables.plain(octet),
        });
    }
    (text, lossy)
}

/// Returns the number of fill bits that align the text after a header of this length to a septet
/// boundary.
pub fn fill_bits(header_octets: usize) -> usize {
    (7 - header_octets * 8 % 7) % 7
}

/// Packs septets (one an octet), eight into seven octets, after `fill` zero bits (0 to 6).
pub fn pack(septets: &[u8], fill: usize) -> Vec<u8> {
    let fill = fill.min(6);
    let mut packed = Vec::with_capacity((septets.len() * 7 + fill).div_ceil(8));
    let (mut held, mut bits) = (0_u16, fill);
    for &septet in septets {
        held |= u16::from(septet & 0x7F) << bits;
        bits += 7;
        if bits >= 8 {
            packed.push(held.to_le_bytes()[0]);
            held >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        packed.push(held.to_le_bytes()[0]);
    }
    packed
}

/// Unpacks septets after `fill` bits. Without a `count`, seven spare bits at the end cannot be
/// distinguished from `@`; they count as padding.
pub fn unpack(packed: &[u8], fill: usize, count: Option<usize>) -> Vec<u8> {
    let fill = fill.min(6);
    let whole = (packed.len() * 8).saturating_sub(fill) / 7;
    let mut septets = Vec::with_capacity(whole);
    let (mut held, mut bits) = (0_u16, 0_usize);
    let mut skip = fill;
    for &octet in packed {
        held |= u16::from(octet) << bits;
        bits += 8;
        if skip > 0 {
            held >>= skip;
            bits -= skip;
            skip = 0;
        }
        while bits >= 7 {
            septets.push(held.to_le_bytes()[0] & 0x7F);
            held >>= 7;
            bits -= 7;
        }
    }
    match count {
        Some(count) => septets.truncate(count),
        None if bits == 0 && septets.last() == Some(&0) => septets.truncate(septets.len() - 1),
        None => {}
    }
    septets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::text::gsm7::*;

    #[test]
    fn every_code_reads_back_as_its_character() {
        let mut seen = 0;
        for alphabet in [
            Alphabet::Gsm7,
            Alphabet::Gsm7Single(1),
            Alphabet::Gsm7Single(2),
            Alphabet::Gsm7Single(3),
            Alphabet::Gsm7Locking(1),
            Alphabet::Gsm7Locking(3),
        ] {
            let tables = Tables::of(alphabet).unwrap();
            for c in '\0'..='\u{FFFF}' {
                let Some(code) = tables.code(c) else { continue };
                seen += 1;
                let mut octets = Vec::new();
                code.push(&mut octets);
                assert_eq!(octets.len(), code.septets());
                assert_eq!(
                    decode(&octets, &tables, HighOctets::Replace),
                    (c.to_string(), false),
                    "{alphabet:?}"
                );
            }
        }
        // 127 + 10; 7, 9 and 20 more by single shift; 127 and what the extension adds by locking
        // shift.
        assert_eq!(seen, 137 + 144 + 146 + 157 + 136 + 139);
    }

    #[test]
    fn what_is_often_assumed_to_be_gsm_is_not() {
        for c in "`\t\u{A0}çáíóúâêîôûãõïëÁÈÊÍÓÚÀ“”‘’–—…•°©АΑΒΕ\u{2126}\u{1B}\0".chars()
        {
            assert_eq!(standard_code(c), None, "{c:?}");
        }
        for c in "èéùìòàäöñüåÇØÆßÉ€Ω".chars() {
            assert!(standard_code(c).is_some(), "{c}");
        }
    }

    #[test]
    fn odd_escapes_follow_the_standard() {
        let check = |octets: &[u8], text: &str, lossy| {
            assert_eq!(decode(octets, &Tables::STANDARD, HighOctets::Replace), (text.into(), lossy));
        };
        check(b"a\x1B\x65b", "a€b", false);
        check(b"\x1BA", "A", false);
        check(b"a\x1B\x1Bb", "a b", false);
        check(b"a\x1B", "a ", false);
        check(b"\x00\xE9", "@\u{FFFD}", true);
        assert_eq!(decode(b"\x00\xE9", &Tables::STANDARD, HighOctets::Latin1), ("@é".into(), false));
    }

    #[test]
    fn the_packed_form_of_hello() {
        assert_eq!(pack(b"hellohello", 0), [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37]);
        assert_eq!((fill_bits(0), fill_bits(6), fill_bits(7)), (0, 1, 0));
    }

    proptest! {
        #[test]
        fn packing_is_undone(septets in proptest::collection::vec(0_u8..128, 0..200), fill in 0_usize..7) {
            let packed = pack(&septets, fill);
            prop_assert_eq!(packed.len(), (septets.len() * 7 + fill).div_ceil(8));
            prop_assert_eq!(unpack(&packed, fill, Some(septets.len())), septets);
        }
    }
}
