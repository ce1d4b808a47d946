//! Opening: reads the active segment and the index, in parallel, and nothing else, so that the time it takes does
//! not grow with history. Damage stops it; only a torn last block, which nobody was told of, is cut.

use std::{sync::Arc, thread};

use message::{Seq, Timestamp};

use crate::{
    block::format::Block,
    block::key::{KEY_END, first_of, key_of, name_of, seq_of},
    disk::seam::{Engine, Pair, Store},
    error::{BadBlock, BlockFault, EngineError, OpenError},
    index::store::Index,
    item::{Found, Tag},
    log::handle::{Log, Shared},
    log::segment::{Chain, Segment},
    log::writer,
    lookup::file::Sealed,
    lookup::memtable::Fresh,
    lookup::parts::Lookup,
    options::Options,
};

/// Blocks read in one go.
pub(crate) const BLOCKS_PER_PAGE: usize = 8;

/// Bytes of blocks for which one key is expected, and the most bytes for which room is made ahead.
const BYTES_PER_KEY: u64 = 96;
const KEYS_BYTES_MAX: u64 = 1 << 30;

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// The last event.
    pub last: Seq,
    /// Replay begins after this one: `log.read(Seq(checkpoint.0 + 1))`.
    pub checkpoint: Seq,
    /// Segments there are.
    pub segments: usize,
    /// Segments whose look-ups had to be rebuilt, the active one among them.
    pub rebuilt: usize,
    /// Bytes of blocks read for that.
    pub bytes_read: u64,
    /// The block that a crash tore, and that was cut. It was never acknowledged.
    pub torn: Option<BadBlock>,
}

impl Log {
    /// Opens a log, and creates it when there is none.
    pub fn open(engine: impl Engine + 'static, options: Options) -> Result<(Self, Recovery), OpenError> {
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let names = segment_names(&*engine)?;
        let (index, walked) = thread::scope(|scope| {
            let index = scope.spawn(|| Index::open(&*engine, options.checkpoint_pause));
            let walked = walk(&engine, &names);
            let index = index.join().map_err(|_| OpenError::Thread("open-index", "it panicked".into()));
            (index, walked)
        });
        let (index, mut walked) = (index??, walked?);
        let checkpoint = index.checkpoint_seq();
        if let Some((store, bad)) = walked.torn.take() {
            if bad.block <= checkpoint {
                return Err(bad.into());
            }
            store.apply(vec![crate::disk::seam::Write::Delete(Box::from(key_of(bad.block)))])?;
            store.flush()?;
            tracing::warn!(%bad, "a torn last block was cut");
            walked.recovery.torn = Some(bad);
        }
        let last = Seq(walked.end.0.saturating_sub(1));
        if checkpoint > last {
            return Err(OpenError::IndexAhead { checkpoint, last });
        }
        let begin = names.first().map_or(Seq(1), |(first, _)| *first);
        if begin.0 > checkpoint.0.saturating_add(1) {
            return Err(OpenError::IndexBehind { checkpoint, begin });
        }
        let recovery = Recovery { last, checkpoint, segments: names.len(), ..walked.recovery };
        let shared = Shared::new(engine, options, walked.chain, index, last, walked.active);
        shared.sample_room();
        let shared = Arc::new(shared);
        let threads = writer::start(&shared, walked.unsealed)?;
        Ok((Self::start(shared, threads), recovery))
    }
}

/// The segments' folders, in the order of their events.
pub(crate) fn segment_names(engine: &dyn Engine) -> Result<Vec<(Seq, String)>, OpenError> {
    let mut names: Vec<(Seq, String)> =
        engine.names()?.into_iter().filter_map(|name| Some((first_of(&name)?, name))).collect();
    names.sort_unstable();
    names.dedup_by_key(|(first, _)| *first);
    Ok(names.into_iter().filter(|(first, name)| *name == name_of(*first)).collect())
}

/// What a walk over the segments gave.
struct Walked {
    chain: Chain,
    end: Seq,
    active: Option<(Arc<Segment>, Arc<Fresh>)>,
    unsealed: Vec<Arc<Segment>>,
    torn: Option<(Arc<dyn Store>, BadBlock)>,
    recovery: Recovery,
}

fn walk(engine: &Arc<dyn Engine>, names: &[(Seq, String)]) -> Result<Walked, OpenError> {
    let mut walked = Walked {
        chain: Chain::new(engine.clone()),
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
        let segment = match Sealed::of_segment(&**engine, name)? {
            Some(sealed) => {
                walked.end = Seq(sealed.facts.last.0.saturating_add(1));
                Arc::new(Segment::sealed(*first, sealed))
            }
            None => walked.rebuild(&**engine, *first, is_last)?,
        };
        walked.chain.push(segment);
    }
    Ok(walked)
}

