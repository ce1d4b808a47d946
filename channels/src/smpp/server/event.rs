//! A server's configuration and its events: plain data, never a decision.

use std::fmt;

use bytes::Bytes;

use crate::smpp::{
    ending::{CloseReason, NoReply, Warning},
    exchange::{Inbound, ReplyToken},
    limits::PeerConfig,
    pdu::{Bind, BindKind, CommandId, Pdu, PduHeader},
};

/// The server's name and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The SMSC's name in the reply to a bind.
    pub system_id: String,
    /// `sc_interface_version` in the reply to a bind; `None` leaves it out.
    pub interface_version: Option<u8>,
    /// Distinguishes this connection's tokens from those of others; a token of another connection
    /// is ignored.
    pub epoch: u64,
    /// Time without a bind after which the connection is closed; 0: never.
    pub bind_timeout_ms: u64,
    /// Window, timers and limits.
    pub peer: PeerConfig,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            system_id: "smsc".to_owned(),
            interface_version: Some(0x34),
            epoch: 0,
            bind_timeout_ms: 30_000,
            peer: PeerConfig { window: 100, inbound_max: 100_000, ..PeerConfig::default() },
        }
    }
}

/// A request to bind, to be accepted or refused.
#[must_use = "the peer waits for a reply to this"]
pub struct BindRequest {
    pub(super) kind: BindKind,
    pub(super) sequence: u32,
    pub(super) body: Bytes,
}

impl BindRequest {
    /// Returns the requested direction of messages.
    pub fn kind(&self) -> BindKind {
        self.kind
    }

    /// Returns the bind's values, the password included.
    pub fn bind(&self) -> Bind<'_> {
        match Pdu::read(self.kind.command(), 0, &self.body) {
            Ok((Pdu::Bind(_, bind), _)) => bind,
            // The body was parsed before.
            _ => Bind::default(),
        }
    }
}

impl fmt::Debug for BindRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BindRequest").field(&self.kind).field(&self.bind()).finish()
    }
}

/// A query_sm, cancel_sm, replace_sm or submit_multi as received.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerRequest {
    pub(super) command: CommandId,
    pub(super) body: Bytes,
}

impl fmt::Debug for PeerRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerRequest").field(&self.pdu()).finish()
    }
}

impl PeerRequest {
    /// Returns the request as a PDU.
    pub fn pdu(&self) -> Pdu<'_> {
        match Pdu::read(self.command, 0, &self.body) {
            Ok((pdu, _)) => pdu,
            // The body was parsed before.
            Err(_) => Pdu::Unknown(self.command, &self.body),
        }
    }
}

/// An event for the owner of a [`Server`](super::Server).
#[derive(Debug)]
pub enum ServerEvent<T> {
    /// The peer asks to bind.
    Bind(BindRequest),
    /// A submit_sm or data_sm arrived.
    Submitted {
        /// The token to reply with.
        reply: ReplyToken,
        /// The submitted message.
        message: Inbound,
    },
    /// Another request arrived.
    Requested {
        /// The token to reply with.
        reply: ReplyToken,
        /// The peer's request.
        request: PeerRequest,
    },
    /// A delivery was acknowledged, or refused.
    Answered {
        /// The caller's token.
        token: T,
        /// The status; 0: accepted.
        status: u32,
    },
    /// A delivery was not acknowledged.
    Unanswered {
        /// The caller's token.
        token: T,
        /// The reason.
        cause: NoReply,
    },
    /// A delivery that was reported as unanswered (timeout) was acknowledged after all.
    LateAnswer {
        /// The caller's token.
        token: T,
        /// The status; 0: accepted.
        status: u32,
    },
    /// The header of a reply to a PDU of [`super::Server::raw`], or to no request.
    UnknownReply(PduHeader),
    /// A deviation was tolerated.
    Protocol(Warning),
    /// The connection ended; no event follows.
    Closed {
        /// Why it ended.
        reason: CloseReason,
    },
}
