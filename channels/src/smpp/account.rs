//! The typed `[channel.account]` of SMPP channels.
//!
//! Unconfirmed in the field and therefore settings, with their defaults: the SMSC's default
//! alphabet (`gsm7`), the concatenation (`udh8`), TON/NPI of short codes (3/0), the base of receipt
//! ids (`auto`).

use std::{collections::BTreeMap, time::Duration};

use message::event::{Alphabet, Concatenation};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    numbering::Numbering,
    pdu::BindKind,
    receipt::words::ReceiptWords,
    settings::{DefaultAlphabet, RELATIVE_DAYS_MAX, Transliteration, UnknownNumbers, ValidityForm},
    status::Class,
};
use crate::text::{incoming::Decoding, national::Language, split};

/// The directions that an account binds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BindRole {
    /// Both directions on one connection.
    Transceiver,
    /// A transmitter and a receiver connection for each of `binds`.
    Pair,
    /// Outbound only.
    Transmitter,
    /// Inbound only.
    Receiver,
}

/// The spelling of receipt ids compared with submit_sm_resp ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptIds {
    /// Every plausible spelling is tried, exact first.
    Auto,
    /// Only the exact spelling.
    Exact,
    /// Answers are hexadecimal, receipts decimal.
    HexToDecimal,
    /// Answers are decimal, receipts hexadecimal.
    DecimalToHex,
}

/// The extent of one receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptScope {
    /// One part; a message of several parts has several receipts.
    #[default]
    Part,
    /// The whole message, under the id of any of its parts.
    Message,
}

/// `[channel.account]` of an `smpp` channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The SMSC's host name or address.
    pub host: Box<str>,
    /// The port (2775 plain, 3550 TLS by registration).
    #[serde(default = "default_port")]
    pub port: u16,
    /// Whether SMPP runs inside TLS; the certificate is verified.
    #[serde(default)]
    pub tls: bool,
    /// A PEM file with trusted roots instead of the built-in ones.
    #[serde(default)]
    pub tls_ca: Option<Box<str>>,
    /// The account's name: at most 15 characters by the standard.
    pub system_id: Box<str>,
    /// The password: at most 8 characters by the standard, more at many servers.
    pub password: SecretString,
    /// The system type: at most 12 characters, often empty.
    #[serde(default)]
    pub system_type: Box<str>,
    /// The role of the binds.
    #[serde(default = "default_bind")]
    pub bind: BindRole,
    /// Number of connections (pairs for `pair`): 1 to 64.
    #[serde(default = "default_binds")]
    pub binds: u16,
    /// Maximum number of unanswered submits per bind: 1 to 10,000.
    #[serde(default = "default_window")]
    pub window: u16,
    /// The interface version: 0x34 for 3.4, 0x50 for 5.0.
    #[serde(default = "default_interface_version")]
    pub interface_version: u8,
    /// The address range requested by a receiving bind.
    #[serde(default)]
    pub address_range: Box<str>,
    /// TON of the address range: 0 to 7.
    #[serde(default)]
    pub addr_ton: u8,
    /// NPI of the address range: 0 to 18.
    #[serde(default)]
    pub addr_npi: u8,
    /// Silence after which an enquire_link is sent.
    #[serde(default = "default_enquire_link", with = "humantime_serde")]
    pub enquire_link: Duration,
    /// Maximum time to wait for an answer; the part is then in doubt.
    #[serde(default = "default_reply_timeout", with = "humantime_serde")]
    pub reply_timeout: Duration,
    /// Maximum duration of a bind.
    #[serde(default = "default_bind_timeout", with = "humantime_serde")]
    pub bind_timeout: Duration,
    /// Maximum duration of connecting.
    #[serde(default = "default_connect_timeout", with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// registered_delivery of each submit: 0 none, 1 always, 2 on failure only; plus 16 for
    /// intermediate notifications.
    #[serde(default = "default_registered_delivery")]
    pub registered_delivery: u8,
    /// The service_type of each submit.
    #[serde(default)]
    pub service_type: Box<str>,
    /// TON of our own address; derived from its form when absent.
    #[serde(default)]
    pub source_ton: Option<u8>,
    /// NPI of our own address; derived from its form when absent.
    #[serde(default)]
    pub source_npi: Option<u8>,
    /// TON of the customer's address; derived from its form when absent.
    #[serde(default)]
    pub dest_ton: Option<u8>,
    /// NPI of the customer's address; derived from its form when absent.
    #[serde(default)]
    pub dest_npi: Option<u8>,
    /// The country of national numbers, which makes them international.
    #[serde(default)]
    pub country_code: Box<str>,
    /// With `country_code`: the prefix of national numbers that international ones lack; the
    /// country's when absent.
    #[serde(default)]
    pub trunk_prefix: Option<Box<str>>,
    /// With `country_code`: the meaning of inbound numbers of unknown type.
    #[serde(default = "default_unknown_numbers")]
    pub unknown_numbers: UnknownNumbers,
    /// The form of the validity on the wire.
    #[serde(default = "default_validity_form")]
    pub validity_form: ValidityForm,
    /// The alphabet of data_coding 0 in both directions.
    #[serde(default = "default_alphabet")]
    pub default_alphabet: DefaultAlphabet,
    /// The alphabet of data_coding 0 in what the SMSC delivers; absent: `default_alphabet`.
    #[serde(default)]
    pub alphabet_in: Option<DefaultAlphabet>,
    /// The alphabet of data_coding 0 in what is submitted; absent: `default_alphabet`.
    #[serde(default)]
    pub alphabet_out: Option<DefaultAlphabet>,
    /// The way the parts of a long text are marked.
    #[serde(default = "default_concatenation", deserialize_with = "concatenation")]
    pub concatenation: Concatenation,
    /// When typographic characters are replaced so that the text fits the default alphabet.
    #[serde(default = "Transliteration::off")]
    pub transliterate: Transliteration,
    /// With `transliterate`: whether accents that the alphabet lacks are dropped as well.
    #[serde(default)]
    pub strip_accents: bool,
    /// A national shift table (`tr`, `es`, `pt`) to use when it avoids UCS-2.
    #[serde(default, deserialize_with = "national_language")]
    pub national_language: Option<Language>,
    /// Maximum number of parts of one message; a longer one is refused.
    #[serde(default = "default_parts_max")]
    pub parts_max: u16,
    /// Maximum length of a text, in Unicode code points; a longer one is refused.
    #[serde(default = "default_characters_max")]
    pub characters_max: usize,
    /// The spelling of receipt ids.
    #[serde(default = "default_receipt_ids")]
    pub receipt_ids: ReceiptIds,
    /// The extent of one receipt: `part` or `message`.
    #[serde(default)]
    pub receipts: ReceiptScope,
    /// Words and numbers of the vendor for the state of a part: word to `delivered`, `failed`,
    /// `expired`, `rejected`, `sent`, `enroute`.
    #[serde(default)]
    pub receipt_words: ReceiptWords,
    /// Time without a final receipt after which query_sm is sent; absent: never.
    #[serde(default, with = "humantime_serde")]
    pub query_after: Option<Duration>,
    /// Overrides of the reaction to a status: code (decimal or 0x...) to `retry`, `throttled`,
    /// `permanent`.
    #[serde(default, deserialize_with = "error_classes")]
    pub errors: BTreeMap<u32, Class>,
}

