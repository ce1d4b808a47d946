//! Meta's Graph API: its calls and errors, its webhooks at a shared address, its subscriptions.

pub mod batch;
pub mod graph_api;
pub(super) mod object;
pub mod subscribe;
