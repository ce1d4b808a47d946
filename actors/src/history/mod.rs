//! The past, read from the log: look-ups by key, and whole messages. Every read of the disk by an
//! actor goes through [`reader`]; nothing here appends.

pub(crate) mod lookup;
pub(crate) mod message;
pub(crate) mod opening;
pub(crate) mod reader;
