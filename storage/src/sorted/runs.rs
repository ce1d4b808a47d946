//! The index's database on the disk: sorted runs, the newest on top. A write adds one run and
//! changes nothing else; runs of similar size are merged on a thread of their own, so that each
//! change is written a few times and a start reads none of them. It must never show a part of a
//! write after a crash.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::{
    disk::files::{Folder, PART_SUFFIX},
    disk::seam::{KeyValueStore, Pair, Restore, Value, Write},
    error::EngineError,
    sorted::compaction::{Compaction, WriteSource, first_to_merge},
    sorted::{Content, Merge, Note, Shape, SortedFile, Source, Walk, lost::LostPages, write},
};

/// Maximum number of runs that a look-up meets: a writer waits for the merging while there are
/// more. That many come only while nearly everything is being merged on a slow disk; otherwise
/// there are about ten.
const RUNS_MAX: usize = 32;
/// Bytes read at once from a run that is merged, and from one that is searched for a page of a
/// range.
const MERGE_READ_BYTES: usize = 256 * 1024;
const RANGE_READ_BYTES: usize = 16 * 1024;
const PREFIX: &str = "run-";

/// The numbers of the writes that a run holds, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    from: u64,
    to: u64,
}

impl Span {
    fn file_name(self) -> String {
        format!("{PREFIX}{:016}-{:016}", self.from, self.to)
    }

    fn parse(file_name: &str) -> Option<Self> {
        let (from, to) = file_name.strip_prefix(PREFIX)?.split_once('-')?;
        let span = Self { from: from.parse().ok()?, to: to.parse().ok()? };
        (span.from <= span.to && span.file_name() == file_name).then_some(span)
    }

    fn contains(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    fn note(self) -> Note {
        [self.from, self.to, 0, 0, 0, 0, 0]
    }
}

/// A run that is open.
struct Run {
    span: Span,
    file: SortedFile,
}

impl Run {
    /// Opens a run: its trailer, fences and filter are read, its records are not.
    fn open(folder: &Folder, span: Span) -> Result<Self, EngineError> {
        let name = span.file_name();
        let label = folder.label(&name);
        let reader = folder.open(&name)?.ok_or_else(|| EngineError::damaged(&label, 0, "it is missing"))?;
        let file = SortedFile::open(&label, Arc::new(reader), Shape::Variable)?.with_resident()?;
        if file.note() != span.note() {
            return Err(EngineError::damaged(&label, 0, "it is another run under this name"));
        }
        Ok(Self { span, file })
    }

