//! Telegram bots: JSON over HTTPS with the token in the address, updates by webhook (authenticated
//! by a secret header, and registered automatically) or by polling. Receipts do not exist; a part
//! that the API accepted stays sent.
//!
//! A customer is a place: a chat, and within it a topic or a business connection (`place.rs`). What
//! becomes of each kind of update is in `events.rs`.
//!
//! Unconfirmed: the sizes up to which Telegram itself fetches a file (5 and 20 MB); a file that it
//! could not fetch is downloaded here and uploaded.

mod content;
mod events;
mod place;
mod receive;
mod rich;
mod send;

use std::sync::Arc;

use message::{BodyType, event::Cause};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    contract::{
        AccountError, AccountErrors, Capabilities, Fetch, HttpChannel, InMessage, MediaRef, OutPart,
        OwnAddresses, Polled, Protection, Provider, Received, Rejection, SendError, SetUp, Step, WebhookUrls,
        capability::{Buttons, DefaultRate, Format, LongText, Opens, Units},
        http::{Body, Malformed, Request, Response, Webhook},
        keys_of,
        protection::{Place, SecretKey},
        url,
    },
    toolkit::{
        account::account,
        classify, json,
        set_up::{self, Desired},
        upload,
    },
};

/// The description of `telegram`.
pub const PROVIDER: Provider = Provider {
    name: "telegram",
    channel_types: &["TELEGRAM"],
    summary: "A Telegram bot",
    documentation: "https://core.telegram.org/bots/api",
    secrets: &["token", "secret_token"],
    webhook: Protection::Token {
        place: Place::Header("x-telegram-bot-api-secret-token"),
        secret: SecretKey::Required("secret_token"),
    },
    capabilities: capabilities(),
    statuses: &[],
    events: events::EVENTS,
    account: &keys_of::<TelegramAccount>,
    needs_https: true,
    channel: &|_, table| Ok(Arc::new(TelegramAccount::checked(account(table)?)?)),
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
            BodyType::Button,
            BodyType::Custom,
        ],
        units: Units::Utf16,
        send_rate: DefaultRate { per_second: 30, basis: "Telegram's limit over all chats" },
        text_characters_max: 4_096,
        long_text: LongText::Cut,
        format: Format::Own,
        caption_characters_max: 1_024,
        buttons: Buttons {
            max: 20,
            rows_max: 0,
            title_characters_max: 64,
            row_title_characters_max: 0,
            payload_bytes_max: 64,
            text_characters_max: 4_096,
            opens: Opens::Pages,
        },
        inbound_types: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Sticker,
            BodyType::Location,
            BodyType::Contact,
            BodyType::DeletedNotification,
        ],
        typing: true,
        receipts: false,
        ..Capabilities::TEXT
    }
}

/// The way updates arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Updates {
    /// Telegram calls the webhook.
    #[default]
    Webhook,
    /// Updates are polled, where Telegram cannot reach us.
    Poll,
}

/// `[channel.account]` of a `telegram` channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TelegramAccount {
    /// The bot's token, which BotFather shows: digits, a colon and a key.
    #[schemars(with = "String")]
    token: SecretString,
    /// A secret that you choose and Telegram repeats in each webhook: 1 to 256 of A-Z a-z 0-9 _ -,
    /// for example from "openssl rand -hex 32". Patchbay tells it to Telegram.
    #[schemars(with = "String")]
    secret_token: SecretString,
    /// The way updates arrive.
    #[serde(default)]
    updates: Updates,
    /// The address of the API; another one for a proxy or a simulator.
    #[serde(default = "default_base_url")]
    base_url: Box<str>,
}

fn default_base_url() -> Box<str> {
    "https://api.telegram.org".into()
}

/// Time for which Telegram holds a poll, in seconds: less than the limit of any call.
const POLL_S: u32 = 20;

/// Maximum length of the secret, in octets; Telegram refuses longer ones.
const SECRET_BYTES_MAX: usize = 256;

