//! How requests and connections end, and what was tolerated meanwhile: reports of both ends.

use super::{
    frame::FrameError,
    pdu::{BodyError, CommandId},
};

/// Why a request has no answer: whether the peer took it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReply {
    /// No reply in time; it may still come late.
    Timeout,
    /// The connection ended first.
    LinkLost,
}

/// Something tolerated, for the log; the counters have the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A body could not be read; the request was refused.
    BadBody(CommandId, BodyError),
    /// A command that nobody knows; it was refused.
    UnknownCommand(CommandId),
    /// A request that does not belong on this bind; it was refused.
    WrongState(CommandId),
    /// A reply to nothing that waits.
    UnknownReply(CommandId, u32),
    /// The peer asked to be bound to; ignored.
    Outbind,
    /// A handset is reachable again; ignored.
    Alert,
}

/// Why the session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// We asked for it.
    Requested,
    /// The peer asked for it.
    PeerUnbound,
    /// The bind was refused, with this status.
    BindRefused(u32),
    /// No reply to the bind.
    BindTimeout,
    /// No reply to enquire_link: a half-open connection shows only so.
    NoEnquireReply,
    /// Nothing was heard for too long.
    Inactive,
    /// A PDU did not arrive whole in time.
    Stalled,
    /// The peer closed the connection, or it broke.
    Eof,
    /// The stream cannot be followed.
    Framing(FrameError),
}
