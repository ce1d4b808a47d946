//! Joining: split texts come back unchanged, in any order; damaged or missing parts are marked.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use channels::text::{
    incoming::{Concat, Decoding, Raw, read},
    join::{Assembly, DONE_MS_MAX, HOLD_MS, Joined, OPEN_MAX, OPEN_OCTETS_MAX},
    national::Language,
    split::{self, Policy},
};
use message::{
    Content, Timestamp,
    event::{Alphabet, Concatenation, Incomplete, PartReceived, Split},
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_000_000);

fn part(reference: u16, total: u8, number: u8, octets: &[u8]) -> PartReceived {
    PartReceived { reference, total, number, octets: octets.into(), alphabet: Alphabet::Gsm7 }
}

fn text(joined: &Joined) -> &str {
    match &joined.content {
        Content::Text(text) => text,
        other => panic!("not a text: {other:?}"),
    }
}

/// Adds parts in order; returns the joined texts, and the number of repeated parts.
fn run(assembly: &mut Assembly, parts: &[PartReceived]) -> (Vec<String>, usize) {
    let (mut texts, mut repeats) = (Vec::new(), 0);
    for part in parts {
        let added = assembly.add(part.clone(), NOW);
        repeats += usize::from(added.repeated);
        texts.extend(added.joined.iter().map(|joined| text(joined).to_owned()));
    }
    (texts, repeats)
}

#[test]
fn parts_in_any_order_and_repeated() {
    let (a, b, c) = (part(9, 3, 1, b"one "), part(9, 3, 2, b"two "), part(9, 3, 3, b"three"));
    let mut assembly = Assembly::default();
    let again = [c.clone(), a.clone(), c.clone(), b.clone(), b.clone(), a.clone()];
    assert_eq!(run(&mut assembly, &again), (vec!["one two three".into()], 3));
    // Much later, the same octets under the same reference are a new message.
    let later = NOW.plus_ms(DONE_MS_MAX);
    assert!(!assembly.add(a, later).repeated);
    assert_eq!(assembly.next_due(HOLD_MS), Some(later.plus_ms(HOLD_MS)));
}

#[test]
fn a_reference_used_again_does_not_mix_messages() {
    let mut assembly = Assembly::default();
    let (texts, _) = run(
        &mut assembly,
        &[
            part(9, 2, 1, b"old"),
            part(9, 3, 1, b"other total"),
            part(9, 2, 1, b"new "),
            part(9, 2, 2, b"message"),
        ],
    );
    assert_eq!(texts, ["old[…]", "new message"]);
    assert_eq!(text(&assembly.close_oldest(NOW).unwrap()), "other total[…]");
}

#[test]
fn what_stays_incomplete_comes_out_marked() {
    let mut assembly = Assembly::default();
    run(&mut assembly, &[part(1, 6, 2, b"b"), part(1, 6, 5, b"e"), part(1, 6, 3, b"c")]);
    assert!(assembly.overdue(NOW.plus_ms(HOLD_MS - 1), HOLD_MS).is_empty());
    let joined = assembly.overdue(NOW.plus_ms(HOLD_MS), HOLD_MS);
    assert_eq!(text(&joined[0]), "[…]bc[…]e[…]");
    assert_eq!(
        (joined[0].missing.as_slice(), joined[0].incomplete()),
        (&[1, 4, 6][..], Some(Incomplete { arrived: 3, total: 6 }))
    );
    assert_eq!(assembly.next_due(HOLD_MS), None);
}

#[test]
fn what_is_held_is_bounded_and_nothing_is_lost() {
    let mut assembly = Assembly::default();
    let mut out = 0;
    for reference in 0..100 {
        out += assembly.add(part(reference, 2, 1, b"x"), NOW).joined.len();
    }
    assert_eq!(out, 100 - OPEN_MAX);
    let large = vec![b'a'; OPEN_OCTETS_MAX / 2 + 1];
    let mut assembly = Assembly::default();
    assert_eq!(assembly.add(part(1, 3, 1, &large), NOW).joined.len(), 0);
    assert_eq!(assembly.add(part(1, 3, 2, &large), NOW).joined[0].missing, [2, 3]);
    // With a contradictory header the part is a message of its own.
    for wrong in [part(1, 2, 0, b"x"), part(1, 2, 3, b"x"), part(1, 0, 0, b"x"), part(1, 1, 1, b"x")] {
        assert_eq!(text(&Assembly::default().add(wrong, NOW).joined[0]), "x");
    }
}

