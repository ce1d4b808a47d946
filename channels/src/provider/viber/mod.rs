//! Viber bots (REST Bot API): JSON over HTTPS, every answer 200 with a status inside, webhooks
//! signed with the bot's own token.
//!
//! Unconfirmed, each with the default taken: rich media needs `min_api_version` 7; 12 rows of a
//! keyboard, 6 cards of a carousel; a keyboard disappears with the next message; the limit of 100
//! messages an hour to a customer who does not answer is recognised by the words of status 12.

use std::sync::Arc;

use message::{BodyType, Content, event::Cause};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    contract::{
        AccountError, Capabilities, HttpChannel, InEvent, InMessage, InReceipt, MediaRef, OutPart,
        Protection, Provider, Received, Rejection, Report, SendError, Sent, SetUp, Step, WebhookUrls,
        capability::{Buttons, LongText, Opens},
        http::{Body, Malformed, Reply, Request, Response, Webhook},
        protection::{Hmac, Prefix, SecretKey},
    },
    family::meta::graph_api,
    toolkit::{
        account::account,
        classify, inbound_body, json,
        set_up::{self, Desired},
    },
};

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
    statuses: STATUSES,
    channel: &|_, table| Ok(Arc::new(ViberAccount::checked(account(table)?)?)),
};

const STATUSES: &[(&str, Report)] =
    &[("delivered", Report::Delivered), ("seen", Report::Read), ("failed", Report::Failed)];

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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViberAccount {
    /// The bot's token, which authorises calls and signs webhooks.
    #[serde(default)]
    auth_token: SecretString,
    /// The sender's name as the customer sees it.
    name: Box<str>,
    /// The sender's picture.
    #[serde(default)]
    avatar: Option<Box<str>>,
    /// The greeting for people who open the chat before they write.
    #[serde(default)]
    welcome: Option<Box<str>>,
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
    fn checked(mut self) -> Result<Self, AccountError> {
        graph_api::not_empty(
            "auth_token",
            &self.auth_token,
            "it is shown in the bot's Edit info in the Viber admin panel",
        )?;
        let characters = self.name.chars().count();
        if characters == 0 || characters > NAME_CHARACTERS_MAX {
            let problem = format!("has {characters} characters, expected 1 to {NAME_CHARACTERS_MAX}");
            return Err(AccountError { key: "name".into(), problem });
        }
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
        let mut received = Received::default();
        let event = json::text(&said, "/event").unwrap_or_default();
        let read = match &*event {
            "message" => written(&said).map(Some),
            "delivered" | "seen" | "failed" => reported(&said, &event).map(Some),
            "subscribed" => Ok(opt(&said, "/user/id", false)),
            "unsubscribed" => Ok(opt(&said, "/user_id", true)),
            "conversation_started" => {
                received.reply = self.welcomed();
                Ok(None)
            }
            // `webhook` is Viber's verification; other events may follow.
            _ => Ok(None),
        };
        match read {
            Ok(Some(event)) => received.events.push(event),
            Ok(None) => received.ignored = 1,
            Err(problem) => received.events.push(InEvent::Broken(problem)),
        }
        Ok(received)
    }

    fn probe(&self) -> Option<Request> {
        Some(self.call("get_account_info", &json!({})).harmless())
    }

    fn parse_probe(&self, response: &Response) -> Result<(), SendError> {
        taken(response).map(|_| ())
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
        2 | 7 | 8 | 9 | 15 | 24 => SendError::CredentialsRefused(cause),
        6 => SendError::Unsubscribed(cause),
        // This customer received too many messages without answering: the channel is not at fault.
        12 if UNANSWERED_PHRASES.iter().any(|phrase| lower.contains(phrase)) => SendError::Rejected(cause),
        12 => SendError::Throttled { after_ms: response.retry_after_ms(), cause },
        10 => SendError::Unavailable(cause),
        1 | 3 | 4 | 5 | 11 | 13 | 14 | 16..=23 => SendError::Rejected(cause),
        _ => SendError::Unavailable(cause),
    })
}

