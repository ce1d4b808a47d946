//! The contract between the engine and a simulated REST provider: pure functions from requests and
//! orders to responses and call-backs. Time, ids, credentials and memory are arguments; nothing
//! here does IO.

mod inbound;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

pub use self::inbound::{Inbound, Kind, Signature};
use crate::toolkit::{
    chance::Chance,
    http::{Outgoing, Request, Response},
    media::{File, Media},
    time,
};

/// The description of a provider, shared by all its simulators.
#[derive(Debug)]
pub struct About {
    /// The name, as in a channel's `provider`.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// Credentials and names of the account, with defaults.
    pub credentials: &'static [Credential],
    /// Maximum number of events in one POST.
    pub batch_max: usize,
    /// Retries of webhooks.
    pub retry: RetryPolicy,
    /// Whether events are kept for polls while no webhook is configured.
    pub polls: bool,
    /// The customer who writes, unless an order names another one.
    pub customer: &'static str,
}

/// A credential or another name that an account has.
#[derive(Clone, Copy, Debug)]
pub struct Credential {
    /// The key, as in [`Options::credentials`](crate::rest::Options::credentials).
    pub key: &'static str,
    /// The value, unless the simulator is started with another one.
    pub default: &'static str,
    /// The use of it, for people.
    pub purpose: &'static str,
}

impl Credential {
    /// Returns the description of a business number.
    pub(crate) const fn number(default: &'static str) -> Self {
        Self { key: "number", default, purpose: "the default business number of inbound messages" }
    }
}

/// When webhooks are retried.
#[derive(Debug)]
pub struct RetryPolicy {
    /// Maximum number of attempts, the first included; fewer than in reality.
    pub attempts_max: u32,
    /// Factor by which each pause is longer than the one before.
    pub factor: u64,
    /// Whether an answer other than 2xx is retried; a failed connection always is.
    pub after_answers: bool,
    /// Whether a `Retry-After` is obeyed.
    pub obeys_retry_after: bool,
}

/// A message that the provider accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The provider's id.
    pub id: String,
    /// When it was accepted, in milliseconds since the start.
    pub at_ms: u64,
    /// The business's address.
    pub from: String,
    /// The customer's address.
    pub to: String,
    /// The provider's name of the type.
    pub kind: String,
    /// The text or caption.
    pub text: String,
    /// Attachments, by address or id.
    pub media: Vec<String>,
    /// Titles of buttons and other choices.
    pub buttons: Vec<String>,
    /// The address for its receipts, if the request names one.
    pub callback: Option<String>,
    /// The whole request.
    pub request: Value,
}

/// The effect of a request, and its response.
pub(crate) enum Effect {
    /// A response and no effect.
    Answer(Response),
    /// Accepts messages.
    Accept(Vec<Message>, Response),
    /// Changes the webhook; after the handshake, where there is one. `failed` answers a failed
    /// handshake.
    SetWebhook {
        webhook: Option<WebhookConfig>,
        handshake: Option<Handshake>,
        answer: Response,
        failed: Response,
    },
    /// Long-polls for events. `conflict` answers when a webhook is configured, or a newer poll
    /// arrives.
    Poll { offset: i64, limit: usize, timeout_ms: u64, conflict: Response },
    /// Stores an uploaded file.
    Store(File, Response),
    /// Removes the file with this id.
    Remove(String, Response),
}

/// Where events are posted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct WebhookConfig {
    pub(crate) url: String,
    /// Sent along with each event to prove its origin.
    pub(crate) secret: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    /// Names of the events to post; `None`: those that the provider posts by default.
    pub(crate) events: Option<Vec<String>>,
}

/// A status of a message, for a receipt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusReport<'a> {
    pub(crate) message: &'a Message,
    pub(crate) status: ReportStatus<'a>,
    /// The provider's code of a failure; `None`: a common one.
    pub(crate) code: Option<&'a str>,
}

/// A status that a receipt reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportStatus<'a> {
    Sent,
    Delivered,
    Read,
    Failed,
    /// A status in the provider's own words.
    Own(&'a str),
}

impl<'a> ReportStatus<'a> {
    /// Reads a status as scripts and orders name it.
    pub(crate) fn named(name: &'a str) -> Self {
        match name {
            "sent" => Self::Sent,
            "delivered" => Self::Delivered,
            "read" => Self::Read,
            "failed" => Self::Failed,
            own => Self::Own(own),
        }
    }

    pub(crate) fn name(self) -> &'a str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
            Self::Own(own) => own,
        }
    }
}

