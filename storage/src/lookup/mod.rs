//! Keys of finished messages: in memory and in sorted files. It never imports the log.

pub(crate) mod file;
pub(crate) mod memtable;
pub(crate) mod parts;
pub(crate) mod writer;
