//! Splitting: known check strings, and the rules that hold for every text and policy.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use channels::text::{
    gsm7::Tables,
    national::Language,
    split::{self, Adaptation, Policy, SplitError},
};
use message::event::{Alphabet, Concatenation, Split};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

fn units(part: &split::Part<'_>, alphabet: Alphabet) -> usize {
    if alphabet == Alphabet::Ucs2 { part.octets.len() / 2 } else { part.octets.len() }
}

/// Checks the alphabet and the units of each part, under the default policy with changes.
fn check(text: &str, policy: &Policy, alphabet: Alphabet, expected: &[usize]) {
    let prepared = split::prepare(text, policy, 7).unwrap();
    assert_eq!(prepared.split.alphabet, alphabet, "{text:?}");
    let parts: Vec<_> = split::parts(&prepared.text, prepared.split).collect();
    let found: Vec<_> = parts.iter().map(|part| units(part, alphabet)).collect();
    assert_eq!(found, expected, "{text:?}");
    let count = split::count(&prepared.text, policy).unwrap();
    assert_eq!((usize::from(count.parts), count.units), (expected.len(), expected.iter().sum()), "{text:?}");
}

#[test]
fn the_check_strings() {
    let exact = Policy::default();
    let check_exact = |text: &str, alphabet, units: &[usize]| check(text, &exact, alphabet, units);
    let a = |n: usize| "a".repeat(n);
    check_exact(&(a(159) + "€"), Alphabet::Gsm7, &[153, 8]);
    check_exact(&(a(152) + "€" + &a(100)), Alphabet::Gsm7, &[152, 102]);
    check_exact("Ça va", Alphabet::Gsm7, &[5]);
    check_exact("ça va", Alphabet::Ucs2, &[5]);
    check_exact("naïve", Alphabet::Ucs2, &[5]);
    check_exact(&("[".repeat(76) + "ab"), Alphabet::Gsm7, &[154]);
    check_exact(&"مرحبا".repeat(14), Alphabet::Ucs2, &[70]);
    check_exact(&("مرحبا".repeat(14) + "!"), Alphabet::Ucs2, &[67, 4]);
    check_exact(&("🎉".repeat(34) + "ab"), Alphabet::Ucs2, &[70]);
    check_exact(&("🎉".repeat(34) + "abc"), Alphabet::Ucs2, &[66, 5]);
    check_exact(&(a(66) + "🎉bbbb"), Alphabet::Ucs2, &[66, 6]);
    check_exact("it’s fine", Alphabet::Ucs2, &[9]);
    check_exact("", Alphabet::Gsm7, &[0]);
    check_exact(&a(160), Alphabet::Gsm7, &[160]);
    check_exact(&a(161), Alphabet::Gsm7, &[153, 8]);
    check_exact("a\r\nb", Alphabet::Gsm7, &[3]);
    let cheaper = Policy { transliterate: true, ..Policy::default() };
    check("it’s fine", &cheaper, Alphabet::Gsm7, &[9]);
    check("it’s fine 🎉", &cheaper, Alphabet::Ucs2, &[12]);
}

#[test]
fn a_cluster_moves_whole_to_the_next_part() {
    let family = "👩\u{200D}👩\u{200D}👧";
    // 8 families of 8 units; the 7 letters bring the total to 71, and 3 of them still fit the first
    // part.
    check(&(family.repeat(8) + "abcdefg"), &Policy::default(), Alphabet::Ucs2, &[67, 4]);
    // Here the ninth family would be cut after 3 of its units.
    check(&family.repeat(9), &Policy::default(), Alphabet::Ucs2, &[64, 8]);
    // A cluster longer than any part is cut at code points, at once.
    let endless = "x".repeat(10) + "a" + &"\u{301}".repeat(101);
    check(&endless, &Policy::default(), Alphabet::Ucs2, &[67, 45]);
}

#[test]
fn the_limit_of_the_seed() {
    let parts = |text: String| split::plan(&text, &Policy::default(), 0).map(|split| split.parts);
    assert_eq!(parts("a".repeat(1600)), Ok(11));
    assert_eq!(parts("ш".repeat(1600)), Ok(24));
    assert_eq!(parts("🎉".repeat(800)), Ok(25));
    assert_eq!(parts("a".repeat(1601)), Err(SplitError::TooLong { characters: 1601, max: 1600 }));
    let few = Policy { parts_max: 5, ..Policy::default() };
    assert_eq!(split::plan(&"a".repeat(800), &few, 0), Err(SplitError::TooManyParts { parts: 6, max: 5 }));
    let no_limit = Policy { characters_max: u32::MAX, parts_max: u16::MAX, ..Policy::default() };
    assert_eq!(
        split::plan(&"a".repeat(153 * 256), &no_limit, 0),
        Err(SplitError::TooManyParts { parts: 256, max: 255 })
    );
}

