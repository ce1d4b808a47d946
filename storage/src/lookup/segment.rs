//! The look-ups of one segment and how they reach the disk: part by part while the segment grows,
//! in one file when it is full. At any moment each key is found, and after a crash either the file
//! of a part exists or the blocks to read it from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use message::Seq;

use crate::{
    disk::seam::BlockStore,
    error::EngineError,
    item::Found,
    lookup::{
        facts::Facts,
        file::{LookupFile, LookupSources, WHOLE, part_name},
        memtable::MemTable,
        readers::ReaderPool,
    },
};

/// Number of small parts in a row that are merged into one.
const SMALL_PARTS_MAX: usize = 8;

/// The look-ups of a segment that grows, the oldest first.
#[derive(Clone, Default)]
struct Parts {
    files: Vec<Arc<LookupFile>>,
    /// In memory, behind those; only the last grows.
    tables: Vec<Arc<MemTable>>,
}

#[derive(Clone)]
enum State {
    Growing(Arc<Parts>),
    Whole(Arc<LookupFile>),
}

/// A file of look-ups that could not be read.
pub(crate) struct FileFault {
    pub(crate) file: Arc<LookupFile>,
    pub(crate) error: EngineError,
}

/// The look-ups of a segment.
pub(crate) struct SegmentLookups {
    segment: Box<str>,
    first: Seq,
    readers: Arc<ReaderPool>,
    state: RwLock<State>,
    /// Held while files are written.
    sealing: Mutex<()>,
}

impl SegmentLookups {
    /// Those of a segment that grows: `files` hold its beginning, `table` what follows.
    pub(crate) fn growing(
        readers: Arc<ReaderPool>,
        (segment, first): (&str, Seq),
        files: Vec<Arc<LookupFile>>,
        table: Arc<MemTable>,
    ) -> Self {
        let parts = Parts { files, tables: vec![table] };
        Self::new(readers, (segment, first), State::Growing(Arc::new(parts)))
    }

    /// Those of a sealed segment.
    pub(crate) fn whole(readers: Arc<ReaderPool>, (segment, first): (&str, Seq), file: LookupFile) -> Self {
        Self::new(readers, (segment, first), State::Whole(Arc::new(file)))
    }

