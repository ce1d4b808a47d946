//! The providers' protocols as pure translation: bytes to facts and back. Never touches a socket, a clock, a
//! random number or a runtime: all of these are arguments.

pub mod smpp;
