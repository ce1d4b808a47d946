//! Bandwidth Messaging API v2: SMS and MMS by JSON over HTTPS with Basic credentials. Webhooks are
//! not signed; they carry Basic credentials if the application has them.
//!
//! Unconfirmed, with the default taken: webhooks may come without credentials first and be repeated
//! after a 401. OAuth2 is not used. Failures that come as a receipt are not retried.
//!
//! Our own numbers are not compared with the account's: the Messaging API lists none, and the API
//! of numbers answers other users, in XML.

use std::sync::Arc;

use message::{BodyType, Content, event::Cause};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    address::number,
    contract::{
        AccountError, AccountErrors, Capabilities, EventKind, Fetch, HttpChannel, InEvent, InMessage,
        InReceipt, MEDIA_BYTES_MAX, MediaRef, OutPart, Protection, Provider, Received, Rejection, Report,
        SendError, Sent, Step,
        capability::{DefaultRate, LongText},
        events::{Fate, fate, note_unknown, row},
        http::{Body, Malformed, Request, Response, Webhook},
        keys_of,
        protection::SecretKey,
    },
    toolkit::{
        account::{account, address, filled},
        auth, classify,
        group::{self, GroupNumbers},
        inbound_body, json,
        text_and_media::TextAndMedia,
    },
};

/// Description of Bandwidth.
pub const PROVIDER: Provider = Provider {
    name: "bandwidth",
    channel_types: &["SMS"],
    summary: "SMS and MMS by Bandwidth",
    documentation: "https://dev.bandwidth.com/docs/messaging/",
    secrets: &["password", "callback_password"],
    webhook: Protection::Basic {
        user: "callback_user_id",
        password: SecretKey::Optional("callback_password"),
    },
    capabilities: Capabilities {
        native: &[BodyType::Plain, BodyType::Image, BodyType::Video, BodyType::Audio, BodyType::File],
        text_characters_max: 2_048,
        send_rate: DefaultRate {
            per_second: 1,
            basis: "Bandwidth's default for an account; ask for more and set send_rate",
        },
        long_text: LongText::Cut,
        caption_characters_max: 2_048,
        inbound_types: &[BodyType::Plain, BodyType::Image, BodyType::Video, BodyType::Audio, BodyType::File],
        ..Capabilities::TEXT
    },
    statuses: STATUSES,
    events: EVENTS,
    account: &keys_of::<BandwidthAccount>,
    needs_https: false,
    channel: &|_, table| Ok(Arc::new(account::<BandwidthAccount>(table)?.checked()?)),
};

const RBM: &str = "RCS is not offered";

/// Every callback type of the reference, and the directions of a message.
const EVENTS: &[EventKind] = &[
    row("event", "message-received", Fate::Message),
    row("event", "request-location-response", Fate::Ignored(RBM)),
    row("event", "suggestion-response", Fate::Ignored(RBM)),
    row("event", "message-sending", Fate::Receipt),
    row("event", "message-sent", Fate::Receipt),
    row("event", "message-delivered", Fate::Receipt),
    row("event", "message-failed", Fate::Receipt),
    row("event", "message-read", Fate::Receipt),
    row("direction", "in", Fate::Message),
    row("direction", "out", Fate::Ignored("our own message: two routers would answer each other for ever")),
];

/// Maximum number of members of a group that one message reaches.
const MEMBERS_MAX: usize = 10;

const STATUSES: &[(&str, Report)] = &[
    ("message-sending", Report::Enroute),
    ("message-sent", Report::Sent),
    ("message-delivered", Report::Delivered),
    ("message-failed", Report::Failed),
    ("message-read", Report::Read),
];

/// `[channel.account]` of a `bandwidth` channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandwidthAccount {
    /// The account number, a part of every address of the API.
    account_id: Box<str>,
    /// The application, which has the callback addresses.
    application_id: Box<str>,
    /// The user of the API, or an API token.
    username: Box<str>,
    /// The password of the API, or the secret of the token.
    #[schemars(with = "String")]
    password: SecretString,
    /// The user of webhooks.
    #[serde(default)]
    callback_user_id: Option<Box<str>>,
    /// The password of webhooks. Without it the channel must have `unsigned = true`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    callback_password: Option<SecretString>,
    /// The priority of each message: `default` or `high`.
    #[serde(default)]
    priority: Option<Box<str>>,
    /// The address of the API; another one for a proxy or a simulator.
    #[serde(default = "default_base_url")]
    base_url: Box<str>,
}

fn default_base_url() -> Box<str> {
    "https://messaging.bandwidth.com".into()
}

