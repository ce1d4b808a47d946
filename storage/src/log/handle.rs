//! The handle of the log: append, find, read, checkpoint. An append never waits for the disk, and
//! nothing is reported as committed that is not durable.

use std::{
    cell::RefCell,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use message::{Seq, Timestamp};

use crate::{
    block::format::{self, ItemFault},
    disk::seam::Engine,
    error::{AppendError, IndexError, NoRoom, Poisoned},
    index::{checkpoint::CheckpointStats, store::Index},
    item::{Found, Item, Tag},
    log::queue::{Bounds, Completion, Queue},
    log::segment::{Chain, Segment},
    lookup::memtable::MemTable,
    options::{Driver, Options},
};

/// Factor of [`Options::queue_bytes_max`] above which appends are refused. Work that was accepted
/// before the queue was full must still be able to record its outcome.
const QUEUE_HARD_FACTOR: usize = 4;
/// Calls of [`Log::room`] between two samples of the free space.
const ROOM_SAMPLE: u32 = 256;
/// Maximum bytes of an encoded record. A larger one is refused.
pub const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Maximum bytes of an encoding buffer that a thread keeps between appends.
const SCRATCH_BYTES_KEPT: usize = 1024 * 1024;

/// The event log. Clones are handles of the same log; dropping the last one stops it.
#[derive(Clone)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    guard: Arc<Guard>,
}

/// Called once, when the log is poisoned.
type PoisonHook = Box<dyn FnOnce(Poisoned) + Send>;

pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) options: Options,
    pub(crate) chain: Arc<Chain>,
    queue: Mutex<Queue>,
    /// Signals the writer: a block waits, or the log closes.
    pub(crate) work: Condvar,
    /// Signals waiters: the watermark rose, or the log is poisoned.
    pub(crate) advanced: Condvar,
    pub(crate) committed: AtomicU64,
    poison: OnceLock<Poisoned>,
    hooks: Mutex<Vec<PoisonHook>>,
    pub(crate) index: Index,
    pub(crate) waiting_bytes: AtomicUsize,
    room_calls: AtomicU32,
    is_disk_low: AtomicBool,
    pub(crate) free_bytes: AtomicU64,
    pub(crate) blocks_written: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    /// Events that were read one by one.
    pub(crate) events_read: AtomicU64,
}

/// A drop guard that ends the threads.
struct Guard {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch { bytes: Vec::new(), ends: Vec::new() }) };
}

/// Encoded records without numbers.
struct Scratch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Scratch {
    fn encode(&mut self, items: &[Item]) -> Result<(), AppendError> {
        self.bytes.clear();
        self.ends.clear();
        for (index, item) in items.iter().enumerate() {
            let start = self.bytes.len();
            format::encode_record(item, index, &mut self.bytes).map_err(|fault| match fault {
                ItemFault::Prev => AppendError::Prev(index),
                ItemFault::Keys => AppendError::Keys(index),
                ItemFault::Codec(e) => AppendError::Codec(index, e),
            })?;
            let bytes = self.bytes.len() - start;
            if bytes > RECORD_BYTES_MAX {
                return Err(AppendError::TooLarge { index, bytes, max: RECORD_BYTES_MAX });
            }
            self.ends.push(self.bytes.len());
        }
        invariant!(self.ends.len() == items.len(), "{} of {}", self.ends.len(), items.len());
        Ok(())
    }

    /// Splits the records into runs that fit a block each. A record larger than a block is a run of
    /// its own.
    fn runs(&self, block_bytes_max: usize) -> impl Iterator<Item = (usize, &[u8])> {
        let room = block_bytes_max.saturating_sub(format::HEADER_BYTES);
        let (mut at, mut start) = (0, 0);
        std::iter::from_fn(move || {
            let from = at;
            let begin = start;
            while let Some(end) = self.ends.get(at) {
                if at > from && end - begin > room {
                    break;
                }
                at += 1;
                start = *end;
            }
            (at > from).then(|| (at - from, self.bytes.get(begin..start).unwrap_or_default()))
        })
    }

