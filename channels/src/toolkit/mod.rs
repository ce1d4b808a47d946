//! Tools that providers share: reading JSON, composing inbound bodies, classifying answers, setting
//! up webhooks. Pure functions; none of them knows a provider.

pub mod account;
pub mod classify;
pub mod group;
pub mod inbound_body;
pub mod json;
pub mod media_token;
pub mod mend;
pub mod own_addresses;
pub mod refusals;
pub mod set_up;
pub mod text_and_media;
pub mod upload;

pub use crate::contract::auth;
