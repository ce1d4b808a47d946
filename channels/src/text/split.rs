//! How a text is cut into SMS parts: the alphabet, the counts, the cuts. Everything here follows from its
//! arguments alone: [`parts`] makes the same parts from a stored text and [`Split`] for ever, so its rules must
//! never change for a split that is already in a log.

use std::borrow::Cow;

use message::event::{Alphabet, Concatenation, Split};
use smallvec::SmallVec;

pub use crate::text::parts::{Header, OctetParts, Part, Parts, octet_parts, part, parts, units_per_part};
use crate::text::{
    gsm7::{self, Tables},
    national::Language,
    parts::pieces_as_many,
    transliterate::{self, Replacements},
};

/// The most parts that a concatenation header can number.
pub const PARTS_MAX: u16 = 255;
/// The longest text that is taken when a channel says nothing, in code points.
pub const CHARACTERS_MAX: u32 = 1600;
/// The most octets that fit one `message_payload`, by its 16-bit length.
pub const PAYLOAD_OCTETS_MAX: usize = 65_535;

/// What a channel wants done with texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// GSM 03.38 may be used. Off where the server's default alphabet is Latin-1.
    pub gsm7: bool,
    /// Latin-1 may be used, for servers that take it.
    pub latin1: bool,
    /// UTF-16 may be used.
    pub ucs2: bool,
    /// A language whose shift tables may be used.
    pub national: Option<Language>,
    /// How parts are marked. [`Concatenation::None`] sends separate texts, cut at spaces where one is near.
    pub concatenation: Concatenation,
    /// Typographic characters are replaced when the whole text then fits a cheaper alphabet.
    pub transliterate: bool,
    /// The same for accents that GSM lacks.
    pub strip_accents: bool,
    /// The same for Greek capitals that look like Latin ones.
    pub greek_lookalikes: bool,
    /// What needs a surrogate pair becomes `?`.
    pub replace_emoji: bool,
    /// CR LF is sent as LF.
    pub crlf_to_lf: bool,
    /// The most parts of one text.
    pub parts_max: u16,
    /// The longest text as sent, in code points.
    pub characters_max: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            gsm7: true,
            latin1: false,
            ucs2: true,
            national: None,
            concatenation: Concatenation::Udh8,
            transliterate: false,
            strip_accents: false,
            greek_lookalikes: false,
            replace_emoji: false,
            crlf_to_lf: true,
            parts_max: PARTS_MAX,
            characters_max: CHARACTERS_MAX,
        }
    }
}

impl Policy {
    fn replacements(&self) -> Replacements {
        Replacements {
            typography: self.transliterate,
            accents: self.strip_accents,
            greek: self.greek_lookalikes,
        }
    }
}

/// Why a text cannot be sent as it is. All are final, before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Over [`Policy::characters_max`].
    #[error("the text has {characters} characters, at most {max} are allowed: shorten it")]
    TooLong {
        /// Code points as they would be sent.
        characters: usize,
        /// The limit.
        max: u32,
    },
    /// Over [`Policy::parts_max`], or over what a header can number.
    #[error("the text needs {parts} parts, at most {max} are allowed: shorten it")]
    TooManyParts {
        /// The parts it would take.
        parts: usize,
        /// The limit.
        max: u16,
    },
    /// Over what one `message_payload` holds.
    #[error("the text takes {octets} octets, one payload holds at most {PAYLOAD_OCTETS_MAX}: shorten it")]
    PayloadTooLong {
        /// Its octets when encoded.
        octets: usize,
    },
    /// No allowed alphabet has this character.
    #[error("no alphabet of the channel has the character {character:?}: allow ucs2 or remove it")]
    NotInAlphabet {
        /// The first such character.
        character: char,
    },
}

/// What [`prepare`] changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Adaptation {
    /// NUL characters were removed.
    NulRemoved,
    /// Emoji became `?`.
    EmojiReplaced,
    /// Characters were replaced to fit a cheaper alphabet.
    Transliterated,
}

impl Adaptation {
    /// In words, for the business.
    pub fn as_str(self) -> &'static str {
        match self {
            Adaptation::NulRemoved => "NUL characters were removed",
            Adaptation::EmojiReplaced => "characters that need a surrogate pair were replaced by ?",
            Adaptation::Transliterated => "characters were replaced to fit a cheaper alphabet",
        }
    }
}

