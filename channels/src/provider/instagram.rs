//! Instagram direct messages for a professional account, by Facebook Login (over its page) or Instagram Login: the
//! envelope of Messenger with less in it. There are no deliveries, reads name one message.
//!
//! Unconfirmed, each with the default taken: button templates (`button_template`, on); the text's 1,000 are octets; with
//! Instagram Login webhooks are signed with the Instagram app's secret (whatever `app_secret` holds); titles end at
//! 20 characters, taken as 40 octets, as longer ones are cut by Instagram, not refused.

use std::sync::Arc;

use message::BodyType;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use smallvec::SmallVec;

use crate::{
    contract::{
        AccountError, Attribute, Capabilities, HttpChannel, OutPart, Provider, Received, Rejection, Report,
        SendError, SetUp, Step, WebhookUrls,
        capability::{Buttons, LongText, Opens, Units},
        http::{Malformed, Refused, Reply, Request, Response, Webhook},
        url,
    },
    family::{
        messenger::{self, Product, Window},
        meta::{
            graph_api::{self, App},
            subscribe::{self, IceBreaker, Profile},
        },
    },
    toolkit::{account::account, classify, json, set_up},
};

/// The description.
pub const PROVIDER: Provider = Provider {
    name: "instagram",
    channel_types: &["INSTAGRAM", "INSTAGRAM_DM"],
    summary: "Instagram direct messages",
    documentation: "https://developers.facebook.com/docs/messenger-platform/instagram",
    secrets: &["access_token", "app_secret", "verify_token"],
    webhook: graph_api::PROTECTION,
    capabilities: capabilities(),
    statuses: STATUSES,
    channel: |_, table| Ok(Arc::new(Account::checked(account(table)?)?)),
};

const STATUSES: &[(&str, Report)] = &[("read", Report::Read)];

const fn capabilities() -> Capabilities {
    Capabilities {
        native: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Button,
            BodyType::Carousel,
            BodyType::Comment,
            BodyType::Custom,
        ],
        units: Units::Octets,
        text_characters_max: 1_000,
        long_text: LongText::Cut,
        buttons: Buttons {
            max: 3,
            rows_max: 13,
            title_characters_max: 40,
            row_title_characters_max: 40,
            payload_bytes_max: 1_000,
            text_characters_max: 640,
            opens: Opens::Pages,
        },
        cards_max: 10,
        card_text_characters_max: 80,
        card_buttons_max: 3,
        inbound_types: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Url,
            BodyType::Comment,
            BodyType::DeletedNotification,
        ],
        window_hours: Some(WINDOW_HOURS),
        typing: true,
        mark_read: true,
        receipts: false,
        read_receipts: true,
        ..Capabilities::TEXT
    }
}

/// What an account is to bring: all that is read of it, but comments, which need a right of their own.
const FIELDS: [&str; 6] = [
    "messages",
    "messaging_postbacks",
    "messaging_seen",
    "message_reactions",
    "messaging_referral",
    "message_edit",
];

/// The time for answers, in hours.
const WINDOW_HOURS: u16 = 24;
/// The time in which a person may answer.
const HUMAN_AGENT_HOURS: u16 = 7 * 24;

/// How the account was connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Login {
    /// Over its page, with the page's token.
    #[default]
    Facebook,
    /// By itself, with its own token.
    Instagram,
}

/// `[channel.account]` of an `instagram` channel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Of the page, or with Instagram Login of the account.
    access_token: SecretString,
    /// Signs webhooks.
    #[serde(default)]
    app_secret: SecretString,
    /// What Meta says back when the webhook's address is entered there.
    #[serde(default)]
    verify_token: Option<SecretString>,
    /// The professional account, as webhooks name it; without it all that comes is read.
    #[serde(default)]
    account_id: Option<Box<str>>,
    /// The page that the account is linked to, with Facebook Login.
    #[serde(default)]
    page_id: Option<Box<str>>,
    /// The app, whose webhook is then set up, too (with Facebook Login).
    #[serde(default)]
    app_id: Option<Box<str>>,
    /// Questions that people see before they write for the first time.
    #[serde(default)]
    ice_breakers: Vec<IceBreaker>,
    #[serde(default)]
    login: Login,
    #[serde(default = "default_version")]
    graph_version: Box<str>,
    #[serde(default)]
    base_url: Option<Box<str>>,
    /// Adds `appsecret_proof` to calls, for apps that demand it.
    #[serde(default)]
    appsecret_proof: bool,
    /// The app may answer as a person for 7 days: what comes too late for an answer is sent so.
    #[serde(default)]
    human_agent: bool,
    /// Buttons that open pages are sent as button templates; without, as words.
    #[serde(default = "default_button_template")]
    button_template: bool,
    #[serde(skip)]
    root: String,
}

fn default_version() -> Box<str> {
    graph_api::VERSION.into()
}

