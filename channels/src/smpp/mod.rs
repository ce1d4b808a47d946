//! SMPP 3.4 (and what 5.0 adds) without sockets or clocks: PDUs, the ESME's session, and its opposite, the
//! SMSC's side. Nothing here may block, panic on input, or read the time: `now` is an argument.

pub mod account;
mod exchange;
pub mod frame;
mod limits;
mod line;
pub mod pdu;
pub mod receipt;
pub mod server;
pub mod session;
pub mod status;
pub mod submit;
pub mod tlv;
mod window;
pub mod wire;

pub use exchange::{Answer, Inbound, ReplyToken};
pub use limits::{Counters, LineConfig, SubmitError};
pub use line::OUTPUT_BYTES_MAX;
pub use window::{LATE_MAX, SEQUENCE_MAX, WINDOW_MAX};

/// Milliseconds on a clock that never goes back; only differences matter.
pub type Millis = u64;
