//! SMPP without sockets or clocks.

pub mod receipt;
