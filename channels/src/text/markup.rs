//! Writes Markdown in the marks of a channel that has its own, when a message is sent. The parser
//! of [`message::cim::markdown`] alone decides which words are marked; no word is lost here.

use std::borrow::Cow;

use message::cim::markdown::{Piece, Pieces, Style, close_link, closes_before, opens_after, write_plain};

/// Returns a text in WhatsApp's marks: `*bold*`, `_italic_`, `~struck~`, `` `code` ``, links as
/// `words (address)`. Fences are WhatsApp's own as well and stay.
pub fn whatsapp(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    write_whatsapp(Pieces::new(text), Open::default(), &mut out);
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// Returns a customer's text in which a chat's own marks are Markdown: `*bold*` becomes `**bold**`
/// and `~struck~` becomes `~~struck~~`; `_italic_` is the same. A text with code is left as it is.
pub fn from_chat(text: &str) -> Cow<'_, str> {
    let pairs = if text.contains('`') { Vec::new() } else { pairs(text) };
    if pairs.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + pairs.len());
    for (at, c) in text.char_indices() {
        out.push(c);
        if pairs.contains(&at) {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Maximum number of marks of a customer's text that are read; further ones are left as they are.
const CHAT_MARKS_MAX: usize = 200;

/// Returns where the single `*` and `~` around words stand.
fn pairs(text: &str) -> Vec<usize> {
    let mut pairs = Vec::new();
    for mark in ['*', '~'] {
        let mut open: Option<usize> = None;
        let mut before = None;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let after = chars.peek().map(|(_, after)| *after);
            let is_alone = before != Some(mark) && after != Some(mark);
            if c == '\n' {
                open = None;
            } else if c == mark && is_alone && pairs.len() < CHAT_MARKS_MAX {
                let closes = before.is_some_and(|c: char| !c.is_whitespace()) && closes_before(after);
                let opens = after.is_some_and(|c| !c.is_whitespace()) && opens_after(before);
                let words = |from: usize| text.get(from..at).unwrap_or_default();
                match open {
                    Some(from) if closes && words(from).chars().any(char::is_alphabetic) => {
                        pairs.extend([from, at]);
                        open = None;
                    }
                    _ if opens => open = Some(at),
                    _ => {}
                }
            }
            before = Some(c);
        }
    }
    pairs
}

fn write_whatsapp(pieces: Pieces<'_>, open: Open, out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Code(code) => {
                out.push('`');
                out.push_str(code);
                out.push('`');
            }
            Piece::Styled(styles, words) => {
                let (new, open) = open.with(styles);
                out.extend(new.iter().map(|style| mark(*style)));
                write_whatsapp(words, open, out);
                out.extend(new.iter().rev().map(|style| mark(*style)));
            }
            Piece::Link { words, address } => {
                let from = out.len();
                write_whatsapp(words, open, out);
                close_link(out, from, address);
            }
        }
    }
}

fn mark(style: Style) -> char {
    match style {
        Style::Bold => '*',
        Style::Italic => '_',
        Style::Struck => '~',
    }
}

/// Returns a text as Telegram's HTML: `b`, `i`, `s`, `code` and `a`, everything else escaped. Links
/// that Telegram does not open are written out, as it would drop their addresses.
pub fn telegram_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    write_html(Pieces::new(text), Open::default(), &mut out);
    out
}

/// Returns the length that Telegram counts: UTF-16 units without the tags.
pub fn telegram_units(text: &str) -> usize {
    Pieces::new(text).map(units).sum()
}

fn units(piece: Piece<'_>) -> usize {
    let utf16 = |text: &str| text.encode_utf16().count();
    match piece {
        Piece::Text(text) | Piece::Code(text) => utf16(text),
        Piece::Styled(_, words) => words.map(units).sum(),
        Piece::Link { words, address } => match link(&words, address) {
            Link::Tag => words.map(units).sum(),
            Link::Written(written) => utf16(&written),
        },
    }
}

