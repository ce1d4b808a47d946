//! The file engine: the blocks of one segment in one append-only file. A commit is one durable
//! write; damage is never taken for the end of the file.
//!
//! File `blocks`, version 1, little-endian:
//!
//! ```text
//! "patchblk" | version u32 = 1 | crc32 of the version u32, then frames, then zeros
//! frame = value length u32 | block number u64 | crc32 of the value u32
//!       | crc32 of these 16 bytes u32 | value
//! ```
//!
//! Block numbers rise. A value is written only when the one before is durable, so a crash leaves at
//! most one incomplete frame and no complete one after it: an incomplete frame that a complete one
//! follows is damage. The file `offsets` persists the offset index; without it the block file is
//! scanned.

use std::{
    fs::{self, File},
    io::{self, IoSlice},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use message::Seq;
use rustix::io::{Errno, ReadWriteFlags};

use crate::{
    block::{
        flush_marker::{self, FlushMarker},
        frame::{FRAME_BYTES, Frame, HEADER_BYTES, header},
        name::first_of,
        offsets::OffsetIndex,
        preallocate::Preallocator,
        scan::{Scanned, checked, empty_index, next_block, scan},
    },
    disk::{
        around::Around,
        descriptors::with_descriptor,
        files::{sync_folder, write_whole},
        seam::{BlockStore, Tail, Value},
        window::Window,
    },
    error::EngineError,
};

/// The block file, in the folder of its segment.
pub(crate) const FILE: &str = "blocks";
/// The persisted offset index.
pub(crate) const OFFSETS: &str = "offsets";
/// Bytes read at once for a look-up, and for a walk.
const FIND_BYTES: usize = 16 * 1024;
const WALK_BYTES: usize = 256 * 1024;

/// The blocks of one segment.
pub(crate) struct FileBlocks {
    name: String,
    folder: PathBuf,
    file: Arc<File>,
    around: Around,
    /// Held while a block is written.
    writing: Mutex<()>,
    offsets: RwLock<OffsetIndex>,
    tail: Tail,
    preallocator: Preallocator,
    /// `None` if the store is frozen.
    marker: Option<FlushMarker>,
    /// Damage to derived files that was found on opening.
    damaged_files: Vec<EngineError>,
    /// Whether the offset index was there on opening.
    has_offsets: bool,
    /// Whether the file system supports durable writes (`RWF_DSYNC`).
    has_durable_writes: AtomicBool,
}

impl FileBlocks {
    /// Opens the blocks of a folder, and creates the file if it is missing.
    pub(crate) fn open(folder: &Path, name: &str, around: Around) -> Result<Self, EngineError> {
        let fail = |e: io::Error| EngineError::new(format!("open {name}/{FILE}"), e);
        let path = folder.join(FILE);
        let is_new = !path.exists();
        let open = || File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = with_descriptor(open);
        let file = file.map_err(fail)?;
        let len = file.metadata().map_err(fail)?.len();
        if !begin(&file, len).map_err(fail)? {
            return Err(EngineError::new(
                format!("open {name}/{FILE}"),
                "it is not a block file of version 1: open it with the Patchbay that wrote it, or restore it",
            ));
        }
        let len = len.max(HEADER_BYTES);
        let mut damaged_files = Vec::new();
        let mut damaged = |file: &str, what: &str| {
            damaged_files.push(EngineError::damaged(format!("{name}/{file}"), 0, what));
        };
        let bytes = with_descriptor(|| fs::read(folder.join(OFFSETS))).ok();
        let persisted = bytes.as_ref().and_then(|bytes| OffsetIndex::decode(bytes, empty_index()));
        if bytes.is_some() && persisted.is_none() {
            damaged(OFFSETS, "its checksum is wrong");
        }
        let (offsets, torn_bytes, marker) = match persisted {
            Some(known) if known.is_frozen && known.index.end == len => (known.index, None, None),
            known => {
                // An earlier process may have ended between a write and its sync.
                file.sync_data().map_err(fail)?;
                let known = known.map_or_else(empty_index, |known| known.index);
                let known = checked(&file, len, known).map_err(fail)?;
                let Scanned { offsets, torn_bytes, is_damaged } = scan(&file, len, known).map_err(fail)?;
                if is_damaged {
                    let block = next_block(&file, &offsets).map_err(fail)?;
                    return Err(damaged_at(name, block));
                }
                let marker = FlushMarker::open(folder)
                    .map_err(|e| EngineError::new(format!("open the flush marker of {name}"), e))?;
                if marker.is_damaged {
                    damaged(flush_marker::FILE, "a copy of the marker is not valid");
                }
                if marker.is_new && offsets.last.is_some() {
                    damaged(flush_marker::FILE, "it is missing");
                }
                (offsets, torn_bytes, Some(marker))
            }
        };
        if is_new {
            sync_folder(folder)?;
        }
        let file = Arc::new(file);
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            preallocator: Preallocator::new(file.clone(), len),
            file,
            around,
            writing: Mutex::default(),
            offsets: RwLock::new(offsets),
            tail: Tail { torn_bytes, flushed: marker.as_ref().and_then(|marker| marker.found) },
            marker,
            damaged_files,
            has_offsets: bytes.is_some(),
            has_durable_writes: AtomicBool::new(true),
        })
    }

    fn offsets(&self) -> RwLockReadGuard<'_, OffsetIndex> {
        self.offsets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, what: &'static str) -> impl FnOnce(io::Error) -> EngineError {
        move |e| match e.kind() {
            // A frame that the offset index knows is damaged now.
            io::ErrorKind::InvalidData => EngineError::new(
                format!("{}, {e}", self.name),
                "its file is damaged there, restore the folder from a backup",
            ),
            _ => EngineError::new(format!("{what} {}/{FILE}", self.name), e),
        }
    }

    /// Writes a frame and its value; both are durable when it returns.
    fn write_durably(&self, frame: &Frame, value: &[u8]) -> io::Result<()> {
        let bytes = frame.encode();
        if self.has_durable_writes.load(Ordering::Relaxed) {
            let mut parts = [IoSlice::new(&bytes), IoSlice::new(value)];
            match write_all(&self.file, &mut parts, frame.at, ReadWriteFlags::DSYNC) {
                Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
                    self.has_durable_writes.store(false, Ordering::Relaxed);
                }
                done => return Ok(done?),
            }
        }
        self.file.write_all_at(&bytes, frame.at)?;
        self.file.write_all_at(value, frame.at + FRAME_BYTES)?;
        self.file.sync_data()
    }

    /// Finds the frame of the greatest block number not above `seq`, with a window to read it.
    fn find(&self, seq: Seq) -> Result<Option<(Frame, Window<'_>)>, EngineError> {
        let range = self.offsets().around(seq);
        let mut window = Window::new(&self.file, self.around, FIND_BYTES);
        let (mut at, mut found) = (range.start, None);
        while at < range.end {
            let frame = Frame::read(&mut window, at).map_err(self.fail("read"))?;
            if frame.block > seq {
                break;
            }
            at = frame.end();
            found = Some(frame);
        }
        invariant!(found.is_some() || range.is_empty(), "no block up to {seq} in {range:?}");
        Ok(found.map(|frame| (frame, window)))
    }
}

