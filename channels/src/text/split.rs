//! Splits a text into SMS parts: the alphabet, the counts, the cuts. The result depends on the
//! arguments alone: [`parts()`] makes the same parts from a stored text and [`Split`] forever, so
//! its rules must never change for a split that is already in a log.

use std::borrow::Cow;

use message::event::{Alphabet, Concatenation, SmsHandling, Split};
use smallvec::SmallVec;

pub use crate::text::parts::{OctetParts, Part, Parts, Udh, octet_parts, part, parts, units_per_part};
use crate::text::{
    gsm7::{self, Tables},
    national::Language,
    parts::{self, pieces_as_many},
    transliterate::{self, Replacements},
};

/// Maximum number of parts that a concatenation header can number; longer texts are refused.
pub const PARTS_MAX: u16 = 255;
/// Default maximum length of a text, in code points; longer ones are refused.
pub const CHARACTERS_MAX: u32 = 1600;
/// Maximum number of octets of one `message_payload`, by its 16-bit length; longer ones are
/// refused.
pub const PAYLOAD_OCTETS_MAX: usize = 65_535;

/// A channel's settings for texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether GSM 03.38 may be used. Off where the server's default alphabet is Latin-1.
    pub gsm7: bool,
    /// Whether Latin-1 may be used, for servers that accept it.
    pub latin1: bool,
    /// Whether only ASCII may be used of Latin-1.
    pub ascii: bool,
    /// Whether UTF-16 may be used.
    pub ucs2: bool,
    /// A language whose shift tables may be used.
    pub national: Option<Language>,
    /// The way parts are marked. [`Concatenation::None`] sends separate texts, cut at nearby
    /// spaces.
    pub concatenation: Concatenation,
    /// Whether typographic characters are replaced when the whole text then fits a cheaper
    /// alphabet.
    pub transliterate: bool,
    /// Whether that happens only where the text then fits one part, and did not before.
    pub one_part_only: bool,
    /// Whether every character that resembles one of ASCII is replaced, where the whole text is
    /// ASCII then. The alphabet does not matter.
    pub to_ascii: bool,
    /// Whether accents that GSM lacks are dropped in that case.
    pub strip_accents: bool,
    /// Whether Greek capitals become the Latin letters they resemble in that case.
    pub greek_lookalikes: bool,
    /// Whether grapheme clusters that need a surrogate pair become `?`.
    pub replace_emoji: bool,
    /// Whether CR LF is sent as LF.
    pub crlf_to_lf: bool,
    /// Maximum number of parts of one text; longer ones are refused.
    pub parts_max: u16,
    /// Maximum length of a text as sent, in code points; longer ones are refused.
    pub characters_max: u32,
    /// Wishes for the telephone: class and ports. Ports in the header take room from the text.
    pub handling: SmsHandling,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            gsm7: true,
            latin1: false,
            ascii: false,
            ucs2: true,
            national: None,
            concatenation: Concatenation::Udh8,
            transliterate: false,
            one_part_only: false,
            to_ascii: false,
            strip_accents: false,
            greek_lookalikes: false,
            replace_emoji: false,
            crlf_to_lf: true,
            parts_max: PARTS_MAX,
            characters_max: CHARACTERS_MAX,
            handling: SmsHandling::PLAIN,
        }
    }
}

impl Policy {
    fn replacements(&self) -> Replacements {
        Replacements {
            typography: self.transliterate,
            accents: self.strip_accents,
            greek: self.greek_lookalikes || self.to_ascii,
            ascii: self.to_ascii,
        }
    }

    /// Returns whether a text fits Latin-1, or what the channel uses of it.
    fn fits_latin1(&self, survey: &Survey) -> bool {
        self.latin1 && if self.ascii { survey.ascii } else { survey.latin1 }
    }

    fn has_port_header(&self) -> bool {
        self.handling.ports.is_some_and(|ports| ports.in_header)
    }

    fn capacity(&self, alphabet: Alphabet, concatenation: Concatenation) -> usize {
        parts::capacity(alphabet, concatenation, self.has_port_header())
    }
}

