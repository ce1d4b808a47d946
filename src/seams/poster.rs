//! POSTs to destinations over pooled keep-alive connections, HTTP and HTTPS. The body of an answer
//! is read up to a small limit, so that the connection can be used again, and discarded.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actors::seams::{BoxFuture, Post, PostAnswer, PostResult, Poster};
use http::{HeaderMap, HeaderValue, Request, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    service::Service as _,
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpStream;

use super::{
    pool::{IDLE_TIMEOUT, Idle, PooledConnection, words},
    roots,
};

/// The longest answer that is read, in bytes; with more, the connection is closed.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long one attempt to connect may take. The caller limits the whole POST.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest pause that a destination can ask for, in seconds; longer ones are lowered to it.
const RETRY_AFTER_S_MAX: u32 = 24 * 60 * 60;

type PostStream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Posts to destinations.
#[derive(Clone)]
pub struct HttpPoster {
    connector: TowerToHyperService<HttpsConnector<HttpConnector>>,
    /// The places of the destinations, by URL; as many as are configured.
    places: Arc<Mutex<BTreeMap<Arc<str>, DestinationPlace>>>,
}

/// A destination's address and its idle connections. The destination limits its own POSTs.
struct DestinationPlace {
    target: PostTarget,
    idle: Idle<PostStream>,
}

/// The parts of a URL.
#[derive(Clone)]
struct PostTarget {
    /// The origin to connect to.
    uri: Uri,
    /// The path and query to ask for.
    path: Uri,
    host: HeaderValue,
}

impl HttpPoster {
    /// Returns a client that trusts the built-in roots and those of a PEM file.
    ///
    /// # Errors
    /// The PEM file cannot be used.
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
        Ok(Self { connector: TowerToHyperService::new(connector), places: Arc::default() })
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, DestinationPlace>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where a URL leads, and an idle connection to it.
    fn take(&self, url: &Arc<str>) -> Result<(PostTarget, Option<PooledConnection<PostStream>>), String> {
        let mut places = self.places();
        if let Some(place) = places.get_mut(url) {
            return Ok((place.target.clone(), place.idle.take()));
        }
        let target = PostTarget::of(url)?;
        places.insert(url.clone(), DestinationPlace { target: target.clone(), idle: Idle::default() });
        Ok((target, None))
    }

    fn give_back(&self, url: &Arc<str>, open: PooledConnection<PostStream>) {
        if let Some(place) = self.places().get_mut(url) {
            place.idle.give_back(open);
        }
    }

    async fn open(&self, target: &PostTarget) -> Result<PooledConnection<PostStream>, String> {
        PooledConnection::begin(self.connector.call(target.uri.clone()).await.map_err(|e| words(&*e))?).await
    }

    async fn perform(self, post: Post) -> PostResult {
        let url = post.url.clone();
        let (target, mut kept) = self.take(&url)?;
        let open = loop {
            match kept {
                Some(mut open) => {
                    if open.is_usable().await {
                        break open;
                    }
                    kept = self.take(&url)?.1;
                }
                // Connecting is rare and its future is large: boxing it keeps the other futures
                // small.
                None => break Box::pin(self.open(&target)).await?,
            }
        };
        let (answer, open) = open.exchange(request(&target, post)?, read).await;
        if let Some(open) = open {
            self.give_back(&url, open);
        }
        answer.map_err(|broken| broken.why)
    }
}

impl Poster for HttpPoster {
    fn post(&self, post: Post) -> BoxFuture<'static, PostResult> {
        Box::pin(self.clone().perform(post))
    }
}

impl PostTarget {
    fn of(url: &str) -> Result<Self, String> {
        let wrong = |why: &dyn std::fmt::Display| format!("the URL {url:?} cannot be used: {why}");
        let uri: Uri = url.parse().map_err(|e| wrong(&e))?;
        let name = uri.host().ok_or_else(|| wrong(&"it has no host"))?;
        let host = match uri.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        let host = HeaderValue::try_from(host).map_err(|e| wrong(&e))?;
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { path: path.into(), host, uri })
    }
}

async fn read(answer: http::Response<Incoming>) -> Result<(PostAnswer, bool), String> {
    let status = answer.status().as_u16();
    let retry_after_s = retry_after(answer.headers());
    let is_whole = drain(answer.into_body()).await;
    Ok((PostAnswer { status, retry_after_s }, is_whole))
}

fn request(target: &PostTarget, post: Post) -> Result<Request<Full<Bytes>>, String> {
    let text =
        |text: String| HeaderValue::try_from(text).map_err(|e| format!("the request cannot be made: {e}"));
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::HOST, target.host.clone());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let event_id = text(post.event_id)?;
    if let Some(webhook) = post.webhook {
        headers.insert("webhook-id", event_id.clone());
        headers.insert("webhook-timestamp", webhook.timestamp_s.into());
        headers.insert("webhook-signature", text(webhook.signatures)?);
    }
    headers.insert("x-patchbay-event-id", event_id);
    if let Some(signature) = post.signature {
        headers.insert("x-patchbay-signature", text(signature)?);
    }
    let mut request = Request::new(Full::new(post.body));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = target.path.clone();
    *request.headers_mut() = headers;
    Ok(request)
}

/// Reads Retry-After in seconds. The form with a date is ignored: it would need the peer's clock.
fn retry_after(headers: &HeaderMap) -> Option<u32> {
    let seconds: u32 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.min(RETRY_AFTER_S_MAX))
}

/// Reads and discards an answer; returns whether it was read to its end.
async fn drain(mut body: Incoming) -> bool {
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > ANSWER_BYTES_MAX {
            return false;
        }
    }
    true
}
