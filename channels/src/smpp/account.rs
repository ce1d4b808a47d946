//! The typed `[channel.account]` of SMPP channels.
//!
//! Unconfirmed in the field and therefore settings, with their defaults: the SMSC's default
//! alphabet (`gsm7`), the concatenation (`udh8`), TON/NPI of short codes (3/0), the base of receipt
//! ids (`auto`).

use std::{collections::BTreeMap, time::Duration};

use message::event::{Alphabet, Concatenation};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::{
    numbering::Numbering,
    pdu::BindKind,
    receipt::words::ReceiptWords,
    settings::{DefaultAlphabet, RELATIVE_DAYS_MAX, Transliteration, UnknownNumbers, ValidityForm},
    status::Class,
};
use crate::text::{incoming::Decoding, national::Language, split};

/// The directions that an account binds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptScope {
    /// One part; a message of several parts has several receipts.
    #[default]
    Part,
    /// The whole message, under the id of any of its parts.
    Message,
}

/// `[channel.account]` of an `smpp` channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The SMSC's host name or address.
    pub host: Box<str>,
    /// The port; often 3550 with TLS.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Whether SMPP runs inside TLS; the certificate is verified.
    #[serde(default)]
    pub tls: bool,
    /// A PEM file with trusted roots instead of the built-in ones.
    #[serde(default)]
    pub tls_ca: Option<Box<str>>,
    /// The account's name: at most 15 characters by the standard, 64 here.
    pub system_id: Box<str>,
    /// The account's password: at most 8 characters by the standard, more at many servers.
    #[schemars(with = "String")]
    pub password: SecretString,
    /// The system type of the bind: at most 12 characters, often empty.
    #[serde(default)]
    pub system_type: Box<str>,
    /// The directions to bind for.
    #[serde(default = "default_bind")]
    pub bind: BindRole,
    /// Number of connections, or of pairs.
    #[serde(default = "default_binds")]
    #[schemars(range(min = 1, max = 64))]
    pub binds: u16,
    /// Maximum number of unanswered submits of one connection.
    #[serde(default = "default_window")]
    #[schemars(range(min = 1, max = 10000))]
    pub window: u16,
    /// The interface version: 0x34 (52) for 3.4, 0x50 (80) for 5.0.
    #[serde(default = "default_interface_version")]
    pub interface_version: u8,
    /// The addresses that a receiving bind asks for.
    #[serde(default)]
    pub address_range: Box<str>,
    /// Type of number of `address_range` (SMPP 3.4, 4.1.1).
    #[serde(default)]
    #[schemars(range(min = 0, max = 7))]
    pub addr_ton: u8,
    /// Numbering plan of `address_range`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 18))]
    pub addr_npi: u8,
    /// Silence after which an enquire_link is sent.
    #[serde(default = "default_enquire_link", with = "humantime_serde")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub enquire_link: Duration,
    /// How long an answer is waited for; then the part is in doubt.
    #[serde(default = "default_reply_timeout", with = "humantime_serde")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub reply_timeout: Duration,
    /// How long a bind may take.
    #[serde(default = "default_bind_timeout", with = "humantime_serde")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub bind_timeout: Duration,
    /// How long connecting may take.
    #[serde(default = "default_connect_timeout", with = "humantime_serde")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub connect_timeout: Duration,
    /// Which receipts are asked for: 0 none, 1 always, 2 on failure only; plus 16 for intermediate
    /// notifications.
    #[serde(default = "default_registered_delivery")]
    #[schemars(range(min = 0, max = 31))]
    pub registered_delivery: u8,
    /// The service_type of each submit: at most 5 characters.
    #[serde(default)]
    pub service_type: Box<str>,
    /// Type of number of the sender; by default from its form: 5 for a name, 3 for a short code,
    /// else 1.
    #[serde(default)]
    #[schemars(range(min = 0, max = 7))]
    pub source_ton: Option<u8>,
    /// Numbering plan of the sender; by default from its form.
    #[serde(default)]
    #[schemars(range(min = 0, max = 18))]
    pub source_npi: Option<u8>,
    /// Type of number of the customer, unless the address says its own (`;ton=2`); by default 1,
    /// and 0 up to 8 digits.
    #[serde(default)]
    #[schemars(range(min = 0, max = 7))]
    pub dest_ton: Option<u8>,
    /// Numbering plan of the customer; by default 1.
    #[serde(default)]
    #[schemars(range(min = 0, max = 18))]
    pub dest_npi: Option<u8>,
    /// The country of national numbers, such as `44`: they become international.
    #[serde(default)]
    pub country_code: Box<str>,
    /// With `country_code`: the prefix of national numbers that international ones lack; by default
    /// the country's, mostly 0.
    #[serde(default)]
    pub trunk_prefix: Option<Box<str>>,
    /// With `country_code`: the meaning of inbound numbers of unknown type.
    #[serde(default = "default_unknown_numbers")]
    pub unknown_numbers: UnknownNumbers,
    /// The form in which the SMSC is told a message's validity.
    #[serde(default = "default_validity_form")]
    pub validity_form: ValidityForm,
    /// The alphabet of data_coding 0 in both directions.
    #[serde(default = "default_alphabet")]
    pub default_alphabet: DefaultAlphabet,
    /// The alphabet of data_coding 0 in what the SMSC delivers; by default `default_alphabet`.
    #[serde(default)]
    pub alphabet_in: Option<DefaultAlphabet>,
    /// The alphabet of data_coding 0 in what is submitted: gsm7, latin1 or ascii; by default
    /// `default_alphabet`.
    #[serde(default)]
    pub alphabet_out: Option<DefaultAlphabet>,
    /// The way the parts of a long text are marked.
    #[serde(default = "default_concatenation", deserialize_with = "concatenation")]
    #[schemars(
        with = "String",
        extend("enum" = ["udh8", "udh16", "sar", "payload"], "default" = "udh8")
    )]
    pub concatenation: Concatenation,
    /// When typographic characters are replaced so that the text fits the default alphabet.
    #[serde(default = "Transliteration::off")]
    pub transliterate: Transliteration,
    /// With `transliterate`: whether accents that the alphabet lacks are dropped as well.
    #[serde(default)]
    pub strip_accents: bool,
    /// A national shift table to use when it avoids UCS-2.
    #[serde(default, deserialize_with = "national_language")]
    #[schemars(with = "String", extend("enum" = ["tr", "es", "pt"], "default" = null))]
    pub national_language: Option<Language>,
    /// Maximum number of parts of one message; a longer one is refused.
    #[serde(default = "default_parts_max")]
    #[schemars(range(min = 1, max = 255))]
    pub parts_max: u16,
    /// Maximum length of a text, in Unicode code points; a longer one is refused.
    #[serde(default = "default_characters_max")]
    #[schemars(range(min = 1, max = 65535))]
    pub characters_max: usize,
    /// The spelling of receipt ids compared with those of answers.
    #[serde(default = "default_receipt_ids")]
    pub receipt_ids: ReceiptIds,
    /// The extent of one receipt.
    #[serde(default)]
    pub receipts: ReceiptScope,
    /// The vendor's words and numbers for the state of a part, each with its meaning.
    #[serde(default)]
    #[schemars(
        with = "BTreeMap<String, String>",
        extend("additionalProperties" = {
            "type": "string",
            "enum": ["delivered", "failed", "expired", "rejected", "sent", "enroute"]
        })
    )]
    pub receipt_words: ReceiptWords,
    /// Time without a final receipt after which query_sm is sent; by default never.
    #[serde(default, with = "humantime_serde")]
    #[schemars(with = "Option<String>", extend("format" = "duration"))]
    pub query_after: Option<Duration>,
    /// Other reactions to statuses, by code (decimal or 0x...).
    #[serde(default, deserialize_with = "error_classes")]
    #[schemars(
        with = "BTreeMap<String, String>",
        extend("additionalProperties" = {
            "type": "string",
            "enum": ["retry", "throttled", "queue_full", "permanent", "credentials"]
        }, "default" = {})
    )]
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

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct InvalidSetting {
    /// The key of `[channel.account]`.
    pub key: &'static str,
    /// The value found and the value expected.
    pub problem: String,
}

