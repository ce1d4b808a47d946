//! HTTP as providers see it, without any IO: what to call, what came back, what a webhook brought and how it is
//! answered. Requests know which of their values are secret; nothing here may show one.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::contract::url;

/// The methods providers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are HTTP's own")]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A call to a provider.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole address, query included.
    pub url: String,
    /// Headers beside `Content-Type`, in order.
    pub headers: Vec<Header>,
    /// What is sent.
    pub body: Body,
    /// Whether the customer may get something by this call: unanswered, the part is in doubt. A call that only
    /// prepares (a token, an upload, a look-up) is simply tried again.
    pub effect: bool,
    /// Values in address, headers and body that must not be shown, each as it stands there.
    pub secrets: Vec<Box<str>>,
    /// The most octets of an answer that are of use.
    pub answer_bytes_max: usize,
}

/// The most octets of a provider's answer, unless a call asks for a file.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A header of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

/// What a call sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// JSON.
    Json(String),
    /// `application/x-www-form-urlencoded`, in order, not yet encoded.
    Form(Vec<(&'static str, String)>),
    /// `multipart/form-data`, in order.
    Multipart(Vec<Field>),
}

/// A field of a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its file name, when it is a file.
    pub file_name: Option<String>,
    /// Its media type, when it is a file.
    pub content_type: Option<String>,
    /// Its octets.
    pub value: Bytes,
}

impl Request {
    /// A call by which a customer may get something.
    pub fn post(url: impl Into<String>, body: Body) -> Self {
        Self {
            method: Method::Post,
            url: url.into(),
            headers: Vec::new(),
            body,
            effect: true,
            secrets: Vec::new(),
            answer_bytes_max: ANSWER_BYTES_MAX,
        }
    }

    /// A look-up: nobody gets anything by it.
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::Get, effect: false, ..Self::post(url, Body::None) }
    }

    /// The same call, known to have no effect on a customer.
    #[must_use]
    pub fn harmless(mut self) -> Self {
        self.effect = false;
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push(Header { name, value: value.into() });
        self
    }

    /// With a header whose value is secret, as a whole and without the word before it (`Bearer`, `Basic`).
    #[must_use]
    pub fn secret_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.secrets.push(value.as_str().into());
        if let Some((_, credentials)) = value.split_once(' ') {
            self.secrets.push(credentials.trim().into());
        }
        self.headers.push(Header { name, value });
        self
    }

    /// With a value in its address or body that must not be shown. It is hidden in its URL encoding, too.
    #[must_use]
    pub fn hiding(mut self, secret: &str) -> Self {
        let encoded = url::percent_encode(secret);
        if encoded != secret {
            self.secrets.push(encoded.into());
        }
        self.secrets.push(secret.into());
        self
    }

    /// A text with every secret of this call replaced by `***`.
    pub fn redacted(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            if out.contains(&**secret) {
                out = out.replace(&**secret, "***");
            }
        }
        out
    }

    /// The body as text for people, files by their size; secrets are hidden.
    pub fn body_shown(&self) -> String {
        let shown = match &self.body {
            Body::None => String::new(),
            Body::Json(json) => json.clone(),
            Body::Form(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                fields.join("\n")
            }
            Body::Multipart(fields) => fields.iter().map(Field::shown).collect::<Vec<_>>().join("\n"),
        };
        self.redacted(&shown)
    }
}

impl Field {
    /// A field of text.
    pub fn text(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, file_name: None, content_type: None, value: Bytes::from(value.into()) }
    }

    fn shown(&self) -> String {
        match (&self.file_name, std::str::from_utf8(&self.value)) {
            (None, Ok(text)) => format!("{}={text}", self.name),
            (file, _) => {
                format!(
                    "{}=<{} octets, file {:?}, {:?}>",
                    self.name,
                    self.value.len(),
                    file,
                    self.content_type
                )
            }
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.method.as_str(), self.redacted(&self.url))?;
        for header in &self.headers {
            writeln!(f, "{}: {}", header.name, self.redacted(&header.value))?;
        }
        let kind = match &self.body {
            Body::None => return write!(f, "(no body{})", if self.effect { "" } else { ", harmless" }),
            Body::Json(_) => "json",
            Body::Form(_) => "form",
            Body::Multipart(_) => "multipart",
        };
        writeln!(f, "({kind}{})", if self.effect { "" } else { ", harmless" })?;
        f.write_str(&self.body_shown())
    }
}

