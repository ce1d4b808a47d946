//! Writes rich text that a provider describes by ranges (Telegram's entities) as the Markdown of
//! [`message::cim::markdown`]. Every word stays; a mark that the parser would not read back, as one
//! within a word, is left out. Only a link is always written, since its address is in no other
//! place.

use std::{collections::BTreeSet, ops::Range};

use message::cim::markdown;

/// Maximum number of ranges that are read; further ones are left out.
const SPANS_MAX: usize = 256;

/// The meaning of a range of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark<'a> {
    /// Bold words.
    Bold,
    /// Italic words.
    Italic,
    /// Words that are struck through.
    Struck,
    /// Code within a line.
    Code,
    /// A block of code in this language, which may be empty.
    Block(&'a str),
    /// A quotation.
    Quote,
    /// Words that open this address.
    Link(&'a str),
}

/// A range of a text, in UTF-16 units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// Where it begins.
    pub offset: usize,
    /// How long it is.
    pub length: usize,
    /// Its meaning.
    pub mark: Mark<'a>,
}

/// A span with its range in octets.
#[derive(Clone)]
struct EntityPlace<'a> {
    range: Range<usize>,
    mark: Mark<'a>,
}

/// Returns the text as Markdown. A range that ends within a character or beyond the text ends
/// before that.
pub fn markdown(text: &str, spans: &[Span<'_>]) -> String {
    let places = places(text, spans);
    if places.is_empty() {
        return text.to_owned();
    }
    let mut out = Writer { text, places, out: String::with_capacity(text.len() + 32) };
    let mut at = 0;
    while at < text.len() {
        at = match out.block_at(at) {
            Some((range, language)) => out.block(range, language),
            None => out.line(at),
        };
    }
    out.out
}

/// Returns the ranges in octets, without those that are empty.
fn places<'a>(text: &str, spans: &[Span<'a>]) -> Vec<EntityPlace<'a>> {
    let mut places: Vec<EntityPlace<'a>> = Vec::new();
    for span in spans.iter().take(SPANS_MAX) {
        let end = span.offset.saturating_add(span.length);
        let (mut units, mut from, mut to) = (0_usize, text.len(), text.len());
        for (at, c) in text.char_indices() {
            let next = units + c.len_utf16();
            if from == text.len() && next > span.offset {
                from = at;
            }
            if units >= end {
                to = at;
                break;
            }
            units = next;
        }
        if from < to && span.length > 0 {
            places.push(EntityPlace { range: from..to, mark: span.mark });
        }
    }
    places
}

struct Writer<'t, 'a> {
    text: &'t str,
    places: Vec<EntityPlace<'a>>,
    out: String,
}

