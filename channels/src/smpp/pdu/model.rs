//! The PDUs that an ESME or an SMSC needs, as borrowed values. Never interprets a text, and never
//! prints a password.

use std::fmt;

use crate::smpp::tlv::{self, Tlvs};

/// The command of a PDU. A reply's id is its request's id with the top bit set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u32);

#[allow(missing_docs, reason = "the specification's own names")]
impl CommandId {
    pub const BIND_RECEIVER: Self = Self(0x01);
    pub const BIND_TRANSMITTER: Self = Self(0x02);
    pub const QUERY_SM: Self = Self(0x03);
    pub const SUBMIT_SM: Self = Self(0x04);
    pub const DELIVER_SM: Self = Self(0x05);
    pub const UNBIND: Self = Self(0x06);
    pub const REPLACE_SM: Self = Self(0x07);
    pub const CANCEL_SM: Self = Self(0x08);
    pub const BIND_TRANSCEIVER: Self = Self(0x09);
    pub const OUTBIND: Self = Self(0x0B);
    pub const ENQUIRE_LINK: Self = Self(0x15);
    pub const SUBMIT_MULTI: Self = Self(0x21);
    pub const ALERT_NOTIFICATION: Self = Self(0x102);
    pub const DATA_SM: Self = Self(0x103);
    pub const GENERIC_NACK: Self = Self(0x8000_0000);
}

impl CommandId {
    pub(super) const REPLY: u32 = 0x8000_0000;

    /// Returns whether this is a reply (generic_nack is one).
    pub fn is_reply(self) -> bool {
        self.0 & Self::REPLY != 0
    }

    /// Returns the reply to this request.
    #[must_use]
    pub fn reply(self) -> Self {
        Self(self.0 | Self::REPLY)
    }

    /// Returns the request of this reply.
    #[must_use]
    pub fn request(self) -> Self {
        Self(self.0 & !Self::REPLY)
    }

    /// Returns the specification's name of the request, also for its reply; `None` when unknown.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::GENERIC_NACK => "generic_nack",
            other => match other.request() {
                Self::BIND_RECEIVER => "bind_receiver",
                Self::BIND_TRANSMITTER => "bind_transmitter",
                Self::QUERY_SM => "query_sm",
                Self::SUBMIT_SM => "submit_sm",
                Self::DELIVER_SM => "deliver_sm",
                Self::UNBIND => "unbind",
                Self::REPLACE_SM => "replace_sm",
                Self::CANCEL_SM => "cancel_sm",
                Self::BIND_TRANSCEIVER => "bind_transceiver",
                Self::OUTBIND => "outbind",
                Self::ENQUIRE_LINK => "enquire_link",
                Self::SUBMIT_MULTI => "submit_multi",
                Self::ALERT_NOTIFICATION => "alert_notification",
                Self::DATA_SM => "data_sm",
                _ => return None,
            },
        })
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.is_reply() && *self != Self::GENERIC_NACK) {
            (Some(name), true) => write!(f, "{name}_resp"),
            (Some(name), false) => f.write_str(name),
            (None, _) => write!(f, "command 0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The header of a PDU without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PduHeader {
    /// The command that tells how to read the body.
    pub command: CommandId,
    /// 0 in requests; the outcome in replies.
    pub status: u32,
    /// The number chosen by the requester and echoed by the reply; any value occurs.
    pub sequence: u32,
}

impl PduHeader {
    /// Parses the header of a PDU; `None` for fewer than 16 octets.
    pub fn read(pdu: &[u8]) -> Option<Self> {
        let (words, _) = pdu.as_chunks::<4>();
        let [_, command, status, sequence, ..] = words else { return None };
        Some(Self {
            command: CommandId(u32::from_be_bytes(*command)),
            status: u32::from_be_bytes(*status),
            sequence: u32::from_be_bytes(*sequence),
        })
    }
}

/// The direction of messages on a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum BindKind {
    /// Inbound only.
    Receiver,
    /// Outbound only.
    Transmitter,
    /// Both.
    #[default]
    Transceiver,
}

