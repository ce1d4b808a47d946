//! The derived state of what is open. It never imports the log.

pub(crate) mod checkpoint;
pub(crate) mod delta;
pub(crate) mod entry;
pub(crate) mod keys;
pub(crate) mod repair;
pub(crate) mod store;
