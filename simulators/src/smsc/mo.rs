//! Customers' messages (mobile originated): a text split into deliver_sm PDUs, with any of the
//! marks that SMSCs use.

use channels::smpp::{
    pdu::{self, Address, CommandId, EncodeError, ShortMessage},
    tlv::{self, Tlv, Tlvs},
};
use serde::{Deserialize, Serialize};

use super::text::{self, Concat, EncodedParts};

/// Maximum number of parts of a message: the largest that a mark can count.
pub const MO_PARTS_MAX: usize = 255;

/// Identifies a customer's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MoId(pub u64);

/// The progress of a customer's message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoState {
    /// Number of PDUs.
    pub parts: u32,
    /// Number of acknowledged PDUs.
    pub acked: u32,
    /// Number of PDUs that were refused for good, or given up.
    pub refused: u32,
    /// Number of sent PDUs, including repeats.
    pub sent: u32,
}

/// The marks on the parts of a long message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoConcat {
    /// A user data header with an 8-bit reference.
    #[default]
    Udh8,
    /// A user data header with a 16-bit reference.
    Udh16,
    /// The `sar_*` TLVs.
    Sar,
    /// A single `message_payload` without parts.
    Payload,
}

/// The order in which parts are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoOrder {
    /// Their own order.
    #[default]
    Straight,
    /// The reverse order.
    Reversed,
    /// These indices, from 0; a repeated part is sent twice, an absent one never.
    These(Vec<u8>),
}

/// A message from a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mo {
    /// The recipient's system_id; empty: the first that receives.
    pub system_id: String,
    /// The customer.
    pub from: String,
    /// The business's number.
    pub to: String,
    /// The text, sent as GSM 03.38 if possible, else as UCS-2.
    pub text: String,
    /// The marks on its parts, if there are several.
    pub concat: MoConcat,
    /// The order of its parts.
    pub order: MoOrder,
}

/// Why a message cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoError {
    /// The text needs too many parts.
    #[error("the text needs {0} parts and at most {MO_PARTS_MAX} can be numbered; shorten it")]
    TooLong(usize),
    /// A field does not fit into a PDU.
    #[error("the message does not fit into a PDU: {0}")]
    Encode(#[from] EncodeError),
}

/// Returns the PDUs of a message in the order of sending, with sequence number 0.
pub(super) fn pdus(mo: &Mo, reference: u16) -> Result<Vec<Vec<u8>>, MoError> {
    let EncodedParts { data_coding, parts: whole } = text::encode_parts(&mo.text, 160, 140);
    if whole.len() <= 1 || mo.concat == MoConcat::Payload {
        let octets: Vec<u8> = whole.concat();
        let in_payload = mo.concat == MoConcat::Payload;
        let list = [Tlv { tag: tlv::MESSAGE_PAYLOAD, value: &octets }];
        let message = ShortMessage {
            short_message: if in_payload { &[] } else { &octets },
            tlvs: if in_payload { Tlvs::list(&list) } else { Tlvs::default() },
            ..base(mo, data_coding)
        };
        return Ok(vec![encoded(&message)?]);
    }
    let (gsm, ucs2) = match mo.concat {
        MoConcat::Udh16 => (152, 132),
        _ => (153, 134),
    };
    let parts = text::encode_parts(&mo.text, gsm, ucs2).parts;
    if parts.len() > MO_PARTS_MAX {
        return Err(MoError::TooLong(parts.len()));
    }
    let total = u8::try_from(parts.len()).unwrap_or(u8::MAX);
    let mut pdus = Vec::new();
    for (number, part) in (1..=total).zip(&parts) {
        pdus.push(marked(mo, data_coding, part, Concat { reference, total, number })?);
    }
    Ok(match &mo.order {
        MoOrder::Straight => pdus,
        MoOrder::Reversed => pdus.into_iter().rev().collect(),
        MoOrder::These(order) => {
            order.iter().filter_map(|index| pdus.get(usize::from(*index)).cloned()).collect()
        }
    })
}

fn base<'a>(mo: &'a Mo, data_coding: u8) -> ShortMessage<'a> {
    ShortMessage {
        source: Address { ton: 1, npi: 1, text: mo.from.trim_start_matches('+').as_bytes() },
        destination: Address { ton: 0, npi: 1, text: mo.to.trim_start_matches('+').as_bytes() },
        data_coding,
        ..ShortMessage::default()
    }
}

fn marked(mo: &Mo, data_coding: u8, part: &[u8], mark: Concat) -> Result<Vec<u8>, MoError> {
    let Concat { reference, total, number } = mark;
    let [high, low] = reference.to_be_bytes();
    let message = base(mo, data_coding);
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
    encoded(&ShortMessage { esm_class, short_message: &octets, tlvs, ..message })
}

fn encoded(message: &ShortMessage<'_>) -> Result<Vec<u8>, MoError> {
    let mut pdu = Vec::new();
    pdu::write_submit(CommandId::DELIVER_SM, message, 0, &mut pdu)?;
    Ok(pdu)
}
