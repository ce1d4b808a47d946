//! The parts of a stored text, derived from the text and its [`Split`] alone. A cut never separates
//! an escape from its code, a surrogate from its other half, or (where it fits one part) a grapheme
//! cluster.

use message::event::{Alphabet, Concatenation, Split};
use smallvec::SmallVec;
use unicode_segmentation::GraphemeCursor;

use crate::text::gsm7::{self, Tables};

/// A user data header with its length octet.
pub type Udh = SmallVec<[u8; 16]>;

/// One part in wire form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'t> {
    /// The part's number, from 1.
    pub number: u16,
    /// The number of parts.
    pub total: u16,
    /// The part's text; empty for binary octets.
    pub text: &'t str,
    /// The user data header; set bit 0x40 of esm_class when present.
    pub udh: Option<Udh>,
    /// The encoded text without the header. GSM is unpacked, one septet an octet.
    pub octets: Vec<u8>,
}

/// Returns the number of units (septets, octets, UTF-16 units) that one part holds; with
/// [`Concatenation::None`], a part that stands alone.
///
/// `sar_*` parts leave room for a header with a 16-bit reference: the server writes one towards the
/// phone, and its source, `sar_msg_ref_num`, has 16 bits. All values are far below the 254 octets
/// of `short_message`.
pub fn units_per_part(alphabet: Alphabet, concatenation: Concatenation) -> usize {
    capacity(alphabet, concatenation, false)
}

/// Returns the number of units that one part of a split holds.
pub(crate) fn capacity_of(split: Split) -> usize {
    let has_ports = split.handling.ports.is_some_and(|ports| ports.in_header);
    capacity(split.alphabet, split.concatenation, has_ports)
}

/// Returns what [`units_per_part`] does, for parts that may have application ports in their
/// headers.
pub(crate) fn capacity(alphabet: Alphabet, concatenation: Concatenation, has_ports: bool) -> usize {
    let mut header: usize = match concatenation {
        Concatenation::None => 0,
        Concatenation::Udh8 => 5,
        Concatenation::Udh16 | Concatenation::Sar => 6,
        Concatenation::Payload => return usize::MAX,
    };
    header += match alphabet {
        Alphabet::Gsm7Single(_) => 3,
        Alphabet::Gsm7Locking(_) => 6,
        Alphabet::Provider => return usize::MAX,
        _ => 0,
    };
    if has_ports {
        header += 6;
    }
    if header > 0 {
        header += 1;
    }
    match alphabet {
        Alphabet::Gsm7 | Alphabet::Gsm7Single(_) | Alphabet::Gsm7Locking(_) => 160 - (header * 8).div_ceil(7),
        Alphabet::Ucs2 => (140 - header) / 2,
        Alphabet::Latin1 | Alphabet::Binary | Alphabet::Coded(_) | Alphabet::Provider => 140 - header,
    }
}

/// Returns the parts of a text in order.
pub fn parts(text: &str, split: Split) -> Parts<'_> {
    Parts { pieces: pieces(text, split), split, made: 0 }
}

/// Returns one part of a text, `index` counted from 0 as in the log.
pub fn part(text: &str, split: Split, index: u16) -> Option<Part<'_>> {
    parts(text, split).nth(usize::from(index))
}

/// An iterator over the parts of a text.
#[derive(Clone, Debug)]
pub struct Parts<'t> {
    pieces: Pieces<'t>,
    split: Split,
    made: u16,
}

impl<'t> Iterator for Parts<'t> {
    type Item = Part<'t>;

    fn next(&mut self) -> Option<Part<'t>> {
        let text = self.pieces.next()?;
        self.made = self.made.saturating_add(1);
        let octets = encode(text, self.split.alphabet);
        Some(Part {
            number: self.made,
            total: self.split.parts,
            text,
            udh: udh(self.split, self.made),
            octets,
        })
    }

    /// Skips parts without encoding them.
    fn nth(&mut self, skipped: usize) -> Option<Part<'t>> {
        for _ in 0..skipped {
            self.pieces.next()?;
            self.made = self.made.saturating_add(1);
        }
        self.next()
    }
}

