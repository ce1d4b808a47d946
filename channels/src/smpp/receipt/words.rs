//! The words and numbers by which receipts tell the state of a part, and what each means. Built in
//! are the specification's, in the spellings seen in the field, and `FAILED`; a vendor's own are
//! given by the account, because their meaning differs from vendor to vendor.

use std::collections::BTreeMap;

use message::{PartState, PartStatus};
use serde::{Deserialize, Deserializer, de::Error as _};

/// Maximum number of words that an account may give.
const WORDS_MAX: usize = 1_000;

/// A vendor's own words with their meanings; they count before those that are built in. A word is
/// found in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptWords(BTreeMap<Box<str>, Outcome>);

impl ReceiptWords {
    /// Returns what a word means, if that is known. The word is in capitals.
    pub(super) fn meaning(&self, word: &str) -> Option<Outcome> {
        self.0.get(word).copied().or_else(|| Outcome::of_word(word))
    }

    /// Returns what a `message_state` means, if that is known. The account may give a number a
    /// meaning as well.
    pub(super) fn meaning_of_state(&self, state: u8) -> Option<Outcome> {
        Outcome::of_state(state).or_else(|| self.0.get(state.to_string().as_str()).copied())
    }
}

impl<'de> Deserialize<'de> for ReceiptWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = BTreeMap::<String, String>::deserialize(deserializer)?;
        if words.len() > WORDS_MAX {
            let problem = format!("receipt_words has {} words, the limit is {WORDS_MAX}", words.len());
            return Err(D::Error::custom(problem));
        }
        let meaning = |(word, meaning): (String, String)| {
            let outcome = Outcome::of_setting(&meaning).ok_or_else(|| {
                D::Error::custom(format!(
                    "receipt_words.{word} is {meaning:?}, expected delivered, failed, expired, rejected, sent or \
                     enroute"
                ))
            })?;
            Ok((word.trim().to_uppercase().into(), outcome))
        };
        words.into_iter().map(meaning).collect::<Result<_, _>>().map(Self)
    }
}

/// The outcome, as SMPP numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Scheduled,
    Enroute,
    Delivered,
    Expired,
    Deleted,
    Undeliverable,
    Accepted,
    Unknown,
    Rejected,
    Skipped,
}

impl Outcome {
    fn of_state(state: u8) -> Option<Self> {
        Some(match state {
            0 => Outcome::Scheduled,
            1 => Outcome::Enroute,
            2 => Outcome::Delivered,
            3 => Outcome::Expired,
            4 => Outcome::Deleted,
            5 => Outcome::Undeliverable,
            6 => Outcome::Accepted,
            7 => Outcome::Unknown,
            8 => Outcome::Rejected,
            9 => Outcome::Skipped,
            _ => return None,
        })
    }

    /// Returns the outcome of a word: appendix B of SMPP 3.4, section 4.7.15 of SMPP 5.0, the full
    /// names of section 5.2.28, and both cut at seven letters.
    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "SCHEDULED" | "SCHEDLD" | "SCHEDUL" => Outcome::Scheduled,
            "ENROUTE" | "EN_ROUTE" | "BUFFRED" | "BUFFERD" | "BUFFERED" | "BUFFERE" => Outcome::Enroute,
            "DELIVRD" | "DELIVERD" | "DELIVERED" | "DELIVER" => Outcome::Delivered,
            "EXPIRED" => Outcome::Expired,
            "DELETED" => Outcome::Deleted,
            "UNDELIV" | "UNDELIVERED" | "UNDELIVERABLE" | "UNDELIVRD" | "FAILED" => Outcome::Undeliverable,
            "ACCEPTD" | "ACCEPTED" | "ACCEPTE" | "ACKED" => Outcome::Accepted,
            "UNKNOWN" => Outcome::Unknown,
            "REJECTD" | "REJECTED" | "REJECTE" => Outcome::Rejected,
            "SKIPPED" => Outcome::Skipped,
            _ => return None,
        })
    }

    fn of_setting(meaning: &str) -> Option<Self> {
        Some(match meaning {
            "delivered" => Outcome::Delivered,
            "failed" => Outcome::Undeliverable,
            "expired" => Outcome::Expired,
            "rejected" => Outcome::Rejected,
            "sent" => Outcome::Accepted,
            "enroute" => Outcome::Enroute,
            _ => return None,
        })
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Outcome::Scheduled => "SCHEDULED",
            Outcome::Enroute => "ENROUTE",
            Outcome::Delivered => "DELIVRD",
            Outcome::Expired => "EXPIRED",
            Outcome::Deleted => "DELETED",
            Outcome::Undeliverable => "UNDELIV",
            Outcome::Accepted => "ACCEPTD",
            Outcome::Unknown => "UNKNOWN",
            Outcome::Rejected => "REJECTD",
            Outcome::Skipped => "SKIPPED",
        }
    }

    /// Returns the state of the part: any receipt proves that the provider accepted it.
    pub(super) fn part_state(self) -> PartState {
        match self {
            Outcome::Scheduled | Outcome::Enroute => PartState::reached(PartStatus::Enroute),
            Outcome::Accepted | Outcome::Unknown => PartState::reached(PartStatus::Sent),
            Outcome::Delivered => PartState::reached(PartStatus::Delivered),
            Outcome::Expired
            | Outcome::Deleted
            | Outcome::Undeliverable
            | Outcome::Rejected
            | Outcome::Skipped => PartState::failure(),
        }
    }
}
