//! Customer service windows: for how long after a customer's message the business may write freely.

use std::collections::BTreeMap;

/// Maximum number of watched customers; the windows of further ones stay closed.
const CUSTOMERS_MAX: usize = 1_000_000;

/// When each customer last wrote, in milliseconds since the start.
#[derive(Debug, Default)]
pub(super) struct Windows(BTreeMap<String, u64>);

impl Windows {
    /// Opens a customer's window.
    pub(super) fn open(&mut self, customer: &str, now_ms: u64) {
        if self.0.len() < CUSTOMERS_MAX {
            self.0.insert(bare(customer).to_owned(), now_ms);
        }
    }

    pub(super) fn is_open(&self, customer: &str, window_ms: u64, now_ms: u64) -> bool {
        self.0.get(bare(customer)).is_some_and(|at| at.saturating_add(window_ms) > now_ms)
    }
}

/// Removes the prefixes that an address has in only one direction.
fn bare(address: &str) -> &str {
    address.trim_start_matches("whatsapp:").trim_start_matches('+')
}