/// A text ready to be stored beside its split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared<'t> {
    /// The text to store and send; [`parts`] must be given this one.
    pub text: Cow<'t, str>,
    /// Its cuts.
    pub split: Split,
    /// What was changed. Line ends made LF are not listed: nobody sees the difference.
    pub adapted: SmallVec<[Adaptation; 2]>,
}

/// What a text will take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The alphabet.
    pub alphabet: Alphabet,
    /// What is submitted: 1 for a payload that the server cuts.
    pub parts: u16,
    /// What the phone network carries (a payload is taken to be cut as with an 8-bit header).
    pub segments: u16,
    /// Septets, octets or UTF-16 units of the whole text.
    pub units: usize,
    /// How many of these one segment holds.
    pub units_per_segment: usize,
}

/// Makes the changes that the policy wants, and plans the cuts of the result.
///
/// # Errors
/// The text is too long, or has a character that no allowed alphabet has.
pub fn prepare<'t>(text: &'t str, policy: &Policy, reference: u16) -> Result<Prepared<'t>, Refused> {
    if fits_at_sight(text, policy) {
        return Ok(Prepared { text: Cow::Borrowed(text), split: ONE_GSM7, adapted: SmallVec::new() });
    }
    too_long_at_sight(text, policy)?;
    let mut adapted = SmallVec::new();
    let mut text = Cow::Borrowed(text);
    if policy.crlf_to_lf && text.contains("\r\n") {
        text = Cow::Owned(text.replace("\r\n", "\n"));
    }
    if text.contains('\0') {
        text = Cow::Owned(text.replace('\0', ""));
        adapted.push(Adaptation::NulRemoved);
    }
    if policy.replace_emoji && text.chars().any(|c| c.len_utf16() == 2) {
        text = Cow::Owned(transliterate::without_emoji(&text));
        adapted.push(Adaptation::EmojiReplaced);
    }
    let wanted = policy.replacements();
    let mut survey = Survey::of(&text);
    if wanted != Replacements::default() && cheap(&text, &survey, policy).is_none() {
        let changed = transliterate::apply(&text, wanted);
        let of_changed = Survey::of(&changed);
        // With GSM allowed only GSM is cheap enough to change a text for.
        let fits = if policy.gsm7 { of_changed.gsm7 } else { of_changed.latin1 && policy.latin1 };
        if fits {
            text = Cow::Owned(changed);
            survey = of_changed;
            adapted.push(Adaptation::Transliterated);
        }
    }
    let split = cuts(&text, &survey, policy, reference)?.1;
    Ok(Prepared { text, split, adapted })
}

/// Plans the cuts of a text as it is, without changing it.
///
/// # Errors
/// As [`prepare`].
pub fn plan(text: &str, policy: &Policy, reference: u16) -> Result<Split, Refused> {
    if fits_at_sight(text, policy) {
        return Ok(ONE_GSM7);
    }
    too_long_at_sight(text, policy)?;
    Ok(cuts(text, &Survey::of(text), policy, reference)?.1)
}

/// What a text would take as [`plan`] cuts it.
///
/// # Errors
/// As [`prepare`].
pub fn count(text: &str, policy: &Policy) -> Result<Count, Refused> {
    too_long_at_sight(text, policy)?;
    Ok(cuts(text, &Survey::of(text), policy, 0)?.0)
}

/// The alphabet and the number of SMS that the phone network will carry, and charge, for a text that a provider cuts
/// by itself, as most do: GSM where it suffices, else UTF-16, with headers of an 8-bit reference.
pub fn segments(text: &str) -> (Alphabet, usize) {
    let survey = Survey::of(text);
    let (alphabet, units) =
        if survey.gsm7 { (Alphabet::Gsm7, survey.septets) } else { (Alphabet::Ucs2, survey.utf16) };
    (alphabet, segments_as(text, alphabet, units, Concatenation::Udh8))
}

