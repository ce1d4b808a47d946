//! Two foreign SMPP codecs as oracles of ours: PDUs written by one are read by the others. Where
//! they differ, the difference is listed in [`DIFFERENCES`] with the section of the specification.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by a panic"
)]

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::BytesMut;
use channels::smpp::{
    pdu::{self, *},
    tlv,
};
use proptest::prelude::*;
use rusmpp_core::{
    CommandStatus,
    command::owned::Command,
    decode::owned::DecodeWithLength,
    encode::owned::Encode,
    pdus::owned as rusmpp,
    types::owned::{COctetString, EmptyOrFullCOctetString, OctetString},
    values::owned::ServiceType,
};
use smpp_pdu::pdu as foreign;

/// Writes a PDU with our codec.
fn ours(pdu: &Pdu<'_>, status: u32, sequence: u32) -> Vec<u8> {
    let mut out = Vec::new();
    pdu::write(pdu, status, sequence, &mut out).unwrap();
    out
}

/// Reads a PDU with our codec; nothing in it may need repair.
fn read_by_us(octets: &[u8], check: impl FnOnce(PduHeader, Pdu<'_>)) {
    let header = PduHeader::read(octets).unwrap();
    let (pdu, salvage) = Pdu::read(header.command, header.status, &octets[16..]).unwrap();
    assert!(salvage.is_clean(), "{pdu:?}");
    check(header, pdu);
}

/// Reads a PDU with `rusmpp`, whose values begin after the length.
fn read_by_rusmpp(octets: &[u8]) -> Result<Command, String> {
    let mut rest = BytesMut::from(&octets[4..]);
    let length = rest.len();
    let (command, taken) = Command::decode(&mut rest, length).map_err(|error| format!("{error:?}"))?;
    assert_eq!(taken, length, "rusmpp left octets unread");
    Ok(command)
}

/// Writes a PDU with `rusmpp`.
fn written_by_rusmpp(command: &Command) -> Vec<u8> {
    let mut body = BytesMut::new();
    command.encode(&mut body);
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes()[..], &body[..]].concat()
}

/// Reads a PDU with `smpp-pdu`.
fn read_by_smpp_pdu(octets: &[u8]) -> Result<foreign::Pdu, String> {
    foreign::Pdu::parse(&mut &octets[..]).map_err(|error| format!("{error:?}"))
}

/// Writes a PDU with `smpp-pdu`; writing into memory never waits.
fn written_by_smpp_pdu(pdu: &foreign::Pdu) -> Vec<u8> {
    let mut out = Vec::new();
    {
        let write = pin!(pdu.write(&mut out));
        let Poll::Ready(result) = write.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("a write into memory waited")
        };
        result.unwrap();
    }
    out
}

/// The result of reading octets with a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Read as it stands.
    Taken,
    /// Read, with a note that something was wrong.
    Repaired,
    /// Not read.
    Refused,
}
use Verdict::{Refused, Repaired, Taken};

/// Octets that the codecs read differently.
struct Difference {
    /// The peculiarity, and the section of SMPP 3.4 (5.0 where named) that speaks of it.
    about: &'static str,
    command: u32,
    status: u32,
    sequence: u32,
    body: &'static [u8],
    ours: Verdict,
    rusmpp: Verdict,
    smpp_pdu: Verdict,
}

