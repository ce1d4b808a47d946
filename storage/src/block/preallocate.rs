//! Preallocates a block file with synced zeros, so that a commit changes data only and no
//! file-system metadata. It never writes where blocks are.

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

/// Preallocation doubles the file within these bounds, in bytes, so that small files stay small.
const AHEAD_BYTES_MIN: u64 = 64 * 1024;
const AHEAD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of zeros in one write.
const CHUNK_BYTES: usize = 256 * 1024;
/// Preallocation ends at a multiple of this many bytes.
const PAGE_BYTES: u64 = 4096;

/// Keeps synced zeros after the last block of one file.
pub(crate) struct Preallocator {
    region: Arc<Region>,
    worker: Mutex<Option<Worker>>,
}

struct Region {
    file: Arc<File>,
    /// Everything before this position is blocks or zeros. Only a block that ends after it is
    /// written under `extending`.
    allocated: AtomicU64,
    extending: Mutex<()>,
}

struct Worker {
    requests: SyncSender<u64>,
    thread: JoinHandle<()>,
}

impl Preallocator {
    /// Takes over a file in which everything up to `allocated` is blocks or zeros.
    pub(crate) fn new(file: Arc<File>, allocated: u64) -> Self {
        let region =
            Arc::new(Region { file, allocated: AtomicU64::new(allocated), extending: Mutex::default() });
        Self { region, worker: Mutex::default() }
    }

    /// Calls `write`, which writes a block that ends at `end`, while no zeros are written there.
    pub(crate) fn write(&self, end: u64, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if end <= self.region.allocated.load(Ordering::Acquire) {
            return write();
        }
        let _extending = self.region.extending.lock().unwrap_or_else(PoisonError::into_inner);
        write()?;
        self.region.allocated.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    /// Asks for more zeros if few are left after `end`. Returns at once.
    pub(crate) fn extend(&self, end: u64) {
        let allocated = self.region.allocated.load(Ordering::Acquire);
        if end < AHEAD_BYTES_MIN || allocated >= end + ahead(end) / 2 {
            return;
        }
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if worker.is_none() {
            *worker = Worker::start(self.region.clone());
        }
        if let Some(worker) = &*worker {
            // A full channel means that the worker is busy with an earlier request.
            let _busy = worker.requests.try_send(end);
        }
    }

    /// Takes note that the file was cut at `end`. Only after [`Preallocator::stop`], and while no
    /// block is written.
    pub(crate) fn restart(&self, end: u64) {
        self.region.allocated.store(end, Ordering::Release);
    }

    /// Stops writing zeros until the next [`Preallocator::extend`], and waits for the worker.
    pub(crate) fn stop(&self) {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Worker { requests, thread }) = worker {
            drop(requests);
            if thread.join().is_err() {
                tracing::error!("the thread that preallocates the log panicked");
            }
        }
    }
}

impl Drop for Preallocator {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ahead(end: u64) -> u64 {
    end.clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX)
}

impl Worker {
    /// Returns `None` if no thread can be started. Blocks then extend the file themselves.
    fn start(region: Arc<Region>) -> Option<Self> {
        let (requests, received) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("log-preallocate".into())
            .spawn(move || region.work(&received))
            .ok()?;
        Some(Self { requests, thread })
    }
}

impl Region {
    fn work(&self, requests: &Receiver<u64>) {
        while let Ok(end) = requests.recv() {
            let extending = self.extending.lock().unwrap_or_else(PoisonError::into_inner);
            let from = self.allocated.load(Ordering::Acquire);
            let to = end.saturating_add(ahead(end)).next_multiple_of(PAGE_BYTES);
            invariant!(end <= to, "zeros up to {to} are asked for behind {end}");
            let written = self.write_zeros(from, to);
            if written.is_ok() && from < to {
                self.allocated.store(to, Ordering::Release);
            }
            drop(extending);
            if let Err(e) = written {
                tracing::debug!(error = %e, "the log file was not preallocated");
                return;
            }
        }
    }

    fn write_zeros(&self, from: u64, to: u64) -> io::Result<()> {
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
