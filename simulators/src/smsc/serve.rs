//! Sockets and time around the SMSC: one task per connection, none per PDU; what one wake-up brings is
//! written at once.

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
    Smsc,
    core::{ConnectionId, End, OUT_BYTES_MAX},
};

/// The most connections at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 10_000;
const READ_BYTES: usize = 64 * 1024;

/// Where connections come from: a listener, or a channel of streams (TLS is its owner's matter).
pub trait Accept {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection; nothing when no more will come. Must be cancel-safe.
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

impl Smsc {
    /// Serves all connections until `shutdown` is there, then cuts them; or until no more come and all ended.
    pub async fn run(&self, mut acceptor: impl Accept, shutdown: impl Future<Output = ()>) {
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
                        let smsc = self.clone();
                        tasks.spawn(async move { smsc.serve(stream).await });
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => more = false,
                    Err(error) => {
                        // Out of file handles, mostly: some connection must end first.
                        tracing::warn!(%error, "the simulated smsc could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let wake = Arc::new(Notify::new());
        let id = self.core().open(wake.clone(), self.now());
        let served = Served { smsc: self, id };
        served.run(stream, &wake).await;
    }
}

/// A connection being served; however that ends, even by being dropped, the SMSC learns of it.
struct Served<'a> {
    smsc: &'a Smsc,
    id: ConnectionId,
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        let now = self.smsc.now();
        self.smsc.core().close(self.id, now);
        self.smsc.shared.changed.notify_waiters();
    }
}

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
                    // The peer may be gone already: nothing is left to tell it.
                    let _ = writer.shutdown().await;
                }
                return;
            }
            let most = if step.write_bytes_max == 0 { usize::MAX } else { step.write_bytes_max };
            let ready = output.get(written..).unwrap_or_default();
            let ready = ready.get(..most).unwrap_or(ready);
            input.reserve(READ_BYTES);
            let due = step.next_due.map(|at| self.smsc.shared.started + Duration::from_millis(at));
            tokio::select! {
                biased;
                result = writer.write(ready), if !ready.is_empty() => match result {
                    Ok(0) | Err(_) => return,
                    Ok(count) => {
                        written += count;
                        if step.write_bytes_max > 0 {
                            // Lets the peer read this piece by itself.
                            let _ = writer.flush().await;
                            tokio::task::yield_now().await;
                        }
                    }
                },
                result = reader.read_buf(&mut input), if step.reads => match result {
                    Ok(0) | Err(_) => return,
                    Ok(_) => self.take(&mut input),
                },
                () = wake.notified() => {}
                () = async { match due { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {}
            }
        }
    }

    /// Does what is due, and takes what is to be written.
    fn step(&self, output: &mut Vec<u8>) -> Step {
        let now = self.smsc.now();
        let mut core = self.smsc.core();
        let due = core.next_due().is_some_and(|at| at <= now);
        if due {
            core.run_due(now);
        }
        let (next_due, write_bytes_max) = (core.next_due(), core.script.write_bytes_max);
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
            self.smsc.shared.changed.notify_waiters();
        }
        step
    }

    fn take(&self, input: &mut BytesMut) {
        let now = self.smsc.now();
        let used = self.smsc.core().handle_bytes(self.id, input, now);
        input.advance(used.min(input.len()));
        self.smsc.shared.changed.notify_waiters();
    }
}
