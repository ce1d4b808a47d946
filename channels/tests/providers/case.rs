//! One case of a fixture file: a question to a provider, and the outcome as text.

use std::sync::Arc;

use bytes::Bytes;
use channels::{
    Channel, Fetch, HttpChannel, LinkKind, MediaRef, OutPart, Provider, SendError, SetUp, Step, WebhookUrls,
    http::{Response, Webhook},
};
use message::{BodyType, Content};
use serde::Deserialize;

use crate::{
    opened, show,
    sign::{Signature, Signing, Unsigned},
};

/// The time of every case: 2026-11-21 00:00:00 UTC.
pub(crate) const NOW_MS: i64 = 1_795_219_200_000;
/// The reference of the first part of a case.
pub(crate) const REFERENCE: &str = "00112233445566778899aabbccddeeff-1-0";
/// The webhook address of a case's channel.
pub(crate) const WEBHOOK_URL: &str = "https://example.org/webhooks/ch1";
/// The address that all accounts of a Meta app share.
const SHARED_URL: &str = "https://example.org/ccm/webhook";

/// The question of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Ask {
    /// Sends a CIM body. `answers` come one after the other, over all parts.
    Send {
        did: String,
        customer: String,
        body: String,
        #[serde(default)]
        reply_to: Option<String>,
        #[serde(default)]
        valid_s: Option<u64>,
        #[serde(default)]
        answers: Vec<Answer>,
    },
    /// Receives a webhook.
    Receive {
        #[serde(default = "post")]
        method: String,
        #[serde(default)]
        query: String,
        #[serde(default)]
        headers: toml::Table,
        #[serde(default)]
        body: String,
        /// The time of arrival, in milliseconds since 1970.
        #[serde(default = "now")]
        now_ms: i64,
    },
    /// Fetches a customer's file.
    Fetch { locator: String, answers: Vec<Answer> },
    /// Asks for updates.
    Poll {
        #[serde(default)]
        cursor: Option<String>,
        answer: Answer,
    },
    /// Registers our webhook at the provider; an empty `url` means that it is not known.
    SetUp {
        #[serde(default = "webhook_url")]
        url: String,
        #[serde(default)]
        answers: Vec<Answer>,
    },
    /// Probes the credentials.
    Probe { answer: Answer },
    /// Asks for a customer's profile.
    Profile { customer: String, answer: Answer },
    /// Shows the customer that someone types, or that a message was read.
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
    let text = |value: &toml::Value| value.as_str().expect("the value of a header is a text").into();
    table.iter().map(|(name, value)| (name.to_lowercase().into(), text(value))).collect()
}

/// A question to a provider, with the account and the signature that go with it.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) provider: &'static Provider,
    pub(crate) ask: Ask,
    /// The provider's account with the case's own keys laid over it.
    account: toml::Table,
    signing: Signing,
}

/// Keys that say how a webhook is signed.
const SIGNING: [&str; 5] = ["signature", "signed_with", "signed_body", "signed_url", "without_headers"];

impl Case {
    /// Reads a case. `kind` defaults to `send`, whose keys default to those of `send`; one `answer`
    /// may stand for a list of one.
    pub(crate) fn new(
        provider: &'static Provider,
        account: &toml::Table,
        send: &toml::Table,
        mut table: toml::Table,
    ) -> Self {
        let name = table.remove("name").and_then(|name| Some(name.as_str()?.to_owned()));
        let name = name.unwrap_or_else(|| panic!("{provider:?}: a case without a name: {table}"));
        let kind =
            table.entry("kind").or_insert_with(|| "send".into()).as_str().unwrap_or_default().to_owned();
        if kind == "send" {
            for (key, value) in send {
                table.entry(key).or_insert_with(|| value.clone());
            }
        }
        if matches!(&*kind, "send" | "fetch" | "setup") {
            let answer = table.remove("answer");
            table.extend(answer.map(|answer| ("answers".to_owned(), vec![answer].into())));
        }
        let mut account = account.clone();
        if let Some(own) = table.remove("account") {
            account.extend(own.as_table().cloned().unwrap_or_default());
        }
        let signing = SIGNING.iter().filter_map(|key| table.remove_entry(*key)).collect::<toml::Table>();
        let wrong = |error: toml::de::Error| -> ! { panic!("{provider:?}: case {name}: {error}") };
        let signing = signing.try_into().unwrap_or_else(|error| wrong(error));
        let ask = table.try_into().unwrap_or_else(|error| wrong(error));
        Self { name, provider, ask, account, signing }
    }

    /// Opens the channel.
    pub(crate) fn channel(&self) -> Arc<dyn Channel> {
        let channel = opened(self.provider, self.account.clone());
        channel.unwrap_or_else(|error| panic!("{:?}: case {}: {error}", self.provider, self.name))
    }

