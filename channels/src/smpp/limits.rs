//! Configuration, counters and submit errors of both ends of a connection: plain data, never a
//! decision.

use super::pdu::EncodeError;

/// Configuration of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Maximum number of own requests that wait for replies: 1 to
    /// [`WINDOW_MAX`](super::WINDOW_MAX). A full window refuses further ones.
    pub window: usize,
    /// Silence after which an enquire_link is sent; 0: never.
    pub enquire_link_ms: u64,
    /// Maximum time a request waits for its reply.
    pub reply_timeout_ms: u64,
    /// Silence after which the connection is closed; 0: never.
    pub inactivity_ms: u64,
    /// Maximum time a PDU may take to arrive once begun.
    pub pdu_read_ms: u64,
    /// Maximum time to wait for the reply to an unbind.
    pub unbind_timeout_ms: u64,
    /// Maximum length of a PDU; a longer one closes the connection.
    pub pdu_bytes_max: usize,
    /// Number of the peer's unanswered requests at which `wants_read` turns false; twice as many
    /// are refused with `inbound_full_status`.
    pub inbound_max: usize,
    /// The status that refuses a request beyond twice `inbound_max`: 0x64 or 0x58.
    pub inbound_full_status: u32,
    /// The first sequence number of own requests.
    pub first_sequence: u32,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            window: 10,
            enquire_link_ms: 30_000,
            reply_timeout_ms: 60_000,
            inactivity_ms: 300_000,
            pdu_read_ms: 10_000,
            unbind_timeout_ms: 5_000,
            pdu_bytes_max: super::frame::PDU_BYTES_MAX,
            inbound_max: 1_000,
            inbound_full_status: super::status::RETRY_LATER,
            first_sequence: 1,
        }
    }
}

/// Sums of tolerated deviations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// PDUs received.
    pub received: u64,
    /// Bodies that had to be repaired.
    pub salvaged: u64,
    /// Bodies that could not be read.
    pub bad_bodies: u64,
    /// Requests with an unknown command, which were refused.
    pub unknown_commands: u64,
    /// Requests that are not allowed on this bind.
    pub wrong_state: u64,
    /// Replies without a request, or of the wrong kind.
    pub unknown_replies: u64,
    /// Requests whose reply was overdue.
    pub timed_out: u64,
    /// Requests of the peer that were refused because too many waited.
    pub refused: u64,
}

/// The reason why a request cannot be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too many requests wait for replies, or too many octets for a slow peer: try again after the
    /// next reply.
    #[error("the window is full; submit again after the next reply")]
    WindowFull,
    /// The connection is not bound, or closing.
    #[error("not bound; submit again on a bound session")]
    NotBound,
    /// This kind of bind cannot carry the request.
    #[error("this kind of bind cannot carry the request; use a transceiver")]
    WrongBind,
    /// The request breaks the protocol's limits: it can never be sent.
    #[error(transparent)]
    Invalid(#[from] EncodeError),
}
