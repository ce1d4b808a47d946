//! Group commits as bytes, and the two stores that keep them. Nothing here knows what an event
//! means, or imports what reads the blocks.

pub(crate) mod file_blocks;
pub(crate) mod flush_marker;
pub(crate) mod format;
pub(crate) mod frame;
pub(crate) mod name;
pub(crate) mod offsets;
pub(crate) mod preallocate;
pub(crate) mod scan;
pub(crate) mod sled_blocks;
