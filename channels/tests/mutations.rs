//! Random damage to known samples: input from outside may not cause a panic, a hang or lost octets.
//! A run prints its seed; `SEED=` repeats it, `FUZZ_SECONDS=` (default 1) sets the duration of each
//! test.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic"
)]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use channels::{
    address::spelling::{IdBase, lookup_spellings, register_spellings},
    smpp::receipt::{Kind, ReceiptPdu, date, kind, parse, words::ReceiptWords},
    text::{
        gsm7,
        incoming::{Concat, Decoding, Raw, decode, read, read_udh},
        join::{Assembly, HOLD_MS, Joined, whole},
        split::{self, Policy},
    },
};
use message::{
    Content, Timestamp,
    event::{Alphabet, Concatenation, PartReceived},
};

/// The generator SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    /// Returns a sample with up to eight damaged places.
    fn damaged(&mut self, samples: &[&[u8]]) -> Vec<u8> {
        let mut octets = samples[self.below(samples.len())].to_vec();
        for _ in 0..self.below(9) {
            let at = self.below(octets.len() + 1);
            match self.below(6) {
                0 if at < octets.len() => octets[at] ^= 1 << self.below(8),
                1 if at < octets.len() => {
                    octets[at] = [0, 1, 0x1B, 0x7F, 0x80, 0xD8, 0xDC, 0xFF][self.below(8)]
                }
                2 => octets.insert(at, self.roll() as u8),
                3 => octets.truncate(at),
                4 => {
                    let end = (at + self.below(9)).min(octets.len());
                    octets.drain(at..end);
                }
                _ => {
                    let other = samples[self.below(samples.len())];
                    let from = self.below(other.len() + 1);
                    octets.splice(at..at, other[from..].iter().copied().take(200));
                }
            }
        }
        octets
    }
}

/// Names the failed round.
struct Round(u64);

impl Drop for Round {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("failed with SEED={}", self.0);
        }
    }
}

/// Runs `one` until the time is up. Each round has its own seed, so that a failure can be repeated
/// at once.
#[allow(clippy::disallowed_methods, reason = "a test's budget of time and its seed come from the real clock")]
fn until_time_is_up(name: &str, mut one: impl FnMut(&mut Dice)) {
    let number = |key| std::env::var(key).ok().and_then(|value| value.parse::<u64>().ok());
    let of_clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = number("SEED").unwrap_or_else(of_clock);
    let end = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(1));
    let mut round = seed;
    while round % 64 != seed % 64 || round == seed || Instant::now() < end {
        let named = Round(round);
        one(&mut Dice(round));
        drop(named);
        round = round.wrapping_add(1);
    }
    println!("{name}: SEED={seed}, {} rounds", round.wrapping_sub(seed));
}

const HEADERS: &[&[u8]] = &[
    b"\x05\x00\x03\x2A\x02\x01hello",
    b"\x06\x08\x04\x01\x02\x03\x03hello",
    b"\x0B\x05\x04\x0B\x84\x23\xF0\x00\x03\x2A\x02\x01\x01\x06",
    b"\x03\x24\x01\x01a\x1Bs",
    b"\x06\x25\x01\x03\x24\x01\x01\x1Bs\x06",
    b"\x0B\x00\x03\x34\x02\x02\x24\x01\x01\x25\x01\x01abc\x1B\x65",
    b"\xD8\x3C\xDF\x89\x06\x45",
    b"",
];

const RECEIPTS: &[&[u8]] = &[
    b"id:0123456789 sub:001 dlvrd:001 submit date:1501021210 done date:1501021211 stat:DELIVRD err:000 text:Hello",
    b"stat:UNDELIV ID: 2A5F3C01 err:12E4 Text:caf\xE9\0\0",
    b"\0i\0d\0:\x007\0 \0s\0t\0a\0t\0:\0E\0X\0P\0I\0R\0E\0D",
    b"Text: id: stat: text:text: submit_date:20251120153045 id:0f9619ff-8b86-d011-b42d-00c04fc964ff",
    b"001 002",
    b"",
];

#[test]
fn headers_and_texts() {
    const ALPHABETS: [Alphabet; 7] = [
        Alphabet::Gsm7,
        Alphabet::Ucs2,
        Alphabet::Latin1,
        Alphabet::Binary,
        Alphabet::Provider,
        Alphabet::Gsm7Single(2),
        Alphabet::Gsm7Locking(9),
    ];
    until_time_is_up("headers_and_texts", |dice| {
        let octets = dice.damaged(HEADERS);
        let (udh, rest) = read_udh(&octets);
        assert_eq!(udh.octets + rest.len(), octets.len());
        assert!(udh.concatenation.is_none_or(|concat| (1..=concat.total).contains(&concat.number)));
        let sar = Concat { reference: 1, total: dice.roll() as u8, number: dice.roll() as u8 };
        let raw = Raw {
            udhi: dice.below(2) == 0,
            data_coding: dice.roll() as u8,
            octets: &octets,
            sar: (dice.below(4) == 0).then_some(sar),
        };
        let decoding = Decoding { packed: dice.below(4) == 0, ..Decoding::default() };
        let incoming = read(&raw, &decoding);
        decode(incoming.alphabet, &incoming.octets);
        whole(ALPHABETS[dice.below(ALPHABETS.len())], &octets);
        let count = dice.below(400);
        gsm7::unpack(&octets, dice.below(9), Some(count));
    });
}

