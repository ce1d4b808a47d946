//! Replacements that let a text fit a cheaper alphabet. Each is a channel's choice; nothing here
//! decides whether the result is used, and no character of GSM 03.38 is touched.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::text::gsm7;

/// The wanted replacements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Replacements {
    /// Whether typographic characters become plain ones, after NFC.
    pub typography: bool,
    /// Whether accents that GSM lacks are dropped, which changes the meaning in some languages.
    pub accents: bool,
    /// Whether Greek capitals that GSM lacks become the Latin letters they resemble.
    pub greek: bool,
    /// Whether characters of GSM beyond ASCII become the ones of ASCII they resemble.
    pub ascii: bool,
}

/// Returns the text with the wanted replacements.
pub fn apply(text: &str, wanted: Replacements) -> String {
    let mut changed = String::with_capacity(text.len());
    for c in text.nfc() {
        let is_ascii = c.is_ascii() && c != '`' && c != '\t';
        if is_ascii || (!wanted.ascii && gsm7::standard_code(c).is_some()) {
            changed.push(c);
            continue;
        }
        let found = None
            .or_else(|| wanted.ascii.then(|| ascii(c)).flatten())
            .or_else(|| wanted.typography.then(|| typography(c)).flatten())
            .or_else(|| wanted.accents.then(|| without_accent(c)).flatten())
            .or_else(|| wanted.greek.then(|| greek(c)).flatten());
        match found {
            Some(replacement) => changed.push_str(replacement),
            None => match fullwidth(c).filter(|_| wanted.typography) {
                Some(ascii) => changed.push(ascii),
                None => changed.push(c),
            },
        }
    }
    changed
}

/// Returns the text with `?` for each grapheme cluster that needs a surrogate pair, for servers
/// that refuse those.
pub fn without_emoji(text: &str) -> String {
    let mut changed = String::with_capacity(text.len());
    for cluster in text.graphemes(true) {
        changed.push_str(if cluster.chars().any(|c| c.len_utf16() == 2) { "?" } else { cluster });
    }
    changed
}

fn typography(c: char) -> Option<&'static str> {
    Some(match c {
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' | '〝' | '〞' | '〟' | '❝' | '❞' | '❠' | '🙶' | '🙷' | '🙸' => {
            "\""
        }
        '‘' | '’' | '‛' | '′' | '´' | '`' | 'ʼ' | 'ʻ' | 'ʹ' | '‵' | '‹' | '›' | '❛' | '❜' => {
            "'"
        }
        '‚' | '❟' => ",",
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | '﹘' | '﹣' | '⁃' | '•' | '·' | '∙' | '‧' => {
            "-"
        }
        '…' => "...",
        '‥' => "..",
        '\t' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => " ",
        '\u{2028}' | '\u{2029}' => "\n",
        // Zero-width joiner and non-joiner stay, since they shape emoji and scripts.
        '\u{AD}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}' => "",
        '¼' => "1/4",
        '½' => "1/2",
        '¾' => "3/4",
        '÷' | '⁄' | '∕' => "/",
        _ => return None,
    })
}

fn without_accent(c: char) -> Option<&'static str> {
    Some(match c {
        'á' | 'â' | 'ã' => "a",
        'ê' | 'ë' => "e",
        'í' | 'î' | 'ï' => "i",
        'ó' | 'ô' | 'õ' => "o",
        'ú' | 'û' => "u",
        'ç' => "c",
        'ÿ' | 'ý' => "y",
        'Á' | 'À' | 'Â' | 'Ã' => "A",
        'È' | 'Ê' | 'Ë' => "E",
        'Í' | 'Ì' | 'Î' | 'Ï' => "I",
        'Ó' | 'Ò' | 'Ô' | 'Õ' => "O",
        'Ú' | 'Ù' | 'Û' => "U",
        'Ý' => "Y",
        _ => return None,
    })
}

fn greek(c: char) -> Option<&'static str> {
    Some(match c {
        'Α' | 'Ά' => "A",
        'Β' => "B",
        'Ε' | 'Έ' => "E",
        'Ζ' => "Z",
        'Η' | 'Ή' => "H",
        'Ι' | 'Ί' => "I",
        'Κ' => "K",
        'Μ' => "M",
        'Ν' => "N",
        'Ο' | 'Ό' => "O",
        'Ρ' => "P",
        'Τ' => "T",
        'Υ' | 'Ύ' => "Y",
        'Χ' => "X",
        'Ώ' => "Ω",
        _ => return None,
    })
}

/// The characters of GSM 03.38 beyond ASCII that resemble some of ASCII.
fn ascii(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'å' | 'ä' => "a",
        'è' | 'é' => "e",
        'ì' => "i",
        'ò' | 'ø' | 'ö' => "o",
        'ù' | 'ü' => "u",
        'ñ' => "n",
        'Å' | 'Ä' => "A",
        'É' => "E",
        'Ø' | 'Ö' => "O",
        'Ü' => "U",
        'Ñ' => "N",
        'Ç' => "C",
        'Æ' => "AE",
        'æ' => "ae",
        'ß' => "ss",
        '€' => "EUR",
        '£' => "GBP",
        '¥' => "JPY",
        '¡' => "!",
        '¿' => "?",
        other => return without_accent(other),
    })
}

fn fullwidth(c: char) -> Option<char> {
    let offset = u32::from(c).checked_sub(0xFF01).filter(|offset| *offset < 94)?;
    char::from_u32(offset + 0x21)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::text::transliterate::*;

    const ALL: Replacements = Replacements { typography: true, accents: true, greek: true, ascii: false };

    #[test]
    fn the_table_of_replacements() {
        let typography = Replacements { typography: true, ..Replacements::default() };
        let check = |from: &str, to: &str| assert_eq!(apply(from, typography), to);
        check("“a” ‘b’ ‚c „d‟ «e» ″＂", "\"a\" 'b' ,c \"d\" \"e\" \"\"");
        check("‐‑‒–—―−﹣－", "---------");
        check("a…\u{A0}b\tc\u{200B}\u{FEFF}\u{AD}\u{2060}d • ·", "a... b cd - -");
        check("ＡＢｃ！～ ¼ ½ ¾ ÷⁄∕", "ABc!~ 1/4 1/2 3/4 ///");
        check("e\u{301} \u{2126} `", "é Ω '");
        check("èéùìòàäöñüåÇØÆßÉ€ ça 👩\u{200D}👧", "èéùìòàäöñüåÇØÆßÉ€ ça 👩\u{200D}👧");
        assert_eq!(apply("ça ÀÉ ΑΒΓ", ALL), "ca AÉ ABΓ");
        let ascii = Replacements { ascii: true, ..ALL };
        assert_eq!(
            apply("ça ÀÉ ΑΒ “5 €” ¿Größe? Ærø [x] `", ascii),
            "ca AE AB \"5 EUR\" ?Grosse? AEro [x] '"
        );
        assert_eq!(apply("Γ привет", ascii), "Γ привет");
    }

    #[test]
    fn an_emoji_cluster_is_one_question_mark() {
        assert_eq!(without_emoji("a👩\u{200D}👩\u{200D}👧b🇫🇷é"), "a?b?é");
    }

    proptest! {
        #[test]
        fn a_gsm_text_is_never_touched(text in "[@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !#¤%&'()*+,./0-9:;<=>?¡A-ZÄÖÑÜ§¿a-zäöñüà^{}\\\\\\[~\\]|€\r\n-]{0,40}") {
            prop_assert_eq!(apply(&text, ALL), text);
        }
    }
}
