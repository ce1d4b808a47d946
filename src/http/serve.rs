//! The accept loop: TCP_NODELAY, optional TLS, a limit on connections, time limits on heads and
//! handshakes, and a graceful end. A failed accept never ends it.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, pin::pin, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::config::EdgeLimits;

/// The pause after a failed accept (too many open files), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a TLS handshake may take; slower connections are closed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A bound socket, ready to serve.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    address: SocketAddr,
}

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    /// The address cannot be bound; the text names it.
    pub async fn bind(address: SocketAddr, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}"));
        let tcp = TcpListener::bind(address).await.map_err(named)?;
        let address = tcp.local_addr()?;
        Ok(Self { tcp, tls, address })
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
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let room = std::sync::Arc::new(Semaphore::new(limits.connections_max));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.tcp, &room) => accepted,
            };
            let Ok((stream, permit)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (tls, handler, stop) = (self.tls.clone(), handler.clone(), stop.clone());
            connections.spawn(async move {
                connection(stream, tls, limits, handler, stop).await;
                drop(permit);
            });
        }
        drop(self.tcp);
        while connections.join_next().await.is_some() {}
    }
}

/// Waits until `stop` turns true or its sender is dropped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn accept(
    tcp: &TcpListener,
    room: &std::sync::Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = tcp.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

async fn connection<H, F>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    limits: EdgeLimits,
    handler: H,
    stop: watch::Receiver<bool>,
) where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    match tls {
        None => http(stream, limits, handler, stop).await,
        Some(tls) => {
            let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await;
            if let Ok(Ok(stream)) = handshake {
                http(stream, limits, handler, stop).await;
            }
        }
    }
}

async fn http<S, H, F>(stream: S, limits: EdgeLimits, handler: H, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Answers are small: one write is cheaper than a vectored one.
        .writev(false)
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
