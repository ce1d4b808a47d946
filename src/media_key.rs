//! The key that signs the URLs of customers' files. It is generated once and kept in the data
//! folder, readable by its owner only.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

const FILE: &str = "media.key";
const KEY_BYTES: usize = 32;

/// Returns the key of a folder; generates it on the first call.
///
/// # Errors
/// The key cannot be read or written, or is damaged.
pub(crate) fn in_folder(folder: &Path) -> io::Result<Arc<[u8]>> {
    let path = folder.join(FILE);
    match fs::read(&path) {
        Ok(key) if key.len() == KEY_BYTES => return Ok(key.into()),
        Ok(_) => {
            let text = format!(
                "{} is damaged; delete it to create a new one (URLs of files handed out so far become invalid)",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = [0; KEY_BYTES];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut key)
        .map_err(|_| io::Error::other("the system's random numbers are not available"))?;
    fs::create_dir_all(folder)?;
    let unfinished = path.with_extension("key.new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&unfinished, &path)?;
    // Without it, a power cut could take the key back after files were signed with it.
    File::open(folder)?.sync_all()?;
    Ok(key.to_vec().into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_drawn_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let key = in_folder(folder.path()).unwrap();
        assert_eq!(in_folder(folder.path()).unwrap(), key);
        assert_ne!(&*key, [0; KEY_BYTES]);
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(folder.path().join(FILE), "short").unwrap();
        assert!(in_folder(folder.path()).is_err());
    }
}