/// The reason why a text cannot be sent. All are final, before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The text exceeds [`Policy::characters_max`].
    #[error("the text has {characters} characters, at most {max} are allowed: shorten it")]
    TooLong {
        /// The length in code points as sent.
        characters: usize,
        /// The configured limit.
        max: u32,
    },
    /// The text exceeds [`Policy::parts_max`], or the number that a header can express.
    #[error("the text needs {parts} parts, at most {max} are allowed: shorten it")]
    TooManyParts {
        /// The number of parts it would need.
        parts: usize,
        /// The configured limit.
        max: u16,
    },
    /// The text exceeds one `message_payload`.
    #[error("the text takes {octets} octets, one payload holds at most {PAYLOAD_OCTETS_MAX}: shorten it")]
    PayloadTooLong {
        /// The encoded length.
        octets: usize,
    },
    /// No allowed alphabet has a character.
    #[error("no alphabet of the channel has the character {character:?}: allow ucs2 or remove it")]
    NotInAlphabet {
        /// The first such character.
        character: char,
    },
}

/// A change made by [`prepare`].
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
    /// Returns the change in words for the business.
    pub fn as_str(self) -> &'static str {
        match self {
            Adaptation::NulRemoved => "NUL characters were removed",
            Adaptation::EmojiReplaced => "characters that need a surrogate pair were replaced by ?",
            Adaptation::Transliterated => "characters were replaced to fit a cheaper alphabet",
        }
    }
}

/// A text to be stored beside its split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedText<'t> {
    /// The text to store and send; pass this one to [`parts()`].
    pub text: Cow<'t, str>,
    /// The cuts of the text.
    pub split: Split,
    /// The changes. CR LF made LF is not listed, since it is invisible.
    pub adapted: SmallVec<[Adaptation; 2]>,
}

/// The size of a text in parts and units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The alphabet that the text needs.
    pub alphabet: Alphabet,
    /// Number of submits: 1 for a payload that the server cuts.
    pub parts: u16,
    /// Number of segments in the phone network (a payload is assumed to be cut with an 8-bit
    /// header).
    pub segments: u16,
    /// Septets, octets or UTF-16 units of the whole text.
    pub units: usize,
    /// Number of units that one segment holds.
    pub units_per_segment: usize,
}

/// Makes the policy's changes, and plans the cuts of the result.
///
/// # Errors
/// The text is too long, or has a character that no allowed alphabet has.
pub fn prepare<'t>(text: &'t str, policy: &Policy, reference: u16) -> Result<PreparedText<'t>, SplitError> {
    if fits_at_sight(text, policy) {
        return Ok(PreparedText { text: Cow::Borrowed(text), split: ONE_GSM7, adapted: SmallVec::new() });
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
    let is_cheap = (survey.ascii || !policy.to_ascii) && cheap(&text, &survey, policy).is_some();
    if wanted != Replacements::default() && (!is_cheap || policy.one_part_only) {
        let changed = transliterate::apply(&text, wanted);
        let of_changed = Survey::of(&changed);
        if is_better(&text, &survey, &changed, &of_changed, policy) {
            text = Cow::Owned(changed);
            survey = of_changed;
            adapted.push(Adaptation::Transliterated);
        }
    }
    let split = cuts(&text, &survey, policy, reference)?.1;
    Ok(PreparedText { text, split, adapted })
}

/// Returns whether a replaced text is worth the change.
fn is_better(text: &str, survey: &Survey, changed: &str, of_changed: &Survey, policy: &Policy) -> bool {
    // Where GSM is allowed, only GSM is cheap enough to change a text for.
    let fits = match (policy.to_ascii, policy.gsm7) {
        (true, _) => of_changed.ascii,
        (false, true) => of_changed.gsm7,
        (false, false) => policy.fits_latin1(of_changed),
    };
    let is_one_part = |text: &str, survey: &Survey| {
        alphabet(text, survey, policy)
            .is_ok_and(|(alphabet, units)| units <= policy.capacity(alphabet, Concatenation::None))
    };
    fits && (!policy.one_part_only || (is_one_part(changed, of_changed) && !is_one_part(text, survey)))
}

/// Plans the cuts of a text without changing it.
///
/// # Errors
/// As [`prepare`].
pub fn plan(text: &str, policy: &Policy, reference: u16) -> Result<Split, SplitError> {
    if fits_at_sight(text, policy) {
        return Ok(ONE_GSM7);
    }
    too_long_at_sight(text, policy)?;
    Ok(cuts(text, &Survey::of(text), policy, reference)?.1)
}

/// Returns the size of a text as [`plan`] cuts it.
///
/// # Errors
/// As [`prepare`].
pub fn count(text: &str, policy: &Policy) -> Result<Count, SplitError> {
    too_long_at_sight(text, policy)?;
    Ok(cuts(text, &Survey::of(text), policy, 0)?.0)
}

