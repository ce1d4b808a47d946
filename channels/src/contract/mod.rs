//! The contract between providers and the rest of the product: what a provider implements, and the plain data that
//! passes through. Imports no other room of this crate that knows providers.

pub mod auth;
pub mod capability;
mod error;
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
    inbound::{Attribute, InEvent, InMessage, InReceipt, MediaRef, Polled, Received, Report},
    outbound::{Fetch, MEDIA_BYTES_MAX, OutPart, Sent, SetUp, Step, WebhookUrls},
    prepared::{Prepared, Rejection},
    protection::{Protection, Signature},
    provider::{Channel, HttpChannel, LinkKind, OpenChannel, Provider},
};
