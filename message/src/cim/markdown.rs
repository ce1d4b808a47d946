//! Parses the Markdown in a text; plain text and every channel's own marks are written from its
//! pieces. Recognises a mark only where it cannot be anything else, and never changes other text:
//! prices, codes (`*100#`), masked numbers (`****12`), identifiers (`snake_case`), lists, URLs.
//!
//! Marks are recognised within one line: `**x**`, `__x__`, `*x*`, `_x_`, `~~x~~` and `` `x` ``. The
//! opening mark follows a space, an opening bracket or quote, or a symbol as an emoji, and stands
//! directly before its words. The closing mark stands directly after them and before a space,
//! punctuation, a symbol or the end. The words must contain a letter. `[words](https://...)` is a
//! link after any character, in plain text `words (https://...)`. Headings, lists and fences are
//! left unchanged.

use std::{borrow::Cow, ops::Range};

/// Longest run of words between two marks, in bytes; marks further apart are left as text.
pub const EMPHASIS_BYTES_MAX: usize = 512;
/// Longest link in bytes; a longer one is left as text.
const LINK_BYTES_MAX: usize = 2_048;
/// Depth to which marks are parsed within marks; deeper ones are left as text.
const DEPTH_MAX: u8 = 4;

/// The style of marked words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `**x**`, `__x__`.
    Bold,
    /// `*x*`, `_x_`.
    Italic,
    /// `~~x~~`.
    Struck,
}

/// A piece of a text.
#[derive(Clone, Debug)]
pub enum Piece<'t> {
    /// Unmarked text.
    Text(&'t str),
    /// Words between marks.
    Styled(&'static [Style], Pieces<'t>),
    /// Text between backticks.
    Code(&'t str),
    /// Words that open an address.
    Link {
        /// The words; may be empty.
        words: Pieces<'t>,
        /// The target of the link.
        address: &'t str,
    },
}

/// An iterator over the pieces of a text, nested at most `DEPTH_MAX` deep.
#[derive(Clone, Debug)]
pub struct Pieces<'t> {
    rest: &'t str,
    /// The character before the rest.
    before: Option<char>,
    depth: u8,
}

impl<'t> Pieces<'t> {
    /// Parses a whole text.
    pub fn new(text: &'t str) -> Self {
        Self { rest: text, before: None, depth: 0 }
    }

    fn within(words: &'t str, depth: u8) -> Self {
        Self { rest: words, before: None, depth: depth + 1 }
    }

    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.before = taken.chars().next_back().or(self.before);
        self.rest = rest;
        taken
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = Piece<'t>;

    fn next(&mut self) -> Option<Piece<'t>> {
        let mut before = self.before;
        let mut at = 0;
        while let Some(rest) = self.rest.get(at..)
            && let Some(first) = rest.chars().next()
        {
            let marks = self.depth < DEPTH_MAX;
            let opens = marks && opens_after(before);
            let found = || {
                let link = marks.then(|| link(rest, self.depth)).flatten();
                link.or_else(|| opens.then(|| emphasis(rest, self.depth)).flatten())
            };
            let length = match opens.then(|| url_length(rest)).flatten() {
                Some(length) => length,
                None => match found() {
                    Some((piece, length)) if at == 0 => {
                        self.take(length);
                        return Some(piece);
                    }
                    Some(_) => break,
                    None => plain_length(rest, first),
                },
            };
            before = rest.get(..length).and_then(|done| done.chars().next_back());
            at += length;
        }
        (at > 0).then(|| Piece::Text(self.take(at)))
    }
}

/// Returns the ranges of marks and links, inside of which a text must not be cut.
pub fn marked_ranges(text: &str) -> Vec<Range<usize>> {
    if !text.bytes().any(is_mark) {
        return Vec::new();
    }
    let mut ranges = Vec::new();
    let mut pieces = Pieces::new(text);
    loop {
        let from = text.len() - pieces.rest.len();
        match pieces.next() {
            Some(Piece::Text(_)) => {}
            Some(_) => ranges.push(from..text.len() - pieces.rest.len()),
            None => return ranges,
        }
    }
}

/// Returns the text without Markdown; borrowed when nothing was removed.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(is_mark) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    write_plain(Pieces::new(text), &mut out);
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// Writes pieces without their marks.
pub fn write_plain(pieces: Pieces<'_>, out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) | Piece::Code(text) => out.push_str(text),
            Piece::Styled(_, words) => write_plain(words, out),
            Piece::Link { words, address } => {
                let from = out.len();
                write_plain(words, out);
                close_link(out, from, address);
            }
        }
    }
}

