//! The sled engine: the blocks of one segment in one sled tree. The only file that names sled.
//!
//! Layout: slots. Keys 0, 1, ... get empty values [`SLOTS_AHEAD`] before they are needed, so that
//! sled splits its pages while they are tiny; each slot is filled once, and so each block is
//! written once. A filled slot is the block's number (u64, big-endian) and its bytes.
//!
//! sled's `flush` writes to the file without an fsync. A commit is therefore: insert, flush, our
//! own `fdatasync` of sled's file, the flush marker, and then the acknowledgement. Values above a
//! quarter of a sled segment go to files in `blobs`, which sled never syncs: `syncfs` replaces the
//! `fdatasync` then. sled ends a damaged file without an error; the marker tells that blocks are
//! missing.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    thread,
    time::Duration,
};

use message::Seq;

use crate::{
    block::{flush_marker, flush_marker::FlushMarker, format::Block, offsets::OffsetIndex},
    disk::{
        around::Around,
        descriptors::with_descriptor,
        files::{sync_folder, write_whole},
        seam::{BlockStore, Tail, Value},
    },
    error::EngineError,
};

/// sled's file, in the folder of its segment.
pub(crate) const FILE: &str = "db";
/// The persisted offset index.
pub(crate) const OFFSETS: &str = "offsets";
/// sled's own settings. They follow from the constants here, and sled writes them without a sync: a
/// power cut after the segment's first block may leave them damaged.
const SETTINGS: &str = "conf";
/// sled's folder for large values.
const BLOBS: &str = "blobs";
const TREE: &[u8] = b"blocks";
/// Size of sled's own segments, in bytes.
const SLED_SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// Values from this size on may be written to `blobs`, in bytes. sled's limit is slightly below a
/// quarter of its segment.
const BLOB_BYTES_MIN: usize = SLED_SEGMENT_BYTES / 4 - 4096;
/// Memory for sled's page cache, in bytes.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// Slots that get an empty value before they are filled.
const SLOTS_AHEAD: u64 = 48;
/// Slots for each entry of the offset index: about one page of sled's.
const STRIDE_SLOTS: u64 = 8;
/// Bytes of a filled slot before the block.
const NUMBER_BYTES: usize = 8;
/// Attempts to open a folder that this process is still closing, and the pause between them.
const OPEN_TRIES: u32 = 200;
const OPEN_PAUSE: Duration = Duration::from_millis(5);
/// Bytes of sled's file in which the first block is looked for.
const FIRST_BYTES: usize = 512 * 1024;

/// The blocks of one segment.
pub(crate) struct SledBlocks {
    name: String,
    folder: PathBuf,
    db: sled::Db,
    tree: sled::Tree,
    around: Around,
    /// State of the writer, held while a block is written.
    writing: Mutex<WriterState>,
    offsets: RwLock<OffsetIndex>,
    tail: Tail,
    /// `None` if the store is frozen.
    marker: Option<FlushMarker>,
    /// Damage to derived files that was found on opening.
    damaged_files: Vec<EngineError>,
    /// Whether the offset index was there on opening.
    has_offsets: bool,
}

struct WriterState {
    /// Our own handle of sled's file, and of the folder.
    file: File,
    folder: File,
    /// Slots before this one have a value, perhaps an empty one.
    reserved: u64,
    /// When a file was last added to `blobs`.
    blobs_changed: Option<Changed>,
}

/// A modification time: seconds and nanoseconds.
type Changed = (i64, i64);

