//! One fixture: what is asked of a provider, and the outcome as text.

use std::{fs, path::PathBuf, sync::Arc};

use bytes::Bytes;
use channels::{
    Channel, Fetch, HttpChannel, LinkKind, MediaRef, OutPart, Provider, SendError, SetUp, Step, Whereabouts,
    http::{Response, Webhook},
};
use message::{BodyType, Content};
use serde::Deserialize;

use crate::{account, show};

/// When fixtures happen: 2026-11-21 00:00:00 UTC.
pub(crate) const NOW_MS: i64 = 1_795_219_200_000;
/// The reference of the first part of a fixture.
pub(crate) const REFERENCE: &str = "00112233445566778899aabbccddeeff-1-0";
/// The webhook of a fixture's channel.
pub(crate) const WEBHOOK_URL: &str = "https://example.org/webhooks/ch1";
/// The address that all accounts of an app share.
const SHARED_URL: &str = "https://example.org/ccm/webhook";

/// The file's text.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Ask {
    /// A CIM body goes out; `answers` come one after the other, over all parts.
    Send {
        did: String,
        customer: String,
        body: String,
        #[serde(default)]
        reply_to: Option<String>,
        #[serde(default)]
        valid_s: Option<u64>,
        #[serde(default)]
        account: toml::Table,
        #[serde(default)]
        answers: Vec<Answer>,
    },
    /// A webhook comes.
    Receive {
        #[serde(default = "post")]
        method: String,
        #[serde(default)]
        query: String,
        #[serde(default)]
        headers: toml::Table,
        #[serde(default)]
        body: String,
        /// When it comes, in milliseconds since 1970.
        #[serde(default = "now")]
        now_ms: i64,
        #[serde(default)]
        account: toml::Table,
    },
    /// A customer's file is fetched.
    Fetch { locator: String, answers: Vec<Answer> },
    /// Updates are asked for.
    Poll {
        #[serde(default)]
        cursor: Option<String>,
        #[serde(default)]
        account: toml::Table,
        answer: Answer,
    },
    /// The provider is told where we are; `url` may say otherwise, `""` that nobody knows.
    SetUp {
        #[serde(default = "webhook_url")]
        url: String,
        #[serde(default)]
        account: toml::Table,
        #[serde(default)]
        answers: Vec<Answer>,
    },
    /// The credentials are tried.
    Probe { answer: Answer },
    /// It is asked who a customer is.
    Profile { customer: String, answer: Answer },
    /// The customer is shown that someone types, or that a message was read.
    Signs { did: String, customer: String, message_id: String },
}

fn post() -> String {
    "POST".into()
}

fn webhook_url() -> String {
    WEBHOOK_URL.into()
}

fn now() -> i64 {
    NOW_MS
}

/// A provider's answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: toml::Table,
    #[serde(default)]
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn response(&self) -> Response {
        Response {
            status: self.status,
            headers: headers(&self.headers),
            body: Bytes::from(self.body.clone()),
        }
    }
}

pub(crate) fn headers(table: &toml::Table) -> Vec<(Box<str>, Box<str>)> {
    let text = |value: &toml::Value| value.as_str().expect("a header's value is a text").into();
    table.iter().map(|(name, value)| (name.to_lowercase().into(), text(value))).collect()
}

/// A fixture.
pub(crate) struct Case {
    pub(crate) provider: &'static Provider,
    pub(crate) path: PathBuf,
    pub(crate) ask: Ask,
}

impl Case {
    pub(crate) fn read(provider: &Provider, path: PathBuf) -> Self {
        let provider = channels::provider(provider.name).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let ask = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self { provider, path, ask }
    }

