//! Deliveries on SMPP links: each deliver_sm or data_sm is a receipt or a customer's message. Pure
//! reading; the caller acknowledges a delivery when it is durable.

use channels::{
    LinkKind,
    smpp::{
        Inbound as Delivered,
        pdu::ShortMessage,
        receipt::{self, ReceiptPdu},
        tlv,
    },
    text::{
        incoming::{self, Concat, Raw},
        join,
    },
};
use message::{MessageId, event::PartReceived};

use crate::{
    context::directory::ChannelEntry,
    domain::{
        correlation::Reported,
        session::{Identity, Inbound, InboundBody},
    },
};

/// Type of number 1 (international) in an SMPP address.
const TON_INTERNATIONAL: u8 = 1;

/// The content of a delivery.
pub(crate) enum SmppDelivery {
    /// A receipt, with the addresses that it names.
    Receipt { reported: Reported, did: String, customer: String },
    /// A customer's message, or a part of one.
    Message { identity: Box<Identity>, inbound: Box<Inbound> },
    /// Nothing that an SMPP channel can use.
    Nothing,
}

/// Reads a delivery. A customer's message gets the id `new_id`.
pub(crate) fn read(
    entry: &ChannelEntry,
    delivered: &Delivered,
    new_id: impl FnOnce() -> MessageId,
) -> SmppDelivery {
    let message = delivered.message();
    let text = message.text();
    let source = ReceiptPdu {
        esm_class: message.esm_class,
        text,
        receipted_message_id: message.tlvs.get(tlv::RECEIPTED_MESSAGE_ID).map(|t| t.text()),
        message_state: message.tlvs.number(tlv::MESSAGE_STATE).and_then(|n| u8::try_from(n).ok()),
        network_error_code: message
            .tlvs
            .get(tlv::NETWORK_ERROR_CODE)
            .and_then(|t| <[u8; 3]>::try_from(t.value).ok()),
    };
    let customer = String::from_utf8_lossy(message.source.text);
    let did = String::from_utf8_lossy(message.destination.text);
    if receipt::is_receipt(&source) {
        let receipt = receipt::parse(&source);
        let reported =
            Reported { state: receipt.state, code: receipt.code().into(), ids: receipt.ids.to_vec() };
        return SmppDelivery::Receipt { reported, did: did.into(), customer: customer.into() };
    }
    let Some(body) = body_of(entry, &message, text) else { return SmppDelivery::Nothing };
    let international = message.source.ton == TON_INTERNATIONAL && !customer.starts_with('+');
    let shown = if international { format!("+{customer}") } else { customer.to_string() };
    let canonical = entry.channel().customer(&customer).unwrap_or_else(|_| (&*customer).into());
    let inbound = Inbound {
        id: new_id(),
        provider_id: "".into(),
        provider_time: None,
        attributes: Vec::new(),
        body,
        aliases: None,
        media: Vec::new(),
        reply_to: None,
    };
    let identity = entry.identity(&did, canonical, &shown);
    SmppDelivery::Message { identity: Box::new(identity), inbound: Box::new(inbound) }
}

fn body_of(entry: &ChannelEntry, message: &ShortMessage<'_>, text: &[u8]) -> Option<InboundBody> {
    let LinkKind::Smpp(account) = entry.channel().link() else { return None };
    let raw = Raw {
        udhi: message.esm_class & 0x40 != 0,
        data_coding: message.data_coding,
        octets: text,
        sar: sar(message),
    };
    let incoming = incoming::read(&raw, &account.decoding());
    Some(match incoming.concatenation {
        Some(Concat { reference, total, number }) => InboundBody::Part(PartReceived {
            reference,
            total,
            number,
            octets: incoming.octets.into_owned().into(),
            alphabet: incoming.alphabet,
        }),
        None => InboundBody::Whole(join::whole(incoming.alphabet, &incoming.octets).0),
    })
}

fn sar(message: &ShortMessage<'_>) -> Option<Concat> {
    Some(Concat {
        reference: u16::try_from(message.tlvs.number(tlv::SAR_MSG_REF_NUM)?).ok()?,
        total: u8::try_from(message.tlvs.number(tlv::SAR_TOTAL_SEGMENTS)?).ok()?,
        number: u8::try_from(message.tlvs.number(tlv::SAR_SEGMENT_SEQNUM)?).ok()?,
    })
}