impl SledBlocks {
    /// Opens the blocks of a folder, and creates sled's files if they are missing.
    pub(crate) fn open(folder: &Path, name: &str, around: Around) -> Result<Self, EngineError> {
        let fail = |e: io::Error| EngineError::new(format!("open {name}/{FILE}"), e);
        let is_new = !folder.join(FILE).exists();
        let (db, are_settings_new) = open_db(folder, name)?;
        let tree = db.open_tree(TREE).map_err(|e| failed("open", name, folder, &e))?;
        let file = with_descriptor(|| File::open(folder.join(FILE))).map_err(fail)?;
        let handle = with_descriptor(|| File::open(folder)).map_err(fail)?;
        let mut damaged_files = Vec::new();
        let mut note = |file: &str, what: &str| {
            damaged_files.push(EngineError::damaged(format!("{name}/{file}"), 0, what));
        };
        if are_settings_new {
            note(SETTINGS, "its checksum is wrong");
        }
        let bytes = with_descriptor(|| fs::read(folder.join(OFFSETS))).ok();
        let persisted = bytes.as_ref().and_then(|bytes| OffsetIndex::decode(bytes, empty_index()));
        if bytes.is_some() && persisted.is_none() {
            note(OFFSETS, "its checksum is wrong");
        }
        let is_frozen = persisted.as_ref().is_some_and(|known| known.is_frozen);
        let known = persisted.map_or_else(empty_index, |known| known.index);
        let frozen_end = if is_frozen { known.end } else { 0 };
        let offsets = scan(&tree, known).map_err(|fault| match fault {
            ScanFault::Sled(e) => failed("read", name, folder, &e),
            ScanFault::Hole => damaged(name, folder, "a block is missing"),
        })?;
        if offsets.end < frozen_end {
            return Err(damaged(name, folder, "blocks are missing at its end"));
        }
        let mut marker = None;
        if !is_frozen {
            // An earlier process may have ended between a write and its sync.
            let blobs = with_descriptor(|| fs::read_dir(folder.join(BLOBS)));
            let has_blobs = blobs.map_err(fail)?.next().is_some();
            sync(&file, &handle, has_blobs).map_err(fail)?;
            let settings = with_descriptor(|| File::open(folder.join(SETTINGS))).map_err(fail)?;
            settings.sync_all().map_err(fail)?;
            let opened = FlushMarker::open(folder);
            let opened =
                opened.map_err(|e| EngineError::new(format!("open {name}/{}", flush_marker::FILE), e))?;
            if opened.is_damaged {
                note(flush_marker::FILE, "a copy of the marker is not valid");
            }
            if opened.is_new && offsets.last.is_some() {
                note(flush_marker::FILE, "it is missing");
            }
            marker = Some(opened);
        }
        if is_new {
            sync_folder(folder)?;
        }
        let last = tree.last().map_err(|e| failed("read", name, folder, &e))?;
        let reserved = last.and_then(|(key, _)| slot_of(&key)).map_or(0, |slot| slot + 1);
        let blobs_changed = changed(&folder.join(BLOBS));
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            db,
            tree,
            around,
            writing: Mutex::new(WriterState { file, folder: handle, reserved, blobs_changed }),
            offsets: RwLock::new(offsets),
            tail: Tail { torn_bytes: None, flushed: marker.as_ref().and_then(|marker| marker.found) },
            marker,
            damaged_files,
            has_offsets: bytes.is_some(),
        })
    }

    fn offsets(&self) -> RwLockReadGuard<'_, OffsetIndex> {
        self.offsets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, WriterState> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, what: &'static str) -> impl FnOnce(sled::Error) -> EngineError {
        move |e| failed(what, &self.name, &self.folder, &e)
    }

    fn fail_io(&self) -> impl FnOnce(io::Error) -> EngineError {
        |e| EngineError::new(format!("sync {}/{FILE}", self.name), e)
    }

    /// Inserts empty values up to slot `end`.
    fn reserve(&self, writing: &mut WriterState, end: u64) -> Result<(), EngineError> {
        while writing.reserved < end {
            self.tree.insert(slot_key(writing.reserved), &[]).map_err(self.fail("write"))?;
            writing.reserved += 1;
        }
        Ok(())
    }

    /// Flushes sled and makes what it wrote durable.
    fn flush(&self, writing: &mut WriterState, bytes: usize) -> Result<(), EngineError> {
        self.db.flush().map_err(self.fail("flush"))?;
        // sled may also move older values to `blobs` when it cleans its segments, always within an
        // insert. A file that it added since the last commit makes the folder at least as new as
        // the marker, which the last commit wrote; times are compared because they are coarse.
        let now = changed(&self.folder.join(BLOBS));
        let marked = changed(&self.folder.join(flush_marker::FILE));
        let has_blob = bytes >= BLOB_BYTES_MIN || now != writing.blobs_changed || now >= marked;
        sync(&writing.file, &writing.folder, has_blob).map_err(self.fail_io())?;
        writing.blobs_changed = now;
        Ok(())
    }

    /// Finds the slot of the greatest block number not above `seq`.
    fn find(&self, seq: Seq) -> Result<Option<(u64, Seq, sled::IVec)>, EngineError> {
        let range = self.offsets().around(seq);
        let mut found = None;
        for pair in self.tree.range(slot_key(range.start)..slot_key(range.end)) {
            let (key, value) = pair.map_err(self.fail("read"))?;
            let (Some(slot), Some(block)) = (slot_of(&key), number_of(&value)) else {
                return Err(damaged(&self.name, &self.folder, "a block is missing"));
            };
            if block > seq {
                break;
            }
            found = Some((slot, block, value));
        }
        Ok(found)
    }
}