/// Writes the address of a link whose words begin at `from`, as `words (address)`. Without words,
/// or when the words are the address, only the address is written.
pub fn close_link(out: &mut String, from: usize, address: &str) {
    let words = out.get(from..).unwrap_or_default();
    if words == address {
        return;
    }
    let (open, close) = if words.is_empty() { ("", "") } else { (" (", ")") };
    out.push_str(open);
    out.push_str(address);
    out.push_str(close);
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'*' | b'_' | b'~' | b'`' | b'[')
}

/// Returns the length of the text to copy unchanged. A run of one mark is copied as a whole, so
/// that the rest of the run cannot open a mark.
fn plain_length(rest: &str, first: char) -> usize {
    if first.is_ascii() && is_mark(first as u8) && first != '[' {
        rest.len() - rest.trim_start_matches(first).len()
    } else {
        first.len_utf8()
    }
}

/// Returns whether a character is a symbol that no word contains: an emoji, an arrow, a bullet.
fn is_symbol(c: char) -> bool {
    matches!(c, '\u{2022}' | '\u{2190}'..='\u{21FF}' | '\u{2300}'..='\u{27BF}' | '\u{2900}'..='\u{297F}')
        || matches!(c, '\u{2B00}'..='\u{2BFF}' | '\u{FE0E}' | '\u{FE0F}' | '\u{1F000}'..='\u{1FAFF}')
        || matches!(c, '\u{200B}' | '\u{20E3}' | '\u{E0020}'..='\u{E007F}')
}

/// Returns whether an opening mark may follow this character, or begin the text.
pub fn opens_after(before: Option<char>) -> bool {
    before.is_none_or(|c| {
        c.is_whitespace()
            || is_symbol(c)
            || matches!(c, '(' | '[' | '{' | '"' | '\'' | '“' | '‘' | '«' | '¡' | '¿' | '*' | '_' | '~' | '!')
            || c == '—'
            || is_east_asian(c)
    })
}

/// Returns whether a closing mark may precede this character, or end the text.
pub fn closes_before(after: Option<char>) -> bool {
    after.is_none_or(|c| {
        c.is_whitespace()
            || is_symbol(c)
            || matches!(c, ')' | ']' | '}' | '"' | '\'' | '”' | '’' | '»' | '*' | '_' | '~')
            || matches!(c, '.' | ',' | ':' | ';' | '!' | '?' | '…' | '—' | '%')
            || is_east_asian(c)
    })
}

/// Returns whether a character belongs to a script without spaces between words.
fn is_east_asian(c: char) -> bool {
    ('\u{2E80}'..='\u{D7AF}').contains(&c) || ('\u{FF00}'..='\u{FFEF}').contains(&c)
}

/// Returns the length of a URL at the start: it is copied as a whole, marks in it are not parsed.
fn url_length(rest: &str) -> Option<usize> {
    let is_url = ["http://", "https://", "www."].iter().any(|start| starts_with(rest, start));
    if !is_url {
        return None;
    }
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"')).unwrap_or(rest.len());
    let address = rest.get(..end)?;
    Some(address.trim_end_matches(['*', '~', '`']).len())
}

fn starts_with(text: &str, start: &str) -> bool {
    text.as_bytes().get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
}

/// Parses `[words](address)` or `![words](address)`.
fn link(rest: &str, depth: u8) -> Option<(Piece<'_>, usize)> {
    let inner = rest.strip_prefix('[').or_else(|| rest.strip_prefix("!["))?;
    let window = head(inner, LINK_BYTES_MAX);
    let middle = window.find(['[', ']', '\n'])?;
    let words = inner.get(..middle)?;
    let address = window.get(middle..)?.strip_prefix("](")?;
    let end = address.find(|c: char| c == ')' || c.is_whitespace())?;
    let after = address.get(end..)?;
    let address = address.get(..end)?;
    let known =
        ["http://", "https://", "mailto:", "tel:", "tg://"].iter().any(|start| starts_with(address, start));
    if !after.starts_with(')') || !known {
        return None;
    }
    let length = rest.len() - inner.len() + middle + "](".len() + address.len() + ")".len();
    Some((Piece::Link { words: Pieces::within(words, depth), address }, length))
}

