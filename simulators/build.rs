//! Collects the `[simulator]` tables of `channels/fixtures/*.toml`, so that a provider described
//! there needs no edit in this crate. Only cuts text out; `family/described` reads and checks it.

#![allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../channels/fixtures");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    files.sort();
    let mut code = String::from("&[\n");
    for path in files {
        let name =
            path.file_stem().and_then(|stem| stem.to_str()).ok_or("a fixture file needs a UTF-8 name")?;
        let text = description(&fs::read_to_string(&path)?);
        if !text.is_empty() {
            writeln!(code, "    Source {{ name: {name:?}, text: {text:?} }},")?;
        }
    }
    code.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("descriptions.rs"), code)?;
    Ok(())
}

/// Returns the lines of the `[simulator]` tables, and a line `include` that stands above all
/// tables.
fn description(file: &str) -> String {
    let mut wanted = false;
    let mut in_table = false;
    let mut text = String::new();
    for line in file.lines() {
        if line.starts_with('[') {
            let header = line.trim_start_matches('[');
            wanted = header.starts_with("simulator]") || header.starts_with("simulator.");
            in_table = true;
        }
        if wanted || (!in_table && line.starts_with("include")) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}