impl BandwidthAccount {
    fn checked(mut self) -> Result<Self, AccountErrors> {
        let is_id = !self.account_id.is_empty() && self.account_id.bytes().all(|b| b.is_ascii_alphanumeric());
        AccountErrors::all([
            filled("password", &self.password),
            self.callback_password.as_ref().map_or(Ok(()), |secret| filled("callback_password", secret)),
            is_id.then_some(()).ok_or_else(|| AccountError {
                key: "account_id".into(),
                problem: "is not an account number; the dashboard shows it".into(),
            }),
            address("base_url", &mut self.base_url),
        ])?;
        Ok(self)
    }

    fn call(&self, request: Request) -> Request {
        let password = self.password.expose_secret();
        request.secret_header("Authorization", auth::basic(&self.username, password))
    }

    fn messages(&self) -> String {
        format!("{}/api/v2/users/{}/messages", self.base_url, self.account_id)
    }
}

impl HttpChannel for BandwidthAccount {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    /// A number, or the numbers of a group separated by commas.
    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        group::customer(address, MEMBERS_MAX)
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let mut message = json!({
            "applicationId": &*self.application_id,
            "from": number::e164(part.did),
            "to": group::members(part.customer),
            "tag": part.reference,
        });
        let content = TextAndMedia::of(part.content)?;
        json::set(&mut message, "text", content.text);
        if let Some(file) = content.file {
            json::set(&mut message, "media", json!([file]));
        }
        if let Some(priority) = &self.priority {
            json::set(&mut message, "priority", &**priority);
        }
        if let Some(expiration) = part.valid_s.and_then(|valid_s| expiration(part.now_ms, valid_s)) {
            json::set(&mut message, "expiration", expiration);
        }
        Ok(self.call(Request::post(self.messages(), Body::Json(message.to_string()))))
    }

    fn answer(&self, _part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        let Some(response) = answers.last() else { return Err(classify::nothing()) };
        let said = json::parse(&response.body).unwrap_or_default();
        if response.is_success() {
            // Without an id the message was still taken: receipts carry our tag.
            return Ok(Step::Sent(Sent::id(&*json::some_text(&said, "/id").unwrap_or_default())));
        }
        Err(refusal(response, &said))
    }

    fn credential(&self, key: &str) -> Option<&str> {
        match key {
            "callback_user_id" => self.callback_user_id.as_deref(),
            "callback_password" => self.callback_password.as_ref().map(|secret| secret.expose_secret()),
            _ => None,
        }
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        let said = json::parse(webhook.body).ok_or_else(|| Malformed::new("the body is not valid JSON"))?;
        let items = match &said {
            Value::Array(items) => items.as_slice(),
            item @ Value::Object(_) => std::slice::from_ref(item),
            _ => return Err(Malformed::new("the body is not an array")),
        };
        let mut received = Received::default();
        for item in items {
            let kind = json::text(item, "/type").unwrap_or_default();
            let direction = json::text(item, "/message/direction").unwrap_or_default();
            match (fate(EVENTS, "event", &kind), Report::of(STATUSES, &kind)) {
                (Some(Fate::Message), _) if direction == "out" => received.ignored += 1,
                (Some(Fate::Message), _) => received.events.extend(written(item)),
                (Some(Fate::Receipt), Some(report)) => {
                    received.events.extend(reported(item, &kind, report));
                }
                (Some(_), _) => received.ignored += 1,
                (None, _) => note_unknown(&mut received.unknown, "event", &kind),
            }
        }
        Ok(received)
    }

    fn fetch(&self, media: &MediaRef, answers: &[Response]) -> Result<Fetch, SendError> {
        let Some(last) = answers.last() else {
            let call = Request { answer_bytes_max: MEDIA_BYTES_MAX, ..Request::get(&*media.locator) };
            // Credentials go to Bandwidth only.
            let own = [&*self.base_url, "https://messaging.bandwidth.com"];
            let is_own = own
                .iter()
                .any(|base| media.locator.strip_prefix(base).is_some_and(|rest| rest.starts_with('/')));
            return Ok(Fetch::Next(if is_own { self.call(call) } else { call }));
        };
        if last.is_success() { Ok(Fetch::Got) } else { Err(SendError::by_status(last)) }
    }

    fn probe(&self) -> Option<Request> {
        let url = format!("{}?messageDirection=OUTBOUND&limit=1", self.messages());
        Some(self.call(Request::get(url)))
    }

    fn parse_probe(&self, response: &Response) -> Result<(), SendError> {
        match refusal(response, &json::parse(&response.body).unwrap_or_default()) {
            _ if response.is_success() => Ok(()),
            // The credentials were accepted; only the filter was not.
            SendError::Rejected(_) if response.status == 400 => Ok(()),
            // A user may send and not list messages.
            error if response.status == 403 => Err(error),
            error => Err(error.of_probe()),
        }
    }
}

