//! Providers that their fixture file describes: one interpreter for all manifest providers. The
//! description is written from the provider's documentation and never read from the manifest, so
//! that the two sides can disagree. `docs/provider-by-manifest.md` documents the format.

mod description;
mod request;
mod template;
#[cfg(test)]
mod tests;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use channels::url::percent_encode;
use serde_json::{Value, json};

use self::{
    description::{
        AnswerTemplate, AuthScheme, Description, Format, HmacAlgorithm, HmacEncoding, HmacRules, NumberForm,
        WebhookScheme,
    },
    request::RequestFields,
    template::{Values, unknown_placeholder},
};
use crate::{
    contract::{
        About, AccountLine, Context, Credential, Effect, Fault, Inbound, Message, Provider, ReportStatus,
        RetryPolicy, Signature, StatusReport, UnsupportedEvent, or, overlay,
    },
    toolkit::{
        http::{Fields, Outgoing, Request, Response},
        media::File,
        number::{is_digits, is_e164},
        sign,
    },
};

/// Marks a report among the events, whose other kind is a customer's message.
const REPORT: &str = "_report";
/// Keeps ids of messages, ids of inbound messages, and other random values apart.
const MESSAGE_SALT: u64 = 1;
const INBOUND_SALT: u64 = 2;
const EVENT_SALT: u64 = 3;

/// The part of a fixture file that describes the simulated side.
pub(crate) struct Source {
    /// The provider's name: the file's name without its ending.
    pub(crate) name: &'static str,
    /// The `[simulator]` tables, or a line `include = "..."`.
    pub(crate) text: &'static str,
}

/// Every fixture file with a description, by name.
pub(crate) static SOURCES: &[Source] = include!(concat!(env!("OUT_DIR"), "/descriptions.rs"));

/// A description that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("channels/fixtures/{file}.toml: {reason}")]
pub(crate) struct BadDescription {
    file: String,
    reason: String,
}

/// The `[simulator]` table of one file, as TOML.
#[derive(serde::Deserialize)]
struct Document {
    include: Option<String>,
    simulator: Option<toml::Table>,
}

/// A provider that a fixture file describes.
pub(crate) struct Described {
    about: About,
    description: Description,
    signature_headers: &'static [&'static str],
}

impl Described {
    /// Reads a description; `None` when the file includes one that describes nothing.
    ///
    /// Names and headers are leaked: a provider lives as long as the process, and there is one of
    /// each.
    pub(crate) fn read(source: &Source, all: &[Source]) -> Result<Option<Self>, BadDescription> {
        let bad = |reason: String| BadDescription { file: source.name.to_owned(), reason };
        let parse = |text: &str| toml::from_str::<Document>(text).map_err(|error| bad(error.to_string()));
        let own = parse(source.text)?;
        let mut included = toml::Table::new();
        if let Some(name) = &own.include
            && let Some(other) = all.iter().find(|other| other.name == *name)
        {
            included = parse(other.text)?.simulator.unwrap_or_default();
            let title = included.get("title").and_then(toml::Value::as_str).unwrap_or_default();
            let title = format!("{title} ({})", source.name);
            included.insert("title".to_owned(), title.into());
        }
        included.extend(own.simulator.unwrap_or_default());
        if included.is_empty() {
            return Ok(None);
        }
        let description: Description = included.try_into().map_err(|error| bad(format!("{error}")))?;
        check(&description).map_err(bad)?;
        Ok(Some(Self::new(source.name, description)))
    }

    /// Returns the provider under another title, with another default number.
    pub(crate) fn named(mut self, title: &'static str, number: &'static str) -> Self {
        let others = self.about.credentials.iter().filter(|one| one.key != "number");
        let credentials: Vec<_> = others.copied().chain([Credential::number(number)]).collect();
        self.about.title = title;
        self.about.credentials = credentials.leak();
        self
    }

