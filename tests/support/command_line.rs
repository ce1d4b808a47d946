//! Runs the binary once and looks at its exit code and its words.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Runs it, checks exit code and a piece of what is told, and gives back all of that.
#[track_caller]
pub(crate) fn check(folder: &Path, arguments: &[&str], code: i32, told: &str) -> String {
    let (found, all) = run(folder, arguments);
    assert_eq!(found, Some(code), "{arguments:?}\n{all}");
    assert!(all.contains(told), "{arguments:?} does not tell {told:?}:\n{all}");
    all
}

/// Runs it, and gives back its exit code and all that it told.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay"));
    for name in
        ["PATCHBAY_CONFIG", "PATCHBAY_URL", "PATCHBAY_API_KEY", "PATCHBAY_ADMIN_URL", "PATCHBAY_ADMIN_TOKEN"]
    {
        command.env_remove(name);
    }
    let output = match command.current_dir(folder).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(e) => unreachable!("the binary cannot be started: {e}"),
    };
    let all =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), all)
}
