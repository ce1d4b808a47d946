//! An HTTP client for the commands that talk to a running Patchbay.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::run::Failure;

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a whole request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one Patchbay.
pub(super) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    key: Option<HeaderValue>,
}

/// An answer that was read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Answer {
    /// Returns the body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the status and the error text of the answer.
    pub(super) fn problem(&self) -> String {
        let json: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let text = |key: &str| json.as_ref()?.get(key)?.as_str().map(str::to_owned);
        let words = text("error").or_else(|| text("markdownText")).unwrap_or_else(|| self.text());
        format!("HTTP {}: {words}", self.status)
    }
}

impl Client {
    /// Returns a client for a base URL such as `http://127.0.0.1:8080`.
    pub(super) fn new(base: &str, key: Option<String>) -> Result<Self, Failure> {
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
        Ok(Self { pool: Pool::builder(TokioExecutor::new()).build(connector), base, key })
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
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|e| Failure::Running(format!("{}{path}: {e}", self.base)))?.to_bytes();
            Ok(Answer { status, body })
        };
        match tokio::time::timeout(TIMEOUT, whole).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(Failure::Running(format!("{} did not answer in {} s", self.base, TIMEOUT.as_secs())))
            }
        }
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
                headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            if let Some(value) = &self.key {
                headers.insert(http::header::AUTHORIZATION, value.clone());
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
            Failure::Running(format!(
                "cannot connect to {}: {why}; is `patchbay run` running there?",
                self.base
            ))
        })
    }
}

/// Whether this is an http or https URL with a host.
pub(super) fn is_http(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}
