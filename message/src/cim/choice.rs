//! Matches a customer's answer to the lines of a numbered list. Never guesses: an answer that fits
//! two different choices fits none.

use super::markdown;
use crate::content::Choice;

/// Longest answer in bytes that is matched; a longer text is an ordinary message.
const ANSWER_BYTES_MAX: usize = 1_024;

/// Returns the index of the choice that an answer names.
///
/// An answer is the choice's label (`2`, `2.`, `2 A`, digits of any script), the number of a card
/// that has a single choice, or the title in any case.
pub fn choice(choices: &[Choice], answer: &str) -> Option<usize> {
    if answer.len() > ANSWER_BYTES_MAX {
        return None;
    }
    let wanted = folded(answer);
    if wanted.is_empty() {
        return None;
    }
    let label: String = wanted.chars().filter(|c| !c.is_whitespace()).map(digit).collect();
    let label = label.trim_matches(['.', ')', '(', ':', '#', '\u{FE0F}', '\u{20E3}']).replace('\u{FE0F}', "");
    by(choices, |choice| *choice.label == *label)
        .or_else(|| by(choices, |choice| is_card(&choice.label, &label)))
        .or_else(|| by(choices, |choice| folded(&markdown::plain(&choice.title)) == wanted))
}

/// Returns the only choice for which `holds` is true, or the first of several with one payload.
fn by(choices: &[Choice], holds: impl Fn(&Choice) -> bool) -> Option<usize> {
    let mut found = choices.iter().enumerate().filter(|(_, choice)| holds(choice));
    let (index, first) = found.next()?;
    found.all(|(_, other)| other.payload == first.payload).then_some(index)
}

/// Returns whether a label such as `2a` belongs to card `number`.
fn is_card(label: &str, number: &str) -> bool {
    let letters = label.strip_prefix(number).unwrap_or_default();
    !number.is_empty() && !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Returns the text in lower case without surrounding space and final `.` or `!`.
fn folded(text: &str) -> String {
    text.trim().trim_end_matches(['.', '!']).trim_end().to_lowercase()
}

/// Converts Arabic, Persian, Devanagari, Bengali and full-width digits to ASCII.
fn digit(c: char) -> char {
    const ZEROS: [u32; 5] = [0x0660, 0x06F0, 0x0966, 0x09E6, 0xFF10];
    let value = ZEROS.iter().find_map(|zero| u32::from(c).checked_sub(*zero).filter(|value| *value < 10));
    value.and_then(|value| char::from_digit(value, 10)).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(lines: &[(&str, &str, &str)]) -> Vec<Choice> {
        let choice = |(label, title, payload): &(&str, &str, &str)| Choice {
            label: (*label).into(),
            title: (*title).into(),
            payload: (*payload).into(),
        };
        lines.iter().map(choice).collect()
    }

    #[test]
    fn an_answer_is_a_label_or_a_title() {
        let choices =
            list(&[("1", "Sales", "s"), ("2", "Help!", "h"), ("3", "12", "dozen"), ("12", "x", "x")]);
        for (answer, index) in [
            (" 2. ", Some(1)),
            ("(1)", Some(0)),
            ("#3", Some(2)),
            ("٢", Some(1)),
            ("2️⃣", Some(1)),
            ("SALES", Some(0)),
            ("help", Some(1)),
            ("12", Some(3)),
            ("4", None),
            ("", None),
            (".", None),
            ("1 2 please", None),
        ] {
            assert_eq!(choice(&choices, answer), index, "{answer}");
        }
    }

    #[test]
    fn a_card_number_alone_is_an_answer_only_when_unambiguous() {
        let choices =
            list(&[("1a", "Buy", "b1"), ("1b", "More", "m1"), ("2a", "Buy", "b2"), ("10a", "No", "n")]);
        for (answer, index) in
            [("1B", Some(1)), ("1 b", Some(1)), ("2", Some(2)), ("1", None), ("buy", None), ("more", Some(1))]
        {
            assert_eq!(choice(&choices, answer), index, "{answer}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_parsed(answer in "\\PC{0,20}|[0-9a-c.) ]{0,6}", titles in prop::collection::vec("\\PC{0,9}", 0..5)) {
            let choices: Vec<Choice> = titles
                .iter()
                .enumerate()
                .map(|(at, title)| Choice {
                    label: (at + 1).to_string().into(),
                    title: title.as_str().into(),
                    payload: at.to_string().into(),
                })
                .collect();
            if let Some(found) = choice(&choices, &answer) {
                prop_assert!(found < choices.len());
            }
            for at in 0..choices.len() {
                prop_assert_eq!(choice(&choices, &format!("{}", at + 1)), Some(at));
            }
        }
    }
}
