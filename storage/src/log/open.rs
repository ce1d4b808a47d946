//! Recovery: reads the active segment and the index, in parallel, and nothing else, so that its
//! time does not grow with history. Damage stops it; only a torn last block, which was never
//! acknowledged, is cut.

use std::{sync::Arc, thread};

use message::Seq;

use crate::{
    block::format::Block,
    block::name::{first_of, name_of},
    disk::seam::{BlockStore, Engine},
    error::{BadBlock, BlockFault, EngineError, IndexError, OpenError},
    index::{self, store::Index},
    log::handle::{Log, Shared},
    log::presence,
    log::segment::{Chain, Pairing, Segment, add_keys, follow, for_each_block},
    log::segment_list::{self, Listed, StoredList},
    log::writer,
    lookup::{
        file::{LookupFile, WHOLE, part_name},
        memtable::MemTable,
    },
    options::{Driver, Options},
};

/// Bytes of blocks for each expected key, and the maximum of bytes for which memtables are
/// preallocated.
const BYTES_PER_KEY: u64 = 96;
const KEYS_BYTES_MAX: u64 = 1 << 30;

/// The result of [`Log::open`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// The last event.
    pub last: Seq,
    /// The last event in the index: replay begins with `log.read(Seq(checkpoint.0 + 1))`.
    pub checkpoint: Seq,
    /// The number of segments.
    pub segments: usize,
    /// Segments whose look-ups were read from blocks, the active one among them.
    pub rebuilt: usize,
    /// Bytes of the blocks that were read.
    pub bytes_read: u64,
    /// The incomplete last block that was cut. It was never acknowledged.
    pub torn: Option<BadBlock>,
}

impl Log {
    /// Opens a log, and creates it if it is missing.
    ///
    /// Rebuilds derived files that are damaged: see [`crate::Stats::rebuilt_files`].
    pub fn open(engine: impl Engine + 'static, options: Options) -> Result<(Self, Recovery), OpenError> {
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let listed = segment_list::read(&*engine)?;
        let names = listed_names(&*engine, &listed)?;
        let open_index = || Index::open(&*engine, options.checkpoint_pause);
        let (index, walked) = match options.driver {
            Driver::Inline => (open_index(), walk(&engine, &names, &options)),
            Driver::Threaded => thread::scope(|scope| {
                let index = scope.spawn(open_index);
                let walked = walk(&engine, &names, &options);
                let index = index.join().map_err(|_| OpenError::Thread("open-index", "it panicked".into()));
                index.map(|index| (index, walked))
            })?,
        };
        let mut walked = walked?;
        let begin = names.first().map_or(Seq(1), |(first, _)| *first);
        let index = sound_index(index, &*engine, &options, (begin, &walked.chain))?;
        let checkpoint = index.checkpoint_seq();
        if let Some((store, bad)) = walked.torn.take() {
            if bad.block <= checkpoint {
                return Err(bad.into());
            }
            store.cut(bad.block)?;
            tracing::warn!(%bad, "a torn last block was cut");
            walked.recovery.torn = Some(bad);
        }
        let last = Seq(walked.end.0.saturating_sub(1));
        if checkpoint > last {
            return Err(OpenError::IndexAhead { checkpoint, last });
        }
        presence::check_end(&listed, last)?;
        presence::check_begin(&walked.chain, &listed, (begin, last))?;
        walked.chain.take_list(listed, names.iter().map(|(first, _)| *first).collect())?;
        let recovery = Recovery { last, checkpoint, segments: names.len(), ..walked.recovery };
        let chain = Arc::new(walked.chain);
        let segments = chain.segments().len();
        invariant!(segments == names.len(), "{} folders, {segments} segments", names.len());
        invariant!(recovery.checkpoint <= recovery.last, "{recovery:?}");
        index.set_events(chain.clone());
        let shared = Shared::new(engine, options, chain, index, last, walked.active);
        shared.sample_room();
        let shared = Arc::new(shared);
        let threads = writer::start(&shared, walked.unsealed)?;
        Ok((Self::start(shared, threads), recovery))
    }
}

/// Returns the segments' folders, all of which must be there if they are listed. Completes a
/// retention that a crash interrupted.
fn listed_names(engine: &dyn Engine, listed: &StoredList) -> Result<Vec<(Seq, String)>, OpenError> {
    let mut names = segment_names(engine)?;
    let StoredList::Listed(Listed { firsts, .. }) = listed else { return Ok(names) };
    if let Some(segment) = segment_list::missing(firsts, &names) {
        return Err(OpenError::Missing { segment });
    }
    let floor = firsts.first().copied().unwrap_or(Seq::NONE);
    for (_, name) in names.iter().filter(|(first, _)| *first < floor) {
        engine.remove(name)?;
    }
    names.retain(|(first, _)| *first >= floor);
    Ok(names)
}

