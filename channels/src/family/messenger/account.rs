//! An account on the Messenger Platform: a Facebook page or an Instagram professional account. The
//! two differ in the values they hand in, not in code.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use smallvec::SmallVec;

use super::{
    answer,
    product::Product,
    receive,
    send::{self, ReplyWindow},
};
use crate::{
    contract::{
        AccountError, Attribute, Capabilities, HttpChannel, InEvent, OutPart, OwnAddresses, Provider,
        Received, Rejection, SendError, SetUp, Step, WebhookUrls,
        http::{Malformed, Refused, Reply, Request, Response, Webhook},
        url,
    },
    family::meta::{
        graph_api::{self, App},
        subscribe::{self, IceBreaker, Profile},
    },
    toolkit::{classify, json, set_up},
};

/// The period in which the business may answer a customer, in hours.
pub const WINDOW_HOURS: u16 = 24;
/// The period in which a person may answer, in hours, for apps with that permission.
pub const HUMAN_AGENT_HOURS: u16 = 7 * 24;

/// A configured account and the product's values.
#[derive(Debug)]
pub struct MessengerAccount {
    /// The provider's description.
    pub provider: &'static Provider,
    /// The product, which decides the wire form.
    pub product: Product,
    /// Capabilities of the account.
    pub capabilities: Capabilities,
    /// The token of the page, or with Instagram Login of the account.
    pub access_token: SecretString,
    /// Signs webhooks.
    pub app_secret: SecretString,
    /// The word Meta repeats when the webhook's address is entered there.
    pub verify_token: Option<SecretString>,
    /// The app whose webhook is set up.
    pub app_id: Option<Box<str>>,
    /// Whether calls carry `appsecret_proof`.
    pub proof: bool,
    /// The payload of the Get Started button.
    pub get_started: Option<Box<str>>,
    /// Questions shown before the first message.
    pub ice_breakers: Vec<IceBreaker>,
    /// The id by which webhooks name the account; without one every entry is read.
    pub own_id: Option<Box<str>>,
    /// The id in whose name calls are made; without one `me`, which the token resolves.
    pub sender_id: Option<Box<str>>,
    /// Whether replies after the window are sent as a person's (`HUMAN_AGENT`).
    pub human_agent: bool,
    /// Added to each inbound message as `routingDirective`.
    pub routing_directive: Option<&'static str>,
    /// The address of the API with its version.
    pub root: String,
    /// The app's subscription, where it is managed with this token.
    pub app_subscription: Option<AppSubscription>,
    /// Fields to which the page or account subscribes the app.
    pub page_fields: &'static [&'static str],
    /// Fields asked for to learn a customer's profile.
    pub profile_fields: &'static str,
    /// Fields asked for to probe the credentials.
    pub probe_fields: &'static str,
    /// The pointer to the id by which webhooks name the account, in the answer to a probe, and
    /// Meta's name for it.
    pub own_id_at: (&'static str, &'static str),
}

/// An app's subscription to one kind of object.
#[derive(Clone, Copy, Debug)]
pub struct AppSubscription {
    /// `page` or `instagram`.
    pub object: &'static str,
    /// The fields to be brought.
    pub fields: &'static [&'static str],
}

impl MessengerAccount {
    /// Checks the profile's settings.
    ///
    /// # Errors
    /// Names the key that Meta would refuse.
    pub fn check_profile(&self) -> Result<(), AccountError> {
        self.messenger_profile().check()
    }

    fn app(&self) -> App<'_> {
        App {
            access_token: &self.access_token,
            app_secret: &self.app_secret,
            verify_token: self.verify_token.as_ref(),
            app_id: self.app_id.as_deref(),
            proof: self.proof,
        }
    }

    fn messenger_profile(&self) -> Profile<'_> {
        Profile {
            get_started: self.get_started.as_deref(),
            ice_breakers: &self.ice_breakers,
            platform: (self.product == Product::Instagram).then_some("instagram"),
        }
    }

    fn call(&self, request: Request) -> Request {
        self.app().call(request)
    }

    fn url(&self, resource: &str) -> String {
        format!("{}/{}/{resource}", self.root, self.sender_id.as_deref().unwrap_or("me"))
    }

    fn message(&self, part: &OutPart<'_>, window: ReplyWindow) -> Result<Request, SendError> {
        Ok(self.call(send::message(self.product, &self.url("messages"), part, window)?))
    }
}

