//! Counts and reports files that were damaged and are rebuilt from the blocks.

use std::{
    fmt::Display,
    sync::atomic::{AtomicU64, Ordering},
};

/// The repairs of one log since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    files: AtomicU64,
}

impl Repairs {
    /// Reports that a file is rebuilt.
    pub(crate) fn report(&self, damage: &dyn Display) {
        self.files.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%damage, "a damaged file is rebuilt from the blocks");
    }

    /// The number of files so far.
    pub(crate) fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }
}
