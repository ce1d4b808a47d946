//! `patchbay demo --once`, as a newcomer runs it: no configuration, no account, free ports; both talks there and
//! back with their receipts, then an orderly end.

#[path = "support/command_line.rs"]
mod command_line;

use command_line::check;

#[test]
fn the_demo_ends_with_0_after_its_round_trips() {
    let folder = tempfile::tempdir().unwrap();
    let told = check(folder.path(), &["demo", "--once", "--patience", "60s"], 0, "All round trips worked.");
    for part in [
        "logged in (SMPP bind)",
        "receipt: the answer to +4917600000001 is DELIVERED",
        "SMS to +4917600000002 in 3 parts",
        "receipt: the answer to +4917600000002 is DELIVERED",
        "open http://127.0.0.1:",
    ] {
        assert!(told.contains(part), "the demo does not tell {part:?}:\n{told}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "it leaves nothing behind");
}
