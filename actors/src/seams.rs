//! The router's view of the outside: time, ids, connections, POSTs and calls to providers. The
//! binary gives real ones, the simulation seeded ones.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use channels::http::{Request, Response};
use message::{MessageId, Timestamp};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::egress::Route;

/// A boxed future, as the seams give them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The two clocks of a machine.
pub trait Clock: Send + Sync {
    /// Returns the wall-clock time, which may jump.
    fn now(&self) -> Timestamp;
    /// Returns milliseconds of a clock that goes on evenly and never jumps, from any beginning.
    fn monotonic_ms(&self) -> u64;
}

/// New ids and jitter.
pub trait Ids: Send + Sync {
    /// An id for a message that came without one.
    fn message_id(&self) -> MessageId;
    /// A number in `0..below` for jitter; 0 when `below` is 0.
    fn jitter(&self, below: u64) -> u64;
}

/// A connection's two halves in one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a link connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host's name or address.
    pub host: Arc<str>,
    /// The TCP port.
    pub port: u16,
    /// Encryption.
    pub tls: Tls,
}

/// Encryption of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain TCP.
    Off,
    /// TLS that trusts the built-in roots.
    BuiltInRoots,
    /// TLS that trusts the roots in this PEM file.
    Roots(Arc<str>),
}

impl Tls {
    /// Returns TLS that trusts the roots in a PEM file, or the built-in ones.
    pub fn trusting(roots: Option<Arc<str>>) -> Self {
        roots.map_or(Self::BuiltInRoots, Self::Roots)
    }
}

/// Opens connections for links. Sets TCP_NODELAY; the caller sets the time limit.
pub trait Connector: Send + Sync {
    /// Opens a connection.
    fn connect(&self, target: Target) -> BoxFuture<'static, io::Result<Box<dyn Stream>>>;
}

/// One POST to a destination.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where to.
    pub url: Arc<str>,
    /// `X-Patchbay-Event-Id`: the id of the (first) delivery in it.
    pub event_id: String,
    /// `X-Patchbay-Signature`, if signed.
    pub signature: Option<String>,
    /// The signature of Standard Webhooks, if one is configured.
    pub webhook: Option<WebhookSignature>,
    /// The JSON.
    pub body: Bytes,
}

/// The headers of Standard Webhooks, beside `webhook-id`, which is the id of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSignature {
    /// `webhook-timestamp`: when this try was signed, in seconds since 1970.
    pub timestamp_s: u64,
    /// `webhook-signature`: `v1,<base64>` for each key, separated by spaces.
    pub signatures: String,
}

/// The result of a POST: the answer, or the reason why none came.
pub type PostResult = Result<PostAnswer, String>;

/// The parts of an HTTP answer that a destination reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostAnswer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds, if given.
    pub retry_after_s: Option<u32>,
}

/// Performs POSTs. Pools connections; bounded by its callers.
pub trait Poster: Send + Sync {
    /// Performs one. The caller sets the time limit.
    fn post(&self, post: Post) -> BoxFuture<'static, PostResult>;
}

/// One call to a provider.
#[derive(Clone, Debug)]
pub struct Call {
    /// The HTTP request to make.
    pub request: Arc<Request>,
    /// Proxy, roots and allowed addresses.
    pub route: Arc<Route>,
    /// The purpose, which decides about limits and redirects.
    pub purpose: Purpose,
    /// Whether a byte of the request may have left, for callers that stop waiting.
    pub left: Arc<Left>,
}

impl Call {
    /// A call to a provider's API.
    pub fn api(request: Arc<Request>, route: Arc<Route>) -> Self {
        Self { request, route, purpose: Purpose::Answer, left: Arc::default() }
    }

    /// A call for a file.
    pub fn file(request: Arc<Request>, route: Arc<Route>) -> Self {
        Self { purpose: Purpose::File, ..Self::api(request, route) }
    }
}

/// The purpose of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An API's answer: cut at its limit; a redirect is an answer like any other.
    Answer,
    /// A file: whole or not at all; redirects are followed without credentials for another host.
    File,
}

/// A flag: whether a byte may have left.
#[derive(Debug, Default)]
pub struct Left(AtomicBool);

impl Left {
    /// Sets whether a byte may have left.
    pub fn set(&self, left: bool) {
        self.0.store(left, Ordering::Release);
    }

    /// Returns whether a byte may have left.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A call without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// How far the request came.
    pub came: Came,
    /// The reason, for the operator; it holds no value of the request.
    pub reason: String,
}

/// How far the request of a call without an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// The request can never be written.
    Nowhere,
    /// The provider could not be reached: nothing left.
    Unsent,
    /// Bytes of the request may have reached the provider.
    Perhaps,
}

impl CallError {
    /// The request cannot be written.
    pub fn unwritable(reason: impl Into<String>) -> Self {
        Self { came: Came::Nowhere, reason: reason.into() }
    }

    /// Nothing left.
    pub fn unsent(reason: impl Into<String>) -> Self {
        Self { came: Came::Unsent, reason: reason.into() }
    }

    /// Something may have left.
    pub fn unanswered(reason: impl Into<String>) -> Self {
        Self { came: Came::Perhaps, reason: reason.into() }
    }

    /// Returns whether a byte may have left.
    pub fn left(&self) -> bool {
        self.came == Came::Perhaps
    }
}

/// Performs calls to providers. Pools connections; bounded by its callers.
pub trait HttpClient: Send + Sync {
    /// Performs one. The caller sets the time limit.
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Response, CallError>>;
}

/// All of them.
#[derive(Clone)]
pub struct Seams {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and jitter.
    pub ids: Arc<dyn Ids>,
    /// Connections.
    pub connector: Arc<dyn Connector>,
    /// Posts.
    pub poster: Arc<dyn Poster>,
    /// Calls to providers.
    pub client: Arc<dyn HttpClient>,
}
