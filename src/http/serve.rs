//! The accept loop: TCP_NODELAY, optional TLS, a limit on connections, time limits on heads,
//! handshakes and writes, a limit on answers that nobody reads, and a graceful end. A failed accept
//! never ends it.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body as _, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::io::Errno;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    answer,
    connections::{Connections, Seat},
    timed_io::TimedIo,
};
use crate::config::EdgeLimits;

/// The pause after a failed accept (too many open files), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a TLS handshake may take; slower connections are closed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that the system keeps until they are accepted; further ones are refused by it.
const BACKLOG: u32 = 1024;
/// The system's memory for what a peer has not read yet, in bytes for each connection.
const SEND_BUFFER_BYTES: u32 = 256 * 1024;
/// The largest head of a request, in bytes; larger ones get 431. Hyper limits the number of headers
/// to 100.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Answers of at least this many bytes count against [`ANSWERS_KIB_MAX`].
const LARGE_ANSWER_BYTES: u64 = 64 * 1024;
/// The memory for large answers that are being written, in KiB for each listener; requests beyond
/// it get 503.
const ANSWERS_KIB_MAX: usize = 128 * 1024;
/// Retry-After for an answer that finds the memory used up, in seconds.
const RETRY_AFTER_S: u32 = 2;

/// A bound socket, ready to serve.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    address: SocketAddr,
    name: &'static str,
}

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    /// The address cannot be bound; the text names it.
    pub async fn bind(address: SocketAddr, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}"));
        let tcp = listen(address).map_err(named)?;
        let address = tcp.local_addr()?;
        Ok(Self { tcp, tls, address, name: "other" })
    }

    /// Returns a listener on a socket that is bound already, without TLS.
    ///
    /// # Errors
    /// The address cannot be read.
    pub fn of(tcp: TcpListener) -> io::Result<Self> {
        let address = tcp.local_addr()?;
        Ok(Self { tcp, tls: None, address, name: "other" })
    }

    /// Sets the name of the listener in metrics and log lines.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Returns the address, with the real port when port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://...` or `https://...`.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Serves until `stop` turns true, then waits for the requests in flight.
    pub async fn serve<H, F>(self, limits: EdgeLimits, handler: H, mut stop: watch::Receiver<bool>)
    where
        H: Fn(Arc<Seat>, Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let connections = Connections::new(self.name, limits.connections_max);
        let answers = Arc::new(Semaphore::new(ANSWERS_KIB_MAX));
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                Some(_) = tasks.join_next() => continue,
                accepted = self.tcp.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    self.on_failed_accept(&error, &connections);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let seat = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                seat = connections.seat() => seat,
            };
            let Some(seat) = seat else { break };
            if stream.set_nodelay(true).is_ok() {
                let seat = Arc::new(seat);
                let served = Served { limits, handler: handler.clone(), answers: answers.clone() };
                tasks.spawn(connection(stream, seat, self.tls.clone(), served, stop.clone()));
            }
        }
        drop(self.tcp);
        while tasks.join_next().await.is_some() {}
    }

    /// Makes room when the system has no descriptors or memory left for a connection.
    fn on_failed_accept(&self, error: &io::Error, connections: &Connections) {
        let is_scarce = matches!(
            Errno::from_io_error(error),
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
        );
        let reason = if is_scarce { "no_descriptors" } else { "other" };
        let counter = metrics::counter!("patchbay_http_accept_failed_total", "listener" => self.name, "reason" => reason);
        counter.increment(1);
        if is_scarce {
            connections.evict_oldest();
            tracing::warn!(listener = self.name, %error, "no connection can be accepted for now");
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Waits until `stop` turns true or its sender is dropped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Limits and handler, shared by the connections of a listener.
struct Served<H> {
    limits: EdgeLimits,
    handler: H,
    answers: Arc<Semaphore>,
}

async fn connection<H, F>(
    stream: TcpStream,
    seat: Arc<Seat>,
    tls: Option<TlsAcceptor>,
    served: Served<H>,
    stop: watch::Receiver<bool>,
) where
    H: Fn(Arc<Seat>, Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let stream = TimedIo::new(stream, served.limits.write_timeout);
    let requests = async {
        match tls {
            None => http(stream, seat.clone(), served, stop).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await;
                if let Ok(Ok(stream)) = handshake {
                    http(stream, seat.clone(), served, stop).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = seat.evicted() => {}
        () = requests => {}
    }
}

async fn http<S, H, F>(stream: S, seat: Arc<Seat>, served: Served<H>, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Arc<Seat>, Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let Served { limits, handler, answers } = served;
    let service = service_fn(move |request| {
        let answer = handler(seat.clone(), request);
        let answers = answers.clone();
        async move { Ok::<_, Infallible>(counted(answer.await, &answers)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Answers are small: one write is cheaper than a vectored one.
        .writev(false)
        .max_buf_size(HEAD_BYTES_MAX)
        // Also the time for which a connection may wait for its next request.
        .header_read_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // A connection that ends with an error needs no handling: its requests were answered or never
    // begun.
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Counts a large answer until it is written, or answers 503 when too much waits to be written.
fn counted(answer: Response<Body>, answers: &Arc<Semaphore>) -> Response<Body> {
    let bytes = answer.body().size_hint().exact().unwrap_or(0);
    if bytes < LARGE_ANSWER_BYTES {
        return answer;
    }
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    match answers.clone().try_acquire_many_owned(kib) {
        Ok(permit) => answer.map(|body| Body::new(CountedBody { body, _permit: permit })),
        Err(_) => {
            metrics::counter!("patchbay_http_refused_total", "reason" => "answers").increment(1);
            answer::busy("too many large answers are being written", RETRY_AFTER_S)
        }
    }
}

/// A large answer, with its share of the memory for them.
struct CountedBody {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl hyper::body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
