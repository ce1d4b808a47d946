//! Receipts in every form seen in the field.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may panic, and tells"
)]

use std::collections::BTreeSet;

use channels::smpp::receipt::{Date, Kind, Receipt, ReceiptPdu, date, kind, parse, words::ReceiptWords};
use message::{PartState, PartStatus};
use proptest::prelude::*;
use serde::Deserialize;

/// A PDU whose type is that of a receipt.
fn text(octets: &[u8]) -> ReceiptPdu<'_> {
    ReceiptPdu { esm_class: 0x04, text: octets, ..ReceiptPdu::default() }
}

fn words(table: &str) -> ReceiptWords {
    toml::from_str(table).unwrap()
}

fn kind_of(source: &ReceiptPdu<'_>) -> Kind {
    kind(source, &ReceiptWords::default())
}

fn read(source: &ReceiptPdu<'_>) -> Receipt {
    parse(source, kind_of(source), &ReceiptWords::default())
}

fn of(octets: &str) -> Receipt {
    read(&text(octets.as_bytes()))
}

fn check(octets: &str, id: &str, code: &str, state: PartState) {
    let receipt = of(octets);
    let found = (receipt.ids.first().map(|id| &**id), receipt.code(), receipt.state);
    assert_eq!(found, (Some(id), code.to_owned(), state), "{octets}");
}

fn reached(status: PartStatus) -> PartState {
    PartState::reached(status)
}

#[test]
fn a_receipt_by_the_book() {
    let receipt = of("id:0123456789 sub:001 dlvrd:001 submit date:1501021210 done date:1501021211 \
                      stat:DELIVRD err:000 text:Hello, stat:UNDELIV");
    assert_eq!(receipt.ids.as_slice(), ["0123456789".into()]);
    assert_eq!((&*receipt.word, receipt.code().as_str()), ("DELIVRD", "DELIVRD/000"));
    assert_eq!(receipt.state, reached(PartStatus::Delivered));
    assert_eq!(receipt.submitted.as_deref(), Some("1501021210"));
    assert_eq!(receipt.done.as_deref(), Some("1501021211"));
    assert_eq!(receipt.text.as_deref(), Some("Hello, stat:UNDELIV"));
    assert!(!receipt.unknown);
}

#[test]
fn what_servers_make_of_it() {
    let delivered = reached(PartStatus::Delivered);
    check("ID:7 STAT:delivrd ERR:0", "7", "DELIVRD/0", delivered);
    check("stat:DELIVRD id:7", "7", "DELIVRD", delivered);
    check("id: 7  stat: DELIVRD  err: 0x1F", "7", "DELIVRD/0x1F", delivered);
    check("id:7,sub:001,stat:DELIVRD,err:0000;", "7", "DELIVRD/0000", delivered);
    check("Text:id:9 stat:UNDELIV id:7 stat:DELIVRD", "7", "DELIVRD", delivered);
    check("id:7 stat:DELIVRD err:abc text:\0\0\0", "7", "DELIVRD/abc", delivered);
    check("id:7 submit_date:150102 doneDate:150103 Status:DELIVRD", "7", "DELIVRD", delivered);
    check("\nid:7\r\nstat:DELIVRD\r\nerr:12E4\0", "7", "DELIVRD/12E4", delivered);
    check("id:0f9619ff-8b86 stat:EXPIRED err:", "0f9619ff-8b86", "EXPIRED", PartState::failure());
    for (word, state) in [
        ("SCHEDULED", reached(PartStatus::Enroute)),
        ("ENROUTE", reached(PartStatus::Enroute)),
        ("BUFFRED", reached(PartStatus::Enroute)),
        ("BUFFERD", reached(PartStatus::Enroute)),
        ("ACCEPTD", reached(PartStatus::Sent)),
        ("ACKED", reached(PartStatus::Sent)),
        ("EXPIRED", PartState::failure()),
        ("FAILED", PartState::failure()),
        ("UNDELIVERABLE", PartState::failure()),
        ("DELETED", PartState::failure()),
        ("UNDELIV", PartState::failure()),
        ("REJECTD", PartState::failure()),
        ("SKIPPED", PartState::failure()),
        ("UNKNOWN", reached(PartStatus::Sent)),
        ("MYSTERY", reached(PartStatus::Sent)),
    ] {
        check(&format!("id:7 stat:{word} err:1"), "7", &format!("{word}/1"), state);
        let receipt = of(&format!("id:7 stat:{word}"));
        assert_eq!(receipt.unknown, matches!(word, "UNKNOWN" | "MYSTERY"), "{word}");
        assert_eq!(receipt.unread, word == "MYSTERY", "{word}");
    }
}

