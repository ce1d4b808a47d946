//! The chain of segments: each a database of its own, named by its first event. The last one is written to; the
//! others are sealed, closed, and opened again only while someone reads them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
};

use message::Seq;

use crate::{
    block::format::Block,
    block::key::{key_of, name_of, seq_of},
    disk::seam::{Engine, Layout, Store, Value},
    error::{BadBlock, BlockFault, EngineError, ReadError},
    item::Found,
    lookup::file::{Facts, Sealed},
    lookup::memtable::Fresh,
    lookup::parts::{Lookup, Parts},
};

/// Sealed segments that stay open for readers.
const OPEN_MAX: usize = 4;
/// Blocks kept for readers that come back to them.
const BLOCKS_MAX: usize = 8;
enum Access {
    /// Not opened by anyone now; perhaps still held by a reader.
    Closed(Option<Weak<dyn Store>>),
    /// Held open: it is written to, or not yet sealed.
    Pinned(Arc<dyn Store>),
    Removed,
}

/// One segment.
pub(crate) struct Segment {
    pub(crate) first: Seq,
    pub(crate) name: String,
    access: Mutex<Access>,
    lookup: RwLock<Lookup>,
    /// Held while look-ups of it are sealed.
    pub(crate) sealing: Mutex<()>,
}

impl Segment {
    /// One that is written to, of which these parts were sealed already.
    pub(crate) fn open(first: Seq, pieces: Vec<Arc<Sealed>>, fresh: Arc<Fresh>) -> Self {
        Self::new(first, Lookup::Open(Arc::new(Parts { pieces, fresh: vec![fresh] })))
    }

    pub(crate) fn sealed(first: Seq, sealed: Sealed) -> Self {
        Self::new(first, Lookup::Sealed(Arc::new(sealed)))
    }

    fn new(first: Seq, lookup: Lookup) -> Self {
        Self {
            first,
            name: name_of(first),
            access: Mutex::new(Access::Closed(None)),
            lookup: RwLock::new(lookup),
            sealing: Mutex::default(),
        }
    }

    fn access(&self) -> MutexGuard<'_, Access> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn facts(&self) -> Facts {
        self.look(|lookup| lookup.facts(self.first))
    }

    /// Its look-ups as they are now.
    pub(crate) fn lookup(&self) -> Lookup {
        self.look(Clone::clone)
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Lookup) -> T) -> T {
        look(&self.lookup.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Lookup) -> T) -> T {
        change(&mut self.lookup.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The database, held open from now on.
    pub(crate) fn pinned_or_open(&self, engine: &dyn Engine) -> Result<Arc<dyn Store>, EngineError> {
        let mut access = self.access();
        if let Access::Pinned(store) = &*access {
            return Ok(store.clone());
        }
        let store = engine.open(&self.name, Layout::Ascending)?;
        *access = Access::Pinned(store.clone());
        Ok(store)
    }

    /// Closes it, when nothing more is written to it. Who reads it keeps it open as long as that takes.
    pub(crate) fn close(&self) {
        let mut access = self.access();
        if let Access::Pinned(store) = &*access {
            let reader = Arc::downgrade(store);
            let store = std::mem::replace(&mut *access, Access::Closed(Some(reader)));
            drop(access);
            // Closing takes a while; readers wait for it in `Engine::open`.
            drop(store);
        }
    }
}

/// A block that was read and found sound.
#[derive(Clone)]
pub(crate) struct Read {
    pub(crate) first: Seq,
    pub(crate) count: u32,
    pub(crate) bytes: Value,
    pub(crate) segment: Arc<Segment>,
}

impl Read {
    pub(crate) fn block(&self) -> Block<'_> {
        Block::unfinished(self.first, self.count, &self.bytes)
    }

    fn holds(&self, seq: Seq) -> bool {
        self.first <= seq && seq < self.block().end()
    }

    pub(crate) fn bad(&self, fault: BlockFault) -> BadBlock {
        BadBlock { segment: self.segment.name.clone(), block: self.first, fault }
    }
}

pub(crate) type Segments = Arc<Vec<Arc<Segment>>>;

/// All segments, in order.
pub(crate) struct Chain {
    engine: Arc<dyn Engine>,
    segments: RwLock<Segments>,
    /// Sealed segments that are open, the latest used last.
    open: Mutex<VecDeque<(Seq, Arc<dyn Store>)>>,
    blocks: Mutex<VecDeque<Read>>,
}

