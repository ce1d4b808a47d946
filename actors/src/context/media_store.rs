//! Customers' files on the disk: one file each, written whole or not at all. Every file can be
//! fetched again, so nothing is fsynced, and a file that cannot be read counts as missing.

use std::{
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use message::Timestamp;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

/// Maximum length of a stored media type, in bytes; a longer one is cut.
const TYPE_BYTES_MAX: usize = 256;
/// Length of the pieces in which a file is read, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// Extension of files that are being written.
const UNFINISHED: &str = "tmp";

/// The reason why a file cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFile {
    /// Nothing has this address. Answer 404.
    #[error("no such file")]
    Unknown,
    /// The provider does not give it. Answer 502.
    #[error("the provider does not give the file: {0}")]
    Refused(String),
    /// Too many files are being read or fetched. Answer 503.
    #[error("too many files are read or fetched at once")]
    Busy,
}

/// A folder of files, limited in size.
pub(crate) struct MediaStore {
    folder: Arc<Path>,
    bytes_max: u64,
    /// Number of the next unfinished file, which makes its name unique.
    next: AtomicU64,
    /// Bytes written since the last sweep.
    written: AtomicU64,
    /// One permit for each file that is being read.
    readers: Arc<Semaphore>,
}

impl MediaStore {
    pub(crate) fn new(folder: Arc<Path>, bytes_max: u64, readers_max: usize) -> Self {
        let readers = Arc::new(Semaphore::new(readers_max));
        Self { folder, bytes_max, next: AtomicU64::new(0), written: AtomicU64::new(0), readers }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name.get(..2).unwrap_or("00")).join(name)
    }

    /// Opens a file, if it is kept.
    ///
    /// # Errors
    ///
    /// Returns [`NoFile::Busy`] if too many files are being read, or it cannot be opened now.
    pub(crate) async fn open(&self, name: &str) -> Result<Option<MediaFile>, NoFile> {
        let path = self.path(name);
        let permit = self.readers.clone().try_acquire_owned().map_err(|_| NoFile::Busy)?;
        match spawn_blocking(move || open(&path)).await {
            Ok(Ok(Some((content_type, rest)))) => {
                let bytes = rest.left;
                let content = MediaContent::Kept(rest);
                Ok(Some(MediaFile { content_type, name: None, bytes, content, _permit: permit }))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a customer's file cannot be opened");
                Err(NoFile::Busy)
            }
            Err(_) => Err(NoFile::Busy),
        }
    }

    /// Writes a file. A failure is logged: the file is fetched again on demand.
    pub(crate) async fn write(&self, name: &str, file: &FetchedFile) {
        let path = self.path(name);
        let unfinished = path.with_extension(format!(
            "{}.{}.{UNFINISHED}",
            std::process::id(),
            self.next.fetch_add(1, Ordering::Relaxed)
        ));
        let plain: String = file.content_type.chars().filter(|c| !c.is_control()).collect();
        let first = plain.get(..TYPE_BYTES_MAX).unwrap_or(&plain).to_owned() + "\n";
        let octets = file.octets.clone();
        let size = octets.len() as u64;
        let written = spawn_blocking(move || -> io::Result<()> {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let whole = [first.as_bytes(), &octets].concat();
            fs::write(&unfinished, whole).and_then(|()| fs::rename(&unfinished, &path)).inspect_err(|_| {
                let _nothing_to_remove = fs::remove_file(&unfinished);
            })
        })
        .await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "a customer's file cannot be stored; it is fetched again on demand");
        }
        if self.written.fetch_add(size, Ordering::Relaxed).saturating_add(size) > self.bytes_max / 8 {
            self.sweep(None, Timestamp(u64::MAX)).await;
        }
    }

    /// Removes files older than `keep`, unfinished files, and then the oldest ones beyond the size
    /// limit.
    pub(crate) async fn sweep(&self, keep: Option<Duration>, now: Timestamp) {
        self.written.store(0, Ordering::Relaxed);
        let (folder, bytes_max) = (self.folder.clone(), self.bytes_max);
        let swept = spawn_blocking(move || sweep(&folder, bytes_max, keep, now)).await;
        if let Ok(Err(error)) = swept {
            tracing::warn!(%error, "customers' old files cannot be removed");
        }
    }
}

/// Age at which an unfinished file is removed.
const UNFINISHED_MS: u64 = 3_600_000;

fn sweep(folder: &Path, bytes_max: u64, keep: Option<Duration>, now: Timestamp) -> io::Result<()> {
    let mut all: Vec<(u64, u64, PathBuf)> = Vec::new();
    let folders = match fs::read_dir(folder) {
        Ok(folders) => folders,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for below in folders {
        let below = below?.path();
        if !below.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&below)? {
            let entry = entry?;
            let Ok(known) = entry.metadata() else { continue };
            let changed = known.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let at_ms = changed.and_then(|at| u64::try_from(at.as_millis()).ok()).unwrap_or(0);
            all.push((at_ms, known.len(), entry.path()));
        }
    }
    all.sort_unstable();
    let is_real = now.0 != u64::MAX;
    let keep_ms = keep.and_then(|keep| u64::try_from(keep.as_millis()).ok()).unwrap_or(u64::MAX);
    let mut total: u64 = all.iter().map(|(_, size, _)| size).sum();
    for (at_ms, size, path) in all {
        let age_ms = now.0.saturating_sub(at_ms);
        let unfinished = path.extension().is_some_and(|e| e == UNFINISHED);
        let is_old = is_real && (age_ms > keep_ms || unfinished && age_ms > UNFINISHED_MS);
        if is_old || total > bytes_max {
            fs::remove_file(&path)?;
            total = total.saturating_sub(size);
        }
    }
    Ok(())
}