    /// The channel: the provider's account with the case's own keys over it.
    pub(crate) fn channel(&self) -> Arc<dyn Channel> {
        let mut table = account(self.provider);
        if let Ask::Send { account, .. }
        | Ask::Receive { account, .. }
        | Ask::Poll { account, .. }
        | Ask::SetUp { account, .. } = &self.ask
        {
            table.extend(account.clone());
        }
        (self.provider.channel)(table).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()))
    }

    /// The outcome, as text.
    pub(crate) fn run(&self) -> String {
        let channel = self.channel();
        let LinkKind::Http(http) = channel.link() else { panic!("no HTTP provider") };
        match &self.ask {
            Ask::Send { .. } => show::exchange(&self.exchange(&*channel, http)),
            Ask::Receive { .. } => self.webhook(|webhook| show::webhook(http, webhook)),
            Ask::Fetch { locator, answers } => fetch(http, locator, answers),
            Ask::Poll { cursor, answer, .. } => {
                let call = http.poll(cursor.as_deref()).expect("it is asked for updates");
                show::polled(&call, &http.polled(cursor.as_deref(), &answer.response()))
            }
            Ask::SetUp { url, answers, .. } => set_up(http, url, answers),
            Ask::Probe { answer } => {
                let call = http.probe().expect("it has a harmless call");
                format!(
                    "{call:?}\n=> {}\n",
                    show::outcome(http.probed(&answer.response()).map(|()| "good".into()))
                )
            }
            Ask::Profile { customer, answer } => {
                let call = http.profile(customer).expect("it can be asked");
                format!("{call:?}\n=> {:?}\n", http.profiled(&answer.response()))
            }
            Ask::Signs { did, customer, message_id } => format!(
                "typing: {:?}\n\nread: {:?}\n",
                http.typing(did, customer, Some(message_id), true),
                http.mark_read(did, customer, message_id)
            ),
        }
    }

    pub(crate) fn webhook<T>(&self, with: impl FnOnce(&Webhook<'_>) -> T) -> T {
        let Ask::Receive { method, query, headers: table, body, now_ms, .. } = &self.ask else {
            panic!("no webhook")
        };
        let url = if query.is_empty() { WEBHOOK_URL.to_owned() } else { format!("{WEBHOOK_URL}?{query}") };
        let headers = headers(table);
        let body = body.as_bytes();
        with(&Webhook { method, url: &url, query, headers: &headers, body, now_ms: *now_ms })
    }

    /// Everything that is said about one body.
    pub(crate) fn exchange(&self, channel: &dyn Channel, http: &dyn HttpChannel) -> Exchange {
        let Ask::Send { did, customer, body, reply_to, valid_s, answers, .. } = &self.ask else {
            panic!("nothing is sent")
        };
        let canonical = match channel.customer(customer) {
            Ok(canonical) => canonical,
            Err(rejection) => {
                return Exchange { refused: Some(rejection.to_string()), ..Exchange::default() };
            }
        };
        let prepared = match channel.prepare(&content(body), 1) {
            Ok(prepared) => prepared,
            Err(rejection) => {
                return Exchange { refused: Some(rejection.to_string()), ..Exchange::default() };
            }
        };
        let mut exchange = Exchange {
            notes: prepared.adapted.iter().map(|n| n.to_string()).collect(),
            ..Exchange::default()
        };
        let mut answers = answers.iter().map(Answer::response);
        for index in 0..prepared.split.parts {
            let content = prepared.content.part(index).expect("as many parts as it says");
            let reference = REFERENCE.replace("-1-0", &format!("-1-{index}"));
            let part = OutPart {
                customer: &canonical,
                customer_shown: customer,
                did,
                content,
                reference: &reference,
                webhook_url: WEBHOOK_URL,
                reply_to: reply_to.as_deref(),
                valid_s: *valid_s,
                now_ms: NOW_MS,
            };
            let outcome = converse(http, &part, &mut answers, &mut exchange.turns);
            let is_over = outcome.is_err();
            exchange.outcomes.push(outcome);
            if is_over {
                break;
            }
        }
        exchange
    }
}

/// What was said and what came of it.
#[derive(Default)]
pub(crate) struct Exchange {
    pub(crate) refused: Option<String>,
    pub(crate) notes: Vec<String>,
    /// Calls and answers in turn.
    pub(crate) turns: Vec<String>,
    pub(crate) outcomes: Vec<Result<String, SendError>>,
}

/// Steps a conversation may have.
const STEPS_MAX: usize = 8;

fn converse(
    http: &dyn HttpChannel,
    part: &OutPart<'_>,
    answers: &mut dyn Iterator<Item = Response>,
    turns: &mut Vec<String>,
) -> Result<String, SendError> {
    let mut call = http.send(part)?;
    let mut got = Vec::new();
    for _ in 0..STEPS_MAX {
        turns.push(format!("{call:?}"));
        let Some(answer) = answers.next() else { return Ok("waits for an answer".into()) };
        turns.push(format!("<- {} {}", answer.status, call.redacted(&answer.words())));
        got.push(answer);
        match http.answer(part, &got)? {
            Step::Sent(sent) => return Ok(format!("sent {:?} to {:?}", sent.id, sent.customer)),
            Step::Next(next) => call = next,
        }
    }
    panic!("the conversation never ends");
}

fn set_up(http: &dyn HttpChannel, webhook_url: &str, answers: &[Answer]) -> String {
    let shared_url = if webhook_url.is_empty() { "" } else { SHARED_URL };
    let ours = Whereabouts { webhook_url, shared_url };
    let mut out = String::new();
    let answers: Vec<Response> = answers.iter().map(Answer::response).collect();
    for count in 0..=answers.len() {
        match http.set_up(ours, &answers[..count]) {
            Ok(Some(SetUp::Next(call))) => {
                assert!(!call.effect, "no customer gets anything by it");
                out.push_str(&format!("{call:?}\n"));
                if let Some(answer) = answers.get(count) {
                    out.push_str(&format!("<- {} {}\n", answer.status, call.redacted(&answer.words())));
                }
            }
            Ok(Some(SetUp::Done { changed, words })) => {
                out.push_str(&format!("=> {words} (changed: {changed})\n"));
            }
            Ok(None) => out.push_str("=> nothing is set up\n"),
            Err(error) => out.push_str(&format!("=> {}\n", show::error(&error))),
        }
    }
    out
}

fn fetch(http: &dyn HttpChannel, locator: &str, answers: &[Answer]) -> String {
    let media = MediaRef { locator: locator.into(), content_type: None, file_name: None };
    let mut out = String::new();
    let answers: Vec<Response> = answers.iter().map(Answer::response).collect();
    for count in 0..=answers.len() {
        match http.fetch(&media, &answers[..count]) {
            Ok(Fetch::Next(call)) => out.push_str(&format!("{call:?}\n")),
            Ok(Fetch::Got) => out.push_str("=> the file\n"),
            Err(error) => out.push_str(&format!("=> {}\n", show::error(&error))),
        }
    }
    out
}

/// A CIM body as the log keeps it.
pub(crate) fn content(body: &str) -> Content {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Plain<'a> {
        #[serde(rename = "type")]
        kind: std::borrow::Cow<'a, str>,
        markdown_text: Option<String>,
    }
    let plain: Plain<'_> = serde_json::from_str(body).unwrap_or_else(|e| panic!("{body}: {e}"));
    match BodyType::from_wire(&plain.kind) {
        BodyType::Plain => Content::Text(plain.markdown_text.unwrap_or_default().into()),
        body_type => Content::Rich { body_type, json: body.into() },
    }
}
