//! Markdown to plain text, for channels without formatting. It takes away only what can be nothing but
//! Markdown, and leaves every other text exactly as it is: prices, codes (`*100#`), masked numbers (`****12`),
//! identifiers (`snake_case`), lists, addresses of pages.
//!
//! The rule: on one line, `**x**`, `__x__`, `*x*`, `_x_`, `~~x~~` and `` `x` `` lose their marks when the opening
//! one stands after a space or an opening bracket or quote and right before its words, the closing one right
//! after them and before a space, punctuation or the end, and the words are not digits and signs alone.
//! `[words](https://...)` becomes `words (https://...)`. Headings, lists and fences stay.

use std::borrow::Cow;

/// The longest run of words between two marks, in bytes.
const EMPHASIS_BYTES_MAX: usize = 512;
/// The longest link, in bytes.
const LINK_BYTES_MAX: usize = 2_048;
/// How deep marks are looked for within marks.
const DEPTH_MAX: u8 = 4;

/// The text without Markdown; borrowed when there was none.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(is_mark) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    strip(text, None, 0, &mut out);
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'*' | b'_' | b'~' | b'`' | b'[')
}

/// Appends `text` without its marks. `before` is the character that stands before it.
fn strip(text: &str, mut before: Option<char>, depth: u8, out: &mut String) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = if depth < DEPTH_MAX && opens_after(before) {
            page(rest, out).or_else(|| link(rest, out)).or_else(|| emphasis(rest, depth, out))
        } else {
            None
        };
        let length = taken.unwrap_or_else(|| {
            let length = plain_length(rest, first);
            out.push_str(rest.get(..length).unwrap_or(rest));
            length
        });
        before = rest.get(..length).and_then(|done| done.chars().next_back());
        rest = rest.get(length..).unwrap_or_default();
    }
}

/// The length of what is copied as it is: a run of one mark as a whole, so that no half of it opens anything.
fn plain_length(rest: &str, first: char) -> usize {
    if first.is_ascii() && is_mark(first as u8) && first != '[' {
        rest.len() - rest.trim_start_matches(first).len()
    } else {
        first.len_utf8()
    }
}

fn opens_after(before: Option<char>) -> bool {
    before.is_none_or(|c| {
        c.is_whitespace()
            || matches!(c, '(' | '[' | '{' | '"' | '\'' | '“' | '‘' | '«' | '¡' | '¿' | '*' | '_' | '~' | '!')
            || c == '—'
            || is_east_asian(c)
    })
}

fn closes_before(after: Option<char>) -> bool {
    after.is_none_or(|c| {
        c.is_whitespace()
            || matches!(c, ')' | ']' | '}' | '"' | '\'' | '”' | '’' | '»' | '*' | '_' | '~')
            || matches!(c, '.' | ',' | ':' | ';' | '!' | '?' | '…' | '—' | '%')
            || is_east_asian(c)
    })
}

/// Writing that puts no space between words.
fn is_east_asian(c: char) -> bool {
    ('\u{2E80}'..='\u{D7AF}').contains(&c) || ('\u{FF00}'..='\u{FFEF}').contains(&c)
}

/// A page's address is copied whole: what looks like a mark in it is none.
fn page(rest: &str, out: &mut String) -> Option<usize> {
    let is_page = ["http://", "https://", "www."].iter().any(|start| starts_with(rest, start));
    if !is_page {
        return None;
    }
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"')).unwrap_or(rest.len());
    let address = rest.get(..end)?;
    let address = address.trim_end_matches(['*', '~', '`']);
    out.push_str(address);
    Some(address.len())
}

fn starts_with(text: &str, start: &str) -> bool {
    text.as_bytes().get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
}

/// `[words](address)`, and `![words](address)` at its bracket or its exclamation mark.
fn link(rest: &str, out: &mut String) -> Option<usize> {
    let inner = rest.strip_prefix('[').or_else(|| rest.strip_prefix("!["))?;
    let window = head(inner, LINK_BYTES_MAX);
    let middle = window.find(['[', ']', '\n'])?;
    let words = inner.get(..middle)?;
    let address = window.get(middle..)?.strip_prefix("](")?;
    let end = address.find(|c: char| c == ')' || c.is_whitespace())?;
    let after = address.get(end..)?;
    let address = address.get(..end)?;
    let known = ["http://", "https://", "mailto:", "tel:"].iter().any(|start| starts_with(address, start));
    if !after.starts_with(')') || !known {
        return None;
    }
    let words = plain(words);
    out.push_str(&words);
    if *words != *address {
        let brackets = if words.is_empty() { ("", "") } else { (" (", ")") };
        out.push_str(brackets.0);
        out.push_str(address);
        out.push_str(brackets.1);
    }
    Some(rest.len() - inner.len() + words_and_address(middle, address.len()))
}

/// The length of `words](address)`.
fn words_and_address(words: usize, address: usize) -> usize {
    words + 2 + address + 1
}

fn emphasis(rest: &str, depth: u8, out: &mut String) -> Option<usize> {
    let mark = rest.chars().next().filter(|c| matches!(c, '*' | '_' | '~' | '`'))?;
    let run = rest.len() - rest.trim_start_matches(mark).len();
    let allowed = match mark {
        '*' | '_' => run <= 3,
        '~' => run == 2,
        _ => run == 1,
    };
    if !allowed {
        return None;
    }
    let inner = rest.get(run..)?;
    if inner.chars().next().is_none_or(char::is_whitespace) {
        return None;
    }
    let words = inner.get(..closing(inner, mark, run)?)?;
    // `*100#`, `*123*`: codes that are dialled, not words.
    if mark != '`' && !words.chars().any(char::is_alphabetic) {
        return None;
    }
    if mark == '`' {
        out.push_str(words);
    } else {
        strip(words, None, depth + 1, out);
    }
    Some(run + words.len() + run)
}

/// Where the closing run of as many marks begins.
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

/// The first bytes of a text, cut between characters.
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
    fn markdown_goes() {
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
    fn ordinary_texts_stay() {
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
    fn a_text_of_marks_takes_no_long_time() {
        for piece in ["*a ", "[", "[a](", "**a *b _c ~~d ", "(*"] {
            let text = piece.repeat(64 * 1024 / piece.len());
            assert_eq!(plain(&text).len(), text.len());
        }
    }

    proptest! {
        #[test]
        fn only_marks_go(text in "[*_~`\\[\\]() a1é\\n]{0,60}") {
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            prop_assert_eq!(letters(&plain(&text)), letters(&text));
            prop_assert!(plain(&text).len() <= text.len());
        }
    }
}
