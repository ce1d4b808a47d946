//! The error of a manifest that cannot be used.

use std::fmt;

/// A manifest that cannot be used: the file, the line, the key and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The name of the manifest.
    pub manifest: String,
    /// The line, from 1.
    pub line: usize,
    /// The key; empty when the line has none.
    pub key: String,
    /// The mistake and the fix.
    pub problem: String,
}

impl std::error::Error for ManifestError {}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { manifest, line, key, problem } = self;
        let colon = if key.is_empty() { "" } else { ": " };
        write!(f, "{manifest}.toml, line {line}: {key}{colon}{problem}")
    }
}
