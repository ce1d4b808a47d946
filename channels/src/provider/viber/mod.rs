//! Viber bots (REST Bot API): JSON over HTTPS, every answer 200 with a status inside, webhooks
//! signed with the bot's own token.
//!
//! No call-back names the bot, so `dids` has one address: the bot's `uri`, `name` or `id`, as
//! `get_account_info` states them. Another one is told as a mistake, because the token may be
//! another bot's.
//!
//! Unconfirmed, each with the default taken: rich media needs `min_api_version` 7; 12 rows of a
//! keyboard, 6 cards of a carousel; a keyboard disappears with the next message; the limit of 100
//! messages an hour to a customer who does not answer is recognised by the words of status 12.

use std::sync::Arc;

use message::{BodyType, event::Cause};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    contract::{
        AccountError, AccountErrors, Capabilities, HttpChannel, OutPart, OwnAddresses, Protection, Provider,
        Received, Rejection, SendError, Sent, SetUp, Step, WebhookUrls,
        capability::{Buttons, LongText, Opens},
        http::{Body, Malformed, Reply, Request, Response, Webhook},
        keys_of,
        protection::{Hmac, Prefix, SecretKey},
    },
    family::meta::graph_api,
    toolkit::{
        account::account,
        classify, json,
        set_up::{self, Desired},
    },
};

mod receive;
mod send;

/// The description of `viber`.
pub const PROVIDER: Provider = Provider {
    name: "viber",
    channel_types: &["VIBER"],
    summary: "A Viber bot",
    documentation: "https://developers.viber.com/docs/api/rest-bot-api",
    secrets: &["auth_token"],
    webhook: Protection::Hmac(Hmac {
        refusal: 403,
        ..Hmac::sha256_hex("x-viber-content-signature", Prefix::None, SecretKey::Required("auth_token"))
    }),
    capabilities: capabilities(),
    statuses: receive::STATUSES,
    events: receive::EVENTS,
    account: &keys_of::<ViberAccount>,
    needs_https: true,
    channel: &|_, table| Ok(Arc::new(ViberAccount::checked(account(table)?)?)),
};

const fn capabilities() -> Capabilities {
    Capabilities {
        native: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Sticker,
            BodyType::Location,
            BodyType::Contact,
            BodyType::Url,
            BodyType::Button,
            BodyType::Carousel,
            BodyType::Custom,
        ],
        text_characters_max: 7_000,
        long_text: LongText::Cut,
        caption_characters_max: 512,
        captionless: &[BodyType::Audio, BodyType::File],
        buttons: Buttons {
            max: 24,
            rows_max: 0,
            title_characters_max: 100,
            row_title_characters_max: 0,
            payload_bytes_max: 500,
            text_characters_max: 7_000,
            opens: Opens::Pages,
        },
        cards_max: 6,
        card_text_characters_max: 80,
        card_buttons_max: 2,
        inbound_types: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::File,
            BodyType::Sticker,
            BodyType::Location,
            BodyType::Contact,
            BodyType::Url,
        ],
        read_receipts: true,
        ..Capabilities::TEXT
    }
}

/// `[channel.account]` of a `viber` channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ViberAccount {
    /// The bot's token, which authorises calls and signs webhooks: the Viber admin panel shows it
    /// under Edit info.
    #[schemars(with = "String")]
    auth_token: SecretString,
    /// The sender's name as the customer sees it: at most 28 characters.
    name: Box<str>,
    /// The address of the sender's picture.
    #[serde(default)]
    avatar: Option<Box<str>>,
    /// The greeting for people who open the chat before they write.
    #[serde(default)]
    welcome: Option<Box<str>>,
    /// The address of the API; another one for a proxy or a simulator.
    #[serde(default = "default_base_url")]
    base_url: Box<str>,
}

fn default_base_url() -> Box<str> {
    "https://chatapi.viber.com".into()
}

/// Events to subscribe to beside messages.
const EVENTS: [&str; 6] =
    ["delivered", "seen", "failed", "subscribed", "unsubscribed", "conversation_started"];
/// Maximum length of a sender's name, in characters; a longer one is refused.
const NAME_CHARACTERS_MAX: usize = 28;
/// Maximum length of a customer's id, in octets; a longer one is refused.
const ID_BYTES_MAX: usize = 128;
/// Phrases by which status 12 says that a customer received too many messages without answering.
const UNANSWERED_PHRASES: [&str; 2] = ["without reply", "without a reply"];

impl ViberAccount {
    fn checked(mut self) -> Result<Self, AccountErrors> {
        let characters = self.name.chars().count();
        let fits = (1..=NAME_CHARACTERS_MAX).contains(&characters);
        AccountErrors::all([
            graph_api::not_empty(
                "auth_token",
                &self.auth_token,
                "it is shown in the bot's Edit info in the Viber admin panel",
            ),
            fits.then_some(()).ok_or_else(|| AccountError {
                key: "name".into(),
                problem: format!("has {characters} characters; expected 1 to {NAME_CHARACTERS_MAX}"),
            }),
        ])?;
        self.base_url = self.base_url.trim_end_matches('/').into();
        Ok(self)
    }

