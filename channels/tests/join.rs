//! Joining: split texts come back unchanged, in any order; damaged or missing parts are marked.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use channels::text::{
    incoming::{Concat, Decoding, Raw, read},
    join::{Assembly, DONE_MAX, DONE_MS_MAX, HOLD_MS, Joined, OPEN_MAX, OPEN_OCTETS_MAX, SETTLE_MS},
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

/// Messages under one reference that never changes, from letters: upper case begins a message, each
/// letter is a part. `parts` names them as message and part number; what is said at once, and after
/// the time in which a part may still come.
struct Constant {
    why: &'static str,
    messages: &'static [&'static [&'static str]],
    parts: &'static [(usize, u8)],
    at_once: &'static [&'static str],
    later: &'static [&'static str],
}

/// TS 23.040, 9.2.3.24.1: the reference "shall be constant for every short message which makes up a
/// particular concatenated short message" and nothing obliges a sender to change it (vumi and
/// Kannel lists tell of modems and applications that always use 1).
const CONSTANT: &[Constant] = &[
    Constant {
        why: "bills with the same last part",
        messages: &[&["May 10. ", "Regards"], &["June 20. ", "Regards"]],
        parts: &[(0, 1), (0, 2), (1, 1), (1, 2)],
        at_once: &["May 10. Regards", "June 20. Regards"],
        later: &[],
    },
    Constant {
        why: "letters with the same first part",
        messages: &[&["Dear customer, ", "May 10."], &["Dear customer, ", "June 20."]],
        parts: &[(0, 1), (0, 2), (1, 1), (1, 2)],
        at_once: &["Dear customer, May 10.", "Dear customer, June 20."],
        later: &[],
    },
    Constant {
        why: "the same middle and last parts",
        messages: &[&["A ", "mid ", "end"], &["B ", "mid ", "end"], &["C ", "mid ", "end"]],
        parts: &[(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)],
        at_once: &["A mid end", "B mid end", "C mid end"],
        later: &[],
    },
    Constant {
        why: "only the middle differs",
        messages: &[&["Dear ", "A", ", bye"], &["Dear ", "B", ", bye"]],
        parts: &[(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)],
        at_once: &["Dear A, bye", "Dear B, bye"],
        later: &[],
    },
    Constant {
        why: "the whole is repeated after a lost link, in any order",
        messages: &[&["A ", "end"]],
        parts: &[(0, 1), (0, 2), (0, 1), (0, 2), (0, 2), (0, 1)],
        at_once: &["A end"],
        later: &[],
    },
    Constant {
        why: "one part is repeated before the next message",
        messages: &[&["A ", "end"], &["B ", "fin"]],
        parts: &[(0, 1), (0, 2), (0, 2), (1, 1), (1, 2)],
        at_once: &["A end", "B fin"],
        later: &[],
    },
    Constant {
        why: "the first part is repeated before the next message",
        messages: &[&["A ", "end"], &["B ", "fin"]],
        parts: &[(0, 1), (0, 2), (0, 1), (1, 1), (1, 2)],
        at_once: &["A end", "B fin"],
        later: &[],
    },
    Constant {
        why: "out of order, with the same last part first",
        messages: &[&["A ", "end"], &["B ", "end"]],
        parts: &[(0, 1), (0, 2), (1, 2), (1, 1)],
        at_once: &["A end"],
        later: &["B end"],
    },
    Constant {
        why: "both out of order, different",
        messages: &[&["A ", "end"], &["B ", "fin"]],
        parts: &[(0, 2), (0, 1), (1, 2), (1, 1)],
        at_once: &["A end", "B fin"],
        later: &[],
    },
    Constant {
        why: "part counts that differ, between each other",
        messages: &[&["A ", "end"], &["A ", "mid ", "end"]],
        parts: &[(0, 1), (1, 1), (1, 2), (0, 2), (1, 3)],
        at_once: &["A end", "A mid end"],
        later: &[],
    },
    Constant {
        why: "a repetition while the message is open, and after it",
        messages: &[&["A ", "mid ", "end"]],
        parts: &[(0, 1), (0, 1), (0, 3), (0, 3), (0, 2), (0, 2), (0, 1)],
        at_once: &["A mid end"],
        later: &[],
    },
    Constant {
        why: "three parts, a repetition of the last one between",
        messages: &[&["A ", "mid ", "end"], &["B ", "two ", "fin"]],
        parts: &[(0, 1), (0, 2), (0, 3), (0, 3), (1, 1), (1, 2), (1, 3)],
        at_once: &["A mid end", "B two fin"],
        later: &[],
    },
];

