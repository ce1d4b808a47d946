//! The chain of segments, each a folder named by its first event. The last one is written to; the
//! others are sealed, closed, and opened only while someone reads them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
};

use message::{Seq, StreamId, Timestamp, address};

use crate::{
    block::format::Block,
    block::name::name_of,
    disk::seam::{BlockStore, Engine, Value},
    error::{BadBlock, BlockFault, EngineError, ReadError},
    hash::UniformMap,
    index::repair::EventSource,
    item::{Found, Tag},
    log::repairs::Repairs,
    log::segment_list::{self, SegmentList, StoredList},
    lookup::{
        facts::Facts,
        file::LookupFile,
        memtable::MemTable,
        readers::ReaderPool,
        segment::{FileFault, SegmentLookups},
    },
};

/// Maximum number of sealed segments that stay open for readers.
const OPEN_MAX: usize = 4;
/// Maximum number of blocks cached for readers.
const BLOCKS_MAX: usize = 8;
/// Blocks read at once in a walk.
const BLOCKS_PER_PAGE: usize = 8;
/// Maximum number of files of one segment that one look-up rebuilds before it fails.
const REBUILDS_MAX: usize = 64;

enum Access {
    /// Closed, or open only for as long as a reader needs it.
    Closed(Option<Weak<dyn BlockStore>>),
    /// Held open: it is written to, or is not sealed yet.
    Pinned(Arc<dyn BlockStore>),
    Removed,
}

/// A segment of the log.
pub(crate) struct Segment {
    pub(crate) first: Seq,
    pub(crate) name: String,
    pub(crate) lookups: SegmentLookups,
    access: Mutex<Access>,
}

impl Segment {
    /// Returns a segment that is written to. `files` hold the look-ups of its beginning, `table`
    /// those after them.
    pub(crate) fn growing(
        readers: &Arc<ReaderPool>,
        first: Seq,
        files: Vec<Arc<LookupFile>>,
        table: Arc<MemTable>,
    ) -> Self {
        let name = name_of(first);
        let lookups = SegmentLookups::growing(readers.clone(), (&name, first), files, table);
        Self { first, name, lookups, access: Mutex::new(Access::Closed(None)) }
    }

    /// Returns a complete segment whose look-ups are all in one file.
    pub(crate) fn sealed(readers: &Arc<ReaderPool>, first: Seq, file: LookupFile) -> Self {
        let name = name_of(first);
        let lookups = SegmentLookups::whole(readers.clone(), (&name, first), file);
        Self { first, name, lookups, access: Mutex::new(Access::Closed(None)) }
    }

    fn access(&self) -> MutexGuard<'_, Access> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn facts(&self) -> Facts {
        self.lookups.facts()
    }

    /// Returns the blocks, which stay open from now on.
    pub(crate) fn pinned_or_open(&self, engine: &dyn Engine) -> Result<Arc<dyn BlockStore>, EngineError> {
        let mut access = self.access();
        if let Access::Pinned(store) = &*access {
            return Ok(store.clone());
        }
        let store = engine.open_blocks(&self.name)?;
        *access = Access::Pinned(store.clone());
        Ok(store)
    }

    /// Closes the blocks of a segment that is not written to any more. Readers keep them open for
    /// as long as they need.
    pub(crate) fn close(&self) {
        let mut access = self.access();
        if let Access::Pinned(store) = &*access {
            let reader = Arc::downgrade(store);
            let store = std::mem::replace(&mut *access, Access::Closed(Some(reader)));
            drop(access);
            // Closing takes a while. Readers wait for it when they open the blocks again.
            drop(store);
        }
    }
}

/// A block that was read and is sound.
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

/// All segments of a log, in order.
pub(crate) struct Chain {
    engine: Arc<dyn Engine>,
    segments: RwLock<Segments>,
    pub(crate) list: SegmentList,
    pub(crate) readers: Arc<ReaderPool>,
    pub(crate) repairs: Repairs,
    /// Open sealed segments, the most recently used last.
    open: Mutex<VecDeque<(Seq, Arc<dyn BlockStore>)>>,
    blocks: Mutex<VecDeque<Read>>,
}

