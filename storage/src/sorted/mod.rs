//! The database of the index: sorted runs. It never imports the index.

pub(crate) mod filter;
pub(crate) mod merge;
pub(crate) mod run_file;
pub(crate) mod runs;
