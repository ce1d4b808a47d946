//! Simulated REST providers: the other side of Patchbay's HTTP channels, for demos, tests and benches.

pub use crate::{
    contract::{About, Credential, Inbound, Kind, Message, Retry, Signature, Unfit},
    engine::{
        Attempt, BODY_BYTES_MAX, CONNECTIONS_MAX, Counts, DeliverError, Fetched, Options, OptionsError,
        RECENT_MAX, Script, Simulator, WEBHOOKS_AT_ONCE_MAX, Webhook, serve,
    },
    provider::providers,
};
