//! Providers as pure translation: what a channel can carry, how a message is cut into parts, how parts and
//! answers look on the wire. No IO, no clock, no randomness, no runtime: a test proves it with `cargo tree`.

pub mod adapt;
pub mod auth;
pub mod capability;
pub mod classify;
pub mod compose;
pub mod envelope;
pub mod error;
pub mod files;
pub mod graph;
pub mod gsm7;
pub mod http;
pub mod incoming;
pub mod join;
pub mod json;
pub mod markup;
pub mod media;
pub mod messenger;
pub mod meta;
pub mod national;
pub mod number;
mod parts;
pub mod provider;
pub mod set_up;
pub mod smpp;
pub mod spelling;
pub mod split;
pub mod subscribe;
pub mod transliterate;
pub mod twilio;
pub mod whatsapp;

pub use capability::Capabilities;
pub use error::SendError;
pub use provider::{Channel, PROVIDERS, Prepared, Provider, Rejection, provider};
