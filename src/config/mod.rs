//! `config.toml`, checked: text is read once, here, and becomes types; nothing is looked up by name later.
//! All problems of a file are told at once, each with its line and key. A key nobody knows is an error.

mod calls;
mod channel;
mod check;
mod manifest;
mod problem;
mod secret;
mod section;
mod settings;
#[cfg(test)]
mod tests;

use std::{fs, path::Path};

pub use problem::ConfigError;
pub use settings::{Admin, ApiKey, EdgeLimits, Http, LogSettings, Settings, Tls};

/// The largest configuration file that is read, in bytes.
const CONFIG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads and checks a configuration file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<Settings, ConfigError> {
    let file = path.display().to_string();
    let whole = |text: String| ConfigError { file: file.clone(), problems: vec![(0, text)] };
    let size = fs::metadata(path).map_err(|e| whole(cannot_read(&e)))?.len();
    if size > CONFIG_BYTES_MAX {
        return Err(whole(format!("is {size} bytes; a configuration has at most {CONFIG_BYTES_MAX}")));
    }
    let text = fs::read_to_string(path).map_err(|e| whole(cannot_read(&e)))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, &file, folder)
}

fn cannot_read(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "there is no such file; name one with --config, or try `patchbay demo` which needs none".into()
        }
        _ => format!("cannot be read: {error}"),
    }
}

/// Checks a configuration's text. `file` is its name for people; relative paths are below `folder`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str, file: &str, folder: &Path) -> Result<Settings, ConfigError> {
    check::settings(text, file, folder)
}