/// Collects what is wrong with the settings.
#[derive(Default)]
struct Findings(Vec<InvalidSetting>);

impl Findings {
    fn add(&mut self, key: &'static str, problem: impl Into<String>) {
        self.0.push(InvalidSetting { key, problem: problem.into() });
    }
}

impl Account {
    /// Checks texts, and the settings against each other. Types and bounds of numbers are checked
    /// before, from the description of the keys.
    pub fn check(&self) -> Vec<InvalidSetting> {
        let mut wrong = Findings::default();
        if self.host.trim().is_empty() {
            wrong.add("host", "is empty; expected a host name or address");
        }
        for (key, text, least, most) in [
            ("system_id", &self.system_id, 1, 64),
            ("system_type", &self.system_type, 0, 12),
            ("address_range", &self.address_range, 0, 40),
            ("service_type", &self.service_type, 0, 5),
        ] {
            if !(least..=most).contains(&text.len()) {
                let length = text.len();
                wrong.add(key, format!("has {length} characters; expected {least} to {most}"));
            }
            if !text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
                wrong.add(key, format!("found {text:?}; expected ASCII: SMPP carries nothing else there"));
            }
        }
        self.check_numbers(&mut wrong);
        self.check_alphabets(&mut wrong);
        wrong.0
    }

    fn check_numbers(&self, wrong: &mut Findings) {
        let digits = |text: &str, most: usize| text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
        let code = &self.country_code;
        if !digits(code, 3) || code.starts_with('0') {
            wrong.add("country_code", format!("found {code:?}; expected 1 to 3 digits such as \"44\""));
        }
        if let Some(trunk) = self.trunk_prefix.as_deref().filter(|trunk| !digits(trunk, 3)) {
            wrong.add("trunk_prefix", format!("found {trunk:?}; expected up to 3 digits such as \"0\""));
        }
        let needs = "has no effect without country_code: add country_code = \"...\", or remove this key";
        if code.is_empty() && self.trunk_prefix.is_some() {
            wrong.add("trunk_prefix", needs);
        }
        if code.is_empty() && self.unknown_numbers == UnknownNumbers::National {
            wrong.add("unknown_numbers", needs);
        }
    }

    fn check_alphabets(&self, wrong: &mut Findings) {
        let (out, key) = match self.alphabet_out {
            Some(out) => (out, "alphabet_out"),
            None => (self.default_alphabet, "default_alphabet"),
        };
        if !out.is_outbound() {
            let fix = match self.alphabet_out {
                Some(_) => "expected \"gsm7\", \"latin1\" or \"ascii\"",
                None => "which is only for inbound texts: set alphabet_in",
            };
            wrong.add(key, format!("found {:?}; {fix}", out.word()));
        }
        if self.national_language.is_some() && out != DefaultAlphabet::Gsm7 {
            let problem = format!("needs GSM 03.38, but {key} is {:?}: remove one of them", out.word());
            wrong.add("national_language", problem);
        }
        if self.strip_accents && self.transliterate == Transliteration::Off {
            wrong.add("strip_accents", "has no effect without transliterate: set transliterate = \"on\"");
        }
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
