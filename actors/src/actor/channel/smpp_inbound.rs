//! The way in: a delivery is a receipt or a customer's message. It is acknowledged when it is safe, never before.

use channels::{
    LinkKind,
    smpp::{
        Inbound as Delivered, ReplyToken,
        pdu::ShortMessage,
        receipt::{self, ReceiptPdu},
        tlv,
    },
    text::{
        incoming::{self, Concat, Raw},
        join,
    },
};
use message::{Address, event::PartReceived};

use crate::{
    actor::channel::state::ChannelState,
    domain::{
        correlation::Reported,
        session::{Inbound, InboundBody},
    },
    protocol::{
        host::{Op, Task},
        part::{Ack, InboundAck},
    },
};

impl ChannelState {
    /// A deliver_sm or data_sm came on a link.
    pub(super) fn delivered(
        &mut self,
        link: u16,
        token: ReplyToken,
        delivered: &Delivered,
        tasks: &mut Vec<Vec<Task>>,
    ) {
        let message = delivered.message();
        let ack = InboundAck { channel: self.ix, link, token };
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
            return self.receipt(reported, (&did, &customer), Ack::Link(ack), tasks);
        }
        self.received(&message, text, &did, &customer, ack, tasks);
    }

    pub(super) fn address(&self, did: &str, customer: &str) -> Option<Address> {
        let entry = self.entry()?;
        let channel = entry.channel();
        Some(Address {
            channel: entry.config.id.clone(),
            did: channel.did(did),
            // A sender that is no number (a name) is a customer all the same.
            customer: channel.customer(customer).unwrap_or_else(|_| customer.into()),
        })
    }

    fn received(
        &mut self,
        message: &ShortMessage<'_>,
        text: &[u8],
        did: &str,
        customer: &str,
        ack: InboundAck,
        tasks: &mut Vec<Vec<Task>>,
    ) {
        self.counts.received += 1;
        self.metrics.received.increment(1);
        let shared = self.shared.clone();
        let Some(entry) = shared.channels.get(self.ix) else { return };
        let LinkKind::Smpp(account) = entry.channel().link() else { return };
        let raw = Raw {
            udhi: message.esm_class & 0x40 != 0,
            data_coding: message.data_coding,
            octets: text,
            sar: sar(message),
        };
        let incoming = incoming::read(&raw, &account.decoding());
        let body = match incoming.concatenation {
            Some(Concat { reference, total, number }) => InboundBody::Part(PartReceived {
                reference,
                total,
                number,
                octets: incoming.octets.into_owned().into(),
                alphabet: incoming.alphabet,
            }),
            None => InboundBody::Whole(join::whole(incoming.alphabet, &incoming.octets).0),
        };
        let international = message.source.ton == TON_INTERNATIONAL && !customer.starts_with('+');
        let shown = if international { format!("+{customer}") } else { customer.to_owned() };
        let canonical = entry.channel().customer(customer).unwrap_or_else(|_| customer.into());
        let identity = shared.identity(entry, did, canonical, &shown);
        let inbound = Inbound {
            id: shared.seams.ids.message_id(),
            provider_id: "".into(),
            provider_time: None,
            attributes: Vec::new(),
            body,
            aliases: None,
            media: Vec::new(),
            reply_to: None,
        };
        let stream = identity.address.stream();
        let op = Op::Receive {
            identity: Box::new(identity),
            inbound: Box::new(inbound),
            key: None,
            ack: Some(Ack::Link(ack)),
        };
        self.to_host(stream, op, tasks);
    }
}

const TON_INTERNATIONAL: u8 = 1;

fn sar(message: &ShortMessage<'_>) -> Option<Concat> {
    Some(Concat {
        reference: u16::try_from(message.tlvs.number(tlv::SAR_MSG_REF_NUM)?).ok()?,
        total: u8::try_from(message.tlvs.number(tlv::SAR_TOTAL_SEGMENTS)?).ok()?,
        number: u8::try_from(message.tlvs.number(tlv::SAR_SEGMENT_SEQNUM)?).ok()?,
    })
}