#[test]
fn characters_cut_between_parts_come_out_whole() {
    let ucs2 =
        |number, octets: &[u8]| PartReceived { alphabet: Alphabet::Ucs2, ..part(1, 2, number, octets) };
    let joined = |a: &[u8], b: &[u8]| {
        let mut assembly = Assembly::default();
        assembly.add(ucs2(2, b), NOW);
        let joined = assembly.add(ucs2(1, a), NOW).joined.remove(0);
        (text(&joined).to_owned(), joined.lossy)
    };
    assert_eq!(joined(&[0, b'a', 0xD8, 0x3C], &[0xDF, 0x89, 0, b'b']), ("a🎉b".into(), false));
    assert_eq!(joined(&[0, b'a', 0], &[b'b', 0, b'c']), ("abc".into(), false));
    assert_eq!(joined(&[0, b'a', 9], &[0, b'b']), ("ab".into(), false));
    let mut assembly = Assembly::default();
    let escape = [part(1, 2, 1, b"a\x1B"), part(1, 2, 2, b"\x65b")];
    assert_eq!(run(&mut assembly, &escape).0, ["a€b"]);
    let mixed = [part(2, 2, 1, b"\x00"), PartReceived { reference: 2, ..ucs2(2, &[0x06, 0x45]) }];
    assert_eq!(run(&mut assembly, &mixed).0, ["@م"]);
}

/// Sends a text through splitting, the wire and joining, with its parts in the order of `keys`.
fn round_trip(content: &Content, split: Split, keys: &[u64]) -> Joined {
    let parts: Vec<_> = match content {
        Content::Binary(octets) => split::octet_parts(octets, split).collect(),
        Content::Text(text) => split::parts(text, split).collect(),
        Content::Rich { .. } | Content::Parts(_) => Vec::new(),
    };
    let mut order: Vec<_> = (0..parts.len()).collect();
    order.sort_by_key(|at| keys[at % keys.len()].rotate_left(*at as u32));
    let data_coding = match split.alphabet {
        Alphabet::Latin1 => 3,
        Alphabet::Ucs2 => 8,
        Alphabet::Binary => 4,
        _ => 0,
    };
    let mut assembly = Assembly::default();
    let mut out = Vec::new();
    for at in order {
        let part = &parts[at];
        let mut octets = part.udh.as_deref().unwrap_or_default().to_vec();
        octets.extend(&part.octets);
        assert!(octets.len() <= 254 || split.concatenation == Concatenation::Payload);
        let sar = (split.concatenation == Concatenation::Sar).then_some(Concat {
            reference: split.reference,
            total: part.total as u8,
            number: part.number as u8,
        });
        let raw = Raw { udhi: part.udh.is_some(), data_coding, octets: &octets, sar };
        let incoming = read(&raw, &Decoding::default());
        assert!(!incoming.doubtful);
        let concat = incoming.concatenation.unwrap_or(Concat { reference: 0, total: 1, number: 1 });
        assert_eq!(u16::from(concat.number), part.number);
        let received = PartReceived {
            reference: concat.reference,
            total: concat.total,
            number: concat.number,
            octets: incoming.octets.into(),
            alphabet: incoming.alphabet,
        };
        out.extend(assembly.add(received.clone(), NOW).joined);
        assert_eq!(assembly.add(received, NOW).repeated, concat.total > 1);
    }
    assert_eq!(out.len(), 1);
    out.remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_split_comes_back_joined(
        pieces in proptest::collection::vec(
            prop_oneof![
                4 => "[a-zA-Z0-9 \\[\\]€^@é]{1,60}",
                1 => "[şğıİçãõêáú]{1,20}",
                1 => "[áâíóúûÿ]{1,20}",
                1 => "\\PC{1,30}",
                1 => "(👩\u{200D}👩\u{200D}👧|🎉|🇫🇷){1,12}",
            ],
            0..16,
        ),
        concatenation in proptest::sample::select(vec![
            Concatenation::Udh8, Concatenation::Udh16, Concatenation::Sar, Concatenation::Payload,
        ]),
        national in proptest::sample::select(vec![
            None, Some(Language::Turkish), Some(Language::Spanish), Some(Language::Portuguese),
        ]),
        gsm7: bool, latin1: bool, reference: u16,
        keys in proptest::collection::vec(any::<u64>(), 1..8),
    ) {
        let policy = Policy { concatenation, national, gsm7, latin1, ..Policy::default() };
        let text = pieces.concat();
        let prepared = split::prepare(&text, &policy, reference).unwrap();
        let content = Content::Text(prepared.text.as_ref().into());
        let joined = round_trip(&content, prepared.split, &keys);
        prop_assert_eq!(joined.content, content);
        prop_assert!(!joined.lossy && joined.missing.is_empty());
    }

    #[test]
    fn octets_come_back_as_they_were(
        octets in proptest::collection::vec(any::<u8>(), 0..2000),
        wide: bool,
        keys in proptest::collection::vec(any::<u64>(), 1..8),
    ) {
        let concatenation = if wide { Concatenation::Udh16 } else { Concatenation::Udh8 };
        let split = split::plan_octets(&octets, &Policy { concatenation, ..Policy::default() }, 300).unwrap();
        let content = Content::Binary(octets.into());
        prop_assert_eq!(round_trip(&content, split, &keys).content, content);
    }
}