#[test]
fn a_reference_that_never_changes_mixes_nothing_and_loses_nothing() {
    for case in CONSTANT {
        let mut assembly = Assembly::default();
        let of = |(message, number): &(usize, u8)| {
            let parts = case.messages[*message];
            part(1, parts.len() as u8, *number, parts[usize::from(*number) - 1].as_bytes())
        };
        let parts: Vec<_> = case.parts.iter().map(of).collect();
        assert_eq!(run(&mut assembly, &parts).0, case.at_once, "{}", case.why);
        let settled = NOW.plus_ms(SETTLE_MS);
        let texts = |joined: Vec<Joined>| joined.iter().map(|j| text(j).to_owned()).collect::<Vec<_>>();
        assert_eq!(texts(assembly.overdue(settled, HOLD_MS)), case.later, "{}", case.why);
        assert!(assembly.overdue(NOW.plus_ms(HOLD_MS), HOLD_MS).is_empty(), "{}", case.why);
        assert_eq!(assembly.next_due(HOLD_MS), None, "{}", case.why);
    }
}

#[test]
fn messages_of_one_length_at_the_same_time_under_one_reference_lose_no_part() {
    let mut assembly = Assembly::default();
    let parts = [part(1, 2, 1, b"A1 "), part(1, 2, 1, b"B1 "), part(1, 2, 2, b"A2"), part(1, 2, 2, b"B2")];
    let (mut texts, _) = run(&mut assembly, &parts);
    texts.extend(assembly.overdue(NOW.plus_ms(HOLD_MS), HOLD_MS).iter().map(|j| text(j).to_owned()));
    // Which second part belongs to which first one, nothing tells.
    assert_eq!(texts, ["A1 […]", "B1 A2", "[…]B2"]);
}

#[test]
fn a_repetition_pushes_no_message_out_and_is_forgotten() {
    let mut assembly = Assembly::default();
    run(&mut assembly, &[part(1, 2, 1, b"A "), part(1, 2, 2, b"end"), part(2, 2, 1, b"open ")]);
    for total in 3..40 {
        run(&mut assembly, &(1..=total).map(|n| part(1, total, n, b"x")).collect::<Vec<_>>());
        assert!(assembly.add(part(1, total, 1, b"x"), NOW).repeated);
    }
    assert_eq!(run(&mut assembly, &[part(2, 2, 2, b"still")]).0, ["open still"]);
    // Ten minutes later the first part is the beginning of a new message.
    let later = NOW.plus_ms(DONE_MS_MAX);
    let added = assembly.add(part(1, 39, 1, b"x"), later);
    assert!(!added.repeated && added.changed);
    assert_eq!(text(&assembly.overdue(later.plus_ms(HOLD_MS), HOLD_MS)[0]), "x[…]");
}

#[test]
fn a_new_message_keeps_a_first_part_that_was_said_before() {
    // The second letter begins just before the first one is forgotten, by time or by number, and
    // goes on just after that.
    let letter = [part(1, 2, 1, b"Dear customer, "), part(1, 2, 2, b"May 10.")];
    let last = part(1, 2, 2, b"June 20.");
    for (others, began, went_on) in [(0, DONE_MS_MAX - 1, DONE_MS_MAX + 1), (DONE_MAX as u16, 1, 2)] {
        let mut assembly = Assembly::default();
        run(&mut assembly, &letter);
        assert!(assembly.add(letter[0].clone(), NOW.plus_ms(began)).repeated);
        for reference in 100..100 + others {
            run(&mut assembly, &[part(reference, 2, 1, b"x"), part(reference, 2, 2, b"y")]);
        }
        let added = assembly.add(last.clone(), NOW.plus_ms(went_on));
        assert_eq!(added.joined.first().map(text), Some("Dear customer, June 20."), "{others}");
    }
}

