//! The blocks of one segment in one file that only grows. A commit is one write that the system makes durable; it
//! must never report one as safe that is not, nor take damage for the end.
//!
//! File `blocks`, version 1, little-endian:
//!
//! ```text
//! "patchblk" | version u32 = 1 | crc32 of that u32, then frames, then zeros
//! frame = length of the value u32 | key u64 | crc32 of the value u32 | crc32 of these 16 bytes u32 | value
//! ```
//!
//! Keys rise. One value at a time is written, and the next only when it is safe: so a crash leaves at most one
//! frame in part, and nothing whole behind it. What is not a frame, with a whole one behind it, is damage. Beside
//! it, `offsets` says where to look for a key in a file that is complete; without it the file is read once, from where
//! `settled` ends, which says the same of the beginning of a file that still grows.

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
    block::flush_marker::Mark,
    block::format::Block,
    block::frame::{FRAME_BYTES, Frame, HEADER_BYTES, header, is_header},
    block::key::first_of,
    block::key::{key_of, seq_of},
    block::offsets::{Places, Scanned, scan},
    block::preallocate::Room,
    disk::files::{sync_folder, write_whole},
    disk::seam::{Pair, Store, Value, Write},
    disk::window::Window,
    error::EngineError,
};

/// The file, in its segment's folder.
pub(crate) const FILE: &str = "blocks";
/// Where to look in a complete file.
const OFFSETS: &str = "offsets";
/// The same for the beginning of a file that still grows.
const SETTLED: &str = "settled";
/// Read at once for a look-up, and for a walk.
const FIND_BYTES: usize = 16 * 1024;
const WALK_BYTES: usize = 256 * 1024;

/// The blocks of one segment.
pub(crate) struct BlockFile {
    name: String,
    folder: PathBuf,
    file: Arc<File>,
    /// Held by who writes.
    writing: Mutex<()>,
    places: RwLock<Places>,
    /// Bytes of what a crash left of the last write.
    torn: Mutex<Option<u64>>,
    room: Room,
    /// None in a file that was complete when it was opened.
    mark: Option<Mark>,
    /// Whether the file system can make one write durable.
    has_durable_writes: AtomicBool,
}

