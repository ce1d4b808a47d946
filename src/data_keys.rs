//! The keys of a data folder: one signs the URLs of customers' files, the other makes session ids
//! unpredictable. Each is generated once and kept in the folder, readable by its owner only.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

use message::address::StreamKey;

const MEDIA_FILE: &str = "media.key";
const STREAM_FILE: &str = "stream.key";
const KEY_BYTES: usize = 32;

type DataKey = [u8; KEY_BYTES];

/// Returns the key of the URLs of files; generates it on the first call.
///
/// # Errors
/// The key cannot be read or written, or is damaged.
pub(crate) fn media(folder: &Path) -> io::Result<Arc<[u8]>> {
    let fix = "delete it to create a new one (URLs of files handed out so far become invalid)";
    let known = read(folder, MEDIA_FILE, fix)?;
    Ok(known.map_or_else(|| generate(folder, MEDIA_FILE), Ok)?.to_vec().into())
}

/// Returns the key of the log's streams; generates it for a log that has no event.
///
/// # Errors
/// The key cannot be read or written, is damaged, or is missing beside a log that was written with
/// one.
pub(crate) fn stream(folder: &Path, is_log_empty: bool) -> io::Result<StreamKey> {
    let known = read(folder, STREAM_FILE, "restore it from the backup of the folder")?;
    match known {
        Some(key) => Ok(StreamKey::new(key)),
        None if is_log_empty => generate(folder, STREAM_FILE).map(StreamKey::new),
        None => {
            let text = format!(
                "{} is missing: without it the sessions in the log cannot be found; restore it from the backup of the folder",
                folder.join(STREAM_FILE).display()
            );
            Err(io::Error::new(io::ErrorKind::NotFound, text))
        }
    }
}

fn read(folder: &Path, file: &str, fix: &str) -> io::Result<Option<DataKey>> {
    let path = folder.join(file);
    match fs::read(&path) {
        Ok(key) => key.try_into().map(Some).map_err(|_| {
            let text = format!("{} is damaged; {fix}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// Draws a key and writes it so that it survives a power cut.
fn generate(folder: &Path, file: &str) -> io::Result<DataKey> {
    let path = folder.join(file);
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
    fs::File::open(folder)?.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use message::Address;

    use super::*;

    #[test]
    fn a_key_is_drawn_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let key = media(folder.path()).unwrap();
        assert_eq!(media(folder.path()).unwrap(), key);
        assert_ne!(&*key, [0; KEY_BYTES]);
        let mode = fs::metadata(folder.path().join(MEDIA_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(folder.path().join(MEDIA_FILE), "short").unwrap();
        assert!(media(folder.path()).is_err());
    }
    #[test]
    fn a_log_is_not_opened_without_the_key_with_which_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let missing = stream(folder.path(), false).unwrap_err().to_string();
        assert!(missing.contains("stream.key is missing") && missing.contains("backup"), "{missing}");
        let address = Address { channel: "sms".into(), did: "5155".into(), customer: "4917600000001".into() };
        let drawn = address.stream(&stream(folder.path(), true).unwrap());
        assert_eq!(address.stream(&stream(folder.path(), false).unwrap()), drawn);
        fs::write(folder.path().join(STREAM_FILE), "short").unwrap();
        let damaged = stream(folder.path(), true).unwrap_err().to_string();
        assert!(damaged.contains("damaged") && !damaged.contains("delete"), "{damaged}");
    }
}
