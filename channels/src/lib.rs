//! Providers as pure translation: capabilities of a channel, cutting a message into parts, and the
//! wire form of parts and answers. No IO, no clock, no randomness, no runtime: a test proves it
//! with `cargo tree`.
//!
//! Rooms, lowest first; a room imports only from those before it: `text` and `address`, `smpp`,
//! `contract`, `toolkit`, `adapt` and `family`, `provider`. The types of [`contract`] are
//! re-exported here, so that users write `channels::Channel` and `channels::http::Request`.

pub mod adapt;
pub mod address;
pub mod contract;
pub mod family;
pub mod provider;
pub mod smpp;
pub mod text;
pub mod toolkit;

pub use contract::{
    AccountError, AccountErrors, AccountKey, AccountValue, Attribute, Capabilities, Channel, EventKind,
    Fetch, HttpChannel, InEvent, InMessage, InMove, InReceipt, LinkKind, MEDIA_BYTES_MAX, MediaRef, OutPart,
    OwnAddresses, Polled, Prepared, Protection, Provider, Received, Rejection, Report, SendError, Sent,
    SetUp, Signature, Step, UNSIGNED, Unproven, WebhookUrls, account_keys, capability, events, http, nearest,
    protection, url,
};
pub use provider::{PROVIDERS, provider};
pub use toolkit::own_addresses::mismatch;
