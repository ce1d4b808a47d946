//! HTTP as providers see it, without any IO: calls, answers, webhooks and their replies. Requests
//! know which of their values are secret; nothing here may show one.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::contract::url;

/// The HTTP methods that providers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are HTTP's own")]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    /// Returns the method's name on the wire.
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
    /// `GET` for look-ups, `POST` for most others.
    pub method: Method,
    /// The whole address, including the query.
    pub url: String,
    /// Headers beside `Content-Type`, in order.
    pub headers: Vec<Header>,
    /// The body to be sent.
    pub body: Body,
    /// Whether the customer may receive something through this call: without an answer the part is
    /// in doubt. A call that only prepares (a token, an upload, a look-up) is simply repeated.
    pub effect: bool,
    /// Values in address, headers and body that must not be shown, each as it appears there.
    pub secrets: Vec<Box<str>>,
    /// Maximum number of octets of the answer that are read.
    pub answer_bytes_max: usize,
}

/// Maximum number of octets of a provider's answer, unless a call asks for a file; the rest is cut
/// off.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// An HTTP header of a request to a provider; a secret value is redacted in traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The header's name.
    pub name: &'static str,
    /// The header's value, which may be secret.
    pub value: String,
}

/// The body of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// A JSON document.
    Json(String),
    /// `application/x-www-form-urlencoded` fields in order, not yet encoded.
    Form(Vec<(&'static str, String)>),
    /// `multipart/form-data` fields in order.
    Multipart(Vec<Field>),
}

/// A field of a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The field's name.
    pub name: &'static str,
    /// The file name, if the field is a file.
    pub file_name: Option<String>,
    /// The media type, if the field is a file.
    pub content_type: Option<String>,
    /// The content.
    pub value: Bytes,
}

impl Request {
    /// Returns a call through which a customer may receive something.
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

    /// Returns a look-up, which has no effect on a customer.
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::Get, effect: false, ..Self::post(url, Body::None) }
    }

    /// Marks the call as having no effect on a customer.
    #[must_use]
    pub fn harmless(mut self) -> Self {
        self.effect = false;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push(Header { name, value: value.into() });
        self
    }

    /// Adds a header whose value is secret, as a whole and without the scheme before it (`Bearer`,
    /// `Basic`).
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

    /// Marks a value in address or body as secret, in its URL encoding as well.
    #[must_use]
    pub fn hiding(mut self, secret: &str) -> Self {
        let encoded = url::percent_encode(secret);
        if encoded != secret {
            self.secrets.push(encoded.into());
        }
        self.secrets.push(secret.into());
        self
    }

    /// Returns a text with every secret of this call replaced by `***`.
    pub fn redacted(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            if out.contains(&**secret) {
                out = out.replace(&**secret, "***");
            }
        }
        out
    }

    /// Returns the body as text for people, files by their size; secrets are hidden.
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
    /// Returns a text field.
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
    /// The status code.
    pub status: u16,
    /// Headers, with names in lower case.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// The content, cut at the call's limit.
    pub body: Bytes,
}

impl Response {
    /// Returns the first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| &**n == name).map(|(_, v)| &**v)
    }

    /// Returns whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns `Retry-After` in milliseconds if it is a number of seconds, else 0. A date counts as
    /// absent: the channel's own growing pause then applies.
    pub fn retry_after_ms(&self) -> u64 {
        let seconds = self.header("retry-after").and_then(|v| v.trim().parse::<f64>().ok());
        seconds.filter(|s| s.is_finite() && *s > 0.0).map_or(0, |s| (s.min(86_400.0) * 1_000.0) as u64)
    }

    /// Returns the beginning of the content, for people.
    pub fn words(&self) -> String {
        let text = String::from_utf8_lossy(self.body.get(..WORDS_BYTES_MAX).unwrap_or(&self.body));
        text.trim().to_owned()
    }
}

/// Maximum number of octets of an answer that are shown to people; the rest is left out.
const WORDS_BYTES_MAX: usize = 1_024;

/// A call from a provider.
#[derive(Clone, Copy)]
pub struct Webhook<'a> {
    /// The method in upper case.
    pub method: &'a str,
    /// The whole public address of the call, as the provider knows it (`public_url` + path +
    /// query).
    pub url: &'a str,
    /// The query without `?`, not decoded.
    pub query: &'a str,
    /// Headers, with names in lower case.
    pub headers: &'a [(Box<str>, Box<str>)],
    /// The octets as received.
    pub body: &'a [u8],
    /// The current time in milliseconds since 1970, for signatures with a time.
    pub now_ms: i64,
}

impl Webhook<'_> {
    /// Returns the first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| &**n == name).map(|(_, v)| &**v)
    }

    /// Returns the decoded value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<String> {
        url::form_fields(self.query.as_bytes()).find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Returns the decoded parameters of the query, in order. Some senders separate them by `;`,
    /// which a text may hold, too: it separates only where every piece has a name.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let pieces = || self.query.split(';');
        if !self.query.contains('&') && pieces().count() > 1 && pieces().all(is_named) {
            let query = self.query.replace(';', "&");
            return url::form_fields(query.as_bytes()).take(FORM_FIELDS_MAX).collect();
        }
        url::form_fields(self.query.as_bytes()).take(FORM_FIELDS_MAX).collect()
    }

    /// Returns the decoded fields of a form body, in order.
    pub fn form(&self) -> Vec<(String, String)> {
        url::form_fields(self.body).take(FORM_FIELDS_MAX).collect()
    }
}

fn is_named(piece: &str) -> bool {
    let name = piece.split_once('=').map(|(name, _)| name).unwrap_or_default();
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Maximum number of form fields that are read; further ones are ignored.
const FORM_FIELDS_MAX: usize = 256;

/// The reply to a webhook once everything in it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The content.
    pub body: Arc<str>,
}

impl Reply {
    /// Returns 200 with a plain text.
    pub fn text(body: &str) -> Self {
        Self { status: 200, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    /// Returns 200 with JSON.
    pub fn json(body: &str) -> Self {
        Self { status: 200, content_type: "application/json", body: body.into() }
    }
}

/// A webhook that is refused and changes nothing: its signature is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// 401 or 403.
    pub status: u16,
    /// The missing or wrong part, without the expected value.
    pub reason: Box<str>,
    /// The `WWW-Authenticate` challenge, for callers that wait to be asked for credentials.
    pub challenge: Option<&'static str>,
}

impl Refused {
    /// Returns a refusal with 401.
    pub fn new(reason: impl Into<Box<str>>) -> Self {
        Self { status: 401, reason: reason.into(), challenge: None }
    }

    /// Returns a refusal with 403.
    pub fn forbidden(reason: impl Into<Box<str>>) -> Self {
        Self { status: 403, ..Self::new(reason) }
    }

    /// Adds a challenge for credentials.
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
    /// Returns an error that says what is wrong, and where.
    pub fn new(reason: impl Into<Box<str>>) -> Self {
        Self(reason.into())
    }
}
