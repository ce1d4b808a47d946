//! Customers' files on the disk: one file each, written whole or not at all. Every file can be
//! fetched again, so nothing is fsynced, and a file that cannot be read counts as missing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use message::Timestamp;
use tokio::task::spawn_blocking;

/// Maximum length of a stored media type, in bytes; a longer one is cut.
const TYPE_BYTES_MAX: usize = 256;
/// Extension of files that are being written.
const UNFINISHED: &str = "tmp";

/// A folder of files, limited in size.
pub(crate) struct MediaStore {
    folder: Arc<Path>,
    bytes_max: u64,
    /// Number of the next unfinished file, which makes its name unique.
    next: AtomicU64,
    /// Bytes written since the last sweep.
    written: AtomicU64,
}

impl MediaStore {
    pub(crate) fn new(folder: Arc<Path>, bytes_max: u64) -> Self {
        Self { folder, bytes_max, next: AtomicU64::new(0), written: AtomicU64::new(0) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name.get(..2).unwrap_or("00")).join(name)
    }

    /// Reads a file, if it is kept.
    pub(crate) async fn read(&self, name: &str) -> Option<MediaFile> {
        let path = self.path(name);
        let octets = spawn_blocking(move || fs::read(path)).await.ok()?.ok()?;
        let octets = Bytes::from(octets);
        let end = octets.iter().take(TYPE_BYTES_MAX + 1).position(|b| *b == b'\n')?;
        let content_type = std::str::from_utf8(octets.get(..end)?).ok()?.into();
        Some(MediaFile { content_type, name: None, octets: octets.slice(end + 1..) })
    }

    /// Writes a file. A failure is logged: the file is fetched again on demand.
    pub(crate) async fn write(&self, name: &str, file: &MediaFile) {
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

/// A customer's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaFile {
    /// The media type.
    pub content_type: Box<str>,
    /// The file's name, if the provider gave one.
    pub name: Option<Box<str>>,
    /// The content.
    pub octets: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(octets: &[u8]) -> MediaFile {
        MediaFile { content_type: "image/png".into(), name: None, octets: octets.to_vec().into() }
    }

    #[tokio::test]
    async fn files_are_kept_whole_and_the_oldest_make_room() {
        let folder = std::env::temp_dir().join(format!("patchbay-media-{}", std::process::id()));
        let store = MediaStore::new(folder.as_path().into(), 1_000);
        assert_eq!(store.read("aabb").await, None);
        store.write("aabb", &file(b"\nline\n")).await;
        assert_eq!(store.read("aabb").await, Some(file(b"\nline\n")));
        fs::write(folder.join("aa").join("aabc.1.2.tmp"), "half").unwrap();
        for n in 0..12 {
            store.write(&format!("bb{n:02}"), &file(&[n; 110])).await;
            // Makes the next one younger, also on a disk with coarse timestamps.
            tokio::time::sleep(Duration::from_millis(12)).await;
        }
        assert_eq!(store.read("aabb").await, None, "the oldest made room");
        assert!(store.read("bb11").await.is_some());
        let later = Timestamp(u64::MAX / 2);
        store.sweep(Some(Duration::from_secs(60)), later).await;
        assert_eq!(store.read("bb11").await, None, "what is old is removed");
        assert!(!folder.join("aa").join("aabc.1.2.tmp").exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
