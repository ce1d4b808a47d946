//! POSTs to destinations over pooled keep-alive connections, HTTP and HTTPS. What an answer's body says is
//! read up to a small limit, so that the connection can be used again, and thrown away.

use std::{io, path::Path, time::Duration};

use actors::seams::{BoxFuture, Post, PostAnswer, PostResult, Poster};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::roots;

/// More of an answer than this is not read; its connection is closed instead of used again.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Idle connections kept for each destination; each destination bounds its own POSTs.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// An idle connection is closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// An IP connection attempt may take so long; the whole POST is bounded by its caller.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest pause a destination can ask for, in seconds.
const RETRY_AFTER_S_MAX: u32 = 24 * 60 * 60;

/// The HTTP client.
#[derive(Clone, Debug)]
pub struct HttpPoster {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl HttpPoster {
    /// A client that trusts the built-in roots and those of a PEM file.
    ///
    /// # Errors
    /// When that file cannot be used.
    pub fn new(trust: Option<&Path>) -> io::Result<Self> {
        let mut store = roots::built_in();
        if let Some(path) = trust {
            roots::add_file(&mut store, path)?;
        }
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(IDLE_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(roots::client(store))
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        Ok(Self { client })
    }
}

impl Poster for HttpPoster {
    fn post(&self, post: Post) -> BoxFuture<'static, PostResult> {
        let client = self.client.clone();
        Box::pin(async move {
            let request = request(post)?;
            let answer = client.request(request).await.map_err(|e| words(&e))?;
            let status = answer.status().as_u16();
            let retry_after_s = retry_after(answer.headers());
            drain(answer.into_body()).await;
            Ok(PostAnswer { status, retry_after_s })
        })
    }
}

fn request(post: Post) -> Result<Request<Full<Bytes>>, String> {
    let uri: Uri = post.url.parse().map_err(|e| format!("the URL {:?} cannot be used: {e}", post.url))?;
    let mut request = Request::post(uri)
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header("x-patchbay-event-id", post.event_id);
    if let Some(signature) = post.signature {
        request = request.header("x-patchbay-signature", signature);
    }
    request.body(Full::new(post.body)).map_err(|e| format!("the request cannot be made: {e}"))
}

/// Only the form in seconds is taken; a date would need the peer's clock.
fn retry_after(headers: &http::HeaderMap) -> Option<u32> {
    let seconds: u32 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.min(RETRY_AFTER_S_MAX))
}

async fn drain(mut body: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > ANSWER_BYTES_MAX {
            return;
        }
    }
}

/// An error with its causes: "connection refused" is in the last one.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
