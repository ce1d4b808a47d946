//! The registry of providers and what each of them is: a description and a typed account. One file each.

pub mod bandwidth;
mod conversation;
pub mod facebook;
pub mod general;
pub mod instagram;
pub mod smpp;
mod table;
pub mod telegram;
pub mod telnyx;
pub mod twilio;
pub mod twilio_whatsapp;
pub mod viber;
pub mod voipms;
pub mod whatsapp_360dialog;
pub mod whatsapp_cloud;

use std::{fmt, sync::Arc};

use message::{
    Content,
    cim::Choice,
    event::{Cause, Split},
};
use secrecy::{ExposeSecret as _, SecretString};
use smallvec::SmallVec;

pub use conversation::{
    Attribute, Fetch, HttpChannel, InEvent, InMessage, InReceipt, MEDIA_BYTES_MAX, MediaRef, OutPart, Polled,
    Received, Report, Sent, SetUp, Step, Whereabouts,
};

pub use table::{account_keys, adapted, limits, receipts, signature, table, words};

use crate::capability::Capabilities;

/// Every provider, in the order in which they are documented.
pub const PROVIDERS: &[&Provider] = &[
    &smpp::PROVIDER,
    &twilio::PROVIDER,
    &telnyx::PROVIDER,
    &bandwidth::PROVIDER,
    &general::GENERAL,
    &general::ALHAMBRA,
    &general::ATHENA,
    &general::IXICA,
    &general::NETPLANET,
    &general::VETTA,
    &voipms::PROVIDER,
    &whatsapp_cloud::PROVIDER,
    &whatsapp_360dialog::PROVIDER,
    &twilio_whatsapp::PROVIDER,
    &facebook::PROVIDER,
    &instagram::PROVIDER,
    &telegram::PROVIDER,
    &viber::PROVIDER,
];

/// The description of a provider: everything that can be known before an account exists.
pub struct Provider {
    /// The name used in config, file names, metrics and webhook paths.
    pub name: &'static str,
    /// What a business may call its channels (`channelTypeCode`), in any case, beside the name.
    pub channel_types: &'static [&'static str],
    /// What it is, in one line.
    pub summary: &'static str,
    /// Where its documentation is.
    pub documentation: &'static str,
    /// The keys of `[channel.account]` that hold secrets.
    pub secrets: &'static [&'static str],
    /// How its webhooks are protected.
    pub signature: Signature,
    /// What it can carry, before an account narrows it.
    pub capabilities: fn() -> Capabilities,
    /// Its words for the state of a part, and what each means.
    pub statuses: &'static [(&'static str, Report)],
    /// Checks an account and makes the channel of it.
    pub channel: fn(toml::Table) -> Result<Arc<dyn Channel>, AccountError>,
}

/// How webhooks are known to be the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// There are none to protect: no webhooks, or no scheme exists but the unguessable address.
    None,
    /// Signed when the account has this key; accepted unsigned without it.
    Optional(&'static str),
    /// Always signed with this key of the account: without it there is no channel.
    Required(&'static str),
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The provider of this name.
pub fn provider(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|p| p.name == name).copied()
}

/// An account that cannot be used. Names the key and the fix; never holds a value of a secret.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct AccountError {
    /// The key of `[channel.account]`; empty when the whole is meant.
    pub key: String,
    /// What is wrong and what is expected.
    pub problem: String,
}

/// A content made ready for a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What will be sent (adapted, transliterated): what the log keeps.
    pub content: Content,
    /// How it is cut.
    pub split: Split,
    /// What was changed, in words for the business.
    pub adapted: SmallVec<[Box<str>; 1]>,
    /// What the customer can answer to a numbered list; empty when there is none.
    pub choices: Box<[Choice]>,
}

/// A message that this channel will never take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ({})", .0.reason, .0.code)]
pub struct Rejection(pub Cause);

/// A configured account at a provider: the pure side of a channel.
pub trait Channel: Send + Sync + fmt::Debug {
    /// Its provider.
    fn provider(&self) -> &'static Provider;

    /// What it can carry.
    fn capabilities(&self) -> Capabilities;

    /// The canonical spelling of a customer's address; an error names what is wrong with it.
    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection>;

    /// The canonical spelling of one of our own addresses.
    fn did(&self, address: &str) -> Arc<str>;

    /// Adapts and cuts a content; `reference` is what a long text's parts will share.
    fn prepare(&self, content: &Content, reference: u16) -> Result<Prepared, Rejection>;

    /// The kind of link that carries it.
    fn link(&self) -> LinkKind<'_>;
}

/// The kinds of link.
#[derive(Debug)]
pub enum LinkKind<'a> {
    /// Persistent SMPP binds.
    Smpp(&'a smpp::Account),
    /// Calls to an HTTP API, and webhooks from it.
    Http(&'a dyn HttpChannel),
}

/// Reads `[channel.account]` into its type.
///
/// # Errors
/// Names what is wrong: an unknown or missing key, a wrong type.
pub fn account<T: serde::de::DeserializeOwned>(table: toml::Table) -> Result<T, AccountError> {
    toml::Value::Table(table).try_into().map_err(|error: toml::de::Error| AccountError {
        key: String::new(),
        problem: error.message().trim().to_owned(),
    })
}

/// Checks that a secret says something.
///
/// # Errors
/// Names its key when it is empty.
pub fn filled(key: &str, secret: &SecretString) -> Result<(), AccountError> {
    if secret.expose_secret().trim().is_empty() {
        return Err(AccountError { key: key.into(), problem: "is empty".into() });
    }
    Ok(())
}

/// Checks the address of an API: it begins with `https://` or `http://`. What follows is put behind it, so a `/`
/// at its end is taken away.
///
/// # Errors
/// Names its key when it is none.
pub fn address(key: &str, url: &mut Box<str>) -> Result<(), AccountError> {
    let trimmed = url.trim().trim_end_matches('/');
    let rest = trimmed.strip_prefix("https://").or_else(|| trimmed.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.contains(char::is_whitespace)) {
        let problem = format!("{url:?} is no address: expected https://...");
        return Err(AccountError { key: key.into(), problem });
    }
    *url = trimmed.into();
    Ok(())
}

impl<T: HttpChannel> Channel for T {
    fn provider(&self) -> &'static Provider {
        HttpChannel::provider(self)
    }

    fn capabilities(&self) -> Capabilities {
        HttpChannel::capabilities(self)
    }

    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        HttpChannel::customer(self, address)
    }

    fn did(&self, address: &str) -> Arc<str> {
        HttpChannel::did(self, address)
    }

    fn prepare(&self, content: &Content, _reference: u16) -> Result<Prepared, Rejection> {
        crate::adapt::prepare(content, &HttpChannel::capabilities(self))
    }

    fn link(&self) -> LinkKind<'_> {
        LinkKind::Http(self)
    }
}
