//! The messages that actors exchange, and the values in them. Knows no actor and no context.

pub(crate) mod answers;
pub(crate) mod channel;
pub(crate) mod completion;
pub(crate) mod destination;
pub(crate) mod host;
pub(crate) mod inbox;
pub(crate) mod link;
pub(crate) mod part;
pub(crate) mod recipient;
pub(crate) mod task;
pub(crate) mod tasks;
pub mod webhook;
