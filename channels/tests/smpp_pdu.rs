//! PDUs: written values read back, fields have the specification's order, and damage by peers is
//! salvaged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by a panic"
)]

use channels::smpp::{
    frame::{Frames, PDU_BYTES_MAX},
    pdu::{self, *},
    tlv,
};
use proptest::prelude::*;

fn written(pdu: &Pdu<'_>, status: u32, sequence: u32) -> Vec<u8> {
    let mut out = vec![0xAA];
    pdu::write(pdu, status, sequence, &mut out).unwrap();
    assert_eq!(out.remove(0), 0xAA);
    out
}

fn back(octets: &[u8], check: impl FnOnce(PduHeader, Pdu<'_>, Salvage)) {
    let mut frames = Frames::new(PDU_BYTES_MAX);
    frames.push(octets);
    let frame = frames.next_frame().unwrap().unwrap();
    assert!(!frames.is_partial());
    let (pdu, salvage) = Pdu::read(frame.header.command, frame.header.status, &frame.body).unwrap();
    check(frame.header, pdu, salvage);
}

#[test]
fn a_submit_sm_has_the_octets_of_the_specification() {
    let message = ShortMessage {
        service_type: b"WAP",
        source: Address { ton: 5, npi: 0, text: b"Shop" },
        destination: Address { ton: 1, npi: 1, text: b"201000000001" },
        esm_class: 0x40,
        protocol_id: 2,
        priority_flag: 3,
        schedule_delivery_time: b"",
        validity_period: b"000001000000000R",
        registered_delivery: 1,
        replace_if_present: 0,
        data_coding: 8,
        sm_default_msg_id: 7,
        short_message: b"\x00@\x00",
        tlvs: Tlvs::list(&[Tlv { tag: tlv::SAR_MSG_REF_NUM, value: &[1, 2] }]),
    };
    let expected = [
        b"\0\0\0\x59\0\0\0\x04\0\0\0\0\0\0\0\x09".as_slice(),
        b"WAP\0\x05\0Shop\0\x01\x01201000000001\0\x40\x02\x03\x00000001000000000R\0".as_slice(),
        b"\x01\0\x08\x07\x03\0@\0\x02\x0C\0\x02\x01\x02".as_slice(),
    ]
    .concat();
    let expected = {
        let mut pdu = expected;
        let length = u32::try_from(pdu.len()).unwrap();
        pdu[..4].copy_from_slice(&length.to_be_bytes());
        pdu
    };
    assert_eq!(written(&Pdu::SubmitSm(message), 0, 9), expected);
    back(&expected, |header, pdu, salvage| {
        assert_eq!((header.status, header.sequence), (0, 9));
        assert_eq!(pdu, Pdu::SubmitSm(message));
        assert!(salvage.is_clean());
    });
}

fn text(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8..=255, 0..=max)
}

proptest! {
    #[test]
    fn every_kind_reads_back_as_written(
        t in (text(5), text(20), text(20), text(16), text(16), text(64), text(40), text(15), text(8), text(12)),
        n in prop::array::uniform12(any::<u8>()),
        short in prop::collection::vec(any::<u8>(), 0..=255),
        values in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..300)), 0..4),
        status in any::<u32>(),
        sequence in any::<u32>(),
    ) {
        let tlvs: Vec<Tlv<'_>> = values.iter().map(|(tag, value)| Tlv { tag: *tag, value }).collect();
        let tlvs = Tlvs::list(&tlvs);
        let source = Address { ton: n[0], npi: n[1], text: &t.1 };
        let destination = Address { ton: n[2], npi: n[3], text: &t.2 };
        let message = ShortMessage {
            service_type: &t.0, source, destination, esm_class: n[4], protocol_id: n[5], priority_flag: n[6],
            schedule_delivery_time: &t.3, validity_period: &t.4, registered_delivery: n[7],
            replace_if_present: n[8], data_coding: n[9], sm_default_msg_id: n[10], short_message: &short, tlvs,
        };
        let data = DataSm {
            service_type: &t.0, source, destination, esm_class: n[4], registered_delivery: n[7],
            data_coding: n[9], tlvs,
        };
        let reply = IdReply { message_id: &t.5, tlvs };
        let bind = Bind {
            system_id: &t.7, password: &t.8, system_type: &t.9, interface_version: n[11],
            address_range: Address { ton: n[0], npi: n[1], text: &t.6 },
        };
        let replace = ReplaceSm {
            message_id: &t.5, source, schedule_delivery_time: &t.3, validity_period: &t.4,
            registered_delivery: n[7], sm_default_msg_id: n[10], short_message: &short, tlvs,
        };
        let cancel = CancelSm { service_type: &t.0, message_id: &t.5, source, destination };
        let query = QueryReply { message_id: &t.5, final_date: &t.3, message_state: n[0], error_code: n[1] };
        let multi = MultiReply { message_id: &t.5, no_unsuccess: n[0], rest: &short };
        let kind = [BindKind::Receiver, BindKind::Transmitter, BindKind::Transceiver][usize::from(n[0]) % 3];
        for pdu in [
            Pdu::Bind(kind, bind), Pdu::BindResp(kind, BindReply { system_id: &t.7, tlvs }),
            Pdu::SubmitSm(message), Pdu::SubmitSmResp(reply), Pdu::DeliverSm(message),
            Pdu::DeliverSmResp(reply), Pdu::DataSm(data), Pdu::DataSmResp(reply),
            Pdu::QuerySm(QuerySm { message_id: &t.5, source }), Pdu::QuerySmResp(query), Pdu::CancelSm(cancel),
            Pdu::CancelSmResp, Pdu::ReplaceSm(replace), Pdu::ReplaceSmResp, Pdu::SubmitMulti(&short),
            Pdu::SubmitMultiResp(multi), Pdu::Unbind, Pdu::UnbindResp, Pdu::EnquireLink, Pdu::EnquireLinkResp,
            Pdu::GenericNack, Pdu::Outbind(Outbind { system_id: &t.7, password: &t.8 }),
            Pdu::AlertNotification(Alert { source, esme: destination, tlvs }),
            Pdu::Unknown(CommandId(0x111), &short),
        ] {
            back(&written(&pdu, status, sequence), |header, read, salvage| {
                assert_eq!((header.command, header.status, header.sequence), (pdu.command(), status, sequence));
                assert_eq!(read, pdu);
                assert!(salvage.is_clean());
            });
        }
    }

    /// A message truncated anywhere is either refused (before its text) or keeps everything
    /// present.
    #[test]
    fn a_cut_body_is_salvaged_from_its_text_on(short in prop::collection::vec(any::<u8>(), 1..=255), cut in any::<prop::sample::Index>()) {
        let tlvs = [Tlv { tag: 0x1400, value: &[1, 2, 3, 4, 5] }];
        let message = ShortMessage { short_message: &short, tlvs: Tlvs::list(&tlvs), ..ShortMessage::default() };
        let whole = written(&Pdu::DeliverSm(message), 0, 1);
        let body = &whole[16..];
        let fixed = body.len() - short.len() - 9;
        let cut = cut.index(body.len());
        match ShortMessage::read(&body[..cut]) {
            Err(error) => prop_assert!(cut < fixed, "{error}"),
            Ok((read, salvage)) => {
                prop_assert!(cut >= fixed);
                prop_assert!(short.starts_with(read.short_message));
                prop_assert_eq!(read.short_message.len(), short.len().min(cut - fixed));
                prop_assert_eq!(salvage.text_clipped, cut < fixed + short.len());
                let whole_or_none = cut <= fixed + short.len();
                prop_assert_eq!(salvage.tlv_clipped, !whole_or_none);
            }
        }
    }
}

