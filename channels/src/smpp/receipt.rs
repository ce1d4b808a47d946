//! Tells what a delivery of an SMSC is, and parses delivery receipts in all the forms servers send.
//! Never fails: everything readable in a receipt is kept. It must never invent a failure or a
//! delivery, and never take a customer's words for certain to be a receipt.

pub mod words;

use message::{PartState, PartStatus};
use smallvec::SmallVec;

use self::words::{Outcome, ReceiptWords};
use crate::text::{incoming, utf16};

/// Maximum number of octets of a receipt's text that are examined; the rest is ignored.
pub const TEXT_OCTETS_MAX: usize = 4096;
/// Maximum length of an id taken from a receipt, in bytes (SMPP allows 64); longer ones are
/// ignored.
pub const ID_BYTES_MAX: usize = 256;
/// Maximum length of a status word or error code, in bytes; longer ones are ignored.
pub const WORD_BYTES_MAX: usize = 32;
/// Maximum length of a date where the text alone must show that it is a receipt, in bytes.
const DATE_BYTES_MAX: usize = 32;

/// The kind of a deliver_sm or data_sm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A customer's message.
    Message,
    /// A customer's message, unless it leads to a part that was sent to this very customer: its
    /// type is that of a message, and its text has the form of a receipt.
    Perhaps,
    /// A final report on a part.
    Receipt,
    /// A report on one attempt, never final (SMPP 3.4, 2.11 and 5.2.12).
    Intermediate,
}

/// The fields of a deliver_sm or data_sm that matter for receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReceiptPdu<'a> {
    /// The PDU's esm_class.
    pub esm_class: u8,
    /// short_message, or message_payload when that is empty. Its data_coding is ignored: it is
    /// wrong too often.
    pub text: &'a [u8],
    /// TLV 0x001E, with or without its NUL.
    pub receipted_message_id: Option<&'a [u8]>,
    /// TLV 0x0427.
    pub message_state: Option<u8>,
    /// TLV 0x0423.
    pub network_error_code: Option<[u8; 3]>,
}

/// A parsed receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The ids to match, in order: the TLV's, then the text's where it differs.
    pub ids: SmallVec<[Box<str>; 2]>,
    /// The proven state of the part.
    pub state: PartState,
    /// The outcome is final and unknown: UNKNOWN, or an unrecognised word.
    pub unknown: bool,
    /// Neither the word nor the number of the state has a known meaning, or both are missing.
    pub unread: bool,
    /// The status word in capitals; the word of the TLV's state when the text has none or another.
    /// May be empty.
    pub word: Box<str>,
    /// `err` as spelled, else the TLV's code in decimal.
    pub err: Option<Box<str>>,
    /// The TLV's network type (1 ANSI-136, 2 IS-95, 3 GSM) and code.
    pub network_error: Option<(u8, u16)>,
    /// `submit date` as spelled; see [`date`].
    pub submitted: Option<Box<str>>,
    /// `done date` as spelled.
    pub done: Option<Box<str>>,
    /// The beginning of the message, when the server repeats it.
    pub text: Option<Box<str>>,
}

impl Receipt {
    /// Returns the provider's code for people and statistics, e.g. `DELIVRD/000`.
    pub fn code(&self) -> String {
        match &self.err {
            Some(err) => format!("{}/{err}", self.word),
            None => self.word.to_string(),
        }
    }
}

/// Bits of esm_class that tell the type of a message.
const TYPE_BITS: u8 = 0x3C;
/// The bit of an SMSC's receipt.
const TYPE_RECEIPT: u8 = 0x04;
/// The bit of an intermediate notification.
const TYPE_INTERMEDIATE: u8 = 0x20;
/// The bit of a user data header.
const HEADER: u8 = 0x40;

/// Returns what a PDU is: by its type first, then by the parameters that only receipts have, then
/// by its text. A text alone never makes a receipt for certain, because customers write texts.
pub fn kind(source: &ReceiptPdu<'_>, words: &ReceiptWords) -> Kind {
    let of_type = source.esm_class & TYPE_BITS;
    if of_type & TYPE_RECEIPT != 0 {
        return Kind::Receipt;
    }
    if of_type & TYPE_INTERMEDIATE != 0 {
        return Kind::Intermediate;
    }
    if source.receipted_message_id.is_some_and(|id| !c_string(id).is_empty()) {
        return Kind::Receipt;
    }
    if source.message_state.is_some() && TextFields::of(&text_of(source.text)).word(Key::Id).is_some() {
        return Kind::Receipt;
    }
    // A fast path: every customer's message passes here.
    let may_have_form = source.text.iter().filter(|octet| **octet == b':').take(2).count() == 2;
    if source.esm_class & HEADER != 0 || !may_have_form {
        return Kind::Message;
    }
    let text = text_of(source.text);
    let has_form = TextFields::of(&text)
        .has_form(|word| word.len() <= WORD_BYTES_MAX && words.meaning(&word.to_ascii_uppercase()).is_some());
    if has_form { Kind::Perhaps } else { Kind::Message }
}

