//! Room made ahead of what is written: zeros that are on the disk already, so that a commit changes no more than the
//! bytes of the file and its file system has nothing of its own to write. It must never write where blocks are.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

/// Room is made for as much as is there already, within these bounds: small files stay small.
const AHEAD_BYTES_MIN: u64 = 64 * 1024;
const AHEAD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Written at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Room ends at a page.
const PAGE_BYTES: u64 = 4096;

/// The room at the end of one file.
pub(crate) struct Room {
    shared: Arc<Shared>,
    worker: Mutex<Option<Worker>>,
}

struct Shared {
    file: Arc<File>,
    /// Blocks or zeros reach up to here. Blocks are written below it without asking; beyond it, who writes holds
    /// `beyond`.
    reach: AtomicU64,
    beyond: Mutex<()>,
}

struct Worker {
    ask: SyncSender<u64>,
    thread: JoinHandle<()>,
}

impl Room {
    /// The room of a file in which everything up to `reach` is blocks or zeros.
    pub(crate) fn new(file: Arc<File>, reach: u64) -> Self {
        let shared = Arc::new(Shared { file, reach: AtomicU64::new(reach), beyond: Mutex::default() });
        Self { shared, worker: Mutex::default() }
    }

    /// Writes a block that ends at `end`, by `write`.
    pub(crate) fn write(&self, end: u64, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if end <= self.shared.reach.load(Ordering::Acquire) {
            return write();
        }
        let _beyond = self.shared.beyond.lock().unwrap_or_else(PoisonError::into_inner);
        write()?;
        self.shared.reach.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    /// Has more room made when little is left beyond `end`. Returns at once.
    pub(crate) fn make(&self, end: u64) {
        if end < AHEAD_BYTES_MIN || self.shared.reach.load(Ordering::Acquire) >= end + ahead(end) / 2 {
            return;
        }
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if worker.is_none() {
            *worker = Worker::start(self.shared.clone());
        }
        if let Some(worker) = &*worker {
            // Full: it is at it already.
            let _busy = worker.ask.try_send(end);
        }
    }

    /// The file ends at `reach` now. Only after [`Room::stop`], while nobody writes.
    pub(crate) fn restart(&self, reach: u64) {
        self.shared.reach.store(reach, Ordering::Release);
    }

    /// Makes no more room until asked again, and waits until none is being made.
    pub(crate) fn stop(&self) {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Worker { ask, thread }) = worker {
            drop(ask);
            if thread.join().is_err() {
                tracing::error!("the thread that makes room panicked");
            }
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ahead(end: u64) -> u64 {
    end.clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX)
}

impl Worker {
    /// `None`: no thread is to be had, and blocks make their own room.
    fn start(shared: Arc<Shared>) -> Option<Self> {
        let (ask, asked) = sync_channel(1);
        let thread =
            thread::Builder::new().name("log-room".into()).spawn(move || shared.work(&asked)).ok()?;
        Some(Self { ask, thread })
    }
}

impl Shared {
    fn work(&self, asked: &Receiver<u64>) {
        while let Ok(end) = asked.recv() {
            let beyond = self.beyond.lock().unwrap_or_else(PoisonError::into_inner);
            let from = self.reach.load(Ordering::Acquire);
            let to = end.saturating_add(ahead(end)).next_multiple_of(PAGE_BYTES);
            let made = self.zero(from, to);
            if made.is_ok() && from < to {
                self.reach.store(to, Ordering::Release);
            }
            drop(beyond);
            if let Err(e) = made {
                tracing::debug!(error = %e, "no room could be made ahead");
                return;
            }
        }
    }

    fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0; CHUNK_BYTES];
        let mut at = from;
        while at < to {
            let len = usize::try_from(to - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            self.file.write_all_at(zeros.get(..len).unwrap_or_default(), at)?;
            at += len as u64;
        }
        self.file.sync_data()
    }
}
