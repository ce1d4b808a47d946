//! The log itself. Nothing below imports this.

pub(crate) mod handle;
pub(crate) mod open;
pub(crate) mod queue;
pub(crate) mod read;
pub(crate) mod retention;
pub(crate) mod sealing;
pub(crate) mod segment;
pub(crate) mod stats;
pub(crate) mod writer;