    fn new(name: &'static str, description: Description) -> Self {
        let leak = |text: &str| -> &'static str { text.to_owned().leak() };
        let account = description.credentials.iter().map(|(key, default)| Credential {
            key: leak(key),
            default: leak(default),
            purpose: if description.secrets.contains(key) {
                "a secret of the account"
            } else {
                "a line of the account"
            },
        });
        let number = Credential::number(leak(&description.number));
        let webhook = &description.webhook;
        let about = About {
            name,
            title: leak(&description.title),
            credentials: account.chain([number]).collect::<Vec<_>>().leak(),
            batch_max: 1,
            retry: RetryPolicy {
                attempts_max: webhook.tries,
                factor: webhook.factor,
                after_answers: webhook.answers,
                obeys_retry_after: webhook.obeys,
            },
            polls: false,
            customer: leak(&description.customer),
        };
        let header = match &webhook.scheme {
            WebhookScheme::Unsigned | WebhookScheme::TokenQuery(_) => None,
            WebhookScheme::Hmac(hmac) => Some(leak(&hmac.header)),
            WebhookScheme::Basic { .. } => Some("authorization"),
            WebhookScheme::TokenHeader(token) => Some(leak(&token.name)),
        };
        let signature_headers = header.into_iter().collect::<Vec<_>>().leak();
        Self { about, description, signature_headers }
    }

    fn is_authorized(&self, request: &Request, fields: &RequestFields<'_>, cx: &Context<'_>) -> bool {
        match &self.description.auth.scheme {
            AuthScheme::Open => true,
            AuthScheme::Basic { user, password } => {
                request.has_basic(cx.credential(user), cx.credential(password))
            }
            AuthScheme::Bearer(key) => request.bearer() == Some(cx.credential(key)),
            AuthScheme::Header(header) => {
                request.header(&header.name) == Some(cx.credential(&header.credential))
            }
            AuthScheme::Fields(all) => {
                all.iter().all(|(field, key)| fields.text(field).as_deref() == Some(cx.credential(key)))
            }
        }
    }

    fn refusal(&self, status: u16, code: &str, reason: &str, cx: &Context<'_>) -> Response {
        let number = status.to_string();
        let code = or(code, &number);
        let values =
            Values::new(cx, EVENT_SALT).with("status", &*number).with("code", code).with("reason", reason);
        answer(status, &values.fill(&self.description.refusal.body))
    }

    fn unauthorized(&self, cx: &Context<'_>) -> Response {
        match &self.description.auth.refused {
            Some(template) => fill(template, &Values::new(cx, EVENT_SALT)),
            None => self.refusal(401, "", "the credentials are not valid", cx),
        }
    }

    fn send(&self, request: &Request, fields: &RequestFields<'_>, cx: &Context<'_>) -> Effect {
        let (rules, refusal) = (&self.description.send, &self.description.refusal);
        if !fields.are_readable() {
            return Effect::Answer(self.refusal(refusal.malformed, "", "the body cannot be read", cx));
        }
        match self.message(fields, cx) {
            Err(reason) => Effect::Answer(self.refusal(refusal.rejected, "", reason, cx)),
            Ok(mut message) => {
                let values = Values::new(cx, MESSAGE_SALT).with_addresses(&message.from, &message.to);
                message.id = values.fill_text(&rules.id);
                message.request = fields.to_json(request);
                let values = values.with("id", &*message.id).with("text", &*message.text);
                let answer = fill(&rules.answer, &values);
                Effect::Accept(vec![message.clone()], answer)
            }
        }
    }

