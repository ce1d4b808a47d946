//! The only tests a provider needs: its fixtures (a call and its answers, a webhook and its
//! meaning, each with the recorded outcome; `UPDATE=1` records anew), and one conformance suite
//! over all providers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by a panic"
)]

mod case;
mod codes;
mod conformance;
mod events;
mod fixture;
mod lenient;
mod meta;
mod mutation;
mod show;
mod sign;

use std::sync::Arc;

use channels::{AccountErrors, Channel, LinkKind, PROVIDERS, Provider, Signature};
use fixture::Fixture;

/// Returns every provider that is reached by HTTP, with its fixtures.
fn http_providers() -> impl Iterator<Item = (&'static Provider, Fixture)> {
    let by_http = PROVIDERS.iter().copied().filter(|provider| provider.name != "smpp");
    by_http.map(|provider| (provider, Fixture::read(provider)))
}

/// Opens an account of the fixtures; unsigned where the provider offers no proof.
fn opened(provider: &'static Provider, account: toml::Table) -> Result<Arc<dyn Channel>, AccountErrors> {
    match provider.signature() {
        Signature::None => provider.open_unsigned(account),
        _ => provider.open(account),
    }
}

#[test]
fn every_case_has_its_recorded_outcome() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for (provider, fixture) in http_providers() {
        let outcomes: Vec<(&str, String)> =
            fixture.cases.iter().map(|case| (&*case.name, case.run())).collect();
        if update {
            fixture.record(&outcomes);
            continue;
        }
        let mut recorded = fixture.recorded();
        for (name, got) in outcomes {
            let expected = recorded.remove(name).unwrap_or_default();
            if got != expected {
                wrong.push(format!("{provider:?} {name}\n--- expected\n{expected}\n--- got\n{got}"));
            }
        }
        assert!(recorded.is_empty(), "{provider:?}: outcomes without a case: {:?}", recorded.keys());
    }
    assert!(wrong.is_empty(), "{}\n({} differ; UPDATE=1 records anew)", wrong.join("\n\n"), wrong.len());
}

#[test]
fn every_provider_but_smpp_has_an_http_link() {
    for (provider, fixture) in http_providers() {
        let channel =
            opened(provider, fixture.account).unwrap_or_else(|error| panic!("{provider:?}: {error}"));
        assert!(matches!(channel.link(), LinkKind::Http(_)), "{provider:?}");
    }
}
