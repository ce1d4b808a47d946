//! Requests and replies as handed to the caller: the peer's octets, shared and unchanged, with
//! views on them. Never copies a text; copy it out to keep it, as it holds on to the whole read
//! buffer.

use std::fmt;

use bytes::Bytes;

use super::{
    pdu::{self, BodyError, CommandId, IdReply, Salvage, ShortMessage, Tlvs},
    status, tlv,
};

/// The right to reply once to one request of the peer. A dropped token leaves the request without a
/// reply.
#[must_use = "the peer waits for a reply to this"]
#[derive(Debug, PartialEq, Eq)]
pub struct ReplyToken {
    pub(super) command: CommandId,
    pub(super) sequence: u32,
    pub(super) epoch: u64,
}

impl ReplyToken {
    /// Returns the request's command.
    pub fn command(&self) -> CommandId {
        self.command
    }

    /// Returns the request's sequence number, as the peer chose it.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }
}

/// A submit_sm, deliver_sm or data_sm from the peer, as received.
#[derive(Clone, PartialEq, Eq)]
pub struct Inbound {
    command: CommandId,
    body: Bytes,
}

impl Inbound {
    /// Returns the message if its body can be read.
    pub(super) fn new(command: CommandId, body: Bytes) -> Result<(Self, Salvage), BodyError> {
        let salvage = match command {
            CommandId::DATA_SM => pdu::DataSm::read(&body)?.1,
            _ => ShortMessage::read(&body)?.1,
        };
        Ok((Self { command, body }, salvage))
    }

    /// Returns the command that carried the message.
    pub fn command(&self) -> CommandId {
        self.command
    }

    /// Returns the message. Fields that a data_sm lacks are empty; its text is among the TLVs.
    pub fn message(&self) -> ShortMessage<'_> {
        match self.command {
            CommandId::DATA_SM => pdu::DataSm::read(&self.body).map(|(data, _)| data.into()),
            _ => ShortMessage::read(&self.body).map(|(message, _)| message),
        }
        // The constructor parsed it before.
        .unwrap_or_default()
    }

    /// Returns the body's octets, shared.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inbound").field(&self.command).field(&self.message()).finish()
    }
}

/// The peer's reply to one of our requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The command status; 0: accepted. A generic_nack never yields 0.
    pub status: u32,
    /// The peer's id of the message; may be empty, even with status 0.
    pub message_id: Bytes,
    tlvs: Bytes,
}

impl Answer {
    /// Returns the TLVs: the reason in words, the network's error code, the congestion.
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs::wire(&self.tlvs)
    }

    /// Returns the reported congestion (5.0), 0 to 100.
    pub fn congestion(&self) -> Option<u8> {
        self.tlvs().number(tlv::CONGESTION_STATE).and_then(|state| u8::try_from(state).ok())
    }

    pub(super) fn nack(status: u32) -> Self {
        Self::bare(if status == 0 { status::UNKNOWN_ERROR } else { status })
    }

    pub(super) fn bare(status: u32) -> Self {
        Self { status, message_id: Bytes::new(), tlvs: Bytes::new() }
    }

    pub(super) fn read(status: u32, mut body: Bytes) -> (Self, Salvage) {
        let (reply, mut salvage) = IdReply::read(&body);
        // An error reply may have no body: nothing was repaired.
        salvage.nul_missing &= status == 0;
        let id = reply.message_id.len();
        let tlvs = match reply.tlvs.as_wire() {
            Some(octets) if !octets.is_empty() => body.slice(body.len().saturating_sub(octets.len())..),
            _ => Bytes::new(),
        };
        body.truncate(id);
        (Self { status, message_id: body, tlvs }, salvage)
    }
}