    /// Returns the message without its id, or why it is refused.
    fn message(&self, fields: &RequestFields<'_>, cx: &Context<'_>) -> Result<Message, &'static str> {
        let rules = &self.description.send;
        if rules.required.iter().any(|field| fields.text(field).is_none()) {
            return Err("a required field is missing");
        }
        if rules.equal.iter().any(|(field, text)| fields.text(field).as_ref() != Some(text)) {
            return Err("a field does not have the value that it must have");
        }
        let to = fields.text(&rules.to).ok_or("the recipient is missing")?;
        let from = match &rules.from {
            Some(field) => fields.text(field).ok_or("the sender is missing")?,
            None => cx.credential("number").to_owned(),
        };
        let text = fields.text(&rules.text).unwrap_or_default();
        let media = match &rules.media {
            Some(field) => fields.texts(field).ok_or("the files must be a list of addresses")?,
            None => Vec::new(),
        };
        let fits = match rules.numbers {
            NumberForm::E164 => is_e164(&to),
            NumberForm::Digits => is_digits(&to),
        };
        if !fits {
            return Err("the recipient is not a valid number");
        }
        if from.is_empty() {
            return Err("the sender is empty");
        }
        if text.is_empty() && media.is_empty() {
            return Err("the text is missing");
        }
        if text.chars().count() > rules.text_characters_max {
            return Err("the text is too long");
        }
        if media.iter().any(|url| !url.starts_with("http")) {
            return Err("a file needs an http address");
        }
        let callback = rules.callback.as_ref().and_then(|field| fields.text(field));
        Ok(Message {
            from,
            to,
            kind: if media.is_empty() { "SMS" } else { "MMS" }.to_owned(),
            text,
            media,
            callback: callback.filter(|url| !url.is_empty()),
            ..Message::default()
        })
    }
}

impl Provider for Described {
    fn about(&self) -> &About {
        &self.about
    }

    fn handle(&self, request: &Request, cx: &Context<'_>) -> Effect {
        if let Some(id) = request.path.strip_prefix("/files/") {
            return Effect::Answer(match cx.file(id) {
                Some(file) => file,
                None => self.refusal(404, "", "no such file", cx),
            });
        }
        let send = &self.description.send;
        let values = Values::new(cx, EVENT_SALT);
        let is_at = |path: &str| request.path == values.fill_text(path);
        let fields = RequestFields::read(request, send.format);
        let routes = self.description.route.iter().filter(|route| is_at(&route.path));
        let open = routes.clone().any(|route| !route.auth);
        if !is_at(&send.path) && routes.clone().next().is_none() {
            return Effect::Answer(self.refusal(404, "", "no such address", cx));
        }
        if !open && !self.is_authorized(request, &fields, cx) {
            return Effect::Answer(self.unauthorized(cx));
        }
        if is_at(&send.path) && request.method.as_str() == send.method {
            return self.send(request, &fields, cx);
        }
        let method = request.method.as_str();
        Effect::Answer(match routes.clone().find(|route| route.method == method) {
            Some(route) => fill(&route.answer, &values),
            None => self.refusal(405, "", "the method is not allowed", cx),
        })
    }

    fn fault(&self, fault: Fault<'_>, cx: &Context<'_>) -> Response {
        let rules = &self.description.refusal;
        match fault {
            Fault::Throttled { after_s } => {
                let answer = self.refusal(rules.throttled, "", "too many requests", cx);
                answer.retry_after(after_s)
            }
            Fault::Unavailable { status } => {
                self.refusal(rules.unavailable.unwrap_or(status), "", "unavailable on purpose", cx)
            }
            Fault::Rejected { code } => {
                let status =
                    code.parse().ok().filter(|status| rules.code_is_status && (400..600).contains(status));
                self.refusal(status.unwrap_or(rules.rejected), code, "refused on purpose", cx)
            }
            Fault::Credentials => self.unauthorized(cx),
            Fault::WithoutId => {
                let send = &self.description.send;
                fill(send.without_id.as_ref().unwrap_or(&send.answer), &Values::new(cx, MESSAGE_SALT))
            }
        }
    }

