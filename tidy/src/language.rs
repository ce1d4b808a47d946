//! Rules for comments and documents: width, phrases that have a plainer form, openings of
//! documentation, and comments that only repeat a name.

use crate::source::SourceFile;

/// Widest line that consists of a comment, in characters.
pub const COMMENT_COLUMNS_MAX: usize = 100;

/// Phrases that have a plainer form; `is no` is handled apart, because "is no longer" is plain.
pub const BANNED: &[&str] = &[
    "as far as",
    "come what may",
    "for good and all",
    "has it that",
    "is to be had",
    "may go its way",
    "none of whom",
    "nobody knows",
    "so many",
    "so much",
    "there are none",
    "there is none",
    "those who",
    "whence",
    "who asks",
    "whoever",
    "word on",
];

/// Words with which documentation does not begin: it begins with a verb or a noun.
pub const OPENINGS: &[&str] = &["what", "who", "whose", "of", "so", "the same", "as"];

/// A rule of language.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Rule {
    /// A comment wider than [`COMMENT_COLUMNS_MAX`].
    Width,
    /// One of [`BANNED`], or `is no` before a noun.
    Phrase,
    /// Documentation that begins with one of [`OPENINGS`].
    Opening,
    /// Documentation whose words are those of the name below it.
    RepeatsName,
}

/// A line that breaks a rule.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The broken rule.
    pub rule: Rule,
    /// The line's text, or the phrase.
    pub text: String,
}

/// A line comment that has its line to itself.
struct Comment<'a> {
    line: usize,
    columns: usize,
    marker: &'a str,
    text: &'a str,
}

/// Checks the comments of a Rust file.
pub fn of_code(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let comments = comments(&file.text);
    let finding =
        |line, rule, text: &str| Finding { path: file.path.clone(), line, rule, text: text.to_owned() };
    for comment in &comments {
        if comment.columns > COMMENT_COLUMNS_MAX {
            findings.push(finding(comment.line, Rule::Width, comment.text));
        }
    }
    for (first, text) in paragraphs(&comments) {
        for phrase in banned(&text) {
            findings.push(finding(first.line, Rule::Phrase, &phrase));
        }
        if first.marker != "//" && is_bad_opening(&text) {
            findings.push(finding(first.line, Rule::Opening, &text));
        }
        if first.marker == "///"
            && let Some(name) = name_below(&file.text, &comments, first.line)
            && repeats(&text, &name)
        {
            findings.push(finding(first.line, Rule::RepeatsName, &text));
        }
    }
    findings
}

/// Checks the prose of a Markdown file; code blocks and code spans do not count.
pub fn of_document(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for phrase in banned(&without_code(line)) {
            findings.push(Finding { path: path.to_owned(), line: at + 1, rule: Rule::Phrase, text: phrase });
        }
    }
    findings
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// Lists the comments that have their lines to themselves. A line of a string literal that looks
/// like one is left out: the places of literals come from the tokens.
fn comments(text: &str) -> Vec<Comment<'_>> {
    let literals = literal_lines(text);
    let mut comments = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let inner = line.trim_start();
        let marker = ["///", "//!", "//"].into_iter().find(|marker| inner.starts_with(marker));
        let Some(marker) = marker else { continue };
        if literals.iter().any(|(from, to)| *from < at + 1 && at < *to) {
            continue;
        }
        let text = inner.strip_prefix(marker).unwrap_or(inner).trim();
        comments.push(Comment { line: at + 1, columns: line.chars().count(), marker, text });
    }
    comments
}

