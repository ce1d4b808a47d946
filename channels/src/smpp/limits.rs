//! What both ends of a connection are configured with, what they count, and why they may decline to send. Plain
//! data: never decides anything.

use super::pdu::EncodeError;

/// What both ends are told about their line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// How many own requests may wait for their replies: 1 to [`WINDOW_MAX`](super::WINDOW_MAX).
    pub window: usize,
    /// After so long without a sign of life the peer is asked for one; 0 = never.
    pub enquire_link_ms: u64,
    /// How long a request waits for its reply.
    pub reply_timeout_ms: u64,
    /// After so long without a sign of life the connection is given up; 0 = never.
    pub inactivity_ms: u64,
    /// How long a PDU may take to arrive, once begun.
    pub pdu_read_ms: u64,
    /// How long a reply to unbind is waited for.
    pub unbind_timeout_ms: u64,
    /// The longest PDU taken.
    pub pdu_bytes_max: usize,
    /// How many of the peer's requests may wait for our reply before `wants_read` says no; twice as many are
    /// refused with `inbound_full_status`.
    pub inbound_max: usize,
    /// What a request beyond twice `inbound_max` is answered with: 0x64, or 0x58.
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

/// What was tolerated so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// PDUs received.
    pub received: u64,
    /// Bodies that had to be repaired.
    pub salvaged: u64,
    /// Bodies that could not be read.
    pub bad_bodies: u64,
    /// Commands that nobody knows.
    pub unknown_commands: u64,
    /// Requests that do not belong on this bind.
    pub wrong_state: u64,
    /// Replies to nothing, or of the wrong kind.
    pub unknown_replies: u64,
    /// Requests that got no reply in time.
    pub timed_out: u64,
    /// Requests of the peer that were refused because too many waited.
    pub refused: u64,
}

/// Why a request cannot be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too many requests wait for their replies, or too many octets for a slow peer: try after the next reply.
    #[error("the window is full; submit again after the next reply")]
    WindowFull,
    /// The bind is not there, not there yet, or closing.
    #[error("not bound; submit again on a bound session")]
    NotBound,
    /// This kind of bind cannot carry the request.
    #[error("this kind of bind cannot carry the request; use a transceiver")]
    WrongBind,
    /// The request breaks the protocol's limits: it can never be sent.
    #[error(transparent)]
    Invalid(#[from] EncodeError),
}
