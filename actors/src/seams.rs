//! Everything the router takes from outside itself: time, ids, connections, POSTs and calls to providers. Real ones for the
//! binary, seeded ones for the simulation.

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

/// Wall-clock time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
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
    /// Host name or address.
    pub host: Arc<str>,
    /// Port.
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
    /// Connects.
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
    /// The JSON.
    pub body: Bytes,
}

/// What became of a POST: the HTTP status, or why there was none.
pub type PostResult = Result<PostAnswer, String>;

/// An HTTP answer as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostAnswer {
    /// The status.
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
    /// What is asked.
    pub request: Arc<Request>,
    /// The way there.
    pub route: Arc<Route>,
    /// What is wanted.
    pub purpose: Purpose,
    /// Whether an octet of the request may have left: for callers that stop waiting.
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

/// What a call is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An API's answer: cut at its limit, redirects are answers like any other.
    Answer,
    /// A file: whole or not at all, redirects are followed without taking credentials to another place.
    File,
}

/// Whether something left.
#[derive(Debug, Default)]
pub struct Left(AtomicBool);

impl Left {
    /// From now on something may have left, or (`false`) nothing did after all.
    pub fn set(&self, left: bool) {
        self.0.store(left, Ordering::Release);
    }

    /// Whether something may have left.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A call without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// How far it came.
    pub came: Came,
    /// Why, in words for the operator; holds no value of the request.
    pub reason: String,
}

/// How far a call without an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It cannot be written at all, now or ever.
    Nowhere,
    /// The provider could not be reached: nothing left.
    Unsent,
    /// Octets of it may have reached the provider.
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

    /// Whether something may have left.
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