#[test]
fn the_sizes_of_parts() {
    use Alphabet::{Binary, Gsm7, Gsm7Locking, Gsm7Single, Latin1, Ucs2};
    let sizes = |alphabet| {
        [Concatenation::None, Concatenation::Udh8, Concatenation::Udh16, Concatenation::Sar]
            .map(|concatenation| split::units_per_part(alphabet, concatenation))
    };
    assert_eq!(sizes(Gsm7), [160, 153, 152, 152]);
    assert_eq!(sizes(Latin1), [140, 134, 133, 133]);
    assert_eq!(sizes(Binary), [140, 134, 133, 133]);
    assert_eq!(sizes(Ucs2), [70, 67, 66, 66]);
    assert_eq!(sizes(Gsm7Single(1))[..2], [155, 149]);
    assert_eq!(sizes(Gsm7Locking(1))[..2], [152, 146]);
}

#[test]
fn headers() {
    let headers = |policy: &Policy, text: &str| -> Vec<Option<Vec<u8>>> {
        let split = split::plan(text, policy, 0x1234).unwrap();
        split::parts(text, split).map(|part| part.udh.map(|udh| udh.to_vec())).collect()
    };
    let of = |concatenation| Policy { concatenation, ..Policy::default() };
    let long = "a".repeat(161);
    assert_eq!(headers(&of(Concatenation::Udh8), "a"), [None]);
    assert_eq!(
        headers(&of(Concatenation::Udh8), &long),
        [Some(vec![5, 0, 3, 0x34, 2, 1]), Some(vec![5, 0, 3, 0x34, 2, 2])]
    );
    assert_eq!(headers(&of(Concatenation::Udh16), &long)[1], Some(vec![6, 8, 4, 0x12, 0x34, 2, 2]));
    assert_eq!(headers(&of(Concatenation::Sar), &long), [None, None]);
    assert_eq!(headers(&of(Concatenation::Payload), &long), [None]);
    let turkish = Policy { national: Some(Language::Turkish), ..Policy::default() };
    assert_eq!(headers(&turkish, "aş"), [Some(vec![3, 0x24, 1, 1])]);
    assert_eq!(headers(&turkish, &"ş".repeat(150)), [Some(vec![6, 0x24, 1, 1, 0x25, 1, 1])]);
    assert_eq!(
        headers(&turkish, &"ş".repeat(153))[1],
        Some(vec![11, 0, 3, 0x34, 2, 2, 0x24, 1, 1, 0x25, 1, 1])
    );
}

#[test]
fn separate_texts_end_at_a_space_when_one_is_near() {
    let policy = Policy { concatenation: Concatenation::None, ..Policy::default() };
    let texts = |text: &str| -> Vec<usize> {
        let split = split::plan(text, &policy, 0).unwrap();
        split::parts(text, split).map(|part| part.text.len()).collect()
    };
    let words = format!("{} {} {}", "a".repeat(140), "b".repeat(30), "c".repeat(30));
    assert_eq!(texts(&words), [141, 61]);
    let far = format!("{} {}", "a".repeat(100), "b".repeat(80));
    assert_eq!(texts(&far), [160, 21]);
    assert_eq!(texts(&format!("{} {}", "a".repeat(160), "b".repeat(80))), [160, 81]);
    let split = split::plan_texts(&words, 95, 10).unwrap();
    assert_eq!((split.alphabet, split.parts), (Alphabet::Provider, 3));
    let lengths: Vec<_> = split::parts(&words, split).map(|part| part.text.len()).collect();
    assert_eq!(lengths, [95, 77, 30]);
    assert_eq!(split::plan_texts("short", 100, 10), Ok(Split::WHOLE));
}

#[test]
fn what_is_changed_is_said() {
    let policy =
        Policy { replace_emoji: true, strip_accents: true, transliterate: true, ..Policy::default() };
    let prepared = split::prepare("ça\0 va…\r\n🎉 🇫🇷", &policy, 0).unwrap();
    assert_eq!(prepared.text, "ca va...\n? ?");
    assert_eq!(
        prepared.adapted.as_slice(),
        [Adaptation::NulRemoved, Adaptation::EmojiReplaced, Adaptation::Transliterated]
    );
    // Only when the whole text then fits; NFC alone does not justify it.
    let prepared = split::prepare("it’s ш e\u{301}", &policy, 0).unwrap();
    assert_eq!((prepared.text.as_ref(), prepared.adapted.len()), ("it’s ш e\u{301}", 0));
    let only_gsm = Policy { ucs2: false, ..Policy::default() };
    assert_eq!(split::prepare("aшb", &only_gsm, 0), Err(SplitError::NotInAlphabet { character: 'ш' }));
    let latin = Policy { gsm7: false, latin1: true, transliterate: true, ..Policy::default() };
    assert_eq!(split::prepare("‘á’", &latin, 0).unwrap().split.alphabet, Alphabet::Latin1);
    assert_eq!(split::prepare("á[]€", &latin, 0).unwrap().split.alphabet, Alphabet::Ucs2);
}

fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9 ]{1,40}",
        2 => "[\\[\\]{}€^~|\\\\]{1,8}",
        1 => "[éèàÇßΔ£@]{1,8}",
        1 => "[şğıİçãõê]{1,8}",
        1 => "[áâíóúûÿ\u{A0}]{1,8}",
        1 => "\\PC{1,12}",
        1 => Just("👩\u{200D}👩\u{200D}👧".to_owned()),
        1 => Just("🇫🇷🇩🇪👍🏽".to_owned()),
        1 => Just("a\u{301}\u{302}".to_owned()),
        1 => Just("\r\n".to_owned()),
        1 => "\u{301}{60,90}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn policies() -> impl Strategy<Value = Policy> {
    let concatenations = [
        Concatenation::None,
        Concatenation::Udh8,
        Concatenation::Udh16,
        Concatenation::Sar,
        Concatenation::Payload,
    ];
    let languages = [None, Some(Language::Turkish), Some(Language::Spanish), Some(Language::Portuguese)];
    let switches = proptest::collection::vec(any::<bool>(), 7);
    (
        proptest::sample::select(concatenations.to_vec()),
        proptest::sample::select(languages.to_vec()),
        switches,
    )
        .prop_map(|(concatenation, national, on)| Policy {
            concatenation,
            national,
            gsm7: on[0],
            latin1: on[1],
            transliterate: on[2],
            strip_accents: on[3],
            greek_lookalikes: on[4],
            replace_emoji: on[5],
            crlf_to_lf: on[6],
            ..Policy::default()
        })
}

fn cost(text: &str, alphabet: Alphabet) -> usize {
    match alphabet {
        Alphabet::Ucs2 => text.encode_utf16().count(),
        Alphabet::Latin1 => text.chars().count(),
        gsm7 => {
            let tables = Tables::of(gsm7).unwrap();
            text.chars().map(|c| tables.code(c).unwrap().septets()).sum()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_split_obeys_the_rules(text in texts(), policy in policies(), reference: u16) {
        let prepared = split::prepare(&text, &policy, reference).unwrap();
        let (text, cut) = (prepared.text, prepared.split);
        prop_assert_eq!(split::plan(&text, &policy, reference), Ok(cut), "planning is settled by preparing");
        let parts: Vec<_> = split::parts(&text, cut).collect();
        prop_assert_eq!(parts.len(), usize::from(cut.parts));
        let count = split::count(&text, &policy).unwrap();
        prop_assert_eq!((count.parts, count.alphabet), (cut.parts, cut.alphabet));
        prop_assert_eq!(count.units, parts.iter().map(|part| units(part, cut.alphabet)).sum::<usize>());
        let whole: String = parts.iter().map(|part| part.text).collect();
        prop_assert_eq!(&whole, &*text);
        let room = split::units_per_part(cut.alphabet, cut.concatenation);
        for (at, part) in parts.iter().enumerate() {
            prop_assert_eq!(usize::from(part.number), at + 1);
            prop_assert!(units(part, cut.alphabet) <= room);
            prop_assert_eq!(split::part(&text, cut, at as u16), Some(part.clone()));
            let Some(next) = parts.get(at + 1).map(|next| next.text) else { continue };
            let moved = next.graphemes(true).next().map_or(0, |cluster| cost(cluster, cut.alphabet));
            if cut.concatenation != Concatenation::None {
                prop_assert!(units(part, cut.alphabet) + moved > room, "no room is wasted");
            }
        }
        let mut start = 0;
        let cuts: Vec<_> = parts.iter().map(|part| { start += part.text.len(); start }).collect();
        for (at, cluster) in text.grapheme_indices(true) {
            let inside = cuts.iter().any(|cut| at < *cut && *cut < at + cluster.len());
            prop_assert!(!inside || cost(cluster, cut.alphabet) > room, "clusters stay whole");
        }
    }
}

proptest! {
    /// Texts cut by a provider cost the same as texts cut by us.
    #[test]
    fn segments_are_counted_as_they_are_cut(text in "[a-z €]{1,400}|[a-zш ]{1,300}") {
        let policy = Policy { transliterate: false, ..Policy::default() };
        let count = split::count(&text, &policy).unwrap();
        prop_assert_eq!(split::segments(&text), (count.alphabet, usize::from(count.segments)));
    }
}

#[test]
fn segments_of_known_texts() {
    for (text, alphabet, segments) in [
        ("".to_owned(), Alphabet::Gsm7, 1),
        ("a".repeat(160), Alphabet::Gsm7, 1),
        ("a".repeat(161), Alphabet::Gsm7, 2),
        ("€".repeat(81), Alphabet::Gsm7, 2),
        ("ш".repeat(70), Alphabet::Ucs2, 1),
        ("ш".repeat(71), Alphabet::Ucs2, 2),
        ("a".repeat(153 * 300), Alphabet::Gsm7, 300),
    ] {
        assert_eq!(split::segments(&text), (alphabet, segments));
    }
}