#[test]
fn octets_that_are_no_ascii() {
    let wide: Vec<u8> = "id:7 stat:DELIVRD text:مر".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let receipt = read(&text(&wide));
    assert_eq!((&*receipt.ids[0], &*receipt.word, receipt.text.as_deref()), ("7", "DELIVRD", Some("مر")));
    let receipt = read(&text(b"id:7 stat:DELIVRD text:caf\xE9 \xFF"));
    assert_eq!((&*receipt.word, receipt.text.as_deref()), ("DELIVRD", Some("café ÿ")));
}

#[test]
fn parameters_win_over_text_and_both_ids_are_tried() {
    let source = ReceiptPdu {
        esm_class: 0x04,
        receipted_message_id: Some(b"2A5F\0"),
        message_state: Some(2),
        network_error_code: Some([3, 0, 27]),
        text: b"id:10847 stat:UNDELIV err:005",
    };
    let receipt = read(&source);
    assert_eq!(receipt.ids.as_slice(), ["2A5F".into(), "10847".into()]);
    assert_eq!((receipt.code().as_str(), receipt.state), ("DELIVRD/005", reached(PartStatus::Delivered)));
    let bare = ReceiptPdu { text: b"", ..source };
    assert_eq!(kind_of(&ReceiptPdu { esm_class: 0, ..bare }), Kind::Receipt);
    assert_eq!((read(&bare).code().as_str(), read(&bare).network_error), ("DELIVRD/27", Some((3, 27))));
    let pair = read(&ReceiptPdu { text: b"001 002", ..source });
    assert_eq!(pair.ids.as_slice(), ["2A5F".into()]);
    // With an unknown state, the text decides.
    let odd = read(&ReceiptPdu { message_state: Some(77), ..source });
    assert_eq!((odd.state, &*odd.word), (PartState::failure(), "UNDELIV"));
}

#[test]
fn the_type_decides_before_the_text() {
    let of_class = |esm_class, octets| kind_of(&ReceiptPdu { esm_class, ..text(octets) });
    for octets in [&b"hello"[..], b"id:7", b"id:7 stat:DELIVRD", b""] {
        for esm_class in [0x04, 0x07, 0x24, 0x44, 0x84, 0x0C] {
            assert_eq!(of_class(esm_class, octets), Kind::Receipt, "{esm_class:#x}");
        }
        for esm_class in [0x20, 0x23, 0x60, 0xA0] {
            assert_eq!(of_class(esm_class, octets), Kind::Intermediate, "{esm_class:#x}");
        }
    }
    // A plain message, one with a mode or a reply path, and acknowledgements by the handset.
    for esm_class in [0, 0x01, 0x03, 0x80, 0x08, 0x10, 0x18] {
        assert_eq!(of_class(esm_class, b"id:7 stat:DELIVRD"), Kind::Perhaps, "{esm_class:#x}");
        assert_eq!(of_class(esm_class, b"hello"), Kind::Message, "{esm_class:#x}");
        let of = |id, message_state, octets| {
            let parameters = ReceiptPdu { receipted_message_id: id, message_state, ..text(octets) };
            kind_of(&ReceiptPdu { esm_class, ..parameters })
        };
        assert_eq!(of(Some(&b"7\0"[..]), None, b"hello"), Kind::Receipt);
        assert_eq!(of(None, Some(2), b"id:7"), Kind::Receipt);
        assert_eq!(of(Some(b"\0"), None, b"hello"), Kind::Message, "an empty id says nothing");
        assert_eq!(of(None, Some(2), b"hello"), Kind::Message, "such a receipt leads nowhere");
    }
    assert_eq!(of_class(0x40, b"id:7 stat:DELIVRD"), Kind::Message, "a part of a longer message");
    let nothing = of("");
    assert!(nothing.ids.is_empty() && nothing.unread && nothing.state == reached(PartStatus::Sent));
}

