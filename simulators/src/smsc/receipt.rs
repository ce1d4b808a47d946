//! Delivery receipts in the spellings of many SMSCs, and the ids they name. Rendered when the submit comes, so
//! that sending one later is a copy of octets.

use channels::smpp::{
    pdu::{self, Address, CommandId, DataSm, EncodeError, Pdu, ShortMessage},
    tlv::{self, Tlv, Tlvs},
};

use super::script::{IdStyle, ReceiptForm};

/// A message's id as answered, and as receipted.
pub(super) fn ids(style: IdStyle, number: u64) -> (String, String) {
    let both = |id: String| (id.clone(), id);
    match style {
        IdStyle::Decimal => both(number.to_string()),
        IdStyle::Hex => both(format!("{number:x}")),
        IdStyle::Padded => both(format!("{number:010}")),
        IdStyle::Uuid => both(uuid(number)),
        IdStyle::HexThenDecimal => (format!("{number:x}"), number.to_string()),
        IdStyle::DecimalThenHex => (number.to_string(), format!("{number:x}")),
        IdStyle::PlainThenPadded => (number.to_string(), format!("{number:010}")),
        IdStyle::LowerThenUpper => (format!("{number:x}"), format!("{number:X}")),
        IdStyle::Empty => (String::new(), number.to_string()),
    }
}

/// A UUID that follows from the number, and looks drawn.
fn uuid(number: u64) -> String {
    let mixed = super::script::Chance(number).next();
    let (low, high) = (number & 0xffff_ffff_ffff, mixed);
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    format!("{a:08x}-{b:04x}-4{c:03x}-9{:03x}-{low:012x}", (mixed >> 20) & 0xfff)
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    Failed,
    Enroute,
}

impl Fate {
    fn word(self) -> &'static str {
        match self {
            Self::Delivered => "DELIVRD",
            Self::Failed => "UNDELIV",
            Self::Enroute => "ENROUTE",
        }
    }

    fn state(self) -> u8 {
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

/// What a receipt is made of.
pub(super) struct Receipt<'a> {
    pub(super) id: &'a str,
    pub(super) fate: Fate,
    /// The submitted message's.
    pub(super) source: Address<'a>,
    /// The submitted message's.
    pub(super) destination: Address<'a>,
    pub(super) text: &'a [u8],
    /// Seconds since 1970.
    pub(super) submitted_s: u64,
    pub(super) done_s: u64,
}

/// Appends a receipt as a whole PDU with sequence number 0.
pub(super) fn write(receipt: &Receipt<'_>, form: ReceiptForm, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let text = words(receipt, form);
    let mut id = receipt.id.as_bytes().to_vec();
    id.push(0);
    let state = [receipt.fate.state()];
    let error = if receipt.fate == Fate::Failed { [3, 0, 34] } else { [3, 0, 0] };
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
        // A vendor's TLV of 255 octets, of which one is there.
        out.extend_from_slice(&[0x14, 0x01, 0, 255, 1]);
        let length = u32::try_from(out.len()).unwrap_or(u32::MAX);
        if let Some(place) = out.first_chunk_mut::<4>() {
            *place = length.to_be_bytes();
        }
    }
    Ok(())
}

fn words(receipt: &Receipt<'_>, form: ReceiptForm) -> String {
    let (id, stat, err) = (receipt.id, receipt.fate.word(), receipt.fate.error());
    let delivered = u8::from(receipt.fate == Fate::Delivered);
    let sent: String = receipt.text.iter().take(20).map(|octet| printable(*octet)).collect();
    match form {
        ReceiptForm::Short => format!("id:{id} stat:{stat} err:{err}"),
        ReceiptForm::TlvOnly => String::new(),
        ReceiptForm::Shuffled => format!(
            "Stat:{stat} ID:{id} Err:{err} done date:{} Submit Date:{} dlvrd:{delivered:03} Text:{sent}",
            date(receipt.done_s, true),
            date(receipt.submitted_s, true),
        ),
        _ => format!(
            "id:{id} sub:001 dlvrd:{delivered:03} submit date:{} done date:{} stat:{stat} err:{err} text:{sent}",
            date(receipt.submitted_s, false),
            date(receipt.done_s, false),
        ),
    }
}

fn printable(octet: u8) -> char {
    if (b' '..0x7f).contains(&octet) { char::from(octet) } else { '.' }
}

/// `YYMMDDhhmm`, or with seconds.
fn date(seconds: u64, with_seconds: bool) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let mut text = format!("{:02}{month:02}{day:02}{hour:02}{minute:02}", year % 100);
    if with_seconds {
        text.push_str(&format!("{second:02}"));
    }
    text
}

/// The Gregorian date of a day since 1970, counted in years that begin in March and cycles of 400 years.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (cycle, day_of_cycle) = (shifted / 146_097, shifted % 146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (cycle * 400 + year_of_cycle + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(date(0, false), "7001010000");
        assert_eq!(date(951_782_399, true), "000228235959");
        assert_eq!(date(951_782_400, false), "0002290000");
        assert_eq!(date(1_767_225_599, true), "251231235959");
    }

    #[test]
    fn every_form_names_the_id_and_the_state() {
        use ReceiptForm::*;
        let address = |text| Address { ton: 1, npi: 1, text };
        for form in
            [Full, TextOnly, Short, Shuffled, TlvOnly, Payload, EsmClass0, ClippedTlv, ReceiptForm::DataSm]
        {
            let receipt = Receipt {
                id: "1048577",
                fate: Fate::Delivered,
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
        assert_eq!(ids(IdStyle::HexThenDecimal, 255), ("ff".to_owned(), "255".to_owned()));
        assert_eq!(ids(IdStyle::PlainThenPadded, 255), ("255".to_owned(), "0000000255".to_owned()));
        assert_eq!(ids(IdStyle::Uuid, 255).0.len(), 36);
        assert_ne!(ids(IdStyle::Uuid, 255), ids(IdStyle::Uuid, 256));
    }
}
