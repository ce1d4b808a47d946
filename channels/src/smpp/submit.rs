//! Turns a part of a message into a submit_sm: addresses with their type of number, text with its
//! header, validity. Never decides whether a part is sent.

use jiff::tz::TimeZone;
use message::{
    Content, Timestamp,
    event::{Alphabet, Concatenation, SmsHandling, SmsPorts, Split},
};

use super::{
    account::Account,
    numbering::{self, ADDRESS_OCTETS_MAX, INTERNATIONAL_DIGITS_MAX, TypedNumber},
    pdu::ShortMessage,
    settings::{DefaultAlphabet, RELATIVE_DAYS_MAX, ValidityForm},
    tlv::{self, Tlv, Tlvs},
};
use crate::text::{gsm7, parts};

/// The end of a message's validity, and the current time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Latest instant to deliver it.
    pub at: Timestamp,
    /// The current time.
    pub now: Timestamp,
}

/// A part in wire form, which owns the values that a [`ShortMessage`] borrows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitPart {
    octets: Vec<u8>,
    has_header: bool,
    data_coding: u8,
    payload: bool,
    /// Reference, total and number for the `sar_*` parameters.
    sar: Option<[[u8; 2]; 3]>,
    /// Destination and source for the port parameters.
    ports: Option<[[u8; 2]; 2]>,
    /// The value of `dest_addr_subunit`, which stands for a class that data_coding cannot say.
    subunit: Option<u8>,
    validity: String,
}

/// Returns part `index` (from 0) of a stored content; `None` beyond the last part.
///
/// The SMSC is told the expiry in the account's form.
pub fn part(
    account: &Account,
    content: &Content,
    split: Split,
    index: u16,
    expiry: Option<Expiry>,
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
        data_coding: data_coding(account, split),
        sar,
        ports: parameter_ports(split.handling),
        subunit: subunit(account, split),
        validity: expiry.map(|expiry| validity(account, expiry)).unwrap_or_default(),
    })
}

fn parameter_ports(handling: SmsHandling) -> Option<[[u8; 2]; 2]> {
    let SmsPorts { destination, source, .. } = handling.ports.filter(|ports| !ports.in_header)?;
    Some([destination.to_be_bytes(), source.to_be_bytes()])
}

const SHORT_MESSAGE_MAX: usize = 254;

