//! Reads of the log and its index. They may wait for the disk, so they belong on threads that are
//! marked for it, never on a worker of the network runtime; each read checks its thread.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

use message::{Seq, StreamId, Timestamp};
use storage::{Due, Entry, Found, Log, Lookup, OpenStream, ReadError, Stored};

thread_local! {
    static MAY_READ: Cell<bool> = const { Cell::new(false) };
}

/// Marks the current thread as one that may wait for the disk.
pub(crate) fn allow_reads() {
    MAY_READ.set(true);
}

/// Runs `work` on a thread that may wait for the disk while it does.
pub(crate) fn with_reads_allowed<T>(work: impl FnOnce() -> T) -> T {
    let before = MAY_READ.replace(true);
    let done = work();
    MAY_READ.set(before);
    done
}

/// Reads a log and its index.
pub(crate) struct LogReader {
    log: Log,
    /// Whether every thread may read: there is only one, as in the simulation.
    is_single_threaded: bool,
    misplaced: AtomicU64,
}

impl LogReader {
    pub(crate) fn new(log: Log, is_single_threaded: bool) -> Self {
        Self { log, is_single_threaded, misplaced: AtomicU64::new(0) }
    }

    /// The number of reads that were made on threads not marked for them: always 0, or there is a
    /// bug.
    pub(crate) fn misplaced(&self) -> u64 {
        self.misplaced.load(Ordering::Relaxed)
    }

    fn log(&self) -> &Log {
        if !self.is_single_threaded && !MAY_READ.get() {
            if self.misplaced.fetch_add(1, Ordering::Relaxed) == 0 {
                let trace = std::backtrace::Backtrace::capture();
                tracing::error!(%trace, "disk read on the network runtime");
            }
        }
        &self.log
    }

    /// Finds the newest entry under a look-up key.
    pub(crate) fn find(&self, key: u128) -> Option<Found> {
        self.log().find(key)
    }

    /// Reads one event.
    ///
    /// # Errors
    ///
    /// Returns an error if its block is damaged or cannot be read.
    pub(crate) fn event(&self, seq: Seq) -> Result<Option<Stored>, ReadError> {
        self.log().event(seq)
    }

    /// Walks a stream's events backwards from its head.
    pub(crate) fn history(&self, head: Seq) -> impl Iterator<Item = Result<Stored, ReadError>> {
        self.log().history(head)
    }

    /// Reads all events from `from` on.
    pub(crate) fn forward(&self, from: Seq) -> impl Iterator<Item = Result<Stored, ReadError>> {
        self.log().read(from)
    }

    /// Reads a stream's entry in the index.
    ///
    /// # Errors
    ///
    /// Returns the reason if the index cannot be read.
    pub(crate) fn entry(&self, stream: StreamId) -> Result<Option<Entry>, String> {
        self.log().index().get(stream).map_err(|error| error.to_string())
    }

    /// Looks a stream up in the index: open, or finished since the checkpoint.
    ///
    /// # Errors
    ///
    /// Returns the reason if the index cannot be read.
    pub(crate) fn lookup(&self, stream: StreamId) -> Result<Lookup, String> {
        self.log().index().lookup(stream).map_err(|error| error.to_string())
    }

    /// Reads a page of the index in the order of streams.
    ///
    /// # Errors
    ///
    /// Returns the reason if the index cannot be read.
    pub(crate) fn scan(&self, after: Option<StreamId>, limit: usize) -> Result<Vec<OpenStream>, String> {
        self.log().index().scan(after, limit).map_err(|error| error.to_string())
    }

    /// Reads a page of the streams that are due by `now`.
    ///
    /// # Errors
    ///
    /// Returns the reason if the index cannot be read.
    pub(crate) fn due(&self, now: Timestamp, after: Option<Due>, limit: usize) -> Result<Vec<Due>, String> {
        self.log().index().due(now, after, limit).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use storage::MemoryDisk;

    use super::*;

    fn reader(is_single_threaded: bool) -> LogReader {
        let (log, _) = Log::open(MemoryDisk::new().engine(), storage::Options::default()).unwrap();
        LogReader::new(log, is_single_threaded)
    }

    #[test]
    fn a_read_on_an_unmarked_thread_is_counted() {
        let reader = reader(false);
        assert!(reader.find(1).is_none());
        assert_eq!(reader.misplaced(), 1);
        with_reads_allowed(|| assert!(reader.find(1).is_none()));
        assert_eq!(reader.misplaced(), 1);
        assert!(reader.find(1).is_none());
        assert_eq!(reader.misplaced(), 2);
    }

    #[test]
    fn the_only_thread_may_read() {
        let reader = reader(true);
        assert!(reader.find(1).is_none());
        assert_eq!(reader.misplaced(), 0);
    }
}
