//! Turns a part of a message into a submit_sm: addresses with their type of number, text with its
//! header, validity. Never decides whether a part is sent.

use message::{
    Content,
    event::{Alphabet, Concatenation, Split},
};

use super::{
    pdu::{Address, ShortMessage},
    tlv::{self, Tlv, Tlvs},
};
use crate::{
    smpp::account::{Account, DefaultAlphabet},
    text::parts,
};

/// A part in wire form, which owns the values that a [`ShortMessage`] borrows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitPart {
    octets: Vec<u8>,
    has_header: bool,
    data_coding: u8,
    payload: bool,
    /// Reference, total and number for the `sar_*` parameters.
    sar: Option<[[u8; 2]; 3]>,
    validity: String,
}

/// Returns part `index` (from 0) of a stored content; `None` beyond the last part.
///
/// `validity_ms` is the remaining validity, sent to the SMSC as a relative time.
pub fn part(
    account: &Account,
    content: &Content,
    split: Split,
    index: u16,
    validity_ms: Option<u64>,
) -> Option<SubmitPart> {
    let part = match content {
        Content::Text(text) => parts::part(text, split, index)?,
        Content::Binary(octets) => parts::octet_parts(octets, split).nth(usize::from(index))?,
        Content::Rich { .. } | Content::Parts(_) => return None,
    };
    let has_header = part.udh.is_some();
    let octets = match part.udh {
        Some(header) => {
            let mut octets = header.to_vec();
            octets.extend_from_slice(&part.octets);
            octets
        }
        None => part.octets,
    };
    let sar = (split.concatenation == Concatenation::Sar && part.total > 1)
        .then(|| [split.reference.to_be_bytes(), [0, part.total as u8], [0, part.number as u8]]);
    Some(SubmitPart {
        payload: split.concatenation == Concatenation::Payload || octets.len() > SHORT_MESSAGE_MAX,
        octets,
        has_header,
        data_coding: data_coding(account, split.alphabet),
        sar,
        validity: validity_ms.map(relative_time).unwrap_or_default(),
    })
}

const SHORT_MESSAGE_MAX: usize = 254;

impl SubmitPart {
    /// Passes the finished submit_sm to `send`.
    pub fn with_submit<R>(
        &self,
        account: &Account,
        source: &str,
        destination: &str,
        priority_flag: u8,
        send: impl FnOnce(&ShortMessage<'_>) -> R,
    ) -> R {
        let mut list: [Tlv<'_>; 4] = [Tlv { tag: 0, value: &[] }; 4];
        let mut count = 0;
        let mut add = |tag, value| {
            if let Some(slot) = list.get_mut(count) {
                *slot = Tlv { tag, value };
                count += 1;
            }
        };
        if let Some([reference, total, number]) = &self.sar {
            add(tlv::SAR_MSG_REF_NUM, &reference[..]);
            add(tlv::SAR_TOTAL_SEGMENTS, total.get(1..).unwrap_or_default());
            add(tlv::SAR_SEGMENT_SEQNUM, number.get(1..).unwrap_or_default());
        }
        if self.payload {
            add(tlv::MESSAGE_PAYLOAD, &self.octets[..]);
        }
        let from = source_address(account, source);
        let to = destination_address(account, destination);
        send(&ShortMessage {
            service_type: account.service_type.as_bytes(),
            source: from,
            destination: to,
            esm_class: if self.has_header { 0x40 } else { 0 },
            priority_flag,
            validity_period: self.validity.as_bytes(),
            registered_delivery: account.registered_delivery,
            data_coding: self.data_coding,
            short_message: if self.payload { &[] } else { &self.octets },
            tlvs: Tlvs::list(list.get(..count).unwrap_or_default()),
            ..ShortMessage::default()
        })
    }
}

fn data_coding(account: &Account, alphabet: Alphabet) -> u8 {
    match alphabet {
        Alphabet::Ucs2 => 8,
        Alphabet::Binary => 4,
        Alphabet::Latin1 if account.default_alphabet != DefaultAlphabet::Latin1 => 3,
        _ => 0,
    }
}

/// Returns our own address: a name when it contains anything but digits, a short code when it is
/// short.
fn source_address<'a>(account: &Account, text: &'a str) -> Address<'a> {
    let bare = text.strip_prefix('+').unwrap_or(text);
    let (ton, npi) = if !bare.bytes().all(|b| b.is_ascii_digit()) {
        (5, 0)
    } else if bare.len() <= SHORT_CODE_DIGITS_MAX {
        (3, 0)
    } else {
        (1, 1)
    };
    Address {
        ton: account.source_ton.unwrap_or(ton),
        npi: account.source_npi.unwrap_or(npi),
        text: bare.as_bytes(),
    }
}

/// Maximum length of a short code, in digits; a longer number is international.
const SHORT_CODE_DIGITS_MAX: usize = 8;

fn destination_address<'a>(account: &Account, text: &'a str) -> Address<'a> {
    let (ton, npi) = if text.len() <= SHORT_CODE_DIGITS_MAX { (0, 1) } else { (1, 1) };
    Address {
        ton: account.dest_ton.unwrap_or(ton),
        npi: account.dest_npi.unwrap_or(npi),
        text: text.as_bytes(),
    }
}

/// Returns SMPP's relative time, `YYMMDDhhmmss000R`, of at least a second and at most 63 days.
fn relative_time(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000).clamp(1, 63 * 24 * 3600);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Months have no fixed length and servers differ: days go up to 63, months stay 0.
    format!("0000{days:02}{:02}{:02}{:02}000R", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::split;

    fn account(text: &str) -> Account {
        let base = "host = \"h\"\nsystem_id = \"s\"\npassword = \"p\"\n";
        toml::from_str(&format!("{base}{text}")).unwrap()
    }

    #[test]
    fn the_parts_of_a_long_text_carry_their_headers() {
        let text = "x".repeat(200);
        for (setting, esm_class, tlvs) in
            [("udh8", 0x40, 0), ("udh16", 0x40, 0), ("sar", 0, 3), ("payload", 0, 1)]
        {
            let account = account(&format!("concatenation = \"{setting}\""));
            let prepared = split::prepare(&text, &account.policy(), 7).unwrap();
            let content = Content::Text(prepared.text.into());
            let first = part(&account, &content, prepared.split, 0, Some(90_000)).unwrap();
            first.with_submit(&account, "5155", "4917600000001", 0, |submit| {
                assert_eq!(submit.esm_class, esm_class, "{setting}");
                assert_eq!(submit.tlvs.iter().count(), tlvs, "{setting}");
                assert_eq!(submit.validity_period, b"000000000130000R");
                assert_eq!((submit.source.ton, submit.source.npi), (3, 0));
                assert_eq!((submit.destination.ton, submit.destination.npi), (1, 1));
                assert_eq!(submit.short_message.is_empty(), setting == "payload");
            });
            assert!(part(&account, &content, prepared.split, prepared.split.parts, None).is_none());
        }
    }
}
