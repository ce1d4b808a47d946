//! Facebook Messenger for a page: JSON over HTTPS, webhooks signed with the app's secret; deliveries and reads are told
//! up to a time, not by message. Other templates (media, receipt, ...) go out as CUSTOM, whose `jsonNode` is the message.
//!
//! Left out: opt-ins and referrals that come without a message, sends to
//! `user_ref`, `phone_number` and `notification_messages_token`, uploads for later use (`message_attachments`).
//! Unconfirmed, each with the default taken: the Graph version moves (`graph_version`); titles of quick replies and
//! buttons end at 20 characters; codes 32 and 80006 mean a limit of rate; comments carry `from.id`. Tags other than
//! `HUMAN_AGENT` were withdrawn and are never used.

use std::sync::Arc;

use message::BodyType;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use smallvec::SmallVec;

use crate::{
    contract::{
        AccountError, Attribute, Capabilities, HttpChannel, InEvent, OutPart, Provider, Received, Rejection,
        Report, SendError, SetUp, Step, WebhookUrls,
        capability::{Buttons, LongText, Opens},
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
    name: "facebook",
    channel_types: &["FACEBOOK", "FACEBOOK_MESSENGER", "MESSENGER"],
    summary: "Facebook Messenger for a page",
    documentation: "https://developers.facebook.com/docs/messenger-platform",
    secrets: &["access_token", "app_secret", "verify_token"],
    webhook: graph_api::PROTECTION,
    capabilities: capabilities(),
    statuses: STATUSES,
    channel: |_, table| Ok(Arc::new(Account::checked(account(table)?)?)),
};

const STATUSES: &[(&str, Report)] = &[("delivery", Report::Delivered), ("read", Report::Read)];

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
        text_characters_max: 2_000,
        long_text: LongText::Cut,
        buttons: Buttons {
            max: 3,
            rows_max: 13,
            title_characters_max: 20,
            row_title_characters_max: 20,
            payload_bytes_max: 1_000,
            text_characters_max: 640,
            opens: Opens::PagesAndCalls,
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
            BodyType::Sticker,
            BodyType::Location,
            BodyType::Url,
            BodyType::Comment,
            BodyType::DeletedNotification,
        ],
        window_hours: Some(WINDOW_HOURS),
        typing: true,
        mark_read: true,
        read_receipts: true,
        ..Capabilities::TEXT
    }
}

/// What a page is to bring: all that is read of it, but comments (`feed`), which need a right of their own.
const FIELDS: [&str; 6] = [
    "messages",
    "messaging_postbacks",
    "message_deliveries",
    "message_reads",
    "message_reactions",
    "messaging_referrals",
];

/// The time for answers, in hours.
const WINDOW_HOURS: u16 = 24;
/// The time in which a person may answer.
const HUMAN_AGENT_HOURS: u16 = 7 * 24;

/// Who may take up a page's chats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Directive {
    /// A bot alone, however unsure it is.
    #[serde(rename = "BOT_ONLY")]
    BotOnly,
}

/// `[channel.account]` of a `facebook` channel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Of the page.
    access_token: SecretString,
    /// Signs webhooks.
    #[serde(default)]
    app_secret: SecretString,
    /// What Meta says back when the webhook's address is entered there.
    #[serde(default)]
    verify_token: Option<SecretString>,
    /// The page; without it the channel's DIDs name it, and all that comes is read.
    #[serde(default)]
    page_id: Option<Box<str>>,
    /// The app, whose webhook is then set up, too.
    #[serde(default)]
    app_id: Option<Box<str>>,
    /// The payload of the button that people see before they write for the first time.
    #[serde(default)]
    get_started: Option<Box<str>>,
    /// Questions that they see then.
    #[serde(default)]
    ice_breakers: Vec<IceBreaker>,
    /// The page's name, for people.
    #[serde(default, rename = "page_name")]
    _page_name: Option<Box<str>>,
    #[serde(default = "default_version")]
    graph_version: Box<str>,
    #[serde(default = "default_base_url")]
    base_url: Box<str>,
    /// Adds `appsecret_proof` to calls, for apps that demand it.
    #[serde(default)]
    appsecret_proof: bool,
    /// The app may answer as a person for 7 days: what comes too late for an answer is sent so.
    #[serde(default)]
    human_agent: bool,
    /// Told with each of the customers' messages as `routingDirective`.
    #[serde(default)]
    routing_directive: Option<Directive>,
    #[serde(skip)]
    root: String,
}

fn default_version() -> Box<str> {
    graph_api::VERSION.into()
}

fn default_base_url() -> Box<str> {
    graph_api::BASE_URL.into()
}

impl Account {
    fn checked(mut self) -> Result<Self, AccountError> {
        self.app().check(
            "it is shown in the app's dashboard under App settings, Basic",
            "generate the page's in the app's Messenger settings",
        )?;
        graph_api::number("page_id", self.page_id.as_deref(), "it is shown in the page's About")?;
        self.profile().check()?;
        self.root = graph_api::root(&self.base_url, &self.graph_version);
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
        let get_started = self.get_started.as_deref();
        Profile { get_started, ice_breakers: &self.ice_breakers, platform: None }
    }

    fn call(&self, request: Request) -> Request {
        self.app().call(request)
    }

    /// The page's token makes `me` the page.
    fn url(&self, what: &str) -> String {
        format!("{}/{}/{what}", self.root, self.page_id.as_deref().unwrap_or("me"))
    }
}

impl HttpChannel for Account {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        let hours = if self.human_agent { HUMAN_AGENT_HOURS } else { WINDOW_HOURS };
        Capabilities { window_hours: Some(hours), ..capabilities() }
    }

    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        messenger::customer(address)
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let call = messenger::message(Product::Page, &self.url("messages"), part, Window::Open)?;
        Ok(self.call(call))
    }

    fn answer(&self, part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        match answers {
            [] => Err(classify::nothing()),
            [late] if self.human_agent && messenger::is_window_closed(late) => {
                let url = self.url("messages");
                let call = messenger::message(Product::Page, &url, part, Window::HumanAgent)?;
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
        let mut received = messenger::read(Product::Page, webhook.body, self.page_id.as_deref())?;
        if self.routing_directive == Some(Directive::BotOnly) {
            for event in &mut received.events {
                if let InEvent::Message(message) = event {
                    message.attributes.push(("routingDirective".into(), "BOT_ONLY".into()));
                }
            }
        }
        Ok(received)
    }

    fn shared_ids(&self) -> SmallVec<[&str; 2]> {
        self.page_id.as_deref().into_iter().collect()
    }

    fn probe(&self) -> Option<Request> {
        Some(self.call(Request::get(format!("{}/me?fields=id,name", self.root))))
    }

    fn parse_account(&self, response: &Response) -> Vec<Attribute> {
        json::members(response, &["name"])
    }

    fn set_up(&self, ours: WebhookUrls<'_>, answers: &[Response]) -> Result<Option<SetUp>, SendError> {
        let (app, url) = (self.app(), subscribe::callback(ours, self.page_id.is_some()));
        if url.is_empty() {
            return Ok(None);
        }
        let desired: Vec<_> = [
            subscribe::app(app, &self.root, "page", &FIELDS, (ours, url)),
            Some(subscribe::page(app, self.url("subscribed_apps"), &FIELDS)),
            self.profile().desired(app, &self.url("messenger_profile")),
        ]
        .into_iter()
        .flatten()
        .collect();
        set_up::reconcile(&desired, answers, subscribe::read)
    }

    fn profile(&self, customer: &str) -> Option<Request> {
        let fields = "first_name,last_name,profile_pic";
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