impl<'a> Writer<'_, 'a> {
    fn slice(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    fn break_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    /// Returns the block of code that contains this position, up to the text after it.
    fn block_at(&self, at: usize) -> Option<(Range<usize>, &'a str)> {
        self.places.iter().find_map(|place| match place.mark {
            Mark::Block(language) if place.range.contains(&at) => Some((at..place.range.end, language)),
            _ => None,
        })
    }

    /// Writes a block of code between fences, on lines of their own.
    fn block(&mut self, range: Range<usize>, language: &str) -> usize {
        let (end, code) = (range.end, self.slice(range).to_owned());
        if code.contains("```") || code.trim().is_empty() {
            self.out.push_str(&code);
            return end;
        }
        self.break_line();
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '#' | '_' | '.');
        let language = if language.chars().all(word) { language } else { "" };
        self.out.push_str(&format!("```{language}\n{}\n```", code.trim_matches('\n')));
        if self.text.get(end..).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('\n')) {
            self.out.push('\n');
        }
        end
    }

    /// Writes from a position to the end of its line, or to where a block or a quotation begins or
    /// ends; returns where it ended.
    fn line(&mut self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let mut end = rest.find('\n').map_or(self.text.len(), |length| from + length);
        let quoted = self.is(from, |mark| mark == Mark::Quote);
        for place in &self.places {
            let edges = match place.mark {
                Mark::Block(_) => [place.range.start, place.range.start],
                Mark::Quote => [place.range.start, place.range.end],
                _ => continue,
            };
            for edge in edges {
                if edge > from && edge < end && !self.is_inner(edge, place.mark) {
                    end = edge;
                }
            }
        }
        if quoted && (self.out.is_empty() || !self.out.ends_with('\n')) {
            self.break_line();
        }
        if quoted {
            self.out.push_str("> ");
        }
        let line = self.marked(from..end);
        self.out.push_str(&line);
        let ends_line = self.text.get(end..).is_some_and(|rest| rest.starts_with('\n'));
        if ends_line {
            self.out.push('\n');
            return end + 1;
        }
        if quoted && end < self.text.len() && !self.is(end, |mark| mark == Mark::Quote) {
            self.out.push('\n');
        }
        end
    }

    /// Returns whether a quotation goes on at this edge of another one.
    fn is_inner(&self, edge: usize, mark: Mark<'_>) -> bool {
        let around = |place: &EntityPlace<'_>| place.range.start < edge && edge < place.range.end;
        mark == Mark::Quote && self.places.iter().any(|place| place.mark == mark && around(place))
    }

    fn is(&self, at: usize, wanted: impl Fn(Mark<'_>) -> bool) -> bool {
        self.places.iter().any(|place| wanted(place.mark) && place.range.contains(&at))
    }

    /// Returns a piece of a line with its marks, or with its links alone where the parser would
    /// read other marks than are meant.
    fn marked(&self, range: Range<usize>) -> String {
        let all = self.links(range.clone(), true);
        let marks = |text: &str| text.matches(['*', '_', '~', '`']).count();
        if marks(&markdown::plain(&all)) <= marks(&markdown::plain(self.slice(range.clone()))) {
            return all;
        }
        self.links(range, false)
    }

    /// Writes the links of a range, and between and in them the words.
    fn links(&self, range: Range<usize>, styled: bool) -> String {
        let mut out = String::new();
        for piece in self.pieces(range, |mark| matches!(mark, Mark::Link(_))) {
            let address = self.places.iter().find_map(|place| match place.mark {
                Mark::Link(address) if place.range.contains(&piece.start) => Some(address),
                _ => None,
            });
            let (before, words, after) = self.trimmed(piece);
            let written = self.styles(words.clone(), styled.then_some(0));
            out.push_str(self.slice(before));
            match address {
                Some(address) if !words.is_empty() => link(&mut out, &written, self.slice(words), address),
                _ => out.push_str(&written),
            }
            out.push_str(self.slice(after));
        }
        out
    }

    /// Writes the styles of a range from this one on, the outermost first.
    fn styles(&self, range: Range<usize>, from: Option<usize>) -> String {
        let style = from.and_then(|from| STYLES.get(from).map(|style| (from, style)));
        let Some((from, (mark, sign))) = style else { return self.slice(range).to_owned() };
        let mut out = String::new();
        for piece in self.pieces(range, |other| other == *mark) {
            let is_marked = self.is(piece.start, |other| other == *mark);
            let (before, words, after) = self.trimmed(piece);
            let signed = is_marked && self.may_be_marked(words.clone(), *mark);
            // Nothing is marked within code.
            let next = if signed && *mark == Mark::Code { None } else { Some(from + 1) };
            let inner = self.styles(words, next);
            let sign = if signed { *sign } else { "" };
            for part in [self.slice(before), sign, &inner, sign, self.slice(after)] {
                out.push_str(part);
            }
        }
        out
    }

    /// Returns whether the parser reads a mark around these words.
    fn may_be_marked(&self, words: Range<usize>, mark: Mark<'_>) -> bool {
        let text = self.slice(words.clone());
        let before = self.slice(0..words.start).chars().next_back();
        let after = self.text.get(words.end..).and_then(|rest| rest.chars().next());
        let fits = !text.is_empty() && text.len() <= markdown::EMPHASIS_BYTES_MAX / 2;
        let has_words = match mark {
            Mark::Code => !text.contains('`'),
            _ => text.chars().any(char::is_alphabetic),
        };
        fits && has_words && markdown::opens_after(before) && markdown::closes_before(after)
    }

    /// Splits a range where a mark of this kind begins or ends.
    fn pieces(&self, range: Range<usize>, wanted: impl Fn(Mark<'_>) -> bool) -> Vec<Range<usize>> {
        let mut edges = BTreeSet::from([range.start, range.end]);
        for place in self.places.iter().filter(|place| wanted(place.mark)) {
            let inner = [place.range.start, place.range.end].into_iter().filter(|at| range.contains(at));
            edges.extend(inner);
        }
        let edges: Vec<usize> = edges.into_iter().collect();
        let pieces = edges.iter().zip(edges.iter().skip(1)).map(|(from, to)| *from..*to);
        // Two ranges of one style that touch are one.
        let mut joined: Vec<Range<usize>> = Vec::new();
        for piece in pieces {
            let key = |at: usize| self.places.iter().find(|p| wanted(p.mark) && p.range.contains(&at));
            let same = |last: &Range<usize>| match (key(last.start), key(piece.start)) {
                (Some(one), Some(other)) => one.mark == other.mark,
                (None, None) => true,
                _ => false,
            };
            match joined.last_mut() {
                Some(last) if same(last) => last.end = piece.end,
                _ => joined.push(piece),
            }
        }
        joined
    }

    /// Splits the spaces around the words of a range.
    fn trimmed(&self, range: Range<usize>) -> (Range<usize>, Range<usize>, Range<usize>) {
        let text = self.slice(range.clone());
        let from = range.start + (text.len() - text.trim_start().len());
        let to = (range.start + text.trim_end().len()).max(from);
        (range.start..from, from..to, to..range.end)
    }
}

/// The styles, the outermost first, with their signs.
const STYLES: [(Mark<'static>, &str); 4] =
    [(Mark::Bold, "**"), (Mark::Struck, "~~"), (Mark::Italic, "_"), (Mark::Code, "`")];

/// Writes a link. Words with brackets cannot stand between others, and are followed by the address.
fn link(out: &mut String, written: &str, words: &str, address: &str) {
    if words == address {
        out.push_str(words);
        return;
    }
    let mut safe = String::with_capacity(address.len());
    for c in address.chars() {
        match c {
            '(' => safe.push_str("%28"),
            ')' => safe.push_str("%29"),
            c if c.is_whitespace() => safe.push_str("%20"),
            c => safe.push(c),
        }
    }
    match written.contains(['[', ']']) {
        true => out.push_str(&format!("{written} ({safe})")),
        false => out.push_str(&format!("[{written}]({safe})")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::markup;

    fn span(offset: usize, length: usize, mark: Mark<'_>) -> Span<'_> {
        Span { offset, length, mark }
    }

    #[test]
    fn ranges_become_markdown() {
        use Mark::{Block, Bold, Code, Italic, Link, Quote, Struck};
        const PAGE: &str = "https://x.example/a";
        for (text, spans, expected) in [
            // Bot API, MessageEntity: offsets and lengths are UTF-16 units.
            ("👋 our page", &[span(3, 8, Link(PAGE))][..], "👋 [our page](https://x.example/a)"),
            ("👋our page!", &[span(2, 8, Link(PAGE))], "👋[our page](https://x.example/a)!"),
            ("👨‍👩‍👧 family", &[span(9, 6, Bold)], "👨‍👩‍👧 **family**"),
            ("at the end", &[span(7, 3, Bold)], "at the **end**"),
            ("beyond the end", &[span(11, 99, Italic)], "beyond the _end_"),
            ("all of it", &[span(0, 9, Bold), span(0, 9, Italic)], "**_all of it_**"),
            ("bold and italic", &[span(0, 15, Bold), span(9, 6, Italic)], "**bold and _italic_**"),
            ("one two three", &[span(0, 7, Bold), span(4, 9, Italic)], "**one _two_** _three_"),
            (
                "see our page",
                &[span(0, 12, Bold), span(4, 8, Link(PAGE))],
                "**see** [**our page**](https://x.example/a)",
            ),
            ("gone, x = 1", &[span(0, 4, Struck), span(6, 5, Code)], "~~gone~~, `x = 1`"),
            ("run:\nlet a = 1;", &[span(5, 10, Block("rust"))], "run:\n```rust\nlet a = 1;\n```"),
            ("run x now", &[span(4, 1, Block(""))], "run \n```\nx\n```\n now"),
            ("a\nb\nc", &[span(0, 3, Quote)], "> a\n> b\nc"),
            ("she said: no", &[span(10, 2, Quote)], "she said: \n> no"),
            ("two\nlines", &[span(0, 9, Bold)], "**two**\n**lines**"),
            ("spaces  around ", &[span(6, 9, Bold)], "spaces  **around** "),
            // What cannot be marked stays as it is.
            ("unbelievable", &[span(2, 7, Bold)], "unbelievable"),
            ("call *100#", &[span(5, 5, Bold)], "call *100#"),
            ("a `b` c", &[span(0, 7, Code)], "a `b` c"),
            // The address of a link is in no other place.
            ("unbelievable", &[span(2, 7, Link(PAGE))], "un[believa](https://x.example/a)ble"),
            ("[x] y", &[span(0, 5, Link(PAGE))], "[x] y (https://x.example/a)"),
            ("a b", &[span(0, 3, Link("https://x.example/(a) b"))], "[a b](https://x.example/%28a%29%20b)"),
            ("https://x.example/a", &[span(0, 19, Link(PAGE))], "https://x.example/a"),
            ("Ann, hello", &[span(0, 3, Link("tg://user?id=7"))], "[Ann](tg://user?id=7), hello"),
            (
                "two\nlines",
                &[span(0, 9, Link(PAGE))],
                "[two](https://x.example/a)\n[lines](https://x.example/a)",
            ),
            ("nothing", &[span(3, 0, Bold), span(99, 1, Bold)], "nothing"),
        ] {
            assert_eq!(markdown(text, spans), expected, "{text:?} {spans:?}");
        }
    }

    /// Returns the letters and digits in order.
    fn letters(text: &str) -> String {
        text.chars().filter(|c| c.is_alphanumeric()).collect()
    }

    /// Returns whether `text` has the characters of `part` in their order.
    fn contains(text: &str, part: &str) -> bool {
        let mut chars = text.chars();
        part.chars().all(|wanted| chars.any(|c| c == wanted))
    }

    const TEXT: &str = "[a-c A-C é👋❤️🇩🇪👨‍👩‍👧*_`~\\[\\]()>#\\n.,!1]{0,40}";

    fn any_mark() -> impl Strategy<Value = Mark<'static>> {
        prop_oneof![
            Just(Mark::Bold),
            Just(Mark::Italic),
            Just(Mark::Struck),
            Just(Mark::Code),
            Just(Mark::Block("rust")),
            Just(Mark::Quote),
            Just(Mark::Link("https://x.example/a_b")),
        ]
    }

    fn any_span() -> impl Strategy<Value = Span<'static>> {
        (0_usize..50, 0_usize..50, any_mark()).prop_map(|(offset, length, mark)| Span {
            offset,
            length,
            mark,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever the ranges, every word stays in its order, for the business and when the text
        /// goes out again.
        #[test]
        fn no_word_is_lost(text in TEXT, spans in proptest::collection::vec(any_span(), 0..8)) {
            let made = markdown(&text, &spans);
            prop_assert!(contains(&made, &text.replace('\n', "")), "{:?}", made);
            prop_assert!(contains(&letters(&markdown::plain(&made)), &letters(&text)), "{:?}", made);
            prop_assert!(contains(&letters(&markup::telegram_html(&made)), &letters(&text)), "{:?}", made);
        }

        #[test]
        fn a_text_without_ranges_stays(text in TEXT) {
            prop_assert_eq!(markdown(&text, &[]), text);
        }

        /// A link stands around exactly the words that its UTF-16 range names.
        #[test]
        fn offsets_are_units_of_utf_16(
            before in "[a-c 👋é🇩🇪]{0,12}",
            words in "[a-cé👋][a-c 👋é🇩🇪]{0,9}[a-cé👋]",
            after in "[a-c 👋é.!]{0,12}",
        ) {
            let units = |text: &str| text.encode_utf16().count();
            let link = span(units(&before), units(&words), Mark::Link("https://x.example/a"));
            let made = markdown(&format!("{before}{words}{after}"), &[link]);
            prop_assert_eq!(&made, &format!("{before}[{words}](https://x.example/a){after}"));
            // The house's parser reads it back, wherever it stands.
            let back = markdown::plain(&made);
            prop_assert_eq!(&*back, &format!("{before}{words} (https://x.example/a){after}"));
        }

        /// A range may begin or end within a surrogate pair, or beyond the text.
        #[test]
        fn any_range_is_read(text in "\\PC{0,30}", spans in proptest::collection::vec(
            (any::<usize>(), any::<usize>(), any_mark()), 0..6)) {
            let spans: Vec<_> = spans.into_iter().map(|(offset, length, mark)| span(offset, length, mark)).collect();
            let small: Vec<_> = spans.iter().map(|s| span(s.offset % 40, s.length % 40, s.mark)).collect();
            prop_assert!(contains(&markdown(&text, &spans), &text));
            prop_assert!(contains(&markdown(&text, &small), &text.replace('\n', "")));
        }
    }
}