/// Cuts a text for a provider that takes texts of at most `units_max` UTF-16 units and does its own encoding.
/// A provider that counts code points is served as well: there are never more of them. The limit is kept in
/// [`Split::reference`], which has no other use there.
///
/// # Errors
/// More than `parts_max` parts.
pub fn plan_texts(text: &str, units_max: u16, parts_max: u16) -> Result<Split, Refused> {
    if text.len() <= usize::from(units_max) || text.encode_utf16().count() <= usize::from(units_max) {
        return Ok(Split::WHOLE);
    }
    let mut split = Split { reference: units_max.max(2), ..Split::WHOLE };
    split.parts = limited(pieces_as_many(text, split).count(), parts_max)?;
    Ok(split)
}

/// Cuts octets that are no text.
///
/// # Errors
/// More parts than the policy or the header allows.
pub fn plan_octets(octets: &[u8], policy: &Policy, reference: u16) -> Result<Split, Refused> {
    let concatenation = policy.concatenation;
    let whole = Split { alphabet: Alphabet::Binary, ..Split::WHOLE };
    if octets.len() <= units_per_part(Alphabet::Binary, Concatenation::None) {
        return Ok(whole);
    }
    let per_part = units_per_part(Alphabet::Binary, segmentation(concatenation));
    let segments = limited(octets.len().div_ceil(per_part), parts_max(policy))?;
    if concatenation == Concatenation::Payload {
        return Ok(Split { concatenation, ..whole });
    }
    Ok(Split { parts: segments, concatenation, reference: reference_of(concatenation, reference), ..whole })
}

/// What one pass over a text tells.
struct Survey {
    characters: usize,
    gsm7: bool,
    septets: usize,
    latin1: bool,
    utf16: usize,
    /// The first character outside GSM, and outside Latin-1.
    not_gsm7: char,
    not_latin1: char,
}

impl Survey {
    fn of(text: &str) -> Self {
        let mut survey = Self {
            characters: 0,
            gsm7: true,
            septets: 0,
            latin1: true,
            utf16: 0,
            not_gsm7: '\0',
            not_latin1: '\0',
        };
        for c in text.chars() {
            survey.characters += 1;
            survey.utf16 += c.len_utf16();
            match gsm7::standard_code(c) {
                Some(code) => survey.septets += code.septets(),
                None if survey.gsm7 => (survey.gsm7, survey.not_gsm7) = (false, c),
                None => {}
            }
            if survey.latin1 && u32::from(c) > 0xFF {
                (survey.latin1, survey.not_latin1) = (false, c);
            }
        }
        survey
    }
}

/// What most texts are: one part of GSM.
const ONE_GSM7: Split =
    Split { parts: 1, alphabet: Alphabet::Gsm7, concatenation: Concatenation::None, reference: 0 };

/// The fast path: a short text of characters that are one octet here and one septet there. Nothing in it
/// needs an escape, and nothing is ever replaced.
fn fits_at_sight(text: &str, policy: &Policy) -> bool {
    const OCTETS_MAX: usize = 160;
    let septet = |octet: u8| matches!(octet, b' '..=b'Z' | b'a'..=b'z' | b'\n' | b'_');
    policy.gsm7
        && policy.parts_max > 0
        && text.len() <= OCTETS_MAX.min(usize::try_from(policy.characters_max).unwrap_or(OCTETS_MAX))
        && text.bytes().all(septet)
}

/// Spares the walk over a text that is too long however it is counted.
fn too_long_at_sight(text: &str, policy: &Policy) -> Result<(), Refused> {
    let max = policy.characters_max;
    // CR LF, NUL and clusters may shrink; 64 bytes a character is more than any of that in earnest.
    let bytes_max = usize::try_from(max).unwrap_or(usize::MAX).saturating_mul(64);
    if text.len() <= bytes_max {
        return Ok(());
    }
    Err(Refused::TooLong { characters: text.chars().count(), max })
}

/// The alphabet that sends the text as it is for less than UTF-16, Latin-1 beside GSM not counted.
fn cheap(text: &str, survey: &Survey, policy: &Policy) -> Option<(Alphabet, usize)> {
    if policy.gsm7 && survey.gsm7 {
        return Some((Alphabet::Gsm7, survey.septets));
    }
    if let Some(found) = national(text, policy) {
        return Some(found);
    }
    (!policy.gsm7 && policy.latin1 && survey.latin1).then_some((Alphabet::Latin1, survey.characters))
}

