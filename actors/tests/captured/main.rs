//! Captured traffic: PDUs, receipts and webhooks in the shapes that public reports show
//! (`channels/fixtures/captured/`), each replayed through a whole router with simulated network,
//! disk and time. Beside each stands what becomes of it; `UPDATE=1` writes that anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test ends on the first surprise"
)]

mod case;
mod corpus;
#[path = "../../../channels/tests/providers/sign.rs"]
#[allow(dead_code, reason = "it verifies, too, for the tests of providers")]
mod sign;
mod smsc;
mod stage;
#[path = "../support/mod.rs"]
mod support;

use std::{collections::BTreeSet, sync::Arc};

use channels::{AccountErrors, Channel, Provider, Signature};
use corpus::CapturedFile;

/// Opens an account; unsigned where the provider offers no proof.
fn opened(provider: &'static Provider, account: toml::Table) -> Result<Arc<dyn Channel>, AccountErrors> {
    match provider.signature() {
        Signature::None => provider.open_unsigned(account),
        _ => provider.open(account),
    }
}

#[test]
fn captured_traffic_becomes_what_is_written_beside_it() {
    let update = std::env::var_os("UPDATE").is_some();
    let (mut wrong, mut items, mut providers) = (Vec::new(), 0, BTreeSet::new());
    for file in CapturedFile::all() {
        providers.insert(file.provider.name);
        items += file.items.len();
        let outcomes: Vec<String> = file.items.iter().map(|item| stage::replay(&file, item)).collect();
        if update {
            file.record(&outcomes);
            continue;
        }
        for (item, got) in file.items.iter().zip(outcomes) {
            if got != item.expect {
                wrong.push(format!(
                    "{}: {} ({})\n{}",
                    file.name,
                    item.name,
                    item.source,
                    corpus::difference(&item.expect, &got)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n({} differ; UPDATE=1 records anew)", wrong.join("\n\n"), wrong.len());
    println!("{items} items of {} providers", providers.len());
    assert!(items >= 100, "{items} items");
    let missing: Vec<_> = channels::PROVIDERS.iter().filter(|p| !providers.contains(p.name)).collect();
    assert!(missing.iter().all(|p| corpus::ALIKE.contains(&p.name)), "nothing of {missing:?}");
}
