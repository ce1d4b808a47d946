//! The ways into the router: what HTTP, the command line and tests call.

pub(crate) mod accept;
mod ask;
pub(crate) mod bulk;
pub(crate) mod control;
mod figures;
mod lists;
mod past;
mod plan;
pub(crate) mod reconfigure;
pub(crate) mod router;
pub(crate) mod scoped;
mod search;
mod status;
mod waiting;
mod webhook;