/// Returns the alphabet and number of SMS that the phone network carries, and charges, for a text
/// that a provider cuts by itself, as most do: GSM where it suffices, else UTF-16, with headers of
/// an 8-bit reference.
pub fn segments(text: &str) -> (Alphabet, usize) {
    let survey = Survey::of(text);
    let (alphabet, units) =
        if survey.gsm7 { (Alphabet::Gsm7, survey.septets) } else { (Alphabet::Ucs2, survey.utf16) };
    (alphabet, segments_as(text, alphabet, units, Concatenation::Udh8, SmsHandling::PLAIN))
}

/// Cuts a text for a provider that accepts texts of at most `units_max` UTF-16 units and encodes
/// them itself. This also serves a provider that counts code points, of which there are never more.
/// The limit is kept in [`Split::reference`], which has no other use there.
///
/// # Errors
/// The text needs more than `parts_max` parts.
pub fn plan_texts(text: &str, units_max: u16, parts_max: u16) -> Result<Split, SplitError> {
    if text.len() <= usize::from(units_max) || text.encode_utf16().count() <= usize::from(units_max) {
        return Ok(Split::WHOLE);
    }
    let mut split = Split { reference: units_max.max(2), ..Split::WHOLE };
    split.parts = limited(pieces_as_many(text, split).count(), parts_max)?;
    Ok(split)
}

/// Cuts binary octets.
///
/// # Errors
/// More parts than the policy or the header allows.
pub fn plan_octets(octets: &[u8], policy: &Policy, reference: u16) -> Result<Split, SplitError> {
    let concatenation = policy.concatenation;
    let whole = Split { alphabet: Alphabet::Binary, handling: policy.handling, ..Split::WHOLE };
    if octets.len() <= policy.capacity(Alphabet::Binary, Concatenation::None) {
        return Ok(whole);
    }
    let per_part = policy.capacity(Alphabet::Binary, segmentation(concatenation));
    let segments = limited(octets.len().div_ceil(per_part), parts_max(policy))?;
    if concatenation == Concatenation::Payload {
        return Ok(Split { concatenation, ..whole });
    }
    Ok(Split { parts: segments, concatenation, reference: reference_of(concatenation, reference), ..whole })
}

