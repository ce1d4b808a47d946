//! WhatsApp Business Platform, Cloud API, directly from Meta: JSON over HTTPS, webhooks signed with
//! the app's secret.
//!
//! Unconfirmed, each with the default taken: the Graph version changes (`graph_version`); a list's
//! text is limited like that of other interactive messages (1,024); whether downloads need a
//! User-Agent (the link sends its own).

use std::sync::Arc;

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use smallvec::SmallVec;

use crate::{
    address::number,
    contract::{
        AccountError, AccountErrors, Attribute, Capabilities, Fetch, HttpChannel, MediaRef, OutPart,
        OwnAddresses, Provider, Received, Rejection, SendError, SetUp, Step, WebhookUrls,
        http::{Malformed, Refused, Reply, Request, Response, Webhook},
        keys_of, url,
    },
    family::{
        meta::{
            graph_api::{self, App},
            subscribe,
        },
        whatsapp::{self, Conversation, Media},
    },
    toolkit::{account::account, classify, json, set_up, upload},
};

/// The description of `whatsapp_cloud`.
pub const PROVIDER: Provider = Provider {
    name: "whatsapp_cloud",
    channel_types: &["WHATSAPP", "WHATSAPP_CLOUD"],
    summary: "WhatsApp by Meta's Cloud API",
    documentation: "https://developers.facebook.com/docs/whatsapp/cloud-api",
    secrets: &["access_token", "app_secret", "verify_token"],
    webhook: graph_api::PROTECTION,
    capabilities: whatsapp::capabilities(),
    statuses: whatsapp::STATUSES,
    events: whatsapp::EVENTS,
    account: &keys_of::<CloudAccount>,
    needs_https: true,
    channel: &|_, table| Ok(Arc::new(CloudAccount::checked(account(table)?)?)),
};

/// Fields to which the app subscribes: messages with their statuses, customers' preferences, and
/// notices about the account, its numbers and its templates.
const FIELDS: [&str; 8] = [
    "messages",
    "user_preferences",
    "message_template_status_update",
    "account_alerts",
    "account_update",
    "account_review_update",
    "phone_number_quality_update",
    "phone_number_name_update",
];

/// `[channel.account]` of a `whatsapp_cloud` channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudAccount {
    /// The token of a system user, best one that does not expire: create it in Business settings.
    #[schemars(with = "String")]
    access_token: SecretString,
    /// The app's secret, which signs webhooks: it is shown in the app's dashboard under App
    /// settings, Basic.
    #[schemars(with = "String")]
    app_secret: SecretString,
    /// The word Meta repeats when the webhook's address is entered there.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    verify_token: Option<SecretString>,
    /// Meta's id of the number, which is not the number itself: the app's dashboard shows it under
    /// WhatsApp, API Setup.
    phone_number_id: Box<str>,
    /// The WhatsApp Business Account, whose subscription is then set up; webhooks name it as
    /// `entry[].id`.
    #[serde(default)]
    business_account_id: Option<Box<str>>,
    /// The app, whose webhook is then set up as well; without it, one for the business account
    /// alone.
    #[serde(default)]
    app_id: Option<Box<str>>,
    /// The version of the Graph API.
    #[serde(default = "default_version")]
    graph_version: Box<str>,
    /// The address of the API; another one for a proxy or a simulator.
    #[serde(default = "default_base_url")]
    base_url: Box<str>,
    /// Adds `appsecret_proof` to calls, for apps that demand it.
    #[serde(default)]
    appsecret_proof: bool,
    /// Whether files are downloaded and uploaded, for addresses that Meta cannot reach.
    #[serde(default)]
    upload_media: bool,
    /// Minimum interval between two messages to one customer, in milliseconds. Meta sustains one in
    /// 6 s, and allows bursts of 45; messages refused beyond that are tried again.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400_000))]
    pair_interval_ms: u32,
    #[serde(skip)]
    root: String,
    #[serde(skip)]
    messages_url: String,
    #[serde(skip)]
    media_url: String,
}

fn default_version() -> Box<str> {
    graph_api::VERSION.into()
}

fn default_base_url() -> Box<str> {
    graph_api::BASE_URL.into()
}