impl TelegramAccount {
    fn checked(mut self) -> Result<Self, AccountErrors> {
        let own = "choose 1 to 256 of A-Z a-z 0-9 _ -; Patchbay tells it to Telegram";
        let is_word = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        let secret = self.secret_token.expose_secret();
        let wrong = |key: &str, problem: String| AccountError { key: key.into(), problem };
        let fits = is_word(secret) && secret.len() <= SECRET_BYTES_MAX;
        let parts = self.token.expose_secret().split_once(':');
        let is_token = parts.is_some_and(|(bot, key)| {
            is_word(key) && !bot.is_empty() && bot.bytes().all(|b| b.is_ascii_digit())
        });
        AccountErrors::all([
            fits.then_some(()).ok_or_else(|| wrong("secret_token", format!("cannot be one; {own}"))),
            is_token.then_some(()).ok_or_else(|| {
                wrong("token", "is not a bot token (<digits>:<key>); BotFather shows it".into())
            }),
        ])?;
        self.base_url = self.base_url.trim_end_matches('/').into();
        Ok(self)
    }

    /// Returns the id of the bot, which is the first part of its token.
    fn bot(&self) -> &str {
        self.token.expose_secret().split(':').next().unwrap_or_default()
    }

    /// Returns a call of a method of the API.
    fn call(&self, method: &str, body: Body) -> Request {
        let token = self.token.expose_secret();
        Request::post(format!("{}/bot{token}/{method}", self.base_url), body).hiding(token)
    }

    /// Returns the desired webhook. Telegram does not reveal the set secret, only that we refused
    /// another one.
    fn webhook<'a>(&'a self, url: &'a str) -> Desired<'a> {
        let secret = self.secret_token.expose_secret();
        Desired {
            what: "webhook",
            ask: self.call("getWebhookInfo", Body::None).harmless(),
            holds: Box::new(move |info| {
                let trouble = json::text(info, "/last_error_message").unwrap_or_default();
                let is_refused = ["401", "403"].iter().any(|status| trouble.contains(status));
                json::text(info, "/url").is_some_and(|set| set == url)
                    && set_up::has_all(info.get("allowed_updates"), &events::subscribed())
                    && !is_refused
            }),
            change: Box::new(move |_| {
                let body =
                    json!({"url": url, "secret_token": secret, "allowed_updates": events::subscribed()});
                self.call("setWebhook", Body::Json(body.to_string())).harmless().hiding(secret)
            }),
        }
    }

    /// Returns the desired absence of a webhook, which polling requires. Pending updates are kept.
    fn no_webhook(&self) -> Desired<'_> {
        Desired {
            what: "no webhook",
            ask: self.call("getWebhookInfo", Body::None).harmless(),
            holds: Box::new(|info| json::some_text(info, "/url").is_none()),
            change: Box::new(|_| self.call("deleteWebhook", Body::None).harmless()),
        }
    }
}

