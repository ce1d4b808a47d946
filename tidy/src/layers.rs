//! The layers of each crate. A file may import its own layer and those below, never one above.

use std::collections::BTreeSet;

use crate::{
    imports::Import,
    source::{PACKAGES, SourceFile},
};

/// Each crate's layers from the top down; layers in one row may not import each other.
///
/// A layer is a folder or file directly below `src`, without `.rs`. `lib` and `main` may import
/// everything and nothing may import them: definitions do not belong there.
pub const LAYERS: &[(&str, &[&[&str]])] = &[
    (
        "simulators",
        &[&["rest"], &["engine"], &["provider"], &["family"], &["contract", "smsc"], &["toolkit"]],
    ),
    (
        "actors",
        &[
            &["entry"],
            &["actor"],
            &["context"],
            &["protocol"],
            &["view"],
            &["history"],
            &["domain"],
            &["config", "seams"],
            &["egress", "error", "sabotage"],
        ],
    ),
    ("tidy", &[&["figures"], &["layers", "language", "names"], &["imports", "graph"], &["source"]]),
    (
        "message",
        &[
            &["cim", "snapshot"],
            &["failure"],
            &["event"],
            &["address", "content", "counters", "status"],
            &["id"],
        ],
    ),
    (
        "channels",
        &[&["provider"], &["family", "adapt"], &["toolkit"], &["contract"], &["smpp"], &["text", "address"]],
    ),
    (
        "storage",
        &[
            &["log", "engine"],
            &["index"],
            &["lookup"],
            &["sorted"],
            &["block"],
            &["disk"],
            &["codec"],
            &["error", "options"],
            &["item", "bytes", "hash"],
            &["invariants"],
        ],
    ),
    (
        "patchbay",
        &[
            &["cli"],
            &["run"],
            &["http"],
            &["ui"],
            &["seams", "telemetry", "descriptors", "data_folder", "data_keys"],
            &["config", "console", "instant"],
        ],
    ),
];

/// An import that runs against the layers.
#[derive(Debug)]
pub struct Breach {
    /// The importing file.
    pub from: String,
    /// The imported file.
    pub to: String,
    /// The path as written.
    pub name: String,
    /// Why it is refused.
    pub reason: String,
}

/// Returns the imports, in crates listed in [`LAYERS`], that run upwards or sideways, and those
/// from or to a layer that the table does not list.
pub fn breaches(files: &[SourceFile], imports: &BTreeSet<Import>) -> Vec<Breach> {
    breaches_of(LAYERS, files, imports)
}

/// Returns the imports that run against `table`, in the form of [`LAYERS`].
pub fn breaches_of(
    table: &[(&str, &[&[&str]])],
    files: &[SourceFile],
    imports: &BTreeSet<Import>,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for import in imports {
        let (Some(from), Some(to)) = (files.get(import.from), files.get(import.to)) else { continue };
        let Some(package) = from.package.and_then(|at| PACKAGES.get(at)) else { continue };
        let Some((_, rows)) = table.iter().find(|(name, _)| *name == package.name) else { continue };
        if let Some(reason) = refusal(rows, layer(from), layer(to)) {
            let (from, to) = (from.path.clone(), to.path.clone());
            breaches.push(Breach { from, to, name: import.name.clone(), reason });
        }
    }
    breaches
}

/// Returns the folder or file below `src` in which a file stands; `lib` for the crate's root.
pub fn layer(file: &SourceFile) -> &str {
    file.module.first().map_or("lib", String::as_str)
}

fn refusal(rows: &[&[&str]], from: &str, to: &str) -> Option<String> {
    if from == to || from == "lib" {
        return None;
    }
    if to == "lib" {
        return Some("the crate's root defines what a layer uses".to_owned());
    }
    let row = |layer: &str| rows.iter().position(|row| row.contains(&layer));
    match (row(from), row(to)) {
        (None, _) => Some(format!("{from} is not in the crate's table of layers")),
        (_, None) => Some(format!("{to} is not in the crate's table of layers")),
        (Some(upper), Some(lower)) if upper < lower => None,
        (Some(upper), Some(lower)) if upper == lower => Some(format!("{from} and {to} stand side by side")),
        _ => Some(format!("{to} stands above {from}")),
    }
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn an_import_runs_down() {
        let rows: &[&[&str]] = &[&["actor"], &["view", "history"], &["domain"]];
        assert_eq!(refusal(rows, "actor", "domain"), None);
        assert_eq!(refusal(rows, "domain", "domain"), None);
        assert!(refusal(rows, "domain", "actor").is_some());
        assert!(refusal(rows, "view", "history").is_some());
        assert!(refusal(rows, "domain", "lib").is_some());
        assert!(refusal(rows, "stray", "domain").is_some());
    }
}