impl Chain {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, segments: RwLock::default(), open: Mutex::default(), blocks: Mutex::default() }
    }

    pub(crate) fn segments(&self) -> Segments {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn push(&self, segment: Arc<Segment>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut segments).push(segment);
    }

    /// Takes segments off the front and removes them from the disk.
    pub(crate) fn remove_front(&self, count: usize) -> Result<(), EngineError> {
        let gone: Vec<Arc<Segment>> = {
            let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
            let list = Arc::make_mut(&mut segments);
            list.drain(..count.min(list.len())).collect()
        };
        for segment in gone {
            *segment.access() = Access::Removed;
            self.opened().retain(|(first, _)| *first != segment.first);
            self.read_blocks().retain(|read| read.segment.first != segment.first);
            self.engine.remove(&segment.name)?;
        }
        Ok(())
    }

    fn opened(&self) -> MutexGuard<'_, VecDeque<(Seq, Arc<dyn Store>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_blocks(&self) -> MutexGuard<'_, VecDeque<Read>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment's database, opened if need be. `None`: the segment was removed meanwhile.
    pub(crate) fn store(&self, segment: &Segment) -> Result<Option<Arc<dyn Store>>, EngineError> {
        let mut access = segment.access();
        let store = match &*access {
            Access::Removed => return Ok(None),
            Access::Pinned(store) => return Ok(Some(store.clone())),
            Access::Closed(reader) => match reader.as_ref().and_then(Weak::upgrade) {
                Some(store) => store,
                None => self.engine.open(&segment.name, Layout::Ascending)?,
            },
        };
        *access = Access::Closed(Some(Arc::downgrade(&store)));
        drop(access);
        let evicted = {
            let mut open = self.opened();
            open.retain(|(first, _)| *first != segment.first);
            open.push_back((segment.first, store.clone()));
            if open.len() > OPEN_MAX { open.pop_front() } else { None }
        };
        drop(evicted);
        Ok(Some(store))
    }

    /// The block that holds `seq`. `None`: it was removed, or is not flushed.
    pub(crate) fn block_of(&self, seq: Seq) -> Result<Option<Read>, ReadError> {
        if let Some(read) = self.read_blocks().iter().find(|read| read.holds(seq)) {
            return Ok(Some(read.clone()));
        }
        let segments = self.segments();
        let after = segments.partition_point(|segment| segment.first <= seq);
        let Some(segment) = after.checked_sub(1).and_then(|at| segments.get(at)) else { return Ok(None) };
        let Some(store) = self.store(segment)? else { return Ok(None) };
        let Some((key, bytes)) = store.at_or_below(&key_of(seq))? else { return Ok(None) };
        let first = seq_of(&key).unwrap_or_default();
        let block = Block::parse(first, &bytes);
        let block = block.map_err(|fault| BadBlock { segment: segment.name.clone(), block: first, fault })?;
        let count = block.count;
        let read = Read { first, count, bytes, segment: segment.clone() };
        if !read.holds(seq) {
            return Ok(None);
        }
        let mut blocks = self.read_blocks();
        if blocks.len() >= BLOCKS_MAX {
            blocks.pop_front();
        }
        blocks.push_back(read.clone());
        Ok(Some(read))
    }

    /// What was remembered under a key, the newest first.
    pub(crate) fn find(&self, hash: u128) -> Result<Option<Found>, EngineError> {
        for segment in self.segments().iter().rev() {
            // No lock is held meanwhile: an append may have to begin a part.
            let found =
                segment.lookup().find(&*self.engine, hash).or_else(|e| self.unless_removed(segment, e))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// What could not be read of a segment that retention removed meanwhile is not missed.
    fn unless_removed<T>(&self, segment: &Segment, error: EngineError) -> Result<Option<T>, EngineError> {
        let is_there = self.segments().iter().any(|other| other.first == segment.first);
        if is_there { Err(error) } else { Ok(None) }
    }

    /// Has the filters of the newest look-ups in memory, up to so many bytes, and no others: a look-up that asks an
    /// older file has asked all newer ones.
    pub(crate) fn keep_fronts(&self, bytes_max: usize) -> Result<(), EngineError> {
        let mut sum = 0_usize;
        for segment in self.segments().iter().rev() {
            let mut wanted = Vec::new();
            segment.change(|lookup| {
                for file in lookup.files() {
                    sum = sum.saturating_add(file.front_bytes());
                    if sum > bytes_max && file.has_front() {
                        *file = Arc::new(file.without_front());
                    } else if sum <= bytes_max && !file.has_front() {
                        wanted.push(file.clone());
                    }
                }
            });
            for without in wanted {
                let with = without.with_front(&*self.engine).map(Some);
                let Some(with) = with.or_else(|e| self.unless_removed(segment, e))?.map(Arc::new) else {
                    break;
                };
                // Unless it was replaced meanwhile.
                let replace = |lookup: &mut Lookup| {
                    if let Some(file) = lookup.files().find(|file| Arc::ptr_eq(file, &without)) {
                        *file = with;
                    }
                };
                segment.change(replace);
            }
        }
        Ok(())
    }
}