    fn call(&self, method: &str, body: &Value) -> Request {
        let url = format!("{}/pa/{method}", self.base_url);
        Request::post(url, Body::Json(body.to_string()))
            .secret_header("X-Viber-Auth-Token", self.auth_token.expose_secret())
    }

    fn sender(&self) -> Value {
        let mut sender = json!({"name": &*self.name});
        if let Some(avatar) = &self.avatar {
            json::set(&mut sender, "avatar", &**avatar);
        }
        sender
    }
}

impl HttpChannel for ViberAccount {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    /// An opaque id, as received with the customer's message.
    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        let address = address.trim();
        let is_id = (1..=ID_BYTES_MAX).contains(&address.len())
            && address
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+' | b'=' | b'-' | b'_'));
        if is_id {
            return Ok(address.into());
        }
        let reason = format!(
            "channelCustomerIdentifier {address:?} is not a user id of Viber: expected the id that came with the customer's message"
        );
        Err(Rejection(Cause::new("400", reason)))
    }

    fn did(&self, address: &str) -> Arc<str> {
        address.trim().into()
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let mut message = send::message(part.content)?;
        json::set(&mut message, "receiver", part.customer);
        json::set(&mut message, "sender", self.sender());
        Ok(self.call("send_message", &message))
    }

    fn answer(&self, _part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        let Some(response) = answers.last() else { return Err(classify::nothing()) };
        let said = taken(response)?;
        match json::some_text(&said, "/message_token") {
            Some(token) => Ok(Step::Sent(Sent::id(&*token))),
            None => Err(classify::unreadable(response, "message_token")),
        }
    }

    fn credential(&self, key: &str) -> Option<&str> {
        (key == "auth_token").then(|| self.auth_token.expose_secret())
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        let said = json::parse(webhook.body).filter(Value::is_object);
        let said = said.ok_or_else(|| Malformed::new("the body is not a JSON object"))?;
        let received = receive::callback(&said);
        let is_start = json::text(&said, "/event").is_some_and(|event| event == "conversation_started");
        Ok(Received { reply: self.welcomed().filter(|_| is_start), ..received })
    }

    fn probe(&self) -> Option<Request> {
        Some(self.call("get_account_info", &json!({})).harmless())
    }

    fn parse_probe(&self, response: &Response) -> Result<(), SendError> {
        taken(response).map(|_| ()).map_err(SendError::of_probe)
    }

    fn parse_addresses(&self, response: &Response) -> Option<OwnAddresses> {
        let said = taken(response).ok()?;
        let names = ["/uri", "/name", "/id"].into_iter().filter_map(|key| json::some_text(&said, key));
        let addresses = names.map(|name| (&*name).into()).collect();
        Some(OwnAddresses { addresses, called: "uri, name and id", only_numbers: false })
    }

    fn set_up(&self, ours: WebhookUrls<'_>, answers: &[Response]) -> Result<Option<SetUp>, SendError> {
        let url = ours.webhook_url;
        if url.is_empty() {
            return Ok(None);
        }
        let desired = Desired {
            what: "webhook",
            ask: self.call("get_account_info", &json!({})).harmless(),
            holds: Box::new(move |info| {
                // Without a list, every event is brought.
                let events = info.get("event_types").filter(|events| events.is_array());
                json::text(info, "/webhook").is_some_and(|set| set == url)
                    && events.is_none_or(|events| set_up::has_all(Some(events), &EVENTS))
            }),
            change: Box::new(move |_| {
                let body = json!({"url": url, "event_types": EVENTS, "send_name": true, "send_photo": true});
                self.call("set_webhook", &body).harmless()
            }),
        };
        set_up::reconcile(&[desired], answers, taken)
    }
}

impl ViberAccount {
    /// Returns the greeting: the reply to the webhook is the only message allowed to a person who
    /// has just opened the chat.
    fn welcomed(&self) -> Option<Reply> {
        let words = self.welcome.as_deref()?;
        let message = json!({"sender": self.sender(), "type": "text", "text": words});
        Some(Reply::json(&message.to_string()))
    }
}

/// Parses an answer with status 0.
///
/// # Errors
/// Any other status, classified.
fn taken(response: &Response) -> Result<Value, SendError> {
    let said = json::parse(&response.body).unwrap_or_default();
    let Some(status) = json::number(&said, "/status").filter(|_| response.is_success()) else {
        return Err(SendError::by_status(response));
    };
    let words = json::text(&said, "/status_message").unwrap_or_default().into_owned();
    let lower = words.to_lowercase();
    let cause = Cause::new(status.to_string(), words);
    Err(match status {
        0 => return Ok(said),
        // The probe checks the token.
        2 => SendError::Forbidden(cause),
        7 | 8 | 9 | 15 | 24 => SendError::CredentialsRefused(cause),
        6 => SendError::Unsubscribed(cause),
        // This customer received too many messages without answering: the channel is not at fault.
        12 if UNANSWERED_PHRASES.iter().any(|phrase| lower.contains(phrase)) => SendError::Rejected(cause),
        12 => SendError::Busy { after_ms: response.retry_after_ms(), cause },
        10 => SendError::Unavailable(cause),
        1 | 3 | 4 | 5 | 11 | 13 | 14 | 16..=23 => SendError::Rejected(cause),
        _ => SendError::Unavailable(cause),
    })
}
