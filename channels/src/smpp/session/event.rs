//! A session's configuration and its events: plain data, never a decision.

use std::fmt;

use bytes::Bytes;

use crate::smpp::{
    ending::{CloseReason, NoReply, Warning},
    exchange::{Answer, Inbound, ReplyToken as AckToken},
    limits::PeerConfig,
    pdu::BindKind,
};

/// Values of the bind, and the session's limits.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// The direction of messages.
    pub bind: BindKind,
    /// The account's name at the SMSC.
    pub system_id: String,
    /// The password; forgotten when the bind is written.
    pub password: String,
    /// The system type, often empty.
    pub system_type: String,
    /// 0x34, or 0x50 when the operator asks for 5.0.
    pub interface_version: u8,
    /// The type of number of the address range.
    pub addr_ton: u8,
    /// The numbering plan of the address range.
    pub addr_npi: u8,
    /// The addresses served.
    pub address_range: String,
    /// Maximum time to wait for the reply to the bind.
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

/// The peer's reply to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryAnswer {
    /// The command status; the other fields are valid when it is 0.
    pub status: u32,
    /// The id of the queried message.
    pub message_id: Bytes,
    /// The final date as the peer wrote it; empty while the message is pending.
    pub final_date: Bytes,
    /// The message's state, as SMPP numbers it.
    pub message_state: u8,
    /// The network's error code.
    pub error_code: u8,
}

/// An event for the owner of a [`Session`](super::Session).
#[derive(Debug, PartialEq, Eq)]
pub enum SessionEvent<T> {
    /// The bind was accepted.
    Bound {
        /// The SMSC's name.
        system_id: Bytes,
        /// `sc_interface_version`, if present.
        peer_version: Option<u8>,
    },
    /// A request was answered; no further outcome follows.
    Answered {
        /// The caller's token.
        token: T,
        /// The peer's answer.
        answer: Answer,
    },
    /// A query was answered; no further outcome follows.
    QueryAnswered {
        /// The caller's token.
        token: T,
        /// The peer's answer.
        answer: QueryAnswer,
    },
    /// A request was not answered: the caller treats it as in doubt.
    Unanswered {
        /// The caller's token.
        token: T,
        /// The reason.
        cause: NoReply,
    },
    /// A request that was reported as unanswered (timeout) was answered after all.
    LateAnswer {
        /// The caller's token.
        token: T,
        /// The peer's answer.
        answer: Answer,
    },
    /// A message or receipt arrived. Acknowledge it with [`super::Session::ack`] once it is
    /// durable.
    Delivered {
        /// The token to acknowledge with.
        ack: AckToken,
        /// The delivered message.
        message: Inbound,
    },
    /// The peer's congestion changed (5.0): slow down above 80.
    Congestion {
        /// Congestion from 0 to 100.
        state: u8,
    },
    /// A deviation was tolerated.
    Protocol(Warning),
    /// The session ended; no event follows.
    Closed {
        /// Why it ended.
        reason: CloseReason,
    },
}
