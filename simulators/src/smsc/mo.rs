//! Messages from customers: a text cut into deliver_sm PDUs, marked in any of the ways SMSCs know.

use channels::smpp::{
    pdu::{self, Address, CommandId, EncodeError, ShortMessage},
    tlv::{self, Tlv, Tlvs},
};
use serde::{Deserialize, Serialize};

use super::text;

/// The most parts of a message from a customer.
pub const MO_PARTS_MAX: usize = 255;

/// How the parts of a long message are marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoConcat {
    /// A user data header with an 8-bit reference.
    #[default]
    Udh8,
    /// A user data header with a 16-bit reference.
    Udh16,
    /// `sar_*` TLVs.
    Sar,
    /// One `message_payload`.
    Payload,
}

/// In which order the parts come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoOrder {
    /// As they are.
    #[default]
    Straight,
    /// The last one first.
    Reversed,
    /// By these indices, from 0; a repeated one comes twice, an absent one never.
    These(Vec<u8>),
}

/// A message from a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mo {
    /// Whose bind it goes to; empty: the first system_id that receives.
    pub system_id: String,
    /// The customer.
    pub from: String,
    /// The business's number.
    pub to: String,
    /// What the customer wrote: as GSM 03.38 if that holds it, else as UCS-2.
    pub text: String,
    /// How parts are marked, if there are several.
    pub concat: MoConcat,
    /// In which order they come.
    pub order: MoOrder,
}

/// A message that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoError {
    /// Too long a text.
    #[error("the text needs {0} parts, at most {MO_PARTS_MAX} can be numbered; shorten it")]
    TooLong(usize),
    /// A field does not fit into a PDU.
    #[error("the message does not fit into a PDU: {0}")]
    Encode(#[from] EncodeError),
}

/// The PDUs of a message, with sequence number 0, in the order in which they are to be sent.
pub(super) fn pdus(mo: &Mo, reference: u16) -> Result<Vec<Vec<u8>>, MoError> {
    let (data_coding, whole) = text::encode_parts(&mo.text, 160, 140);
    if whole.len() <= 1 || mo.concat == MoConcat::Payload {
        let octets: Vec<u8> = whole.concat();
        let in_payload = mo.concat == MoConcat::Payload;
        let list = [Tlv { tag: tlv::MESSAGE_PAYLOAD, value: &octets }];
        let message = ShortMessage {
            short_message: if in_payload { &[] } else { &octets },
            tlvs: if in_payload { Tlvs::list(&list) } else { Tlvs::default() },
            ..frame(mo, data_coding)
        };
        return Ok(vec![one(&message)?]);
    }
    let (gsm, ucs2) = match mo.concat {
        MoConcat::Udh16 => (152, 132),
        _ => (153, 134),
    };
    let (_, parts) = text::encode_parts(&mo.text, gsm, ucs2);
    if parts.len() > MO_PARTS_MAX {
        return Err(MoError::TooLong(parts.len()));
    }
    let total = u8::try_from(parts.len()).unwrap_or(u8::MAX);
    let mut pdus = Vec::new();
    for (number, part) in (1..=total).zip(&parts) {
        pdus.push(marked(mo, data_coding, part, (reference, total, number))?);
    }
    Ok(match &mo.order {
        MoOrder::Straight => pdus,
        MoOrder::Reversed => pdus.into_iter().rev().collect(),
        MoOrder::These(order) => {
            order.iter().filter_map(|index| pdus.get(usize::from(*index)).cloned()).collect()
        }
    })
}

fn frame<'a>(mo: &'a Mo, data_coding: u8) -> ShortMessage<'a> {
    ShortMessage {
        source: Address { ton: 1, npi: 1, text: mo.from.trim_start_matches('+').as_bytes() },
        destination: Address { ton: 0, npi: 1, text: mo.to.trim_start_matches('+').as_bytes() },
        data_coding,
        ..ShortMessage::default()
    }
}

fn marked(mo: &Mo, data_coding: u8, part: &[u8], mark: (u16, u8, u8)) -> Result<Vec<u8>, MoError> {
    let (reference, total, number) = mark;
    let [high, low] = reference.to_be_bytes();
    let message = frame(mo, data_coding);
    let header: &[u8] = match mo.concat {
        MoConcat::Udh16 => &[6, 8, 4, high, low, total, number],
        MoConcat::Sar => &[],
        _ => &[5, 0, 3, low, total, number],
    };
    let octets = [header, part].concat();
    let list = [
        Tlv { tag: tlv::SAR_MSG_REF_NUM, value: &[high, low] },
        Tlv { tag: tlv::SAR_TOTAL_SEGMENTS, value: &[total] },
        Tlv { tag: tlv::SAR_SEGMENT_SEQNUM, value: &[number] },
    ];
    let tlvs = if mo.concat == MoConcat::Sar { Tlvs::list(&list) } else { Tlvs::default() };
    let esm_class = if header.is_empty() { 0 } else { 0x40 };
    one(&ShortMessage { esm_class, short_message: &octets, tlvs, ..message })
}

fn one(message: &ShortMessage<'_>) -> Result<Vec<u8>, MoError> {
    let mut pdu = Vec::new();
    pdu::write_submit(CommandId::DELIVER_SM, message, 0, &mut pdu)?;
    Ok(pdu)
}