impl Walked {
    /// Reads what is not sealed of a segment.
    fn rebuild(&mut self, engine: &dyn Engine, first: Seq, is_last: bool) -> Result<Arc<Segment>, OpenError> {
        let name = name_of(first);
        let pieces = Sealed::pieces(engine, &name, first)?;
        let sealed_bytes = pieces.iter().map(|piece| piece.facts.block_bytes).sum();
        let begin = pieces.last().map_or(first, |piece| Seq(piece.facts.last.0.saturating_add(1)));
        // A guess, on the large side: memory that is not touched costs nothing, moving what is there does.
        let bytes = engine.disk_bytes(&name).unwrap_or(0).saturating_sub(sealed_bytes);
        let keys = bytes.min(KEYS_BYTES_MAX) / BYTES_PER_KEY;
        let lookups = Arc::new(Fresh::with_room(begin, usize::try_from(keys).unwrap_or(0)));
        let segment = Arc::new(Segment::open(first, pieces, lookups.clone()));
        let store = segment.pinned_or_open(engine)?;
        if begin > first && !ends_at(&*store, begin)? {
            let fault = BlockFault::Lost { flushed: Seq(begin.0.saturating_sub(1)) };
            return Err(BadBlock { segment: name, block: begin, fault }.into());
        }
        let mut bad = None;
        let read = if begin > first { Seq(begin.0.saturating_sub(1)) } else { Seq::NONE };
        for_each_block(&*store, read, begin, |block| {
            // A block after the bad one: it was not the last.
            if let Some(bad) = bad.take() {
                return Err(OpenError::Block(bad));
            }
            let Pairing { key, bytes, expected } = block;
            let read = Block::parse(key, bytes).and_then(|block| follow(block, expected));
            match read.and_then(|block| note(&lookups, block, bytes.len()).map(|()| block.end())) {
                Ok(end) => Ok(end),
                Err(fault) => {
                    bad = Some(BadBlock { segment: segment.name.clone(), block: key, fault });
                    Ok(expected)
                }
            }
        })?;
        let facts = lookups.facts();
        self.end = Seq(facts.last.0.saturating_add(1));
        self.recovery.rebuilt += 1;
        self.recovery.bytes_read += facts.block_bytes;
        let flushed = store.flushed().unwrap_or(Seq::NONE);
        let is_past = store.is_past();
        if bad.is_none() && flushed >= self.end {
            let fault = BlockFault::Lost { flushed };
            return Err(BadBlock { segment: segment.name.clone(), block: self.end, fault }.into());
        }
        if let Some(have) = store.torn().filter(|_| bad.is_none()) {
            let fault = BlockFault::Torn { have };
            bad = Some(BadBlock { segment: segment.name.clone(), block: self.end, fault });
        }
        if let Some(bad) = bad {
            if !is_last || !may_be_torn(&bad.fault) || flushed >= bad.block {
                return Err(bad.into());
            }
            self.torn = Some((store, bad));
        }
        if is_last && !is_past {
            self.active = Some((segment.clone(), lookups));
        } else {
            self.unsealed.push(segment.clone());
        }
        Ok(segment)
    }
}

/// Whether a crash in the middle of a write can have done this.
fn may_be_torn(fault: &BlockFault) -> bool {
    matches!(fault, BlockFault::Short { .. } | BlockFault::Checksum { .. } | BlockFault::Torn { .. })
}

fn follow(block: Block<'_>, expected: Seq) -> Result<Block<'_>, BlockFault> {
    if block.first == expected { Ok(block) } else { Err(BlockFault::Gap { wanted: expected }) }
}

/// Whether a block is there, and sound, after which `end` would come.
fn ends_at(store: &dyn Store, end: Seq) -> Result<bool, EngineError> {
    let Some((key, bytes)) = store.at_or_below(&key_of(Seq(end.0.saturating_sub(1))))? else {
        return Ok(false);
    };
    let block = Block::parse(seq_of(&key).unwrap_or_default(), &bytes);
    Ok(block.is_ok_and(|block| block.end() == end))
}

/// Takes a block's facts and keys up.
fn note(lookups: &Fresh, block: Block<'_>, bytes: usize) -> Result<(), BlockFault> {
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
            lookups.recover(key.hash, Found { a: key.a, b });
        }
    }
    lookups.note(block.end(), bytes, from, to);
    Ok(())
}

/// A block as it lies in its segment.
pub(crate) struct Pairing<'a> {
    pub(crate) key: Seq,
    pub(crate) bytes: &'a [u8],
    /// Where it should begin.
    pub(crate) expected: Seq,
}

/// Visits every block of a segment behind the event `after`, the first of which begins with `first`; `visit` returns where
/// the next should begin.
pub(crate) fn for_each_block(
    store: &dyn Store,
    after: Seq,
    first: Seq,
    mut visit: impl FnMut(Pairing<'_>) -> Result<Seq, OpenError>,
) -> Result<(), OpenError> {
    let mut expected = first;
    let mut cursor: Box<[u8]> = if after == Seq::NONE { Box::default() } else { Box::from(key_of(after)) };
    loop {
        let page: Vec<Pair> = store.range(&cursor, KEY_END, BLOCKS_PER_PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        cursor = last.clone();
        for (key, bytes) in &page {
            let key = seq_of(key).unwrap_or_default();
            expected = visit(Pairing { key, bytes, expected })?;
        }
    }
}

impl Shared {
    /// Look-ups in memory, on the disk, and bytes of the filters in front of the latter that are in memory.
    pub(crate) fn lookup_sizes(&self) -> (u64, u64, u64) {
        let (mut fresh_keys, mut sealed_keys, mut filter_bytes) = (0, 0, 0);
        for segment in self.chain.segments().iter() {
            let mut lookup = segment.lookup();
            if let Lookup::Open(parts) = &lookup {
                fresh_keys += parts.fresh.iter().map(|fresh| fresh.len() as u64).sum::<u64>();
            }
            for file in lookup.files() {
                sealed_keys += file.len();
                filter_bytes += if file.has_front() { file.front_bytes() as u64 } else { 0 };
            }
        }
        (fresh_keys, sealed_keys, filter_bytes)
    }
}