    /// Whether the runner gives the webhook a good signature.
    pub(crate) fn is_signed_well(&self) -> bool {
        self.signing.signature == Signature::Good
    }

    /// Returns the same case, signed otherwise.
    pub(crate) fn signed(&self, signature: Signature) -> Self {
        let signing = Signing { signature, ..self.signing.clone() };
        Self { signing, ..self.clone() }
    }

    /// Returns the same case with another CIM body, and without answers.
    pub(crate) fn sending(&self, text: &str) -> Self {
        let mut case = self.clone();
        if let Ask::Send { body, answers, .. } = &mut case.ask {
            text.clone_into(body);
            answers.clear();
        }
        case
    }

    /// Returns the same case to another customer.
    pub(crate) fn to(&self, other: &str) -> Self {
        let mut case = self.clone();
        if let Ask::Send { customer, .. } = &mut case.ask {
            other.clone_into(customer);
        }
        case
    }

    /// Returns the same webhook with another body.
    pub(crate) fn with_body(&self, text: &str) -> Self {
        let mut case = self.clone();
        if let Ask::Receive { body, .. } = &mut case.ask {
            text.clone_into(body);
        }
        case
    }

    /// Returns the outcome as text.
    pub(crate) fn run(&self) -> String {
        let channel = self.channel();
        let LinkKind::Http(http) = channel.link() else { panic!("no HTTP provider") };
        match &self.ask {
            Ask::Send { .. } => show::exchange(&self.exchange(&*channel, http)),
            Ask::Receive { .. } => self.webhook(|webhook| show::webhook(http, webhook)),
            Ask::Fetch { locator, answers } => fetch(http, locator, answers),
            Ask::Poll { cursor, answer } => {
                let call = http.poll(cursor.as_deref()).expect("the provider is polled");
                show::polled(&call, &http.parse_poll(cursor.as_deref(), &answer.response()))
            }
            Ask::SetUp { url, answers } => set_up(http, url, answers),
            Ask::Probe { answer } => {
                let call = http.probe().expect("the provider has a probe");
                let response = answer.response();
                let own = http.parse_addresses(&response).filter(|_| http.ask_addresses().is_none());
                let own = own.map(|own| format!("our {}: {:?}\n", own.called, own.addresses));
                format!(
                    "{call:?}\n=> {}\n{}",
                    show::outcome(http.parse_probe(&response).map(|()| "good".into())),
                    own.unwrap_or_default()
                )
            }
            Ask::Profile { customer, answer } => {
                let call = http.profile(customer).expect("the provider has profiles");
                format!("{call:?}\n=> {:?}\n", http.parse_profile(&answer.response()))
            }
            Ask::Signs { did, customer, message_id } => format!(
                "typing: {:?}\n\nread: {:?}\n",
                http.typing(did, customer, Some(message_id), true),
                http.mark_read(did, customer, message_id)
            ),
        }
    }

    /// Calls `with` with the signed webhook.
    pub(crate) fn webhook<T>(&self, with: impl FnOnce(&Webhook<'_>) -> T) -> T {
        let Ask::Receive { method, query, headers: table, body, now_ms } = &self.ask else {
            panic!("no webhook")
        };
        let url = if query.is_empty() { WEBHOOK_URL.to_owned() } else { format!("{WEBHOOK_URL}?{query}") };
        let mut headers = headers(table);
        headers.extend(self.signing.headers(
            self.provider,
            &self.account,
            &Unsigned { method, url: &url, body },
        ));
        let body = body.as_bytes();
        with(&Webhook { method, url: &url, query, headers: &headers, body, now_ms: *now_ms })
    }

    /// Sends the body of the case and returns the whole exchange.
    pub(crate) fn exchange(&self, channel: &dyn Channel, http: &dyn HttpChannel) -> Exchange {
        let Ask::Send { did, customer, body, reply_to, valid_s, answers } = &self.ask else {
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
            let content = prepared.content.part(index).expect("a part per index");
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

/// The calls, answers and outcomes of one body.
#[derive(Default)]
pub(crate) struct Exchange {
    pub(crate) refused: Option<String>,
    pub(crate) notes: Vec<String>,
    /// Calls and answers in turn.
    pub(crate) turns: Vec<String>,
    pub(crate) outcomes: Vec<Result<String, SendError>>,
}

/// Maximum number of calls for one part; more fail the test.
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
    let ours = WebhookUrls { webhook_url, shared_url };
    let mut out = String::new();
    let answers: Vec<Response> = answers.iter().map(Answer::response).collect();
    for count in 0..=answers.len() {
        match http.set_up(ours, &answers[..count]) {
            Ok(Some(SetUp::Next(call))) => {
                assert!(!call.effect, "setting up has no effect on customers");
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

/// Returns a CIM body in the form in which the log keeps it.
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