#[test]
fn replies_are_salvaged() {
    for (body, id, salvage) in [
        (b"".as_slice(), b"".as_slice(), Salvage { nul_missing: true, ..Salvage::default() }),
        (b"2A5F", b"2A5F", Salvage { nul_missing: true, ..Salvage::default() }),
        (b"2A5F\0", b"2A5F", Salvage::default()),
        (b"2A5F\0\x04", b"2A5F", Salvage { tlv_clipped: true, ..Salvage::default() }),
        (b"7\0\x00\x1D\xFF\xFFno", b"7", Salvage { tlv_clipped: true, ..Salvage::default() }),
        (&[b'x'; 70], &[b'x'; 70], Salvage { nul_missing: true, field_overlong: true, ..Salvage::default() }),
    ] {
        let (reply, seen) = IdReply::read(body);
        assert_eq!((reply.message_id, seen), (id, salvage));
    }
    let (reply, _) = IdReply::read(b"7\0\x00\x1D\xFF\xFFno");
    assert_eq!(reply.tlvs.get(tlv::ADDITIONAL_STATUS_INFO_TEXT).unwrap().value, b"no");
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_the_buffer_alone() {
    let long = [b'1'; 256];
    let address = |text| Address { ton: 1, npi: 1, text };
    for (message, field) in [
        (ShortMessage { source: address(&long[..21]), ..ShortMessage::default() }, "source_addr"),
        (ShortMessage { service_type: b"A\0", ..ShortMessage::default() }, "service_type"),
        (ShortMessage { short_message: &long, ..ShortMessage::default() }, "short_message"),
        (ShortMessage { validity_period: &long[..17], ..ShortMessage::default() }, "validity_period"),
    ] {
        let mut out = b"before".to_vec();
        let error = pdu::write(&Pdu::SubmitSm(message), 0, 1, &mut out).unwrap_err();
        assert!(error.to_string().starts_with(field), "{error}");
        assert_eq!(out, b"before");
    }
}

#[test]
fn passwords_and_texts_are_never_shown() {
    let bind = Bind { system_id: b"me", password: b"s3cret", ..Bind::default() };
    let outbind = Outbind { system_id: b"me", password: b"s3cret" };
    let shown = format!("{:?} {:?}", Pdu::Bind(BindKind::Receiver, bind), Pdu::Outbind(outbind));
    assert!(shown.contains("me") && !shown.contains("s3cret"), "{shown}");
    assert!(!shown.contains("115"), "octets of the password: {shown}");
    let payload = [Tlv { tag: tlv::MESSAGE_PAYLOAD, value: b"private" }];
    let message =
        ShortMessage { short_message: b"private", tlvs: Tlvs::list(&payload), ..ShortMessage::default() };
    let replace = ReplaceSm { short_message: b"private", ..ReplaceSm::default() };
    let mut frames = Frames::new(PDU_BYTES_MAX);
    frames.push(&written(&Pdu::DeliverSm(message), 0, 1));
    let frame = frames.next_frame().unwrap().unwrap();
    let shown = format!("{:?} {:?} {frame:?} {frames:?}", Pdu::DeliverSm(message), replace);
    assert!(shown.contains("7 octets") && !shown.contains("private") && !shown.contains("112"), "{shown}");
}