fn write_html(pieces: Pieces<'_>, open: Open, out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => escape(text, out),
            Piece::Code(code) => {
                out.push_str("<code>");
                escape(code, out);
                out.push_str("</code>");
            }
            Piece::Styled(styles, words) => {
                let (new, open) = open.with(styles);
                for style in &new {
                    out.push_str(tag(*style).0);
                }
                write_html(words, open, out);
                for style in new.iter().rev() {
                    out.push_str(tag(*style).1);
                }
            }
            Piece::Link { words, address } => match link(&words, address) {
                Link::Tag => {
                    out.push_str("<a href=\"");
                    escape(address, out);
                    out.push_str("\">");
                    write_html(words, open, out);
                    out.push_str("</a>");
                }
                Link::Written(written) => escape(&written, out),
            },
        }
    }
}

/// The form of a link.
enum Link {
    /// A tag around its words.
    Tag,
    /// Plain text.
    Written(String),
}

fn link(words: &Pieces<'_>, address: &str) -> Link {
    let mut written = String::new();
    write_plain(words.clone(), &mut written);
    let opens = ["http://", "https://", "tg://"].iter().any(|scheme| {
        address.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme))
            && address.len() > scheme.len()
    });
    if opens && !written.trim().is_empty() && written != address {
        return Link::Tag;
    }
    close_link(&mut written, 0, address);
    Link::Written(written)
}

