//! The interfaces to a disk, and atomic files. Nothing here knows what is in a file.

pub(crate) mod around;
pub(crate) mod descriptors;
pub(crate) mod files;
pub(crate) mod seam;
pub(crate) mod window;