impl BindKind {
    /// Returns the request that asks for this kind.
    pub fn command(self) -> CommandId {
        match self {
            Self::Receiver => CommandId::BIND_RECEIVER,
            Self::Transmitter => CommandId::BIND_TRANSMITTER,
            Self::Transceiver => CommandId::BIND_TRANSCEIVER,
        }
    }

    /// Returns the kind of a bind request, or of its reply.
    pub fn of(command: CommandId) -> Option<Self> {
        match command.request() {
            CommandId::BIND_RECEIVER => Some(Self::Receiver),
            CommandId::BIND_TRANSMITTER => Some(Self::Transmitter),
            CommandId::BIND_TRANSCEIVER => Some(Self::Transceiver),
            _ => None,
        }
    }

    /// Returns whether the ESME may submit.
    pub fn submits(self) -> bool {
        self != Self::Receiver
    }

    /// Returns whether the SMSC may deliver.
    pub fn receives(self) -> bool {
        self != Self::Transmitter
    }
}

/// An address with its type of number and numbering plan.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Address<'a> {
    /// Type of number.
    pub ton: u8,
    /// Numbering plan.
    pub npi: u8,
    /// The number or name, of at most 20 octets (64 in data_sm).
    pub text: &'a [u8],
}

impl fmt::Debug for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.ton, self.npi, self.text.escape_ascii())
    }
}

/// The body of a bind request.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Bind<'a> {
    /// The account's name at the SMSC, at most 15 octets.
    pub system_id: &'a [u8],
    /// The password: at most 8 octets by the specification, more at many servers.
    pub password: &'a [u8],
    /// The system type: at most 12 octets, often empty.
    pub system_type: &'a [u8],
    /// 0x34, or 0x50 for 5.0.
    pub interface_version: u8,
    /// The addresses served, at most 40 octets.
    pub address_range: Address<'a>,
}

impl fmt::Debug for Bind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bind")
            .field("system_id", &self.system_id.escape_ascii().to_string())
            .field("password", &"***")
            .field("system_type", &self.system_type.escape_ascii().to_string())
            .field("interface_version", &self.interface_version)
            .field("address_range", &self.address_range)
            .finish()
    }
}

/// A submit_sm or a deliver_sm, which share one form.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the specification's own names")]
pub struct ShortMessage<'a> {
    pub service_type: &'a [u8],
    pub source: Address<'a>,
    pub destination: Address<'a>,
    pub esm_class: u8,
    pub protocol_id: u8,
    pub priority_flag: u8,
    pub schedule_delivery_time: &'a [u8],
    pub validity_period: &'a [u8],
    pub registered_delivery: u8,
    pub replace_if_present: u8,
    pub data_coding: u8,
    pub sm_default_msg_id: u8,
    /// At most 254 octets in 3.4, 255 in 5.0. May contain NULs: `@` is 0 in GSM 03.38.
    pub short_message: &'a [u8],
    pub tlvs: Tlvs<'a>,
}

/// The text is left out: customers' words do not belong in logs.
impl fmt::Debug for ShortMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShortMessage")
            .field("source", &self.source)
            .field("destination", &self.destination)
            .field("esm_class", &self.esm_class)
            .field("registered_delivery", &self.registered_delivery)
            .field("data_coding", &self.data_coding)
            .field("text_octets", &self.short_message.len())
            .field("tlvs", &self.tlvs)
            .finish_non_exhaustive()
    }
}

impl<'a> ShortMessage<'a> {
    /// Returns the text with its user data header, if any: `short_message`, or `message_payload`
    /// when that is empty.
    pub fn text(&self) -> &'a [u8] {
        if !self.short_message.is_empty() {
            return self.short_message;
        }
        self.tlvs.get(tlv::MESSAGE_PAYLOAD).map(|payload| payload.value).unwrap_or_default()
    }
}

/// A data_sm, whose text is a `message_payload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the specification's own names")]
pub struct DataSm<'a> {
    pub service_type: &'a [u8],
    pub source: Address<'a>,
    pub destination: Address<'a>,
    pub esm_class: u8,
    pub registered_delivery: u8,
    pub data_coding: u8,
    pub tlvs: Tlvs<'a>,
}

