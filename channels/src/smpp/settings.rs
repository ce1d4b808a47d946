//! Choices of an SMPP account in their own words, as `[channel.account]` spells them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The alphabet of data_coding 0 in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DefaultAlphabet {
    /// GSM 03.38, one septet an octet.
    Gsm7,
    /// GSM 03.38, packed: eight septets in seven octets. Inbound only.
    Gsm7Packed,
    /// ISO 8859-1.
    Latin1,
    /// ASCII. Inbound it reads as Latin-1.
    Ascii,
    /// UTF-8. Inbound only.
    Utf8,
    /// UTF-16, big-endian. Inbound only.
    Ucs2,
}

impl DefaultAlphabet {
    /// Returns whether texts can be written in it.
    pub fn is_outbound(self) -> bool {
        matches!(self, Self::Gsm7 | Self::Latin1 | Self::Ascii)
    }

    /// Returns the word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gsm7 => "gsm7",
            Self::Gsm7Packed => "gsm7_packed",
            Self::Latin1 => "latin1",
            Self::Ascii => "ascii",
            Self::Utf8 => "utf8",
            Self::Ucs2 => "ucs2",
        }
    }
}

/// The form of the validity on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValidityForm {
    /// A period (`000002000000000R`), of at most 63 days.
    Relative,
    /// An instant in UTC (`260102000000000+`).
    Absolute,
    /// Nothing: the SMSC decides how long it tries.
    None,
}

/// Maximum length of a relative validity, in days; a longer one is cut to it. Months have no fixed
/// length, and servers differ in how many days they read.
pub const RELATIVE_DAYS_MAX: u64 = 63;

/// The meaning of an inbound number of unknown type (TON 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownNumbers {
    /// It has its country code.
    International,
    /// It lacks its country code.
    National,
}

/// When characters are replaced so that a text fits a cheaper alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transliteration {
    /// Never.
    Off,
    /// Where the whole text then fits the alphabet.
    On,
    /// Where the whole text then fits one part, and did not before.
    OnePart,
    /// Every character beyond ASCII that resembles one of ASCII, where the whole text is ASCII
    /// then.
    Ascii,
}

impl Transliteration {
    pub(super) fn off() -> Self {
        Self::Off
    }
}
