//! The ways into the router: what HTTP, the command line and tests call.

pub(crate) mod accept;
mod ask;
mod past;
mod plan;
pub(crate) mod router;
pub(crate) mod scoped;
mod webhook;
