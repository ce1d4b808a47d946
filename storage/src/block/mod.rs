//! Group commits as bytes, and the stores that keep them. Nothing here knows what an event means.

pub(crate) mod file_blocks;
pub(crate) mod flush_marker;
pub(crate) mod format;
pub(crate) mod frame;
pub(crate) mod key;
pub(crate) mod offsets;
pub(crate) mod preallocate;
pub(crate) mod sled_blocks;
