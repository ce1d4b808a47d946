//! The only tests a provider needs: its fixtures (a call and its answers, a webhook and what it means, each with the
//! expected outcome beside it; `UPDATE=1` rewrites those), and one conformance suite over all providers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by a panic"
)]

mod case;
mod conformance;
mod show;

use std::{
    fs,
    path::{Path, PathBuf},
};

use case::Case;
use channels::{LinkKind, PROVIDERS, Provider};

/// Where the fixtures of a provider are.
fn folder(provider: &Provider) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(provider.name)
}

/// The account of a provider's fixtures.
fn account(provider: &Provider) -> toml::Table {
    let path = folder(provider).join("account.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every provider that is reached by HTTP.
fn http_providers() -> Vec<&'static Provider> {
    PROVIDERS.iter().copied().filter(|p| p.name != "smpp").collect()
}

/// The cases of a provider, by name.
fn cases(provider: &Provider) -> Vec<Case> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder(provider))
        .unwrap_or_else(|e| panic!("{}: {e}", folder(provider).display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .filter(|path| path.file_stem().is_some_and(|name| name != "account"))
        .collect();
    paths.sort();
    paths.into_iter().map(|path| Case::read(provider, path)).collect()
}

#[test]
fn fixtures_hold() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for provider in http_providers() {
        for case in cases(provider) {
            let got = case.run();
            let path = case.path.with_extension("out");
            if update {
                fs::write(&path, &got).unwrap();
                continue;
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            if got != expected {
                wrong.push(format!("{}\n--- expected\n{expected}\n--- got\n{got}", case.path.display()));
            }
        }
        let left_over = fs::read_dir(folder(provider)).unwrap().map(|e| e.unwrap().path()).find(|path| {
            path.extension().is_some_and(|e| e == "out") && !path.with_extension("toml").exists()
        });
        assert_eq!(left_over, None, "an outcome without a case");
    }
    assert!(wrong.is_empty(), "{}\n({} differ; UPDATE=1 rewrites them)", wrong.join("\n\n"), wrong.len());
}

#[test]
fn every_provider_of_this_kind_is_reached_by_http() {
    for provider in http_providers() {
        let channel = (provider.channel)(account(provider)).unwrap_or_else(|e| panic!("{provider:?}: {e}"));
        assert!(matches!(channel.link(), LinkKind::Http(_)), "{provider:?}");
    }
}
