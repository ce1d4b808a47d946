//! Whole files and folders that survive a power cut. What is here knows nothing of what the files hold.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use crate::{disk::seam::NextPart, error::EngineError};

/// Has a folder's list of files survive a power cut.
pub(crate) fn sync_folder(path: &Path) -> Result<(), EngineError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| EngineError::new(format!("sync folder {}", path.display()), e))
}

/// Writes a whole file: after this returns it is all there, before it nothing is.
pub(crate) fn write_whole(folder: &Path, file: &str, bytes: &[u8]) -> Result<(), EngineError> {
    let mut part = Some(bytes.to_vec());
    write_parts(folder, file, &mut || Ok(part.take()))
}

/// The same of parts, each synced before the next is asked for, so that commits meanwhile find the disk free.
pub(crate) fn write_parts(folder: &Path, file: &str, next: &mut NextPart<'_>) -> Result<(), EngineError> {
    let (path, unfinished) = (folder.join(file), folder.join(format!("{file}.part")));
    let fail = |e: io::Error| EngineError::new(format!("write {}", path.display()), e);
    let mut to = File::create(&unfinished).map_err(fail)?;
    while let Some(part) = next()? {
        to.write_all(&part).and_then(|()| to.sync_data()).map_err(fail)?;
    }
    to.sync_all().and_then(|()| fs::rename(&unfinished, &path)).map_err(fail)?;
    sync_folder(folder)
}