fn tag(style: Style) -> (&'static str, &'static str) {
    match style {
        Style::Bold => ("<b>", "</b>"),
        Style::Italic => ("<i>", "</i>"),
        Style::Struck => ("<s>", "</s>"),
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
}

/// The open styles: none is opened twice, as the second mark would close the first.
#[derive(Clone, Copy, Default)]
struct Open {
    bold: bool,
    italic: bool,
    struck: bool,
}

impl Open {
    /// Returns the styles of `styles` that are new, and the resulting set.
    fn with(mut self, styles: &[Style]) -> (Vec<Style>, Self) {
        let new = styles.iter().copied().filter(|style| {
            let open = match style {
                Style::Bold => &mut self.bold,
                Style::Italic => &mut self.italic,
                Style::Struck => &mut self.struck,
            };
            !std::mem::replace(open, true)
        });
        (new.collect(), self)
    }
}

#[cfg(test)]
mod tests {
    use message::cim::markdown;
    use proptest::prelude::*;

    use crate::text::markup::*;

    #[test]
    fn a_chats_own_marks_become_markdown() {
        for (text, expected) in [
            ("*Hi* Ann, _see_ ~no~", "**Hi** Ann, _see_ ~~no~~"),
            ("*two words*! (*so*)", "**two words**! (**so**)"),
            ("👋*hi*", "👋**hi**"),
            ("*_both_*", "**_both_**"),
            ("*a* and *b*", "**a** and **b**"),
            // WhatsApp, "How to format your messages": a mark stands directly at its words.
            ("2*3*4 = 24, 5 * 3 * 2", "2*3*4 = 24, 5 * 3 * 2"),
            ("dial *100# or *123*", "dial *100# or *123*"),
            ("*a\nb*", "*a\nb*"),
            ("**bold** ~~gone~~", "**bold** ~~gone~~"),
            ("~5 or ~6", "~5 or ~6"),
            ("*T&C apply. *Offer valid", "*T&C apply. *Offer valid"),
            ("`*a*`", "`*a*`"),
            ("* one\n* two", "* one\n* two"),
            ("", ""),
        ] {
            assert_eq!(from_chat(text), expected, "{text}");
        }
    }

    #[test]
    fn markdown_becomes_the_channels_own() {
        for (text, whatsapp_text, html) in [
            (
                "**Hi** *you*, ~~no~~ `x`",
                "*Hi* _you_, ~no~ `x`",
                "<b>Hi</b> <i>you</i>, <s>no</s> <code>x</code>",
            ),
            ("***both***", "*_both_*", "<b><i>both</i></b>"),
            ("**a __b__ c**", "*a b c*", "<b>a b c</b>"),
            ("**a *b* c**", "*a _b_ c*", "<b>a <i>b</i> c</b>"),
            (
                "see [our **page**](https://x.example/?a=1&b=\"2\").",
                "see our *page* (https://x.example/?a=1&b=\"2\").",
                "see <a href=\"https://x.example/?a=1&amp;b=&quot;2&quot;\">our <b>page</b></a>.",
            ),
            ("[Call](tel:+4917)", "Call (tel:+4917)", "Call (tel:+4917)"),
            ("![](https://x.example/1.png)", "https://x.example/1.png", "https://x.example/1.png"),
            ("`a <b>`", "`a <b>`", "<code>a &lt;b&gt;</code>"),
            ("```\n1 < 2\n```", "```\n1 < 2\n```", "```\n1 &lt; 2\n```"),
        ] {
            assert_eq!(whatsapp(text), whatsapp_text);
            assert_eq!(telegram_html(text), html);
        }
        assert_eq!(telegram_units("**a😀** [x](https://x.example)"), 5);
    }

    /// Returns the text of HTML whose tags close in order; `None` when they do not. Links are
    /// written out, as `plain` writes them.
    fn without_tags(html: &str) -> Option<String> {
        let mut out = String::new();
        let mut open: Vec<(&str, usize, String)> = Vec::new();
        let mut rest = html;
        while let Some(at) = rest.find('<') {
            out.push_str(&unescaped(&rest[..at])?);
            let (tag, after) = rest[at + 1..].split_once('>')?;
            match tag.strip_prefix('/') {
                Some(name) => {
                    let (opened, from, address) = open.pop()?;
                    if opened != name {
                        return None;
                    }
                    if name == "a" {
                        close_link(&mut out, from, &address);
                    }
                }
                None => {
                    let (name, address) = match tag.strip_prefix("a href=\"") {
                        Some(address) => ("a", unescaped(address.strip_suffix('"')?)?),
                        None => (tag, String::new()),
                    };
                    if !["a", "b", "i", "s", "code"].contains(&name) {
                        return None;
                    }
                    open.push((name, out.len(), address));
                }
            }
            rest = after;
        }
        out.push_str(&unescaped(rest)?);
        open.is_empty().then_some(out)
    }

    fn unescaped(text: &str) -> Option<String> {
        let bare = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").replace("&quot;", "");
        if bare.contains(['&', '<', '>', '"']) {
            return None;
        }
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        Some(text.replace("&amp;", "&"))
    }

    const MARKED: &str = "([*_~`\\[\\]()<>&\" a1é😀\\n]|\\*\\*[a-c *_<]{1,9}\\*\\*|_[a-c *~&]{1,9}_|\\[[a-c *\"]{0,5}\\]\\((https://x.example/[&\"<a]{0,4}|tel:1)\\)){0,24}";

    proptest! {
        #[test]
        fn a_text_without_marks_stays(text in "[^*_~`\\[]{0,80}") {
            prop_assert_eq!(whatsapp(&text), text.as_str());
            let html = telegram_html(&text);
            prop_assert!(!html.contains(['<', '>', '"']));
            prop_assert_eq!(unescaped(&html), Some(text));
        }

        #[test]
        fn the_html_is_well_formed_and_says_the_same(text in MARKED) {
            let html = telegram_html(&text);
            let said = without_tags(&html);
            let plain = markdown::plain(&text);
            prop_assert_eq!(said.as_deref(), Some(&*plain), "{}", html);
            prop_assert!(telegram_units(&text) <= plain.encode_utf16().count());
        }

        #[test]
        fn a_customers_marks_lead_back_to_what_they_wrote(text in "([*_~ a-c\\n.!]|\\*[a-c][a-c ]{0,5}[a-c]\\*|~[a-c]{1,5}~){0,24}") {
            let made = from_chat(&text);
            let bare = |text: &str| text.replace(['*', '~'], "");
            prop_assert_eq!(bare(&made), bare(&text));
            prop_assert!(markdown::plain(&made).len() <= text.len());
        }

        #[test]
        fn whatsapp_loses_no_word_and_grows_no_longer(text in MARKED) {
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            let made = whatsapp(&text);
            prop_assert_eq!(letters(&made), letters(&text));
            prop_assert!(made.chars().count() <= text.chars().count());
        }
    }
}