impl BlockStore for FileBlocks {
    fn commit(&self, block: Seq, bytes: &[u8]) -> Result<(), EngineError> {
        let refuse = |why: &str| EngineError::new(format!("write {}/{FILE}", self.name), why);
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, last) = {
            let offsets = self.offsets();
            (offsets.end, offsets.last)
        };
        if last.is_some_and(|last| block <= last) || bytes.is_empty() {
            return Err(refuse("block numbers must rise, and a block must not be empty"));
        }
        let Some(marker) = &self.marker else { return Err(refuse("it is frozen")) };
        let frame = Frame::of(block, at, bytes).ok_or_else(|| refuse("a block is too large"))?;
        let written = self.preallocator.write(frame.end(), || self.write_durably(&frame, bytes));
        written.map_err(self.fail("write"))?;
        self.offsets.write().unwrap_or_else(PoisonError::into_inner).push(block, frame.end());
        self.preallocator.extend(frame.end());
        let end = self.offsets().end;
        invariant!(end == frame.end(), "block {block} ends at {}, the file at {end}", frame.end());
        let recorded = marker.record(block);
        recorded.map_err(|e| EngineError::new(format!("write the flush marker of {}", self.name), e))
    }

    fn at_or_below(&self, seq: Seq) -> Result<Option<(Seq, Value)>, EngineError> {
        let Some((frame, mut window)) = self.find(seq)? else { return Ok(None) };
        let value = frame.value(&mut window).map_err(self.fail("read"))?;
        Ok(Some((frame.block, value)))
    }

    fn range(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, Value)>, EngineError> {
        let mut at = self.find(after)?.map_or(HEADER_BYTES, |(frame, _)| frame.end());
        let end = self.offsets().end;
        let mut window = Window::new(&self.file, self.around, WALK_BYTES);
        let mut found = Vec::new();
        while at < end && found.len() < limit {
            let frame = Frame::read(&mut window, at).map_err(self.fail("read"))?;
            found.push((frame.block, frame.value(&mut window).map_err(self.fail("read"))?));
            at = frame.end();
        }
        Ok(found)
    }

    fn cut(&self, block: Seq) -> Result<(), EngineError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.preallocator.stop();
        let before = self.find(Seq(block.0.saturating_sub(1)))?.map(|(frame, _)| frame);
        let end = before.map_or(HEADER_BYTES, |frame| frame.end());
        let known = self.offsets().end;
        invariant!(end <= known, "{} is cut to {end}, it has {known}", self.name);
        invariant!(before.is_none_or(|frame| frame.block < block), "{block} is kept in the cut");
        let shortened = self.file.set_len(end).and_then(|()| self.file.sync_all());
        shortened.map_err(self.fail("shorten"))?;
        self.preallocator.restart(end);
        let mut offsets = self.offsets.write().unwrap_or_else(PoisonError::into_inner);
        offsets.truncate(end, before.map(|frame| frame.block));
        Ok(())
    }

    fn persist_offsets(&self) -> Result<(), EngineError> {
        let bytes = self.offsets().encode(false);
        write_whole(&self.folder, OFFSETS, &bytes)
    }

    fn freeze(&self) -> Result<(), EngineError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.preallocator.stop();
        let (end, bytes) = {
            let offsets = self.offsets();
            (offsets.end, offsets.encode(true))
        };
        let shortened = self.file.set_len(end).and_then(|()| self.file.sync_all());
        shortened.map_err(self.fail("shorten"))?;
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