impl<'a> From<DataSm<'a>> for ShortMessage<'a> {
    fn from(data: DataSm<'a>) -> Self {
        Self {
            service_type: data.service_type,
            source: data.source,
            destination: data.destination,
            esm_class: data.esm_class,
            registered_delivery: data.registered_delivery,
            data_coding: data.data_coding,
            tlvs: data.tlvs,
            ..Self::default()
        }
    }
}

/// The reply to submit_sm, deliver_sm or data_sm. Empty when an error reply has no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct IdReply<'a> {
    /// The SMSC's id of the message, at most 64 octets; empty in the reply to a deliver_sm.
    pub message_id: &'a [u8],
    /// Further parameters.
    pub tlvs: Tlvs<'a>,
}

/// The reply to a bind request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BindReply<'a> {
    /// The SMSC's name.
    pub system_id: &'a [u8],
    /// `sc_interface_version`, if present.
    pub tlvs: Tlvs<'a>,
}

/// A query_sm request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the specification's own names")]
pub struct QuerySm<'a> {
    pub message_id: &'a [u8],
    pub source: Address<'a>,
}

/// The reply to a query_sm. Empty when an error reply has no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the specification's own names")]
pub struct QueryReply<'a> {
    pub message_id: &'a [u8],
    pub final_date: &'a [u8],
    pub message_state: u8,
    pub error_code: u8,
}

/// A cancel_sm request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the specification's own names")]
pub struct CancelSm<'a> {
    pub service_type: &'a [u8],
    pub message_id: &'a [u8],
    pub source: Address<'a>,
    pub destination: Address<'a>,
}

/// A replace_sm request.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the specification's own names")]
pub struct ReplaceSm<'a> {
    pub message_id: &'a [u8],
    pub source: Address<'a>,
    pub schedule_delivery_time: &'a [u8],
    pub validity_period: &'a [u8],
    pub registered_delivery: u8,
    pub sm_default_msg_id: u8,
    pub short_message: &'a [u8],
    pub tlvs: Tlvs<'a>,
}

/// The text is left out, as in [`ShortMessage`].
impl fmt::Debug for ReplaceSm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.message_id.escape_ascii().to_string();
        f.debug_struct("ReplaceSm")
            .field("message_id", &id)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// The reply to a submit_multi: the id, and the number of refused destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the specification's own names")]
pub struct MultiReply<'a> {
    pub message_id: &'a [u8],
    pub no_unsuccess: u8,
    /// The refused destinations (ton, npi, C-string, status each), then TLVs, as received.
    pub rest: &'a [u8],
}

/// An alert_notification: a handset is reachable again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the specification's own names")]
pub struct Alert<'a> {
    pub source: Address<'a>,
    pub esme: Address<'a>,
    pub tlvs: Tlvs<'a>,
}

/// An outbind, by which the SMSC asks for a bind.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the specification's own names")]
pub struct Outbind<'a> {
    pub system_id: &'a [u8],
    pub password: &'a [u8],
}

impl fmt::Debug for Outbind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system_id = self.system_id.escape_ascii().to_string();
        f.debug_struct("Outbind").field("system_id", &system_id).field("password", &"***").finish()
    }
}