impl BlockFile {
    /// Whether a folder has such a file.
    pub(crate) fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Opens the file of a folder, and creates it when it is not there.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Self, EngineError> {
        let fail = |e: io::Error| EngineError::new(format!("open {name}/{FILE}"), e);
        let is_new = !Self::is_in(folder);
        let path = folder.join(FILE);
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path);
        let file = file.map_err(fail)?;
        let len = file.metadata().map_err(fail)?.len();
        let begun = begin(&file, len).map_err(fail)?;
        if !begun {
            return Err(EngineError::new(
                format!("open {name}/{FILE}"),
                "it is no file of blocks of version 1: open it with the Patchbay that wrote it, or restore it",
            ));
        }
        let len = len.max(HEADER_BYTES);
        let known = |name: &str| fs::read(folder.join(name)).ok().and_then(|bytes| Places::decode(&bytes));
        let (places, torn, mark) = match known(OFFSETS).filter(|places| places.end == len) {
            Some(places) => (places, None, None),
            None => {
                // What an earlier run wrote and did not live to sync is here, but perhaps nowhere else.
                file.sync_data().map_err(fail)?;
                let settled = settled(&file, len, known(SETTLED)).map_err(fail)?;
                let Scanned { places, torn, damaged } = scan(&file, len, settled).map_err(fail)?;
                if damaged {
                    let block = after(&file, &places).map_err(fail)?;
                    return Err(damaged_at(name, block));
                }
                let mark = Mark::open(folder)
                    .map_err(|e| EngineError::new(format!("open the mark of {name}"), e))?;
                (places, torn, Some(mark))
            }
        };
        if is_new {
            sync_folder(folder)?;
        }
        let file = Arc::new(file);
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            room: Room::new(file.clone(), len),
            file,
            writing: Mutex::default(),
            places: RwLock::new(places),
            torn: Mutex::new(torn),
            mark,
            has_durable_writes: AtomicBool::new(true),
        })
    }

    fn places(&self) -> RwLockReadGuard<'_, Places> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, what: &'static str) -> impl FnOnce(io::Error) -> EngineError {
        move |e| match e.kind() {
            // What lies where a frame was is none.
            io::ErrorKind::InvalidData => EngineError::new(
                format!("{}, {e}", self.name),
                "its file is damaged there, restore the folder from a backup",
            ),
            _ => EngineError::new(format!("{what} {}/{FILE}", self.name), e),
        }
    }

    /// Writes a frame at the end; durable when it returns, if that is asked.
    fn put(&self, key: &[u8], value: &[u8], is_durable: bool) -> Result<(), EngineError> {
        let refuse = |why: &str| EngineError::new(format!("write {}/{FILE}", self.name), why);
        let key = seq_of(key).ok_or_else(|| refuse("a key is not a number"))?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, last) = {
            let places = self.places();
            (places.end, places.last)
        };
        if last.is_some_and(|last| key.0 <= last) {
            return Err(refuse("keys must rise"));
        }
        let frame = Frame::of(key.0, at, value).ok_or_else(|| refuse("a value is too large"))?;
        let bytes = frame.encode();
        let mut parts = [IoSlice::new(&bytes), IoSlice::new(value)];
        let written = self.room.write(frame.end(), || {
            if is_durable && self.has_durable_writes.load(Ordering::Relaxed) {
                match write_all(&self.file, &mut parts, at, ReadWriteFlags::DSYNC) {
                    Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
                        self.has_durable_writes.store(false, Ordering::Relaxed);
                    }
                    done => return Ok(done?),
                }
            }
            self.file.write_all_at(&bytes, at)?;
            self.file.write_all_at(value, at + FRAME_BYTES)?;
            if is_durable { self.file.sync_data() } else { Ok(()) }
        });
        written.map_err(self.fail("write"))?;
        self.places.write().unwrap_or_else(PoisonError::into_inner).push(&frame);
        if let Some(mark) = &self.mark {
            mark.written(key);
        }
        self.room.make(frame.end());
        Ok(())
    }

    fn note_flushed(&self, newest: Seq) -> Result<(), EngineError> {
        let Some(mark) = &self.mark else { return Ok(()) };
        mark.flushed(newest).map_err(|e| EngineError::new(format!("write the mark of {}", self.name), e))
    }

    /// The frame of the greatest key not above `key`, and a window it can be read through.
    fn find(&self, key: &[u8]) -> Result<Option<(Frame, Window<'_>)>, EngineError> {
        let (from, to) = self.places().around(key);
        let mut window = Window::new(&self.file, FIND_BYTES);
        let (mut at, mut found) = (from, None);
        while at < to {
            let frame = Frame::read(&mut window, at).map_err(self.fail("read"))?;
            if key_of(Seq(frame.key)).as_slice() > key {
                break;
            }
            at = frame.end();
            found = Some(frame);
        }
        Ok(found.map(|frame| (frame, window)))
    }
}

impl Store for BlockFile {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, EngineError> {
        let Some((frame, mut window)) = self.find(key)? else { return Ok(None) };
        if key_of(Seq(frame.key)).as_slice() != key {
            return Ok(None);
        }
        frame.value(&mut window).map(Some).map_err(self.fail("read"))
    }

    fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.put(key, value, false)
    }

    fn commit(&self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.put(key, value, true)?;
        self.note_flushed(seq_of(key).unwrap_or_default())
    }

    /// A key is removed with all above it, as nothing is above what a crash tore.
    fn apply(&self, writes: Vec<Write>) -> Result<(), EngineError> {
        for write in writes {
            match write {
                Write::Put(key, value) => self.insert(&key, &value)?,
                Write::Delete(key) => self.cut(&key)?,
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        let newest = self.mark.as_ref().map_or(Seq::NONE, Mark::newest);
        self.file.sync_data().map_err(self.fail("sync"))?;
        self.note_flushed(newest)
    }

    fn flushed(&self) -> Option<Seq> {
        self.mark.as_ref()?.before
    }

    fn torn(&self) -> Option<u64> {
        *self.torn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self) -> Result<(), EngineError> {
        let bytes = self.places().encode();
        write_whole(&self.folder, SETTLED, &bytes)
    }

    fn seal(&self) -> Result<(), EngineError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.room.stop();
        let (end, bytes) = {
            let places = self.places();
            (places.end, places.encode())
        };
        let shortened = self.file.set_len(end).and_then(|()| self.file.sync_all());
        shortened.map_err(self.fail("shorten"))?;
        write_whole(&self.folder, OFFSETS, &bytes)?;
        match fs::remove_file(self.folder.join(SETTLED)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.fail("settle")(e)),
            _ => Ok(()),
        }
    }

    fn at_or_below(&self, key: &[u8]) -> Result<Option<Pair>, EngineError> {
        let Some((frame, mut window)) = self.find(key)? else { return Ok(None) };
        let value = frame.value(&mut window).map_err(self.fail("read"))?;
        Ok(Some((Box::from(key_of(Seq(frame.key))), value)))
    }

    fn range(&self, after: &[u8], end: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError> {
        let mut at = self.find(after)?.map_or(HEADER_BYTES, |(frame, _)| frame.end());
        let stop = self.places().end;
        let mut window = Window::new(&self.file, WALK_BYTES);
        let mut found = Vec::new();
        while at < stop && found.len() < limit {
            let frame = Frame::read(&mut window, at).map_err(self.fail("read"))?;
            let key = key_of(Seq(frame.key));
            if key.as_slice() >= end {
                break;
            }
            found.push((Box::from(key), frame.value(&mut window).map_err(self.fail("read"))?));
            at = frame.end();
        }
        Ok(found)
    }
}

