//! Hints for misspelt words: the nearest known one, or all of them.

use std::collections::BTreeSet;

/// Maximum number of characters of a word that are compared.
const COMPARED_CHARACTERS_MAX: usize = 100;

/// Returns `; did you mean "x"?` when a known word is close to the one found, otherwise the list of
/// known words.
pub fn suggestion<'k>(found: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    let mut seen = BTreeSet::new();
    known.retain(|word| seen.insert(*word));
    let nearest = known.iter().map(|k| (distance(found, k), *k)).min();
    match nearest {
        Some((far, word)) if far < word.len() && far <= 2.max(1 + word.len() / 4) => {
            format!("; did you mean {word:?}?")
        }
        Some(_) => format!("; known: {}", known.join(", ")),
        None => String::new(),
    }
}

/// Returns the Levenshtein distance of two words, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.to_lowercase().chars().take(COMPARED_CHARACTERS_MAX).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (slot, cb) in row.iter_mut().skip(1).zip(&b) {
            let up = *slot;
            let cost = diagonal + usize::from(ca != *cb);
            left = cost.min(up + 1).min(left + 1);
            diagonal = up;
            *slot = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, far) in [("", "", 0), ("abc", "abc", 0), ("abc", "abd", 1), ("sned_rate", "send_rate", 2)]
        {
            assert_eq!(distance(a, b), far, "{a} {b}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }
}
