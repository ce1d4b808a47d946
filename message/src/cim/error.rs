//! What can be wrong with a CIM message, in words that tell its sender what to change. It names places
//! (JSON paths, lines, keys) and never repeats a value, because a value may be a secret or a customer's words.

use std::fmt::Write as _;

/// A CIM message that cannot be taken. Its text goes to the sender as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The octets are not text.
    #[error(
        "the message is not UTF-8: the byte at offset {offset} fits no character; encode the text as UTF-8"
    )]
    NotUtf8 {
        /// Offset of the first byte that does not fit, from 0.
        offset: usize,
    },
    /// The text is not JSON.
    #[error("malformed JSON at line {line}, column {column}{near}: {what}")]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The key before it, as ` (after the key "header")`, or nothing.
        near: Box<str>,
        /// What the JSON reader says.
        what: Box<str>,
    },
    /// A value of another JSON type.
    #[error("{path} is {found}, expected {expected}")]
    WrongType {
        /// Where, as `header.channelData.serviceIdentifier`.
        path: Box<str>,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A required value is absent, null or empty.
    #[error("{path} is missing: {fix}")]
    Missing {
        /// Where.
        path: Box<str>,
        /// What to put there.
        fix: &'static str,
    },
    /// A value of the right type that cannot be used.
    #[error("{path} {problem}; {fix}")]
    Invalid {
        /// Where.
        path: Box<str>,
        /// What is wrong with it.
        problem: &'static str,
        /// What to put there.
        fix: &'static str,
    },
    /// Too much.
    #[error("{path} has {size} {unit}, at most {size_max} are taken")]
    TooLong {
        /// Where.
        path: Box<str>,
        /// How long it is.
        size: usize,
        /// How long it may be.
        size_max: usize,
        /// `bytes` or `items`.
        unit: &'static str,
    },
}

impl Error {
    pub(super) fn missing(path: impl Into<Box<str>>, fix: &'static str) -> Self {
        Self::Missing { path: path.into(), fix }
    }

    pub(super) fn invalid(path: impl Into<Box<str>>, problem: &'static str, fix: &'static str) -> Self {
        Self::Invalid { path: path.into(), problem, fix }
    }

    pub(super) fn wrong_type(path: impl Into<Box<str>>, found: &'static str, expected: &'static str) -> Self {
        Self::WrongType { path: path.into(), found, expected }
    }

    pub(super) fn too_long(path: impl Into<Box<str>>, size: usize, size_max: usize) -> Self {
        Self::TooLong { path: path.into(), size, size_max, unit: "bytes" }
    }

    /// The code of a FAILED notification about it: always the sender's mistake.
    pub fn reason_code(&self) -> &'static str {
        "400"
    }
}

/// Turns the JSON reader's error about `inner`, a part of `whole`, into one about `whole`.
pub(super) fn malformed(whole: &str, inner: &str, error: &serde_json::Error) -> Error {
    let start = (inner.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize).min(whole.len());
    let before = whole.as_bytes().get(..start).unwrap_or_default();
    let lines_before = before.iter().filter(|byte| **byte == b'\n').count();
    let line = lines_before + error.line().max(1);
    let mut column = error.column();
    if error.line() <= 1 {
        column += before.iter().rev().take_while(|byte| **byte != b'\n').count();
    }
    let end = offset_of(whole, line, column);
    let mut near = String::new();
    if let Some(key) = last_key(whole.get(..end).unwrap_or(whole)) {
        let _ = write!(near, " (after the key \"{key}\")");
    }
    // The reader ends its words with the place, which is given above, counted in the whole.
    let words = error.to_string();
    let what = words.split(" at line ").next().unwrap_or_default();
    Error::Malformed { line, column: column.max(1), near: near.into(), what: what.into() }
}

fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut end = (start + column).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// The longest key that is named in an error; longer ones are hardly keys.
const KEY_BYTES_MAX: usize = 40;

/// The last string before the end that is followed by a colon and looks like a key.
fn last_key(text: &str) -> Option<&str> {
    let mut found = None;
    let mut rest = text;
    while let Some(open) = rest.find('"') {
        let inside = rest.get(open + 1..)?;
        let Some(length) = string_length(inside) else { break };
        let after = inside.get(length + 1..)?;
        if after.trim_start().starts_with(':') {
            found = inside.get(..length);
        }
        rest = after;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    found.filter(|key| key.len() <= KEY_BYTES_MAX && key.chars().all(plain))
}

/// The length of a JSON string up to its closing quote.
fn string_length(inside: &str) -> Option<usize> {
    let mut escaped = false;
    inside.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}
