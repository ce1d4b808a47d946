//! The engines: where databases and files lie. Nothing below imports this.

pub(crate) mod folders;
pub(crate) mod memory;