#[test]
fn a_text_alone_is_a_receipt_only_in_its_whole_form() {
    let of = |octets: &str| kind_of(&ReceiptPdu { esm_class: 0, ..text(octets.as_bytes()) });
    for form in [
        "id:7 stat:DELIVRD",
        "stat:delivrd id:7",
        "\nID:7\r\nSTAT:FAILED\r\n",
        "id: 7 sub: 001 submit date: 2026-11-30 12:00 done date:2611301200 stat: DELIVRD err: text:where is it?",
        "id:7,stat:DELIVRD,err:0",
        "text:anything id:7 stat:DELIVRD",
    ] {
        assert_eq!(of(form), Kind::Perhaps, "{form}");
    }
    for message in [
        "hello",
        "id:7",
        "stat:DELIVRD",
        "my id: is stat: ",
        "grid:7 instat:X",
        "id 7 stat DELIVRD",
        "Order id: 4711, status: still nothing here. Please call me!",
        "id:4711 stat:open when do you deliver?",
        "id:4711 stat:delivered when?",
        "id:47 11 stat:DELIVRD",
        "My id:7 stat:DELIVRD",
        "id:7 stat:DELIVRD err:0 thanks",
        "id:7 done date:tomorrow stat:DELIVRD",
        "id:7 stat:NOT_DELIVERED",
    ] {
        assert_eq!(of(message), Kind::Message, "{message}");
    }
    let own = words("not_delivered = \"failed\"");
    let source = ReceiptPdu { esm_class: 0, ..text(b"id:7 stat:NOT_DELIVERED") };
    assert_eq!(kind(&source, &own), Kind::Perhaps);
}

#[test]
fn an_intermediate_report_is_never_final() {
    for word in ["UNDELIV", "DELIVRD", "EXPIRED", "FAILED", "MYSTERY"] {
        for message_state in [None, Some(2), Some(5), Some(1), Some(77)] {
            let octets = format!("id:7 stat:{word} err:027");
            let source = ReceiptPdu { esm_class: 0x20, message_state, ..text(octets.as_bytes()) };
            let receipt = read(&source);
            assert_eq!((receipt.state, receipt.unread), (reached(PartStatus::Enroute), false));
            assert_eq!(receipt.err.as_deref(), Some("027"));
        }
    }
}

#[test]
fn an_account_gives_its_vendors_words_a_meaning() {
    let own = words("Not_Delivered = \"failed\"\n9 = \"delivered\"\n77 = \"enroute\"\nUNKNOWN = \"failed\"");
    let of = |octets: &[u8], message_state| {
        let source = ReceiptPdu { message_state, ..text(octets) };
        parse(&source, kind(&source, &own), &own)
    };
    let failed = of(b"id:7 stat:NOT_delivered err:3", None);
    assert_eq!((failed.state, failed.code().as_str()), (PartState::failure(), "NOT_DELIVERED/3"));
    assert_eq!(of(b"id:7 stat:9", None).state, reached(PartStatus::Delivered));
    assert_eq!(of(b"id:7", Some(77)).state, reached(PartStatus::Enroute));
    assert_eq!(
        of(b"id:7 stat:UNKNOWN", None).state,
        PartState::failure(),
        "it counts before what is built in"
    );
    assert_eq!(of(b"id:7 stat:EXPIRED", None).state, PartState::failure());
    let unread = of(b"id:7 stat:8", None);
    assert!(unread.unread && &*unread.word == "8" && unread.state == reached(PartStatus::Sent));
    let error = toml::from_str::<ReceiptWords>("LOST = \"sometimes\"").unwrap_err().to_string();
    assert!(error.contains("receipt_words.LOST is \"sometimes\", expected delivered"), "{error}");
}