    fn shrink(&mut self) {
        if self.bytes.capacity() > SCRATCH_BYTES_KEPT {
            *self = Self { bytes: Vec::new(), ends: Vec::new() };
        }
    }
}

impl Shared {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        options: Options,
        chain: Arc<Chain>,
        index: Index,
        last: Seq,
        active: Option<(Arc<Segment>, Arc<MemTable>)>,
    ) -> Self {
        Self {
            engine,
            options,
            chain,
            queue: Mutex::new(Queue::new(Seq(last.0.saturating_add(1)), active)),
            work: Condvar::new(),
            advanced: Condvar::new(),
            committed: AtomicU64::new(last.0),
            poison: OnceLock::new(),
            hooks: Mutex::default(),
            index,
            waiting_bytes: AtomicUsize::new(0),
            room_calls: AtomicU32::new(0),
            is_disk_low: AtomicBool::new(false),
            free_bytes: AtomicU64::new(u64::MAX),
            blocks_written: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            events_read: AtomicU64::new(0),
        }
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the block that the writer would get now; `None` if the queue is locked or empty.
    #[cfg(test)]
    pub(crate) fn try_take(&self) -> Option<crate::log::queue::Pending> {
        self.queue.try_lock().ok()?.take().map(|(pending, _)| pending)
    }

    pub(crate) fn poisoned(&self) -> Option<&Poisoned> {
        self.poison.get()
    }

    /// Poisons the log: refuses appends from now on. The writer tells all waiters.
    pub(crate) fn poison(&self, why: &dyn std::fmt::Display) {
        let poisoned = Poisoned(why.to_string().into());
        {
            let _queue = self.queue();
            if self.poison.set(poisoned.clone()).is_err() {
                return;
            }
        }
        tracing::error!(reason = %poisoned, "the log is poisoned");
        self.work.notify_all();
        self.advanced.notify_all();
        let hooks = std::mem::take(&mut *self.hooks.lock().unwrap_or_else(PoisonError::into_inner));
        for hook in hooks {
            hook(poisoned.clone());
        }
    }

    pub(crate) fn note_waiting(&self, queue: &Queue) {
        self.waiting_bytes.store(queue.bytes, Ordering::Relaxed);
    }

    /// Samples the free space of the disk.
    pub(crate) fn sample_room(&self) {
        match self.engine.free_bytes() {
            Ok(free) => {
                self.free_bytes.store(free, Ordering::Relaxed);
                self.is_disk_low.store(free < self.options.disk_reserve_bytes, Ordering::Relaxed);
            }
            Err(e) => tracing::warn!(error = %e, "free space is not known"),
        }
    }

    pub(crate) fn room(&self) -> Result<(), NoRoom> {
        if let Some(poisoned) = self.poisoned() {
            return Err(poisoned.clone().into());
        }
        let max = self.options.queue_bytes_max;
        let waiting = self.waiting_bytes.load(Ordering::Relaxed);
        if waiting > max {
            return Err(NoRoom::Queue { waiting, max });
        }
        let calls = self.room_calls.fetch_add(1, Ordering::Relaxed);
        if calls.is_multiple_of(ROOM_SAMPLE) || self.is_disk_low.load(Ordering::Relaxed) {
            self.sample_room();
        }
        if self.is_disk_low.load(Ordering::Relaxed) {
            let free = self.free_bytes.load(Ordering::Relaxed);
            return Err(NoRoom::Disk { free, reserve: self.options.disk_reserve_bytes });
        }
        Ok(())
    }

    fn append(&self, items: &[Item], done: Option<Completion>) -> Result<Seq, AppendError> {
        if items.is_empty() {
            return Err(AppendError::Empty);
        }
        SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => {
                scratch.encode(items)?;
                let first = self.enqueue(&scratch, items, done);
                scratch.shrink();
                first
            }
            // A completion appends: it gets a buffer of its own.
            Err(_) => {
                let mut scratch = Scratch { bytes: Vec::new(), ends: Vec::new() };
                scratch.encode(items)?;
                self.enqueue(&scratch, items, done)
            }
        })
    }

    fn enqueue(
        &self,
        scratch: &Scratch,
        items: &[Item],
        done: Option<Completion>,
    ) -> Result<Seq, AppendError> {
        let times = items.iter().fold((Timestamp(u64::MAX), Timestamp(0)), |(from, to), item| {
            (from.min(item.at), to.max(item.at))
        });
        let Options { block_bytes_max, segment_bytes, queue_bytes_max, .. } = self.options;
        let bounds = Bounds { block_bytes_max, segment_bytes, part_bytes: self.options.part_bytes() };
        let mut fresh: smallvec::SmallVec<[(usize, Arc<MemTable>); 1]> = smallvec::SmallVec::new();
        let mut queue = self.queue();
        if let Some(poisoned) = self.poisoned() {
            return Err(poisoned.clone().into());
        }
        if queue.is_closed {
            return Err(AppendError::Closed);
        }
        let max = queue_bytes_max.saturating_mul(QUEUE_HARD_FACTOR);
        if queue.bytes > max {
            return Err(AppendError::Full { waiting: queue.bytes, max });
        }
        let first = queue.next;
        let mut rest = items;
        for (count, records) in scratch.runs(block_bytes_max) {
            let lookups = queue.push(&self.chain, bounds, records, u32::try_from(count).unwrap_or(0), times);
            let (these, others) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            rest = others;
            // Announced first, because the block may be sealed at once.
            lookups.expect(these.iter().map(|item| item.keys.len() as u64).sum());
            fresh.push((count, lookups));
        }
        invariant!(rest.is_empty(), "{} items are in no block", rest.len());
        let given = queue.next.0.saturating_sub(first.0);
        invariant!(given == items.len() as u64, "{given} numbers for {} items", items.len());
        if let Some(done) = done {
            queue.complete_last(done);
        }
        self.note_waiting(&queue);
        // Inserted while the queue is locked: a completion of this block finds the keys.
        remember(&fresh, items, first);
        let is_idle = std::mem::take(&mut queue.is_idle);
        drop(queue);
        if is_idle {
            self.work.notify_one();
        }
        Ok(first)
    }

    /// Records how far the log reaches, beside its segments.
    fn note_committed(&self) {
        let committed = Seq(self.committed.load(Ordering::Acquire));
        // The log can do without: only a start that finds an older copy would tell less.
        if let Err(error) = self.chain.list.note_committed(&*self.engine, committed) {
            tracing::warn!(%error, "the end of the log is not recorded");
        }
    }

    /// Waits until an event is flushed.
    pub(crate) fn wait_flushed(&self, seq: Seq) -> Result<(), Poisoned> {
        if self.options.driver == Driver::Inline {
            while self.committed.load(Ordering::Acquire) < seq.0 && self.cycle() {}
        }
        let mut queue = self.queue();
        loop {
            if self.committed.load(Ordering::Acquire) >= seq.0 {
                return Ok(());
            }
            if let Some(poisoned) = self.poisoned() {
                return Err(poisoned.clone());
            }
            if seq >= queue.next {
                return Err(Poisoned(format!("event {seq} was never appended").into()));
            }
            queue = self.advanced.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn remember(fresh: &[(usize, Arc<MemTable>)], items: &[Item], first: Seq) {
    let mut seq = first.0;
    let mut rest = items;
    for (count, lookups) in fresh {
        let (these, others) = rest.split_at_checked(*count).unwrap_or((rest, &[]));
        rest = others;
        for item in these {
            for key in &item.keys {
                let b = match key.b {
                    Tag::Value(value) => value,
                    Tag::OwnSeq => seq,
                };
                lookups.insert(key.hash, Found { a: key.a, b }, Seq(seq));
            }
            seq = seq.saturating_add(1);
        }
    }
}

impl Log {
    pub(crate) fn start(shared: Arc<Shared>, threads: Vec<JoinHandle<()>>) -> Self {
        let guard = Arc::new(Guard { shared: shared.clone(), threads: Mutex::new(threads) });
        Self { shared, guard }
    }

    /// Numbers the items consecutively, queues them for the writer, and returns the first number.
    /// Never waits for the disk.
    ///
    /// The writer's thread calls `done` once, in the order of the appends: when the last item is
    /// durable, or with the reason why the log is poisoned. It must be quick, since the writer
    /// waits for it. It is dropped uncalled if this returns an error. A crash keeps all items that
    /// fit one block ([`Options::block_bytes_max`]), or none of them.
    pub fn append(&self, items: Vec<Item>, done: Option<Completion>) -> Result<Seq, AppendError> {
        self.shared.append(&items, done)
    }

    /// Calls `done` once everything appended so far is durable, or with the reason why the log is
    /// poisoned; at once, on this thread, if nothing waits. For answers that show others' appends.
    pub fn after(&self, done: Completion) {
        let mut queue = self.shared.queue();
        if let Some(poisoned) = self.poisoned() {
            drop(queue);
            return done(Err(poisoned));
        }
        let at_once = queue.complete_after(done);
        drop(queue);
        if let Some(done) = at_once {
            done(Ok(()));
        }
    }

    /// Returns the watermark: every event up to it is durable.
    pub fn committed(&self) -> Seq {
        Seq(self.shared.committed.load(Ordering::Acquire))
    }

    /// Returns an error if new work must not be accepted now. Cheap; called before every
    /// acceptance.
    pub fn room(&self) -> Result<(), NoRoom> {
        self.shared.room()
    }

    /// Returns the newest value of a key, also of events that are not durable yet.
    ///
    /// A look-up that the disk cannot answer poisons the log, since "not found" would be wrong.
    pub fn find(&self, hash: u128) -> Option<Found> {
        self.shared.chain.find(hash).unwrap_or_else(|e| {
            self.shared.poison(&e);
            None
        })
    }

    /// Returns the index of open streams.
    pub fn index(&self) -> &Index {
        &self.shared.index
    }

    /// Runs [`Index::checkpoint`] against this log's flushes, and writes look-ups to the disk, so
    /// that the next start reads few blocks.
    pub fn checkpoint(&self, upto: Seq) -> Result<CheckpointStats, IndexError> {
        let done = self.shared.index.checkpoint(upto, &|seq| self.shared.wait_flushed(seq))?;
        if let Some((segment, end)) = self.shared.end_part() {
            self.shared.wait_flushed(end)?;
            self.shared.seal_parts(&segment);
        }
        self.shared.note_committed();
        Ok(done)
    }

    /// Blocks the thread until an event is durable or the log is poisoned. Not for an actor.
    pub fn wait_flushed(&self, seq: Seq) -> Result<(), Poisoned> {
        self.shared.wait_flushed(seq)
    }

    /// Writes one block and runs its completions on this thread, with [`Driver::Inline`] only.
    /// Returns whether there was one.
    pub fn drive(&self) -> bool {
        self.shared.options.driver == Driver::Inline && self.shared.cycle()
    }

    /// Ends the active segment: the next append begins another, and this one is sealed.
    pub fn seal(&self) {
        self.shared.queue().must_seal = true;
    }

    /// Returns the reason why the log is poisoned.
    pub fn poisoned(&self) -> Option<Poisoned> {
        self.shared.poisoned().cloned()
    }

    /// Calls `hook` once when the log is poisoned; at once if it is already.
    pub fn on_poison(&self, hook: impl FnOnce(Poisoned) + Send + 'static) {
        {
            let _queue = self.shared.queue();
            if self.shared.poisoned().is_none() {
                self.shared.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
                return;
            }
        }
        if let Some(poisoned) = self.poisoned() {
            hook(poisoned);
        }
    }

    /// Flushes all appends and ends the threads. Appends through other handles fail from now on.
    pub fn close(self) -> Result<(), Poisoned> {
        self.guard.stop();
        self.poisoned().map_or(Ok(()), Err)
    }
}

impl Guard {
    fn stop(&self) {
        self.shared.queue().is_closed = true;
        self.shared.work.notify_all();
        if self.shared.options.driver == Driver::Inline {
            while self.shared.cycle() {}
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A completion may drop the last handle, on the writer's own thread.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
        if self.shared.poisoned().is_none() {
            self.shared.note_committed();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop();
    }
}