impl CloudAccount {
    fn checked(mut self) -> Result<Self, AccountErrors> {
        self.app().check(
            "it is shown in the app's dashboard under App settings, Basic",
            "create one for a system user in Business settings",
        )?;
        if self.phone_number_id.is_empty() || !self.phone_number_id.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            let problem = "is not an id; it is shown in the app's dashboard under WhatsApp, API Setup".into();
            return Err(AccountError { key: "phone_number_id".into(), problem }.into());
        }
        self.root = graph_api::root(&self.base_url, &self.graph_version);
        self.messages_url = format!("{}/{}/messages", self.root, self.phone_number_id);
        self.media_url = format!("{}/{}/media", self.root, self.phone_number_id);
        Ok(self)
    }

    fn app(&self) -> App<'_> {
        App {
            access_token: &self.access_token,
            app_secret: &self.app_secret,
            verify_token: self.verify_token.as_ref(),
            app_id: self.app_id.as_deref(),
            proof: self.appsecret_proof,
        }
    }

    fn call(&self, request: Request) -> Request {
        self.app().call(request)
    }

    fn conversation(&self) -> Conversation<'_> {
        let media = if self.upload_media { Media::Upload } else { Media::Link };
        Conversation { messages_url: &self.messages_url, media_url: &self.media_url, media }
    }
}

impl HttpChannel for CloudAccount {
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
            |response: &Response| match whatsapp::sent(part, response, |r, _| SendError::by_status(r)) {
                Err(error) => error,
                Ok(_) => classify::nothing(),
            };
        if let Some(next) = self.conversation().next(part, answers, refused)? {
            return Ok(Step::Next(self.call(next)));
        }
        whatsapp::sent(part, last, |response, _| SendError::by_status(response))
    }

    fn handshake(&self, webhook: &Webhook<'_>) -> Result<Option<Reply>, Refused> {
        graph_api::handshake(self.verify_token.as_ref(), webhook)
    }

    fn credential(&self, key: &str) -> Option<&str> {
        (key == "app_secret").then(|| self.app_secret.expose_secret())
    }

    fn message_token(&self, id: &str) -> Option<Box<str>> {
        whatsapp::token(id)
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        whatsapp::read(webhook.body, Some(&self.phone_number_id))
    }

    fn shared_ids(&self) -> SmallVec<[&str; 2]> {
        // Notices about the business account name no number.
        std::iter::once(&*self.phone_number_id).chain(self.business_account_id.as_deref()).collect()
    }

    fn fetch(&self, media: &MediaRef, answers: &[Response]) -> Result<Fetch, SendError> {
        let base = self.base_url.trim_end_matches('/');
        let file = |url: &str| {
            let request = upload::download(url);
            // The token is for Meta only, whatever address is named.
            if graph_api::is_metas(url, base) { self.call(request) } else { request }
        };
        let look_up =
            || self.call(Request::get(format!("{}/{}", self.root, url::percent_encode(&media.locator))));
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
        let fields = "display_phone_number,verified_name,code_verification_status,quality_rating";
        Some(self.call(Request::get(format!("{}/{}?fields={fields}", self.root, self.phone_number_id))))
    }

    fn parse_probe(&self, response: &Response) -> Result<(), SendError> {
        graph_api::probed(response)
    }

    fn parse_account(&self, response: &Response) -> Vec<Attribute> {
        json::members(
            response,
            &["display_phone_number", "verified_name", "code_verification_status", "quality_rating"],
        )
    }

    fn parse_addresses(&self, response: &Response) -> Option<OwnAddresses> {
        let said = json::parse(&response.body)?;
        let number = json::some_text(&said, "/display_phone_number")?;
        let addresses = vec![number::canonical(&number).into()];
        Some(OwnAddresses { addresses, called: "display_phone_number", only_numbers: false })
    }

    fn set_up(&self, ours: WebhookUrls<'_>, answers: &[Response]) -> Result<Option<SetUp>, SendError> {
        let (app, url) = (self.app(), subscribe::callback(ours, true));
        if url.is_empty() {
            return Ok(None);
        }
        let alone = app.app_id.is_none() && app.verify_token.is_some();
        let subscription = self.business_account_id.as_deref().map(|id| {
            let address = format!("{}/{}/subscribed_apps", self.root, url::percent_encode(id));
            subscribe::business_account(app, address, alone.then_some(ours))
        });
        let object = "whatsapp_business_account";
        let of_the_app = subscribe::app(app, &self.root, object, &FIELDS, (ours, url));
        let desired: Vec<_> = [of_the_app, subscription].into_iter().flatten().collect();
        set_up::reconcile(&desired, answers, subscribe::read)
    }

    fn mark_read(&self, _did: &str, _customer: &str, provider_id: &str) -> Option<Request> {
        Some(self.call(whatsapp::sign(self.messages_url.clone(), provider_id, false)))
    }

    fn typing(&self, _did: &str, _customer: &str, last_id: Option<&str>, on: bool) -> Option<Request> {
        let last_id = last_id.filter(|_| on)?;
        Some(self.call(whatsapp::sign(self.messages_url.clone(), last_id, true)))
    }
}
