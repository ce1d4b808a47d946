//! Signs the webhooks of fixtures as their providers do, with the secrets of the case's account.
//! Cases hold no signatures, only `signature = "good"` (the default), `"wrong"` or `"missing"`.

use std::collections::BTreeSet;

use channels::{
    HttpChannel, LinkKind, Protection, Provider,
    http::{Refused, Webhook},
    protection::{Algorithm, Ed25519, Encoding, Hmac, Over, Place, Prefix, SecretKey},
    toolkit::auth,
    url,
};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Deserialize;

use crate::{case::NOW_MS, opened};

/// How a case's webhook is signed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Signing {
    pub(crate) signature: Signature,
    /// Keys of the account that differ for the signer.
    pub(crate) signed_with: toml::Table,
    /// Signs this body instead of the one that is sent.
    pub(crate) signed_body: Option<String>,
    /// Signs this address instead of the one that is called.
    pub(crate) signed_url: Option<String>,
    /// Headers that are lost on the way.
    pub(crate) without_headers: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Signature {
    #[default]
    Good,
    /// Signed with another secret.
    Wrong,
    /// Not signed at all.
    Missing,
}

/// A webhook before it is signed.
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) body: &'a str,
}

type Headers = Vec<(Box<str>, Box<str>)>;

impl Signing {
    /// Returns the headers that prove who sent the webhook; none where the account has no secret
    /// for it.
    pub(crate) fn headers(
        &self,
        provider: &'static Provider,
        account: &toml::Table,
        unsigned: &Unsigned<'_>,
    ) -> Headers {
        if self.signature == Signature::Missing {
            return Vec::new();
        }
        let mut account = account.clone();
        account.extend(self.signed_with.clone());
        let body = self.signed_body.as_deref().unwrap_or(unsigned.body);
        let url = self.signed_url.as_deref().unwrap_or(unsigned.url);
        let wrong = self.signature == Signature::Wrong;
        let webhook = Unsigned { method: unsigned.method, url, body };
        let mut headers =
            Signer { account: &account, wrong, webhook: &webhook }.headers(&protection(provider, &account));
        headers.retain(|(name, _)| !self.without_headers.iter().any(|lost| **lost == **name));
        headers
    }
}

/// Verifies a webhook as the router does: not at all where the provider offers no proof.
pub(crate) fn verified(http: &dyn HttpChannel, webhook: &Webhook<'_>) -> Result<(), Refused> {
    if http.protection() == Protection::Unsigned { Ok(()) } else { http.verify(webhook) }
}

/// Returns how the channel of this account is protected.
fn protection(provider: &'static Provider, account: &toml::Table) -> Protection {
    let channel = opened(provider, account.clone()).unwrap_or_else(|error| panic!("{provider:?}: {error}"));
    let LinkKind::Http(http) = channel.link() else { panic!("{provider:?} is not reached by HTTP") };
    http.protection()
}

/// Signs one webhook.
struct Signer<'a> {
    account: &'a toml::Table,
    wrong: bool,
    webhook: &'a Unsigned<'a>,
}

impl Signer<'_> {
    fn text(&self, key: &str) -> &str {
        self.account.get(key).and_then(toml::Value::as_str).unwrap_or_default()
    }

    /// Returns a secret of the account, or another text for a wrong signature; nothing where the
    /// account lacks it.
    fn secret(&self, key: SecretKey) -> Option<String> {
        let secret = self.account.get(key.name())?.as_str()?;
        Some(if self.wrong { format!("{secret}x") } else { secret.to_owned() })
    }

    fn headers(&self, protection: &Protection) -> Headers {
        let header = |name: &str, value: String| (Box::from(name), Box::from(value));
        match protection {
            Protection::NoWebhooks | Protection::Unsigned => Vec::new(),
            Protection::Hmac(scheme) => match self.secret(scheme.secret) {
                Some(secret) => vec![header(scheme.header, self.hmac(scheme, &secret))],
                None => Vec::new(),
            },
            Protection::Ed25519(scheme) => {
                let (signature, seconds) = self.ed25519(scheme);
                vec![header(scheme.signature, signature), header(scheme.timestamp, seconds)]
            }
            Protection::Basic { user, password } => match self.secret(*password) {
                Some(password) => vec![header("authorization", auth::basic(self.text(user), &password))],
                None => Vec::new(),
            },
            Protection::Token { place, secret } => {
                let name = match place {
                    Place::Header(name) => (*name).to_owned(),
                    Place::HeaderNamedBy(key) => or(self.text(key), "x-patchbay-secret").to_lowercase(),
                    // It stands in the query of the case.
                    Place::Parameter(_) => return Vec::new(),
                };
                self.secret(*secret).map(|secret| header(&name, secret)).into_iter().collect()
            }
            Protection::Both(first, second) => [self.headers(first), self.headers(second)].concat(),
            Protection::ByMethod { get, .. } if self.webhook.method == "GET" => self.headers(get),
            Protection::ByMethod { other, .. } => self.headers(other),
        }
    }

    fn hmac(&self, scheme: &Hmac, secret: &str) -> String {
        let webhook = self.webhook;
        let signed = match scheme.over {
            Over::Body => webhook.body.to_owned(),
            Over::UrlAndForm if webhook.method == "GET" || webhook.url.contains("bodySHA256") => {
                webhook.url.to_owned()
            }
            Over::UrlAndForm => {
                let fields: BTreeSet<_> = url::form_fields(webhook.body.as_bytes()).collect();
                let fields = fields.into_iter().flat_map(|(name, value)| [name, value]);
                fields.fold(webhook.url.to_owned(), |signed, piece| signed + &piece)
            }
        };
        let mac = match scheme.algorithm {
            Algorithm::Sha1 => auth::hmac_sha1(secret.as_bytes(), signed.as_bytes()),
            Algorithm::Sha256 => auth::hmac_sha256(secret.as_bytes(), signed.as_bytes()),
        };
        let encoded = match scheme.encoding {
            Encoding::Hex => auth::hex(&mac),
            Encoding::Base64 => auth::base64(&mac),
        };
        match scheme.prefix {
            Prefix::Required(prefix) => format!("{prefix}{encoded}"),
            Prefix::None | Prefix::Optional(_) => encoded,
        }
    }

    /// Signs with the private key 00 01 02 ... 1f, whose public half the account has; returns
    /// signature and time.
    fn ed25519(&self, scheme: &Ed25519) -> (String, String) {
        let first = u8::from(self.wrong);
        let key: [u8; 32] = std::array::from_fn(|n| n as u8 + first);
        let seconds = (NOW_MS / 1_000).to_string();
        let signed = format!("{seconds}{}{}", scheme.separator, self.webhook.body);
        (auth::base64(&SigningKey::from_bytes(&key).sign(signed.as_bytes()).to_bytes()), seconds)
    }
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}
