//! Parses bodies. Fails only when a mandatory field is cut off and nothing useful can be salvaged.

use super::model::{
    Address, Alert, Bind, BindKind, BindReply, CancelSm, CommandId, DataSm, IdReply, MultiReply, Outbind,
    Pdu, QueryReply, QuerySm, ReplaceSm, ShortMessage, max,
};
use crate::smpp::{
    tlv::Tlvs,
    wire::{BodyError, Reader, Salvage},
};

impl<'a> Reader<'a> {
    fn address(&mut self, field: &'static str, max: usize) -> Result<Address<'a>, BodyError> {
        Ok(Address { ton: self.u8(field)?, npi: self.u8(field)?, text: self.text(field, max)? })
    }

    fn tlvs(&mut self) -> Tlvs<'a> {
        Tlvs::wire(std::mem::take(&mut self.rest)).check(&mut self.salvage)
    }
}

impl<'a> ShortMessage<'a> {
    /// Parses the body of a submit_sm or deliver_sm, and returns the repairs made.
    ///
    /// # Errors
    ///
    /// The body ends before `sm_length`.
    pub fn read(body: &'a [u8]) -> Result<(Self, Salvage), BodyError> {
        let mut from = Reader::new(body);
        let mut message = Self {
            service_type: from.text("service_type", max::SERVICE_TYPE)?,
            source: from.address("source_addr", max::ADDRESS)?,
            destination: from.address("destination_addr", max::ADDRESS)?,
            esm_class: from.u8("esm_class")?,
            protocol_id: from.u8("protocol_id")?,
            priority_flag: from.u8("priority_flag")?,
            schedule_delivery_time: from.text("schedule_delivery_time", max::TIME)?,
            validity_period: from.text("validity_period", max::TIME)?,
            registered_delivery: from.u8("registered_delivery")?,
            replace_if_present: from.u8("replace_if_present_flag")?,
            data_coding: from.u8("data_coding")?,
            sm_default_msg_id: from.u8("sm_default_msg_id")?,
            ..Self::default()
        };
        let length = from.u8("sm_length")?;
        message.short_message = from.octets(usize::from(length));
        message.tlvs = from.tlvs();
        Ok((message, from.salvage))
    }
}

impl<'a> IdReply<'a> {
    /// Parses the body of a reply to submit_sm, deliver_sm or data_sm. Never fails: a missing body
    /// is an empty id.
    pub fn read(body: &'a [u8]) -> (Self, Salvage) {
        let mut from = Reader::new(body);
        let message_id = from.last_text("message_id", max::MESSAGE_ID);
        let tlvs = from.tlvs();
        (Self { message_id, tlvs }, from.salvage)
    }
}

impl<'a> QueryReply<'a> {
    fn read(from: &mut Reader<'a>, status: u32) -> Result<Self, BodyError> {
        if from.rest.is_empty() && status != 0 {
            return Ok(Self::default());
        }
        Ok(Self {
            message_id: from.text("message_id", max::MESSAGE_ID)?,
            final_date: from.text("final_date", max::TIME)?,
            message_state: from.u8("message_state")?,
            error_code: from.u8("error_code")?,
        })
    }
}

impl<'a> ReplaceSm<'a> {
    fn read(from: &mut Reader<'a>) -> Result<Self, BodyError> {
        let mut replace = Self {
            message_id: from.text("message_id", max::MESSAGE_ID)?,
            source: from.address("source_addr", max::ADDRESS)?,
            schedule_delivery_time: from.text("schedule_delivery_time", max::TIME)?,
            validity_period: from.text("validity_period", max::TIME)?,
            registered_delivery: from.u8("registered_delivery")?,
            sm_default_msg_id: from.u8("sm_default_msg_id")?,
            ..Self::default()
        };
        let length = from.u8("sm_length")?;
        replace.short_message = from.octets(usize::from(length));
        replace.tlvs = from.tlvs();
        Ok(replace)
    }
}

impl<'a> DataSm<'a> {
    /// Parses the body of a data_sm, and returns the repairs made.
    ///
    /// # Errors
    ///
    /// The body ends before the TLVs.
    pub fn read(body: &'a [u8]) -> Result<(Self, Salvage), BodyError> {
        let mut from = Reader::new(body);
        let data = Self {
            service_type: from.text("service_type", max::SERVICE_TYPE)?,
            source: from.address("source_addr", max::DATA_ADDRESS)?,
            destination: from.address("destination_addr", max::DATA_ADDRESS)?,
            esm_class: from.u8("esm_class")?,
            registered_delivery: from.u8("registered_delivery")?,
            data_coding: from.u8("data_coding")?,
            tlvs: from.tlvs(),
        };
        Ok((data, from.salvage))
    }
}

