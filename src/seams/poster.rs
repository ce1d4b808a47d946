//! POSTs to destinations over pooled keep-alive connections, HTTP and HTTPS. What an answer's body says is
//! read up to a small limit, so that the connection can be used again, and thrown away.
//!
//! Each POST drives its own connection: the task that waits for the answer is the one that writes and reads, so
//! that nothing is handed from task to task. An idle connection is looked at when it is taken again: one that the
//! peer closed meanwhile is dropped before anything is written to it.

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    io,
    path::Path,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use actors::seams::{BoxFuture, Post, PostAnswer, PostResult, Poster};
use http::{HeaderMap, HeaderValue, Request, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1::{self, Connection, SendRequest},
    service::Service as _,
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo, service::TowerToHyperService};
use tokio::{net::TcpStream, time::Instant};

use super::roots;

/// More of an answer than this is not read; its connection is closed instead of used again.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Idle connections kept for each destination; each destination bounds its own POSTs.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// An idle connection is closed after this, at the latest when one is needed again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// An IP connection attempt may take so long; the whole POST is bounded by its caller.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest pause a destination can ask for, in seconds.
const RETRY_AFTER_S_MAX: u32 = 24 * 60 * 60;

type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

/// The HTTP client.
#[derive(Clone)]
pub struct HttpPoster {
    connector: TowerToHyperService<HttpsConnector<HttpConnector>>,
    /// By URL: as many as destinations are configured.
    places: Arc<Mutex<BTreeMap<Arc<str>, Place>>>,
}

/// Where POSTs go, and the idle connections there, the one used last at the end.
struct Place {
    target: Target,
    idle: Vec<Open>,
}

/// A URL in its pieces.
#[derive(Clone)]
struct Target {
    /// To connect to.
    uri: Uri,
    /// To ask for.
    path: Uri,
    host: HeaderValue,
}

/// An open connection.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<Io, Full<Bytes>>>>,
    idle_since: Instant,
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
        Ok(Self { connector: TowerToHyperService::new(connector), places: Arc::default() })
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a URL leads, and the idle connection that was used last.
    fn take(&self, url: &Arc<str>) -> Result<(Target, Option<Open>), String> {
        let mut places = self.places();
        if let Some(place) = places.get_mut(url) {
            return Ok((place.target.clone(), place.idle.pop()));
        }
        let target = Target::of(url)?;
        places.insert(url.clone(), Place { target: target.clone(), idle: Vec::new() });
        Ok((target, None))
    }

    fn give_back(&self, url: &Arc<str>, mut open: Open) {
        open.idle_since = Instant::now();
        let mut places = self.places();
        let Some(place) = places.get_mut(url) else { return };
        let expired = place.idle.iter().take_while(|open| open.is_expired()).count();
        place.idle.drain(..expired);
        if place.idle.len() < IDLE_CONNECTIONS_MAX {
            place.idle.push(open);
        }
    }

    async fn open(&self, target: &Target) -> Result<Open, String> {
        let stream = self.connector.call(target.uri.clone()).await.map_err(|e| words(&*e))?;
        let (sender, connection) = http1::handshake(stream).await.map_err(|e| words(&e))?;
        Ok(Open { sender, connection: Box::pin(connection), idle_since: Instant::now() })
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
                None => break self.open(&target).await?,
            }
        };
        let (answer, open) = open.exchange(request(&target, post)?).await;
        if let Some(open) = open {
            self.give_back(&url, open);
        }
        answer
    }
}

impl Poster for HttpPoster {
    fn post(&self, post: Post) -> BoxFuture<'static, PostResult> {
        Box::pin(self.clone().perform(post))
    }
}

impl Target {
    fn of(url: &str) -> Result<Self, String> {
        let wrong = |why: &dyn std::fmt::Display| format!("the URL {url:?} cannot be used: {why}");
        let uri: Uri = url.parse().map_err(|e| wrong(&e))?;
        let name = uri.host().ok_or_else(|| wrong(&"it names no host"))?;
        let host = match uri.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        let host = HeaderValue::try_from(host).map_err(|e| wrong(&e))?;
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { path: path.into(), host, uri })
    }
}

impl Open {
    fn is_expired(&self) -> bool {
        self.idle_since.elapsed() >= IDLE_TIMEOUT
    }

    /// Whether the peer still has it open, and nothing of the last answer is left on it.
    async fn is_usable(&mut self) -> bool {
        let is_open = poll_fn(|cx| Poll::Ready(self.connection.as_mut().poll(cx).is_pending())).await;
        is_open && !self.is_expired() && self.sender.is_ready()
    }

    /// Sends a request and reads its answer; the connection comes back if it can be used again.
    async fn exchange(self, request: Request<Full<Bytes>>) -> (PostResult, Option<Self>) {
        let Self { mut sender, connection, idle_since } = self;
        let mut driven = Some(connection);
        let sent = sender.send_request(request);
        let answer = async {
            let answer = sent.await.map_err(|e| words(&e))?;
            let status = answer.status().as_u16();
            let retry_after_s = retry_after(answer.headers());
            let is_whole = drain(answer.into_body()).await;
            Ok((PostAnswer { status, retry_after_s }, is_whole))
        };
        let mut answer = pin!(answer);
        let result: Result<_, String> = poll_fn(|cx| {
            // Once it has ended it must go: that is what tells the request that no answer will come.
            if driven.as_mut().is_some_and(|connection| connection.as_mut().poll(cx).is_ready()) {
                driven = None;
            }
            answer.as_mut().poll(cx)
        })
        .await;
        match result {
            Ok((answer, is_whole)) => {
                let kept = driven.filter(|_| is_whole);
                (Ok(answer), kept.map(|connection| Self { sender, connection, idle_since }))
            }
            Err(why) => (Err(why), None),
        }
    }
}

fn request(target: &Target, post: Post) -> Result<Request<Full<Bytes>>, String> {
    let text =
        |text: String| HeaderValue::try_from(text).map_err(|e| format!("the request cannot be made: {e}"));
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::HOST, target.host.clone());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-patchbay-event-id", text(post.event_id)?);
    if let Some(signature) = post.signature {
        headers.insert("x-patchbay-signature", text(signature)?);
    }
    let mut request = Request::new(Full::new(post.body));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = target.path.clone();
    *request.headers_mut() = headers;
    Ok(request)
}

/// Only the form in seconds is taken; a date would need the peer's clock.
fn retry_after(headers: &HeaderMap) -> Option<u32> {
    let seconds: u32 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.min(RETRY_AFTER_S_MAX))
}

/// Whether all of it was read.
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
