//! The contract between providers and the rest of the product: the interface of a provider, and the
//! plain data that passes through. Imports only `address` and `smpp` from this crate.

pub mod auth;
pub mod capability;
mod error;
pub mod events;
pub mod http;
mod inbound;
mod outbound;
mod prepared;
pub mod protection;
mod provider;
pub mod url;
mod verify;

pub use self::{
    capability::Capabilities,
    error::{AccountError, SendError},
    events::EventKind,
    inbound::{Attribute, InEvent, InMessage, InMove, InReceipt, MediaRef, Polled, Received, Report},
    outbound::{Fetch, MEDIA_BYTES_MAX, OutPart, Sent, SetUp, Step, WebhookUrls},
    prepared::{Prepared, Rejection},
    protection::{Protection, Signature, Unproven},
    provider::{Channel, HttpChannel, LinkKind, OpenChannel, Provider, UNSIGNED},
};
