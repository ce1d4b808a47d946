//! WhatsApp through 360dialog: the Cloud API's messages and webhooks behind an API key that stands
//! for the number.
//!
//! Webhooks carry no signature of Meta's that could be verified, so the header that is entered
//! together with their address (`webhook_header`, `webhook_secret`) is required. Unconfirmed, each
//! a setting: the form of `x-360dialog-signature` (hexadecimal with or without `sha256=`, verified
//! when `platform_secret` is set), the sandbox's address (`base_url`).
//!
//! Our own number is not compared with the account's: no documented call with the key of a number
//! states it (`/health_status` has only Meta's id of it). A wrong one is told with the first
//! message of a customer, whose webhook names it.

use std::sync::Arc;

use message::event::Cause;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use smallvec::SmallVec;

use crate::{
    contract::{
        AccountErrors, Fetch, HttpChannel, MediaRef, OutPart, Protection, Provider, Received, Rejection,
        SendError, SetUp, Step, WebhookUrls,
        http::{Body, Malformed, Request, Response, Webhook},
        keys_of,
        protection::{Hmac, Place, Prefix, SecretKey},
        url,
    },
    family::{
        meta::graph_api,
        whatsapp::{self, Conversation, Media},
    },
    toolkit::{
        account::account,
        classify, json,
        set_up::{self, Desired},
        upload,
    },
};

/// The description of `whatsapp_360dialog`.
pub const PROVIDER: Provider = Provider {
    name: "whatsapp_360dialog",
    channel_types: &["WHATSAPP", "WHATSAPP_360DIALOG"],
    summary: "WhatsApp through 360dialog",
    documentation: "https://docs.360dialog.com",
    secrets: &["api_key", "webhook_secret", "platform_secret"],
    webhook: Protection::Both(
        &Protection::Token {
            place: Place::HeaderNamedBy("webhook_header"),
            secret: SecretKey::Required("webhook_secret"),
        },
        &Protection::Hmac(Hmac::sha256_hex(
            "x-360dialog-signature",
            Prefix::Optional("sha256="),
            SecretKey::Optional("platform_secret"),
        )),
    ),
    capabilities: whatsapp::capabilities(),
    statuses: whatsapp::STATUSES,
    events: whatsapp::EVENTS,
    account: &keys_of::<Dialog360Account>,
    needs_https: true,
    channel: &|_, table| Ok(Arc::new(Dialog360Account::checked(account(table)?)?)),
};

/// `[channel.account]` of a `whatsapp_360dialog` channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dialog360Account {
    /// The API key of one number: create it in the 360dialog hub, under the number.
    #[schemars(with = "String")]
    api_key: SecretString,
    /// A secret that you choose and 360dialog repeats in each webhook: enter it as the header
    /// `webhook_header` beside the webhook's address at 360dialog.
    #[schemars(with = "String")]
    webhook_secret: SecretString,
    /// The name of the header that carries `webhook_secret`.
    #[serde(default = "default_webhook_header")]
    webhook_header: Box<str>,
    /// Signs webhooks of partners.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    platform_secret: Option<SecretString>,
    /// The number whose webhooks are read; without it, those of every number.
    #[serde(default)]
    phone_number_id: Option<Box<str>>,
    /// The address of the API; another one for a proxy or a simulator.
    #[serde(default = "default_base_url")]
    base_url: Box<str>,
    /// Whether files are downloaded and uploaded, for addresses that Meta cannot reach.
    #[serde(default)]
    upload_media: bool,
    #[serde(skip)]
    messages_url: String,
    #[serde(skip)]
    media_url: String,
}

fn default_webhook_header() -> Box<str> {
    "x-patchbay-secret".into()
}

fn default_base_url() -> Box<str> {
    "https://waba-v2.360dialog.io".into()
}

impl Dialog360Account {
    fn checked(mut self) -> Result<Self, AccountErrors> {
        let own =
            "choose a long random text and enter it as a header beside the webhook's address at 360dialog";
        let of_partner = "it is the partner's, or leave the key away";
        AccountErrors::all([
            graph_api::not_empty(
                "api_key",
                &self.api_key,
                "create one in the 360dialog hub, under the number",
            ),
            graph_api::not_empty("webhook_secret", &self.webhook_secret, own),
            self.platform_secret
                .as_ref()
                .map_or(Ok(()), |secret| graph_api::not_empty("platform_secret", secret, of_partner)),
        ])?;
        self.base_url = self.base_url.trim_end_matches('/').into();
        self.webhook_header = self.webhook_header.to_ascii_lowercase().into();
        self.messages_url = format!("{}/messages", self.base_url);
        self.media_url = format!("{}/media", self.base_url);
        Ok(self)
    }

    fn call(&self, request: Request) -> Request {
        request.secret_header("D360-API-KEY", self.api_key.expose_secret())
    }

    fn conversation(&self) -> Conversation<'_> {
        let media = if self.upload_media { Media::Upload } else { Media::Link };
        Conversation { messages_url: &self.messages_url, media_url: &self.media_url, media }
    }

    /// Returns a file's address at Meta, requested through 360dialog, which alone has the token.
    fn at_360dialog(&self, url: &str) -> String {
        let path =
            url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        format!("{}/{path}", self.base_url)
    }
}

