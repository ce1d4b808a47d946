//! The index's database: what was flushed lies in sorted runs, what was not in memory. A flush writes one new run and
//! nothing else; runs of like size are merged into one beside it, so that each change is written a few times and a start
//! reads none of them. It must never show a part of a flush after a crash.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::{
    disk::seam::{Pair, Store, Value, Write},
    error::EngineError,
    sorted::merge::{Merge, Source, first_to_merge},
    sorted::run_file::{Kept, Run, Span, Writer},
};

/// What was not flushed is flushed when it has so many bytes, which bounds memory.
const MEMORY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a key costs in memory beside its bytes, about.
const KEY_BYTES: usize = 64;
/// More runs than this no look-up shall meet: whoever flushes waits for the merging first. So many come only while a
/// merge of nearly everything is under way on a slow disk; otherwise there are about ten.
const RUNS_MAX: usize = 32;
/// Read at once from a run that is merged, and from one that is looked through for a page of answers.
const MERGE_READ_BYTES: usize = 256 * 1024;
const RANGE_READ_BYTES: usize = 16 * 1024;
/// Entries merged between two looks whether to go on.
const MERGE_LOOK: usize = 1_024;

type Table = BTreeMap<Box<[u8]>, Kept>;

/// The database.
pub(crate) struct RunStore {
    files: Arc<Files>,
    /// Held while a flush writes a run.
    writing: Mutex<()>,
    /// Merges runs, when there is reason to. Only one does.
    merger: Mutex<Option<JoinHandle<Result<(), EngineError>>>>,
}

/// What a flush and the merger share.
struct Files {
    folder: PathBuf,
    state: RwLock<State>,
    /// Nobody needs the merging any more.
    is_closing: AtomicBool,
    /// Told how far a merge has come.
    #[cfg(test)]
    watch: Mutex<Option<Watch>>,
}

