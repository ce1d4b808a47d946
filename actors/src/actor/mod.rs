//! The actors. Each owns its state, and performs the effects that the pure side decides.

pub(crate) mod channel;
pub(crate) mod destination;
pub(crate) mod host;
pub(crate) mod link;
pub(crate) mod media;
pub(crate) mod replay;
pub(crate) mod root;
pub(crate) mod timers;