impl HttpChannel for Dialog360Account {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        whatsapp::customer(address)
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let (request, ours) = self.conversation().first(part)?;
        Ok(if ours { self.call(request) } else { request })
    }

    fn answer(&self, part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        let Some(last) = answers.last() else { return Err(classify::nothing()) };
        let refused = |response: &Response| match whatsapp::sent(part, response, refusal) {
            Err(error) => error,
            Ok(_) => classify::nothing(),
        };
        if let Some(next) = self.conversation().next(part, answers, refused)? {
            return Ok(Step::Next(self.call(next)));
        }
        whatsapp::sent(part, last, refusal)
    }

    fn credential(&self, key: &str) -> Option<&str> {
        match key {
            "webhook_secret" => Some(self.webhook_secret.expose_secret()),
            "webhook_header" => Some(&self.webhook_header),
            "platform_secret" => self.platform_secret.as_ref().map(|secret| secret.expose_secret()),
            _ => None,
        }
    }

    fn message_token(&self, id: &str) -> Option<Box<str>> {
        whatsapp::token(id)
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        whatsapp::read(webhook.body, self.phone_number_id.as_deref())
    }

    fn shared_ids(&self) -> SmallVec<[&str; 2]> {
        // Meta's shared address belongs to 360dialog's app, never to ours.
        SmallVec::new()
    }

    fn fetch(&self, media: &MediaRef, answers: &[Response]) -> Result<Fetch, SendError> {
        let file = |url: &str| self.call(upload::download(&self.at_360dialog(url)));
        let look_up = || {
            let id = url::percent_encode(&media.locator);
            self.call(Request::get(format!("{}/{id}", self.base_url)))
        };
        if media.locator.starts_with("http") {
            return match answers {
                [] => Ok(Fetch::Next(file(&media.locator))),
                [.., last] if last.is_success() => Ok(Fetch::Got),
                [.., last] => Err(graph_api::no_file(last)),
            };
        }
        graph_api::fetch(look_up, file, answers)
    }

    fn probe(&self) -> Option<Request> {
        let request = Request::get(format!("{}/v1/configs/webhook", self.base_url));
        Some(self.call(request).hiding(self.webhook_secret.expose_secret()))
    }

    fn set_up(&self, ours: WebhookUrls<'_>, answers: &[Response]) -> Result<Option<SetUp>, SendError> {
        let (url, secret) = (ours.webhook_url, self.webhook_secret.expose_secret());
        if url.is_empty() {
            return Ok(None);
        }
        let address = format!("{}/v1/configs/webhook", self.base_url);
        let desired = Desired {
            what: "webhook",
            ask: self.call(Request::get(&*address)).hiding(secret),
            holds: Box::new(move |found| {
                let headers = found.get("headers").and_then(Value::as_object);
                let carries = |(name, value): (&String, &Value)| {
                    name.eq_ignore_ascii_case(&self.webhook_header) && value.as_str() == Some(secret)
                };
                json::text(found, "/url").is_some_and(|set| set == url)
                    && headers.is_some_and(|headers| headers.iter().any(carries))
            }),
            change: Box::new(move |found| {
                // Headers set by others stay.
                let mut headers =
                    found.get("headers").filter(|h| h.is_object()).cloned().unwrap_or(json!({}));
                if let Some(headers) = headers.as_object_mut() {
                    headers.retain(|name, _| !name.eq_ignore_ascii_case(&self.webhook_header));
                }
                json::set(&mut headers, &self.webhook_header, secret);
                let body = json!({"url": url, "headers": headers});
                self.call(Request::post(&*address, Body::Json(body.to_string()))).harmless().hiding(secret)
            }),
        };
        set_up::reconcile(&[desired], answers, |response| {
            if !response.is_success() {
                return Err(refusal(response, &json::parse(&response.body).unwrap_or_default()));
            }
            Ok(json::parse(&response.body).unwrap_or_default())
        })
    }

    fn mark_read(&self, _did: &str, _customer: &str, provider_id: &str) -> Option<Request> {
        Some(self.call(whatsapp::sign(self.messages_url.clone(), provider_id, false)))
    }

    fn typing(&self, _did: &str, _customer: &str, last_id: Option<&str>, on: bool) -> Option<Request> {
        let last_id = last_id.filter(|_| on)?;
        Some(self.call(whatsapp::sign(self.messages_url.clone(), last_id, true)))
    }
}

/// 360dialog's own errors: `{"meta":{...}}` or `{"error":"words"}`. Three of its 400s are not a
/// message's fault and differ in their words alone; 403 concerns the path of one call.
fn refusal(response: &Response, said: &Value) -> SendError {
    let words = json::some_text(said, "/meta/developer_message")
        .or_else(|| json::some_text(said, "/meta/developerMessage"))
        .or_else(|| json::some_text(said, "/error"));
    let Some(words) = words else { return SendError::by_status(response) };
    let cause = Cause::new(format!("http {}", response.status), &*words);
    let lower = words.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    match response.status {
        400 if says(&["rate limit", "too many"]) => {
            SendError::Throttled { after_ms: response.retry_after_ms(), cause }
        }
        400 if says(&["disabled", "unpaid"]) => SendError::CredentialsRefused(cause),
        403 => SendError::Rejected(cause),
        _ => SendError::of_status(response, cause),
    }
}
