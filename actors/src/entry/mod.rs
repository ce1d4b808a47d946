//! The ways into the router: what HTTP, the command line and tests call.

mod accept;
mod plan;
pub(crate) mod router;
mod webhook;