/// A request that a new webhook must answer, and the body that it must answer with.
pub(crate) struct Handshake {
    pub(crate) request: Outgoing,
    pub(crate) body: Option<String>,
}

/// The outcome of a message outside of the customer's window, with the provider's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutsideWindow {
    /// Refused at once.
    Refused(&'static str),
    /// Accepted, and reported failed.
    Fails(&'static str),
}

/// A fault that the provider puts into its own words.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault<'a> {
    Throttled { after_s: u64 },
    Unavailable { status: u16 },
    Rejected { code: &'a str },
    Credentials,
    WithoutId,
}

/// An event that the provider does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{provider} does not support inbound {kind}; kind raw sends the event in extra as it is")]
pub struct UnsupportedEvent {
    /// The provider's name.
    pub provider: &'static str,
    /// The requested kind, in lower case.
    pub kind: String,
}

impl UnsupportedEvent {
    pub(crate) fn new(about: &About, kind: Kind) -> Self {
        Self { provider: about.name, kind: format!("{kind:?}").to_lowercase() }
    }
}

/// A simulated provider.
pub(crate) trait Provider: Sync {
    fn about(&self) -> &About;

    /// Decides the effect of a request to the API.
    fn handle(&self, request: &Request, cx: &Context<'_>) -> Effect;

    /// Returns the response that expresses a fault.
    fn fault(&self, fault: Fault<'_>, cx: &Context<'_>) -> Response;

    /// Returns the event of an inbound message.
    fn inbound(
        &self,
        inbound: &Inbound,
        file: Option<&File>,
        cx: &Context<'_>,
    ) -> Result<Value, UnsupportedEvent>;

    /// Returns the event of a receipt; `None` when the provider has no such event.
    fn receipt(&self, report: &StatusReport<'_>, cx: &Context<'_>) -> Option<Value>;

    /// Returns the names of the events that follow the copy of a message of the business, which is
    /// called `echo`. Each is made by [`receipt`](Self::receipt), as a status in the provider's own
    /// words.
    fn echoes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the signed request that carries these events.
    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing;

    /// Names the headers that prove the origin of a webhook.
    fn signature_headers(&self) -> &'static [&'static str];

    /// Returns the lines of `[channel.account]` in Patchbay's configuration.
    fn account(&self, cx: &Context<'_>) -> Vec<AccountLine>;

    /// Returns the default business address: a channel's DID.
    fn did<'a>(&self, cx: &Context<'a>) -> &'a str {
        cx.credential("number")
    }

    /// Returns whether a webhook's answer acknowledges the event.
    fn is_acknowledged(&self, _url: &str, status: u16, _body: &str) -> bool {
        (200..300).contains(&status)
    }

    /// Returns whether a webhook is retried after this number of attempts; `status` is `None`
    /// without an answer.
    fn retries(&self, _url: &str, attempts: u32, status: Option<u16>) -> bool {
        let retry = &self.about().retry;
        attempts < retry.attempts_max && (status.is_none() || retry.after_answers)
    }

    /// Returns the outcome of this message outside of the customer's window; `None` when windows do
    /// not matter to it.
    fn outside_window(&self, _message: &Message) -> Option<OutsideWindow> {
        None
    }

    /// Returns the request that a new webhook must answer before it is used.
    fn handshake(&self, _url: &str, _cx: &Context<'_>) -> Option<Handshake> {
        None
    }

    /// Returns the answer to a poll.
    fn polled(&self, events: Vec<Value>) -> Response {
        Response::json(200, &Value::Array(events))
    }

    /// Returns the webhook that a simulator is started with.
    fn webhook(&self, url: String, _cx: &Context<'_>) -> WebhookConfig {
        WebhookConfig { url, ..WebhookConfig::default() }
    }
}

