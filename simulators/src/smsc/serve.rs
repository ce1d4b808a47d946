//! Sockets and time around the SMSC: one task per connection, none per PDU; the output of one
//! wake-up is written at once.

use std::{future::Future, io, sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use channels::smpp::Millis;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    task::JoinSet,
    time::sleep_until,
};

use super::{
    connection::{ConnectionId, End, OUT_BYTES_MAX},
    dispatch,
    shared::SharedCore,
};

/// Maximum number of connections; further ones are closed at once.
const CONNECTIONS_MAX: usize = 10_000;
/// Room for one read.
const READ_BYTES: usize = 64 * 1024;
/// Pause after a failed accept, until some connection has freed its descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A source of connections: a listener, or a channel of streams, whose owner may have added TLS.
pub trait Accept {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Returns the next connection; `None` when there are no more. Must be cancel-safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<Option<Self::Stream>>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<Option<TcpStream>> {
        let (stream, _) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(Some(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Accept for mpsc::Receiver<S> {
    type Stream = S;

    async fn accept(&mut self) -> io::Result<Option<S>> {
        Ok(self.recv().await)
    }
}

/// Serves all connections until `shutdown` resolves, then cuts them; or until all connections of a
/// finished source ended.
pub(super) async fn run(
    shared: &Arc<SharedCore>,
    mut acceptor: impl Accept,
    shutdown: impl Future<Output = ()>,
) {
    let mut tasks = JoinSet::new();
    tokio::pin!(shutdown);
    let mut more = true;
    while more || !tasks.is_empty() {
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = acceptor.accept(), if more => match accepted {
                Ok(Some(stream)) if tasks.len() < CONNECTIONS_MAX => {
                    let shared = shared.clone();
                    tasks.spawn(async move { serve(&shared, stream).await });
                }
                Ok(Some(_)) => {}
                Ok(None) => more = false,
                Err(error) => {
                    tracing::warn!(%error, "the simulated SMSC could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve(shared: &SharedCore, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let wake = Arc::new(Notify::new());
    let id = dispatch::open(&mut shared.lock(), wake.clone(), shared.now());
    let served = Served { shared, id };
    served.run(stream, &wake).await;
}

/// Drop guard of a served connection: however serving ends, the SMSC removes the connection.
struct Served<'a> {
    shared: &'a SharedCore,
    id: ConnectionId,
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        let now = self.shared.now();
        dispatch::close(&mut self.shared.lock(), self.id, now);
        self.shared.changes.announce();
    }
}

/// The next actions of a connection's task.
struct Step {
    end: End,
    next_due: Option<Millis>,
    write_bytes_max: usize,
    reads: bool,
}

impl Served<'_> {
    async fn run(&self, stream: impl AsyncRead + AsyncWrite + Unpin, wake: &Notify) {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut input = BytesMut::with_capacity(READ_BYTES);
        let mut output: Vec<u8> = Vec::new();
        let mut written = 0;
        loop {
            if written == output.len() {
                output.clear();
                written = 0;
            }
            let step = self.step(&mut output);
            if step.end == End::Now || (step.end == End::Flushed && output.is_empty()) {
                if step.end == End::Flushed {
                    // The peer may be gone already; that changes nothing.
                    let _ = writer.shutdown().await;
                }
                return;
            }
            let most = if step.write_bytes_max == 0 { usize::MAX } else { step.write_bytes_max };
            let ready = output.get(written..).unwrap_or_default();
            let ready = ready.get(..most).unwrap_or(ready);
            input.reserve(READ_BYTES);
            let due = step.next_due.map(|at| self.shared.started + Duration::from_millis(at));
            tokio::select! {
                biased;
                result = writer.write(ready), if !ready.is_empty() => match result {
                    Ok(0) | Err(_) => return,
                    Ok(count) => {
                        written += count;
                        if step.write_bytes_max > 0 {
                            // Lets the peer read this piece on its own.
                            let _ = writer.flush().await;
                            tokio::task::yield_now().await;
                        }
                    }
                },
                result = reader.read_buf(&mut input), if step.reads => match result {
                    Ok(0) | Err(_) => return,
                    Ok(_) => self.handle(&mut input),
                },
                () = wake.notified() => {}
                () = async { match due { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {}
            }
        }
    }

    /// Runs due work, and takes the octets that are to be written.
    fn step(&self, output: &mut Vec<u8>) -> Step {
        let now = self.shared.now();
        let mut core = self.shared.lock();
        let due = core.schedule.next().is_some_and(|at| at <= now);
        if due {
            dispatch::run_due(&mut core, now);
        }
        let (next_due, write_bytes_max) = (core.schedule.next(), core.script.write_bytes_max);
        let Some(connection) = core.connections.get_mut(&self.id) else {
            return Step { end: End::Now, next_due, write_bytes_max, reads: false };
        };
        if output.is_empty() {
            std::mem::swap(output, &mut connection.out);
        }
        let step = Step {
            end: connection.end,
            next_due,
            write_bytes_max,
            reads: connection.out.len() < OUT_BYTES_MAX,
        };
        drop(core);
        if due {
            self.shared.changes.announce();
        }
        step
    }

    /// Handles received octets.
    fn handle(&self, input: &mut BytesMut) {
        let now = self.shared.now();
        let used = dispatch::handle_bytes(&mut self.shared.lock(), self.id, input, now);
        input.advance(used.min(input.len()));
        self.shared.changes.announce();
    }
}