impl SubmitPart {
    /// Passes the finished submit_sm to `send`. The addresses may be in any spelling.
    pub fn with_submit<R>(
        &self,
        account: &Account,
        source: &str,
        destination: &str,
        priority_flag: u8,
        send: impl FnOnce(&ShortMessage<'_>) -> R,
    ) -> R {
        let mut list: [Tlv<'_>; 7] = [Tlv { tag: 0, value: &[] }; 7];
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
        if let Some([destination, source]) = &self.ports {
            add(tlv::SOURCE_PORT, &source[..]);
            add(tlv::DESTINATION_PORT, &destination[..]);
        }
        if let Some(subunit) = &self.subunit {
            add(tlv::DEST_ADDR_SUBUNIT, std::slice::from_ref(subunit));
        }
        if self.payload {
            add(tlv::MESSAGE_PAYLOAD, &self.octets[..]);
        }
        let from = source_address(account, source);
        let to = destination_address(account, destination);
        send(&ShortMessage {
            service_type: account.service_type.as_bytes(),
            source: from.address(),
            destination: to.address(),
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

/// Returns the data_coding of a split. A class uses the group that SMPP 3.4 (5.2.19) names for it;
/// UCS-2 has none there, and uses the general group of TS 23.038, 4.
fn data_coding(account: &Account, split: Split) -> u8 {
    match (split.alphabet, split.handling.class) {
        (Alphabet::Ucs2, Some(class)) => 0x18 | class & 0x03,
        (Alphabet::Ucs2, None) => 8,
        (Alphabet::Binary, Some(class)) => 0xF4 | class & 0x03,
        (Alphabet::Binary, None) => 4,
        (Alphabet::Latin1, _) if account.outbound_alphabet() == DefaultAlphabet::Gsm7 => 3,
        (Alphabet::Latin1, _) => 0,
        (_, Some(class)) => 0xF0 | class & 0x03,
        (_, None) => 0,
    }
}

/// Returns the part of the telephone that a class means (SMPP 3.4, 5.3.2.1), for Latin-1 only: no
/// data_coding says a class with it.
fn subunit(account: &Account, split: Split) -> Option<u8> {
    let class = split.handling.class.filter(|_| split.alphabet == Alphabet::Latin1)?;
    // 1 the display, 2 the telephone, 3 the SIM, 4 a device beside it.
    (account.outbound_alphabet() != DefaultAlphabet::Gsm7).then_some((class & 0x03).saturating_add(1))
}

/// Returns one of our own addresses in the form of a submit_sm.
pub fn source_address<'a>(account: &'a Account, text: &'a str) -> TypedNumber<'a> {
    let number = account.numbering().source(text);
    TypedNumber {
        ton: account.source_ton.unwrap_or(number.ton),
        npi: account.source_npi.unwrap_or(number.npi),
        ..number
    }
}

fn destination_address<'a>(account: &'a Account, text: &'a str) -> TypedNumber<'a> {
    let number = account.numbering().destination(text);
    if numbering::says_its_type(text) && number.ton != 0 {
        return number;
    }
    TypedNumber {
        ton: account.dest_ton.unwrap_or(number.ton),
        npi: account.dest_npi.unwrap_or(number.npi),
        ..number
    }
}

/// Checks that one of our own addresses fits a submit_sm and the telephone network.
///
/// # Errors
/// The words name the limit, and what was found.
pub fn check_source(account: &Account, text: &str) -> Result<(), String> {
    let address = source_address(account, text);
    let text = &*address.text;
    if address.ton == TON_ALPHANUMERIC {
        let expected = format!(
            "a name has at most {NAME_SEPTETS_MAX} characters of GSM-7 that are also ASCII (TS 23.040, 9.1.2.5)"
        );
        if let Some(wrong) = text.chars().find(|c| !(c.is_ascii_graphic() || *c == ' ') || *c == '`') {
            return Err(format!("{text:?} has the character {wrong:?}: {expected}"));
        }
        let septets: usize = text.chars().filter_map(gsm7::standard_code).map(gsm7::Code::septets).sum();
        if septets > NAME_SEPTETS_MAX || text.is_empty() {
            return Err(format!("{text:?} takes {septets} characters: {expected}"));
        }
        return Ok(());
    }
    let (most, why) = match address.ton {
        1 => (INTERNATIONAL_DIGITS_MAX, "an international number has at most 15 digits (E.164)"),
        _ => (ADDRESS_OCTETS_MAX, "SMPP's address field holds at most 20 digits (4.4.1)"),
    };
    if text.len() > most {
        return Err(format!("{text:?} has {} digits: {why}", text.len()));
    }
    Ok(())
}

/// Type of number of names.
const TON_ALPHANUMERIC: u8 = 5;
/// Maximum length of a name, in septets: ten octets.
const NAME_SEPTETS_MAX: usize = 11;

fn validity(account: &Account, expiry: Expiry) -> String {
    match account.validity_form {
        ValidityForm::Relative => relative_time(expiry.at.since_ms(expiry.now)),
        ValidityForm::Absolute => absolute_time(expiry.at),
        ValidityForm::None => String::new(),
    }
}

/// Returns SMPP's absolute time, `YYMMDDhhmmsstnnp`, in UTC (SMPP 3.4, 7.1.1).
fn absolute_time(at: Timestamp) -> String {
    // Rounded up: the SMSC drops the message when the second begins.
    let seconds = i64::try_from(at.0.div_ceil(1_000)).unwrap_or(i64::MAX);
    let zoned = jiff::Timestamp::from_second(seconds).map(|at| at.to_zoned(TimeZone::UTC));
    zoned.map(|at| at.strftime("%y%m%d%H%M%S000+").to_string()).unwrap_or_default()
}

/// Returns SMPP's relative time, `YYMMDDhhmmss000R`, of at least a second and at most
/// [`RELATIVE_DAYS_MAX`].
fn relative_time(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000).clamp(1, RELATIVE_DAYS_MAX * 24 * 3600);
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

    fn in_ms(ms: u64) -> Option<Expiry> {
        let now = Timestamp(1_767_225_600_000);
        Some(Expiry { at: now.plus_ms(ms), now })
    }

    /// Returns what a submit_sm of a text says: data_coding, esm_class, text and parameters.
    fn submitted(
        account: &Account,
        text: &str,
        handling: SmsHandling,
        see: impl Fn(&ShortMessage<'_>),
    ) -> Split {
        let policy = split::Policy { handling, ..account.policy() };
        let prepared = split::prepare(text, &policy, 7).unwrap();
        let content = Content::Text(prepared.text.into());
        for index in 0..prepared.split.parts {
            let part = part(account, &content, prepared.split, index, None).unwrap();
            part.with_submit(account, "5155", "4917600000001", 0, |submit| see(submit));
        }
        prepared.split
    }

    #[test]
    fn the_validity_has_the_form_of_the_account() {
        const DAY: u64 = 24 * 3_600_000;
        for (form, ms, expected) in [
            ("relative", 90_000, "000000000130000R"),
            ("relative", 63 * DAY, "000063000000000R"),
            ("relative", 100 * DAY, "000063000000000R"),
            ("relative", 0, "000000000001000R"),
            // 2026-01-01T00:00:00Z and later (SMPP 3.4, 7.1.1; go-smpp 1, Jasmin 1179).
            ("absolute", 90_000, "260101000130000+"),
            ("absolute", 100 * DAY, "260411000000000+"),
            ("absolute", 59 * DAY, "260301000000000+"),
            ("absolute", 1, "260101000001000+"),
            // ksmppd 73: an SMSC that takes no validity at all.
            ("none", 90_000, ""),
        ] {
            let account = account(&format!("validity_form = \"{form}\""));
            let content = Content::Text("x".into());
            let part = part(&account, &content, Split::WHOLE, 0, in_ms(ms)).unwrap();
            assert_eq!(part.validity, expected, "{form} {ms}");
            let is_cut = form == "relative" && ms == 100 * DAY;
            assert_eq!(account.untold_validity(ms).is_some(), is_cut, "{form} {ms}");
        }
    }

    /// data_coding of a class (TS 23.038, 4; SMPP 3.4, 5.2.19; jsmpp 117, 159; node-smpp 67).
    #[test]
    fn a_class_is_said_in_each_alphabet() {
        for (setting, text, class, data_coding, subunit) in [
            ("", "flash", 0, 0xF0, None),
            ("", "to the SIM", 2, 0xF2, None),
            ("", "вспышка", 0, 0x18, None),
            ("", "вспышка", 3, 0x1B, None),
            ("alphabet_out = \"latin1\"", "flash", 0, 0x00, Some(1)),
            ("alphabet_out = \"latin1\"", "flash", 2, 0x00, Some(3)),
            ("national_language = \"tr\"", "ışık", 1, 0xF1, None),
        ] {
            let handling = SmsHandling { class: Some(class), ports: None };
            submitted(&account(setting), text, handling, |submit| {
                assert_eq!(submit.data_coding, data_coding, "{text} {class}");
                assert_eq!(submit.tlvs.number(tlv::DEST_ADDR_SUBUNIT), subunit, "{text} {class}");
            });
        }
        let content = Content::Binary([1, 2].into());
        let handling = SmsHandling { class: Some(1), ports: None };
        let cuts = split::plan_octets(&[1, 2], &split::Policy { handling, ..account("").policy() }, 1);
        let part = part(&account(""), &content, cuts.unwrap(), 0, None).unwrap();
        assert_eq!(part.data_coding, 0xF5);
    }

    #[test]
    fn ports_are_in_the_header_or_beside_it() {
        for (setting, text, parts, in_header) in [
            ("udh8", 152, 1, true),
            ("udh8", 153, 2, true),
            ("udh8", 292, 2, true),
            ("udh8", 293, 3, true),
            ("udh16", 290, 2, true),
            ("sar", 160, 1, false),
            ("sar", 161, 2, false),
            ("payload", 400, 1, false),
        ] {
            let account = account(&format!("concatenation = \"{setting}\""));
            let ports = SmsPorts { destination: 2948, source: 9200, in_header };
            let handling = SmsHandling { class: None, ports: Some(ports) };
            let cuts = submitted(&account, &"x".repeat(text), handling, |submit| {
                let (udh, _) = crate::text::incoming::read_udh(submit.short_message);
                let in_udh = (submit.esm_class & 0x40 != 0).then_some(udh.ports).flatten();
                assert_eq!(in_udh, in_header.then_some((2948, 9200)), "{setting} {text}");
                let beside = (!in_header).then_some((2948, 9200));
                let found =
                    submit.tlvs.number(tlv::DESTINATION_PORT).zip(submit.tlvs.number(tlv::SOURCE_PORT));
                assert_eq!(found, beside, "{setting} {text}");
                // What the network carries: a header and septets in 140 octets.
                let septets = submit.short_message.len() - udh.octets * usize::from(in_header);
                let room = 160 - if in_header { (udh.octets * 8).div_ceil(7) } else { 0 };
                assert!(septets <= room || setting != "udh8", "{septets} of {room}");
            });
            assert_eq!(cuts.parts, parts, "{setting} {text}");
        }
    }

    #[test]
    fn a_sender_that_no_telephone_shows_is_named() {
        for (setting, text, expected) in [
            ("", "PatchBayShopping2026", "takes 20 characters"),
            ("", "Twelve chars", "takes 12 characters"),
            ("", "Caf\u{e9}s", "has the character 'é'"),
            ("", "Kiev\u{456}", "has the character"),
            ("", "Back`tick", "has the character '`'"),
            ("", "Tab\there", "has the character"),
            // Two septets each (TS 23.038, 6.2.1.1).
            ("", "[PatchBay]x", "takes 13 characters"),
            ("", "+1234567890123456", "at most 15 digits"),
            ("", "1234567890123456", "at most 15 digits"),
            ("source_ton = 0", "123456789012345678901", "at most 20 digits"),
            ("source_ton = 5", "123456789012", "takes 12 characters"),
        ] {
            let problem = check_source(&account(setting), text).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        for (setting, text) in [
            ("", "PatchBay 24"),
            ("", "[Patch] 1"),
            ("", "5155"),
            ("", "+49 176 0000-0001"),
            ("source_ton = 0", "12345678901234567890"),
            ("country_code = \"44\"", "07600 003300"),
        ] {
            assert_eq!(check_source(&account(setting), text), Ok(()), "{text}");
        }
    }

    #[test]
    fn types_of_the_account_replace_guesses_and_not_what_is_known() {
        for (setting, destination, expected) in [
            ("", "4917600000001", (1, 1)),
            ("dest_ton = 0\ndest_npi = 8", "4917600000001", (0, 8)),
            ("dest_ton = 1", "7600003300;ton=0", (1, 1)),
            ("", "7600003300;ton=0;npi=0", (0, 0)),
            ("dest_ton = 1", "7600003300;ton=2", (2, 1)),
            ("country_code = \"44\"", "7600003300;ton=2", (1, 1)),
            ("", "+6834001", (1, 1)),
            ("", "12345", (0, 1)),
        ] {
            let account = account(setting);
            let number = destination_address(&account, destination);
            assert_eq!((number.ton, number.npi), expected, "{setting} {destination}");
        }
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
            let first = part(&account, &content, prepared.split, 0, in_ms(90_000)).unwrap();
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
