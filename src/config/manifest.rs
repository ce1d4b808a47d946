//! `provider = "manifest"`: a provider that the user describes in a manifest file of their own,
//! which the account's key
//! `manifest` names. Reads the file; `channels` checks it.

use std::{fs, io::Read as _, path::Path};

use channels::{Provider, provider::manifest};

use super::section::Section;

/// The name of the provider whose manifest the account names.
pub(super) const NAME: &str = "manifest";
/// The key of the account that holds the path, relative to the configuration file.
pub(super) const KEY: &str = "manifest";

/// Loads the manifest that an account names.
pub(super) fn provider(account: Option<&Section<'_>>) -> Option<&'static Provider> {
    let account = account?;
    let Some(path) = account.path(KEY) else {
        if account.get(KEY).is_none() {
            let text = "is missing; expected the path of a manifest file, such as \"acme.toml\"";
            account.problem(KEY, text);
        }
        return None;
    };
    match load(&path) {
        Ok(provider) => Some(provider),
        Err(problem) => {
            account.problem(KEY, problem);
            None
        }
    }
}

fn load(path: &Path) -> Result<&'static Provider, String> {
    let cannot = |error: std::io::Error| format!("cannot read the manifest {}: {error}", path.display());
    let mut text = String::new();
    // One octet more than a manifest may have, so that a longer one is told.
    let octets_max = manifest::MANIFEST_BYTES_MAX as u64 + 1;
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(octets_max).read_to_string(&mut text).map_err(cannot)?;
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    manifest::load(name, &text).map_err(|error| error.to_string())
}
