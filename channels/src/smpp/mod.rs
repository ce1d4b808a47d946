//! SMPP 3.4 (and what 5.0 adds) without sockets or clocks: PDUs, the ESME's session, and its opposite, the
//! SMSC's side. Nothing here may block, panic on input, or read the time: `now` is an argument.

pub mod frame;
pub mod pdu;
pub mod status;
pub mod tlv;
pub mod wire;

/// Milliseconds on a clock that never goes back; only differences matter.
pub type Millis = u64;