/// A provider's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// What it says; cut at the call's limit.
    pub body: Bytes,
}

impl Response {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| &**n == name).map(|(_, v)| &**v)
    }

    /// Whether it is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// `Retry-After` in milliseconds, when it is a number of seconds; 0 without one. A date is taken as absent:
    /// the channel's own growing pause then applies.
    pub fn retry_after_ms(&self) -> u64 {
        let seconds = self.header("retry-after").and_then(|v| v.trim().parse::<f64>().ok());
        seconds.filter(|s| s.is_finite() && *s > 0.0).map_or(0, |s| (s.min(86_400.0) * 1_000.0) as u64)
    }

    /// The beginning of what it says, for people.
    pub fn words(&self) -> String {
        let text = String::from_utf8_lossy(self.body.get(..WORDS_BYTES_MAX).unwrap_or(&self.body));
        text.trim().to_owned()
    }
}

/// The most octets of an answer that are told to people.
const WORDS_BYTES_MAX: usize = 1_024;

/// A call from a provider.
#[derive(Clone, Copy)]
pub struct Webhook<'a> {
    /// `GET` or `POST`, ... upper case.
    pub method: &'a str,
    /// The whole public address it was sent to, as the provider knows it (`public_url` + path + query).
    pub url: &'a str,
    /// The query, without `?`, not decoded.
    pub query: &'a str,
    /// Its headers, names in lower case.
    pub headers: &'a [(Box<str>, Box<str>)],
    /// The octets as received.
    pub body: &'a [u8],
    /// Now, in milliseconds since 1970, for signatures that hold a time.
    pub now_ms: i64,
}

impl Webhook<'_> {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| &**n == name).map(|(_, v)| &**v)
    }

    /// The decoded value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<String> {
        url::form_fields(self.query.as_bytes()).find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Returns the decoded parameters of the query, in order. Some senders separate them by `;`, which a text may
    /// hold, too: it separates only where every piece has a name.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let pieces = || self.query.split(';');
        if !self.query.contains('&') && pieces().count() > 1 && pieces().all(is_named) {
            let query = self.query.replace(';', "&");
            return url::form_fields(query.as_bytes()).take(FORM_FIELDS_MAX).collect();
        }
        url::form_fields(self.query.as_bytes()).take(FORM_FIELDS_MAX).collect()
    }

    /// The decoded fields of a form body, in order.
    pub fn form(&self) -> Vec<(String, String)> {
        url::form_fields(self.body).take(FORM_FIELDS_MAX).collect()
    }
}

fn is_named(piece: &str) -> bool {
    let name = piece.split_once('=').map(|(name, _)| name).unwrap_or_default();
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The most fields of a form that are read.
const FORM_FIELDS_MAX: usize = 256;

/// What a webhook is answered with once everything in it is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Arc<str>,
}

impl Reply {
    /// 200 with a plain text.
    pub fn text(body: &str) -> Self {
        Self { status: 200, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    /// 200 with JSON.
    pub fn json(body: &str) -> Self {
        Self { status: 200, content_type: "application/json", body: body.into() }
    }
}

/// A webhook that changes nothing: its signature is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// 401 or 403.
    pub status: u16,
    /// What is missing or wrong; never the expected value.
    pub reason: Box<str>,
    /// How the caller is to say who it is (`WWW-Authenticate`), where it waits to be asked.
    pub challenge: Option<&'static str>,
}

impl Refused {
    /// 401.
    pub fn new(reason: impl Into<Box<str>>) -> Self {
        Self { status: 401, reason: reason.into(), challenge: None }
    }

    /// 403.
    pub fn forbidden(reason: impl Into<Box<str>>) -> Self {
        Self { status: 403, ..Self::new(reason) }
    }

    /// The same, asking for credentials.
    #[must_use]
    pub fn challenging(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }
}

/// A webhook that cannot be read; it is answered with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub Box<str>);

impl Malformed {
    /// With what is wrong, and where.
    pub fn new(reason: impl Into<Box<str>>) -> Self {
        Self(reason.into())
    }
}