impl BlockFile {
    fn cut(&self, key: &[u8]) -> Result<(), EngineError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.room.stop();
        let mut end = HEADER_BYTES;
        let mut places = Places::default();
        let mut window = Window::new(&self.file, WALK_BYTES);
        let stop = self.places().end;
        while end < stop {
            let frame = Frame::read(&mut window, end).map_err(self.fail("read"))?;
            if key_of(Seq(frame.key)).as_slice() >= key {
                break;
            }
            places.push(&frame);
            end = frame.end();
        }
        let shortened = self.file.set_len(end).and_then(|()| self.file.sync_all());
        shortened.map_err(self.fail("shorten"))?;
        self.room.restart(end);
        *self.places.write().unwrap_or_else(PoisonError::into_inner) = places;
        *self.torn.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

/// Writes all parts one after the other from `at` on.
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

/// Writes the header of a file that has none yet. False: it has another.
fn begin(file: &File, len: u64) -> io::Result<bool> {
    let mut found = [0; HEADER_BYTES as usize];
    if len >= HEADER_BYTES {
        file.read_exact_at(&mut found, 0)?;
        if is_header(&found) {
            return Ok(true);
        }
    }
    // A crash came before the header was written, and so before anything was.
    if found.iter().any(|byte| *byte != 0) || len > HEADER_BYTES {
        return Ok(false);
    }
    file.write_all_at(&header(), 0)?;
    file.sync_all()?;
    Ok(true)
}

/// The places of a file's beginning, if its last frame lies whole where they say; none if not, so that all of the file
/// is read.
fn settled(file: &File, len: u64, known: Option<Places>) -> io::Result<Places> {
    let Some(places) = known.filter(|places| places.end <= len) else { return Ok(Places::default()) };
    let Some(last) = places.last else { return Ok(Places::default()) };
    let mut window = Window::new(file, FIND_BYTES);
    let (mut at, _) = places.around(&key_of(Seq(last)));
    while let Some(frame) = Frame::parse(window.get(at, FRAME_BYTES as usize)?, at) {
        at = frame.end();
        if at >= places.end {
            let is_last = frame.key == last && at == places.end && frame.holds(&frame.value(&mut window)?);
            return Ok(if is_last { places } else { Places::default() });
        }
    }
    Ok(Places::default())
}

/// The first event that is not in the frames of a file.
fn after(file: &File, places: &Places) -> io::Result<Option<Seq>> {
    let Some(last) = places.last else { return Ok(None) };
    let mut window = Window::new(file, WALK_BYTES);
    let mut at = places.around(&key_of(Seq(last))).0;
    while at < places.end {
        let frame = Frame::read(&mut window, at)?;
        if frame.key == last {
            let value = frame.value(&mut window)?;
            return Ok(Block::parse(Seq(last), &value).ok().map(|block| block.end()));
        }
        at = frame.end();
    }
    Ok(None)
}

fn damaged_at(name: &str, block: Option<Seq>) -> EngineError {
    let first = first_of(name);
    let place = match block.or(first) {
        Some(block) => format!("{name}, block {block}"),
        None => name.to_owned(),
    };
    EngineError::new(place, "its file is damaged there, restore the folder from a backup")
}
