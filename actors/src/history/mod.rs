//! What the log tells of the past.

pub(crate) mod message;