/// Returns the end of a message's validity, in RFC 3339.
fn expiration(now_ms: i64, valid_s: u64) -> Option<String> {
    let valid_ms = i64::try_from(valid_s).ok()?.checked_mul(1_000)?;
    jiff::Timestamp::from_millisecond(now_ms.checked_add(valid_ms)?).ok().map(|time| time.to_string())
}

fn refusal(response: &Response, said: &Value) -> SendError {
    let Some(kind) = json::some_text(said, "/type").or_else(|| json::some_text(said, "/error")) else {
        return match response.status {
            404 => SendError::Forbidden(not_found(response)),
            _ => SendError::by_status(response),
        };
    };
    let mut reason = json::text(said, "/description").unwrap_or_default().into_owned();
    for field in json::items(said, "/fieldErrors") {
        let name = json::text(field, "/fieldName").unwrap_or_default();
        let problem = json::text(field, "/description").unwrap_or_default();
        reason.push_str(&format!("; {name}: {problem}"));
    }
    match response.status {
        404 => SendError::Forbidden(not_found(response)),
        _ => SendError::of_status(response, Cause::new(&*kind, reason)),
    }
}

/// Returns the cause of a 404: a wrong address, which the probe confirms.
fn not_found(response: &Response) -> Cause {
    Cause::new("http 404", format!("account_id or base_url is wrong: {}", response.words()))
}

fn written(item: &Value) -> Vec<InEvent> {
    let field = |pointer: &str| json::some_text(item, pointer);
    let did = field("/message/owner").or_else(|| field("/to"));
    let (Some(id), Some(customer), Some(did)) = (field("/message/id"), field("/message/from"), did) else {
        return vec![InEvent::Broken("message.id, message.from or message.owner is missing".into())];
    };
    // A `.smil` file holds the layout of an MMS and is not the customer's.
    let is_file = |url: &&str| !url.is_empty() && !url.split('?').next().unwrap_or(url).ends_with(".smil");
    let files = json::items(item, "/message/media").iter().filter_map(Value::as_str).filter(is_file);
    let files: Vec<MediaRef> =
        files.map(|url| MediaRef { locator: url.into(), content_type: None, file_name: None }).collect();
    let time = json::time(item, "/message/time").or_else(|| json::time(item, "/time"));
    let mut message = InMessage { time, ..InMessage::new(&did, &customer, &id, Content::Text("".into())) };
    let everyone = group::texts(json::items(item, "/message/to"), "");
    let group =
        GroupNumbers::of(&did, std::iter::once(&*customer).chain(everyone.iter().map(String::as_str)));
    group.address_message(&mut message, MEMBERS_MAX);
    inbound_body::messages(message, &json::text(item, "/message/text").unwrap_or_default(), files)
}

fn reported(item: &Value, word: &str, report: Report) -> Vec<InEvent> {
    let owned = |pointer: &str| json::text(item, pointer).unwrap_or_default().as_ref().into();
    let reference: Option<Arc<str>> = json::some_text(item, "/message/tag").map(|tag| (&*tag).into());
    let id: Arc<str> = owned("/message/id");
    if id.is_empty() && reference.is_none() {
        return vec![InEvent::Broken("message.id and message.tag are missing".into())];
    }
    let error = json::some_text(item, "/errorCode").filter(|_| report == Report::Failed);
    let words = json::text(item, "/description").unwrap_or_default();
    let did: Arc<str> = json::some_text(item, "/message/owner")
        .map_or_else(|| owned("/message/from"), |owner| (&*owner).into());
    // Receipts of a group name their recipient; others may name none.
    let member: Arc<str> =
        json::some_text(item, "/to").map_or_else(|| owned("/message/to/0"), |to| (&*to).into());
    let everyone = group::texts(json::items(item, "/message/to"), "");
    let group = GroupNumbers::of(&did, everyone.iter().map(String::as_str)).address(MEMBERS_MAX);
    let report = match error.as_deref() {
        // The carrier's receipt timed out: the message may have arrived.
        Some("9902") => Report::Sent,
        Some("9999") => Report::Nothing,
        _ => report,
    };
    let opted_out = error.as_deref() == Some("4775");
    let receipt = InReceipt {
        reference,
        id: id.clone(),
        report,
        code: error.map_or_else(|| word.to_owned(), |code| format!("{code}: {words}")).into(),
        did: did.clone(),
        customer: group.unwrap_or_else(|| member.clone()),
        watermark_ms: None,
    };
    let mut events = vec![InEvent::Receipt(Box::new(receipt))];
    if opted_out {
        events.push(InEvent::OptOut { did, customer: member, out: true, id });
    }
    events
}
