//! HTTP connections that are used again, for POSTs to destinations and for calls to providers alike.
//!
//! Each exchange drives its own connection: the task that waits for the answer is the one that writes and reads, so
//! that nothing is handed from task to task. An idle connection is looked at when it is taken again: one that the
//! peer closed meanwhile is dropped before anything is written to it.

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

/// Idle connections kept for each place.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// An idle connection is closed after this, at the latest when one is needed again.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The most octets of an answer's head; of headers hyper takes 100.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What connections run over.
pub(super) trait Io: Read + Write + Unpin + Send + 'static {}
impl<T: Read + Write + Unpin + Send + 'static> Io for T {}

/// An open connection.
pub(super) struct Open<I: Io> {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<I, Full<Bytes>>>>,
    idle_since: Instant,
}

/// Why an exchange has no answer.
#[derive(Debug)]
pub(super) struct Broken {
    /// In words.
    pub(super) why: String,
    /// Nothing of the request was written.
    pub(super) unsent: bool,
}

impl<I: Io> Open<I> {
    /// Begins HTTP on a stream.
    pub(super) async fn begin(stream: I) -> Result<Self, String> {
        let mut builder = http1::Builder::new();
        // Requests are small, mostly: one piece is cheaper to send than two.
        builder.max_buf_size(HEAD_BYTES_MAX).writev(false);
        let (sender, connection) = builder.handshake(stream).await.map_err(|e| words(&e))?;
        Ok(Self { sender, connection: Box::pin(connection), idle_since: Instant::now() })
    }

    fn is_expired(&self) -> bool {
        self.idle_since.elapsed() >= IDLE_TIMEOUT
    }

    /// Whether the peer still has it open, and nothing of the last answer is left on it.
    pub(super) async fn is_usable(&mut self) -> bool {
        let is_open = poll_fn(|cx| Poll::Ready(self.connection.as_mut().poll(cx).is_pending())).await;
        is_open && !self.is_expired() && self.sender.is_ready()
    }

    /// Sends a request. `read` takes of the answer what is wanted, and tells whether it read all of it; the
    /// connection comes back if it can be used again.
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
            Err(broken) => (Err(broken), None),
        }
    }
}

/// The idle connections to one place, the one used last at the end.
pub(super) struct Idle<I: Io>(Vec<Open<I>>);

impl<I: Io> Default for Idle<I> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<I: Io> Idle<I> {
    /// The one used last.
    pub(super) fn take(&mut self) -> Option<Open<I>> {
        self.0.pop()
    }

    /// Keeps one for the next exchange.
    pub(super) fn give_back(&mut self, mut open: Open<I>) {
        open.idle_since = Instant::now();
        self.drop_expired();
        if self.0.len() < IDLE_CONNECTIONS_MAX {
            self.0.push(open);
        }
    }

    /// Closes those that were not used for long; whether none is left.
    pub(super) fn drop_expired(&mut self) -> bool {
        let expired = self.0.iter().take_while(|open| open.is_expired()).count();
        self.0.drain(..expired);
        self.0.is_empty()
    }
}

/// An error with its causes: "connection refused" is in the last one.
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