    fn new(readers: Arc<ReaderPool>, (segment, first): (&str, Seq), state: State) -> Self {
        Self { segment: segment.into(), first, readers, state: RwLock::new(state), sealing: Mutex::default() }
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn change_parts(&self, change: impl FnOnce(&mut Parts)) {
        self.change(|state| match state {
            State::Growing(parts) => change(Arc::make_mut(parts)),
            // It was sealed meanwhile.
            State::Whole(_) => {}
        });
    }

    fn lock_sealing(&self) -> MutexGuard<'_, ()> {
        self.sealing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.state(), State::Whole(_))
    }

    pub(crate) fn facts(&self) -> Facts {
        match self.state() {
            State::Growing(parts) => {
                let files = parts.files.iter().map(|file| file.facts);
                let all = files.chain(parts.tables.iter().map(|table| table.facts()));
                all.fold(Facts::empty(self.first), Facts::join)
            }
            State::Whole(file) => file.facts,
        }
    }

    /// All files, the newest first.
    pub(crate) fn files(&self) -> Vec<Arc<LookupFile>> {
        match self.state() {
            State::Growing(parts) => parts.files.iter().rev().cloned().collect(),
            State::Whole(file) => vec![file],
        }
    }

    /// The tables in memory, the oldest first.
    pub(crate) fn tables(&self) -> Vec<Arc<MemTable>> {
        match self.state() {
            State::Growing(parts) => parts.tables.clone(),
            State::Whole(_) => Vec::new(),
        }
    }

    /// Replaces a file unless another took its place.
    pub(crate) fn replace(&self, old: &Arc<LookupFile>, new: LookupFile) {
        self.change(|state| match state {
            State::Growing(parts) => {
                let files = &mut Arc::make_mut(parts).files;
                if let Some(file) = files.iter_mut().find(|file| Arc::ptr_eq(file, old)) {
                    *file = Arc::new(new);
                }
            }
            State::Whole(file) if Arc::ptr_eq(file, old) => *file = Arc::new(new),
            State::Whole(_) => {}
        });
    }

    /// Returns the newest value of a key.
    pub(crate) fn find(&self, hash: u128) -> Result<Option<Found>, FileFault> {
        let find_in =
            |file: &Arc<LookupFile>| file.find(hash).map_err(|error| FileFault { file: file.clone(), error });
        // No lock is held while files are read: an append may have to begin a part.
        let parts = match self.state() {
            State::Growing(parts) => parts,
            State::Whole(file) => return find_in(&file),
        };
        if let Some(found) = parts.tables.iter().rev().find_map(|table| table.find(hash)) {
            return Ok(Some(found));
        }
        for file in parts.files.iter().rev() {
            if let Some(found) = find_in(file)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Ends the part that grows; events from `next` on go to another.
    pub(crate) fn begin_part(&self, next: Seq) -> Arc<MemTable> {
        let table = Arc::new(MemTable::new(next));
        self.change_parts(|parts| {
            let last = parts.tables.last().map_or(Seq::NONE, |last| last.first);
            invariant!(last <= next, "a part from {next} follows one from {last}");
            parts.tables.push(table.clone());
        });
        table
    }

    /// The oldest table that does not grow any more, and where the next begins.
    fn ended_part(&self) -> Option<(Arc<MemTable>, Seq)> {
        let tables = self.tables();
        Some((tables.first()?.clone(), tables.get(1)?.first))
    }

    /// Writes the ended parts whose events are all committed, and merges small ones, of less than
    /// `small_bytes`. Does not wait for a flush, since the writer may wait for the caller.
    pub(crate) fn seal_parts(
        &self,
        store: &dyn BlockStore,
        small_bytes: u64,
        committed: Seq,
    ) -> Result<(), EngineError> {
        let _alone = self.lock_sealing();
        while let Some((table, next)) = self.ended_part()
            && next.0 <= committed.0.saturating_add(1)
        {
            let end = table.facts().end();
            invariant!(end == next, "a part ends before {end}, the next begins with {next}");
            self.seal_part(store, &table)?;
            self.merge_small(small_bytes)?;
        }
        Ok(())
    }

    fn seal_part(&self, store: &dyn BlockStore, table: &MemTable) -> Result<(), EngineError> {
        let mut sources = LookupSources::default();
        sources.push_table(table);
        store.persist_offsets()?;
        let name = part_name(table.first);
        let file = LookupFile::write(&self.readers, (&self.segment, &name), table.facts(), sources)?;
        self.change_parts(|parts| {
            parts.files.push(Arc::new(file));
            parts.tables.remove(0);
        });
        Ok(())
    }

    /// Merges the small files at the end when there are many. The merged file takes the name of the
    /// first of them; a start ignores those that follow, should a crash leave them there.
    fn merge_small(&self, small_bytes: u64) -> Result<(), EngineError> {
        let files = self.files();
        let small = files.iter().take_while(|file| file.facts.block_bytes < small_bytes).count();
        let small = files.get(..small).unwrap_or_default();
        let Some((first, others)) = small.split_last().filter(|_| small.len() >= SMALL_PARTS_MAX) else {
            return Ok(());
        };
        let facts = others.iter().rev().fold(first.facts, |facts, file| facts.join(file.facts));
        let events = facts.end().0.saturating_sub(facts.first.0);
        invariant!(facts.events == events, "merged parts have {} events of {events}", facts.events);
        let mut sources = LookupSources::default();
        small.iter().try_for_each(|file| sources.push_file(file))?;
        let merged = LookupFile::write(&self.readers, (&self.segment, &first.name), facts, sources)?;
        let kept = files.len() - small.len();
        self.change_parts(|parts| {
            parts.files.truncate(kept);
            parts.files.push(Arc::new(merged));
        });
        others.iter().try_for_each(|file| self.remove(file))
    }

    fn remove(&self, file: &LookupFile) -> Result<(), EngineError> {
        self.readers.engine().remove_file(&self.segment, &file.name)
    }

    /// Writes all look-ups into one file. Nothing is appended to the segment any more, and all of
    /// it is on the disk.
    pub(crate) fn seal(&self, store: &dyn BlockStore) -> Result<(), EngineError> {
        let _alone = self.lock_sealing();
        if self.is_sealed() {
            return Ok(());
        }
        let (files, mut sources) = (self.files(), LookupSources::default());
        self.tables().iter().rev().for_each(|table| sources.push_table(table));
        files.iter().try_for_each(|file| sources.push_file(file))?;
        store.freeze()?;
        let engine = self.readers.engine();
        let facts = Facts { file_bytes: engine.block_file_bytes(&self.segment)?, ..self.facts() };
        let events = facts.end().0.saturating_sub(self.first.0);
        invariant!(facts.events == events, "{} has {} of {events}", self.segment, facts.events);
        let whole = LookupFile::write(&self.readers, (&self.segment, WHOLE), facts, sources)?;
        self.change(|state| *state = State::Whole(Arc::new(whole)));
        files.iter().try_for_each(|file| self.remove(file))
    }

    /// Writes a damaged file anew from the keys that `read_back` reads from the blocks, unless it
    /// was replaced meanwhile.
    pub(crate) fn rebuild<E: From<EngineError>>(
        &self,
        damaged: &Arc<LookupFile>,
        read_back: impl FnOnce(Facts) -> Result<MemTable, E>,
    ) -> Result<bool, E> {
        let _alone = self.lock_sealing();
        if !self.files().iter().any(|file| Arc::ptr_eq(file, damaged)) {
            return Ok(false);
        }
        let mut sources = LookupSources::default();
        sources.push_table(&read_back(damaged.facts)?);
        let place = (&*self.segment, &*damaged.name);
        self.replace(damaged, LookupFile::write(&self.readers, place, damaged.facts, sources)?);
        Ok(true)
    }
}
