//! Everything the router takes from outside itself: time, ids, connections and HTTP. Real ones for the
//! binary, seeded ones for the simulation.

use std::{future::Future, io, pin::Pin, sync::Arc};

use bytes::Bytes;
use message::{MessageId, Timestamp};
use tokio::io::{AsyncRead, AsyncWrite};

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
    /// TLS, with the roots of this PEM file (`None` inside: the built-in ones).
    pub tls: Option<Option<Arc<str>>>,
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
}