/// Returns the index if it is sound and reaches to the begin of the log, and an empty one
/// otherwise, which replay fills from the first event.
fn sound_index(
    opened: Result<Index, IndexError>,
    engine: &dyn Engine,
    options: &Options,
    (begin, chain): (Seq, &Chain),
) -> Result<Index, OpenError> {
    let damage = match opened {
        Ok(index) if begin.0 <= index.checkpoint_seq().0.saturating_add(1) => return Ok(index),
        Ok(index) if index.checkpoint_seq() == Seq::NONE => EngineError::damaged("index", 0, "it is missing"),
        Ok(index) => {
            let why = format!("it ends at {}, before the log begins", index.checkpoint_seq());
            EngineError::damaged("index", 0, why)
        }
        Err(IndexError::Engine(damage @ EngineError::Damaged { .. })) => damage,
        Err(IndexError::Damaged(entry)) => EngineError::damaged("index", 0, format!("entry {entry}")),
        Err(e) => return Err(e.into()),
    };
    chain.repairs.report(&damage);
    engine.remove(index::store::NAME)?;
    Ok(Index::open(engine, options.checkpoint_pause)?)
}

/// Returns the segments' folders, in the order of their events.
pub(crate) fn segment_names(engine: &dyn Engine) -> Result<Vec<(Seq, String)>, OpenError> {
    let mut names: Vec<(Seq, String)> =
        engine.names()?.into_iter().filter_map(|name| Some((first_of(&name)?, name))).collect();
    names.sort_unstable();
    names.dedup_by_key(|(first, _)| *first);
    Ok(names.into_iter().filter(|(first, name)| *name == name_of(*first)).collect())
}

/// The segments that recovery has walked over, and what it found in them.
struct Walked {
    chain: Chain,
    end: Seq,
    active: Option<(Arc<Segment>, Arc<MemTable>)>,
    unsealed: Vec<Arc<Segment>>,
    torn: Option<(Arc<dyn BlockStore>, BadBlock)>,
    recovery: Recovery,
}

fn walk(engine: &Arc<dyn Engine>, names: &[(Seq, String)], options: &Options) -> Result<Walked, OpenError> {
    let mut walked = Walked {
        chain: Chain::new(engine.clone(), options.open_files_max),
        end: names.first().map_or(Seq(1), |(first, _)| *first),
        active: None,
        unsealed: Vec::new(),
        torn: None,
        recovery: Recovery::default(),
    };
    for (at, (first, name)) in names.iter().enumerate() {
        if *first != walked.end {
            let end = Seq(walked.end.0.saturating_sub(1));
            return Err(OpenError::Gap { segment: name.clone(), found: *first, end });
        }
        let is_last = at + 1 == names.len();
        let segment = match walked.look_ups(name, WHOLE, *first)? {
            Some(file) => {
                presence::check_sealed(&**engine, name, file.facts)?;
                walked.end = file.facts.end();
                Arc::new(Segment::sealed(&walked.chain.readers, *first, file))
            }
            None => walked.read_unsealed(&**engine, *first, is_last)?,
        };
        walked.chain.push(segment);
    }
    Ok(walked)
}

impl Walked {
    /// Opens a look-up file that begins with the event `first`. A damaged one is removed and
    /// reported; its keys are then read from the blocks.
    fn look_ups(&self, segment: &str, name: &str, first: Seq) -> Result<Option<LookupFile>, EngineError> {
        let opened = match LookupFile::open(&self.chain.readers, segment, name) {
            Ok(Some(file)) if file.facts.first != first || file.facts.last < first => {
                Err(EngineError::damaged(format!("{segment}/{name}"), 0, "it belongs to other events"))
            }
            opened => opened,
        };
        opened.or_else(|damage| {
            self.chain.repairs.report(&damage);
            self.chain.readers.engine().remove_file(segment, name)?;
            Ok(None)
        })
    }

    /// Opens the look-up files of a segment's parts, from its first event on.
    fn parts(&self, segment: &str, first: Seq) -> Result<Vec<Arc<LookupFile>>, EngineError> {
        let (mut files, mut next) = (Vec::new(), first);
        while let Some(file) = self.look_ups(segment, &part_name(next), next)? {
            next = file.facts.end();
            files.push(Arc::new(file));
        }
        Ok(files)
    }

