//! The configuration file. The text is read once and becomes types. All problems are reported
//! together, each with its line and key; an unknown key is an error.

mod calls;
mod channel;
mod check;
mod inventory;
mod manifest;
pub mod pem;
mod plan;
mod problem;
mod secret;
mod section;
mod settings;
mod shared;
mod signing;
#[cfg(test)]
mod tests;

use std::{fs, path::Path};

pub use inventory::Inventory;
pub use plan::{Changes, Plan, plan};
pub use problem::ConfigError;
pub use settings::{AdminSettings, ApiKey, EdgeLimits, HttpSettings, LogSettings, Settings, Tls};

/// The largest configuration file that is read, in bytes. Larger files are rejected.
const CONFIG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads and checks a configuration file.
///
/// # Errors
/// Every problem of the file.
pub fn load(path: &Path) -> Result<Settings, ConfigError> {
    let file = path.display().to_string();
    let whole = |text: String| ConfigError { file: file.clone(), problems: vec![(0, text)] };
    let size = fs::metadata(path).map_err(|e| whole(cannot_read(&e)))?.len();
    if size > CONFIG_BYTES_MAX {
        return Err(whole(format!("the file has {size} bytes; at most {CONFIG_BYTES_MAX} are allowed")));
    }
    let text = fs::read_to_string(path).map_err(|e| whole(cannot_read(&e)))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let settings = parse(&text, &file, folder)?;
    Ok(Settings { file: Some(path.to_owned()), ..settings })
}

fn cannot_read(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "the file does not exist; name one with --config, or try `patchbay demo`, which needs none".into()
        }
        _ => format!("cannot be read: {error}"),
    }
}

/// Checks the text of a configuration. `file` is the name used in messages; relative paths start at
/// `folder`.
///
/// # Errors
/// Every problem of the text.
pub fn parse(text: &str, file: &str, folder: &Path) -> Result<Settings, ConfigError> {
    check::settings(text, file, folder)
}