/// Returns the first and last line of every literal that spans several lines, from 1.
fn literal_lines(text: &str) -> Vec<(usize, usize)> {
    fn collect(tokens: proc_macro2::TokenStream, found: &mut Vec<(usize, usize)>) {
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Group(group) => collect(group.stream(), found),
                proc_macro2::TokenTree::Literal(literal) => {
                    let (start, end) = (literal.span().start(), literal.span().end());
                    if end.line > start.line {
                        found.push((start.line, end.line));
                    }
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    if let Ok(tokens) = text.parse() {
        collect(tokens, &mut found);
    }
    // Documentation is a literal to the tokenizer, too, but one of a single line.
    found
}

/// Joins adjacent comments into paragraphs, each with its first comment; leaves out code blocks.
fn paragraphs<'a, 'b>(comments: &'b [Comment<'a>]) -> Vec<(&'b Comment<'a>, String)> {
    let mut paragraphs: Vec<(&Comment<'_>, String)> = Vec::new();
    let mut last: Option<&Comment<'_>> = None;
    let mut in_code = false;
    for comment in comments {
        let follows = last.is_some_and(|last| last.line + 1 == comment.line && last.marker == comment.marker);
        in_code &= follows;
        if comment.text.starts_with("```") {
            in_code = !in_code;
        } else if !in_code
            && follows
            && let Some((_, text)) = paragraphs.last_mut()
        {
            text.push(' ');
            text.push_str(comment.text);
        } else if !in_code {
            paragraphs.push((comment, comment.text.to_owned()));
        }
        last = Some(comment);
    }
    paragraphs
}

/// Returns the banned phrases of a text, as often as they stand there.
fn banned(text: &str) -> Vec<String> {
    let words: Vec<String> = words(&without_code(text));
    let mut found = Vec::new();
    for at in 0..words.len() {
        let rest = words.get(at..).unwrap_or_default();
        for phrase in BANNED {
            let phrase_words: Vec<&str> = phrase.split(' ').collect();
            if rest.len() >= phrase_words.len()
                && rest.iter().zip(&phrase_words).all(|(word, want)| word == want)
            {
                found.push((*phrase).to_owned());
            }
        }
        if let [is, no, noun, ..] = rest
            && (is == "is" || is == "are")
            && no == "no"
            && !matches!(
                noun.as_str(),
                "longer" | "more" | "less" | "fewer" | "different" | "better" | "worse"
            )
        {
            found.push(format!("{is} no {noun}"));
        }
    }
    found
}

fn words(text: &str) -> Vec<String> {
    let split = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    split.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn is_bad_opening(text: &str) -> bool {
    let words = words(text);
    OPENINGS.iter().any(|opening| {
        let want: Vec<&str> = opening.split(' ').collect();
        words.len() > want.len() && words.iter().zip(&want).all(|(word, want)| word == want)
    })
}

/// Returns the name of the item below the documentation that begins at `line`.
fn name_below(text: &str, comments: &[Comment<'_>], line: usize) -> Option<String> {
    let is_comment = |at: usize| comments.iter().any(|comment| comment.line == at);
    let lines: Vec<&str> = text.lines().collect();
    let mut at = line;
    while is_comment(at) || lines.get(at - 1).is_some_and(|line| line.trim_start().starts_with("#[")) {
        at += 1;
    }
    let mut tokens = words_of_code(lines.get(at - 1)?).into_iter();
    let skip = [
        "pub", "crate", "super", "in", "const", "static", "async", "fn", "struct", "enum", "trait", "type",
        "mod",
    ];
    tokens.find(|token| !skip.contains(&token.as_str()))
}

fn words_of_code(line: &str) -> Vec<String> {
    let split = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    split.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether every word of a text is part of the name, an article or a preposition.
fn repeats(text: &str, name: &str) -> bool {
    const SMALL: &[&str] =
        &["a", "an", "the", "its", "it", "of", "this", "that", "is", "to", "for", "by", "in"];
    let stem = |word: &str| word.trim_end_matches('s').to_owned();
    let mut parts = Vec::new();
    for part in name.split('_') {
        let mut word = String::new();
        for c in part.chars() {
            if c.is_uppercase() && word.chars().last().is_some_and(char::is_lowercase) {
                parts.push(stem(&word.to_lowercase()));
                word.clear();
            }
            word.push(c);
        }
        parts.push(stem(&word.to_lowercase()));
    }
    let own: Vec<String> = words(text).into_iter().filter(|word| !SMALL.contains(&word.as_str())).collect();
    !own.is_empty() && own.iter().all(|word| parts.contains(&stem(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_across_lines_and_outside_of_code() {
        let text = "fn f() {\n    // So\n    // many `so many` here.\n}\n";
        let comments = comments(text);
        let [(first, paragraph)] = &paragraphs(&comments)[..] else { panic!("one paragraph") };
        assert_eq!((first.line, banned(paragraph)), (2, vec!["so many".to_owned()]));
        assert_eq!(banned("It is no address."), ["is no address"]);
        assert_eq!(banned("It is no longer open."), Vec::<String>::new());
    }

    #[test]
    fn openings_are_those_of_riddles() {
        for bad in ["What a link is told.", "The same for bytes.", "Of a message.", "Who waits"] {
            assert!(is_bad_opening(bad), "{bad}");
        }
        for good in ["Returns the last note of a link.", "Whether it is open.", "An immutable run."] {
            assert!(!is_bad_opening(good), "{good}");
        }
    }

    #[test]
    fn a_comment_repeats_a_name_when_it_adds_no_word() {
        assert!(repeats("The id of the channel.", "channel_id"));
        assert!(repeats("Connect timeout.", "connect_timeout"));
        assert!(!repeats("The id of the channel at the provider.", "channel_id"));
    }

    #[test]
    fn a_string_that_looks_like_a_comment_is_left_out() {
        let text = "const A: &str = \"\n// so many\n\";\n// fine\n";
        let found: Vec<usize> = comments(text).iter().map(|comment| comment.line).collect();
        assert_eq!(found, [4]);
    }
}