const DIFFERENCES: &[Difference] = &[
    // Ours takes more than the specification allows, because peers send it.
    row("4.4.2: an error reply has no body", 0x8000_0004, 8, b"\0", [Taken, Taken, Refused]),
    row("4.4.2: a reply without the id it must have", 0x8000_0004, 0, b"", [Repaired, Taken, Refused]),
    row("3.1: a C-string ends with NUL", 0x8000_0004, 0, b"2A5F", [Repaired, Refused, Refused]),
    row("3.1: a C-string is ASCII", 0x8000_0004, 0, b"2\xC4\0", [Taken, Refused, Refused]),
    row(
        "4.1.1: a password has at most 8 characters",
        9,
        0,
        b"a\0ninechars\0\0\x34\0\0\0",
        [Taken, Refused, Refused],
    ),
    row(
        "4.4.1: a time has 16 characters or none",
        4,
        0,
        b"\0\0\0\0\0\0\0\0\0\x000000010000\0\0\0\0\0\0\0",
        [Taken, Refused, Refused],
    ),
    row(
        "5.2.21: sm_length is the length of the text",
        4,
        0,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09text",
        [Repaired, Refused, Refused],
    ),
    row(
        "5.3: a TLV ends within its PDU",
        4,
        0,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04\x24\0\x09text",
        [Repaired, Refused, Refused],
    ),
    row(
        "5.3.2.23: sar_total_segments has one octet",
        4,
        0,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x0E\0\x02\0\x03",
        [Taken, Refused, Taken],
    ),
    Difference {
        sequence: 0,
        ..row("3.2: sequence numbers begin at 1", 0x15, 0, b"", [Taken, Taken, Refused])
    },
    // The specification allows more than a foreign codec takes.
    row(
        "4.1.2: a bind's reply may have TLVs",
        0x8000_0009,
        0,
        b"a\0\x02\x10\0\x01\x34",
        [Taken, Taken, Refused],
    ),
    row(
        "5.0, 4.2.1.2: a submit's reply may have TLVs",
        0x8000_0004,
        0,
        b"1\0\x00\x1D\0\x02a\0",
        [Taken, Taken, Refused],
    ),
    row(
        "4.7.1: addresses of data_sm have up to 64 characters",
        0x103,
        0,
        b"\0\0\x00123456789012345678901\0\0\0\0\0\0\0",
        [Taken, Refused, Refused],
    ),
    row("4.3: generic_nack", 0x8000_0000, 3, b"", [Taken, Taken, Refused]),
    row("4.2: unbind", 6, 0, b"", [Taken, Taken, Refused]),
    row("4.6.2: deliver_sm_resp", 0x8000_0005, 0, b"\0", [Taken, Taken, Refused]),
];

/// A row with the verdicts of ours, rusmpp and smpp-pdu.
const fn row(
    about: &'static str,
    command: u32,
    status: u32,
    body: &'static [u8],
    [ours, rusmpp, smpp_pdu]: [Verdict; 3],
) -> Difference {
    Difference { about, command, status, sequence: 1, body, ours, rusmpp, smpp_pdu }
}