    fn inbound(
        &self,
        inbound: &Inbound,
        file: Option<&File>,
        cx: &Context<'_>,
    ) -> Result<Value, UnsupportedEvent> {
        let unsupported = || UnsupportedEvent::new(&self.about, inbound.kind);
        let rules = self.description.inbound.as_ref().ok_or_else(unsupported)?;
        let words = inbound.sms_text().ok_or_else(unsupported)?;
        if inbound.kind.is_file() && rules.with_file.is_none() {
            return Err(unsupported());
        }
        let new = Values::new(cx, INBOUND_SALT).fill_text(&self.description.send.id);
        let mut values = Values::new(cx, EVENT_SALT)
            .with("id", or(&inbound.id, &new))
            .with_addresses(&inbound.from, or(&inbound.to, cx.credential("number")))
            .with("text", words);
        if let Some(file) = file {
            values = values
                .with("file_url", format!("{}/files/{}", cx.base, file.id))
                .with("file_type", &*file.mime)
                .with("file_name", &*file.name)
                .with("file_bytes", file.content.len().to_string());
        }
        let mut event = values.fill(&rules.event);
        if let Some(more) = rules.with_file.as_ref().filter(|_| file.is_some()) {
            overlay(&mut event, &values.fill(more));
        }
        overlay(&mut event, &inbound.extra);
        Ok(event)
    }

    fn receipt(&self, report: &StatusReport<'_>, cx: &Context<'_>) -> Option<Value> {
        let StatusReport { message, status, code } = *report;
        let rules = self.description.receipt.as_ref()?;
        let word = match status {
            ReportStatus::Own(word) => word,
            known => rules.words.get(known.name())?,
        };
        let usual = if status == ReportStatus::Failed { &*rules.code } else { "" };
        let values = Values::new(cx, EVENT_SALT)
            .with("id", &*message.id)
            .with_addresses(&message.from, &message.to)
            .with("text", &*message.text)
            .with("word", word)
            .with("code", code.unwrap_or(usual));
        let mut event = values.fill(&rules.event);
        if let Some(more) = rules.with.get(status.name()) {
            overlay(&mut event, &values.fill(more));
        }
        Some(json!({ REPORT: event }))
    }

    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing {
        let event = events.first().unwrap_or(&Value::Null);
        let description = &self.description;
        let (event, format) = match event.get(REPORT) {
            Some(report) => (report, description.receipt.as_ref().map(|rules| rules.format)),
            None => (event, description.inbound.as_ref().map(|rules| rules.format)),
        };
        let outgoing = match format.unwrap_or_default() {
            Format::Json => Outgoing::post(url, "application/json", event.to_string().into_bytes()),
            Format::Form => Outgoing::post(
                url,
                "application/x-www-form-urlencoded",
                Fields::of_object(event).encoded().into_bytes(),
            ),
            Format::Query => Outgoing::get(with_query(url, &Fields::of_object(event).encoded())),
        };
        sign(outgoing, &description.webhook.scheme, cx)
    }

    fn signature_headers(&self) -> &'static [&'static str] {
        self.signature_headers
    }

    fn account(&self, cx: &Context<'_>) -> Vec<AccountLine> {
        let values = Values::new(cx, EVENT_SALT);
        let secrets = &self.description.secrets;
        let own = self.about.credentials.iter().map(|credential| credential.key);
        let own = own.filter(|key| *key != "number" && !secrets.iter().any(|secret| secret == key));
        let mut lines: Vec<_> = own.map(|key| AccountLine::new(key, cx.credential(key))).collect();
        for (key, template) in &self.description.account {
            lines.push(AccountLine::new(key.as_str(), values.fill_text(template)));
        }
        lines
    }
}