    /// Reads the blocks of a segment that are in no look-up file.
    fn read_unsealed(
        &mut self,
        engine: &dyn Engine,
        first: Seq,
        is_last: bool,
    ) -> Result<Arc<Segment>, OpenError> {
        let name = name_of(first);
        let files = self.parts(&name, first)?;
        let known_bytes = files.iter().map(|file| file.facts.block_bytes).sum();
        let begin = files.last().map_or(first, |file| file.facts.end());
        // A guess on the large side: untouched memory costs nothing, while growing copies.
        let bytes = engine.disk_bytes(&name).unwrap_or(0).saturating_sub(known_bytes);
        let keys = bytes.min(KEYS_BYTES_MAX) / BYTES_PER_KEY;
        let table = Arc::new(MemTable::with_capacity(begin, usize::try_from(keys).unwrap_or(0)));
        let segment = Arc::new(Segment::growing(&self.chain.readers, first, files, table.clone()));
        let store = segment.pinned_or_open(engine)?;
        store.damaged_files().iter().for_each(|damage| self.chain.repairs.report(damage));
        let missing = |file: &str| EngineError::damaged(format!("{name}/{file}"), 0, "it is missing");
        // Look-ups of a part are written after the offsets of its blocks.
        if begin > first && !store.has_offsets() {
            self.chain.repairs.report(&missing("offsets"));
        }
        if !is_last {
            self.chain.repairs.report(&missing(WHOLE));
        }
        if begin > first && !ends_at(&*store, begin)? {
            let fault = BlockFault::Lost { flushed: Seq(begin.0.saturating_sub(1)) };
            return Err(BadBlock { segment: name, block: begin, fault }.into());
        }
        let bad = read_blocks(&*store, &segment, &table)?;
        let facts = table.facts();
        self.end = facts.end();
        invariant!(facts.first == begin, "look-ups of {name} from {begin} begin with {}", facts.first);
        self.recovery.rebuilt += 1;
        self.recovery.bytes_read += facts.block_bytes;
        if let Some(bad) = torn_or_lost(&*store, &segment, bad, self.end) {
            let flushed = store.tail().flushed.unwrap_or(Seq::NONE);
            if !is_last || !may_be_torn(&bad.fault) || flushed >= bad.block {
                return Err(bad.into());
            }
            self.torn = Some((store.clone(), bad));
        }
        if is_last {
            self.active = Some((segment.clone(), table));
        } else {
            self.unsealed.push(segment.clone());
        }
        Ok(segment)
    }
}

/// Reads the blocks after the look-up files into a memtable. Returns the last block if it is
/// damaged.
fn read_blocks(
    store: &dyn BlockStore,
    segment: &Segment,
    table: &MemTable,
) -> Result<Option<BadBlock>, OpenError> {
    let begin = table.first;
    let after = if begin > segment.first { Seq(begin.0.saturating_sub(1)) } else { Seq::NONE };
    let mut bad = None;
    for_each_block(store, after, begin, |Pairing { key, bytes, expected }| {
        // Another block follows the bad one, which was therefore not the last.
        if let Some(bad) = bad.take() {
            return Err(OpenError::Block(bad));
        }
        let block = Block::parse(key, bytes).and_then(|block| follow(block, expected));
        match block.and_then(|block| add_keys(table, block, bytes.len()).map(|()| block.end())) {
            Ok(end) => Ok(end),
            Err(fault) => {
                bad = Some(BadBlock { segment: segment.name.clone(), block: key, fault });
                Ok(expected)
            }
        }
    })?;
    Ok(bad)
}

/// Returns the fault of the last block: as it was read, or as the store knows that it was flushed
/// or torn.
fn torn_or_lost(
    store: &dyn BlockStore,
    segment: &Segment,
    bad: Option<BadBlock>,
    end: Seq,
) -> Option<BadBlock> {
    let tail = store.tail();
    let lost = || tail.flushed.filter(|flushed| *flushed >= end).map(|flushed| BlockFault::Lost { flushed });
    let fault = || lost().or_else(|| tail.torn_bytes.map(|have| BlockFault::Torn { have }));
    bad.or_else(|| Some(BadBlock { segment: segment.name.clone(), block: end, fault: fault()? }))
}

/// Returns whether an interrupted write can have caused a fault.
fn may_be_torn(fault: &BlockFault) -> bool {
    matches!(fault, BlockFault::Short { .. } | BlockFault::Checksum { .. } | BlockFault::Torn { .. })
}

/// Returns whether a sound block ends where `end` would begin.
fn ends_at(store: &dyn BlockStore, end: Seq) -> Result<bool, EngineError> {
    let Some((first, bytes)) = store.at_or_below(Seq(end.0.saturating_sub(1)))? else {
        return Ok(false);
    };
    let block = Block::parse(first, &bytes);
    Ok(block.is_ok_and(|block| block.end() == end))
}

impl Shared {
    /// Returns the keys in memtables, the keys in files, and the bytes of resident filters.
    pub(crate) fn lookup_sizes(&self) -> (u64, u64, u64) {
        let (mut fresh_keys, mut sealed_keys, mut filter_bytes) = (0, 0, 0);
        for segment in self.chain.segments().iter() {
            fresh_keys += segment.lookups.tables().iter().map(|table| table.len() as u64).sum::<u64>();
            for file in segment.lookups.files() {
                sealed_keys += file.len();
                filter_bytes += if file.is_resident() { file.resident_bytes() as u64 } else { 0 };
            }
        }
        (fresh_keys, sealed_keys, filter_bytes)
    }
}
