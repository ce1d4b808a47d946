//! The writer: takes a block off the queue, commits it, raises the watermark, and only then runs
//! the completions. It runs on a thread of its own or, in simulation, on the caller's.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use message::Seq;

use crate::{
    block::format,
    disk::seam::BlockStore,
    error::{EngineError, OpenError, Poisoned, ReadError},
    log::handle::Shared,
    log::queue::{Completion, Pending, Writing},
    log::segment::Segment,
    options::Driver,
};

/// A job for the sealing thread.
enum Job {
    /// A segment that is complete.
    Segment(Arc<Segment>),
    /// The ended parts of the active segment.
    Parts(Arc<Segment>),
}

/// Maximum number of jobs that wait for the sealing thread. The writer waits when there are more,
/// which bounds memory.
const SEALING_MAX: usize = 1;
/// Bytes written between two samples of the free space.
const SAMPLE_BYTES: u64 = 4 * 1024 * 1024;
/// After a flush that this many appends shared, the writer pauses so that more share the next: a
/// flush costs the same processor time for one event and for a hundred. A single appender never
/// waits for the pause ([`crate::Engine::gather_pause`]), and the writer skips it if as many
/// appends wait already.
const GATHER_APPENDS: usize = 8;
/// Factor of the maximum block size up to which a block's buffer is reused.
const KEEP_FACTOR: usize = 2;

impl Shared {
    /// Writes one block. Returns whether there was one.
    pub(crate) fn cycle(&self) -> bool {
        self.cycle_with(&|job| self.perform(&job)).is_some()
    }

    /// Writes one block, and returns the number of its appends; `None` if nothing waited.
    fn cycle_with(&self, seal: &dyn Fn(Job)) -> Option<usize> {
        if self.poisoned().is_some() {
            return self.fail_waiting(Vec::new());
        }
        let (mut pending, writing) = self.queue().take()?;
        let mut done = std::mem::take(&mut pending.done);
        match self.write(&pending, &writing, seal) {
            Ok(()) => {
                let before = self.committed.load(Ordering::Acquire);
                invariant!(pending.first.0 == before + 1, "block {} follows {before}", pending.first);
                self.committed.store(pending.first.0 + u64::from(pending.count) - 1, Ordering::Release);
                let mut queue = self.queue();
                queue.written(writing, self.options.block_bytes_max.saturating_mul(KEEP_FACTOR));
                self.note_waiting(&queue);
                done.append(&mut queue.after);
                drop(queue);
                self.advanced.notify_all();
                let appends = done.len();
                self.tell(done, &Ok(()));
                Some(appends)
            }
            Err(e) => {
                self.poison(&e);
                self.fail_waiting(done)
            }
        }
    }

    /// Fails all waiting appends of a poisoned log, and returns their number; `None` if there were
    /// none.
    fn fail_waiting(&self, mut done: Vec<Completion>) -> Option<usize> {
        let poisoned = self.poisoned()?;
        done.extend(self.queue().drain());
        let waited = Some(done.len()).filter(|waited| *waited > 0);
        self.tell(done, &Err(poisoned.clone()));
        waited
    }

    /// Runs completions. One that panics poisons the log, since its append will never be answered.
    fn tell(&self, done: Vec<Completion>, fate: &Result<(), Poisoned>) {
        for done in done {
            let fate = fate.clone();
            if catch_unwind(AssertUnwindSafe(move || done(fate))).is_err() {
                self.poison(&"a completion panicked");
            }
        }
    }

    fn write(&self, pending: &Pending, writing: &Writing, seal: &dyn Fn(Job)) -> Result<(), EngineError> {
        let segment = &pending.segment;
        invariant!(pending.count > 0, "block {} is empty", pending.first);
        invariant!(segment.first <= pending.first, "block {} in {}", pending.first, segment.name);
        invariant!(pending.table.first <= pending.first, "block {} in {}", pending.first, segment.name);
        invariant!(pending.from <= pending.to, "{:?} to {:?}", pending.from, pending.to);
        let is_first = pending.first == segment.first;
        let store = match is_first {
            true => self.chain.begin(segment)?,
            false => segment.pinned_or_open(&*self.engine)?,
        };
        let bytes = {
            let mut bytes = writing.bytes.write().unwrap_or_else(PoisonError::into_inner);
            format::finish(&mut bytes, pending.first, pending.count);
            bytes.len()
        };
        {
            // Readers of a queued event read the same bytes.
            let bytes = writing.bytes.read().unwrap_or_else(PoisonError::into_inner);
            store.commit(pending.first, &bytes)?;
        }
        let end = Seq(pending.first.0.saturating_add(u64::from(pending.count)));
        pending.table.add_block(end, bytes, pending.from, pending.to);
        self.blocks_written.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes_written.fetch_add(bytes as u64, Ordering::Relaxed);
        if before / SAMPLE_BYTES != (before + bytes as u64) / SAMPLE_BYTES {
            self.sample_room();
        }
        if is_first {
            self.seal_before(segment, seal);
        } else if pending.first == pending.table.first {
            seal(Job::Parts(segment.clone()));
        }
        Ok(())
    }

