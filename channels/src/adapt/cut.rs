//! Cuts a long text: at the end of a line, else of a word, else between grapheme clusters. The text
//! is never changed; only white space at a cut is left out.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

use crate::contract::capability::Units;

/// Returns the pieces of a text, each of at most `max` characters; `None` when there are more than
/// `pieces_max`. Ranges in `marked` are kept whole where possible.
pub(super) fn cut(
    text: &str,
    max: usize,
    units: Units,
    marked: &[Range<usize>],
    pieces_max: usize,
) -> Option<Vec<Range<usize>>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
        let length = match window(rest, max, units) {
            Some(window) => place(rest, window, |at| is_inside(marked, from + at)),
            None => rest.len(),
        };
        let piece = rest.get(..length).unwrap_or(rest);
        let words = if length < rest.len() { piece.trim_end() } else { piece };
        if !words.trim().is_empty() {
            pieces.push(from..from + words.len());
        }
        if pieces.len() > pieces_max {
            return None;
        }
        from += length;
        if !piece.ends_with('\n') {
            from += white_space_before(text.get(from..).unwrap_or_default());
        }
    }
    Some(pieces)
}

/// Returns the length in bytes of the leading white space, in whole grapheme clusters.
fn white_space_before(rest: &str) -> usize {
    let is_white = |grapheme: &&str| grapheme.chars().all(char::is_whitespace);
    rest.graphemes(true).take_while(is_white).map(str::len).sum()
}

/// Returns the length in bytes that fits, at least one character; `None` when everything fits.
fn window(rest: &str, max: usize, units: Units) -> Option<usize> {
    let mut characters = 0;
    for (at, c) in rest.char_indices() {
        characters += units.of_char(c);
        if characters > max && at > 0 {
            return Some(at);
        }
    }
    None
}

/// Returns where to cut at or before `window`. A line or word end in the first half of the window
/// is ignored.
fn place(rest: &str, window: usize, is_inside: impl Fn(usize) -> bool) -> usize {
    let (mut line, mut word, mut word_inside, mut whole) = (None, None, None, None);
    for (start, grapheme) in rest.grapheme_indices(true) {
        let end = start + grapheme.len();
        if end > window {
            break;
        }
        whole = Some(end);
        if end * 2 <= window {
            continue;
        }
        let is_white = |c: Option<char>| c.is_some_and(char::is_whitespace);
        let next = rest.get(end..).and_then(|rest| rest.chars().next());
        let is_word = is_white(grapheme.chars().next_back()) || is_white(next);
        match (is_word, is_inside(end)) {
            (true, false) if grapheme.ends_with('\n') => (line, word) = (whole, whole),
            (true, false) => word = whole,
            (true, true) => word_inside = whole,
            (false, _) => {}
        }
    }
    // A cluster larger than the window is cut inside.
    line.or(word).or(word_inside).or(whole).unwrap_or(window)
}

/// Returns whether an offset is inside one of the ranges, which are sorted.
fn is_inside(ranges: &[Range<usize>], at: usize) -> bool {
    let next = ranges.partition_point(|range| range.end <= at);
    ranges.get(next).is_some_and(|range| range.start < at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(text: &str, max: usize, units: Units) -> Option<Vec<&str>> {
        let marked = message::cim::markdown::marked_ranges(text);
        let ranges = cut(text, max, units, &marked, 64)?;
        Some(ranges.into_iter().map(|range| &text[range]).collect())
    }

    #[test]
    fn cuts_are_where_people_would_make_them() {
        for (text, max, expected) in [
            ("one two three", 8, vec!["one two", "three"]),
            ("one two\nthree four", 11, vec!["one two", "three four"]),
            ("abcdefgh", 3, vec!["abc", "def", "gh"]),
            ("ab👨‍👩‍👧cd", 5, vec!["ab", "👨‍👩‍👧", "cd"]),
            ("a long **bold text** here", 13, vec!["a long", "**bold text**", "here"]),
            ("**so bold a text, longer**", 14, vec!["**so bold a", "text, longer**"]),
            ("a\r\nb\r\nc", 3, vec!["a", "b", "c"]),
        ] {
            assert_eq!(pieces(text, max, Units::CodePoints).unwrap(), expected, "{text}");
        }
        assert_eq!(pieces("😀😀😀", 4, Units::Utf16).unwrap(), ["😀😀", "😀"]);
        assert_eq!(pieces(&"a".repeat(65), 1, Units::CodePoints), None);
    }

    proptest! {
        #[test]
        fn only_white_space_goes_and_no_character_is_cut(
            text in "(\\PC|[a-e \\n*]{1,4}|👨‍👩‍👧|e\u{301}|\\*\\*[a-c ]{1,9}\\*\\*){0,60}",
            max in 1_usize..40,
            utf16: bool,
        ) {
            let units = if utf16 { Units::Utf16 } else { Units::CodePoints };
            let marked = message::cim::markdown::marked_ranges(&text);
            let Some(ranges) = cut(&text, max, units, &marked, 64) else { return Ok(()) };
            let mut at = 0;
            let ends: Vec<usize> = text.grapheme_indices(true).map(|(start, g)| start + g.len()).collect();
            let largest = text.graphemes(true).map(|g| units.of(g)).max().unwrap_or(0);
            for range in &ranges {
                prop_assert!(text[at..range.start].chars().all(char::is_whitespace));
                prop_assert!(units.of(&text[range.clone()]) <= max.max(2));
                if range.start > 0 && largest <= max {
                    prop_assert!(ends.contains(&range.start));
                }
                at = range.end;
            }
            prop_assert!(text[at..].chars().all(char::is_whitespace));
        }
    }
}