fn default_port() -> u16 {
    2775
}
fn default_bind() -> BindRole {
    BindRole::Transceiver
}
fn default_binds() -> u16 {
    1
}
fn default_window() -> u16 {
    10
}
fn default_interface_version() -> u8 {
    0x34
}
fn default_enquire_link() -> Duration {
    Duration::from_secs(30)
}
fn default_reply_timeout() -> Duration {
    Duration::from_secs(60)
}
fn default_bind_timeout() -> Duration {
    Duration::from_secs(30)
}
fn default_connect_timeout() -> Duration {
    Duration::from_secs(10)
}
fn default_registered_delivery() -> u8 {
    1
}
fn default_alphabet() -> DefaultAlphabet {
    DefaultAlphabet::Gsm7
}
fn default_unknown_numbers() -> UnknownNumbers {
    UnknownNumbers::International
}
fn default_validity_form() -> ValidityForm {
    ValidityForm::Relative
}
fn default_concatenation() -> Concatenation {
    Concatenation::Udh8
}
fn default_parts_max() -> u16 {
    split::PARTS_MAX
}
fn default_characters_max() -> usize {
    split::CHARACTERS_MAX as usize
}
fn default_receipt_ids() -> ReceiptIds {
    ReceiptIds::Auto
}

fn concatenation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Concatenation, D::Error> {
    let word = String::deserialize(deserializer)?;
    CONCATENATIONS
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, concatenation)| *concatenation)
        .ok_or_else(|| D::Error::unknown_variant(&word, &["udh8", "udh16", "sar", "payload"]))
}

