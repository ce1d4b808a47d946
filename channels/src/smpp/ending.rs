//! Reports of both ends: how requests and connections ended, and the deviations that were
//! tolerated.

use super::{
    frame::FrameError,
    pdu::{BodyError, CommandId},
};

/// The reason why a request has no answer: whether the peer accepted it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReply {
    /// No reply in time; it may still come late.
    Timeout,
    /// The connection ended first.
    LinkLost,
}

/// A tolerated deviation, for the log; the counters hold the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A body could not be read; the request was refused.
    BadBody(CommandId, BodyError),
    /// An unknown command; it was refused.
    UnknownCommand(CommandId),
    /// A request that is not allowed on this bind; it was refused.
    WrongState(CommandId),
    /// A reply without a waiting request.
    UnknownReply(CommandId, u32),
    /// The peer sent an outbind; ignored.
    Outbind,
    /// A handset is reachable again; ignored.
    Alert,
}

/// The reason why a connection ended.
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
    /// No reply to enquire_link, which is how a half-open connection is detected.
    NoEnquireReply,
    /// No PDU arrived for too long.
    Inactive,
    /// A PDU did not arrive completely in time.
    Stalled,
    /// The peer closed the connection, or it broke.
    Eof,
    /// The frame boundaries were lost.
    Framing(FrameError),
}
