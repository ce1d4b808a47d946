//! Calls to providers over pooled connections, separate for each channel. Reports whether anything
//! of a call may have left. Never prints a value of a request, never dials an address that was not
//! judged.

mod dial;
#[cfg(test)]
mod tests;
mod write;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actors::{
    egress::Route,
    seams::{BoxFuture, Call, CallError, HttpClient, Purpose, Stream},
};
use channels::http::{Body, Method, Request, Response};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};

use self::write::CallTarget;
use super::{
    pool::{Idle, PooledConnection},
    roots,
};

/// The largest number of places whose idle connections are kept; files may come from anywhere.
const PLACES_MAX: usize = 1_024;
/// The largest number of redirects followed for one file.
const REDIRECTS_MAX: usize = 5;

type CallStream = TokioIo<Box<dyn Stream>>;

/// Calls providers.
#[derive(Clone)]
pub struct ProviderClient {
    built_in: Arc<ClientConfig>,
    /// The TLS configurations by the PEM file of their further roots; as many as channels are
    /// configured.
    trusting: Arc<Mutex<HashMap<Arc<Path>, Arc<ClientConfig>>>>,
    idle: Arc<Mutex<BTreeMap<ChannelPlace, Idle<CallStream>>>>,
    /// The largest number of idle connections to all places.
    idle_max: usize,
}

/// A channel's connections: with or without TLS, to one host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ChannelPlace {
    channel: Arc<str>,
    tls: bool,
    host: Box<str>,
    port: u16,
}

impl ProviderClient {
    /// Returns a client that keeps up to `idle_max` connections for their next calls.
    pub fn new(idle_max: usize) -> Self {
        let built_in = Arc::new(roots::client(roots::built_in()));
        Self { built_in, trusting: Arc::default(), idle: Arc::default(), idle_max }
    }
}

impl HttpClient for ProviderClient {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Response, CallError>> {
        Box::pin(self.clone().perform(call))
    }
}

impl ProviderClient {
    async fn perform(self, call: Call) -> Result<Response, CallError> {
        let mut target = CallTarget::of(&call.request.url).map_err(CallError::unwritable)?;
        let response = self.once(&call, &call.request, &target).await?;
        if call.purpose == Purpose::Answer || call.request.body != Body::None {
            return Ok(response);
        }
        let mut response = response;
        let mut request = Request::clone(&call.request);
        for _ in 0..REDIRECTS_MAX {
            let Some(location) = redirect(&response) else { return Ok(response) };
            let next = target.follow(location).map_err(CallError::unanswered)?;
            if next.origin() != target.origin() {
                // Another host must not see the credentials.
                request.headers.clear();
            }
            request.method = Method::Get;
            target = next;
            response = self.once(&call, &request, &target).await?;
        }
        match redirect(&response) {
            None => Ok(response),
            Some(_) => Err(CallError::unanswered(format!("more than {REDIRECTS_MAX} redirects"))),
        }
    }