#[test]
fn dates() {
    let full = Date { year: 2025, month: 11, day: 20, hour: 15, minute: 30, second: 0 };
    assert_eq!(date("2511201530"), Some(full));
    assert_eq!(date("251120153045"), Some(Date { second: 45, ..full }));
    assert_eq!(date("202511201530"), Some(full));
    assert_eq!(date("20251120153045"), Some(Date { second: 45, ..full }));
    assert_eq!(date("2025-11-20 15:30:45"), Some(Date { second: 45, ..full }));
    for wrong in ["", "0000000000", "2513201530", "251120", "202511201530450", "25112015x0", "2511202430"] {
        assert_eq!(date(wrong), None, "{wrong}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Captured {
    vendor: String,
    source: String,
    text: String,
    #[serde(default = "of_receipt")]
    esm_class: u8,
    id: Option<String>,
    state: Option<u8>,
    error: Option<[u8; 3]>,
    #[serde(default)]
    ucs2: bool,
    #[serde(default)]
    words: ReceiptWords,
    expect: String,
}

#[derive(Deserialize)]
struct Corpus {
    receipt: Vec<Captured>,
}

fn of_receipt() -> u8 {
    0x04
}

impl Captured {
    /// Its reading, in the form of `expect`.
    fn reading(&self) -> String {
        let wide = || self.text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let octets: Vec<u8> = if self.ucs2 { wide() } else { self.text.as_bytes().to_vec() };
        let source = ReceiptPdu {
            esm_class: self.esm_class,
            text: &octets,
            receipted_message_id: self.id.as_deref().map(str::as_bytes),
            message_state: self.state,
            network_error_code: self.error,
        };
        let of_kind = kind(&source, &self.words);
        let receipt = parse(&source, of_kind, &self.words);
        let name = match of_kind {
            Kind::Message => return "message".to_owned(),
            Kind::Perhaps => "perhaps",
            Kind::Receipt if receipt.unread => "unread",
            Kind::Receipt => "receipt",
            Kind::Intermediate => "intermediate",
        };
        let state = if receipt.state.failed {
            "failed"
        } else {
            match receipt.state.reached {
                PartStatus::Enroute => "enroute",
                PartStatus::Sent => "sent",
                PartStatus::Delivered => "delivered",
                _ => "?",
            }
        };
        format!("{name} {} {state} {}", receipt.ids.first().map_or("-", |id| id), receipt.code())
    }
}

#[test]
fn what_public_reports_show_is_understood() {
    let corpus: Corpus = toml::from_str(include_str!("../fixtures/captured/receipts.toml")).unwrap();
    let all = &corpus.receipt;
    let wrong: Vec<String> = all
        .iter()
        .filter(|captured| captured.reading() != captured.expect)
        .map(|captured| {
            let Captured { vendor, source, expect, .. } = captured;
            format!("{vendor} ({source}): {:?}, expected {expect:?}", captured.reading())
        })
        .collect();
    let vendors: BTreeSet<&str> = all.iter().map(|captured| captured.vendor.as_str()).collect();
    println!("{} of {} receipts of {} shapes", all.len() - wrong.len(), all.len(), vendors.len());
    assert!(all.len() >= 60 && vendors.len() >= 25, "{} {}", all.len(), vendors.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

proptest! {
    #[test]
    fn id_and_status_are_found_in_any_order(
        id in "[A-Za-z0-9-]{1,36}",
        word in proptest::sample::select(vec!["DELIVRD", "UNDELIV", "EXPIRED", "ACCEPTD", "WHATEVER"]),
        others in proptest::sample::subsequence(
            vec!["sub:001", "dlvrd:001", "submit date:1501021210", "done date:15 01 02", "err:00A"], 0..5),
        order in any::<u64>(),
        upper: bool,
        tail in proptest::option::of("\\PC{0,20}"),
    ) {
        let mut fields: Vec<String> = others.iter().map(|field| (*field).to_owned()).collect();
        fields.push(format!("id:{id}"));
        fields.push(format!("stat:{word}"));
        let count = fields.len();
        fields.rotate_left(order as usize % count);
        fields.swap(0, order as usize / 8 % count);
        if upper {
            for field in &mut fields {
                let (key, value) = field.split_once(':').unwrap();
                *field = format!("{}:{value}", key.to_uppercase());
            }
        }
        let tail = tail.map(|tail| format!(" text:{tail}")).unwrap_or_default();
        let octets = fields.join(" ") + &tail;
        let receipt = of(&octets);
        prop_assert_eq!(receipt.ids.as_slice(), [id.into_boxed_str()]);
        prop_assert_eq!(&*receipt.word, word);
    }

    #[test]
    fn any_octets_are_taken(octets in proptest::collection::vec(any::<u8>(), 0..300), esm_class: u8) {
        let source = ReceiptPdu { esm_class, receipted_message_id: Some(&octets), ..text(&octets) };
        let (of_kind, receipt) = (kind_of(&source), read(&source));
        prop_assert!(receipt.ids.iter().all(|id| !id.is_empty()));
        prop_assert!(of_kind != Kind::Intermediate || !receipt.state.is_final());
    }
}
