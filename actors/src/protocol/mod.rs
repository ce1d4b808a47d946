//! Messages between actors, and the values in them. Knows no actor.

pub(crate) mod answers;
pub(crate) mod channel;
pub(crate) mod completion;
pub(crate) mod destination;
pub(crate) mod host;
pub(crate) mod inbox;
pub(crate) mod link;
pub(crate) mod part;
pub mod webhook;
