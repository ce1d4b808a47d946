//! How a session is configured and what it reports: plain data, never a decision.

use std::fmt;

use bytes::Bytes;

use crate::smpp::{
    ending::{CloseReason, NoReply, Warning},
    exchange::{Answer, Inbound, ReplyToken as AckToken},
    limits::PeerConfig,
    pdu::BindKind,
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
    pub peer: PeerConfig,
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
            peer: PeerConfig::default(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("bind", &self.bind)
            .field("system_id", &self.system_id)
            .field("password", &"***")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
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
        cause: NoReply,
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