impl HttpChannel for TelegramAccount {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    /// The id of a chat, or the `@name` of a public group or channel; with the topic or the
    /// business connection as it came with the customer's message.
    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        if let Some(place) = place::ChatPlace::parse(address) {
            return Ok(place.to_string().into());
        }
        let reason = format!(
            "channelCustomerIdentifier {address:?} is not a chat: expected its number, or @name of a public channel, and after it ;topic=, ;direct= or ;business= as it came with the customer's message"
        );
        Err(Rejection(Cause::new("400", reason)))
    }

    fn did(&self, address: &str) -> Arc<str> {
        address.trim().trim_start_matches('@').to_lowercase().into()
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let (method, body) = send::State::first(part)?.call(part)?;
        Ok(self.call(&method, body))
    }

    fn answer(&self, part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        if answers.is_empty() {
            return Err(classify::nothing());
        }
        let mut state = send::State::first(part)?;
        for answer in answers {
            if let Some(sent) = state.hear(part, answer)? {
                return Ok(Step::Sent(sent));
            }
        }
        match state.file_to_fetch(part) {
            Some(file) => Ok(Step::Next(file.fetched())),
            None => {
                let (method, body) = state.call(part)?;
                Ok(Step::Next(self.call(&method, body)))
            }
        }
    }

    fn credential(&self, key: &str) -> Option<&str> {
        (key == "secret_token").then(|| self.secret_token.expose_secret())
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        let said = json::parse(webhook.body).filter(Value::is_object);
        let said = said.ok_or_else(|| Malformed::new("the body is not a JSON object"))?;
        let mut received = Received::default();
        receive::update(self.bot(), &said, &mut received);
        Ok(received)
    }

    fn fetch(&self, media: &MediaRef, answers: &[Response]) -> Result<Fetch, SendError> {
        match answers {
            [] => {
                let body = Body::Json(json!({"file_id": &*media.locator}).to_string());
                Ok(Fetch::Next(self.call("getFile", body).harmless()))
            }
            [found] => {
                let said = send::result(found)?;
                let Some(path) = json::some_text(&said, "/file_path") else {
                    return Err(SendError::Rejected(Cause::new(
                        "no file_path",
                        "getFile names no file_path",
                    )));
                };
                let path: Vec<String> = path.split('/').map(url::percent_encode).collect();
                let token = self.token.expose_secret();
                let url = format!("{}/file/bot{token}/{}", self.base_url, path.join("/"));
                Ok(Fetch::Next(upload::download(&url).hiding(token)))
            }
            [.., last] if last.is_success() => Ok(Fetch::Got),
            [.., last] => Err(upload::not_fetched(last)),
        }
    }

    fn poll(&self, cursor: Option<&str>) -> Option<Request> {
        if self.updates == Updates::Webhook {
            return None;
        }
        let mut body = json!({"timeout": POLL_S, "limit": 100, "allowed_updates": events::subscribed()});
        if let Some(offset) = cursor.and_then(|cursor| cursor.parse::<i64>().ok()) {
            json::set(&mut body, "offset", offset);
        }
        Some(self.call("getUpdates", Body::Json(body.to_string())).harmless())
    }

    fn parse_poll(&self, cursor: Option<&str>, response: &Response) -> Result<Polled, SendError> {
        let said = send::result(response)?;
        let mut polled = Polled { received: Received::default(), cursor: cursor.map(Box::from) };
        for item in json::items(&said, "") {
            receive::update(self.bot(), item, &mut polled.received);
            if let Some(next) = json::number(item, "/update_id").and_then(|id| id.checked_add(1)) {
                polled.cursor = Some(next.to_string().into());
            }
        }
        Ok(polled)
    }

    fn probe(&self) -> Option<Request> {
        Some(self.call("getMe", Body::None).harmless())
    }

    fn parse_probe(&self, response: &Response) -> Result<(), SendError> {
        send::result(response).map(|_| ()).map_err(SendError::of_probe)
    }

    fn parse_addresses(&self, response: &Response) -> Option<OwnAddresses> {
        let me = send::result(response).ok()?;
        let names = ["/username", "/id"].into_iter().filter_map(|at| json::some_text(&me, at));
        Some(OwnAddresses {
            addresses: names.map(|name| (&*name).into()).collect(),
            called: "username or id",
            only_numbers: false,
        })
    }

    fn set_up(&self, ours: WebhookUrls<'_>, answers: &[Response]) -> Result<Option<SetUp>, SendError> {
        let desired = match self.updates {
            Updates::Webhook if ours.webhook_url.is_empty() => return Ok(None),
            Updates::Webhook => self.webhook(ours.webhook_url),
            Updates::Poll => self.no_webhook(),
        };
        set_up::reconcile(&[desired], answers, send::result)
    }

    fn typing(&self, _did: &str, customer: &str, _last_id: Option<&str>, on: bool) -> Option<Request> {
        let place = place::ChatPlace::parse(customer).filter(|_| on)?;
        let mut fields = Map::from_iter([("action".to_owned(), "typing".into())]);
        place.direct(&mut fields);
        let body = Body::Json(Value::Object(fields).to_string());
        Some(self.call("sendChatAction", body).harmless())
    }

    /// A pressed button shows progress until it is acknowledged.
    fn follow_up(&self, message: &InMessage) -> Option<Request> {
        let (_, id) = message.attributes.iter().find(|(key, _)| &**key == receive::CALLBACK)?;
        let body = json!({"callback_query_id": &**id});
        Some(self.call("answerCallbackQuery", Body::Json(body.to_string())).harmless())
    }
}
