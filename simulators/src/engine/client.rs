//! The HTTP client of a simulated provider. It calls webhooks and addresses of files, never a real
//! provider.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{
    Uri,
    header::{CONTENT_TYPE, HOST, RETRY_AFTER},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::toolkit::http::Outgoing;

/// Maximum size of a response, in bytes: a webhook's answer, or a file.
const RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A response to a call.
pub(super) struct ClientResponse {
    pub(super) status: u16,
    pub(super) retry_after_s: Option<u64>,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

/// A connection pool, and the proxy address through which it connects.
pub(super) struct WebhookClient {
    pool: Client<HttpConnector, Full<Bytes>>,
    deliver_to: Mutex<Option<String>>,
}

/// Where to connect, and the `Host` to name there.
struct Target {
    uri: Uri,
    host: String,
}

impl WebhookClient {
    pub(super) fn new(deliver_to: Option<String>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = Client::builder(TokioExecutor::new()).build(connector);
        Self { pool, deliver_to: Mutex::new(deliver_to) }
    }

    /// Connects to this `http://host:port` from now on, whatever address is called.
    pub(super) fn deliver_to(&self, place: &str) {
        *self.deliver_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(place.to_owned());
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// Returns a text for people when no response arrives.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<ClientResponse, String> {
        let Target { uri, host } = self.target(&outgoing.url)?;
        let place = uri.to_string();
        let mut request = hyper::Request::builder().method(outgoing.method).uri(uri).header(HOST, host);
        for (name, value) in &outgoing.headers {
            request = request.header(name.as_ref(), value);
        }
        let request = request.body(Full::new(outgoing.body.into())).map_err(|e| e.to_string())?;
        let response = self.pool.request(request).await;
        let response = response.map_err(|e| format!("{place}: {}", with_causes(&e)))?;
        let retry_after_s =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX).collect().await;
        let body = body.map_err(|e| format!("{place}: the response could not be read: {e}"))?.to_bytes();
        Ok(ClientResponse { status, retry_after_s, content_type, body })
    }

    fn target(&self, url: &str) -> Result<Target, String> {
        let url = url.split('#').next().unwrap_or_default();
        let uri: Uri = url.parse().map_err(|e| format!("{url:?} is not a valid URL: {e}"))?;
        let host = uri.authority().ok_or_else(|| format!("{url:?} names no host"))?.to_string();
        let host = host.rsplit('@').next().unwrap_or_default().to_owned();
        let deliver_to = self.deliver_to.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(to) = deliver_to else {
            return if uri.scheme_str() == Some("http") {
                Ok(Target { uri, host })
            } else {
                Err(format!("{url:?} is not an http URL; use deliver_to to name a server on this machine"))
            };
        };
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let to = format!("{}{path}", to.trim_end_matches('/'));
        let uri = to.parse().map_err(|e| format!("{to:?} is not a valid URL: {e}"))?;
        Ok(Target { uri, host })
    }
}

/// Returns an error's text, followed by those of its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