/// Parses a receipt of this kind.
pub fn parse(source: &ReceiptPdu<'_>, kind: Kind, words: &ReceiptWords) -> Receipt {
    let text = text_of(source.without_header());
    let fields = TextFields::of(&text);
    let short = |key, bytes_max| fields.word(key).filter(|word: &&str| word.len() <= bytes_max);
    let mut ids: SmallVec<[Box<str>; 2]> = SmallVec::new();
    let tlv_id = source.receipted_message_id.map(c_string);
    for id in [tlv_id.as_deref(), short(Key::Id, ID_BYTES_MAX)].into_iter().flatten() {
        if !id.is_empty() && id.len() <= ID_BYTES_MAX && !ids.iter().any(|known| **known == *id) {
            ids.push(id.into());
        }
    }
    let by_text = short(Key::Stat, WORD_BYTES_MAX).map(str::to_ascii_uppercase);
    let text_says = by_text.as_deref().and_then(|word| words.meaning(word));
    let tlv_says = source.message_state.and_then(|state| words.meaning_of_state(state));
    let word = match tlv_says {
        Some(outcome) if text_says != Some(outcome) => outcome.word().to_owned(),
        _ => by_text.or_else(|| source.message_state.map(|state| state.to_string())).unwrap_or_default(),
    };
    let read = tlv_says.or(text_says);
    let outcome = read.unwrap_or(Outcome::Unknown);
    let network_error =
        source.network_error_code.map(|[kind, high, low]| (kind, u16::from_be_bytes([high, low])));
    let err = short(Key::Err, WORD_BYTES_MAX).map(Box::from);
    let is_final = kind != Kind::Intermediate;
    Receipt {
        ids,
        state: if is_final { outcome.part_state() } else { PartState::reached(PartStatus::Enroute) },
        unknown: is_final && outcome == Outcome::Unknown,
        unread: is_final && read.is_none(),
        word: word.into(),
        err: err.or_else(|| network_error.map(|(_, code)| code.to_string().into())),
        network_error,
        submitted: fields.value(Key::Submitted).map(Box::from),
        done: fields.value(Key::Done).map(Box::from),
        text: fields.text().map(Box::from),
    }
}

impl<'a> ReceiptPdu<'a> {
    /// Returns the text behind the user data header, if there is one.
    fn without_header(&self) -> &'a [u8] {
        if self.esm_class & HEADER == 0 { self.text } else { incoming::read_udh(self.text).1 }
    }
}

/// Decodes the text regardless of its data_coding: UTF-16 shows by its zeros or its mark; the rest
/// is ASCII with a few octets of UTF-8 or Latin-1 in the repeated message.
fn text_of(octets: &[u8]) -> String {
    let octets = octets.get(..TEXT_OCTETS_MAX).unwrap_or(octets);
    let wide = matches!(octets, [0, first, 0, second, ..] if *first > 0 && *second > 0)
        || utf16::mark(octets).is_some();
    if wide {
        let even = octets.len() & !1;
        return incoming::decode(message::event::Alphabet::Ucs2, octets.get(..even).unwrap_or(octets)).0;
    }
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().copied().map(char::from).collect(),
    }
}

fn c_string(octets: &[u8]) -> String {
    let end = octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len());
    let octets = octets.get(..end).unwrap_or(octets);
    text_of(octets).trim().to_owned()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Id,
    Sub,
    Dlvrd,
    Submitted,
    Done,
    Stat,
    Err,
    Text,
}

/// Longer names stand before their own prefixes. A space in a name may also be `_`, or missing.
const KEYS: [(&str, Key); 10] = [
    ("submit date", Key::Submitted),
    ("done date", Key::Done),
    ("status", Key::Stat),
    ("dlvrd", Key::Dlvrd),
    ("error", Key::Err),
    ("stat", Key::Stat),
    ("text", Key::Text),
    ("sub", Key::Sub),
    ("err", Key::Err),
    ("id", Key::Id),
];

struct ReceiptField {
    key: Key,
    /// Offset of the field's name; its value's offset follows.
    start: usize,
    value: usize,
}

/// The fields of a receipt's text in order.
struct TextFields<'t> {
    whole: &'t str,
    fields: Vec<ReceiptField>,
    /// Index of the first `text:`; what follows it may be the customer's own words.
    text: usize,
}

impl<'t> TextFields<'t> {
    fn of(whole: &'t str) -> Self {
        let mut fields: Vec<ReceiptField> = Vec::new();
        let mut between = true;
        let mut passed = 0;
        for (start, c) in whole.char_indices() {
            if between
                && start >= passed
                && let Some((key, value)) = key_at(whole, start)
            {
                fields.push(ReceiptField { key, start, value });
                passed = value;
            }
            between = separates(c);
        }
        let text = fields.iter().position(|field| field.key == Key::Text).unwrap_or(fields.len());
        Self { whole, fields, text }
    }