/// A line of `[channel.account]`: a key and its value, a text.
pub(crate) struct AccountLine {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl AccountLine {
    pub(crate) fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// The values of an account's credentials, by key.
pub(crate) type Credentials = BTreeMap<&'static str, String>;

/// The surroundings of a call to a provider.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) credentials: &'a Credentials,
    pub(crate) webhook: Option<&'a WebhookConfig>,
    pub(crate) media: &'a Media,
    /// The simulator's own address, without a trailing slash.
    pub(crate) base: &'a str,
    /// Milliseconds since 1970.
    pub(crate) now_ms: u64,
    /// The number of this request or event; no other has it.
    pub(crate) number: u64,
    /// Differs from run to run, so that ids of an earlier run do not return.
    pub(crate) run: u64,
    /// When the simulator started, in milliseconds since 1970.
    pub(crate) started_ms: u64,
    /// The path of the request that a fault answers; empty elsewhere.
    pub(crate) path: &'a str,
    /// The attempt of a webhook, from 1.
    pub(crate) attempt: u32,
    /// How a webhook is signed.
    pub(crate) signature: Signature,
}

impl<'a> Context<'a> {
    /// Returns a context of its own for a test of a pure function.
    #[cfg(test)]
    pub(crate) fn sample(credentials: &'a Credentials, media: &'a Media) -> Self {
        Self {
            credentials,
            webhook: None,
            media,
            base: "",
            now_ms: 0,
            number: 1,
            run: 1,
            started_ms: 0,
            path: "",
            attempt: 1,
            signature: Signature::Right,
        }
    }

    /// Returns a credential; empty when the account has none with this key.
    pub(crate) fn credential(&self, key: &str) -> &'a str {
        self.credentials.get(key).map_or("", String::as_str)
    }

    /// Returns a credential as the key of a signature, changed when the signature is to be wrong.
    pub(crate) fn secret(&self, key: &str) -> String {
        self.signing(self.credential(key))
    }

    /// Returns `secret` as the key of a signature, changed when the signature is to be wrong.
    pub(crate) fn signing(&self, secret: &str) -> String {
        if self.signature == Signature::Wrong { format!("{secret}x") } else { secret.to_owned() }
    }

    /// Returns a stored file as a response.
    pub(crate) fn file(&self, id: &str) -> Option<Response> {
        self.media.get(id).map(|file| Response::new(200, &file.mime, file.content.clone()))
    }

    /// Returns a line of the account for each of these credentials, and `base_url`.
    pub(crate) fn account(&self, keys: &[&str]) -> Vec<AccountLine> {
        let lines = keys.iter().map(|key| AccountLine::new(*key, self.credential(key)));
        lines.chain([AccountLine::new("base_url", self.base)]).collect()
    }

    /// Returns hexadecimal digits that are unique to this event and salt.
    pub(crate) fn hex(&self, salt: u64, digits: usize) -> String {
        let mut chance = self.chance(salt);
        let mut text = String::new();
        while text.len() < digits {
            text.push_str(&format!("{:016x}", chance.next()));
        }
        text.truncate(digits);
        text
    }

    /// Returns a UUID that is unique to this event and salt.
    pub(crate) fn uuid(&self, salt: u64) -> String {
        let hex = self.hex(salt, 32);
        let piece = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-4{}-8{}-{}", piece(0, 8), piece(8, 12), piece(13, 16), piece(17, 20), piece(20, 32))
    }

    /// Returns a number of 53 bits that is unique to this event and salt.
    pub(crate) fn large(&self, salt: u64) -> u64 {
        let mut chance = self.chance(salt);
        (chance.next() >> 12) | (1 << 52)
    }

    fn chance(&self, salt: u64) -> Chance {
        Chance(self.run ^ self.number.rotate_left(17) ^ salt.rotate_left(41))
    }

    /// Returns a number of 31 bits that grows with each event, also across restarts within some
    /// weeks.
    pub(crate) fn growing(&self) -> u64 {
        (self.started_ms / 1_000 % 2_000_000 * 1_000 + self.number) % (1 << 31)
    }

    /// Returns seconds since 1970.
    pub(crate) fn seconds(&self) -> u64 {
        self.now_ms / 1000
    }

    /// Writes the time as `2026-08-01T10:00:00.123Z`.
    pub(crate) fn rfc3339(&self) -> String {
        time::rfc3339(self.now_ms)
    }
}

/// Lays the keys of `extra` over an object, at any depth.
pub(crate) fn overlay(event: &mut Value, extra: &Value) {
    match (event, extra) {
        (Value::Object(event), Value::Object(extra)) => {
            for (key, value) in extra {
                overlay(event.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (event, extra) => *event = extra.clone(),
    }
}

/// Sets one key of an object.
pub(crate) fn put(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(map) = object {
        map.insert(key.to_owned(), value.into());
    }
}

/// Returns an object of texts, without the empty ones.
pub(crate) fn texts(fields: &[(&str, &str)]) -> Map<String, Value> {
    let given = fields.iter().filter(|(_, value)| !value.is_empty());
    given.map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

/// Returns the text, or `other` when it is empty.
pub(crate) fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}