/// Reads the number of the first block of a folder, without opening the folder.
pub(crate) fn first_block(folder: &Path) -> io::Result<Option<Seq>> {
    let file = File::open(folder.join(FILE))?;
    let mut bytes = [0; FRAME_BYTES as usize];
    match file.read_exact_at(&mut bytes, HEADER_BYTES) {
        Ok(()) => Ok(Frame::parse(&bytes, HEADER_BYTES).map(|frame| frame.block)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes all parts one after the other, from `at` on.
fn write_all(
    file: &File,
    mut parts: &mut [IoSlice<'_>],
    mut at: u64,
    flags: ReadWriteFlags,
) -> Result<(), Errno> {
    while parts.iter().any(|part| !part.is_empty()) {
        match rustix::io::pwritev2(file, parts, at, flags) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Writes the header of an empty file. Returns false if the file has another header.
fn begin(file: &File, len: u64) -> io::Result<bool> {
    let mut found = [0; HEADER_BYTES as usize];
    if len >= HEADER_BYTES {
        file.read_exact_at(&mut found, 0)?;
        if found == header() {
            return Ok(true);
        }
    }
    // A crash may have come before the header was written, and then before any block was.
    if found.iter().any(|byte| *byte != 0) || len > HEADER_BYTES {
        return Ok(false);
    }
    file.write_all_at(&header(), 0)?;
    file.sync_all()?;
    Ok(true)
}

fn damaged_at(name: &str, block: Option<Seq>) -> EngineError {
    let place = match block.or_else(|| first_of(name)) {
        Some(block) => format!("{name}, block {block}"),
        None => name.to_owned(),
    };
    EngineError::new(place, "its file is damaged there, restore the folder from a backup")
}
