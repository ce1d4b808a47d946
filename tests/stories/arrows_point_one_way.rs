//! The workspace's dependencies point one way, and its inner crates are free of IO, according to
//! `cargo tree`.

use std::{collections::BTreeSet, process::Command};

/// Returns the direct and indirect dependencies of a crate's build, without development
/// dependencies.
fn needs(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{lib}",
        ])
        .args(["--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn as_the_design_says() {
    let rooms = ["message", "channels", "storage", "actors", "simulators", "patchbay"];
    let allowed: [(&str, &[&str]); 5] = [
        ("message", &[]),
        ("channels", &["message"]),
        ("storage", &["message"]),
        ("actors", &["message", "channels", "storage"]),
        ("simulators", &["message", "channels"]),
    ];
    for (room, allowed) in allowed {
        let needs = needs(room);
        for other in rooms.iter().filter(|other| **other != room && !allowed.contains(other)) {
            assert!(!needs.contains(*other), "{room} must not need {other}");
        }
    }
}

#[test]
fn what_is_pure_needs_no_runtime_and_no_sockets() {
    for room in ["message", "channels"] {
        let needs = needs(room);
        for io in [
            "tokio",
            "mio",
            "socket2",
            "hyper",
            "axum",
            "reqwest",
            "rustls",
            "sled",
            "ractor",
            "async_std",
            "futures",
            "rustix",
        ] {
            assert!(!needs.contains(io), "{room} must not need {io}: {needs:?}");
        }
    }
    assert!(
        needs("actors").is_superset(&["tokio", "ractor", "sled"].map(str::to_owned).into()),
        "it can be seen"
    );
    let storage = needs("storage");
    for net in ["tokio", "mio", "hyper", "axum", "rustls", "ractor"] {
        assert!(!storage.contains(net), "storage must not need {net}");
    }
}

#[test]
fn sled_and_bincode_are_named_in_one_file_each() {
    let sources = |folder: &str| {
        let mut all = Vec::new();
        let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    all.push(path);
                }
            }
        }
        all
    };
    for folder in ["message/src", "channels/src", "storage/src", "actors/src", "simulators/src", "src"] {
        for path in sources(folder) {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(name == "sled_blocks.rs" || !text.contains("sled::"), "{path:?} names sled");
            assert!(name == "codec.rs" || !text.contains("bincode::"), "{path:?} names bincode");
        }
    }
}