impl BlockStore for SledBlocks {
    fn commit(&self, block: Seq, bytes: &[u8]) -> Result<(), EngineError> {
        let refuse = |why: &str| EngineError::new(format!("write {}/{FILE}", self.name), why);
        let mut writing = self.writing();
        let (slot, last) = {
            let offsets = self.offsets();
            (offsets.end, offsets.last)
        };
        if last.is_some_and(|last| block <= last) || bytes.is_empty() {
            return Err(refuse("block numbers must rise, and a block must not be empty"));
        }
        let Some(marker) = &self.marker else { return Err(refuse("it is frozen")) };
        self.reserve(&mut writing, slot + SLOTS_AHEAD)?;
        let mut value = Vec::with_capacity(NUMBER_BYTES + bytes.len());
        value.extend_from_slice(&block.0.to_be_bytes());
        value.extend_from_slice(bytes);
        self.tree.insert(slot_key(slot), value).map_err(self.fail("write"))?;
        self.flush(&mut writing, bytes.len())?;
        self.offsets.write().unwrap_or_else(PoisonError::into_inner).push(block, slot + 1);
        let recorded = marker.record(block);
        recorded.map_err(|e| EngineError::new(format!("write the flush marker of {}", self.name), e))
    }

    fn at_or_below(&self, seq: Seq) -> Result<Option<(Seq, Value)>, EngineError> {
        let found = self.around.run(|| self.find(seq))?;
        Ok(found.map(|(_, block, value)| (block, block_of(&value))))
    }

    fn range(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, Value)>, EngineError> {
        self.around.run(|| {
            let from = self.find(after)?.map_or(0, |(slot, ..)| slot + 1);
            let end = self.offsets().end.max(from);
            let mut found = Vec::new();
            for pair in self.tree.range(slot_key(from)..slot_key(end)).take(limit) {
                let (_, value) = pair.map_err(self.fail("read"))?;
                let Some(block) = number_of(&value) else {
                    return Err(damaged(&self.name, &self.folder, "a block is missing"));
                };
                found.push((block, block_of(&value)));
            }
            Ok(found)
        })
    }

    fn cut(&self, block: Seq) -> Result<(), EngineError> {
        let mut writing = self.writing();
        let before = self.find(Seq(block.0.saturating_sub(1)))?;
        let end = before.as_ref().map_or(0, |(slot, ..)| slot + 1);
        for slot in end..self.offsets().end {
            self.tree.insert(slot_key(slot), &[]).map_err(self.fail("write"))?;
        }
        self.flush(&mut writing, 0)?;
        let mut offsets = self.offsets.write().unwrap_or_else(PoisonError::into_inner);
        offsets.truncate(end, before.map(|(_, block, _)| block));
        Ok(())
    }

    fn persist_offsets(&self) -> Result<(), EngineError> {
        let bytes = self.offsets().encode(false);
        write_whole(&self.folder, OFFSETS, &bytes)
    }

    fn freeze(&self) -> Result<(), EngineError> {
        let _writing = self.writing();
        let bytes = self.offsets().encode(true);
        write_whole(&self.folder, OFFSETS, &bytes)
    }

    fn damaged_files(&self) -> Vec<EngineError> {
        self.damaged_files.clone()
    }

    fn has_offsets(&self) -> bool {
        self.has_offsets
    }

    fn tail(&self) -> Tail {
        self.tail
    }
}

fn empty_index() -> OffsetIndex {
    OffsetIndex::new(0, STRIDE_SLOTS)
}

fn slot_key(slot: u64) -> [u8; 8] {
    slot.to_be_bytes()
}