/// The body of a PDU.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the specification's own names")]
pub enum Pdu<'a> {
    Bind(BindKind, Bind<'a>),
    BindResp(BindKind, BindReply<'a>),
    SubmitSm(ShortMessage<'a>),
    SubmitSmResp(IdReply<'a>),
    DeliverSm(ShortMessage<'a>),
    DeliverSmResp(IdReply<'a>),
    DataSm(DataSm<'a>),
    DataSmResp(IdReply<'a>),
    QuerySm(QuerySm<'a>),
    QuerySmResp(QueryReply<'a>),
    CancelSm(CancelSm<'a>),
    CancelSmResp,
    ReplaceSm(ReplaceSm<'a>),
    ReplaceSmResp,
    /// The unparsed body: the request is refused, not read.
    SubmitMulti(&'a [u8]),
    SubmitMultiResp(MultiReply<'a>),
    Unbind,
    UnbindResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind(Outbind<'a>),
    AlertNotification(Alert<'a>),
    /// An unknown command with its body.
    Unknown(CommandId, &'a [u8]),
}

impl Pdu<'_> {
    /// Returns the PDU's command.
    pub fn command(&self) -> CommandId {
        match self {
            Self::Bind(kind, _) => kind.command(),
            Self::BindResp(kind, _) => kind.command().reply(),
            Self::SubmitSm(_) => CommandId::SUBMIT_SM,
            Self::SubmitSmResp(_) => CommandId::SUBMIT_SM.reply(),
            Self::DeliverSm(_) => CommandId::DELIVER_SM,
            Self::DeliverSmResp(_) => CommandId::DELIVER_SM.reply(),
            Self::DataSm(_) => CommandId::DATA_SM,
            Self::DataSmResp(_) => CommandId::DATA_SM.reply(),
            Self::QuerySm(_) => CommandId::QUERY_SM,
            Self::QuerySmResp(_) => CommandId::QUERY_SM.reply(),
            Self::CancelSm(_) => CommandId::CANCEL_SM,
            Self::CancelSmResp => CommandId::CANCEL_SM.reply(),
            Self::ReplaceSm(_) => CommandId::REPLACE_SM,
            Self::ReplaceSmResp => CommandId::REPLACE_SM.reply(),
            Self::SubmitMulti(_) => CommandId::SUBMIT_MULTI,
            Self::SubmitMultiResp(_) => CommandId::SUBMIT_MULTI.reply(),
            Self::Unbind => CommandId::UNBIND,
            Self::UnbindResp => CommandId::UNBIND.reply(),
            Self::EnquireLink => CommandId::ENQUIRE_LINK,
            Self::EnquireLinkResp => CommandId::ENQUIRE_LINK.reply(),
            Self::GenericNack => CommandId::GENERIC_NACK,
            Self::Outbind(_) => CommandId::OUTBIND,
            Self::AlertNotification(_) => CommandId::ALERT_NOTIFICATION,
            Self::Unknown(command, _) => *command,
        }
    }
}

/// Texts and passwords are left out; kinds without a parsed body show their names only.
impl fmt::Debug for Pdu<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.command();
        match self {
            Self::Bind(_, bind) => write!(f, "{command} {bind:?}"),
            Self::BindResp(_, reply) => write!(f, "{command} {reply:?}"),
            Self::SubmitSm(message) | Self::DeliverSm(message) => write!(f, "{command} {message:?}"),
            Self::DataSm(data) => write!(f, "{command} {data:?}"),
            Self::SubmitSmResp(reply) | Self::DeliverSmResp(reply) | Self::DataSmResp(reply) => {
                write!(f, "{command} {reply:?}")
            }
            Self::QuerySm(query) => write!(f, "{command} {query:?}"),
            Self::QuerySmResp(reply) => write!(f, "{command} {reply:?}"),
            Self::CancelSm(cancel) => write!(f, "{command} {cancel:?}"),
            _ => write!(f, "{command}"),
        }
    }
}

/// Maximum lengths of C-strings, without their NUL.
pub(super) mod max {
    pub(in crate::smpp) const SERVICE_TYPE: usize = 5;
    pub(in crate::smpp) const ADDRESS: usize = 20;
    pub(in crate::smpp) const DATA_ADDRESS: usize = 64;
    pub(in crate::smpp) const ADDRESS_RANGE: usize = 40;
    pub(in crate::smpp) const TIME: usize = 16;
    pub(in crate::smpp) const MESSAGE_ID: usize = 64;
    pub(in crate::smpp) const SYSTEM_ID: usize = 15;
    /// The specification says 8; many servers accept more.
    pub(in crate::smpp) const PASSWORD: usize = 64;
    pub(in crate::smpp) const SYSTEM_TYPE: usize = 12;
    pub(in crate::smpp) const TEXT: usize = 255;
}