fn bind<'a>(from: &mut Reader<'a>) -> Result<Bind<'a>, BodyError> {
    Ok(Bind {
        system_id: from.text("system_id", max::SYSTEM_ID)?,
        password: from.text("password", max::PASSWORD)?,
        system_type: from.text("system_type", max::SYSTEM_TYPE)?,
        interface_version: from.u8("interface_version")?,
        address_range: Address {
            ton: from.u8("addr_ton")?,
            npi: from.u8("addr_npi")?,
            text: from.last_text("address_range", max::ADDRESS_RANGE),
        },
    })
}

impl<'a> Pdu<'a> {
    /// Parses a body of any kind, and returns the repairs made.
    ///
    /// # Errors
    ///
    /// A mandatory field is cut off. The header stays valid: the request can be answered.
    pub fn read(command: CommandId, status: u32, body: &'a [u8]) -> Result<(Self, Salvage), BodyError> {
        let mut from = Reader::new(body);
        if let Some(kind) = BindKind::of(command) {
            let pdu = if command.is_reply() {
                let system_id = from.last_text("system_id", max::SYSTEM_ID);
                Self::BindResp(kind, BindReply { system_id, tlvs: from.tlvs() })
            } else {
                Self::Bind(kind, bind(&mut from)?)
            };
            return Ok((pdu, from.salvage));
        }
        let reply = |wrap: fn(IdReply<'a>) -> Self| {
            let (reply, salvage) = IdReply::read(body);
            Ok((wrap(reply), salvage))
        };
        const SUBMIT_SM_RESP: u32 = CommandId::SUBMIT_SM.0 | CommandId::REPLY;
        const DELIVER_SM_RESP: u32 = CommandId::DELIVER_SM.0 | CommandId::REPLY;
        const DATA_SM_RESP: u32 = CommandId::DATA_SM.0 | CommandId::REPLY;
        match command {
            CommandId::SUBMIT_SM => {
                ShortMessage::read(body).map(|(sm, salvage)| (Self::SubmitSm(sm), salvage))
            }
            CommandId::DELIVER_SM => {
                ShortMessage::read(body).map(|(sm, salvage)| (Self::DeliverSm(sm), salvage))
            }
            CommandId::DATA_SM => DataSm::read(body).map(|(data, salvage)| (Self::DataSm(data), salvage)),
            CommandId(SUBMIT_SM_RESP) => reply(Self::SubmitSmResp),
            CommandId(DELIVER_SM_RESP) => reply(Self::DeliverSmResp),
            CommandId(DATA_SM_RESP) => reply(Self::DataSmResp),
            _ => {
                let pdu = Self::read_rare(command, status, &mut from)?;
                Ok((pdu, from.salvage))
            }
        }
    }

    fn read_rare(command: CommandId, status: u32, from: &mut Reader<'a>) -> Result<Self, BodyError> {
        let body = from.rest;
        if command == CommandId::GENERIC_NACK {
            return Ok(Self::GenericNack);
        }
        Ok(match (command.request(), command.is_reply()) {
            (CommandId::QUERY_SM, false) => Self::QuerySm(QuerySm {
                message_id: from.text("message_id", max::MESSAGE_ID)?,
                source: from.address("source_addr", max::ADDRESS)?,
            }),
            (CommandId::QUERY_SM, true) => Self::QuerySmResp(QueryReply::read(from, status)?),
            (CommandId::CANCEL_SM, false) => Self::CancelSm(CancelSm {
                service_type: from.text("service_type", max::SERVICE_TYPE)?,
                message_id: from.text("message_id", max::MESSAGE_ID)?,
                source: from.address("source_addr", max::ADDRESS)?,
                destination: from.address("destination_addr", max::ADDRESS)?,
            }),
            (CommandId::CANCEL_SM, true) => Self::CancelSmResp,
            (CommandId::REPLACE_SM, false) => Self::ReplaceSm(ReplaceSm::read(from)?),
            (CommandId::REPLACE_SM, true) => Self::ReplaceSmResp,
            (CommandId::SUBMIT_MULTI, false) => Self::SubmitMulti(body),
            (CommandId::SUBMIT_MULTI, true) => Self::SubmitMultiResp(MultiReply {
                message_id: from.last_text("message_id", max::MESSAGE_ID),
                no_unsuccess: from.u8("no_unsuccess").unwrap_or_default(),
                rest: from.rest,
            }),
            (CommandId::UNBIND, false) => Self::Unbind,
            (CommandId::UNBIND, true) => Self::UnbindResp,
            (CommandId::ENQUIRE_LINK, false) => Self::EnquireLink,
            (CommandId::ENQUIRE_LINK, true) => Self::EnquireLinkResp,
            (CommandId::OUTBIND, false) => Self::Outbind(Outbind {
                system_id: from.text("system_id", max::SYSTEM_ID)?,
                password: from.last_text("password", max::PASSWORD),
            }),
            (CommandId::ALERT_NOTIFICATION, false) => Self::AlertNotification(Alert {
                source: from.address("source_addr", max::DATA_ADDRESS)?,
                esme: from.address("esme_addr", max::DATA_ADDRESS)?,
                tlvs: from.tlvs(),
            }),
            _ => Self::Unknown(command, body),
        })
    }
}
