//! Reads events back: one, forward, or along a stream's past. Damage is an error, never skipped.

use message::Seq;

use crate::{
    block::format::EventRecord,
    error::{BadBlock, BlockFault, ReadError},
    item::Stored,
    log::handle::{Log, Shared},
    log::segment::Read,
};

impl Shared {
    /// See [`Log::event`].
    fn event(&self, seq: Seq) -> Result<Option<Stored>, ReadError> {
        if seq == Seq::NONE {
            return Ok(None);
        }
        self.events_read.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if seq.0 > self.committed.load(std::sync::atomic::Ordering::Acquire) {
            let waiting = self.queue().record(seq);
            if let Some(bytes) = waiting {
                let stored = EventRecord { seq, bytes: &bytes }.decode();
                let bad = |fault| BadBlock { segment: "waiting to be written".into(), block: seq, fault };
                return Ok(Some(stored.map_err(bad)?));
            }
        }
        let Some(read) = self.chain.block_of(seq)? else { return Ok(None) };
        for record in read.block().records() {
            let record = record.map_err(|fault| read.bad(fault))?;
            if record.seq == seq {
                return Ok(Some(record.decode().map_err(|fault| read.bad(fault))?));
            }
        }
        Err(read.bad(BlockFault::Record(seq)).into())
    }
}

impl Shared {
    /// Whether an event is before the first that retention left.
    fn is_removed(&self, seq: Seq) -> bool {
        self.chain.segments().first().is_some_and(|segment| seq < segment.first)
    }
}

impl Log {
    /// Returns one event, also one that is not durable yet; `None` if retention removed it or it
    /// was never appended.
    pub fn event(&self, seq: Seq) -> Result<Option<Stored>, ReadError> {
        self.shared.event(seq)
    }

    /// Returns the durable events from `from` on, or from the first that retention left. The
    /// iterator ends after an error.
    pub fn read(&self, from: Seq) -> Forward<'_> {
        let first = self.shared.chain.segments().first().map_or(Seq(1), |segment| segment.first);
        Forward { shared: &self.shared, next: from.max(first), events: Vec::new().into_iter(), failed: false }
    }

    /// Returns the durable events from `from` on backwards, to the first that retention left. The
    /// iterator ends after an error.
    pub fn read_back(&self, from: Seq) -> Backward<'_> {
        let committed = self.shared.committed.load(std::sync::atomic::Ordering::Acquire);
        Backward { shared: &self.shared, next: from.min(Seq(committed)), events: Vec::new() }
    }

    /// Returns a stream's events from its head backwards, also those that are not durable yet. Ends
    /// at the stream's first event, at the first that retention left, or after an error.
    pub fn history(&self, head: Seq) -> History<'_> {
        History { shared: &self.shared, next: head, cut: None }
    }

    /// Returns how many events were read one by one since the log was opened: what look-ups of the
    /// past have cost.
    pub fn events_read(&self) -> u64 {
        self.shared.events_read.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// An iterator over events, see [`Log::read`].
pub struct Forward<'a> {
    shared: &'a Shared,
    next: Seq,
    /// The decoded rest of the current block.
    events: std::vec::IntoIter<Stored>,
    failed: bool,
}

impl Forward<'_> {
    fn load(&mut self) -> Result<bool, ReadError> {
        if self.next.0 > self.shared.committed.load(std::sync::atomic::Ordering::Acquire) {
            return Ok(false);
        }
        let read: Read = self.shared.chain.block_of(self.next)?.ok_or(ReadError::Missing(self.next))?;
        let records = read.block().records();
        let wanted = records.filter(|record| record.as_ref().map_or(true, |record| record.seq >= self.next));
        let events: Result<Vec<Stored>, BlockFault> = wanted.map(|record| record?.decode()).collect();
        self.events = events.map_err(|fault| read.bad(fault))?.into_iter();
        Ok(true)
    }
}

impl Iterator for Forward<'_> {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.events.len() == 0 {
            match self.load() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(e) => {
                    self.failed = true;
                    return Some(Err(e));
                }
            }
        }
        let event = self.events.next();
        invariant!(event.as_ref().is_some_and(|event| event.seq == self.next), "{} is not read", self.next);
        let event = event?;
        self.next = Seq(event.seq.0.saturating_add(1));
        Some(Ok(event))
    }
}

/// An iterator over events from the newest to the oldest, see [`Log::read_back`].
pub struct Backward<'a> {
    shared: &'a Shared,
    /// The newest event that was not returned, unless it is among `events`.
    next: Seq,
    /// The decoded rest of the current block, the oldest first.
    events: Vec<Stored>,
}

impl Backward<'_> {
    fn load(&mut self) -> Result<bool, ReadError> {
        let wanted = std::mem::take(&mut self.next);
        if wanted == Seq::NONE || self.shared.is_removed(wanted) {
            return Ok(false);
        }
        let Some(read) = self.shared.chain.block_of(wanted)? else {
            // Retention may have removed it meanwhile.
            return if self.shared.is_removed(wanted) { Ok(false) } else { Err(ReadError::Missing(wanted)) };
        };
        let records = read.block().records();
        let wanted = records.filter(|record| record.as_ref().map_or(true, |record| record.seq <= wanted));
        let events: Result<Vec<Stored>, BlockFault> = wanted.map(|record| record?.decode()).collect();
        self.events = events.map_err(|fault| read.bad(fault))?;
        self.next = Seq(read.first.0.saturating_sub(1));
        Ok(!self.events.is_empty())
    }
}

impl Iterator for Backward<'_> {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.events.is_empty() {
            match self.load() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(e) => return Some(Err(e)),
            }
        }
        self.events.pop().map(Ok)
    }
}

/// An iterator over a stream's past, see [`Log::history`].
pub struct History<'a> {
    shared: &'a Shared,
    next: Seq,
    cut: Option<Seq>,
}

impl History<'_> {
    /// Returns the event at which the walk ended before the stream's first, because retention has
    /// removed it. Known when the iterator has ended.
    pub fn cut(&self) -> Option<Seq> {
        self.cut
    }
}

impl Iterator for History<'_> {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let wanted = std::mem::take(&mut self.next);
        match self.shared.event(wanted) {
            Ok(Some(event)) => {
                // A damaged link must not make it walk in circles.
                if event.prev < event.seq {
                    self.next = event.prev;
                }
                Some(Ok(event))
            }
            Ok(None) if wanted == Seq::NONE => None,
            Ok(None) if self.shared.is_removed(wanted) => {
                self.cut = Some(wanted);
                None
            }
            Ok(None) => Some(Err(ReadError::Missing(wanted))),
            Err(e) => Some(Err(e)),
        }
    }
}
