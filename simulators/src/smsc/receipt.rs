//! Delivery receipts in the forms of many SMSCs, and the message ids in them. Encoded when the
//! submit arrives, so that sending one later only copies octets.

use channels::smpp::{
    pdu::{self, Address, CommandId, DataSm, EncodeError, Pdu, ShortMessage},
    tlv::{self, Tlv, Tlvs},
};

use super::script::{IdStyle, ReceiptForm};
use crate::toolkit::{chance::Chance, time};

/// A message's id in both of its places.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MessageIds {
    pub(super) in_answer: String,
    pub(super) in_receipt: String,
}

/// Spells the id of a message.
pub(super) fn ids(style: IdStyle, number: u64) -> MessageIds {
    let both = |id: String| (id.clone(), id);
    let (in_answer, in_receipt) = match style {
        IdStyle::Decimal => both(number.to_string()),
        IdStyle::Hex => both(format!("{number:x}")),
        IdStyle::Padded => both(format!("{number:010}")),
        IdStyle::Uuid => both(uuid(number)),
        IdStyle::HexThenDecimal => (format!("{number:x}"), number.to_string()),
        IdStyle::DecimalThenHex => (number.to_string(), format!("{number:x}")),
        IdStyle::PlainThenPadded => (number.to_string(), format!("{number:010}")),
        IdStyle::LowerThenUpper => (format!("{number:x}"), format!("{number:X}")),
        IdStyle::Empty => (String::new(), number.to_string()),
    };
    MessageIds { in_answer, in_receipt }
}

/// Derives a UUID from the number that looks random.
fn uuid(number: u64) -> String {
    let mixed = Chance(number).next();
    let (low, high) = (number & 0xffff_ffff_ffff, mixed);
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    format!("{a:08x}-{b:04x}-4{c:03x}-9{:03x}-{low:012x}", (mixed >> 20) & 0xfff)
}

/// The state of a message that a receipt reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReportedState {
    Delivered,
    Failed,
    Enroute,
}

impl ReportedState {
    fn word(self) -> &'static str {
        match self {
            Self::Delivered => "DELIVRD",
            Self::Failed => "UNDELIV",
            Self::Enroute => "ENROUTE",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Enroute => 1,
            Self::Delivered => 2,
            Self::Failed => 5,
        }
    }

    fn error(self) -> &'static str {
        if self == Self::Failed { "034" } else { "000" }
    }
}

/// The fields of a receipt.
pub(super) struct Receipt<'a> {
    pub(super) id: &'a str,
    pub(super) state: ReportedState,
    /// The source of the submit.
    pub(super) source: Address<'a>,
    /// The destination of the submit.
    pub(super) destination: Address<'a>,
    pub(super) text: &'a [u8],
    /// Seconds since 1970.
    pub(super) submitted_s: u64,
    /// Seconds since 1970.
    pub(super) done_s: u64,
}

/// Appends a receipt as a PDU with sequence number 0.
pub(super) fn write(receipt: &Receipt<'_>, form: ReceiptForm, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let text = text_of(receipt, form);
    let mut id = receipt.id.as_bytes().to_vec();
    id.push(0);
    let state = [receipt.state.code()];
    let error = if receipt.state == ReportedState::Failed { [3, 0, 34] } else { [3, 0, 0] };
    let list = [
        Tlv { tag: tlv::RECEIPTED_MESSAGE_ID, value: &id },
        Tlv { tag: tlv::MESSAGE_STATE, value: &state },
        Tlv { tag: tlv::NETWORK_ERROR_CODE, value: &error },
        Tlv { tag: tlv::MESSAGE_PAYLOAD, value: text.as_bytes() },
    ];
    let tlvs: &[Tlv<'_>] = match form {
        ReceiptForm::Full | ReceiptForm::TlvOnly => list.split_at(3).0,
        ReceiptForm::Payload => list.split_at(3).1,
        ReceiptForm::DataSm => &list,
        _ => &[],
    };
    let (source, destination) = (receipt.destination, receipt.source);
    if form == ReceiptForm::DataSm {
        let data = DataSm { source, destination, esm_class: 4, tlvs: Tlvs::list(tlvs), ..DataSm::default() };
        return pdu::write(&Pdu::DataSm(data), 0, 0, out);
    }
    let in_text = !matches!(form, ReceiptForm::TlvOnly | ReceiptForm::Payload);
    let message = ShortMessage {
        source,
        destination,
        esm_class: if form == ReceiptForm::EsmClass0 { 0 } else { 4 },
        short_message: if in_text { text.as_bytes() } else { &[] },
        tlvs: Tlvs::list(tlvs),
        ..ShortMessage::default()
    };
    pdu::write_submit(CommandId::DELIVER_SM, &message, 0, out)?;
    if form == ReceiptForm::ClippedTlv {
        // A vendor's TLV of 255 octets, of which one is present.
        out.extend_from_slice(&[0x14, 0x01, 0, 255, 1]);
        let length = u32::try_from(out.len()).unwrap_or(u32::MAX);
        if let Some(place) = out.first_chunk_mut::<4>() {
            *place = length.to_be_bytes();
        }
    }
    Ok(())
}

