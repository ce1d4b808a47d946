//! How a session is configured and what it reports: plain data, never a decision.

use std::fmt;

use bytes::Bytes;

use crate::smpp::{
    exchange::{Answer, Inbound, ReplyToken as AckToken},
    frame::FrameError,
    limits::LineConfig,
    pdu::{BindKind, BodyError, CommandId},
};

/// How to bind, and the session's limits.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// Which way messages go.
    pub bind: BindKind,
    /// Who binds.
    pub system_id: String,
    /// The password; forgotten when the bind is written.
    pub password: String,
    /// Often empty.
    pub system_type: String,
    /// 0x34, or 0x50 when the operator asks for 5.0.
    pub interface_version: u8,
    /// The type of number of the address range.
    pub addr_ton: u8,
    /// The numbering plan of the address range.
    pub addr_npi: u8,
    /// The addresses served.
    pub address_range: String,
    /// How long the reply to the bind is waited for.
    pub bind_timeout_ms: u64,
    /// Window, timers and limits.
    pub line: LineConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: BindKind::Transceiver,
            system_id: String::new(),
            password: String::new(),
            system_type: String::new(),
            interface_version: 0x34,
            addr_ton: 0,
            addr_npi: 0,
            address_range: String::new(),
            bind_timeout_ms: 30_000,
            line: LineConfig::default(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("bind", &self.bind)
            .field("system_id", &self.system_id)
            .field("password", &"***")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// Why a request has no answer: whether the peer took it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
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

/// The peer's word on a message that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryAnswer {
    /// The command status; 0 = the rest is said.
    pub status: u32,
    /// The message.
    pub message_id: Bytes,
    /// When it ended, as the peer wrote it; empty when it has not.
    pub final_date: Bytes,
    /// Its state.
    pub message_state: u8,
    /// The network's error code.
    pub error_code: u8,
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub enum SessionEvent<T> {
    /// The bind was taken.
    Bound {
        /// The peer's name.
        system_id: Bytes,
        /// `sc_interface_version`, if said.
        peer_version: Option<u8>,
    },
    /// A request was answered: the only outcome it will have.
    Answered {
        /// The caller's name for it.
        token: T,
        /// The answer.
        answer: Answer,
    },
    /// A query was answered: the only outcome it will have.
    QueryAnswered {
        /// The caller's name for it.
        token: T,
        /// The answer.
        answer: QueryAnswer,
    },
    /// A request was not answered: the caller holds it in doubt.
    Unanswered {
        /// The caller's name for it.
        token: T,
        /// Why.
        cause: Cause,
    },
    /// A request reported as unanswered (timeout) was answered after all.
    LateAnswer {
        /// The caller's name for it.
        token: T,
        /// The answer.
        answer: Answer,
    },
    /// A message or receipt came. Acknowledge it with [`super::Session::ack`] once it is safe.
    Delivered {
        /// To be given back with the outcome.
        ack: AckToken,
        /// The message.
        message: Inbound,
    },
    /// The peer's congestion changed (5.0): slow down above 80.
    Congestion {
        /// 0 to 100.
        state: u8,
    },
    /// Something was tolerated.
    Protocol(Warning),
    /// The session is over; nothing follows.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}