/// Returns the parts of binary octets in order.
pub fn octet_parts(octets: &[u8], split: Split) -> OctetParts<'_> {
    let per_part = match split.parts {
        0 | 1 => usize::MAX,
        _ => capacity_of(split),
    };
    OctetParts { rest: Some(octets), per_part, split, made: 0 }
}

/// An iterator over the parts of octets.
#[derive(Clone, Debug)]
pub struct OctetParts<'t> {
    rest: Option<&'t [u8]>,
    per_part: usize,
    split: Split,
    made: u16,
}

impl<'t> Iterator for OctetParts<'t> {
    type Item = Part<'t>;

    fn next(&mut self) -> Option<Part<'t>> {
        let rest = self.rest.take()?;
        let (octets, rest) = rest.split_at_checked(self.per_part).unwrap_or((rest, &[]));
        self.rest = (!rest.is_empty()).then_some(rest);
        self.made = self.made.saturating_add(1);
        let (number, total, udh) = (self.made, self.split.parts, udh(self.split, self.made));
        Some(Part { number, total, text: "", udh, octets: octets.to_vec() })
    }
}

/// Encodes a text. Characters that the alphabet lacks become `?`, which a plan never lets happen.
fn encode(text: &str, alphabet: Alphabet) -> Vec<u8> {
    let mut octets = Vec::new();
    match alphabet {
        // Texts are never sent in a coded alphabet.
        Alphabet::Provider | Alphabet::Binary | Alphabet::Coded(_) => {
            octets.extend_from_slice(text.as_bytes());
        }
        Alphabet::Ucs2 => {
            octets.reserve(text.len() * 2);
            octets.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
        }
        Alphabet::Latin1 => octets.extend(text.chars().map(|c| u8::try_from(c).unwrap_or(b'?'))),
        Alphabet::Gsm7 | Alphabet::Gsm7Single(_) | Alphabet::Gsm7Locking(_) => {
            let tables = Tables::of(alphabet).unwrap_or(Tables::STANDARD);
            gsm7::encode(text, &tables, &mut octets);
        }
    }
    octets
}

fn udh(split: Split, number: u16) -> Option<Udh> {
    let octet = |value: u16| u8::try_from(value).unwrap_or(u8::MAX);
    let mut header = Udh::new();
    header.push(0);
    let [high, low] = split.reference.to_be_bytes();
    match split.concatenation {
        Concatenation::Udh8 => {
            header.extend([0x00, 3, low, octet(split.parts), octet(number)]);
        }
        Concatenation::Udh16 => header.extend([0x08, 4, high, low, octet(split.parts), octet(number)]),
        Concatenation::None | Concatenation::Sar | Concatenation::Payload => {}
    }
    if let Some(ports) = split.handling.ports.filter(|ports| ports.in_header) {
        let ([to_high, to_low], [from_high, from_low]) =
            (ports.destination.to_be_bytes(), ports.source.to_be_bytes());
        header.extend([0x05, 4, to_high, to_low, from_high, from_low]);
    }
    match split.alphabet {
        Alphabet::Gsm7Single(id) => header.extend([0x24, 1, id]),
        Alphabet::Gsm7Locking(id) => header.extend([0x24, 1, id, 0x25, 1, id]),
        _ => {}
    }
    let length = u8::try_from(header.len().saturating_sub(1)).ok().filter(|length| *length > 0)?;
    if let Some(first) = header.first_mut() {
        *first = length;
    }
    Some(header)
}

fn pieces(text: &str, split: Split) -> Pieces<'_> {
    if split.parts <= 1 {
        let split = Split { concatenation: Concatenation::Payload, ..split };
        return pieces_as_many(text, split);
    }
    pieces_as_many(text, split)
}

