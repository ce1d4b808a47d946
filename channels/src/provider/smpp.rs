//! SMPP 3.4 accounts: the typed `[channel.account]`, address spelling, and what a text becomes on the wire.
//!
//! Unconfirmed in the field and therefore settings, with the default named: the SMSC's default alphabet
//! (`gsm7`), the concatenation (`udh8`), TON/NPI of short codes (3/0), the base of receipt ids (`auto`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use message::{Content, event::Concatenation};
use secrecy::SecretString;
use serde::Deserialize;

use super::{AccountError, Channel, LinkKind, Prepared, Provider, Rejection};
use crate::capability::Capabilities;

/// The description.
pub const PROVIDER: Provider = Provider {
    name: "smpp",
    summary: "SMS over persistent SMPP 3.4 binds",
    documentation: "https://smpp.org/SMPP_v3_4_Issue1_2.pdf",
    secrets: &["password"],
    channel: |table| Ok(Arc::new(Account::from_table(table)?)),
};

/// The role of a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bind {
    /// Both ways on one connection.
    Transceiver,
    /// A transmitter and a receiver connection for each of `binds`.
    Pair,
    /// Only out.
    Transmitter,
    /// Only in.
    Receiver,
}

/// The alphabet that data_coding 0 means on this SMSC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultAlphabet {
    /// GSM 03.38.
    Gsm7,
    /// ISO 8859-1.
    Latin1,
}

/// How receipt ids are spelled compared with submit_sm_resp ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptIds {
    /// Every plausible spelling is tried, exact first.
    Auto,
    /// Only as spelled.
    Exact,
}

/// `[channel.account]` of an `smpp` channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The SMSC's host name or address.
    pub host: Box<str>,
    /// Its port (2775 plain, 3550 TLS by registration).
    #[serde(default = "default_port")]
    pub port: u16,
    /// TLS first, then SMPP inside; the certificate is verified.
    #[serde(default)]
    pub tls: bool,
    /// A PEM file with the roots to trust instead of the built-in ones.
    #[serde(default)]
    pub tls_ca: Option<Box<str>>,
    /// At most 15 characters by the standard.
    pub system_id: Box<str>,
    /// At most 8 characters by the standard; many servers take more.
    pub password: SecretString,
    /// Often empty; at most 12 characters.
    #[serde(default)]
    pub system_type: Box<str>,
    /// The role of the binds.
    #[serde(default = "default_bind")]
    pub bind: Bind,
    /// How many connections (pairs of them for `pair`); 1 to 64.
    #[serde(default = "default_binds")]
    pub binds: u16,
    /// Unanswered submits per bind; 1 to 10,000.
    #[serde(default = "default_window")]
    pub window: u16,
    /// 0x34 for 3.4, 0x50 for 5.0.
    #[serde(default = "default_interface_version")]
    pub interface_version: u8,
    /// The address range asked for by a receiving bind.
    #[serde(default)]
    pub address_range: Box<str>,
    /// Quiet time before an enquire_link.
    #[serde(default = "default_enquire_link", with = "humantime_serde")]
    pub enquire_link: Duration,
    /// How long an answer may take before the part is in doubt.
    #[serde(default = "default_reply_timeout", with = "humantime_serde")]
    pub reply_timeout: Duration,
    /// How long a bind may take.
    #[serde(default = "default_bind_timeout", with = "humantime_serde")]
    pub bind_timeout: Duration,
    /// How long a connection may take.
    #[serde(default = "default_connect_timeout", with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Sent as registered_delivery: 0 none, 1 always, 2 on failure only; plus 16 for intermediate notices.
    #[serde(default = "default_registered_delivery")]
    pub registered_delivery: u8,
    /// service_type of each submit.
    #[serde(default)]
    pub service_type: Box<str>,
    /// TON of our own address; absent: by its form.
    #[serde(default)]
    pub source_ton: Option<u8>,
    /// NPI of our own address; absent: by its form.
    #[serde(default)]
    pub source_npi: Option<u8>,
    /// TON of the customer's address; absent: by its form.
    #[serde(default)]
    pub dest_ton: Option<u8>,
    /// NPI of the customer's address; absent: by its form.
    #[serde(default)]
    pub dest_npi: Option<u8>,
    /// What data_coding 0 means here.
    #[serde(default = "default_alphabet")]
    pub default_alphabet: DefaultAlphabet,
    /// How long texts are marked.
    #[serde(default = "default_concatenation", deserialize_with = "concatenation")]
    pub concatenation: Concatenation,
    /// Replace typographic characters when the whole text then fits the default alphabet.
    #[serde(default)]
    pub transliterate: bool,
    /// With `transliterate`: also drop accents the alphabet lacks.
    #[serde(default)]
    pub strip_accents: bool,
    /// Send a national shift table when that keeps the text out of UCS-2: `tr`, `es` or `pt`.
    #[serde(default)]
    pub national_language: Option<Box<str>>,
    /// The most parts one message may have.
    #[serde(default = "default_parts_max")]
    pub parts_max: u16,
    /// The longest text, in Unicode code points.
    #[serde(default = "default_characters_max")]
    pub characters_max: usize,
    /// How receipt ids are spelled.
    #[serde(default = "default_receipt_ids")]
    pub receipt_ids: ReceiptIds,
    /// Ask with query_sm when no final receipt came for so long; absent: never.
    #[serde(default, with = "humantime_serde")]
    pub query_after: Option<Duration>,
    /// Overrides of the error table: status code (decimal or 0x...) to `retry`, `throttled`, `permanent`.
    #[serde(default)]
    pub errors: BTreeMap<String, String>,
}