fn opt(said: &Value, pointer: &str, out: bool) -> Option<InEvent> {
    let customer = (&*json::some_text(said, pointer)?).into();
    let id = json::text(said, "/message_token").unwrap_or_default().as_ref().into();
    Some(InEvent::OptOut { did: "".into(), customer, out, id })
}

/// Reads a report on one of our messages; reports on customers' messages arrive as well and match
/// nothing.
fn reported(said: &Value, event: &str) -> Result<InEvent, Box<str>> {
    let token = json::some_text(said, "/message_token").ok_or("message_token is missing")?;
    let report = Report::of(STATUSES, event).unwrap_or(Report::Nothing);
    let words = json::some_text(said, "/desc").map(|words| format!("failed: {words}"));
    Ok(InEvent::Receipt(Box::new(InReceipt {
        reference: None,
        id: (&*token).into(),
        report,
        code: words.unwrap_or_else(|| event.to_owned()).into(),
        did: "".into(),
        customer: json::text(said, "/user_id").unwrap_or_default().as_ref().into(),
        watermark_ms: None,
    })))
}

fn written(said: &Value) -> Result<InEvent, Box<str>> {
    let id = json::some_text(said, "/message_token").ok_or("message_token is missing")?;
    let customer = json::some_text(said, "/sender/id").ok_or("sender.id is missing")?;
    let item = json::at(said, "/message").ok_or("message is missing")?;
    let (content, media) = content(item)?;
    let mut message = InMessage::new("", &customer, &id, content);
    message.media = media;
    message.time = json::time(said, "/timestamp");
    for (key, pointer) in [
        ("customerName", "/sender/name"),
        ("language", "/sender/language"),
        ("country", "/sender/country"),
        ("groupId", "/chat_id"),
    ] {
        if let Some(value) = json::some_text(said, pointer) {
            message.attributes.push((key.into(), (&*value).into()));
        }
    }
    Ok(InEvent::Message(Box::new(message)))
}

fn content(item: &Value) -> Result<(Content, Vec<MediaRef>), Box<str>> {
    let at = |pointer: &str| json::some_text(item, pointer);
    let text = json::text(item, "/text").unwrap_or_default();
    let kind = at("/type").unwrap_or_default();
    let media = || {
        let locator = at("/media").ok_or_else(|| format!("a message of type {kind} has no media"))?;
        let file_name = at("/file_name").map(|name| Box::from(&*name));
        Ok::<_, Box<str>>(MediaRef { locator: (&*locator).into(), content_type: None, file_name })
    };
    let file = |body_type: BodyType| {
        let media = media()?;
        Ok((inbound_body::file(body_type, &text, 0, &media), vec![media]))
    };
    match &*kind {
        "text" => Ok((Content::Text((&*text).into()), Vec::new())),
        "picture" => file(BodyType::Image),
        "video" => file(BodyType::Video),
        "file" => file(BodyType::File),
        "contact" => {
            let name = at("/contact/name").unwrap_or_default();
            let phone = at("/contact/phone_number").unwrap_or_default();
            Ok((inbound_body::contacts(vec![inbound_body::contact(&name, &[&phone])]), Vec::new()))
        }
        "location" => {
            let degrees = |key: &str| {
                let value = at(&format!("/location/{key}"))?.parse::<f64>().ok()?;
                value.is_finite().then_some(value)
            };
            let place = degrees("lat").zip(degrees("lon")).ok_or("a location has no lat and lon")?;
            let address = at("/location/address").unwrap_or_default();
            Ok((inbound_body::location(place.0, place.1, "", &address, ""), Vec::new()))
        }
        "url" => {
            let page = at("/media").ok_or("a url has no media")?;
            Ok((inbound_body::url(&text, &page), Vec::new()))
        }
        "sticker" => {
            let id = at("/sticker_id").unwrap_or_default();
            let media: Vec<MediaRef> = media().into_iter().collect();
            Ok((inbound_body::sticker(media.first().map(|_| 0), &id), media))
        }
        other => Ok((
            Content::Text(format!("[unsupported message: {other}] {text}").trim_end().into()),
            Vec::new(),
        )),
    }
}