    /// Writes a run; `on_end` is called when it is complete but has not got its name.
    fn write(
        folder: &Folder,
        (span, records_max): (Span, u64),
        source: &mut dyn Source,
        on_end: &dyn Fn(),
    ) -> Result<Arc<Self>, EngineError> {
        let name = span.file_name();
        let written = write((Shape::Variable, records_max, span.note()), source, |next| {
            folder.write_parts(&name, &mut || {
                let part = next()?;
                if part.is_none() {
                    on_end();
                }
                Ok(part)
            })
        })?;
        let label = folder.label(&name);
        let reader = folder.open(&name)?.ok_or_else(|| EngineError::damaged(&label, 0, "it is missing"))?;
        Ok(Arc::new(Self { span, file: SortedFile::from_written(&label, Arc::new(reader), written) }))
    }
}

type Runs = Arc<Vec<Arc<Run>>>;

/// The database.
pub(crate) struct RunStore {
    files: Arc<Files>,
    /// Held while a run is written.
    writing: Mutex<()>,
    /// The thread that merges runs, while there is reason to. There is one at most.
    merger: Mutex<Option<JoinHandle<Result<(), EngineError>>>>,
}

/// The part that writers and the merger share.
struct Files {
    folder: Folder,
    /// The oldest first.
    runs: RwLock<Runs>,
    /// Set on close; the merger stops at the next check.
    is_closing: AtomicBool,
    /// Called at each step of a merge.
    #[cfg(test)]
    watch: Mutex<Option<Watch>>,
}

#[cfg(test)]
type Watch = Box<dyn FnMut(&'static str) + Send>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunStore {
    /// Opens the runs of a folder, which must exist.
    pub(crate) fn open(folder: Folder) -> Result<Self, EngineError> {
        let mut spans = Vec::new();
        for name in folder.names()? {
            match Span::parse(&name) {
                Some(span) => spans.push(span),
                // A crash interrupted its writer.
                None if name.ends_with(PART_SUFFIX) => folder.remove(&name)?,
                None => {}
            }
        }
        // Of runs that begin together the widest comes first.
        spans.sort_unstable_by_key(|span| (span.from, std::cmp::Reverse(span.to)));
        let mut runs: Vec<Arc<Run>> = Vec::new();
        let mut expected = 1;
        for span in spans {
            if runs.last().is_some_and(|run| run.span.contains(span)) {
                // A crash came between a merge and the removal of the merged runs.
                folder.remove(&span.file_name())?;
                continue;
            }
            if span.from != expected {
                return Err(EngineError::damaged(folder.label(""), 0, "a run before the newest is missing"));
            }
            expected = span.to.saturating_add(1);
            runs.push(Arc::new(Run::open(&folder, span)?));
        }
        let files = Files {
            folder,
            runs: RwLock::new(Arc::new(runs)),
            is_closing: AtomicBool::new(false),
            #[cfg(test)]
            watch: Mutex::default(),
        };
        Ok(Self { files: Arc::new(files), writing: Mutex::default(), merger: Mutex::default() })
    }

    /// Starts to merge runs on another thread if there is reason to. Waits only while there are too
    /// many runs; returns the failure of an earlier merge.
    fn merge_in_background(&self) -> Result<(), EngineError> {
        let mut merger = lock(&self.merger);
        let must_wait = self.files.runs().len() >= RUNS_MAX;
        if let Some(thread) = merger.take_if(|thread| must_wait || thread.is_finished()) {
            let panicked = || EngineError::new("merge the index", "the thread panicked");
            thread.join().map_err(|_| panicked())??;
        }
        if merger.is_some() || self.files.first_to_merge().is_none() {
            return Ok(());
        }
        let files = self.files.clone();
        let spawned = thread::Builder::new().name("index-merger".into()).spawn(move || files.merge_all());
        *merger = Some(spawned.map_err(|e| EngineError::new("start to merge the index", e))?);
        Ok(())
    }
}

impl Drop for RunStore {
    fn drop(&mut self) {
        self.files.is_closing.store(true, Ordering::Release);
        // The next start removes the part that was written.
        let merger = lock(&self.merger).take();
        if let Some(Ok(Err(error))) = merger.map(JoinHandle::join) {
            tracing::warn!(%error, "the index was not merged");
        }
    }
}

impl Files {
    fn runs(&self) -> Runs {
        self.runs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Run>>)) {
        let mut runs = self.runs.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut runs));
    }

    /// Checks that the runs hold all writes, each in one of them.
    fn check_order(&self) {
        let mut expected = 1;
        for Run { span, .. } in self.runs().iter().map(|run| &**run) {
            invariant!(span.from == expected, "{span:?} begins the run after {expected}");
            invariant!(span.from <= span.to, "{span:?} holds nothing");
            expected = span.to.saturating_add(1);
        }
    }

    /// The first of the runs that are worth merging.
    fn first_to_merge(&self) -> Option<usize> {
        first_to_merge(&self.runs().iter().map(|run| run.file.bytes()).collect::<Vec<_>>())
    }

    /// Merges for as long as it is worth it. Further runs may be added meanwhile.
    fn merge_all(&self) -> Result<(), EngineError> {
        while let Some(from) = self.first_to_merge()
            && !self.is_closing.load(Ordering::Acquire)
        {
            self.merge(from)?;
        }
        Ok(())
    }

    /// Merges all runs from `from` on into one. Only one thread does, and nobody else removes runs.
    fn merge(&self, from: usize) -> Result<(), EngineError> {
        let runs = self.runs();
        let merged = runs.get(from..).unwrap_or_default();
        let (Some(first), Some(last)) = (merged.first(), merged.last()) else { return Ok(()) };
        let span = Span { from: first.span.from, to: last.span.to };
        invariant!(merged.len() > 1, "{span:?} is merged with nothing");
        let records_max = merged.iter().map(|run| run.file.len()).sum();
        let go_on = || {
            self.tell("merging");
            !self.is_closing.load(Ordering::Acquire)
        };
        // Below the oldest run there is nothing that a tombstone could hide.
        let mut source = Compaction::new(merge_of(merged, &[], MERGE_READ_BYTES)?, from > 0, &go_on)?;
        let on_end = || self.tell("before the merged run is there");
        let written = Run::write(&self.folder, (span, records_max), &mut source, &on_end);
        let run = match written {
            Err(_) if self.is_closing.load(Ordering::Acquire) => return Ok(()),
            written => written?,
        };
        self.tell("before the merged run is read");
        self.change(|list| {
            list.splice(from..runs.len(), [run]);
        });
        self.check_order();
        for run in merged {
            self.tell("before a run is removed");
            self.folder.remove(&run.span.file_name())?;
        }
        Ok(())
    }

    /// Merges all undamaged pages and the writes of `restore` into one run, if a page is damaged.
    fn replace_damaged(&self, restore: &mut Restore<'_>) -> Result<bool, EngineError> {
        let runs = self.runs();
        let Some(lost) = LostPages::find(&runs.iter().map(|run| run.file.clone()).collect::<Vec<_>>())?
        else {
            return Ok(false);
        };
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Ok(false) };
        let span = Span { from: first.span.from, to: last.span.to };
        let writes = restore(&lost)?;
        let records_max = runs.iter().map(|run| run.file.len()).sum::<u64>() + writes.len() as u64;
        let mut writes = writes.into_iter();
        let sources: Vec<Box<dyn Source + '_>> =
            vec![Box::new(WriteSource::new(&mut writes)), Box::new(lost.rest()?)];
        let mut source = Compaction::new(Merge::new(sources), false, &|| true)?;
        let run = Run::write(&self.folder, (span, records_max), &mut source, &|| ())?;
        self.change(|list| *list = vec![run]);
        for run in runs.iter().filter(|run| run.span != span) {
            self.folder.remove(&run.span.file_name())?;
        }
        Ok(true)
    }

    #[cfg(not(test))]
    fn tell(&self, _step: &'static str) {}

    #[cfg(test)]
    fn tell(&self, step: &'static str) {
        if let Some(watch) = &mut *lock(&self.watch) {
            watch(step);
        }
    }
}