fn text_of(receipt: &Receipt<'_>, form: ReceiptForm) -> String {
    let (id, stat, err) = (receipt.id, receipt.state.word(), receipt.state.error());
    let delivered = u8::from(receipt.state == ReportedState::Delivered);
    let sent: String = receipt.text.iter().take(20).map(|octet| printable(*octet)).collect();
    match form {
        ReceiptForm::Short => format!("id:{id} stat:{stat} err:{err}"),
        ReceiptForm::TlvOnly => String::new(),
        ReceiptForm::Shuffled => format!(
            "Stat:{stat} ID:{id} Err:{err} done date:{} Submit Date:{} dlvrd:{delivered:03} Text:{sent}",
            time::short_with_seconds(receipt.done_s * 1_000),
            time::short_with_seconds(receipt.submitted_s * 1_000),
        ),
        _ => format!(
            "id:{id} sub:001 dlvrd:{delivered:03} submit date:{} done date:{} stat:{stat} err:{err} text:{sent}",
            time::short(receipt.submitted_s * 1_000),
            time::short(receipt.done_s * 1_000),
        ),
    }
}

fn printable(octet: u8) -> char {
    if (b' '..0x7f).contains(&octet) { char::from(octet) } else { '.' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_names_the_id_and_the_state() {
        use ReceiptForm::*;
        let address = |text| Address { ton: 1, npi: 1, text };
        for form in
            [Full, TextOnly, Short, Shuffled, TlvOnly, Payload, EsmClass0, ClippedTlv, ReceiptForm::DataSm]
        {
            let receipt = Receipt {
                id: "1048577",
                state: ReportedState::Delivered,
                source: address(b"5155"),
                destination: address(b"49170"),
                text: b"Hello",
                submitted_s: 0,
                done_s: 1,
            };
            let mut out = Vec::new();
            write(&receipt, form, &mut out).unwrap();
            assert_eq!(out.first_chunk::<4>().map(|l| u32::from_be_bytes(*l) as usize), Some(out.len()));
            let header = pdu::PduHeader::read(&out).unwrap();
            let (pdu, salvage) = Pdu::read(header.command, 0, out.get(16..).unwrap()).unwrap();
            let message = match pdu {
                Pdu::DeliverSm(message) => message,
                Pdu::DataSm(data) => data.into(),
                other => panic!("{other:?}"),
            };
            assert_eq!(salvage.tlv_clipped, form == ClippedTlv);
            let by_tlv =
                message.tlvs.get(tlv::RECEIPTED_MESSAGE_ID).is_some_and(|id| id.text() == b"1048577");
            let text = String::from_utf8_lossy(message.text()).to_lowercase();
            assert!(by_tlv || text.contains("id:1048577"), "{form:?}");
            assert!(message.tlvs.number(tlv::MESSAGE_STATE) == Some(2) || text.contains("stat:delivrd"));
        }
    }

    #[test]
    fn id_styles_differ_where_they_say() {
        let spelled = |style| {
            let MessageIds { in_answer, in_receipt } = ids(style, 255);
            format!("{in_answer} {in_receipt}")
        };
        assert_eq!(spelled(IdStyle::HexThenDecimal), "ff 255");
        assert_eq!(spelled(IdStyle::PlainThenPadded), "255 0000000255");
        assert_eq!(ids(IdStyle::Uuid, 255).in_answer.len(), 36);
        assert_ne!(ids(IdStyle::Uuid, 255), ids(IdStyle::Uuid, 256));
    }
}
