//! The contract between providers and the rest of the product: the interface of a provider, and the
//! plain data that passes through. Imports only `address` and `smpp` from this crate.

pub mod account_keys;
mod account_schema;
pub mod auth;
pub mod capability;
mod error;
pub mod events;
pub mod http;
mod inbound;
pub mod nearest;
mod outbound;
mod own_addresses;
mod prepared;
pub mod protection;
mod provider;
pub mod url;
mod verify;

pub use self::{
    account_keys::{AccountKey, AccountValue},
    account_schema::keys_of,
    capability::Capabilities,
    error::{AccountError, AccountErrors, SendError},
    events::EventKind,
    inbound::{Attribute, InEvent, InMessage, InMove, InReceipt, MediaRef, Polled, Received, Report},
    outbound::{Fetch, MEDIA_BYTES_MAX, OutPart, Sent, SetUp, Step, WebhookUrls},
    own_addresses::OwnAddresses,
    prepared::{Prepared, Rejection},
    protection::{Protection, Signature, Unproven},
    provider::{AccountKeysOf, Channel, HttpChannel, LinkKind, OpenChannel, Provider, UNSIGNED},
};