fn emphasis(rest: &str, depth: u8) -> Option<(Piece<'_>, usize)> {
    let mark = rest.chars().next().filter(|c| matches!(c, '*' | '_' | '~' | '`'))?;
    let run = rest.len() - rest.trim_start_matches(mark).len();
    let styles: &[Style] = match (mark, run) {
        ('*' | '_', 1) => &[Style::Italic],
        ('*' | '_', 2) => &[Style::Bold],
        ('*' | '_', 3) => &[Style::Bold, Style::Italic],
        ('~', 2) => &[Style::Struck],
        ('`', 1) => &[],
        _ => return None,
    };
    let inner = rest.get(run..)?;
    if inner.chars().next().is_none_or(char::is_whitespace) {
        return None;
    }
    let words = inner.get(..closing(inner, mark, run)?)?;
    // `*100#`, `*123*` are codes to dial, not words.
    if mark != '`' && !words.chars().any(char::is_alphabetic) {
        return None;
    }
    let length = run + words.len() + run;
    match mark {
        '`' => Some((Piece::Code(words), length)),
        _ => Some((Piece::Styled(styles, Pieces::within(words, depth)), length)),
    }
}

/// Returns where the closing run with the same number of marks begins.
fn closing(inner: &str, mark: char, run: usize) -> Option<usize> {
    let window = head(inner, EMPHASIS_BYTES_MAX);
    let line = window.split('\n').next()?;
    let mut at = 0;
    while let Some(found) = line.get(at..)?.find(mark) {
        let start = at + found;
        let after = inner.get(start..)?.trim_start_matches(mark);
        let length = inner.len() - start - after.len();
        let before = line.get(..start)?.chars().next_back();
        let follows_words = before.is_some_and(|c| !c.is_whitespace());
        if length == run && follows_words && closes_before(after.chars().next()) {
            return Some(start);
        }
        at = start + length;
    }
    None
}

/// Returns the first bytes of a text, cut between characters.
fn head(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markdown_is_removed() {
        for (markdown, text) in [
            ("**Hello** *you*, _there_!", "Hello you, there!"),
            ("__Hello__ ~~old~~ `code`", "Hello old code"),
            ("***both***", "both"),
            ("**bold with _inner_ words**", "bold with inner words"),
            ("(*so*) \"_so_\"", "(so) \"so\""),
            ("see [our page](https://x.example/a_b_c).", "see our page (https://x.example/a_b_c)."),
            ("[https://x.example](https://x.example)", "https://x.example"),
            ("![shelf](https://x.example/1.png)", "shelf (https://x.example/1.png)"),
            ("[**Call**](tel:+4917)", "Call (tel:+4917)"),
            ("这是 **重要** 的", "这是 重要 的"),
            ("这是**重要**的", "这是重要的"),
            ("**50% off**", "50% off"),
            ("**https://x.example/a**", "https://x.example/a"),
            ("*a* and *b*", "a and b"),
        ] {
            assert_eq!(plain(markdown), text, "{markdown}");
        }
    }

    #[test]
    fn ordinary_texts_are_unchanged() {
        for text in [
            "2*3*4 = 24",
            "5 * 3 * 2",
            "snake_case_name and __x",
            "*100# or *123*45#",
            "dial *123* now",
            "card **** 1234, pin ****",
            "Card **1234, account **5678",
            "*T&C apply. *Offer valid",
            "* one\n* two\n* three",
            "- one\n- two",
            "# 5 of #10",
            "#winter _sale",
            "¯\\_(ツ)_/¯",
            "a_b@c_d.example",
            "https://x.example/_a_/*b*?c=_d_",
            "C:\\_temp_\\x",
            "[1](note) [x] (y)",
            "*a\nb*",
            "~5 or ~6~",
            "```\nlet a = 1;\n```",
            "____",
            "* ** *** ****",
            "[[[](](",
            "price: 5*",
            "_",
            "",
        ] {
            let out = plain(text);
            assert_eq!(out, text);
            assert!(matches!(out, Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn a_text_full_of_marks_is_parsed_quickly() {
        for piece in ["*a ", "[", "[a](", "**a *b _c ~~d ", "(*"] {
            let text = piece.repeat(64 * 1024 / piece.len());
            assert_eq!(plain(&text).len(), text.len());
        }
    }

    proptest! {
        #[test]
        fn only_marks_are_removed(text in "[*_~`\\[\\]() a1é\\n]{0,60}") {
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            prop_assert_eq!(letters(&plain(&text)), letters(&text));
            prop_assert!(plain(&text).len() <= text.len());
        }

        /// Text outside of the ranges is unchanged.
        #[test]
        fn ranges_contain_all_marks(text in "[*_~`\\[\\]() a1é\\n]{0,60}|(\\*\\*a b\\*\\*|\\[b\\]\\(https://x.example\\)| |z){0,9}") {
            let mut made = String::new();
            let mut at = 0;
            for range in marked_ranges(&text) {
                prop_assert!(at <= range.start && range.start < range.end);
                made.push_str(&text[at..range.start]);
                made.push_str(&plain(&text[range.clone()]));
                at = range.end;
            }
            made.push_str(&text[at..]);
            prop_assert_eq!(made, plain(&text));
        }
    }
}
