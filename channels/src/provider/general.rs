//! The General interface for SMS, by which a PBX is bound to a service that has no adapter of its own, and its presets:
//! services known to offer it, of which no API of their own is public. A preset is a name, nothing else differs, so
//! all are in this file. Bearer key out, HMAC-SHA-256 in.
//!
//! Unconfirmed, with the default taken: the verify call is a GET; files go out as `media_urls` and come in as
//! `media[].url` or `media_urls[]`; receipts come as Telnyx's events at the same address, if at all; that each preset
//! speaks the interface to the letter.

use std::sync::Arc;

use message::{BodyType, Content, cim::body, event::Cause};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::{
    address::number,
    contract::{
        AccountError, Capabilities, Channel, HttpChannel, OpenChannel, OutPart, Protection, Provider,
        Received, Report, SendError, Sent, Step,
        capability::LongText,
        http::{Body, Malformed, Request, Response, Webhook},
        protection::{Hmac, Prefix, SecretKey},
    },
    family::telnyx_events,
    toolkit::{
        account::{account, address, filled},
        auth, classify, json,
    },
};

/// The interface itself.
pub const GENERAL: Provider =
    preset("general", "SMS by any service that offers the General interface", |_, table| {
        open("general", table)
    });
/// Alhambra IT.
pub const ALHAMBRA: Provider = preset("alhambra", "SMS by Alhambra IT", |_, table| open("alhambra", table));
/// Athena (also spelled Athenna).
pub const ATHENA: Provider = preset("athena", "SMS by Athena", |_, table| open("athena", table));
/// Ixica.
pub const IXICA: Provider = preset("ixica", "SMS by Ixica", |_, table| open("ixica", table));
/// netplanet.
pub const NETPLANET: Provider = preset("netplanet", "SMS by netplanet", |_, table| open("netplanet", table));
/// Vetta.
pub const VETTA: Provider = preset("vetta", "SMS by Vetta", |_, table| open("vetta", table));

/// The protection of the interface, with the secret in this key.
pub(super) const fn signed_with(key: &'static str) -> Protection {
    Protection::Hmac(Hmac::sha256_hex(
        "x-signature-256",
        Prefix::Required("sha256="),
        SecretKey::Optional(key),
    ))
}

const fn preset(name: &'static str, summary: &'static str, channel: OpenChannel) -> Provider {
    Provider {
        name,
        channel_types: &["SMS"],
        summary,
        documentation: "https://help.yeastar.com/en/p-series-cloud-edition/administrator-guide/about-general-sms-api.html",
        secrets: &["api_key", "api_secret"],
        webhook: signed_with("api_secret"),
        capabilities: CAPABILITIES,
        statuses: STATUSES,
        channel,
    }
}

/// What the interface carries.
pub(super) const CAPABILITIES: Capabilities = Capabilities {
    native: &[BodyType::Plain, BodyType::Image, BodyType::Video, BodyType::Audio, BodyType::File],
    long_text: LongText::Cut,
    caption_characters_max: 1_600,
    inbound_types: &[BodyType::Plain, BodyType::Image, BodyType::Video, BodyType::Audio, BodyType::File],
    read_receipts: true,
    ..Capabilities::TEXT
};

/// Telnyx's words, and one more that its SMS do not have.
pub(super) const STATUSES: &[(&str, Report)] = &[
    ("queued", Report::Enroute),
    ("sending", Report::Enroute),
    ("sent", Report::Sent),
    ("delivery_unconfirmed", Report::Sent),
    ("delivered", Report::Delivered),
    ("read", Report::Read),
    ("sending_failed", Report::Failed),
    ("delivery_failed", Report::Failed),
    ("expired", Report::Failed),
];

/// `[channel.account]` of a `general` channel, and of its presets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Sent as Bearer token.
    pub(super) api_key: SecretString,
    /// Signs webhooks; without it they are not signed.
    #[serde(default)]
    pub(super) api_secret: Option<SecretString>,
    /// Tells whether the key is good.
    #[serde(default)]
    pub(super) api_verify_url: Option<Box<str>>,
    /// Takes each message.
    pub(super) api_send_url: Box<str>,
    #[serde(skip, default = "general")]
    pub(super) provider: &'static Provider,
}

fn general() -> &'static Provider {
    &GENERAL
}

fn open(name: &str, table: toml::Table) -> Result<Arc<dyn Channel>, AccountError> {
    account::<Account>(table)?.checked(name)
}

impl Account {
    /// The channel of the provider of this name.
    ///
    /// # Errors
    /// Names what is wrong with the account.
    pub(super) fn checked(mut self, name: &str) -> Result<Arc<dyn Channel>, AccountError> {
        self.provider = super::provider(name).unwrap_or(&GENERAL);
        filled("api_key", &self.api_key)?;
        self.api_secret.as_ref().map_or(Ok(()), |secret| filled("api_secret", secret))?;
        self.api_verify_url.as_mut().map_or(Ok(()), |url| address("api_verify_url", url))?;
        address("api_send_url", &mut self.api_send_url)?;
        Ok(Arc::new(self))
    }

    fn call(&self, request: Request) -> Request {
        request.secret_header("Authorization", auth::bearer(self.api_key.expose_secret()))
    }
}

impl HttpChannel for Account {
    fn provider(&self) -> &'static Provider {
        self.provider
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let mut message = json!({"from": number::e164(part.did), "to": number::e164(part.customer)});
        match part.content {
            Content::Rich { json, .. } => {
                let file: body::Media<'_> = body::read(json).unwrap_or_default();
                json::set(&mut message, "text", file.words());
                json::set(&mut message, "media_urls", json!([&*file.attachment.media_url]));
            }
            Content::Text(text) => json::set(&mut message, "text", &**text),
            _ => return Err(SendError::Rejected(Cause::new("400", "octets cannot be sent here"))),
        }
        Ok(self.call(Request::post(&*self.api_send_url, Body::Json(message.to_string()))))
    }

    fn answer(&self, _part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        let Some(response) = answers.last() else { return Err(classify::nothing()) };
        if !response.is_success() {
            return Err(SendError::by_status(response));
        }
        // Without an id, or in no JSON at all, it was taken all the same: only its id is not known.
        let said = json::parse(&response.body).unwrap_or_default();
        let id = json::some_text(&said, "/data/id").unwrap_or_default();
        Ok(Step::Sent(Sent::id(&*id)))
    }

    fn protection(&self) -> Protection {
        signed_with("api_secret")
    }

    fn credential(&self, key: &str) -> Option<&str> {
        self.api_secret.as_ref().filter(|_| key == "api_secret").map(|secret| secret.expose_secret())
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        telnyx_events::read(webhook.body, STATUSES)
    }

    fn probe(&self) -> Option<Request> {
        self.api_verify_url.as_deref().map(|url| self.call(Request::get(url)))
    }
}