fn slot_of(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// Returns the number of the block in a slot; `None` if the slot is empty.
fn number_of(value: &[u8]) -> Option<Seq> {
    value.first_chunk().map(|number| Seq(u64::from_be_bytes(*number)))
}

fn block_of(value: &[u8]) -> Value {
    value.get(NUMBER_BYTES..).unwrap_or_default().into()
}

enum ScanFault {
    Sled(sled::Error),
    /// An empty slot is followed by a filled one.
    Hole,
}

/// Adds the slots that were filled since `known` was persisted, or all of them if it is wrong.
fn scan(tree: &sled::Tree, known: OffsetIndex) -> Result<OffsetIndex, ScanFault> {
    let mut offsets = known;
    if let Some(last) = offsets.end.checked_sub(1) {
        let value = tree.get(slot_key(last)).map_err(ScanFault::Sled)?;
        if value.as_deref().and_then(number_of) != offsets.last {
            offsets = empty_index();
        }
    }
    for pair in tree.range(slot_key(offsets.end)..) {
        let (key, value) = pair.map_err(ScanFault::Sled)?;
        let Some(block) = number_of(&value) else { continue };
        if slot_of(&key) != Some(offsets.end) || offsets.last.is_some_and(|last| block <= last) {
            return Err(ScanFault::Hole);
        }
        offsets.push(block, offsets.end + 1);
    }
    Ok(offsets)
}

/// Makes sled's file durable, and with `has_blob` all files of the file system that holds it.
fn sync(file: &File, folder: &File, has_blob: bool) -> io::Result<()> {
    if has_blob { Ok(rustix::fs::syncfs(folder)?) } else { file.sync_data() }
}

fn changed(path: &Path) -> Option<Changed> {
    fs::metadata(path).ok().map(|facts| (facts.mtime(), facts.mtime_nsec()))
}

/// Opens sled in a folder. Returns whether its settings were damaged and are written anew.
fn open_db(folder: &Path, name: &str) -> Result<(sled::Db, bool), EngineError> {
    let config = sled::Config::new()
        .path(folder)
        .mode(sled::Mode::HighThroughput)
        .cache_capacity(CACHE_BYTES)
        .segment_size(SLED_SEGMENT_BYTES)
        .flush_every_ms(None);
    let (mut tries, mut are_settings_new) = (0, false);
    loop {
        match with_descriptor(|| opened(&config)) {
            Ok(Ok(db)) => return Ok((db, are_settings_new)),
            // A reader of this process may be closing the same folder at this moment.
            Err(e) if tries < OPEN_TRIES && e.to_string().contains("lock") => {
                tries += 1;
                thread::sleep(OPEN_PAUSE);
            }
            Err(e) => return Err(failed("open", name, folder, &sled::Error::Io(e))),
            // Its settings, or its data: without settings sled tells which.
            Ok(Err(sled::Error::Corruption { .. })) if !are_settings_new => {
                are_settings_new = true;
                let removed = fs::remove_file(folder.join(SETTINGS));
                removed.map_err(|e| EngineError::new(format!("open {name}/{SETTINGS}"), e))?;
            }
            Ok(Err(e)) => return Err(failed("open", name, folder, &e)),
        }
    }
}

/// Opens a database; the outer error is one of the system.
fn opened(config: &sled::Config) -> io::Result<Result<sled::Db, sled::Error>> {
    match config.open() {
        Err(sled::Error::Io(e)) => Err(e),
        opened => Ok(opened),
    }
}

fn failed(what: &'static str, name: &str, folder: &Path, error: &sled::Error) -> EngineError {
    match error {
        sled::Error::Corruption { .. } => damaged(name, folder, &error.to_string()),
        e => EngineError::new(format!("{what} {}", folder.display()), e),
    }
}

/// Names the first block that is missing from sled's file, since sled does not say where it is
/// damaged.
fn damaged(name: &str, folder: &Path, why: &str) -> EngineError {
    let missing = fs::read(folder.join(FILE)).ok().and_then(|file| first_missing(&file));
    let place = missing.map_or_else(|| name.to_owned(), |block| format!("{name}, block {block}"));
    EngineError::new(place, format!("its file is damaged there, restore the folder from a backup ({why})"))
}

/// Reads the number of the first block that is complete near the beginning of a folder's file,
/// without opening the folder. sled may have moved the first one away.
pub(crate) fn first_block(folder: &Path) -> io::Result<Option<Seq>> {
    let file = File::open(folder.join(FILE))?;
    let mut bytes = vec![0; FIRST_BYTES];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(filled);
    let mut starts = (0..bytes.len()).filter_map(|at| Block::find(bytes.get(at..)?));
    Ok(starts.next().map(|(first, ..)| first))
}

/// Returns the first block that is missing among those that are complete anywhere in a file.
///
/// For the text of an error only: it reads every byte.
fn first_missing(file: &[u8]) -> Option<Seq> {
    let mut found = BTreeMap::new();
    let mut at = 0;
    while let Some(rest) = file.get(at..).filter(|rest| !rest.is_empty()) {
        match Block::find(rest) {
            Some((first, end, bytes)) => {
                found.insert(first, end);
                at += bytes;
            }
            None => at += 1,
        }
    }
    let mut expected = *found.first_key_value()?.0;
    for (first, end) in found {
        if first > expected {
            return Some(expected);
        }
        expected = expected.max(end);
    }
    Some(expected)
}
