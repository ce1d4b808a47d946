//! SMPP 3.4, and additions of 5.0, without sockets or clocks: PDUs, the ESME's session and its
//! counterpart, the SMSC's side. Nothing here may block, panic on input, or read the time: `now` is
//! an argument.

pub mod account;
mod ending;
mod exchange;
pub mod frame;
mod limits;
pub mod numbering;
pub mod pdu;
mod peer;
pub mod receipt;
pub mod server;
pub mod session;
pub mod settings;
pub mod status;
pub mod submit;
pub mod tlv;
mod window;
pub mod wire;

pub use ending::{CloseReason, NoReply, Warning};
pub use exchange::{Answer, Inbound, ReplyToken};
pub use limits::{Counters, PeerConfig, SubmitError};
pub use peer::{OUTPUT_BYTES_MAX, Peer};
pub use window::{LATE_MAX, SEQUENCE_MAX, WINDOW_MAX};

/// Milliseconds on a monotonic clock; only differences matter.
pub type Millis = u64;
