//! Simulated REST providers: the other side of Patchbay's HTTP channels, for demos, tests and
//! benches. Only names what the engine and the contract define.

pub use crate::{
    contract::{About, Credential, Inbound, Kind, Message, RetryPolicy, Signature, UnsupportedEvent},
    engine::{
        Attempt, BODY_BYTES_MAX, CONNECTIONS_MAX, Counts, DeliverError, Fetched, NewMessages, Options,
        OptionsError, RECENT_MAX, Script, Simulator, WEBHOOKS_AT_ONCE_MAX, Webhook,
    },
    provider::providers,
};