    /// Seals the segment before the one whose first block is durable.
    fn seal_before(&self, segment: &Segment, seal: &dyn Fn(Job)) {
        let segments = self.chain.segments();
        let at = segments.partition_point(|other| other.first < segment.first);
        let is_listed = segments.get(at).is_some_and(|other| other.first == segment.first);
        invariant!(is_listed, "{} is written to and not in the chain", segment.name);
        if let Some(before) = at.checked_sub(1).and_then(|at| segments.get(at)) {
            seal(Job::Segment(before.clone()));
        }
    }

    fn perform(&self, job: &Job) {
        match job {
            Job::Segment(segment) => self.seal_now(segment),
            Job::Parts(segment) => self.seal_parts(segment),
        }
    }

    /// Seals a segment on this thread.
    pub(crate) fn seal_now(&self, segment: &Segment) {
        self.seal_with(segment, |store| segment.lookups.seal(store));
        let first = segment.facts().first;
        invariant!(first == segment.first, "the look-ups of {} begin with {first}", segment.name);
        if segment.lookups.is_sealed() {
            segment.close();
        }
    }

    /// Writes the look-ups of a segment's ended parts on this thread.
    pub(crate) fn seal_parts(&self, segment: &Segment) {
        let committed = Seq(self.committed.load(Ordering::Acquire));
        let small_bytes = self.options.part_bytes();
        self.seal_with(segment, |store| segment.lookups.seal_parts(store, small_bytes, committed));
    }

    /// Writes look-ups of a segment. Rebuilds damaged files first if a merge meets one.
    fn seal_with(&self, segment: &Segment, seal: impl Fn(&dyn BlockStore) -> Result<(), EngineError>) {
        if self.poisoned().is_some() {
            return;
        }
        let sealed = segment.pinned_or_open(&*self.engine).map_err(ReadError::from);
        let sealed = sealed.and_then(|store| match seal(&*store) {
            Err(EngineError::Damaged { .. }) => {
                self.chain.rebuild_damaged(segment)?;
                Ok(seal(&*store)?)
            }
            sealed => Ok(sealed?),
        });
        if let Err(e) = sealed {
            self.poison(&e);
        }
        self.keep_resident();
    }

    /// Ends the active part if it is large enough for a file. Returns the segment, and the event
    /// that must be durable before its parts are written.
    pub(crate) fn end_part(&self) -> Option<(Arc<Segment>, Seq)> {
        let mut queue = self.queue();
        let segment = queue.end_part(self.options.part_bytes_min())?;
        invariant!(segment.first <= queue.next, "{} begins after the next event", segment.name);
        Some((segment, Seq(queue.next.0.saturating_sub(1))))
    }

    /// Keeps the filters of the newest look-ups in memory, up to
    /// [`crate::Options::filter_bytes_max`].
    pub(crate) fn keep_resident(&self) {
        if self.poisoned().is_none()
            && let Err(e) = self.chain.keep_resident(self.options.filter_bytes_max)
        {
            self.poison(&e);
        }
    }

    /// Runs the writer's thread until the log is closed and everything is written.
    fn run(&self, seal: &SyncSender<Job>) {
        let send = |job| {
            let is_over = match job {
                Job::Segment(_) => seal.send(job).is_err(),
                // A later job for the segment covers these parts, too.
                Job::Parts(_) => matches!(seal.try_send(job), Err(TrySendError::Disconnected(_))),
            };
            if is_over {
                self.poison(&"the sealing thread ended");
            }
        };
        let pause = self.engine.gather_pause();
        loop {
            while let Some(appends) = self.cycle_with(&send) {
                if gathers(appends, self.queue().appends()) {
                    thread::sleep(pause);
                }
            }
            let mut queue = self.queue();
            if !queue.is_empty() {
                continue;
            }
            if queue.is_closed {
                return;
            }
            queue.is_idle = true;
            drop(self.work.wait(queue));
        }
    }

