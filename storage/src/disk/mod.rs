//! What the log asks of a disk, and what files give. Nothing here knows what is in a file.

pub(crate) mod files;
pub(crate) mod seam;
pub(crate) mod window;
