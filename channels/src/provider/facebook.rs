//! Facebook Messenger for a page: JSON over HTTPS, webhooks signed with the app's secret; deliveries and reads are told
//! up to a time, not by message.
//!
//! Unconfirmed, each with the default taken: the Graph version moves (`graph_version`); titles of quick replies and
//! buttons end at 20 characters; codes 32 and 80006 mean a limit of rate; comments carry `from.id`. Tags other than
//! `HUMAN_AGENT` were withdrawn and are never used.

use std::sync::Arc;

use message::BodyType;
use secrecy::SecretString;
use serde::Deserialize;
use smallvec::SmallVec;

use super::{
    AccountError, HttpChannel, InEvent, OutPart, Provider, Received, Rejection, Report, Signature, Step,
    account,
};
use crate::{
    capability::{Buttons, Capabilities, LongText, Opens},
    classify,
    error::SendError,
    graph::{self, Credentials},
    http::{Malformed, Refused, Reply, Request, Response, Webhook},
    messenger::{self, Product, Window},
};

/// The description.
pub const PROVIDER: Provider = Provider {
    name: "facebook",
    channel_types: &["FACEBOOK", "FACEBOOK_MESSENGER", "MESSENGER"],
    summary: "Facebook Messenger for a page",
    documentation: "https://developers.facebook.com/docs/messenger-platform",
    secrets: &["access_token", "app_secret", "verify_token"],
    signature: Signature::Required("app_secret"),
    capabilities,
    statuses: STATUSES,
    channel: |table| Ok(Arc::new(Account::checked(account(table)?)?)),
};

const STATUSES: &[(&str, Report)] = &[("delivery", Report::Delivered), ("read", Report::Read)];

fn capabilities() -> Capabilities {
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
            "generate the page's in the app's Messenger settings",
        )?;
        if let Some(token) = &self.verify_token {
            graph::not_empty(
                "verify_token",
                token,
                "any text, the same as at the webhook in the app's dashboard",
            )?;
        }
        if self.page_id.as_deref().is_some_and(|id| id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(AccountError {
                key: "page_id".into(),
                problem: "is no number; it is shown in the page's About".into(),
            });
        }
        self.root = format!("{}/{}", self.base_url.trim_end_matches('/'), self.graph_version);
        Ok(self)
    }

    fn call(&self, request: Request) -> Request {
        let proof_with = self.appsecret_proof.then_some(&self.app_secret);
        Credentials { access_token: &self.access_token, proof_with }.call(request)
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
        graph::handshake(self.verify_token.as_ref(), webhook)
    }

    fn verify(&self, webhook: &Webhook<'_>) -> Result<(), Refused> {
        graph::verify(&self.app_secret, webhook)
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

    fn mark_read(&self, _did: &str, customer: &str, _provider_id: &str) -> Option<Request> {
        Some(self.call(messenger::sign(&self.url("messages"), customer, "mark_seen")))
    }

    fn typing(&self, _did: &str, customer: &str, _last_id: Option<&str>, on: bool) -> Option<Request> {
        let action = if on { "typing_on" } else { "typing_off" };
        Some(self.call(messenger::sign(&self.url("messages"), customer, action)))
    }
}
