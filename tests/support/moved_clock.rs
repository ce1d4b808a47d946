//! A wall clock of one process that a test moves, by a small library that is loaded before the C
//! library.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Setup, peer};

/// The clock; its file is gone with it.
pub(crate) struct MovedClock {
    folder: tempfile::TempDir,
    file: File,
}

impl MovedClock {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("offset")).unwrap();
        let this = Self { folder, file };
        this.move_to(0);
        this
    }

    /// Sets by how many seconds the process is ahead.
    pub(crate) fn move_to(&self, seconds: i64) {
        self.file.write_all_at(&(seconds * 1_000_000_000).to_le_bytes(), 0).unwrap();
    }

    /// Has the process started with this clock.
    pub(crate) fn of(&self, setup: Setup) -> Setup {
        let offset = self.folder.path().join("offset");
        setup
            .environment("LD_PRELOAD", library().to_str().unwrap())
            .environment("CLOCK_OFFSET", offset.to_str().unwrap())
    }
}

/// Returns the library, compiled once.
fn library() -> PathBuf {
    let folder = peer::installed("clock", &["clock.c"], |folder| {
        let mut cc = Command::new("cc");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/clock.c");
        cc.args(["-shared", "-fPIC", "-O1", "-o", "clock.so"]).arg(source).current_dir(folder);
        cc
    });
    folder.join("clock.so")
}