/// A part is told from all others but its repetitions by its total and its only octet.
type PartKey = (u8, u8);

/// How often parts were given, were given and not called repetitions, and came out.
#[derive(Default)]
struct Counts(BTreeMap<PartKey, [usize; 3]>);

impl Counts {
    fn given(&mut self, key: PartKey, is_repetition: bool) {
        let [given, new, _] = self.0.entry(key).or_default();
        *given += 1;
        *new += usize::from(!is_repetition);
    }

    fn taken(&mut self, joined: &Joined) {
        let Content::Binary(octets) = &joined.content else { panic!("not octets: {joined:?}") };
        for octet in octets {
            self.0.entry((joined.total, *octet)).or_default()[2] += 1;
        }
    }
}

/// A part that equals one of a finished message is called a repetition, and still comes out if the
/// rest of its message differs.
#[test]
fn joining_loses_nothing() {
    until_time_is_up("joining_loses_nothing", |dice| {
        let mut assembly = Assembly::default();
        let (mut counts, mut now) = (Counts::default(), Timestamp(0));
        for _ in 0..dice.below(60) {
            let (reference, number) = (dice.below(3) as u16, dice.below(5) as u8);
            let total = dice.below(4) as u8;
            let octet = reference as u8 * 64 + number * 8 + dice.below(3) as u8;
            let octets = [octet].into();
            let part = PartReceived { reference, total, number, octets, alphabet: Alphabet::Binary };
            let pause = [1, 20_000, 1_000_000][dice.below(3)];
            now = now.plus_ms(dice.below(pause) as u64);
            let added = assembly.add(part, now);
            // A part with a contradictory header is a message of its own.
            let is_alone = total < 2 || number == 0 || number > total;
            counts.given((if is_alone { 1 } else { total }, octet), added.repeated);
            let overdue = assembly.overdue(now, HOLD_MS / 50);
            added.joined.iter().chain(&overdue).for_each(|joined| counts.taken(joined));
        }
        assembly.overdue(now.plus_ms(HOLD_MS), HOLD_MS).iter().for_each(|joined| counts.taken(joined));
        for (key, [given, new, taken]) in counts.0 {
            assert!(taken >= new.max(1), "{key:?} came {given} times, {new} new, and {taken} came out");
            assert!(taken <= given, "{key:?} came {given} times, and {taken} came out");
        }
    });
}

#[test]
fn receipts() {
    until_time_is_up("receipts", |dice| {
        let octets = dice.damaged(RECEIPTS);
        let id = dice.damaged(RECEIPTS);
        let source = ReceiptPdu {
            esm_class: dice.roll() as u8,
            text: &octets,
            receipted_message_id: (dice.below(2) == 0).then_some(&id),
            message_state: (dice.below(2) == 0).then_some(dice.below(12) as u8),
            network_error_code: (dice.below(2) == 0).then_some([3, 0, dice.roll() as u8]),
        };
        let words = ReceiptWords::default();
        let of_kind = kind(&source, &words);
        let receipt = parse(&source, of_kind, &words);
        assert!(of_kind != Kind::Intermediate || !receipt.state.is_final());
        receipt.code();
        for raw in [&receipt.submitted, &receipt.done].into_iter().flatten() {
            date(raw);
        }
        for id in &receipt.ids {
            let keys = register_spellings(id);
            let found = lookup_spellings(id, IdBase::Auto);
            assert!(keys.len() <= 2 && found.len() <= 8 && found[0].key == keys[0]);
        }
    });
}

#[test]
fn texts() {
    const TEXTS: &[&[u8]] = &[
        "plain text, then some more of it, long enough for a second part when it is doubled".as_bytes(),
        "🎉👩\u{200D}👩\u{200D}👧🇫🇷🇩🇪👍🏽a\u{301}\u{301}\u{301}".as_bytes(),
        "“typographic” – text… ça\r\n€[]^{}".as_bytes(),
        "مرحبا नमस्ते ΑΒΓΔ \u{FEFF}\0".as_bytes(),
    ];
    const WAYS: [Concatenation; 5] = [
        Concatenation::None,
        Concatenation::Udh8,
        Concatenation::Udh16,
        Concatenation::Sar,
        Concatenation::Payload,
    ];
    until_time_is_up("texts", |dice| {
        let text: String =
            (0..dice.below(6)).map(|_| String::from_utf8_lossy(&dice.damaged(TEXTS)).into_owned()).collect();
        let policy = Policy {
            concatenation: WAYS[dice.below(5)],
            gsm7: dice.below(4) != 0,
            latin1: dice.below(4) == 0,
            transliterate: dice.below(2) == 0,
            replace_emoji: dice.below(4) == 0,
            parts_max: 10,
            ..Policy::default()
        };
        let Ok(prepared) = split::prepare(&text, &policy, dice.roll() as u16) else { return };
        let made = split::parts(&prepared.text, prepared.split).map(|part| part.text.len()).sum::<usize>();
        assert_eq!(made, prepared.text.len());
        // A split of another text is our own mistake, but must not cause a panic.
        let other = message::event::Split { parts: dice.roll() as u16, ..prepared.split };
        split::parts(&text, other).for_each(drop);
    });
}