fn national_language<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Language>, D::Error> {
    let code = String::deserialize(deserializer)?;
    match code.as_str() {
        "tr" => Ok(Some(Language::Turkish)),
        "es" => Ok(Some(Language::Spanish)),
        "pt" => Ok(Some(Language::Portuguese)),
        _ => Err(D::Error::custom(format!("national_language is {code:?}, expected tr, es or pt"))),
    }
}

fn error_classes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u32, Class>, D::Error> {
    let entry = |(code, word): (String, String)| {
        let number = match code.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => code.parse(),
        };
        let number = number.map_err(|_| {
            D::Error::custom(format!("errors.{code} is not a status code, expected e.g. \"0x58\" or \"88\""))
        })?;
        let class = match word.as_str() {
            "retry" => Class::Retry { after_ms: 30_000 },
            "throttled" => Class::Throttled { after_ms: 0 },
            "queue_full" => Class::QueueFull,
            "permanent" => Class::Permanent,
            "credentials" => Class::CredentialsRefused,
            other => {
                let problem = format!(
                    "errors.{code} is {other:?}, expected retry, throttled, queue_full, permanent or credentials"
                );
                return Err(D::Error::custom(problem));
            }
        };
        Ok((number, class))
    };
    BTreeMap::<String, String>::deserialize(deserializer)?.into_iter().map(entry).collect()
}

const CONCATENATIONS: [(&str, Concatenation); 4] = [
    ("udh8", Concatenation::Udh8),
    ("udh16", Concatenation::Udh16),
    ("sar", Concatenation::Sar),
    ("payload", Concatenation::Payload),
];

/// A setting outside its bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct InvalidSetting {
    /// The key of `[channel.account]`.
    pub key: &'static str,
    /// The value found and the value expected.
    pub problem: String,
}

