//! Writes whole files and folders so that they survive a power cut. Knows nothing of their content.

use std::{
    fs::{self, File},
    io::{self, IoSliceMut, Write as _},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::{ReadWriteFlags, preadv2};

use crate::{
    disk::{
        around::Around,
        descriptors::with_descriptor,
        seam::{NextPart, Reader},
    },
    error::EngineError,
};

/// Suffix of the name of a file while it is written.
pub(crate) const PART_SUFFIX: &str = ".part";

/// Fsyncs a directory so that its entries survive power loss.
pub(crate) fn sync_folder(path: &Path) -> Result<(), EngineError> {
    with_descriptor(|| File::open(path))
        .and_then(|folder| folder.sync_all())
        .map_err(|e| EngineError::new(format!("sync folder {}", path.display()), e))
}

/// Creates a folder and those above it, if they are missing. They survive a power cut when this
/// returns.
pub(crate) fn create_folder(path: &Path) -> Result<(), EngineError> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_folder(above)?;
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(EngineError::new(format!("create {}", path.display()), e))
        }
        _ => sync_folder(above),
    }
}

/// Writes a file atomically: it has all of its bytes, on the disk, when it gets its name.
pub(crate) fn write_whole(folder: &Path, file: &str, bytes: &[u8]) -> Result<(), EngineError> {
    let mut part = Some(bytes.to_vec());
    write_parts(folder, file, &mut || Ok(part.take()))
}

/// Writes a file atomically from parts. Each is synced before the next is asked for, so that
/// commits get the disk in between.
pub(crate) fn write_parts(folder: &Path, file: &str, next: &mut NextPart<'_>) -> Result<(), EngineError> {
    let (path, unfinished) = (folder.join(file), folder.join(format!("{file}{PART_SUFFIX}")));
    let fail = |e: io::Error| EngineError::new(format!("write {}", path.display()), e);
    let mut to = with_descriptor(|| File::create(&unfinished)).map_err(fail)?;
    while let Some(part) = next()? {
        to.write_all(&part).and_then(|()| to.sync_data()).map_err(fail)?;
    }
    to.sync_all().and_then(|()| fs::rename(&unfinished, &path)).map_err(fail)?;
    sync_folder(folder)
}

/// A file that is open to be read.
struct OpenFile {
    file: File,
    path: PathBuf,
    around: Around,
}

impl OpenFile {
    fn fail(&self) -> impl FnOnce(io::Error) -> EngineError {
        |e| EngineError::new(format!("read {}", self.path.display()), e)
    }
}

impl Reader for OpenFile {
    fn bytes(&self) -> Result<u64, EngineError> {
        self.file.metadata().map(|facts| facts.len()).map_err(self.fail())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, EngineError> {
        read_around(self.around, &self.file, offset, buffer).map_err(self.fail())
    }
}

/// Reads until the buffer is full or the file ends, and returns the number of bytes read. Bytes in
/// the kernel's cache are read at once; only a read that has to wait for the disk runs inside the
/// hook, which is dearer than the copy.
pub(crate) fn read_around(around: Around, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let (cached, is_whole) = read_cached(file, offset, buffer);
    match buffer.get_mut(cached..) {
        Some(rest) if !is_whole => Ok(cached + around.run(|| read_full(file, offset + cached as u64, rest))?),
        _ => Ok(cached),
    }
}

/// Reads bytes that the kernel has in memory. Returns their number, and whether the buffer is full
/// or the file ends behind them.
fn read_cached(file: &File, offset: u64, buffer: &mut [u8]) -> (usize, bool) {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let mut rest = [IoSliceMut::new(rest)];
        match preadv2(file, &mut rest, offset + filled as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) => break,
            Ok(read) => filled += read,
            // Not in memory, or a file system without this kind of read.
            Err(_) => return (filled, false),
        }
    }
    (filled, true)
}

/// Reads until the buffer is full or the file ends, and returns the number of bytes read.
pub(crate) fn read_full(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// The whole files of one folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    name: Box<str>,
    around: Around,
}

impl Folder {
    /// A folder that exists; `name` stands for it in errors.
    pub(crate) fn new(path: PathBuf, name: &str, around: Around) -> Self {
        Self { path, name: name.into(), around }
    }

    /// The name of a file in errors.
    pub(crate) fn label(&self, file: &str) -> String {
        format!("{}/{file}", self.name)
    }

    /// Returns the names of all files.
    pub(crate) fn names(&self) -> Result<Vec<String>, EngineError> {
        let fail = |e: io::Error| EngineError::new(format!("list {}", self.path.display()), e);
        let mut names = Vec::new();
        for entry in with_descriptor(|| fs::read_dir(&self.path)).map_err(fail)? {
            names.extend(entry.map_err(fail)?.file_name().into_string());
        }
        Ok(names)
    }

    /// Writes a whole file, as [`write_parts`] does.
    pub(crate) fn write_parts(&self, file: &str, next: &mut NextPart<'_>) -> Result<(), EngineError> {
        write_parts(&self.path, file, next)
    }

    /// Opens a file to be read; `None` if it is missing.
    pub(crate) fn open(&self, file: &str) -> Result<Option<Arc<dyn Reader>>, EngineError> {
        let path = self.path.join(file);
        let around = self.around;
        match around.run(|| with_descriptor(|| File::open(&path))) {
            Ok(file) => Ok(Some(Arc::new(OpenFile { file, path, around }))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(EngineError::new(format!("open {}", path.display()), e)),
        }
    }

    /// Removes a file if it exists. An open reader goes on reading it.
    pub(crate) fn remove(&self, file: &str) -> Result<(), EngineError> {
        let path = self.path.join(file);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(EngineError::new(format!("remove {}", path.display()), e))
            }
            _ => Ok(()),
        }
    }
}