#[test]
fn an_incomplete_message_is_completed_by_what_comes_late() {
    let mut assembly = Assembly::default();
    run(&mut assembly, &[part(1, 2, 1, b"A ")]);
    let given_up = NOW.plus_ms(HOLD_MS);
    assert_eq!(text(&assembly.overdue(given_up, HOLD_MS)[0]), "A […]");
    // The server repeats both parts after its trouble: now the message is whole.
    assert!(assembly.add(part(1, 2, 1, b"A "), given_up).joined.is_empty());
    assert_eq!(text(&assembly.add(part(1, 2, 2, b"end"), given_up).joined[0]), "A end");
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

    /// Messages in order under one reference, with repetitions of parts of earlier ones at any
    /// place between messages: each message comes out once, unless it equals an earlier one.
    #[test]
    fn messages_under_one_reference_come_out_whole(
        bodies in proptest::collection::vec(("[ab]", "[ab]", "[ab]"), 1..12),
        repeats in proptest::collection::vec((0_usize..12, 1_u8..=3, 0_usize..12), 0..8),
    ) {
        let of = |n: usize, number: u8| {
            let (a, b, c) = &bodies[n];
            part(1, 3, number, [a, b, c][usize::from(number) - 1].as_bytes())
        };
        let mut assembly = Assembly::default();
        let (mut came, mut expected) = (Vec::new(), Vec::<String>::new());
        let mut now = NOW;
        for (n, (a, b, c)) in bodies.iter().enumerate() {
            for number in 1..=3 {
                let added = assembly.add(of(n, number), now);
                came.extend(added.joined.iter().map(|joined| text(joined).to_owned()));
            }
            let whole = format!("{a}{b}{c}");
            if !expected.contains(&whole) {
                expected.push(whole);
            }
            for (of_message, number, after) in &repeats {
                // The last parts only: a repetition of a first one may begin the next message.
                if *after == n && *of_message == n && *number == 3 {
                    came.extend(assembly.add(of(n, 3), now).joined.iter().map(|j| text(j).to_owned()));
                }
            }
            now = now.plus_ms(SETTLE_MS);
            came.extend(assembly.overdue(now, HOLD_MS).iter().map(|joined| text(joined).to_owned()));
        }
        prop_assert_eq!(came, expected);
        prop_assert!(assembly.overdue(now.plus_ms(HOLD_MS), HOLD_MS).is_empty());
    }

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

/// Senders with little-endian texts mark the first part, or each (vumi 812).
#[test]
fn the_mark_of_the_first_part_holds_for_all() {
    let text_of = |numbers: &[u8], is_marked: fn(u8) -> bool| {
        let mut assembly = Assembly::default();
        let words = ["ab", "cé", "ef"];
        for number in numbers {
            let mark: &[u8] = if is_marked(*number) { b"\xFF\xFE" } else { b"" };
            let units = words[usize::from(*number) - 1].encode_utf16().flat_map(u16::to_le_bytes);
            let octets: Vec<u8> = mark.iter().copied().chain(units).collect();
            let part = PartReceived { alphabet: Alphabet::Ucs2, ..part(9, 3, *number, &octets) };
            let added = assembly.add(part, NOW);
            if let Some(joined) = added.joined.first() {
                return (text(joined).to_owned(), joined.lossy);
            }
        }
        let joined = assembly.close_oldest(NOW).unwrap();
        (text(&joined).to_owned(), joined.lossy)
    };
    assert_eq!(text_of(&[3, 1, 2], |number| number == 1), ("abcéef".into(), false));
    assert_eq!(text_of(&[1, 2, 3], |_| true), ("abcéef".into(), false));
    assert_eq!(text_of(&[1, 3], |number| number == 1), ("ab[…]ef".into(), false));
}
