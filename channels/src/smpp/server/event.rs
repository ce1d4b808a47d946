//! How a server is configured and what it reports: plain data, never a decision.

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
    /// Said in the reply to a bind.
    pub system_id: String,
    /// `sc_interface_version` in the reply to a bind; none leaves it out.
    pub interface_version: Option<u8>,
    /// Tells this connection's tokens from those of other connections; a token of another does nothing.
    pub epoch: u64,
    /// After so long without a bind the connection is closed; 0 = never.
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
    /// Which way messages shall go.
    pub fn kind(&self) -> BindKind {
        self.kind
    }

    /// Who binds, with which password.
    pub fn bind(&self) -> Bind<'_> {
        match Pdu::read(self.kind.command(), 0, &self.body) {
            Ok((Pdu::Bind(_, bind), _)) => bind,
            // It has been read before.
            _ => Bind::default(),
        }
    }
}

impl fmt::Debug for BindRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BindRequest").field(&self.kind).field(&self.bind()).finish()
    }
}

/// A query_sm, cancel_sm, replace_sm or submit_multi, its octets as they came.
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
    /// What is asked.
    pub fn pdu(&self) -> Pdu<'_> {
        match Pdu::read(self.command, 0, &self.body) {
            Ok((pdu, _)) => pdu,
            // It has been read before.
            Err(_) => Pdu::Unknown(self.command, &self.body),
        }
    }
}

/// What happened.
#[derive(Debug)]
pub enum ServerEvent<T> {
    /// The peer wants to bind.
    Bind(BindRequest),
    /// A submit_sm or data_sm came.
    Submitted {
        /// To be given back with the reply.
        reply: ReplyToken,
        /// The message.
        message: Inbound,
    },
    /// Something else was asked.
    Requested {
        /// To be given back with the reply.
        reply: ReplyToken,
        /// The request.
        request: PeerRequest,
    },
    /// A delivery was acknowledged, or refused.
    Answered {
        /// The caller's name for it.
        token: T,
        /// The status; 0 = taken.
        status: u32,
    },
    /// A delivery was not acknowledged.
    Unanswered {
        /// The caller's name for it.
        token: T,
        /// Why.
        cause: NoReply,
    },
    /// A delivery reported as unanswered (timeout) was acknowledged after all.
    LateAnswer {
        /// The caller's name for it.
        token: T,
        /// The status; 0 = taken.
        status: u32,
    },
    /// The peer's reply to a PDU of [`super::Server::raw`], or to nothing: its header.
    UnknownReply(PduHeader),
    /// Something was tolerated.
    Protocol(Warning),
    /// The connection is over; nothing follows.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}
