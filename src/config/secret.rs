//! Secrets: `env:NAME`, `file:PATH` or literal. Errors name the variable or the file, never a
//! value.

use std::{fs, io::Read, path::Path};

use secrecy::SecretString;

/// The largest secret file that is read, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Resolves a secret. A file's path is relative to `folder`; its trailing line break is dropped.
///
/// # Errors
/// Says which variable or file is missing or empty.
pub(super) fn resolve(text: &str, folder: &Path) -> Result<SecretString, String> {
    let value = if let Some(name) = text.strip_prefix("env:") {
        match std::env::var(name) {
            Ok(value) => value,
            Err(std::env::VarError::NotPresent) => {
                return Err(format!(
                    "the environment variable {name} is not set; set it or use \"file:PATH\""
                ));
            }
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(format!("the environment variable {name} is not valid UTF-8"));
            }
        }
    } else if let Some(path) = text.strip_prefix("file:") {
        read_file(&folder.join(path))?
    } else {
        text.to_owned()
    };
    if value.is_empty() {
        return Err("the secret is empty".into());
    }
    Ok(value.into())
}

fn read_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let file = fs::File::open(path).map_err(|e| format!("cannot read the secret file {shown}: {e}"))?;
    let mut text = String::new();
    let read = file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let bytes = read.map_err(|e| format!("cannot read the secret file {shown}: {e}"))? as u64;
    if bytes > SECRET_FILE_BYTES_MAX {
        return Err(format!("the secret file {shown} is larger than {SECRET_FILE_BYTES_MAX} bytes"));
    }
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    Ok(text)
}
