//! `patchbay log` on a log's folder. Runs in a separate process: a neighbouring test that starts a
//! process would inherit this one's lock for a moment.

#[path = "support/command_line.rs"]
mod command_line;

use command_line::check;
use storage::{DiskEngine, EngineKind, Log, Options};

#[test]
fn a_log_is_looked_into_only_when_nobody_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (log, _) =
        Log::open(DiskEngine::open(&data, EngineKind::default()).unwrap(), Options::default()).unwrap();
    for what in ["verify", "stats", "export"] {
        check(folder.path(), &["log", what, "--data-dir", "data"], 1, "in use by another process");
    }
    log.close().unwrap();
    check(folder.path(), &["log", "verify", "--data-dir", "data"], 0, "0 events");
    check(folder.path(), &["log", "verify", "--data-dir", "data", "--json"], 0, "\"sound\":true");
    check(folder.path(), &["log", "stats", "--data-dir", "data"], 0, "committed");
    check(folder.path(), &["log", "export", "--data-dir", "data"], 0, "");
}