/// Opens a file and reads its first line, the media type; `None` if that is damaged.
fn open(path: &Path) -> io::Result<Option<(Box<str>, RestOfFile)>> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut first = vec![0; TYPE_BYTES_MAX + 1];
    let filled = file.read_at(&mut first, 0)?;
    first.truncate(filled);
    let Some(end) = first.iter().position(|b| *b == b'\n') else { return Ok(None) };
    let Ok(content_type) = std::str::from_utf8(first.get(..end).unwrap_or_default()) else { return Ok(None) };
    let at = end as u64 + 1;
    Ok(Some((content_type.into(), RestOfFile { file: Arc::new(file), at, left: bytes.saturating_sub(at) })))
}

/// A file as the provider gave it.
pub(crate) struct FetchedFile {
    pub(crate) content_type: Box<str>,
    pub(crate) octets: Bytes,
}

/// A customer's file. Its content is read piece by piece; only one piece is in memory.
pub struct MediaFile {
    /// The media type.
    pub content_type: Box<str>,
    /// The file's name, if the provider gave one.
    pub name: Option<Box<str>>,
    /// The length of the content in bytes.
    pub bytes: u64,
    content: MediaContent,
    /// The right to read or fetch it.
    _permit: OwnedSemaphorePermit,
}

impl fmt::Debug for MediaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.content_type, self.bytes)
    }
}

enum MediaContent {
    /// On the disk.
    Kept(RestOfFile),
    /// In memory, because it could not be kept.
    Fetched(Bytes),
}

/// The part of an open file that was not read yet.
struct RestOfFile {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl MediaFile {
    /// Returns a file that was fetched and could not be kept; `slot` is the permit to fetch it.
    pub(crate) fn fetched(file: FetchedFile, slot: OwnedSemaphorePermit) -> Self {
        let FetchedFile { content_type, octets } = file;
        let bytes = octets.len() as u64;
        Self { content_type, name: None, bytes, content: MediaContent::Fetched(octets), _permit: slot }
    }

    /// Sets the name that the provider gave.
    pub(crate) fn named(self, name: Option<Box<str>>) -> Self {
        Self { name, ..self }
    }

    /// Returns the next piece of the content, of at most 64 KiB; `None` at its end.
    ///
    /// # Errors
    ///
    /// Returns an error if the disk does not give it.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.content {
            MediaContent::Fetched(octets) => {
                let piece = octets.split_to(octets.len().min(PIECE_BYTES));
                Ok(Some(piece).filter(|piece| !piece.is_empty()))
            }
            MediaContent::Kept(rest) if rest.left == 0 => Ok(None),
            MediaContent::Kept(rest) => {
                let (file, at) = (rest.file.clone(), rest.at);
                let wanted = usize::try_from(rest.left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                let piece = spawn_blocking(move || {
                    let mut piece = vec![0; wanted];
                    file.read_exact_at(&mut piece, at).map(|()| piece)
                });
                let piece = piece.await.map_err(io::Error::other)??;
                rest.at += piece.len() as u64;
                rest.left = rest.left.saturating_sub(piece.len() as u64);
                Ok(Some(piece.into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(octets: &[u8]) -> FetchedFile {
        FetchedFile { content_type: "image/png".into(), octets: octets.to_vec().into() }
    }

    async fn read(store: &MediaStore, name: &str) -> Option<(Box<str>, Vec<u8>)> {
        let mut file = store.open(name).await.unwrap()?;
        let mut all = Vec::new();
        while let Some(piece) = file.next().await.unwrap() {
            assert!(piece.len() <= PIECE_BYTES);
            all.extend_from_slice(&piece);
        }
        assert_eq!(all.len() as u64, file.bytes);
        Some((file.content_type, all))
    }

    #[tokio::test]
    async fn few_files_are_read_at_once_and_never_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = MediaStore::new(folder.path().into(), 1 << 20, 2);
        let octets: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        store.write("aabb", &file(&octets)).await;
        let first = store.open("aabb").await.unwrap();
        assert_eq!(read(&store, "aabb").await.unwrap().1, octets);
        let second = store.open("aabb").await.unwrap();
        assert_eq!(store.open("aabb").await.unwrap_err(), NoFile::Busy);
        drop((first, second));
        assert!(store.open("aabb").await.is_ok());
    }

    #[tokio::test]
    async fn files_are_kept_whole_and_the_oldest_make_room() {
        let folder = std::env::temp_dir().join(format!("patchbay-media-{}", std::process::id()));
        let store = MediaStore::new(folder.as_path().into(), 1_000, 4);
        assert_eq!(read(&store, "aabb").await, None);
        store.write("aabb", &file(b"\nline\n")).await;
        assert_eq!(read(&store, "aabb").await, Some(("image/png".into(), b"\nline\n".to_vec())));
        fs::write(folder.join("aa").join("aabc.1.2.tmp"), "half").unwrap();
        for n in 0..12 {
            store.write(&format!("bb{n:02}"), &file(&[n; 110])).await;
            // Makes the next one younger, also on a disk with coarse timestamps.
            tokio::time::sleep(Duration::from_millis(12)).await;
        }
        assert_eq!(read(&store, "aabb").await, None, "the oldest made room");
        assert!(read(&store, "bb11").await.is_some());
        let later = Timestamp(u64::MAX / 2);
        store.sweep(Some(Duration::from_secs(60)), later).await;
        assert_eq!(read(&store, "bb11").await, None, "what is old is removed");
        assert!(!folder.join("aa").join("aabc.1.2.tmp").exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
