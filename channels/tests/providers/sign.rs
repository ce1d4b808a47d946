//! Signs the webhooks of fixtures as their providers do, with the secrets of the case's account. Cases hold no
//! signatures, only `signature = "good"` (the default), `"wrong"` or `"missing"`.

use channels::{Provider, toolkit::auth, url};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Deserialize;

use crate::case::NOW_MS;

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
    /// Returns the headers that prove who sent the webhook; none where the account has no secret for it.
    pub(crate) fn headers(
        &self,
        provider: &Provider,
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
        let signer = Signer { account: &account, wrong: self.signature == Signature::Wrong };
        let mut headers = signer.headers(provider.name, &Unsigned { method: unsigned.method, url, body });
        headers.retain(|(name, _)| !self.without_headers.iter().any(|lost| **lost == **name));
        headers
    }
}

struct Signer<'a> {
    account: &'a toml::Table,
    wrong: bool,
}

impl Signer<'_> {
    fn secret(&self, key: &str) -> Option<String> {
        let secret = self.account.get(key)?.as_str()?;
        Some(if self.wrong { format!("{secret}x") } else { secret.to_owned() })
    }

    fn headers(&self, provider: &str, webhook: &Unsigned<'_>) -> Headers {
        let headers = match provider {
            "facebook" | "instagram" | "whatsapp_cloud" => {
                vec![self.hmac("x-hub-signature-256", "sha256=", "app_secret", webhook.body)]
            }
            "viber" => vec![self.hmac("x-viber-content-signature", "", "auth_token", webhook.body)],
            "voipms" if webhook.method == "GET" => Vec::new(),
            "voipms" => vec![self.hmac("x-signature-256", "sha256=", "webhook_secret", webhook.body)],
            "telegram" => vec![self.token("x-telegram-bot-api-secret-token", "secret_token")],
            "whatsapp_360dialog" => {
                let name = self.account.get("webhook_header").and_then(toml::Value::as_str);
                let name = name.unwrap_or("X-Patchbay-Secret").to_lowercase();
                vec![
                    self.token(&name, "webhook_secret"),
                    self.hmac("x-360dialog-signature", "", "platform_secret", webhook.body),
                ]
            }
            "bandwidth" => vec![self.basic("callback_user_id", "callback_password")],
            "telnyx" => self.ed25519(webhook.body).map(Some).into(),
            "twilio" | "twilio_whatsapp" => vec![self.twilio(webhook)],
            _ => vec![self.hmac("x-signature-256", "sha256=", "api_secret", webhook.body)],
        };
        let headers = headers.into_iter().flatten();
        headers.map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn hmac(&self, name: &str, prefix: &str, key: &str, body: &str) -> Option<(String, String)> {
        let mac = auth::hmac_sha256(self.secret(key)?.as_bytes(), body.as_bytes());
        Some((name.to_owned(), format!("{prefix}{}", auth::hex(&mac))))
    }

    fn token(&self, name: &str, key: &str) -> Option<(String, String)> {
        Some((name.to_owned(), self.secret(key)?))
    }

    fn basic(&self, user: &str, password: &str) -> Option<(String, String)> {
        let user = self.account.get(user).and_then(toml::Value::as_str).unwrap_or_default();
        Some(("authorization".to_owned(), auth::basic(user, &self.secret(password)?)))
    }

    /// Signs with the private key 00 01 02 ... 1f, whose public half the account has.
    fn ed25519(&self, body: &str) -> [(String, String); 2] {
        let first = u8::from(self.wrong);
        let key: [u8; 32] = std::array::from_fn(|n| n as u8 + first);
        let seconds = (NOW_MS / 1_000).to_string();
        let signature = SigningKey::from_bytes(&key).sign(format!("{seconds}|{body}").as_bytes());
        let signature = auth::base64(&signature.to_bytes());
        [("telnyx-signature-ed25519".into(), signature), ("telnyx-timestamp".into(), seconds)]
    }

    fn twilio(&self, webhook: &Unsigned<'_>) -> Option<(String, String)> {
        let mut signed = webhook.url.to_owned();
        if webhook.method != "GET" && !webhook.url.contains("bodySHA256") {
            let fields: std::collections::BTreeSet<_> = url::form_fields(webhook.body.as_bytes()).collect();
            signed.extend(fields.into_iter().flat_map(|(name, value)| [name, value]));
        }
        let mac = auth::hmac_sha1(self.secret("auth_token")?.as_bytes(), signed.as_bytes());
        Some(("x-twilio-signature".to_owned(), auth::base64(&mac)))
    }
}
