//! Threads for everything that reads the log: session hosts, channels, timers, and single look-ups
//! of the HTTP side. They never run sockets, so that a slow disk delays no connection.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use tokio::{
    runtime::{Builder, Handle, RuntimeFlavor},
    sync::oneshot,
};

use crate::history::reader::{allow_reads, with_reads_allowed};

/// A fixed number of threads, each with a runtime of its own. On a runtime with only one thread, as
/// in the simulation, no thread is started and everything runs in line.
pub(crate) struct Readers {
    threads: Vec<ReaderThread>,
    next: AtomicUsize,
}

struct ReaderThread {
    handle: Handle,
    /// Ends the thread when dropped.
    _running: oneshot::Sender<()>,
}

impl Readers {
    /// Starts `count` threads, or none on a runtime with one thread.
    ///
    /// # Errors
    ///
    /// Returns an error if a thread or its runtime cannot be created.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let mut threads = Vec::new();
        if Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
            for n in 0..count.max(1) {
                threads.push(ReaderThread::start(n)?);
            }
        }
        Ok(Self { threads, next: AtomicUsize::new(0) })
    }

    /// Whether everything runs on the caller's thread.
    pub(crate) fn is_inline(&self) -> bool {
        self.threads.is_empty()
    }

    /// Runs a future on the thread numbered `n`, modulo the number of threads. Actors spawned in it
    /// stay there. Returns `None` if it panics.
    pub(crate) async fn run_on<T: Send + 'static>(
        &self,
        n: usize,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        match self.threads.get(n % self.threads.len().max(1)) {
            Some(thread) => thread.handle.spawn(work).await.ok(),
            None => Some(work.await),
        }
    }

    /// Makes a short read on one of the threads. Returns `None` if it panics.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        self.run_on(n, async move { work() }).await
    }

    /// Does long work with the disk beside the actors. Returns `None` if it panics.
    pub(crate) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.is_inline() {
            return Some(work());
        }
        tokio::task::spawn_blocking(|| with_reads_allowed(work)).await.ok()
    }
}

impl ReaderThread {
    fn start(n: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (running, stop) = oneshot::channel::<()>();
        thread::Builder::new().name(format!("reader-{n}")).spawn(move || {
            allow_reads();
            let _context_dropped = runtime.block_on(stop);
        })?;
        Ok(Self { handle, _running: running })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn reads_run_on_threads_of_their_own() {
        let readers = Readers::start(2).unwrap();
        let name = || thread::current().name().map(ToOwned::to_owned);
        let (first, second) = (readers.read(name).await, readers.read(name).await);
        assert_eq!((first, second), (Some(Some("reader-0".into())), Some(Some("reader-1".into()))));
        assert_eq!(readers.run_on(3, async move { name() }).await, Some(Some("reader-1".into())));
        assert_eq!(readers.read(|| -> u8 { std::panic::panic_any("test") }).await, None);
        assert_eq!(readers.read(|| 1).await, Some(1));
    }

    #[tokio::test]
    async fn one_thread_does_everything_in_line() {
        let readers = Readers::start(2).unwrap();
        let here = thread::current().id();
        assert!(readers.is_inline());
        assert_eq!(readers.read(move || thread::current().id() == here).await, Some(true));
        assert_eq!(readers.block(move || thread::current().id() == here).await, Some(true));
    }
}