fn default_button_template() -> bool {
    true
}

impl Account {
    fn checked(mut self) -> Result<Self, AccountError> {
        self.app().check(
            "it is shown in the app's dashboard, with Instagram Login under Instagram, API setup",
            "generate it in the app's Instagram settings",
        )?;
        for (key, id) in [("account_id", &self.account_id), ("page_id", &self.page_id)] {
            graph_api::number(key, id.as_deref(), "it is shown in the app's Instagram settings")?;
        }
        self.profile().check()?;
        let host = match self.login {
            Login::Facebook => graph_api::BASE_URL,
            Login::Instagram => "https://graph.instagram.com",
        };
        self.root = graph_api::root(self.base_url.as_deref().unwrap_or(host), &self.graph_version);
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

    fn profile(&self) -> Profile<'_> {
        Profile { get_started: None, ice_breakers: &self.ice_breakers, platform: Some("instagram") }
    }

    fn call(&self, request: Request) -> Request {
        self.app().call(request)
    }

    fn url(&self, what: &str) -> String {
        let sender = match self.login {
            Login::Facebook => &self.page_id,
            Login::Instagram => &self.account_id,
        };
        format!("{}/{}/{what}", self.root, sender.as_deref().unwrap_or("me"))
    }
}

impl HttpChannel for Account {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = capabilities();
        if self.human_agent {
            capabilities.window_hours = Some(HUMAN_AGENT_HOURS);
        }
        if !self.button_template {
            capabilities.buttons.opens = Opens::No;
        }
        capabilities
    }

    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        messenger::customer(address)
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let call = messenger::message(Product::Instagram, &self.url("messages"), part, Window::Open)?;
        Ok(self.call(call))
    }

    fn answer(&self, part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        match answers {
            [] => Err(classify::nothing()),
            [late] if self.human_agent && messenger::is_window_closed(late) => {
                let call =
                    messenger::message(Product::Instagram, &self.url("messages"), part, Window::HumanAgent)?;
                Ok(Step::Next(self.call(call)))
            }
            [.., last] => messenger::sent(part, last),
        }
    }

    fn handshake(&self, webhook: &Webhook<'_>) -> Result<Option<Reply>, Refused> {
        graph_api::handshake(self.verify_token.as_ref(), webhook)
    }

    fn credential(&self, key: &str) -> Option<&str> {
        (key == "app_secret").then(|| self.app_secret.expose_secret())
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        messenger::read(Product::Instagram, webhook.body, self.account_id.as_deref())
    }

    fn shared_ids(&self) -> SmallVec<[&str; 2]> {
        self.account_id.as_deref().into_iter().collect()
    }

    fn probe(&self) -> Option<Request> {
        let fields = match self.login {
            Login::Facebook => "id,name,instagram_business_account",
            Login::Instagram => "id,username",
        };
        Some(self.call(Request::get(format!("{}/me?fields={fields}", self.root))))
    }

    fn parse_account(&self, response: &Response) -> Vec<Attribute> {
        json::members(response, &["name", "username"])
    }

    fn set_up(&self, ours: WebhookUrls<'_>, answers: &[Response]) -> Result<Option<SetUp>, SendError> {
        let (app, url) = (self.app(), subscribe::callback(ours, self.account_id.is_some()));
        if url.is_empty() {
            return Ok(None);
        }
        // Over its page the account's messages come once the page brings anything at all.
        let (of_the_app, fields): (_, &[&str]) = match self.login {
            Login::Facebook => {
                (subscribe::app(app, &self.root, "instagram", &FIELDS, (ours, url)), &["messages"])
            }
            Login::Instagram => (None, &FIELDS),
        };
        let desired: Vec<_> = [
            of_the_app,
            Some(subscribe::page(app, self.url("subscribed_apps"), fields)),
            self.profile().desired(app, &self.url("messenger_profile")),
        ]
        .into_iter()
        .flatten()
        .collect();
        set_up::reconcile(&desired, answers, subscribe::read)
    }

    fn profile(&self, customer: &str) -> Option<Request> {
        let fields = "name,username,profile_pic";
        Some(self.call(Request::get(format!(
            "{}/{}?fields={fields}",
            self.root,
            url::percent_encode(customer)
        ))))
    }

    fn parse_profile(&self, response: &Response) -> Vec<Attribute> {
        messenger::parse_profile(response)
    }

    fn mark_read(&self, _did: &str, customer: &str, _provider_id: &str) -> Option<Request> {
        Some(self.call(messenger::sign(&self.url("messages"), customer, "mark_seen")))
    }

    fn typing(&self, _did: &str, customer: &str, _last_id: Option<&str>, on: bool) -> Option<Request> {
        let action = if on { "typing_on" } else { "typing_off" };
        Some(self.call(messenger::sign(&self.url("messages"), customer, action)))
    }
}
