//! What a simulated REST provider is: pure functions from what came to what is answered and posted. Time, ids,
//! credentials and memory are arguments; the engine around them does everything else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    smsc::Chance,
    toolkit::{
        http::{Outgoing, Request, Response},
        media::{File, Media},
        time,
    },
};

/// What is said about a provider once for all its instances.
#[derive(Debug)]
pub struct About {
    /// Its name, as in a channel's `provider`.
    pub name: &'static str,
    /// In words.
    pub title: &'static str,
    /// What can be told to it, with defaults.
    pub credentials: &'static [Credential],
    /// The most events it puts into one POST.
    pub batch_max: usize,
    /// How it tries webhooks again.
    pub retry: Retry,
    /// Whether events wait for a poll as long as there is no webhook.
    pub polls: bool,
    /// The customer that writes unless told.
    pub customer: &'static str,
}

/// A credential or another name that an account has.
#[derive(Debug)]
pub struct Credential {
    /// Its key.
    pub key: &'static str,
    /// What it is unless told.
    pub default: &'static str,
    /// What it is for.
    pub what: &'static str,
}

/// How webhooks are tried again.
#[derive(Debug)]
pub struct Retry {
    /// Tries in all, within reason for a test.
    pub tries: u32,
    /// How much longer each pause is than the one before.
    pub factor: u64,
    /// Whether an answer that is no success is tried again, or only a failed connection.
    pub answers: bool,
    /// Whether a `Retry-After` is obeyed.
    pub obeys: bool,
}

/// A message that was taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The provider's id.
    pub id: String,
    /// When, in milliseconds since the start.
    pub at_ms: u64,
    /// From.
    pub from: String,
    /// To.
    pub to: String,
    /// The provider's name of the type.
    pub kind: String,
    /// The text or caption.
    pub text: String,
    /// Attachments, by address or id.
    pub media: Vec<String>,
    /// What can be tapped: the titles.
    pub buttons: Vec<String>,
    /// Where its receipts go, when the request says so.
    pub callback: Option<String>,
    /// All of the request.
    pub request: Value,
}

/// What came of a request.
pub(crate) enum Call {
    /// An answer, and nothing else.
    Answer(Response),
    /// Messages were taken.
    Accept(Vec<Message>, Response),
    /// The webhook is changed; after the handshake, where there is one.
    Hook { hook: Option<Hook>, handshake: Option<Handshake>, answer: Response, failed: Response },
    /// Events are asked for, since there is no webhook.
    Poll { offset: i64, limit: usize, timeout_ms: u64, conflict: Response },
    /// A file was uploaded.
    Store(File, Response),
    /// A file is forgotten.
    Forget(String, Response),
}

/// Where events are posted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Hook {
    pub(crate) url: String,
    /// Sent along to prove who posts.
    pub(crate) secret: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    /// Only these events; nothing: the provider's usual ones.
    pub(crate) events: Option<Vec<String>>,
}

/// A request that asks whether a webhook is its owner's, and what the answer must be.
pub(crate) struct Handshake {
    pub(crate) request: Outgoing,
    pub(crate) body: Option<String>,
}

