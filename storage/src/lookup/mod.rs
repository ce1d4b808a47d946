//! Look-ups: what the keys of events lead to, in memory while their part of a segment grows, then
//! in sorted files. Nothing here imports the log: it is told when something is committed, and asks
//! for blocks through a function.

pub(crate) mod facts;
pub(crate) mod file;
pub(crate) mod memtable;
pub(crate) mod readers;
pub(crate) mod segment;