/// The findings of one pass over a text.
struct Survey {
    characters: usize,
    gsm7: bool,
    septets: usize,
    latin1: bool,
    ascii: bool,
    utf16: usize,
    /// The first character outside GSM, and the first outside Latin-1.
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
            ascii: text.is_ascii(),
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

/// The split of most texts: one part of GSM.
const ONE_GSM7: Split = Split { alphabet: Alphabet::Gsm7, ..Split::WHOLE };

/// Takes the fast path: a short text of characters that are one octet here and one septet there.
/// Nothing in it needs an escape or is ever replaced.
fn fits_at_sight(text: &str, policy: &Policy) -> bool {
    const OCTETS_MAX: usize = 160;
    let septet = |octet: u8| matches!(octet, b' '..=b'Z' | b'a'..=b'z' | b'\n' | b'_');
    policy.gsm7
        && policy.handling == SmsHandling::PLAIN
        && policy.parts_max > 0
        && text.len() <= OCTETS_MAX.min(usize::try_from(policy.characters_max).unwrap_or(OCTETS_MAX))
        && text.bytes().all(septet)
}

/// Rejects a text that is too long however it is counted, without walking over it.
fn too_long_at_sight(text: &str, policy: &Policy) -> Result<(), SplitError> {
    let max = policy.characters_max;
    // CR LF, NUL and clusters may shrink a text; 64 bytes a character exceed any real text.
    let bytes_max = usize::try_from(max).unwrap_or(usize::MAX).saturating_mul(64);
    if text.len() <= bytes_max {
        return Ok(());
    }
    Err(SplitError::TooLong { characters: text.chars().count(), max })
}

/// Returns the alphabet that sends the text unchanged for less than UTF-16; Latin-1 beside GSM is
/// not considered.
fn cheap(text: &str, survey: &Survey, policy: &Policy) -> Option<(Alphabet, usize)> {
    if policy.gsm7 && survey.gsm7 {
        return Some((Alphabet::Gsm7, survey.septets));
    }
    if let Some(found) = national(text, policy) {
        return Some(found);
    }
    (!policy.gsm7 && policy.fits_latin1(survey)).then_some((Alphabet::Latin1, survey.characters))
}

fn alphabet(text: &str, survey: &Survey, policy: &Policy) -> Result<(Alphabet, usize), SplitError> {
    if let Some(found) = cheap(text, survey, policy) {
        return Ok(found);
    }
    if policy.fits_latin1(survey) {
        return Ok((Alphabet::Latin1, survey.characters));
    }
    if policy.ucs2 {
        return Ok((Alphabet::Ucs2, survey.utf16));
    }
    let character = if policy.latin1 { survey.not_latin1 } else { survey.not_gsm7 };
    Err(SplitError::NotInAlphabet { character })
}

/// Returns the national alphabet that needs fewer parts, with the text's septets in it.
fn national(text: &str, policy: &Policy) -> Option<(Alphabet, usize)> {
    let language = policy.national.filter(|_| policy.gsm7)?;
    let septets = |alphabet| {
        let tables = Tables::of(alphabet)?;
        let mut septets = 0;
        for c in text.chars() {
            septets += tables.code(c)?.septets();
        }
        // The shift needs a header in each part: it excludes sar_* and servers that cut.
        let one = septets <= policy.capacity(alphabet, Concatenation::None);
        let header = !matches!(policy.concatenation, Concatenation::Sar | Concatenation::Payload);
        (one || header).then_some((alphabet, septets))
    };
    let single = septets(Alphabet::Gsm7Single(language.id()));
    let locking = language.locks().then(|| septets(Alphabet::Gsm7Locking(language.id()))).flatten();
    [single, locking].into_iter().flatten().min_by_key(|&(alphabet, units)| {
        segments_as(text, alphabet, units, policy.concatenation, policy.handling)
    })
}

/// Returns the concatenation as the phone network sees it: a server cuts a payload, usually with an
/// 8-bit header.
fn segmentation(concatenation: Concatenation) -> Concatenation {
    match concatenation {
        Concatenation::Payload => Concatenation::Udh8,
        other => other,
    }
}

fn segments_as(
    text: &str,
    alphabet: Alphabet,
    units: usize,
    concatenation: Concatenation,
    handling: SmsHandling,
) -> usize {
    let split = Split { parts: 2, alphabet, handling, ..Split::WHOLE };
    if units <= parts::capacity_of(split) {
        return 1;
    }
    pieces_as_many(text, Split { concatenation: segmentation(concatenation), ..split }).count()
}

fn parts_max(policy: &Policy) -> u16 {
    match policy.concatenation {
        Concatenation::None => policy.parts_max,
        _ => policy.parts_max.min(PARTS_MAX),
    }
}

fn limited(parts: usize, max: u16) -> Result<u16, SplitError> {
    match u16::try_from(parts) {
        Ok(count) if count <= max => Ok(count),
        _ => Err(SplitError::TooManyParts { parts, max }),
    }
}

fn reference_of(concatenation: Concatenation, reference: u16) -> u16 {
    match concatenation {
        Concatenation::None | Concatenation::Payload => 0,
        Concatenation::Udh8 => reference & 0xFF,
        Concatenation::Udh16 | Concatenation::Sar => reference,
    }
}

fn cuts(text: &str, survey: &Survey, policy: &Policy, reference: u16) -> Result<(Count, Split), SplitError> {
    let max = policy.characters_max;
    if u32::try_from(survey.characters).map_or(true, |characters| characters > max) {
        return Err(SplitError::TooLong { characters: survey.characters, max });
    }
    let (alphabet, units) = alphabet(text, survey, policy)?;
    let segments = segments_as(text, alphabet, units, policy.concatenation, policy.handling);
    let segments = limited(segments, parts_max(policy))?;
    let (concatenation, parts) = match policy.concatenation {
        _ if segments == 1 => (Concatenation::None, 1),
        Concatenation::Payload => (Concatenation::Payload, 1),
        other => (other, segments),
    };
    let octets = if alphabet == Alphabet::Ucs2 { units * 2 } else { units };
    if concatenation == Concatenation::Payload && octets > PAYLOAD_OCTETS_MAX {
        return Err(SplitError::PayloadTooLong { octets });
    }
    let units_per_segment = policy.capacity(alphabet, segmentation(concatenation));
    let count = Count { alphabet, parts, segments, units, units_per_segment };
    let reference = reference_of(concatenation, reference);
    Ok((count, Split { parts, alphabet, concatenation, reference, handling: policy.handling }))
}
