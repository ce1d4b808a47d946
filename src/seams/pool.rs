//! Pooled HTTP connections, for POSTs to destinations and for calls to providers.
//!
//! The task that waits for an answer also drives its connection, so no data passes between tasks.
//! An idle connection is polled when it is taken again: if the peer has closed it, it is dropped
//! before anything is written to it.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1::{self, Connection, SendRequest},
    rt::{Read, Write},
};
use tokio::time::Instant;

/// The largest number of idle connections kept for each place.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// The age at which an idle connection is closed, at the latest when the next one is needed.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest head of an answer, in bytes. The number of headers is limited to 100 by hyper.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The stream under a connection.
pub(super) trait PooledIo: Read + Write + Unpin + Send + 'static {}
impl<T: Read + Write + Unpin + Send + 'static> PooledIo for T {}

/// An open HTTP connection.
pub(super) struct PooledConnection<I: PooledIo> {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<I, Full<Bytes>>>>,
    idle_since: Instant,
}

/// The reason why an exchange has no answer.
#[derive(Debug)]
pub(super) struct Broken {
    /// The reason, in words.
    pub(super) why: String,
    /// Whether nothing of the request was written.
    pub(super) unsent: bool,
}

impl<I: PooledIo> PooledConnection<I> {
    /// Starts HTTP on a stream.
    pub(super) async fn begin(stream: I) -> Result<Self, String> {
        let mut builder = http1::Builder::new();
        // Most requests are small: one write is cheaper than a vectored one.
        builder.max_buf_size(HEAD_BYTES_MAX).writev(false);
        let (sender, connection) = builder.handshake(stream).await.map_err(|e| words(&e))?;
        Ok(Self { sender, connection: Box::pin(connection), idle_since: Instant::now() })
    }

    fn is_expired(&self) -> bool {
        self.idle_since.elapsed() >= IDLE_TIMEOUT
    }

    /// Whether the peer keeps the connection open and nothing of the last answer is left on it.
    pub(super) async fn is_usable(&mut self) -> bool {
        let is_open = poll_fn(|cx| Poll::Ready(self.connection.as_mut().poll(cx).is_pending())).await;
        is_open && !self.is_expired() && self.sender.is_ready()
    }

    /// Sends a request. `read` reads the answer and returns whether it read all of it; in that case
    /// the connection may be used again and is returned.
    pub(super) async fn exchange<T, F>(
        self,
        request: Request<Full<Bytes>>,
        read: impl FnOnce(Response<Incoming>) -> F,
    ) -> (Result<T, Broken>, Option<Self>)
    where
        F: Future<Output = Result<(T, bool), String>>,
    {
        let Self { mut sender, connection, idle_since } = self;
        let mut driven = Some(connection);
        let sent = sender.try_send_request(request);
        let answer = async {
            let answer = sent.await.map_err(|mut error| {
                let unsent = error.take_message().is_some();
                Broken { why: words(error.error()), unsent }
            })?;
            read(answer).await.map_err(|why| Broken { why, unsent: false })
        };
        let mut answer = pin!(answer);
        let result = poll_fn(|cx| {
            // An ended connection is dropped: this is how the request learns that no answer will
            // come.
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
            Err(broken) => (Err(broken), None),
        }
    }
}

/// The idle connections to one place, the most recently used last.
pub(super) struct Idle<I: PooledIo>(Vec<PooledConnection<I>>);

impl<I: PooledIo> Default for Idle<I> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<I: PooledIo> Idle<I> {
    /// Takes the most recently used connection.
    pub(super) fn take(&mut self) -> Option<PooledConnection<I>> {
        self.0.pop()
    }

    /// Keeps a connection for the next exchange.
    pub(super) fn give_back(&mut self, mut open: PooledConnection<I>) {
        open.idle_since = Instant::now();
        self.drop_expired();
        if self.0.len() < IDLE_CONNECTIONS_MAX {
            self.0.push(open);
        }
    }

    /// Returns the number of connections.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns since when the longest unused connection is idle.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.0.first().map(|open| open.idle_since)
    }

    /// Closes the longest unused connection.
    pub(super) fn drop_oldest(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }

    /// Closes connections that were idle for too long; returns whether none is left.
    pub(super) fn drop_expired(&mut self) -> bool {
        let expired = self.0.iter().take_while(|open| open.is_expired()).count();
        self.0.drain(..expired);
        self.0.is_empty()
    }
}

/// Joins the causes of an error: "connection refused" is usually the innermost.
pub(super) fn words(error: &(dyn std::error::Error + 'static)) -> String {
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
