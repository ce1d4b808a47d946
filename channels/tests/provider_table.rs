//! The README's table of providers agrees with their descriptions. `UPDATE=1` rewrites the README.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by a panic")]

use std::{fs, path::Path};

use channels::{PROVIDERS, provider};

const BEGIN: &str = "<!-- providers -->\n";
const END: &str = "<!-- /providers -->";

#[test]
fn readme_has_the_table_of_providers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("README.md has no {BEGIN:?}"));
    let (found, after) = rest.split_once(END).unwrap_or_else(|| panic!("README.md has no {END:?}"));
    let table = provider::table();
    if found != table && std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(found, table, "README.md's table of providers is not this; UPDATE=1 rewrites it");
}

#[test]
fn every_provider_is_there_once() {
    let mut names: Vec<&str> = PROVIDERS.iter().map(|about| about.name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
}

#[test]
fn accounts_name_their_keys() {
    for about in PROVIDERS.iter() {
        let keys = about.account_keys();
        for secret in about.secrets {
            let marked = |key: &channels::AccountKey| *key.name == **secret && key.is_secret;
            assert!(keys.iter().any(marked), "{about:?}: {secret} is not among {keys:?}");
        }
        for key in &keys {
            assert!(key.about.len() > 3, "{about:?}: {} has no meaning", key.name);
            assert!(key.value != channels::AccountValue::Other, "{about:?}: {} has no type", key.name);
        }
    }
}
