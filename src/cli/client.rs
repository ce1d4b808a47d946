//! An HTTP client for the commands that talk to a running Patchbay. An error names the address that
//! was asked, and the fix.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::exit;
use crate::run::Failure;

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a whole request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest part of an answer without a known form that is told, in characters.
const TOLD_CHARS_MAX: usize = 500;

/// A port of a running Patchbay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// The send API, `[http] listen`.
    Public,
    /// The admin port, `[admin] listen`.
    Admin,
}

impl Port {
    /// Returns the advice for a port that does not answer.
    fn where_it_is(self) -> &'static str {
        match self {
            Self::Public => {
                "is `patchbay run` running there? The send API is at [http] listen of its configuration: name it \
                 with --url or PATCHBAY_URL"
            }
            Self::Admin => {
                "is `patchbay run` running there? Its admin port is [admin] listen of its configuration: name it \
                 with --url or PATCHBAY_ADMIN_URL"
            }
        }
    }

    /// Returns the advice for a missing or wrong key.
    fn key(self) -> &'static str {
        match self {
            Self::Public => "give one of [http] api_keys with --api-key or PATCHBAY_API_KEY",
            Self::Admin => "give the value of [admin] token with --token or PATCHBAY_ADMIN_TOKEN",
        }
    }
}

/// A client of one port of one Patchbay.
pub(super) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    port: Port,
    key: Option<HeaderValue>,
}

/// An answer that was read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Returns the body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the cursor of the next page, if there is one.
    pub(super) fn next(&self) -> Option<String> {
        let link = self.headers.get(header::LINK)?.to_str().ok()?;
        let (address, _) = link.strip_prefix('<')?.split_once(">; rel=\"next\"")?;
        let (_, query) = address.split_once('?')?;
        let found = channels::url::form_fields(query.as_bytes()).find(|(key, _)| key == "after");
        found.map(|(_, after)| after)
    }

    /// Returns the text at a key of a JSON answer.
    fn text_at(&self, key: &str) -> Option<String> {
        let json: Value = serde_json::from_slice(&self.body).ok()?;
        json.get(key)?.as_str().map(str::to_owned)
    }

    /// Returns the words of an error: of a problem document, of the notification that answers a CIM
    /// message, or of whatever else answered.
    fn words(&self) -> String {
        let known = ["detail", "markdownText", "title"].into_iter().find_map(|key| self.text_at(key));
        known.unwrap_or_else(|| self.text().chars().take(TOLD_CHARS_MAX).collect())
    }

    /// Returns the status, the error text of the answer, and the fix that it names.
    pub(super) fn problem(&self) -> String {
        let fix = self.text_at("fix").map(|fix| format!("; {fix}")).unwrap_or_default();
        format!("HTTP {}: {}{fix}", self.status, self.words())
    }
}

impl Client {
    /// Returns a client for a base URL such as `http://127.0.0.1:8080`.
    pub(super) fn new(port: Port, base: &str, key: Option<String>) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/').to_owned();
        if !is_http(&base) {
            return Err(Failure::Usage(format!(
                "--url {base:?} is not a valid URL; expected http://host:port or https://host:port"
            )));
        }
        let key = key.filter(|key| !key.is_empty());
        let key =
            key.map(|key| HeaderValue::try_from(format!("Bearer {key}"))).transpose().map_err(|_| {
                Failure::Usage(
                    "the API key or token contains a character that is not allowed in an HTTP header".into(),
                )
            })?;
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        Ok(Self { pool: Pool::builder(TokioExecutor::new()).build(connector), base, port, key })
    }

    /// Returns the address that is asked, without a trailing slash.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request and reads its answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Failure> {
        let whole = async {
            let answer = self.open(method, path, body).await?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|e| Failure::Running(format!("{}{path}: {e}", self.base)))?.to_bytes();
            Ok(Answer { status, headers, body })
        };
        match tokio::time::timeout(TIMEOUT, whole).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(self.unreachable(&format!("{} did not answer in {} s", self.base, TIMEOUT.as_secs())))
            }
        }
    }

    /// Sends a request whose answer must be a success.
    pub(super) async fn expect(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Failure> {
        let answer = self.ask(method, path, body).await?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(self.refused(&answer)) }
    }

    /// Reads a JSON answer.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Failure> {
        serde_json::from_slice(&answer.body).map_err(|e| {
            Failure::Running(format!(
                "{} answered something else than expected ({e}); is it a Patchbay?",
                self.base
            ))
        })
    }

    /// Returns the failure for an answer that is not a success: of the request, or of the server.
    pub(super) fn refused(&self, answer: &Answer) -> Failure {
        let why = match answer.status {
            401 => format!("{}: HTTP 401: {}; {}", self.base, answer.words(), self.port.key()),
            _ => format!("{}: {}", self.base, answer.problem()),
        };
        if (400..500).contains(&answer.status) { Failure::Usage(why) } else { Failure::Running(why) }
    }

    /// Sends a request and returns its answer with the body still to be read.
    pub(super) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let headers: Option<&mut HeaderMap> = request.headers_mut();
        if let Some(headers) = headers {
            if body.is_some() {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            if let Some(value) = &self.key {
                headers.insert(header::AUTHORIZATION, value.clone());
            }
        }
        let request = request.body(Full::new(body.unwrap_or_default().into())).map_err(Failure::running)?;
        self.pool.request(request).await.map_err(|e| {
            let mut why = e.to_string();
            let mut cause = std::error::Error::source(&e);
            while let Some(inner) = cause {
                why = inner.to_string();
                cause = inner.source();
            }
            self.unreachable(&format!("cannot connect to {}: {why}", self.base))
        })
    }

    fn unreachable(&self, what: &str) -> Failure {
        Failure::Coded { code: exit::UNREACHABLE, why: format!("{what}; {}", self.port.where_it_is()) }
    }
}

/// Whether this is an http or https URL with a host.
pub(super) fn is_http(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}