/// What becomes of a message to a customer who has not written for too long, by the provider's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// It is refused at once.
    Refused(&'static str),
    /// It is taken, and reported failed.
    Fails(&'static str),
}

/// What can be asked of a provider to do wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault<'a> {
    Throttled { after_s: u64 },
    Unavailable { status: u16 },
    Rejected { code: &'a str },
    Credentials,
    WithoutId,
}

/// A message from a customer, or something else the customer does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inbound {
    /// The customer; empty: one the provider would have.
    pub from: String,
    /// The business; empty: the default sender.
    pub to: String,
    /// What it is.
    pub kind: Kind,
    /// The text, caption or title.
    pub text: String,
    /// What a tapped button carries, or its id.
    pub payload: String,
    /// The customer's name.
    pub name: String,
    /// The message's id; empty: a new one. For repeats, and for what becomes of earlier messages.
    pub id: String,
    /// The message this is about: replied to, reacted to, tapped in, edited, deleted.
    pub about: String,
    /// The media type of a file; empty: a usual one.
    pub mime: String,
    /// A file's name.
    pub file_name: String,
    /// A file's content in base64; empty: a small one of its kind.
    pub content: String,
    /// In degrees.
    pub latitude: f64,
    /// In degrees.
    pub longitude: f64,
    /// So many of them, numbered; 0 is 1.
    pub count: u32,
    /// Up to so many in one POST; 0: as the script says.
    pub batch: usize,
    /// How they are signed.
    pub signature: Signature,
    /// Laid over what the provider would write, or all of it for kind `raw`.
    pub extra: Value,
}

/// What a customer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    #[default]
    Text,
    Image,
    Video,
    Audio,
    Document,
    Sticker,
    Location,
    Contact,
    /// A quick reply or a button is tapped.
    Button,
    /// A row of a list is picked.
    List,
    Reaction,
    Edit,
    Delete,
    OptIn,
    OptOut,
    /// The first contact, by a link or a start button.
    Start,
    /// Something the provider cannot tell.
    Unsupported,
    /// `extra` as it is.
    Raw,
}

impl Kind {
    pub(crate) fn is_file(self) -> bool {
        matches!(self, Self::Image | Self::Video | Self::Audio | Self::Document | Self::Sticker)
    }
}

/// How a webhook is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// As the provider does it.
    #[default]
    Right,
    /// With another secret.
    Wrong,
    /// Not at all.
    None,
}

/// An event that this provider does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{provider} has no inbound {what}; use kind raw with extra to send one all the same")]
pub struct Unfit {
    /// Who.
    pub provider: &'static str,
    /// What.
    pub what: String,
}

/// A simulated provider.
pub(crate) trait Provider: Sync {
    fn about(&self) -> &About;

    /// What comes of a request to its API.
    fn call(&self, request: &Request, cx: &Context<'_>) -> Call;

    /// The answer that goes with a fault.
    fn fault(&self, fault: Fault<'_>, cx: &Context<'_>) -> Response;

    /// The event of an inbound message.
    fn inbound(&self, inbound: &Inbound, file: Option<&File>, cx: &Context<'_>) -> Result<Value, Unfit>;

    /// The event of a receipt: `status` is `sent`, `delivered`, `read`, `failed` or the provider's own word.
    /// Nothing when it has no such event.
    fn receipt(&self, message: &Message, status: &str, code: Option<&str>, cx: &Context<'_>)
    -> Option<Value>;

    /// The signed request that carries these events.
    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing;

    /// The headers that prove who posts.
    fn signature_headers(&self) -> &'static [&'static str];

    /// Lines of a channel's account in Patchbay's configuration: key and TOML value.
    fn account(&self, cx: &Context<'_>) -> Vec<(&'static str, String)>;

    /// The default business address, as a channel's DID.
    fn did<'a>(&self, cx: &Context<'a>) -> &'a str {
        cx.credential("number")
    }

    /// Whether a webhook's answer means that it has the event.
    fn taken(&self, _url: &str, status: u16, _body: &str) -> bool {
        (200..300).contains(&status)
    }

    /// Whether a webhook is tried again after so many tries and this answer, or none.
    fn again(&self, _url: &str, tries: u32, status: Option<u16>) -> bool {
        let retry = &self.about().retry;
        tries < retry.tries && (status.is_none() || retry.answers)
    }

    /// What becomes of this message outside of the customer's window; nothing when it may go at any time.
    fn closed(&self, _message: &Message) -> Option<Closed> {
        None
    }

    /// The question that a new webhook must answer.
    fn handshake(&self, _url: &str, _cx: &Context<'_>) -> Option<Handshake> {
        None
    }