/// Signs a call-back. The signature `none` is handled around it: by the header's removal, or here
/// for a query.
fn sign(outgoing: Outgoing, scheme: &WebhookScheme, cx: &Context<'_>) -> Outgoing {
    match scheme {
        WebhookScheme::Unsigned => outgoing,
        WebhookScheme::Hmac(rules) if cx.credential(&rules.credential).is_empty() => outgoing,
        WebhookScheme::Hmac(rules) => {
            let signature = hmac(rules, &cx.secret(&rules.credential), &outgoing.body);
            outgoing.with(rules.header.clone(), format!("{}{signature}", rules.prefix))
        }
        WebhookScheme::Basic { user, password } => {
            let pair = format!("{}:{}", cx.credential(user), cx.secret(password));
            outgoing.with("authorization", format!("Basic {}", STANDARD.encode(pair)))
        }
        WebhookScheme::TokenHeader(token) => outgoing.with(token.name.clone(), cx.secret(&token.credential)),
        WebhookScheme::TokenQuery(_) if cx.signature == Signature::None => outgoing,
        WebhookScheme::TokenQuery(token) => {
            let pair =
                format!("{}={}", percent_encode(&token.name), percent_encode(&cx.secret(&token.credential)));
            Outgoing { url: with_query(&outgoing.url, &pair), ..outgoing }
        }
    }
}

fn hmac(rules: &HmacRules, secret: &str, body: &[u8]) -> String {
    let octets = match rules.algorithm {
        HmacAlgorithm::Sha256 => sign::hmac_sha256(secret, body),
        HmacAlgorithm::Sha1 => sign::hmac_sha1(secret, body),
    };
    match rules.encoding {
        HmacEncoding::Hex => hex::encode(octets),
        HmacEncoding::Base64 => STANDARD.encode(octets),
    }
}

fn with_query(url: &str, query: &str) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{query}")
}

fn fill(template: &AnswerTemplate, values: &Values<'_>) -> Response {
    answer(template.status, &values.fill(&template.body))
}

fn answer(status: u16, body: &Value) -> Response {
    match body {
        Value::String(text) => Response::text(status, text),
        Value::Null => Response::text(status, ""),
        body => Response::json(status, body),
    }
}

/// Checks what the types do not: the names of placeholders and credentials.
fn check(description: &Description) -> Result<(), String> {
    let mut keys: Vec<&str> = description.credentials.keys().map(String::as_str).collect();
    keys.push("number");
    let mut templates = vec![&description.refusal.body, &description.send.answer.body];
    templates.extend(description.auth.refused.iter().map(|answer| &answer.body));
    templates.extend(description.send.without_id.iter().map(|answer| &answer.body));
    templates.extend(description.route.iter().map(|route| &route.answer.body));
    if let Some(rules) = &description.inbound {
        templates.push(&rules.event);
        templates.extend(&rules.with_file);
    }
    if let Some(rules) = &description.receipt {
        templates.push(&rules.event);
        templates.extend(rules.with.values());
    }
    if let Some(name) = templates.into_iter().find_map(|template| unknown_placeholder(template, &keys)) {
        return Err(format!("{{{name}}} is not a placeholder"));
    }
    let used: Vec<&String> = match &description.auth.scheme {
        AuthScheme::Open => Vec::new(),
        AuthScheme::Basic { user, password } => vec![user, password],
        AuthScheme::Bearer(key) => vec![key],
        AuthScheme::Header(header) => vec![&header.credential],
        AuthScheme::Fields(fields) => fields.values().collect(),
    };
    let signing: Vec<&String> = match &description.webhook.scheme {
        WebhookScheme::Unsigned => Vec::new(),
        WebhookScheme::Hmac(hmac) => vec![&hmac.credential],
        WebhookScheme::Basic { user, password } => vec![user, password],
        WebhookScheme::TokenHeader(token) | WebhookScheme::TokenQuery(token) => vec![&token.credential],
    };
    match used
        .into_iter()
        .chain(signing)
        .chain(&description.secrets)
        .find(|key| !keys.contains(&key.as_str()))
    {
        Some(key) => Err(format!("{key:?} is not in [simulator.credentials]")),
        None => Ok(()),
    }
}
