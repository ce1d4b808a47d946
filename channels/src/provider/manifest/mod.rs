//! Providers described by a manifest file: no code, only `manifests/<name>.toml`. A manifest tells how a message is
//! sent, what an answer means and how webhooks are read; `docs/provider-by-manifest.md` documents it. Built-in manifests
//! are embedded; a user's own is handed in as text. Nothing here reads files.

mod channel;
mod checked;
mod file;
mod template;
mod webhook;

use std::{fmt, sync::LazyLock};

pub use checked::MANIFEST_BYTES_MAX;

use crate::contract::Provider;

/// Name and text of every built-in manifest, by name.
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/manifests.rs"));

/// The providers of the built-in manifests. A test loads each; one with a mistake would be missing here.
static PROVIDERS: LazyLock<Vec<&'static Provider>> =
    LazyLock::new(|| BUILT_IN.iter().filter_map(|(name, text)| load(name, text).ok()).collect());

/// A manifest that cannot be used: the file, the line, the key and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The name of the manifest.
    pub manifest: String,
    /// The line, from 1.
    pub line: usize,
    /// The key; empty when the line has none.
    pub key: String,
    /// What is wrong, and what is expected.
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

/// Returns the providers of the built-in manifests, by name.
pub fn providers() -> &'static [&'static Provider] {
    &PROVIDERS
}

/// Returns the provider of a built-in manifest.
pub fn built_in(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == name).copied()
}

/// Loads a manifest. Its description is leaked: it lives as long as the process, which reads its configuration once.
///
/// # Errors
/// Names the line, the key and the fix.
pub fn load(name: &str, text: &str) -> Result<&'static Provider, ManifestError> {
    let built_in = |wanted: &str| BUILT_IN.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text);
    checked::load(name, text, built_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_manifest_can_be_loaded() {
        for (name, text) in BUILT_IN {
            let loaded = load(name, text).unwrap_or_else(|error| panic!("manifests/{error}"));
            assert_eq!(loaded.name, *name);
        }
        assert_eq!(PROVIDERS.len(), BUILT_IN.len());
    }
}