/// Cuts the text into as many pieces as needed, regardless of [`Split::parts`].
pub(crate) fn pieces_as_many(text: &str, split: Split) -> Pieces<'_> {
    let capacity = match (split.alphabet, split.concatenation) {
        (_, Concatenation::Payload) => usize::MAX,
        (Alphabet::Provider, _) => usize::from(split.reference).max(2),
        _ => capacity_of(split),
    };
    let tables = Tables::of(split.alphabet);
    let at_spaces = split.concatenation == Concatenation::None;
    Pieces { rest: Some(text), alphabet: split.alphabet, tables, capacity, at_spaces }
}

/// An iterator that cuts a text greedily.
#[derive(Clone, Debug)]
pub(crate) struct Pieces<'t> {
    rest: Option<&'t str>,
    alphabet: Alphabet,
    tables: Option<Tables>,
    capacity: usize,
    at_spaces: bool,
}

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let rest = self.rest.take()?;
        let (piece, rest) = rest.split_at_checked(self.cut(rest)).unwrap_or((rest, ""));
        self.rest = (!rest.is_empty()).then_some(rest);
        Some(piece)
    }
}

impl Pieces<'_> {
    /// Returns where the next piece ends, in bytes: above 0 unless the text is empty.
    fn cut(&self, rest: &str) -> usize {
        if self.capacity == usize::MAX {
            return rest.len();
        }
        let mut units = 0;
        let overflow = rest.char_indices().find(|(_, c)| {
            units += self.units(*c);
            units > self.capacity
        });
        match overflow {
            None => rest.len(),
            Some((0, c)) => c.len_utf8(),
            Some((at, _)) => {
                let at = self.whole_cluster(rest, at);
                if self.at_spaces { self.space_before(rest, at) } else { at }
            }
        }
    }

    fn units(&self, c: char) -> usize {
        match self.alphabet {
            Alphabet::Provider | Alphabet::Ucs2 => c.len_utf16(),
            Alphabet::Latin1 => 1,
            Alphabet::Binary | Alphabet::Coded(_) => c.len_utf8(),
            Alphabet::Gsm7 => gsm7::standard_code(c).map_or(1, gsm7::Code::septets),
            Alphabet::Gsm7Single(_) | Alphabet::Gsm7Locking(_) => {
                self.tables.and_then(|tables| tables.code(c)).map_or(1, gsm7::Code::septets)
            }
        }
    }

    /// Returns the start of the grapheme cluster around `at` if the cluster fits the next part
    /// whole.
    fn whole_cluster(&self, rest: &str, at: usize) -> usize {
        // Anything further away cannot belong to a cluster that fits.
        let window = at.saturating_add(self.capacity.saturating_mul(4)).saturating_add(4);
        let window = rest.get(..rest.floor_char_boundary(window)).unwrap_or(rest);
        if is_border(window, at) {
            return at;
        }
        let mut cursor = GraphemeCursor::new(at, window.len(), true);
        let Ok(Some(start)) = cursor.prev_boundary(window, 0) else { return at };
        let mut cursor = GraphemeCursor::new(at, window.len(), true);
        let end = cursor.next_boundary(window, 0).ok().flatten().unwrap_or(window.len());
        let cluster = window.get(start..end).unwrap_or_default();
        let units: usize = cluster.chars().map(|c| self.units(c)).sum();
        if start == 0 || units > self.capacity { at } else { start }
    }

    /// Returns the end of the last space in the last fifth of the piece, else `at`.
    fn space_before(&self, rest: &str, at: usize) -> usize {
        let is_space = |c| matches!(c, ' ' | '\n' | '\t');
        let (piece, next) = rest.split_at_checked(at).unwrap_or((rest, ""));
        if next.starts_with(is_space) {
            return at;
        }
        let mut spared = 0;
        for (start, c) in piece.char_indices().rev() {
            let end = start + c.len_utf8();
            if is_space(c) && is_border(rest, end) {
                return end;
            }
            spared += self.units(c);
            if spared > self.capacity / 5 {
                break;
            }
        }
        at
    }
}

fn is_border(text: &str, at: usize) -> bool {
    GraphemeCursor::new(at, text.len(), true).is_boundary(text, 0).unwrap_or(true)
}