fn alphabet(text: &str, survey: &Survey, policy: &Policy) -> Result<(Alphabet, usize), Refused> {
    if let Some(found) = cheap(text, survey, policy) {
        return Ok(found);
    }
    if policy.latin1 && survey.latin1 {
        return Ok((Alphabet::Latin1, survey.characters));
    }
    if policy.ucs2 {
        return Ok((Alphabet::Ucs2, survey.utf16));
    }
    let character = if policy.latin1 { survey.not_latin1 } else { survey.not_gsm7 };
    Err(Refused::NotInAlphabet { character })
}

/// The national alphabet that takes fewer parts, with the septets of the text in it.
fn national(text: &str, policy: &Policy) -> Option<(Alphabet, usize)> {
    let language = policy.national.filter(|_| policy.gsm7)?;
    let septets = |alphabet| {
        let tables = Tables::of(alphabet)?;
        let mut septets = 0;
        for c in text.chars() {
            septets += tables.code(c)?.septets();
        }
        // The shift needs a header in each part: it cannot go with sar_* or with a server that cuts.
        let one = septets <= units_per_part(alphabet, Concatenation::None);
        let header = !matches!(policy.concatenation, Concatenation::Sar | Concatenation::Payload);
        (one || header).then_some((alphabet, septets))
    };
    let single = septets(Alphabet::Gsm7Single(language.id()));
    let locking = language.locks().then(|| septets(Alphabet::Gsm7Locking(language.id()))).flatten();
    [single, locking]
        .into_iter()
        .flatten()
        .min_by_key(|&(alphabet, units)| segments_as(text, alphabet, units, policy.concatenation))
}

/// How the phone network sees what is sent: a payload is cut by the server, with an 8-bit header as a rule.
fn segmentation(concatenation: Concatenation) -> Concatenation {
    match concatenation {
        Concatenation::Payload => Concatenation::Udh8,
        other => other,
    }
}

fn segments_as(text: &str, alphabet: Alphabet, units: usize, concatenation: Concatenation) -> usize {
    if units <= units_per_part(alphabet, Concatenation::None) {
        return 1;
    }
    let concatenation = segmentation(concatenation);
    pieces_as_many(text, Split { parts: 2, alphabet, concatenation, reference: 0 }).count()
}

fn parts_max(policy: &Policy) -> u16 {
    match policy.concatenation {
        Concatenation::None => policy.parts_max,
        _ => policy.parts_max.min(PARTS_MAX),
    }
}

fn limited(parts: usize, max: u16) -> Result<u16, Refused> {
    match u16::try_from(parts) {
        Ok(count) if count <= max => Ok(count),
        _ => Err(Refused::TooManyParts { parts, max }),
    }
}

fn reference_of(concatenation: Concatenation, reference: u16) -> u16 {
    match concatenation {
        Concatenation::None | Concatenation::Payload => 0,
        Concatenation::Udh8 => reference & 0xFF,
        Concatenation::Udh16 | Concatenation::Sar => reference,
    }
}

fn cuts(text: &str, survey: &Survey, policy: &Policy, reference: u16) -> Result<(Count, Split), Refused> {
    let max = policy.characters_max;
    if u32::try_from(survey.characters).map_or(true, |characters| characters > max) {
        return Err(Refused::TooLong { characters: survey.characters, max });
    }
    let (alphabet, units) = alphabet(text, survey, policy)?;
    let segments = limited(segments_as(text, alphabet, units, policy.concatenation), parts_max(policy))?;
    let (concatenation, parts) = match policy.concatenation {
        _ if segments == 1 => (Concatenation::None, 1),
        Concatenation::Payload => (Concatenation::Payload, 1),
        other => (other, segments),
    };
    let octets = if alphabet == Alphabet::Ucs2 { units * 2 } else { units };
    if concatenation == Concatenation::Payload && octets > PAYLOAD_OCTETS_MAX {
        return Err(Refused::PayloadTooLong { octets });
    }
    let units_per_segment = units_per_part(alphabet, segmentation(concatenation));
    let count = Count { alphabet, parts, segments, units, units_per_segment };
    let reference = reference_of(concatenation, reference);
    Ok((count, Split { parts, alphabet, concatenation, reference }))
}