/// What a test does at each step of a merge.
#[cfg(test)]
type Watch = Box<dyn FnMut(&'static str) + Send>;

struct State {
    live: Table,
    live_bytes: usize,
    /// What a flush is writing.
    frozen: Arc<Table>,
    /// The oldest first.
    runs: Arc<Vec<Arc<Run>>>,
}

impl State {
    fn next_flush(&self) -> u64 {
        self.runs.last().map_or(1, |run| run.span.to.saturating_add(1))
    }

    fn set(&mut self, key: Box<[u8]>, value: Kept) {
        let bytes = |value: &Kept| KEY_BYTES + value.as_ref().map_or(0, |value| value.len());
        self.live_bytes += key.len() + bytes(&value);
        let key_len = key.len();
        if let Some(old) = self.live.insert(key, value) {
            self.live_bytes = self.live_bytes.saturating_sub(key_len + bytes(&old));
        }
    }
}

impl RunStore {
    /// Opens the runs of a folder, which must be there.
    pub(crate) fn open(folder: &Path) -> Result<Self, EngineError> {
        let fail = |e: std::io::Error| EngineError::new(format!("open {}", folder.display()), e);
        let mut spans = Vec::new();
        for entry in fs::read_dir(folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            match Span::of(&name) {
                Some(span) => spans.push(span),
                // A crash came while it was written.
                None if name.ends_with(".part") => fs::remove_file(entry.path()).map_err(fail)?,
                None => {}
            }
        }
        // The widest of those that begin together first.
        spans.sort_unstable_by_key(|span| (span.from, std::cmp::Reverse(span.to)));
        let mut runs: Vec<Arc<Run>> = Vec::new();
        let mut expected = 1;
        for span in spans {
            if runs.last().is_some_and(|run| run.span.holds(span)) {
                // A crash came between a merge and the removal of what was merged.
                fs::remove_file(folder.join(span.file_name())).map_err(fail)?;
                continue;
            }
            if span.from != expected {
                let place = format!("open {}", folder.display());
                let why = format!("the run that begins with {expected} is missing, restore it from a backup");
                return Err(EngineError::new(place, why));
            }
            expected = span.to.saturating_add(1);
            runs.push(Arc::new(Run::open(folder, span)?));
        }
        let state = State { live: Table::new(), live_bytes: 0, frozen: Arc::default(), runs: Arc::new(runs) };
        let files = Files {
            folder: folder.to_owned(),
            state: RwLock::new(state),
            is_closing: AtomicBool::new(false),
            #[cfg(test)]
            watch: Mutex::default(),
        };
        Ok(Self { files: Arc::new(files), writing: Mutex::default(), merger: Mutex::default() })
    }

    /// Has runs merged beside everything else, if there is reason to. Waits only when there are too many of them; what
    /// failed since is an error here.
    fn merge_beside(&self) -> Result<(), EngineError> {
        let mut merger = lock(&self.merger);
        let must_wait = self.files.read().runs.len() >= RUNS_MAX;
        if let Some(thread) = merger.take_if(|thread| must_wait || thread.is_finished()) {
            let panicked =
                || EngineError::new(format!("merge {}", self.files.folder.display()), "it panicked");
            thread.join().map_err(|_| panicked())??;
        }
        if merger.is_some() || self.files.to_merge().is_none() {
            return Ok(());
        }
        let files = self.files.clone();
        let spawned = thread::Builder::new().name("index merger".into()).spawn(move || files.merge_all());
        let spawned = spawned
            .map_err(|e| EngineError::new(format!("start to merge {}", self.files.folder.display()), e))?;
        *merger = Some(spawned);
        Ok(())
    }
}

impl Drop for RunStore {
    fn drop(&mut self) {
        self.files.is_closing.store(true, Ordering::Release);
        // What it had begun is tidied away by the next start.
        let merger = lock(&self.merger).take();
        if let Some(Ok(Err(error))) = merger.map(JoinHandle::join) {
            tracing::warn!(%error, "the index was not merged");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Files {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is in memory as a run. A failure leaves it where reads find it, and the next flush writes it.
    fn write_run(&self) -> Result<(), EngineError> {
        let (table, to) = {
            let mut state = self.change();
            if state.live.is_empty() {
                return Ok(());
            }
            let table = Arc::new(std::mem::take(&mut state.live));
            state.live_bytes = 0;
            state.frozen = table.clone();
            (table, state.next_flush())
        };
        let mut entries = table.iter().map(|(key, value)| (&**key, value.as_deref()));
        let written =
            Writer::new(&self.folder, Span { from: to, to }, table.len() as u64).and_then(|mut writer| {
                entries.try_for_each(|(key, value)| writer.add(key, value))?;
                writer.finish()
            });
        let mut state = self.change();
        state.frozen = Arc::default();
        match written {
            Ok(run) => {
                Arc::make_mut(&mut state.runs).push(Arc::new(run));
                Ok(())
            }
            Err(e) => {
                let newer = std::mem::take(&mut state.live);
                let older = Arc::try_unwrap(table).unwrap_or_else(|table| (*table).clone());
                state.live_bytes = 0;
                for (key, value) in older.into_iter().chain(newer) {
                    state.set(key, value);
                }
                Err(e)
            }
        }
    }

    /// Writes a run of keys that rise.
    fn write_sorted(
        &self,
        keys_max: usize,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), EngineError> {
        let to = self.read().next_flush();
        let mut writer = Writer::new(&self.folder, Span { from: to, to }, keys_max as u64)?;
        for write in writes {
            match write {
                Write::Put(key, value) => writer.add(&key, Some(&value))?,
                Write::Delete(key) => writer.add(&key, None)?,
            }
        }
        let run = Arc::new(writer.finish()?);
        Arc::make_mut(&mut self.change().runs).push(run);
        Ok(())
    }

    /// The first of the runs that are worth merging.
    fn to_merge(&self) -> Option<usize> {
        let runs = self.read().runs.clone();
        first_to_merge(&runs.iter().map(|run| run.bytes).collect::<Vec<_>>())
    }

    /// Merges for as long as it is worth it. Further runs may come meanwhile.
    fn merge_all(&self) -> Result<(), EngineError> {
        while let Some(from) = self.to_merge()
            && !self.is_closing.load(Ordering::Acquire)
        {
            self.merge(from)?;
        }
        Ok(())
    }

    /// Merges all runs from one on. Nobody else takes runs away.
    fn merge(&self, from: usize) -> Result<(), EngineError> {
        let runs = self.read().runs.clone();
        let merged = runs.get(from..).unwrap_or_default();
        let (Some(first), Some(last)) = (merged.first(), merged.last()) else { return Ok(()) };
        let span = Span { from: first.span.from, to: last.span.to };
        let entries = merged.iter().map(|run| run.entries).sum();
        let sources = merged.iter().rev().map(|run| Ok(Source::Run(run.walk(&[], MERGE_READ_BYTES)?)));
        let mut all = Merge::new(sources.collect::<Result<_, EngineError>>()?);
        let mut writer = Writer::new(&self.folder, span, entries)?;
        let mut passed: usize = 0;
        while let Some((key, value)) = all.head() {
            // Below the oldest run there is nothing that could come to light.
            if value.is_some() || from > 0 {
                writer.add(key, value)?;
            }
            all.advance()?;
            passed += 1;
            if passed.is_multiple_of(MERGE_LOOK) {
                self.tell("merging");
                if self.is_closing.load(Ordering::Acquire) {
                    return Ok(());
                }
            }
        }
        self.tell("before the merged run is there");
        let run = Arc::new(writer.finish()?);
        self.tell("before the merged run is read");
        {
            let mut state = self.change();
            let newer = state.runs.iter().skip(runs.len());
            let kept = runs.iter().take(from).chain([&run]).chain(newer).cloned().collect();
            state.runs = Arc::new(kept);
        }
        for run in merged {
            self.tell("before a run is removed");
            run.remove()?;
        }
        Ok(())
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

impl Store for RunStore {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        let runs = {
            let state = self.files.read();
            if let Some(kept) = state.live.get(key).or_else(|| state.frozen.get(key)) {
                return Ok(kept.clone());
            }
            state.runs.clone()
        };
        for run in runs.iter().rev() {
            if let Some(kept) = run.get(key)? {
                return Ok(kept);
            }
        }
        Ok(None)
    }

    fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.apply(vec![Write::Put(key.into(), value.into())])
    }

    fn apply(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        let is_full = {
            let mut state = self.files.change();
            for write in writes {
                match write {
                    Write::Put(key, value) => state.set(key, Some(value.into())),
                    Write::Delete(key) => state.set(key, None),
                }
            }
            state.live_bytes >= MEMORY_BYTES_MAX
        };
        if is_full { self.flush() } else { Ok(()) }
    }

    fn flush(&self) -> Result<(), EngineError> {
        let _writing = lock(&self.writing);
        self.files.write_run()?;
        self.merge_beside()
    }

    fn write_sorted(
        &self,
        keys_max: usize,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), EngineError> {
        let _writing = lock(&self.writing);
        // What came before is older.
        self.files.write_run()?;
        self.files.write_sorted(keys_max, writes)?;
        self.merge_beside()
    }

    fn at_or_below(&self, key: &[u8]) -> Result<Option<Pair>, EngineError> {
        // Asked of blocks only: nothing here is worth an index of its own for it.
        let mut end = key.to_vec();
        end.push(0);
        Ok(self.range(&[], &end, usize::MAX)?.pop())
    }

    fn range(&self, after: &[u8], end: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError> {
        use std::ops::Bound::Excluded;
        if after >= end {
            return Ok(Vec::new());
        }
        let state = self.files.read();
        // What is deleted hides keys of older sources, so it does not count.
        let above = |table: &Table, newer: Option<&Table>| {
            let (mut some, mut counted) = (Vec::new(), 0);
            for (key, value) in table.range::<[u8], _>((Excluded(after), Excluded(end))) {
                if counted >= limit {
                    break;
                }
                counted +=
                    usize::from(value.is_some() && !newer.is_some_and(|newer| newer.contains_key(key)));
                some.push((key.clone(), value.clone()));
            }
            some
        };
        let tables = [above(&state.live, None), above(&state.frozen, Some(&state.live))];
        let runs = state.runs.clone();
        drop(state);
        let tables = tables.into_iter().map(|table| Ok(Source::Table(table.into_iter())));
        let walks = runs.iter().rev().map(|run| Ok(Source::Run(run.walk(after, RANGE_READ_BYTES)?)));
        let mut all = Merge::new(tables.chain(walks).collect::<Result<_, EngineError>>()?);
        let mut found: Vec<Pair> = Vec::new();
        while found.len() < limit
            && let Some((key, value)) = all.head()
            && *key < *end
        {
            found.extend(value.map(|value| (key.into(), value.into())));
            all.advance()?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