    /// Returns the field of a key: the first before `text:`, else the last after it.
    fn find(&self, key: Key) -> Option<usize> {
        let before = self.fields.iter().take(self.text).position(|field| field.key == key);
        before.or_else(|| self.fields.iter().rposition(|field| field.key == key).filter(|at| *at > self.text))
    }

    /// Returns the text from a field's colon to the next field, without separators.
    fn value(&self, key: Key) -> Option<&'t str> {
        self.value_at(self.find(key)?)
    }

    fn value_at(&self, at: usize) -> Option<&'t str> {
        let end = self.fields.get(at + 1).map_or(self.whole.len(), |next| next.start);
        let value = self.whole.get(self.fields.get(at)?.value..end)?.trim_matches(separates);
        (!value.is_empty()).then_some(value)
    }

    /// Returns whether the text is nothing but the fields of a receipt, with an id and with a state
    /// for which `is_known` is true. What follows `text:` is free.
    fn has_form(&self, is_known: impl Fn(&str) -> bool) -> bool {
        let begins = self.fields.first().and_then(|first| self.whole.get(..first.start));
        if !begins.is_some_and(|before| before.chars().all(separates)) {
            return false;
        }
        let is_one_word = |at: usize| {
            let dates = matches!(self.fields.get(at).map(|f| f.key), Some(Key::Submitted | Key::Done));
            match self.value_at(at) {
                Some(date) if dates => {
                    date.len() <= DATE_BYTES_MAX && date.contains(|c: char| c.is_ascii_digit())
                }
                Some(value) => !value.contains(separates),
                None => true,
            }
        };
        let asked = [Key::Id, Key::Stat].into_iter().map(|key| self.find(key));
        let whole = (0..self.text).map(Some).chain(asked).all(|at| at.is_some_and(is_one_word));
        whole && self.word(Key::Id).is_some() && self.word(Key::Stat).is_some_and(is_known)
    }

    /// Returns the first word of a value.
    fn word(&self, key: Key) -> Option<&'t str> {
        self.value(key)?.split(separates).next()
    }

    /// Returns the repeated message: the whole rest, unless id or status stand behind it.
    fn text(&self) -> Option<&'t str> {
        let field = self.fields.get(self.text)?;
        let behind =
            [Key::Id, Key::Stat].into_iter().any(|key| self.find(key).is_some_and(|at| at > self.text));
        if behind {
            return self.value_at(self.text);
        }
        let text = self.whole.get(field.value..)?.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        (!text.is_empty()).then_some(text)
    }
}

fn separates(c: char) -> bool {
    if c.is_ascii() {
        return c <= ' ' || matches!(c, ',' | ';' | '|' | '\x7f');
    }
    c.is_whitespace() || c.is_control()
}

/// Returns the key whose name begins at `start`, and the offset of its value.
fn key_at(whole: &str, start: usize) -> Option<(Key, usize)> {
    let rest = whole.as_bytes().get(start..)?;
    if !matches!(rest.first()?.to_ascii_lowercase(), b'd' | b'e' | b'i' | b's' | b't') {
        return None;
    }
    KEYS.iter().find_map(|(name, key)| {
        let mut at = 0;
        for letter in name.bytes() {
            let found = rest.get(at).map(u8::to_ascii_lowercase);
            match (letter, found) {
                (b' ', Some(b' ' | b'_')) => at += 1,
                (b' ', _) => {}
                (letter, Some(found)) if letter == found => at += 1,
                _ => return None,
            }
        }
        at += rest.get(at..)?.iter().take_while(|octet| **octet == b' ').count();
        (rest.get(at) == Some(&b':')).then_some((*key, start + at + 1))
    })
}

/// A date of a receipt, in the server's own time zone, which the receipt does not state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Date {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

/// Parses a date of 10 digits (`YYMMDDhhmm`), 12 (with seconds, or with a full year when the month
/// would exceed 12) or 14 (with both); separators are skipped.
pub fn date(raw: &str) -> Option<Date> {
    let mut digits: SmallVec<[u8; 14]> = SmallVec::new();
    for c in raw.bytes() {
        match c {
            b'0'..=b'9' if digits.len() == 14 => return None,
            b'0'..=b'9' => digits.push(c - b'0'),
            b'-' | b'/' | b':' | b'.' | b' ' | b'T' => {}
            _ => return None,
        }
    }
    let pairs: SmallVec<[u8; 7]> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |value, digit| value * 10 + digit)).collect();
    let made = |century: u8, rest: &[u8]| {
        let &[year, month, day, hour, minute, ref second @ ..] = rest else { return None };
        let second = second.first().copied().unwrap_or(0);
        let year = u16::from(century) * 100 + u16::from(year);
        let sane =
            (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
        sane.then_some(Date { year, month, day, hour, minute, second })
    };
    match (digits.len(), pairs.as_slice()) {
        (10, pairs) => made(20, pairs),
        (12, [century, rest @ ..]) if rest.first().is_some_and(|month| *month > 12) => made(*century, rest),
        (12, pairs) => made(20, pairs),
        (14, [century, rest @ ..]) => made(*century, rest),
        _ => None,
    }
}
