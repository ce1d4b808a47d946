//! The index's database: what was flushed lies in sorted runs, what was not in memory. A flush writes one new run, and
//! runs of like size are merged into one, so that each change is written a few times and a start reads none of them.
//! It must never show a part of a flush after a crash.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use crate::{
    disk::{EngineError, Pair, Store, Value, Write},
    run_file::{Kept, Run, Span, Walk, Writer},
};

/// What was not flushed is flushed when it has so many bytes, which bounds memory.
const MEMORY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a key costs in memory beside its bytes, about.
const KEY_BYTES: usize = 64;
/// Runs that are merged at once, at least.
const MERGE_MIN: usize = 4;
/// A run is merged with newer ones up to so many times smaller together.
const MERGE_RATIO: u64 = 2;
/// Smaller runs count as this large.
const RUN_BYTES_MIN: u64 = 64 * 1024;

type Table = BTreeMap<Box<[u8]>, Kept>;
type Entry = (Box<[u8]>, Kept);

/// The database.
pub(crate) struct RunStore {
    folder: PathBuf,
    state: RwLock<State>,
    /// Held while a run is written.
    writing: Mutex<()>,
}

struct State {
    live: Table,
    live_bytes: usize,
    /// What a flush is writing.
    frozen: Arc<Table>,
    /// The oldest first.
    runs: Arc<Vec<Arc<Run>>>,
}

impl State {
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
        Ok(Self { folder: folder.to_owned(), state: RwLock::new(state), writing: Mutex::default() })
    }

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
            (table, state.runs.last().map_or(1, |run| run.span.to.saturating_add(1)))
        };
        let written =
            Writer::new(&self.folder, Span { from: to, to }, table.len() as u64).and_then(|mut writer| {
                for (key, value) in table.iter() {
                    writer.add(key, value.as_deref())?;
                }
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

    /// Merges the newest runs, if there are enough of like size.
    fn merge(&self) -> Result<(), EngineError> {
        let runs = self.read().runs.clone();
        let from = first_to_merge(runs.iter().map(|run| run.bytes).collect());
        let merged = runs.get(from..).unwrap_or_default();
        let (Some(first), Some(last)) = (merged.first(), merged.last()) else { return Ok(()) };
        if merged.len() < MERGE_MIN {
            return Ok(());
        }
        let span = Span { from: first.span.from, to: last.span.to };
        let entries = merged.iter().map(|run| run.entries).sum();
        let mut writer = Writer::new(&self.folder, span, entries)?;
        let sources = merged.iter().rev().map(|run| Source::Run(run.walk(&[])));
        let mut all = Merge::new(sources.collect())?;
        while let Some((key, value)) = all.next()? {
            // Below the oldest run there is nothing that could come to light.
            if value.is_some() || from > 0 {
                writer.add(&key, value.as_deref())?;
            }
        }
        let run = Arc::new(writer.finish()?);
        let mut kept: Vec<Arc<Run>> = runs.iter().take(from).cloned().collect();
        kept.push(run);
        self.change().runs = Arc::new(kept);
        merged.iter().try_for_each(|run| run.remove())
    }
}

/// The first of the runs that are worth merging, by their bytes, the oldest first.
fn first_to_merge(bytes: Vec<u64>) -> usize {
    let mut sum: u64 = 0;
    let mut first = bytes.len();
    for (at, bytes) in bytes.into_iter().enumerate().rev() {
        let bytes = bytes.max(RUN_BYTES_MIN);
        if sum > 0 && bytes > sum.saturating_mul(MERGE_RATIO) {
            break;
        }
        sum = sum.saturating_add(bytes);
        first = at;
    }
    first
}

impl Store for RunStore {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        let runs = {
            let state = self.read();
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
            let mut state = self.change();
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
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_run()?;
        self.merge()
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
        let state = self.read();
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
        let tables = tables.into_iter().map(|table| Source::Table(table.into_iter()));
        let sources = tables.chain(runs.iter().rev().map(|run| Source::Run(run.walk(after))));
        let mut all = Merge::new(sources.collect())?;
        let mut found = Vec::new();
        while found.len() < limit
            && let Some((key, value)) = all.next()?
            && *key < *end
        {
            found.extend(value.map(|value| (key, value)));
        }
        Ok(found)
    }
}

/// Entries in order.
enum Source<'a> {
    Table(std::vec::IntoIter<Entry>),
    Run(Walk<'a>),
}

impl Source<'_> {
    fn next(&mut self) -> Result<Option<Entry>, EngineError> {
        match self {
            Self::Table(table) => Ok(table.next()),
            Self::Run(walk) => walk.next().transpose(),
        }
    }
}

/// Several sources as one; the first that knows a key is right.
struct Merge<'a> {
    sources: Vec<(Option<Entry>, Source<'a>)>,
}

impl<'a> Merge<'a> {
    fn new(sources: Vec<Source<'a>>) -> Result<Self, EngineError> {
        let begun = sources.into_iter().map(|mut source| Ok((source.next()?, source)));
        Ok(Self { sources: begun.collect::<Result<_, EngineError>>()? })
    }

    fn next(&mut self) -> Result<Option<Entry>, EngineError> {
        let heads = self.sources.iter().enumerate().filter_map(|(n, (head, _))| Some((&head.as_ref()?.0, n)));
        let Some((_, least)) = heads.min() else { return Ok(None) };
        let Some((head, source)) = self.sources.get_mut(least) else { return Ok(None) };
        let next = source.next()?;
        let found = std::mem::replace(head, next);
        if let Some((key, _)) = &found {
            for (head, source) in &mut self.sources {
                if head.as_ref().is_some_and(|(other, _)| other == key) {
                    *head = source.next()?;
                }
            }
        }
        Ok(found)
    }
}
