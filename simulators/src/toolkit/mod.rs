//! Building blocks that know nothing of providers, of the engine or of the SMSC.

pub(crate) mod chance;
pub(crate) mod changes;
pub(crate) mod http;
pub(crate) mod media;
pub(crate) mod number;
pub(crate) mod recent;
pub(crate) mod sign;
pub(crate) mod time;