impl Account {
    /// Checks the bounds of every setting.
    ///
    /// # Errors
    /// Names the first key whose value is out of bounds, and what is expected.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let wrong = |key, problem: String| Err(InvalidSetting { key, problem });
        let range = |key, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            wrong(key, format!("is {value}, expected {least} to {most}"))
        };
        if self.host.is_empty() {
            return wrong("host", "is empty, expected a host name or address".into());
        }
        if self.port == 0 {
            return wrong("port", "is 0, expected 1 to 65535".into());
        }
        range("system_id", self.system_id.len(), 1, 64)?;
        range("system_type", self.system_type.len(), 0, 12)?;
        range("address_range", self.address_range.len(), 0, 40)?;
        range("service_type", self.service_type.len(), 0, 5)?;
        range("binds", usize::from(self.binds), 1, 64)?;
        range("window", usize::from(self.window), 1, 10_000)?;
        range("parts_max", usize::from(self.parts_max), 1, 255)?;
        range("characters_max", self.characters_max, 1, 65_535)?;
        range("registered_delivery", usize::from(self.registered_delivery), 0, 31)?;
        for (key, ton) in
            [("addr_ton", Some(self.addr_ton)), ("source_ton", self.source_ton), ("dest_ton", self.dest_ton)]
        {
            range(key, usize::from(ton.unwrap_or_default()), 0, 7)?;
        }
        for (key, npi) in
            [("addr_npi", Some(self.addr_npi)), ("source_npi", self.source_npi), ("dest_npi", self.dest_npi)]
        {
            range(key, usize::from(npi.unwrap_or_default()), 0, 18)?;
        }
        for (key, text) in [
            ("system_id", &self.system_id),
            ("system_type", &self.system_type),
            ("address_range", &self.address_range),
            ("service_type", &self.service_type),
        ] {
            if !text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
                return wrong(key, format!("is {text:?}, expected ASCII: SMPP carries nothing else there"));
            }
        }
        self.check_numbers()?;
        self.check_alphabets()
    }

    fn check_numbers(&self) -> Result<(), InvalidSetting> {
        let wrong = |key, problem: String| Err(InvalidSetting { key, problem });
        let digits = |text: &str, most: usize| text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
        let code = &self.country_code;
        if !digits(code, 3) || code.starts_with('0') {
            return wrong("country_code", format!("is {code:?}, expected 1 to 3 digits such as \"44\""));
        }
        if let Some(trunk) = self.trunk_prefix.as_deref().filter(|trunk| !digits(trunk, 3)) {
            return wrong("trunk_prefix", format!("is {trunk:?}, expected up to 3 digits such as \"0\""));
        }
        let needs = "has no effect without country_code: add country_code = \"...\", or remove this key";
        match code.is_empty() {
            true if self.trunk_prefix.is_some() => wrong("trunk_prefix", needs.into()),
            true if self.unknown_numbers == UnknownNumbers::National => {
                wrong("unknown_numbers", needs.into())
            }
            _ => Ok(()),
        }
    }

    fn check_alphabets(&self) -> Result<(), InvalidSetting> {
        let wrong = |key, problem: String| Err(InvalidSetting { key, problem });
        let (out, key) = match self.alphabet_out {
            Some(out) => (out, "alphabet_out"),
            None => (self.default_alphabet, "default_alphabet"),
        };
        if !out.is_outbound() {
            let fix = match self.alphabet_out {
                Some(_) => "expected \"gsm7\", \"latin1\" or \"ascii\"",
                None => "which is only for inbound texts: set alphabet_in",
            };
            return wrong(key, format!("is {:?}, {fix}", out.word()));
        }
        if self.national_language.is_some() && out != DefaultAlphabet::Gsm7 {
            let problem = format!("needs GSM 03.38, but {key} is {:?}: remove one of them", out.word());
            return wrong("national_language", problem);
        }
        if self.strip_accents && self.transliterate == Transliteration::Off {
            return wrong(
                "strip_accents",
                "has no effect without transliterate: set transliterate = \"on\"".into(),
            );
        }
        Ok(())
    }

    /// Returns how numbers become addresses for this account.
    pub fn numbering(&self) -> Numbering<'_> {
        Numbering {
            country_code: &self.country_code,
            trunk_prefix: self.trunk_prefix.as_deref(),
            unknown_is_national: self.unknown_numbers == UnknownNumbers::National,
        }
    }

    /// Returns the alphabet of data_coding 0 in what is submitted.
    pub fn outbound_alphabet(&self) -> DefaultAlphabet {
        self.alphabet_out.unwrap_or(self.default_alphabet)
    }

    /// Returns what of a validity the SMSC is not told, in words for the business.
    pub fn untold_validity(&self, ms: u64) -> Option<String> {
        const DAY_MS: u64 = 24 * 3_600_000;
        if self.validity_form != ValidityForm::Relative || ms <= RELATIVE_DAYS_MAX * DAY_MS {
            return None;
        }
        Some(format!(
            "the SMSC is told a validity of {RELATIVE_DAYS_MAX} days instead of {}: a relative validity cannot \
             be longer (validity_form = \"absolute\" can)",
            ms.div_ceil(DAY_MS)
        ))
    }

    /// Returns how texts are split for this account.
    pub fn policy(&self) -> split::Policy {
        let alphabet = self.outbound_alphabet();
        split::Policy {
            gsm7: alphabet == DefaultAlphabet::Gsm7,
            latin1: matches!(alphabet, DefaultAlphabet::Latin1 | DefaultAlphabet::Ascii),
            ascii: alphabet == DefaultAlphabet::Ascii,
            national: self.national_language,
            concatenation: self.concatenation,
            transliterate: self.transliterate != Transliteration::Off,
            one_part_only: self.transliterate == Transliteration::OnePart,
            to_ascii: self.transliterate == Transliteration::Ascii,
            strip_accents: self.strip_accents,
            parts_max: self.parts_max,
            characters_max: u32::try_from(self.characters_max).unwrap_or(split::CHARACTERS_MAX),
            ..split::Policy::default()
        }
    }

    /// Returns how inbound texts are decoded for this account.
    pub fn decoding(&self) -> Decoding {
        let alphabet = self.alphabet_in.unwrap_or(self.default_alphabet);
        let default_alphabet = match alphabet {
            DefaultAlphabet::Gsm7 | DefaultAlphabet::Gsm7Packed => Alphabet::Gsm7,
            DefaultAlphabet::Latin1 | DefaultAlphabet::Ascii => Alphabet::Latin1,
            DefaultAlphabet::Utf8 => Alphabet::Provider,
            DefaultAlphabet::Ucs2 => Alphabet::Ucs2,
        };
        let packed = alphabet == DefaultAlphabet::Gsm7Packed;
        Decoding { default_alphabet, packed, ..Decoding::default() }
    }

    /// Returns the kind of each connection to open.
    pub fn connections(&self) -> Vec<BindKind> {
        let one: &[BindKind] = match self.bind {
            BindRole::Transceiver => &[BindKind::Transceiver],
            BindRole::Pair => &[BindKind::Transmitter, BindKind::Receiver],
            BindRole::Transmitter => &[BindKind::Transmitter],
            BindRole::Receiver => &[BindKind::Receiver],
        };
        (0..self.binds).flat_map(|_| one.iter().copied()).collect()
    }
}