/// All records of some runs, the oldest given first.
fn merge_of(runs: &[Arc<Run>], after: &[u8], read_bytes: usize) -> Result<Merge<'static>, EngineError> {
    let walks = runs.iter().rev().map(|run| Walk::new(&run.file, after, read_bytes));
    let sources = walks.map(|walk| Ok(Box::new(walk?) as Box<dyn Source>));
    Ok(Merge::new(sources.collect::<Result<_, EngineError>>()?))
}

impl KeyValueStore for RunStore {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        for run in self.files.runs().iter().rev() {
            match run.file.get(key, |record| Content::from(record))? {
                Some(Content::Value(value)) => return Ok(Some(value)),
                Some(Content::Tombstone) => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    }

    fn write_sorted(
        &self,
        keys_max: usize,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), EngineError> {
        let _writing = lock(&self.writing);
        let number = self.files.runs().last().map_or(1, |run| run.span.to.saturating_add(1));
        let span = Span { from: number, to: number };
        let mut source = WriteSource::new(writes);
        let run = Run::write(&self.files.folder, (span, keys_max as u64), &mut source, &|| ())?;
        self.files.change(|runs| runs.push(run));
        self.files.check_order();
        self.merge_in_background()
    }

    fn repair(&self, restore: &mut Restore<'_>) -> Result<bool, EngineError> {
        let _writing = lock(&self.writing);
        // Held until the end: nobody starts to merge.
        let mut merger = lock(&self.merger);
        self.files.is_closing.store(true, Ordering::Release);
        if let Some(thread) = merger.take() {
            // It may have failed on the damage that is repaired here.
            let _failed = thread.join();
        }
        self.files.is_closing.store(false, Ordering::Release);
        self.files.replace_damaged(restore)
    }

    fn check(&self) -> Vec<EngineError> {
        self.files.runs().iter().filter_map(|run| run.file.check().err()).collect()
    }

    fn range(&self, after: &[u8], end: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError> {
        if after >= end {
            return Ok(Vec::new());
        }
        let mut all = merge_of(&self.files.runs(), after, RANGE_READ_BYTES)?;
        let mut found: Vec<Pair> = Vec::new();
        while found.len() < limit
            && let Some(record) = all.head().filter(|record| *record.key < *end)
        {
            found.extend(record.value.map(|value| (record.key.into(), value.into())));
            all.advance()?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
