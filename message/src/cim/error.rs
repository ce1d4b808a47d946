//! Errors of a CIM message, in words that tell its sender what to change. They name places (JSON
//! paths, lines, keys) and never repeat a value, which may be a secret or a customer's words.

use std::fmt::Write as _;

/// A CIM message that is refused. Its text goes to the sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The octets are not text.
    #[error("the message is not UTF-8: the byte at offset {offset} is invalid; encode the text as UTF-8")]
    NotUtf8 {
        /// Offset of the first invalid byte, from 0.
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
        /// The message of the JSON parser.
        what: Box<str>,
    },
    /// A value of another JSON type.
    #[error("{path} is {found}, expected {expected}")]
    WrongType {
        /// The field, e.g. `header.channelData.serviceIdentifier`.
        path: Box<str>,
        /// The type that was found.
        found: &'static str,
        /// The type that is required.
        expected: &'static str,
    },
    /// A required value is absent, null or empty.
    #[error("{path} is missing: {fix}")]
    Missing {
        /// The field.
        path: Box<str>,
        /// The advice to the sender.
        fix: &'static str,
    },
    /// A value of the right type that cannot be used.
    #[error("{path} {problem}; {fix}")]
    Invalid {
        /// The field.
        path: Box<str>,
        /// The defect of its value.
        problem: &'static str,
        /// The advice to the sender.
        fix: &'static str,
    },
    /// A value above its limit.
    #[error("{path} has {size} {unit}, the limit is {size_max}")]
    TooLong {
        /// The field.
        path: Box<str>,
        /// Size of the value that came.
        size: usize,
        /// The largest size that is accepted.
        size_max: usize,
        /// The unit of both sizes: `bytes` or `items`.
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

    /// Returns the code of a FAILED notification about it: 400, since the sender has to change the
    /// message.
    pub fn reason_code(&self) -> &'static str {
        "400"
    }
}

/// Converts the JSON parser's error about `inner`, a part of `whole`, to a place in `whole`.
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
    // The parser ends its message with the place in `inner`, which is converted above.
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

/// Longest key that an error names, in bytes; a longer text may not be a key.
const KEY_BYTES_MAX: usize = 40;

/// Returns the last string that is followed by a colon and looks like a key.
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

/// Returns the length of a JSON string up to its closing quote.
fn string_length(inside: &str) -> Option<usize> {
    let mut escaped = false;
    inside.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}
