//! The engines: where segments, the index and files are. Nothing below imports this.

pub(crate) mod folders;
pub(crate) mod kind;
pub(crate) mod memory;