    /// Sorts the recovered look-ups of the active segment, so that the first look-ups need not.
    fn sort_recovered(&self) {
        if let Some(segment) = self.chain.segments().last() {
            segment.lookups.tables().iter().for_each(|table| table.sort());
        }
    }

    fn run_sealing(&self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            self.perform(&job);
        }
    }
}

/// Returns whether to pause after a flush of `flushed` appends while `waiting` wait.
fn gathers(flushed: usize, waiting: usize) -> bool {
    flushed >= GATHER_APPENDS && waiting < GATHER_APPENDS
}

/// Starts the threads of [`Driver::Threaded`], and seals the segments that a crash left unsealed.
pub(crate) fn start(
    shared: &Arc<Shared>,
    unsealed: Vec<Arc<Segment>>,
) -> Result<Vec<JoinHandle<()>>, OpenError> {
    if shared.options.driver == Driver::Inline {
        shared.keep_resident();
        for segment in unsealed {
            shared.seal_now(&segment);
        }
        if let Some((segment, _)) = shared.end_part() {
            shared.seal_parts(&segment);
        }
        return Ok(Vec::new());
    }
    let (send, receive) = sync_channel(SEALING_MAX);
    let sealer = shared.clone();
    let sealing = spawn("log-sealer", move || {
        sealer.keep_resident();
        for segment in unsealed {
            sealer.seal_now(&segment);
        }
        // The look-ups that this start read from blocks.
        if let Some((segment, _)) = sealer.end_part() {
            sealer.seal_parts(&segment);
        }
        sealer.sort_recovered();
        sealer.run_sealing(&receive);
    })?;
    let writer = shared.clone();
    let writing = spawn("log-writer", move || writer.run(&send))?;
    Ok(vec![writing, sealing])
}

fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let thread = thread::Builder::new().name(name.into()).spawn(work);
    thread.map_err(|e| OpenError::Thread(name, e.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use message::{Event, StreamId, Timestamp};

    use super::*;
    use crate::{Item, Key, Log, MemoryDisk, Options, Prev, Tag};

    fn item(hash: u128) -> Item {
        let keys = [Key { hash, a: 7, b: Tag::OwnSeq }].into_iter().collect();
        Item {
            stream: StreamId(1),
            prev: Prev::At(Seq::NONE),
            about: Prev::At(Seq::NONE),
            at: Timestamp(1),
            keys,
            event: Event::ChannelStarted,
        }
    }

    #[test]
    fn the_writer_rests_only_where_many_share_flushes_and_few_wait() {
        for (flushed, waiting, rests) in
            [(1, 0, false), (7, 0, false), (8, 0, true), (40, 7, true), (40, 8, false)]
        {
            assert_eq!(gathers(flushed, waiting), rests, "{flushed} {waiting}");
        }
    }

    /// Holds an append where it inserts its keys, and checks that the writer cannot get the block
    /// meanwhile.
    #[test]
    fn a_block_is_not_to_be_had_before_its_keys_are_remembered() {
        let options = Options { driver: Driver::Inline, ..Options::default() };
        let (log, _) = Log::open(MemoryDisk::default().engine(), options).unwrap();
        log.append(vec![item(1)], None).unwrap();
        while log.drive() {}
        let segment = log.shared.chain.segments().last().unwrap().clone();
        let fresh = segment.lookups.tables()[0].clone();
        let held = fresh.hold(2);
        let (done, appended) = channel();
        let appending = log.clone();
        let thread = thread::spawn(move || done.send(appending.append(vec![item(2)], None)).unwrap());
        while fresh.is_complete() {
            // The keys are announced under the queue's lock, before they are inserted.
            thread::yield_now();
        }
        for _ in 0..2_000 {
            assert!(log.shared.try_take().is_none(), "the writer has a block whose keys nobody can find");
            thread::yield_now();
        }
        drop(held);
        assert_eq!(appended.recv().unwrap().unwrap(), Seq(2));
        thread.join().unwrap();
        assert!(log.drive() && log.find(2).is_some());
    }
}
