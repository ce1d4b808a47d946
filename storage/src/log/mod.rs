//! The log itself. Nothing below imports this.

pub(crate) mod aside;
pub(crate) mod handle;
pub(crate) mod open;
pub(crate) mod presence;
pub(crate) mod queue;
pub(crate) mod read;
pub(crate) mod repairs;
pub(crate) mod retention;
pub(crate) mod segment;
pub(crate) mod segment_list;
pub(crate) mod stats;
pub(crate) mod verify;
pub(crate) mod writer;
