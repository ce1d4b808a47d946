//! The configuration that a simulator is started with.

use std::collections::BTreeMap;

use super::script::Script;

/// The configuration of a simulator.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The provider's name.
    pub provider: String,
    /// Where events are posted, for providers that keep such an address.
    pub webhook: Option<String>,
    /// Where webhooks are connected to, as `http://host:port`, like a reverse proxy would. Address,
    /// `Host` and signature stay those of the webhook.
    pub deliver_to: Option<String>,
    /// The simulator's own address as its clients know it; `None`: that of its listener.
    pub base_url: Option<String>,
    /// Credentials that differ from their defaults.
    pub credentials: BTreeMap<String, String>,
    /// The faults.
    pub script: Script,
    /// The time at start, in milliseconds since 1970.
    pub started_at_ms: u64,
}

/// Options that cannot start a simulator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The provider is unknown.
    #[error("{name:?} is not a simulated provider; expected one of {known}")]
    Provider {
        /// The given name.
        name: String,
        /// All names.
        known: String,
    },
    /// The provider has no such credential.
    #[error("{provider} has no credential {key:?}; expected one of {known}")]
    Credential {
        /// The provider's name.
        provider: &'static str,
        /// The given key.
        key: String,
        /// All keys.
        known: String,
    },
}
