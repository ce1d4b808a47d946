//! Parses delivery receipts in all the forms servers send. Never fails: a receipt is recognised or
//! not, and everything readable in a recognised one is kept. It must never invent a failure or a
//! delivery.

use message::{PartState, PartStatus};
use smallvec::SmallVec;

use crate::text::incoming;

/// Maximum number of octets of a receipt's text that are examined; the rest is ignored.
pub const TEXT_OCTETS_MAX: usize = 4096;
/// Maximum length of an id taken from a receipt, in bytes (SMPP allows 64); longer ones are
/// ignored.
pub const ID_BYTES_MAX: usize = 256;
/// Maximum length of a status word or error code, in bytes; longer ones are ignored.
pub const WORD_BYTES_MAX: usize = 32;

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

/// Returns whether a PDU is a receipt: by its type (receipt 0x04, intermediate notification 0x20),
/// or, for servers that send receipts as plain messages, by its TLV or by `id:` and `stat:` in its
/// text.
pub fn is_receipt(source: &ReceiptPdu<'_>) -> bool {
    if matches!(source.esm_class & 0x3C, 0x04 | 0x20) || source.receipted_message_id.is_some() {
        return true;
    }
    if source.esm_class & 0x7C != 0 {
        return false;
    }
    // A fast path: every customer's message passes here.
    if source.text.iter().filter(|octet| **octet == b':').take(2).count() < 2 {
        return false;
    }
    let text = text_of(source.text);
    let fields = TextFields::of(&text);
    fields.word(Key::Id).is_some() && fields.word(Key::Stat).is_some_and(|word| word.len() <= WORD_BYTES_MAX)
}

/// Parses a receipt.
pub fn parse(source: &ReceiptPdu<'_>) -> Receipt {
    let text = text_of(source.text);
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
    let text_says = by_text.as_deref().and_then(Outcome::of_word);
    let tlv_says = source.message_state.and_then(Outcome::of_state);
    let word = match tlv_says {
        Some(outcome) if text_says != Some(outcome) => outcome.word().to_owned(),
        _ => by_text.unwrap_or_default(),
    };
    let outcome = tlv_says.or(text_says).unwrap_or(Outcome::Unknown);
    let network_error =
        source.network_error_code.map(|[kind, high, low]| (kind, u16::from_be_bytes([high, low])));
    let err = short(Key::Err, WORD_BYTES_MAX).map(Box::from);
    Receipt {
        ids,
        state: outcome.part_state(),
        unknown: outcome == Outcome::Unknown,
        word: word.into(),
        err: err.or_else(|| network_error.map(|(_, code)| code.to_string().into())),
        network_error,
        submitted: fields.value(Key::Submitted).map(Box::from),
        done: fields.value(Key::Done).map(Box::from),
        text: fields.text().map(Box::from),
    }
}

/// The outcome, as SMPP numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Scheduled,
    Enroute,
    Delivered,
    Expired,
    Deleted,
    Undeliverable,
    Accepted,
    Unknown,
    Rejected,
    Skipped,
}

impl Outcome {
    fn of_state(state: u8) -> Option<Self> {
        Some(match state {
            0 => Outcome::Scheduled,
            1 => Outcome::Enroute,
            2 => Outcome::Delivered,
            3 => Outcome::Expired,
            4 => Outcome::Deleted,
            5 => Outcome::Undeliverable,
            6 => Outcome::Accepted,
            7 => Outcome::Unknown,
            8 => Outcome::Rejected,
            9 => Outcome::Skipped,
            _ => return None,
        })
    }

    /// Returns the outcome for a word: the specification's words, those seen in the field, and
    /// their full spellings.
    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "SCHEDULED" | "SCHEDLD" => Outcome::Scheduled,
            "ENROUTE" | "BUFFRED" | "BUFFERD" | "BUFFERED" => Outcome::Enroute,
            "DELIVRD" | "DELIVERD" | "DELIVERED" => Outcome::Delivered,
            "EXPIRED" => Outcome::Expired,
            "DELETED" => Outcome::Deleted,
            "UNDELIV" | "UNDELIVERED" | "UNDELIVERABLE" | "UNDELIVRD" => Outcome::Undeliverable,
            "ACCEPTD" | "ACCEPTED" | "ACKED" => Outcome::Accepted,
            "UNKNOWN" => Outcome::Unknown,
            "REJECTD" | "REJECTED" => Outcome::Rejected,
            "SKIPPED" => Outcome::Skipped,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Outcome::Scheduled => "SCHEDULED",
            Outcome::Enroute => "ENROUTE",
            Outcome::Delivered => "DELIVRD",
            Outcome::Expired => "EXPIRED",
            Outcome::Deleted => "DELETED",
            Outcome::Undeliverable => "UNDELIV",
            Outcome::Accepted => "ACCEPTD",
            Outcome::Unknown => "UNKNOWN",
            Outcome::Rejected => "REJECTD",
            Outcome::Skipped => "SKIPPED",
        }
    }

    /// Returns the state of the part: any receipt proves that the provider accepted it.
    fn part_state(self) -> PartState {
        match self {
            Outcome::Scheduled | Outcome::Enroute => PartState::reached(PartStatus::Enroute),
            Outcome::Accepted | Outcome::Unknown => PartState::reached(PartStatus::Sent),
            Outcome::Delivered => PartState::reached(PartStatus::Delivered),
            Outcome::Expired
            | Outcome::Deleted
            | Outcome::Undeliverable
            | Outcome::Rejected
            | Outcome::Skipped => PartState::failure(),
        }
    }
}

/// Decodes the text regardless of its data_coding: UTF-16 shows by its zeros; the rest is ASCII
/// with a few octets of UTF-8 or Latin-1 in the repeated message.
fn text_of(octets: &[u8]) -> String {
    let octets = octets.get(..TEXT_OCTETS_MAX).unwrap_or(octets);
    let wide = matches!(octets, [0, first, 0, second, ..] if *first > 0 && *second > 0);
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
