//! Receipts in every form seen in the field.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use channels::smpp::receipt::{Date, Receipt, ReceiptPdu, date, is_receipt, parse};
use message::{PartState, PartStatus};
use proptest::prelude::*;

fn text(octets: &[u8]) -> ReceiptPdu<'_> {
    ReceiptPdu { text: octets, ..ReceiptPdu::default() }
}

fn of(octets: &str) -> Receipt {
    let source = text(octets.as_bytes());
    assert!(is_receipt(&source), "{octets}");
    parse(&source)
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
        ("DELETED", PartState::failure()),
        ("UNDELIV", PartState::failure()),
        ("REJECTD", PartState::failure()),
        ("SKIPPED", PartState::failure()),
        ("UNKNOWN", reached(PartStatus::Sent)),
        ("MYSTERY", reached(PartStatus::Sent)),
    ] {
        check(&format!("id:7 stat:{word} err:1"), "7", &format!("{word}/1"), state);
        let unknown = of(&format!("id:7 stat:{word}")).unknown;
        assert_eq!(unknown, matches!(word, "UNKNOWN" | "MYSTERY"), "{word}");
    }
}

#[test]
fn octets_that_are_no_ascii() {
    let wide: Vec<u8> = "id:7 stat:DELIVRD text:مر".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let receipt = parse(&text(&wide));
    assert_eq!((&*receipt.ids[0], &*receipt.word, receipt.text.as_deref()), ("7", "DELIVRD", Some("مر")));
    let receipt = parse(&text(b"id:7 stat:DELIVRD text:caf\xE9 \xFF"));
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
    let receipt = parse(&source);
    assert_eq!(receipt.ids.as_slice(), ["2A5F".into(), "10847".into()]);
    assert_eq!((receipt.code().as_str(), receipt.state), ("DELIVRD/005", reached(PartStatus::Delivered)));
    let bare = ReceiptPdu { text: b"", ..source };
    assert!(is_receipt(&ReceiptPdu { esm_class: 0, ..bare }));
    assert_eq!((parse(&bare).code().as_str(), parse(&bare).network_error), ("DELIVRD/27", Some((3, 27))));
    let pair = parse(&ReceiptPdu { text: b"001 002", ..source });
    assert_eq!(pair.ids.as_slice(), ["2A5F".into()]);
    // With an unknown state, the text decides.
    let odd = parse(&ReceiptPdu { message_state: Some(77), ..source });
    assert_eq!((odd.state, &*odd.word), (PartState::failure(), "UNDELIV"));
}

#[test]
fn messages_are_not_receipts() {
    for words in
        ["hello", "id:7", "stat:DELIVRD", "my id: is stat: ", "grid:7 instat:X", "", "id 7 stat DELIVRD"]
    {
        assert!(!is_receipt(&text(words.as_bytes())), "{words}");
        assert!(is_receipt(&ReceiptPdu { esm_class: 0x04, ..text(words.as_bytes()) }));
        assert!(is_receipt(&ReceiptPdu { esm_class: 0x23, ..text(words.as_bytes()) }));
    }
    // A user data header, and acknowledgements that a handset sends by itself.
    for esm_class in [0x40, 0x08, 0x10, 0x18] {
        assert!(!is_receipt(&ReceiptPdu { esm_class, ..text(b"id:7 stat:DELIVRD") }));
    }
    let nothing = parse(&ReceiptPdu { esm_class: 0x04, ..text(b"") });
    assert!(nothing.ids.is_empty() && nothing.unknown && nothing.state == reached(PartStatus::Sent));
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
        let receipt = parse(&source);
        prop_assert!(is_receipt(&source) && receipt.ids.iter().all(|id| !id.is_empty()));
    }
}