impl HttpChannel for MessengerAccount {
    fn provider(&self) -> &'static Provider {
        self.provider
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        answer::customer(address)
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        self.message(part, ReplyWindow::Open)
    }

    fn answer(&self, part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        match answers {
            [] => Err(classify::nothing()),
            [late] if self.human_agent && answer::is_window_closed(late) => {
                Ok(Step::Next(self.message(part, ReplyWindow::HumanAgent)?))
            }
            [.., last] => answer::parse_send(part, last),
        }
    }

    fn handshake(&self, webhook: &Webhook<'_>) -> Result<Option<Reply>, Refused> {
        graph_api::handshake(self.verify_token.as_ref(), webhook)
    }

    fn credential(&self, key: &str) -> Option<&str> {
        (key == "app_secret").then(|| self.app_secret.expose_secret())
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        let mut received = receive::read(self.product, webhook.body, self.own_id.as_deref())?;
        if let Some(directive) = self.routing_directive {
            for event in &mut received.events {
                if let InEvent::Message(message) = event {
                    message.attributes.push(("routingDirective".into(), directive.into()));
                }
            }
        }
        Ok(received)
    }

    fn message_token(&self, id: &str) -> Option<Box<str>> {
        Some(receive::token(id))
    }

    fn shared_ids(&self) -> SmallVec<[&str; 2]> {
        self.own_id.as_deref().into_iter().collect()
    }

    fn probe(&self) -> Option<Request> {
        Some(self.call(Request::get(format!("{}/me?fields={}", self.root, self.probe_fields))))
    }

    fn parse_probe(&self, response: &Response) -> Result<(), SendError> {
        graph_api::probed(response)
    }

    fn parse_account(&self, response: &Response) -> Vec<Attribute> {
        json::members(response, &["name", "username"])
    }

    fn parse_addresses(&self, response: &Response) -> Option<OwnAddresses> {
        let said = json::parse(&response.body)?;
        let (at, called) = self.own_id_at;
        let addresses = vec![(&*json::some_text(&said, at)?).into()];
        Some(OwnAddresses { addresses, called, only_numbers: false })
    }

    fn set_up(&self, ours: WebhookUrls<'_>, answers: &[Response]) -> Result<Option<SetUp>, SendError> {
        let (app, url) = (self.app(), subscribe::callback(ours, self.own_id.is_some()));
        if url.is_empty() {
            return Ok(None);
        }
        let of_the_app = self.app_subscription.and_then(|AppSubscription { object, fields }| {
            subscribe::app(app, &self.root, object, fields, (ours, url))
        });
        let desired: Vec<_> = [
            of_the_app,
            Some(subscribe::page(app, self.url("subscribed_apps"), self.page_fields)),
            self.messenger_profile().desired(app, &self.url("messenger_profile")),
        ]
        .into_iter()
        .flatten()
        .collect();
        set_up::reconcile(&desired, answers, subscribe::read)
    }

    fn profile(&self, customer: &str) -> Option<Request> {
        let (customer, fields) = (url::percent_encode(customer), self.profile_fields);
        Some(self.call(Request::get(format!("{}/{customer}?fields={fields}", self.root))))
    }

    fn parse_profile(&self, response: &Response) -> Vec<Attribute> {
        answer::parse_profile(response)
    }

    fn mark_read(&self, _did: &str, customer: &str, _provider_id: &str) -> Option<Request> {
        Some(self.call(send::sender_action(&self.url("messages"), customer, "mark_seen")))
    }

    fn typing(&self, _did: &str, customer: &str, _last_id: Option<&str>, on: bool) -> Option<Request> {
        let action = if on { "typing_on" } else { "typing_off" };
        Some(self.call(send::sender_action(&self.url("messages"), customer, action)))
    }
}