    /// The answer to a poll.
    fn polled(&self, events: Vec<Value>) -> Response {
        Response::json(200, &Value::Array(events))
    }

    /// The hook of a webhook told at start.
    fn hook(&self, url: String, _cx: &Context<'_>) -> Hook {
        Hook { url, ..Hook::default() }
    }
}

/// Credentials by key.
pub(crate) type Credentials = BTreeMap<&'static str, String>;

/// What a provider knows beside the request.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) credentials: &'a Credentials,
    pub(crate) hook: Option<&'a Hook>,
    pub(crate) media: &'a Media,
    /// Its own address, without a slash at the end.
    pub(crate) base: &'a str,
    /// Milliseconds since 1970.
    pub(crate) now_ms: u64,
    /// Of this call or event alone.
    pub(crate) number: u64,
    /// Of this simulator's run alone, so that ids of an earlier run do not come again.
    pub(crate) run: u64,
    /// When the simulator started, in milliseconds since 1970.
    pub(crate) started_ms: u64,
    /// The path of the request in question; empty: there is none.
    pub(crate) path: &'a str,
    /// Which try of a webhook; from 1.
    pub(crate) attempt: u32,
    /// How a webhook is to be signed.
    pub(crate) signature: Signature,
}

impl<'a> Context<'a> {
    /// Returns a context of its own for a test of a pure function.
    #[cfg(test)]
    pub(crate) fn sample(credentials: &'a Credentials, media: &'a Media) -> Self {
        Self {
            credentials,
            hook: None,
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

    pub(crate) fn credential(&self, key: &str) -> &'a str {
        self.credentials.get(key).map_or("", String::as_str)
    }

    /// The secret that webhooks are signed with.
    pub(crate) fn secret(&self, key: &str) -> String {
        self.signing(self.credential(key))
    }

    /// This secret, unless another one is to be used.
    pub(crate) fn signing(&self, secret: &str) -> String {
        if self.signature == Signature::Wrong { format!("{secret}x") } else { secret.to_owned() }
    }

    /// So many hexadecimal digits that no other event or salt has.
    pub(crate) fn hex(&self, salt: u64, digits: usize) -> String {
        let mut chance = Chance(self.run ^ self.number.rotate_left(17) ^ salt.rotate_left(41));
        let mut text = String::new();
        while text.len() < digits {
            text.push_str(&format!("{:016x}", chance.next()));
        }
        text.truncate(digits);
        text
    }

    /// A UUID that no other event or salt has.
    pub(crate) fn uuid(&self, salt: u64) -> String {
        let hex = self.hex(salt, 32);
        let piece = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-4{}-8{}-{}", piece(0, 8), piece(8, 12), piece(13, 16), piece(17, 20), piece(20, 32))
    }

    /// A number of up to 53 bits that no other event or salt has.
    pub(crate) fn large(&self, salt: u64) -> u64 {
        let mut chance = Chance(self.run ^ self.number.rotate_left(17) ^ salt.rotate_left(41));
        (chance.next() >> 12) | (1 << 52)
    }

    /// A number of 31 bits that grows with each event, also beyond a restart within some weeks.
    pub(crate) fn growing(&self) -> u64 {
        (self.started_ms / 1_000 % 2_000_000 * 1_000 + self.number) % (1 << 31)
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.now_ms / 1000
    }

    /// `2026-08-01T10:00:00.123Z`.
    pub(crate) fn rfc3339(&self) -> String {
        time::rfc3339(self.now_ms)
    }
}

/// Lays the keys of `extra` over an object.
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

/// Puts one key into an object.
pub(crate) fn put(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(map) = object {
        map.insert(key.to_owned(), value.into());
    }
}

/// An object of texts, without the empty ones.
pub(crate) fn texts(fields: &[(&str, &str)]) -> Map<String, Value> {
    let given = fields.iter().filter(|(_, value)| !value.is_empty());
    given.map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

/// The text, or another one when it is empty.
pub(crate) fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}