    /// Sends one request and reads its answer.
    async fn once(&self, call: &Call, request: &Request, target: &CallTarget) -> Result<Response, CallError> {
        let route = &*call.route;
        let proxy = route.proxy_to(target.host(), target.port());
        let place = ChannelPlace {
            channel: route.channel.clone(),
            tls: target.tls(),
            host: target.host().into(),
            port: target.port(),
        };
        loop {
            let kept = self.usable(&place).await;
            let was_kept = kept.is_some();
            let open = match kept {
                Some(open) => open,
                None => self.open(target, route).await.map_err(CallError::unsent)?,
            };
            let written = write::request(request, target, proxy).map_err(CallError::unwritable)?;
            call.left.set(true);
            let (bytes_max, purpose) = (request.answer_bytes_max, call.purpose);
            let (answer, open) = open.exchange(written, |answer| read(answer, bytes_max, purpose)).await;
            if let Some(open) = open {
                self.give_back(place.clone(), open);
            }
            match answer {
                Ok(response) => return Ok(response),
                Err(broken) if !broken.unsent => return Err(CallError::unanswered(broken.why)),
                Err(broken) => {
                    call.left.set(false);
                    if !was_kept {
                        return Err(CallError::unsent(broken.why));
                    }
                    // The peer had just closed the connection and nothing was written: trying again
                    // repeats nothing.
                }
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, BTreeMap<ChannelPlace, Idle<CallStream>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an idle connection that is still open.
    async fn usable(&self, place: &ChannelPlace) -> Option<PooledConnection<CallStream>> {
        loop {
            let mut open = self.idle().get_mut(place)?.take()?;
            if open.is_usable().await {
                return Some(open);
            }
        }
    }

    fn give_back(&self, place: ChannelPlace, open: PooledConnection<CallStream>) {
        if self.idle_max == 0 {
            return;
        }
        let mut idle = self.idle();
        while idle.values().map(Idle::len).sum::<usize>() >= self.idle_max {
            let oldest = idle
                .values_mut()
                .min_by_key(|connections| connections.oldest().map_or((1, None), |at| (0, Some(at))));
            let Some(oldest) = oldest else { break };
            oldest.drop_oldest();
        }
        if idle.len() >= PLACES_MAX && !idle.contains_key(&place) {
            idle.retain(|_, connections| !connections.drop_expired());
            if idle.len() >= PLACES_MAX {
                return;
            }
        }
        idle.entry(place).or_default().give_back(open);
    }

    async fn open(&self, target: &CallTarget, route: &Route) -> Result<PooledConnection<CallStream>, String> {
        let tls = target.tls().then(|| self.tls(route)).transpose().map_err(|e| e.to_string())?;
        let stream = dial::dial(target, route, tls).await?;
        PooledConnection::begin(TokioIo::new(stream)).await
    }

    /// Returns the TLS configuration of a channel: the built-in roots and its own.
    fn tls(&self, route: &Route) -> io::Result<Arc<ClientConfig>> {
        let Some(path) = &route.trust else { return Ok(self.built_in.clone()) };
        let mut trusting = self.trusting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = trusting.get(path) {
            return Ok(client.clone());
        }
        let mut store: RootCertStore = roots::built_in();
        roots::add_file(&mut store, path)?;
        let client = Arc::new(roots::client(store));
        trusting.insert(path.clone(), client.clone());
        Ok(client)
    }
}

/// Returns the location to which an answer redirects.
fn redirect(response: &Response) -> Option<&str> {
    matches!(response.status, 301 | 302 | 303 | 307 | 308).then(|| response.header("location")).flatten()
}

/// Reads an answer up to a limit; returns whether it was read to its end.
async fn read(
    answer: http::Response<Incoming>,
    bytes_max: usize,
    purpose: Purpose,
) -> Result<(Response, bool), String> {
    let too_large = || format!("the file is larger than {bytes_max} bytes");
    let (head, mut rest) = answer.into_parts();
    let promised = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if purpose == Purpose::File && promised.is_some_and(|octets: usize| octets > bytes_max) {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(promised.unwrap_or(0).min(bytes_max));
    let mut is_whole = true;
    while let Some(frame) = rest.frame().await {
        let frame = frame.map_err(|e| format!("the answer is incomplete: {e}"))?;
        let Some(octets) = frame.data_ref() else { continue };
        let room = bytes_max.saturating_sub(body.len());
        body.extend_from_slice(octets.get(..room).unwrap_or(octets));
        if octets.len() > room {
            if purpose == Purpose::File {
                return Err(too_large());
            }
            is_whole = false;
            break;
        }
    }
    let headers = text_of(&head.headers);
    Ok((Response { status: head.status.as_u16(), headers, body: Bytes::from(body) }, is_whole))
}

fn text_of(headers: &HeaderMap) -> Vec<(Box<str>, Box<str>)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned().into();
    headers.iter().map(|(name, value)| (name.as_str().into(), text(value))).collect()
}
