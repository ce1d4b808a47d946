//! Reads of the log and its index. What is not found in memory may wait for the disk: the engine
//! runs that inside a hook (`storage::DiskEngine::around_reads`), so that the network runtime gives
//! the thread's other work to another thread meanwhile.

use message::{Seq, StreamId, Timestamp};
use storage::{Due, Entry, Found, History, Log, Lookup, OpenStream, Poisoned, ReadError, Stored};

/// Reads a log and its index.
pub(crate) struct LogReader(Log);

impl LogReader {
    pub(crate) fn new(log: Log) -> Self {
        Self(log)
    }

    /// Finds the newest entry under a look-up key. Also returns `None` if the disk cannot answer,
    /// which fails the log: only for decisions that take effect after a flush.
    pub(crate) fn find(&self, key: u128) -> Option<Found> {
        self.0.find(key)
    }

    /// Finds the newest entry under a look-up key, for an answer that waits for no flush.
    ///
    /// # Errors
    ///
    /// Returns why the log failed if nothing was found after that: it may be there.
    pub(crate) fn find_now(&self, key: u128) -> Result<Option<Found>, Poisoned> {
        match self.find(key) {
            None => self.poisoned().map_or(Ok(None), Err),
            found => Ok(found),
        }
    }

    /// Returns why the log failed, if it did: what was not found may be there.
    pub(crate) fn poisoned(&self) -> Option<Poisoned> {
        self.0.poisoned()
    }

    /// Reads one event.
    ///
    /// # Errors
    ///
    /// Returns an error if its block is damaged or cannot be read.
    pub(crate) fn event(&self, seq: Seq) -> Result<Option<Stored>, ReadError> {
        self.0.event(seq)
    }

    /// Walks a stream's events backwards from its head.
    pub(crate) fn history(&self, head: Seq) -> History<'_> {
        self.0.history(head)
    }

    /// Reads all events from `from` on.
    pub(crate) fn forward(&self, from: Seq) -> impl Iterator<Item = Result<Stored, ReadError>> {
        self.0.read(from)
    }

    /// Reads all durable events from `from` on backwards.
    pub(crate) fn backwards(&self, from: Seq) -> impl Iterator<Item = Result<Stored, ReadError>> {
        self.0.read_back(from)
    }

    /// Returns the newest durable event.
    pub(crate) fn committed(&self) -> Seq {
        self.0.committed()
    }

    /// Finds the newest durable event that was recorded by an instant, by halving: times in the log
    /// rise but for the milliseconds in which hosts overlap.
    ///
    /// # Errors
    ///
    /// Returns an error if a block is damaged or cannot be read.
    pub(crate) fn upto(&self, at: Timestamp) -> Result<Seq, ReadError> {
        let (mut low, mut high) = (Seq::NONE, self.committed());
        while low < high {
            let middle = Seq(low.0 + (high.0 - low.0).div_ceil(2));
            // What retention removed is older than everything else.
            let is_later = self.event(middle)?.is_some_and(|stored| stored.at > at);
            if is_later { high = Seq(middle.0 - 1) } else { low = middle }
        }
        Ok(low)
    }

    /// Returns the time of the oldest event that retention left; `None` for an empty log.
    ///
    /// # Errors
    ///
    /// Returns an error if its block is damaged or cannot be read.
    pub(crate) fn oldest_at(&self) -> Result<Option<Timestamp>, ReadError> {
        self.0.read(Seq::NONE).next().transpose().map(|stored| stored.map(|stored| stored.at))
    }

    /// Reads a stream's entry in the index.
    ///
    /// # Errors
    ///
    /// Returns the reason if the index cannot be read.
    pub(crate) fn entry(&self, stream: StreamId) -> Result<Option<Entry>, String> {
        self.0.index().get(stream).map_err(|error| error.to_string())
    }

    /// Looks a stream up in the index: open, or finished since the checkpoint.
    ///
    /// # Errors
    ///
    /// Returns the reason if the index cannot be read.
    pub(crate) fn lookup(&self, stream: StreamId) -> Result<Lookup, String> {
        self.0.index().lookup(stream).map_err(|error| error.to_string())
    }

    /// Reads a page of the index in the order of streams.
    ///
    /// # Errors
    ///
    /// Returns the reason if the index cannot be read.
    pub(crate) fn scan(&self, after: Option<StreamId>, limit: usize) -> Result<Vec<OpenStream>, String> {
        self.0.index().scan(after, limit).map_err(|error| error.to_string())
    }

    /// Reads a page of the streams that are due by `now`.
    ///
    /// # Errors
    ///
    /// Returns the reason if the index cannot be read.
    pub(crate) fn due(&self, now: Timestamp, after: Option<Due>, limit: usize) -> Result<Vec<Due>, String> {
        self.0.index().due(now, after, limit).map_err(|error| error.to_string())
    }
}