impl Chain {
    /// Returns an empty chain that keeps up to `open_files_max` look-up files open.
    pub(crate) fn new(engine: Arc<dyn Engine>, open_files_max: usize) -> Self {
        Self {
            readers: ReaderPool::new(engine.clone(), open_files_max),
            engine,
            segments: RwLock::default(),
            list: SegmentList::default(),
            repairs: Repairs::default(),
            open: Mutex::default(),
            blocks: Mutex::default(),
        }
    }

    /// Takes over the list of segments as a start found it, and adds what is missing from it.
    pub(crate) fn take_list(&self, listed: StoredList, firsts: Vec<Seq>) -> Result<(), EngineError> {
        match listed {
            StoredList::Listed(listed) => self.list.load(listed),
            StoredList::Damaged(damage) => self.repairs.report(&damage),
            StoredList::Missing if firsts.is_empty() => {}
            StoredList::Missing => {
                self.repairs.report(&EngineError::damaged(segment_list::FILE, 0, "it is missing"));
            }
        }
        self.list.set(&*self.engine, firsts)
    }

    pub(crate) fn segments(&self) -> Segments {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn push(&self, segment: Arc<Segment>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let last = segments.last().map_or(Seq::NONE, |last| last.first);
        invariant!(last < segment.first, "{} comes after {last}", segment.name);
        Arc::make_mut(&mut segments).push(segment);
    }

    /// Removes segments from the front, and from the disk.
    pub(crate) fn remove_front(&self, count: usize) -> Result<(), EngineError> {
        let gone: Vec<Arc<Segment>> = {
            let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
            let list = Arc::make_mut(&mut segments);
            invariant!(count < list.len(), "retention takes {count} of {} segments", list.len());
            list.drain(..count.min(list.len())).collect()
        };
        if let Some(first) = self.segments().first() {
            self.list.remove_before(&*self.engine, first.first)?;
        }
        for segment in gone {
            *segment.access() = Access::Removed;
            self.opened().retain(|(first, _)| *first != segment.first);
            self.read_blocks().retain(|read| read.segment.first != segment.first);
            self.engine.remove(&segment.name)?;
        }
        Ok(())
    }

    fn opened(&self) -> MutexGuard<'_, VecDeque<(Seq, Arc<dyn BlockStore>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_blocks(&self) -> MutexGuard<'_, VecDeque<Read>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the blocks of a segment, opened if need be; `None` if the segment was removed
    /// meanwhile.
    pub(crate) fn store(&self, segment: &Segment) -> Result<Option<Arc<dyn BlockStore>>, EngineError> {
        let mut access = segment.access();
        let store = match &*access {
            Access::Removed => return Ok(None),
            Access::Pinned(store) => return Ok(Some(store.clone())),
            Access::Closed(reader) => match reader.as_ref().and_then(Weak::upgrade) {
                Some(store) => store,
                None => self.open_sealed(&segment.name)?,
            },
        };
        *access = Access::Closed(Some(Arc::downgrade(&store)));
        drop(access);
        let evicted = {
            let mut open = self.opened();
            open.retain(|(first, _)| *first != segment.first);
            open.push_back((segment.first, store.clone()));
            invariant!(open.len() <= OPEN_MAX + 1, "{} segments are open", open.len());
            if open.len() > OPEN_MAX { open.pop_front() } else { None }
        };
        drop(evicted);
        Ok(Some(store))
    }

    /// Opens the blocks of a sealed segment. Damaged files beside them are written anew.
    fn open_sealed(&self, name: &str) -> Result<Arc<dyn BlockStore>, EngineError> {
        let store = self.engine.open_blocks(name)?;
        let mut damaged = store.damaged_files();
        if !store.has_offsets() {
            damaged.push(EngineError::damaged(format!("{name}/offsets"), 0, "it is missing"));
        }
        if !damaged.is_empty() {
            damaged.iter().for_each(|damage| self.repairs.report(damage));
            store.freeze()?;
        }
        Ok(store)
    }

    /// Returns the block that holds `seq`; `None` if it was removed, or is not durable yet.
    pub(crate) fn block_of(&self, seq: Seq) -> Result<Option<Read>, ReadError> {
        if let Some(read) = self.read_blocks().iter().find(|read| read.holds(seq)) {
            return Ok(Some(read.clone()));
        }
        let segments = self.segments();
        let after = segments.partition_point(|segment| segment.first <= seq);
        let Some(segment) = after.checked_sub(1).and_then(|at| segments.get(at)) else { return Ok(None) };
        let Some(store) = self.store(segment)? else { return Ok(None) };
        let Some((first, bytes)) = store.at_or_below(seq)? else { return Ok(None) };
        invariant!(first <= seq, "the block of {seq} begins with {first}");
        invariant!(segment.first <= first, "block {first} is in {}", segment.name);
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
        invariant!(blocks.len() <= BLOCKS_MAX, "{} blocks are cached", blocks.len());
        Ok(Some(read))
    }

    /// Opens a segment for its first block, and lists it, so that a start notices if it is missing.
    pub(crate) fn begin(&self, segment: &Segment) -> Result<Arc<dyn BlockStore>, EngineError> {
        let store = segment.pinned_or_open(&*self.engine)?;
        self.list.add(&*self.engine, segment.first)?;
        Ok(store)
    }

    /// Returns the newest value of a key.
    pub(crate) fn find(&self, hash: u128) -> Result<Option<Found>, ReadError> {
        for segment in self.segments().iter().rev() {
            if let Some(found) = self.find_in(segment, hash)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find_in(&self, segment: &Segment, hash: u128) -> Result<Option<Found>, ReadError> {
        for _ in 0..REBUILDS_MAX {
            match segment.lookups.find(hash) {
                Ok(found) => return Ok(found),
                Err(fault) => {
                    let rebuilt = self.rebuild(segment, &fault);
                    if self.is_removed(segment) {
                        return Ok(None);
                    }
                    rebuilt?;
                }
            }
        }
        Err(EngineError::new(format!("look up in {}", segment.name), "its files are damaged again and again")
            .into())
    }

    fn is_removed(&self, segment: &Segment) -> bool {
        !self.segments().iter().any(|other| other.first == segment.first)
    }

    /// Rebuilds a damaged look-up file from the blocks, unless it was replaced meanwhile.
    fn rebuild(&self, segment: &Segment, fault: &FileFault) -> Result<(), ReadError> {
        if segment.lookups.rebuild(&fault.file, |facts| self.read_back(segment, facts))? {
            self.repairs.report(&fault.error);
        }
        Ok(())
    }

    /// Checks all look-up files of a segment, and rebuilds the damaged ones.
    pub(crate) fn rebuild_damaged(&self, segment: &Segment) -> Result<(), ReadError> {
        for file in segment.lookups.files() {
            if let Err(error) = file.check() {
                self.rebuild(segment, &FileFault { file, error })?;
            }
        }
        Ok(())
    }

    /// Reads the keys of some of a segment's events back from its blocks.
    fn read_back(&self, segment: &Segment, facts: Facts) -> Result<MemTable, ReadError> {
        let table = MemTable::new(facts.first);
        let store = self.store(segment)?.ok_or(ReadError::Missing(facts.first))?;
        let after =
            if facts.first == segment.first { Seq::NONE } else { Seq(facts.first.0.saturating_sub(1)) };
        let mut end = facts.first;
        for_each_block(&*store, after, facts.first, |Pairing { key, bytes, expected }| {
            if expected >= facts.end() {
                return Ok(expected);
            }
            let block = Block::parse(key, bytes).and_then(|block| follow(block, expected));
            let added = block.and_then(|block| add_keys(&table, block, bytes.len()).map(|()| block.end()));
            end = added.map_err(|fault| BadBlock { segment: segment.name.clone(), block: key, fault })?;
            Ok::<_, ReadError>(end)
        })?;
        if end == facts.end() { Ok(table) } else { Err(ReadError::Missing(end)) }
    }

    /// Keeps the filters and fences of the newest files in memory, up to `bytes_max` bytes, and no
    /// others: a look-up reads the newest files first.
    pub(crate) fn keep_resident(&self, bytes_max: usize) -> Result<(), ReadError> {
        let mut sum = 0_usize;
        for segment in self.segments().iter().rev() {
            for file in segment.lookups.files() {
                sum = sum.saturating_add(file.resident_bytes());
                if sum > bytes_max && file.is_resident() {
                    segment.lookups.replace(&file, file.without_resident());
                } else if sum <= bytes_max && !file.is_resident() {
                    self.make_resident(segment, file)?;
                }
            }
        }
        Ok(())
    }

    fn make_resident(&self, segment: &Segment, file: Arc<LookupFile>) -> Result<(), ReadError> {
        match file.with_resident() {
            Ok(resident) => segment.lookups.replace(&file, resident),
            // A rebuilt file is in memory.
            Err(error) => {
                let rebuilt = self.rebuild(segment, &FileFault { file, error });
                if !self.is_removed(segment) {
                    rebuilt?;
                }
            }
        }
        Ok(())
    }
}

/// A stored block, and where it should begin.
pub(crate) struct Pairing<'a> {
    pub(crate) key: Seq,
    pub(crate) bytes: &'a [u8],
    /// The event with which the block should begin.
    pub(crate) expected: Seq,
}

/// Visits every block of a segment after the event `after`. The first should begin with `first`;
/// `visit` returns where the next should begin.
pub(crate) fn for_each_block<E: From<EngineError>>(
    store: &dyn BlockStore,
    after: Seq,
    first: Seq,
    mut visit: impl FnMut(Pairing<'_>) -> Result<Seq, E>,
) -> Result<(), E> {
    let mut expected = first;
    let mut cursor = after;
    loop {
        let page = store.range(cursor, BLOCKS_PER_PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        cursor = *last;
        for (key, bytes) in &page {
            expected = visit(Pairing { key: *key, bytes, expected })?;
        }
    }
}

/// Checks that a block begins where the one before it ends.
pub(crate) fn follow(block: Block<'_>, expected: Seq) -> Result<Block<'_>, BlockFault> {
    if block.first == expected { Ok(block) } else { Err(BlockFault::Gap { wanted: expected }) }
}

/// Adds the keys of a block and its facts to a table.
pub(crate) fn add_keys(table: &MemTable, block: Block<'_>, bytes: usize) -> Result<(), BlockFault> {
    let (mut from, mut to) = (Timestamp(u64::MAX), Timestamp(0));
    for record in block.records() {
        let record = record?;
        let envelope = record.envelope()?;
        (from, to) = (from.min(envelope.at), to.max(envelope.at));
        for key in &envelope.keys {
            let b = match key.b {
                Tag::Value(value) => value,
                Tag::OwnSeq => record.seq.0,
            };
            table.recover(key.hash, Found { a: key.a, b });
        }
    }
    invariant!(from <= to, "block {} has no events", block.first);
    table.add_block(block.end(), bytes, from, to);
    Ok(())
}

impl EventSource for Chain {
    fn last_events(
        &self,
        is_wanted: &mut dyn FnMut(StreamId) -> Result<bool, EngineError>,
    ) -> Result<UniformMap<StreamId, Seq>, EngineError> {
        // What the log records about itself is in no index.
        let (own, mut last) = (address::log_stream(), UniformMap::default());
        for segment in self.segments().iter() {
            let Some(store) = self.store(segment)? else { continue };
            for_each_block(&*store, Seq::NONE, segment.first, |Pairing { key, bytes, expected }| {
                let bad = |fault| {
                    let bad = BadBlock { segment: segment.name.clone(), block: key, fault };
                    EngineError::new("rebuild the index", bad)
                };
                let block =
                    Block::parse(key, bytes).and_then(|block| follow(block, expected)).map_err(bad)?;
                for record in block.records() {
                    let record = record.map_err(bad)?;
                    let stream = record.envelope().map_err(bad)?.stream;
                    if stream != own && (last.contains_key(&stream) || is_wanted(stream)?) {
                        last.insert(stream, record.seq);
                    }
                }
                Ok::<_, EngineError>(block.end())
            })?;
        }
        Ok(last)
    }

    fn report(&self, damage: &EngineError) {
        self.repairs.report(damage);
    }
}