#[test]
fn the_codecs_differ_only_where_the_table_says() {
    let mut wrong = Vec::new();
    for row in DIFFERENCES {
        let length = u32::try_from(16 + row.body.len()).unwrap();
        let header = [length, row.command, row.status, row.sequence].map(u32::to_be_bytes).concat();
        let octets = [&header[..], row.body].concat();
        let ours = match Pdu::read(CommandId(row.command), row.status, row.body) {
            Ok((_, salvage)) if salvage.is_clean() => Taken,
            Ok(_) => Repaired,
            Err(_) => Refused,
        };
        let taken = |is_ok: bool| if is_ok { Taken } else { Refused };
        let found = [ours, taken(read_by_rusmpp(&octets).is_ok()), taken(read_by_smpp_pdu(&octets).is_ok())];
        if found != [row.ours, row.rusmpp, row.smpp_pdu] {
            wrong.push(format!("{}: {found:?}", row.about));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_longest_text_differs() {
    // 5.2.22: up to 254 octets (5.0, 4.2.1.1: 255). smpp-pdu ends at 253.
    for (octets, by_smpp_pdu) in [(253, true), (254, false), (255, false)] {
        let text = vec![b'x'; octets];
        let message = ShortMessage { short_message: &text, ..ShortMessage::default() };
        let octets = ours(&Pdu::SubmitSm(message), 0, 1);
        read_by_us(&octets, |_, read| assert_eq!(read, Pdu::SubmitSm(message)));
        assert_eq!(written_by_rusmpp(&read_by_rusmpp(&octets).unwrap()), octets);
        assert_eq!(read_by_smpp_pdu(&octets).is_ok(), by_smpp_pdu);
    }
}

/// A message as all three codecs take it.
#[derive(Clone, Debug)]
struct Message {
    service_type: String,
    source: (u8, u8, String),
    destination: (u8, u8, String),
    esm_class: u8,
    protocol_id: u8,
    priority_flag: u8,
    schedule: String,
    validity: String,
    registered_delivery: u8,
    replace_if_present: u8,
    data_coding: u8,
    default_message: u8,
    text: Vec<u8>,
    tlvs: Vec<(u16, Vec<u8>)>,
}

impl Message {
    fn with<R>(&self, use_it: impl FnOnce(&ShortMessage<'_>) -> R) -> R {
        let tlvs: Vec<Tlv<'_>> = self.tlvs.iter().map(|(tag, value)| Tlv { tag: *tag, value }).collect();
        use_it(&ShortMessage {
            service_type: self.service_type.as_bytes(),
            source: address(&self.source),
            destination: address(&self.destination),
            esm_class: self.esm_class,
            protocol_id: self.protocol_id,
            priority_flag: self.priority_flag,
            schedule_delivery_time: self.schedule.as_bytes(),
            validity_period: self.validity.as_bytes(),
            registered_delivery: self.registered_delivery,
            replace_if_present: self.replace_if_present,
            data_coding: self.data_coding,
            sm_default_msg_id: self.default_message,
            short_message: &self.text,
            tlvs: Tlvs::list(&tlvs),
        })
    }

    fn foreign(&self) -> foreign::data::sm_data::SmData {
        let tlvs: Vec<_> =
            self.tlvs.iter().map(|(tag, value)| foreign::tlvs::Tlv::new_unknown(*tag, value)).collect();
        foreign::data::sm_data::SmData::new(
            &self.service_type,
            self.source.0,
            self.source.1,
            &self.source.2,
            self.destination.0,
            self.destination.1,
            &self.destination.2,
            self.esm_class,
            self.protocol_id,
            self.priority_flag,
            &self.schedule,
            &self.validity,
            self.registered_delivery,
            self.replace_if_present,
            self.data_coding,
            self.default_message,
            &self.text,
            foreign::tlvs::Tlvs::from(&tlvs),
        )
        .unwrap()
    }

    /// The message without TLVs, which `rusmpp` takes as typed values.
    fn rusmpp(&self) -> rusmpp::SubmitSm {
        rusmpp::SubmitSm::new(
            ServiceType::new(c_string(&self.service_type)),
            self.source.0.into(),
            self.source.1.into(),
            c_string(&self.source.2),
            self.destination.0.into(),
            self.destination.1.into(),
            c_string(&self.destination.2),
            self.esm_class.into(),
            self.protocol_id,
            self.priority_flag.into(),
            EmptyOrFullCOctetString::from_vec(nul(&self.schedule)).unwrap(),
            EmptyOrFullCOctetString::from_vec(nul(&self.validity)).unwrap(),
            self.registered_delivery.into(),
            self.replace_if_present.into(),
            self.data_coding.into(),
            self.default_message,
            OctetString::from_slice(&self.text).unwrap(),
            Vec::new(),
        )
    }
}

fn address(of: &(u8, u8, String)) -> Address<'_> {
    Address { ton: of.0, npi: of.1, text: of.2.as_bytes() }
}

fn nul(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn c_string<const MIN: usize, const MAX: usize>(text: &str) -> COctetString<MIN, MAX> {
    COctetString::from_vec(nul(text)).unwrap()
}

/// A C-string without its NUL: visible ASCII, which is what every codec takes.
fn text(max: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(0x21_u8..0x7F, 0..=max).prop_map(|octets| String::from_utf8(octets).unwrap())
}

/// A time is empty or has 16 characters.
fn time() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[0-9]{15}[R+]"]
}

/// TLVs whose values have the lengths of the specification, and vendors' own.
fn tlvs() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let octets = |n: usize| prop::collection::vec(any::<u8>(), n);
    let one = prop_oneof![
        octets(2).prop_map(|v| (tlv::SAR_MSG_REF_NUM, v)),
        octets(1).prop_map(|v| (tlv::SAR_TOTAL_SEGMENTS, v)),
        octets(1).prop_map(|v| (tlv::SAR_SEGMENT_SEQNUM, v)),
        octets(2).prop_map(|v| (tlv::USER_MESSAGE_REFERENCE, v)),
        octets(3).prop_map(|v| (tlv::NETWORK_ERROR_CODE, v)),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|v| (tlv::MESSAGE_PAYLOAD, v)),
        text(64).prop_map(|v| (tlv::RECEIPTED_MESSAGE_ID, nul(&v))),
        (0x1400_u16..0x4000, prop::collection::vec(any::<u8>(), 0..40)),
    ];
    prop::collection::vec(one, 0..4)
}

fn endpoint() -> impl Strategy<Value = (u8, u8, String)> {
    (0_u8..7, 0_u8..19, text(20))
}

fn message() -> impl Strategy<Value = Message> {
    let addressed = (text(5), endpoint(), endpoint(), time(), time());
    let octets = prop::array::uniform7(any::<u8>());
    let content = (prop::collection::vec(any::<u8>(), 0..=253), tlvs());
    (addressed, octets, content).prop_map(|(addressed, octets, (text, tlvs))| {
        let (service_type, source, destination, schedule, validity) = addressed;
        let [
            esm_class,
            protocol_id,
            priority_flag,
            registered_delivery,
            replace,
            data_coding,
            default_message,
        ] = octets;
        Message {
            service_type,
            source,
            destination,
            esm_class,
            protocol_id,
            priority_flag,
            schedule,
            validity,
            registered_delivery,
            replace_if_present: replace,
            data_coding,
            default_message,
            text,
            tlvs,
        }
    })
}

proptest! {
    #[test]
    fn messages_are_the_same_in_all_codecs(message in message(), sequence in 1_u32..0x7FFF_FFFF) {
        for deliver in [false, true] {
            let octets = message.with(|short| {
                let pdu = if deliver { Pdu::DeliverSm(*short) } else { Pdu::SubmitSm(*short) };
                ours(&pdu, 0, sequence)
            });
            // smpp-pdu reads ours, and writes the same octets from the same values.
            let body = if deliver {
                foreign::PduBody::DeliverSm(foreign::DeliverSmPdu(message.foreign()))
            } else {
                foreign::PduBody::SubmitSm(foreign::SubmitSmPdu(message.foreign()))
            };
            let theirs = foreign::Pdu::new(0, sequence, body).unwrap();
            prop_assert_eq!(&read_by_smpp_pdu(&octets).unwrap(), &theirs);
            let written = written_by_smpp_pdu(&theirs);
            prop_assert_eq!(&written, &octets);
            // rusmpp reads ours and writes the same octets back.
            let command = read_by_rusmpp(&octets).unwrap();
            let written = written_by_rusmpp(&command);
            prop_assert_eq!(&written, &octets);
            // We read what either wrote.
            message.with(|short| read_by_us(&written, |header, pdu| {
                assert_eq!(header.sequence, sequence);
                let expected = if deliver { Pdu::DeliverSm(*short) } else { Pdu::SubmitSm(*short) };
                assert_eq!(pdu, expected);
            }));
            match command.pdu() {
                Some(rusmpp::Pdu::SubmitSm(read)) => {
                    assert_eq!(read.source_addr.as_str(), message.source.2);
                    assert_eq!(read.destination_addr.as_str(), message.destination.2);
                    assert_eq!(read.short_message().as_ref(), &message.text[..]);
                    assert_eq!(read.tlvs().len(), message.tlvs.len());
                }
                Some(rusmpp::Pdu::DeliverSm(read)) => {
                    assert_eq!(read.source_addr.as_str(), message.source.2);
                    assert_eq!(read.short_message().as_ref(), &message.text[..]);
                }
                other => panic!("rusmpp read {other:?}"),
            }
        }
    }

    #[test]
    fn a_submit_sm_made_by_rusmpp_is_read_by_us(message in message(), sequence in 1_u32..0x7FFF_FFFF) {
        let message = Message { tlvs: Vec::new(), ..message };
        let command = Command::new(CommandStatus::EsmeRok, sequence, message.rusmpp());
        message.with(|short| read_by_us(&written_by_rusmpp(&command), |header, pdu| {
            assert_eq!((header.command, header.sequence), (CommandId::SUBMIT_SM, sequence));
            assert_eq!(pdu, Pdu::SubmitSm(*short));
        }));
    }

    #[test]
    fn data_sm_is_the_same_in_rusmpp(message in message(), sequence in 1_u32..0x7FFF_FFFF) {
        let octets = message.with(|short| {
            let data = DataSm {
                service_type: short.service_type,
                source: short.source,
                destination: short.destination,
                esm_class: short.esm_class,
                registered_delivery: short.registered_delivery,
                data_coding: short.data_coding,
                tlvs: short.tlvs,
            };
            ours(&Pdu::DataSm(data), 0, sequence)
        });
        let command = read_by_rusmpp(&octets).unwrap();
        prop_assert_eq!(written_by_rusmpp(&command), octets);
        let Some(rusmpp::Pdu::DataSm(read)) = command.pdu() else { panic!("rusmpp read {command:?}") };
        assert_eq!(read.destination_addr.as_str(), message.destination.2);
        assert_eq!(read.tlvs().len(), message.tlvs.len());
    }

    #[test]
    fn replies_are_the_same_in_all_codecs(id in text(64), sequence in 1_u32..0x7FFF_FFFF) {
        let reply = IdReply { message_id: id.as_bytes(), tlvs: Tlvs::default() };
        for pdu in [Pdu::SubmitSmResp(reply), Pdu::DeliverSmResp(reply), Pdu::DataSmResp(reply)] {
            let octets = ours(&pdu, 0, sequence);
            let command = read_by_rusmpp(&octets).unwrap();
            let written = written_by_rusmpp(&command);
            prop_assert_eq!(&written, &octets);
            read_by_us(&written, |_, read| assert_eq!(read, pdu));
        }
        let body = foreign::PduBody::SubmitSmResp(foreign::SubmitSmRespPdu::new(&id).unwrap());
        let theirs = foreign::Pdu::new(0, sequence, body).unwrap();
        let octets = ours(&Pdu::SubmitSmResp(reply), 0, sequence);
        prop_assert_eq!(&read_by_smpp_pdu(&octets).unwrap(), &theirs);
        prop_assert_eq!(written_by_smpp_pdu(&theirs), octets);
    }

    #[test]
    fn binds_are_the_same_in_all_codecs(
        names in (text(15), text(8), text(12), text(40)),
        numbers in (0_u8..7, 0_u8..19),
        version in prop_oneof![Just(0x33_u8), Just(0x34), Just(0x50)],
        sequence in 1_u32..0x7FFF_FFFF,
    ) {
        let bind = Bind {
            system_id: names.0.as_bytes(),
            password: names.1.as_bytes(),
            system_type: names.2.as_bytes(),
            interface_version: version,
            address_range: Address { ton: numbers.0, npi: numbers.1, text: names.3.as_bytes() },
        };
        for kind in [BindKind::Receiver, BindKind::Transmitter, BindKind::Transceiver] {
            let octets = ours(&Pdu::Bind(kind, bind), 0, sequence);
            let command = read_by_rusmpp(&octets).unwrap();
            let written = written_by_rusmpp(&command);
            prop_assert_eq!(&written, &octets);
            read_by_us(&written, |_, read| assert_eq!(read, Pdu::Bind(kind, bind)));
            let theirs = read_by_smpp_pdu(&octets).unwrap();
            let data = match theirs.body() {
                foreign::PduBody::BindReceiver(bind) => &bind.0,
                foreign::PduBody::BindTransmitter(bind) => &bind.0,
                foreign::PduBody::BindTransceiver(bind) => &bind.0,
                other => panic!("smpp-pdu read {other:?}"),
            };
            let expected = foreign::data::bind_data::BindData::new(
                &names.0, &names.1, &names.2, version, numbers.0, numbers.1, &names.3,
            );
            assert_eq!(*data, expected.unwrap());

            let reply = BindReply { system_id: names.0.as_bytes(), tlvs: Tlvs::default() };
            let octets = ours(&Pdu::BindResp(kind, reply), 0, sequence);
            prop_assert_eq!(&written_by_rusmpp(&read_by_rusmpp(&octets).unwrap()), &octets);
            prop_assert_eq!(&written_by_smpp_pdu(&read_by_smpp_pdu(&octets).unwrap()), &octets);
            let version = [version];
            let list = [Tlv { tag: tlv::SC_INTERFACE_VERSION, value: &version }];
            let reply = BindReply { system_id: names.0.as_bytes(), tlvs: Tlvs::list(&list) };
            let octets = ours(&Pdu::BindResp(kind, reply), 0, sequence);
            prop_assert_eq!(&written_by_rusmpp(&read_by_rusmpp(&octets).unwrap()), &octets);
        }
    }

    #[test]
    fn pdus_without_a_body_are_the_same_in_all_codecs(status in 0_u32..0x100, sequence in 1_u32..0x7FFF_FFFF) {
        let replies = [Pdu::UnbindResp, Pdu::EnquireLinkResp, Pdu::GenericNack];
        let requests = [Pdu::Unbind, Pdu::EnquireLink];
        for (pdu, status) in requests.iter().map(|pdu| (pdu, 0)).chain(replies.iter().map(|pdu| (pdu, status))) {
            let octets = ours(pdu, status, sequence);
            prop_assert_eq!(octets.len(), 16);
            let written = written_by_rusmpp(&read_by_rusmpp(&octets).unwrap());
            prop_assert_eq!(&written, &octets);
            read_by_us(&written, |header, read| {
                assert_eq!((header.status, header.sequence, &read), (status, sequence, pdu));
            });
        }
        let octets = ours(&Pdu::EnquireLink, 0, sequence);
        prop_assert_eq!(&written_by_smpp_pdu(&read_by_smpp_pdu(&octets).unwrap()), &octets);
        let body = foreign::PduBody::GenericNack(foreign::GenericNackPdu::new_error());
        let nack = foreign::Pdu::new(status.max(1), sequence, body).unwrap();
        read_by_us(&written_by_smpp_pdu(&nack), |header, read| {
            assert_eq!((header.status, read), (status.max(1), Pdu::GenericNack));
        });
    }
}
