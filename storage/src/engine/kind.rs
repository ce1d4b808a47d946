//! The choice of an engine, and how a log directory remembers it.

use std::{fmt, fs, io, path::Path, str::FromStr};

use crate::{
    disk::{descriptors::with_descriptor, files::write_whole},
    error::EngineError,
};

/// The file in a log directory that names the engine of its blocks.
const FILE: &str = "engine";

/// Where a log keeps its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    /// A sled tree for each segment.
    #[default]
    Sled,
    /// An append-only file for each segment.
    File,
}

impl EngineKind {
    /// All engines.
    pub const ALL: [Self; 2] = [Self::Sled, Self::File];

    /// Returns the engine's name, as in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::File => "file",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not an engine's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a valid engine: expected \"sled\" or \"file\"")]
pub struct UnknownEngine(pub String);

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| UnknownEngine(name.to_owned()))
    }
}

/// Returns the engine that a log directory was created with; `None` if the directory does not say,
/// or is damaged there.
pub(crate) fn remembered(root: &Path) -> Result<Option<EngineKind>, EngineError> {
    let path = root.join(FILE);
    match with_descriptor(|| fs::read(&path)) {
        Ok(name) => Ok(str::from_utf8(&name).ok().and_then(|name| name.trim().parse().ok())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(EngineError::new(format!("read {}", path.display()), e)),
    }
}

/// Records the engine of a log directory.
pub(crate) fn remember(root: &Path, kind: EngineKind) -> Result<(), EngineError> {
    write_whole(root, FILE, format!("{kind}\n").as_bytes())
}
