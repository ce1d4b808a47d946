//! Deliveries on SMPP links: each deliver_sm or data_sm is a receipt or a customer's message, or a
//! message in the form of a receipt, of which the parts sent to its customer decide. Pure reading;
//! the caller acknowledges a delivery when it is durable.

use channels::{
    Attribute, LinkKind,
    smpp::{
        Inbound as Delivered,
        account::Account,
        pdu::ShortMessage,
        receipt::{self, Kind, ReceiptPdu},
        tlv,
    },
    text::{
        incoming::{self, Concat, Raw},
        join,
    },
};
use message::{
    Address, Content, MessageId,
    event::{CustomerWords, PartReceived},
};

use crate::{
    context::entries::ChannelEntry,
    domain::{
        correlation::Reported,
        session::{Identity, Inbound, InboundBody},
    },
    sabotage::Sabotage,
};

/// The content of a delivery.
pub(crate) enum SmppDelivery {
    /// A receipt, with the session that it names when its source is the customer.
    Receipt {
        reported: Reported,
        address: Address,
        /// Set when it came as a message: if it leads to no part of this customer, it is one.
        words: Option<Box<CustomerWords>>,
        /// The word or number of its state, if that is not known.
        unread: Option<Box<str>>,
    },
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
    let LinkKind::Smpp(account) = entry.channel().link() else { return SmppDelivery::Nothing };
    let message = delivered.message();
    let text = message.text();
    let numbering = account.numbering();
    let customer = numbering.spelled(&message.source);
    let did = numbering.own(&numbering.spelled(&message.destination));
    let source = receipt_pdu(&message, text);
    let kind = receipt::kind(&source, &account.receipt_words);
    let receipt = (kind != Kind::Message).then(|| receipt::parse(&source, kind, &account.receipt_words));
    let as_receipt = |receipt: receipt::Receipt, words| SmppDelivery::Receipt {
        unread: receipt.unread.then(|| receipt.word.clone()),
        reported: Reported { state: receipt.state, code: receipt.code().into(), ids: receipt.ids.to_vec() },
        address: entry.address(&did, &customer),
        words,
    };
    let is_certain = kind != Kind::Perhaps || Sabotage::TextBeforeType.is_chosen();
    if let Some(receipt) = receipt.clone().filter(|_| is_certain) {
        return as_receipt(receipt, None);
    }
    let body = body_of(account, &message, text);
    if let (Some(receipt), InboundBody::Whole(content)) = (receipt, &body) {
        let words = words_of(new_id(), &customer, content);
        return as_receipt(receipt, Some(words));
    }
    let canonical = entry.channel().customer(&customer).unwrap_or_else(|_| (&*customer).into());
    let inbound = Inbound {
        id: new_id(),
        provider_id: "".into(),
        provider_time: None,
        attributes: attributes_of(&message, text),
        body,
        aliases: None,
        media: Vec::new(),
        reply_to: None,
        is_written: true,
        moved: None,
        reference: message.tlvs.number(tlv::USER_MESSAGE_REFERENCE),
    };
    let identity = entry.identity(&did, canonical, &customer);
    SmppDelivery::Message { identity: Box::new(identity), inbound: Box::new(inbound) }
}

fn receipt_pdu<'a>(message: &ShortMessage<'a>, text: &'a [u8]) -> ReceiptPdu<'a> {
    let number = |tag| message.tlvs.number(tag).and_then(|n| u8::try_from(n).ok());
    let code = message.tlvs.get(tlv::NETWORK_ERROR_CODE);
    ReceiptPdu {
        esm_class: message.esm_class,
        text,
        receipted_message_id: message.tlvs.get(tlv::RECEIPTED_MESSAGE_ID).map(|t| t.text()),
        message_state: number(tlv::MESSAGE_STATE),
        network_error_code: code.and_then(|t| <[u8; 3]>::try_from(t.value).ok()),
    }
}

fn words_of(id: MessageId, customer_shown: &str, content: &Content) -> Box<CustomerWords> {
    Box::new(CustomerWords { id, customer_shown: customer_shown.into(), content: content.clone() })
}

fn body_of(account: &Account, message: &ShortMessage<'_>, text: &[u8]) -> InboundBody {
    let raw = Raw {
        udhi: message.esm_class & 0x40 != 0,
        data_coding: message.data_coding,
        octets: text,
        sar: sar(message),
    };
    let incoming = incoming::read(&raw, &account.decoding());
    match incoming.concatenation {
        Some(Concat { reference, total, number }) => InboundBody::Part(PartReceived {
            reference,
            total,
            number,
            octets: incoming.octets.into_owned().into(),
            alphabet: incoming.alphabet,
        }),
        None => InboundBody::Whole(join::whole(incoming.alphabet, &incoming.octets).0),
    }
}

/// Returns the ports, from the header or the parameters, and the message class.
fn attributes_of(message: &ShortMessage<'_>, text: &[u8]) -> Vec<Attribute> {
    let has_header = message.esm_class & 0x40 != 0;
    let ports = has_header.then(|| incoming::read_udh(text).0.ports).flatten();
    let (to, from) = match ports {
        Some((to, from)) => (Some(u32::from(to)), Some(u32::from(from))),
        None => (message.tlvs.number(tlv::DESTINATION_PORT), message.tlvs.number(tlv::SOURCE_PORT)),
    };
    let class = incoming::message_class(message.data_coding).map(u32::from);
    let known = [("messageClass", class), ("destinationPort", to), ("sourcePort", from)];
    let attributes = known.into_iter().filter_map(|(key, value)| Some((key, value?)));
    attributes.map(|(key, value)| (key.into(), value.to_string().into())).collect()
}

fn sar(message: &ShortMessage<'_>) -> Option<Concat> {
    Some(Concat {
        reference: u16::try_from(message.tlvs.number(tlv::SAR_MSG_REF_NUM)?).ok()?,
        total: u8::try_from(message.tlvs.number(tlv::SAR_TOTAL_SEGMENTS)?).ok()?,
        number: u8::try_from(message.tlvs.number(tlv::SAR_SEGMENT_SEQNUM)?).ok()?,
    })
}
