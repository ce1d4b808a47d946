//! WhatsApp Business Platform, Cloud API, straight from Meta: JSON over HTTPS, webhooks signed with the app's secret.
//!
//! Unconfirmed, each with the default taken: the Graph version moves (`graph_version`); a list's words are bounded like
//! other interactive ones (1,024); whether downloads need a User-Agent (the link sends its own).

use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;
use smallvec::{SmallVec, smallvec};

use super::{
    AccountError, Fetch, HttpChannel, MediaRef, OutPart, Provider, Received, Rejection, Signature, Step,
    account,
};
use crate::{
    capability::Capabilities,
    classify,
    error::SendError,
    files,
    graph::{self, Credentials},
    http::{Malformed, Refused, Reply, Request, Response, Webhook},
    whatsapp::{self, Conversation, Media},
};

/// The description.
pub const PROVIDER: Provider = Provider {
    name: "whatsapp_cloud",
    channel_types: &["WHATSAPP", "WHATSAPP_CLOUD"],
    summary: "WhatsApp by Meta's Cloud API",
    documentation: "https://developers.facebook.com/docs/whatsapp/cloud-api",
    secrets: &["access_token", "app_secret", "verify_token"],
    signature: Signature::Required("app_secret"),
    capabilities: whatsapp::capabilities,
    statuses: whatsapp::STATUSES,
    channel: |table| Ok(Arc::new(Account::checked(account(table)?)?)),
};

/// `[channel.account]` of a `whatsapp_cloud` channel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Of a system user, best one that does not expire.
    access_token: SecretString,
    /// Signs webhooks.
    #[serde(default)]
    app_secret: SecretString,
    /// What Meta says back when the webhook's address is entered there.
    #[serde(default)]
    verify_token: Option<SecretString>,
    /// Meta's id of the number, not the number.
    phone_number_id: Box<str>,
    /// The WhatsApp Business Account, for people; webhooks name it as `entry[].id`.
    #[serde(default, rename = "business_account_id")]
    _business_account_id: Option<Box<str>>,
    #[serde(default = "default_version")]
    graph_version: Box<str>,
    #[serde(default = "default_base_url")]
    base_url: Box<str>,
    /// Adds `appsecret_proof` to calls, for apps that demand it.
    #[serde(default)]
    appsecret_proof: bool,
    /// Files are fetched here and uploaded, for addresses that Meta cannot reach.
    #[serde(default)]
    upload_media: bool,
    /// The shortest time between two messages to one customer. Meta sustains one in 6 s, and lends up to 45 at once;
    /// what it then refuses is tried again.
    #[serde(default)]
    pair_interval_ms: u32,
    #[serde(skip)]
    root: String,
    #[serde(skip)]
    messages_url: String,
    #[serde(skip)]
    media_url: String,
}

fn default_version() -> Box<str> {
    graph::VERSION.into()
}

fn default_base_url() -> Box<str> {
    graph::BASE_URL.into()
}

impl Account {
    fn checked(mut self) -> Result<Self, AccountError> {
        let app = "it is shown in the app's dashboard under App settings, Basic";
        graph::not_empty("app_secret", &self.app_secret, app)?;
        graph::not_empty(
            "access_token",
            &self.access_token,
            "create one for a system user in Business settings",
        )?;
        if let Some(token) = &self.verify_token {
            graph::not_empty(
                "verify_token",
                token,
                "any text, the same as at the webhook in the app's dashboard",
            )?;
        }
        if self.phone_number_id.is_empty() || !self.phone_number_id.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            let problem = "is no id; it is shown in the app's dashboard under WhatsApp, API Setup".into();
            return Err(AccountError { key: "phone_number_id".into(), problem });
        }
        self.root = format!("{}/{}", self.base_url.trim_end_matches('/'), self.graph_version);
        self.messages_url = format!("{}/{}/messages", self.root, self.phone_number_id);
        self.media_url = format!("{}/{}/media", self.root, self.phone_number_id);
        Ok(self)
    }

    fn call(&self, request: Request) -> Request {
        let proof_with = self.appsecret_proof.then_some(&self.app_secret);
        Credentials { access_token: &self.access_token, proof_with }.call(request)
    }

    fn conversation(&self) -> Conversation<'_> {
        let media = if self.upload_media { Media::Upload } else { Media::Link };
        Conversation { messages_url: &self.messages_url, media_url: &self.media_url, media }
    }
}

impl HttpChannel for Account {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { pair_interval_ms: self.pair_interval_ms, ..whatsapp::capabilities() }
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
        let refused =
            |response: &Response| match whatsapp::sent(part, response, |r, _| classify::by_status(r)) {
                Err(error) => error,
                Ok(_) => classify::nothing(),
            };
        if let Some(next) = self.conversation().next(part, answers, refused)? {
            return Ok(Step::Next(self.call(next)));
        }
        whatsapp::sent(part, last, |response, _| classify::by_status(response))
    }

    fn handshake(&self, webhook: &Webhook<'_>) -> Result<Option<Reply>, Refused> {
        graph::handshake(self.verify_token.as_ref(), webhook)
    }

    fn verify(&self, webhook: &Webhook<'_>) -> Result<(), Refused> {
        graph::verify(&self.app_secret, webhook)
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        whatsapp::read(webhook.body, Some(&self.phone_number_id))
    }

    fn shared_ids(&self) -> SmallVec<[&str; 2]> {
        smallvec![&*self.phone_number_id]
    }

    fn fetch(&self, media: &MediaRef, answers: &[Response]) -> Result<Fetch, SendError> {
        let base = self.base_url.trim_end_matches('/');
        let file = |url: &str| {
            let request = files::download(url);
            // The token is for Meta, whatever address is named.
            if graph::is_metas(url, base) { self.call(request) } else { request }
        };
        let look_up = || {
            self.call(Request::get(format!("{}/{}", self.root, crate::auth::percent_encode(&media.locator))))
        };
        if media.locator.starts_with("http") {
            return match answers {
                [] => Ok(Fetch::Next(file(&media.locator))),
                [.., last] if last.is_success() => Ok(Fetch::Got),
                [.., last] => Err(graph::no_file(last)),
            };
        }
        graph::fetch(look_up, file, answers)
    }

    fn probe(&self) -> Option<Request> {
        let fields = "display_phone_number,verified_name,code_verification_status,quality_rating";
        Some(self.call(Request::get(format!("{}/{}?fields={fields}", self.root, self.phone_number_id))))
    }

    fn mark_read(&self, _did: &str, _customer: &str, provider_id: &str) -> Option<Request> {
        Some(self.call(whatsapp::sign(self.messages_url.clone(), provider_id, false)))
    }

    fn typing(&self, _did: &str, _customer: &str, last_id: Option<&str>, on: bool) -> Option<Request> {
        let last_id = last_id.filter(|_| on)?;
        Some(self.call(whatsapp::sign(self.messages_url.clone(), last_id, true)))
    }
}
