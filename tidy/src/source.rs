//! The source files of a checkout, parsed, each with its crate and its module path.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// One crate of the workspace: where its library lies.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Its name in paths of other crates.
    pub name: &'static str,
    /// The folder of its `lib.rs`, from the workspace's root.
    pub src: &'static str,
}

/// The crates whose structure is checked.
pub const PACKAGES: &[Package] = &[
    Package { name: "message", src: "message/src" },
    Package { name: "channels", src: "channels/src" },
    Package { name: "storage", src: "storage/src" },
    Package { name: "actors", src: "actors/src" },
    Package { name: "simulators", src: "simulators/src" },
    Package { name: "patchbay", src: "src" },
    Package { name: "tidy", src: "tidy/src" },
];

/// A Rust file.
pub struct SourceFile {
    /// From the workspace's root, with `/`.
    pub path: String,
    /// The file as it was read.
    pub text: String,
    /// The crate whose `src` holds it, as an index of [`PACKAGES`]; `None` for tests, benches and
    /// build scripts.
    pub package: Option<usize>,
    /// The module path inside the crate: `["domain", "rate"]`; empty for `lib.rs`.
    pub module: Vec<String>,
    /// Whether it is compiled for tests only.
    pub test_only: bool,
    /// The parsed text.
    pub syntax: syn::File,
}

/// Reads all Rust files that git tracks, or would, below `root`.
///
/// # Errors
///
/// Fails when git cannot list the files, when one cannot be read, or when one is not valid Rust.
pub fn read(root: &Path) -> io::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for path in tracked(root)? {
        if !path.ends_with(".rs") || !root.join(&path).is_file() {
            continue;
        }
        let text = fs::read_to_string(root.join(&path))?;
        let syntax = syn::parse_file(&text).map_err(|e| io::Error::other(format!("{path}: {e}")))?;
        let place = PACKAGES.iter().position(|package| is_below(&path, package.src));
        let module = place.and_then(|at| PACKAGES.get(at)).map(|package| module_of(&path, package.src));
        files.push(SourceFile {
            test_only: place.is_none() || is_test_file(&path),
            package: place,
            module: module.unwrap_or_default(),
            path,
            text,
            syntax,
        });
    }
    let declared = test_modules(&files);
    for file in &mut files {
        let is_declared = |(package, module): &(Option<usize>, Vec<String>)| {
            file.package == *package && file.module.starts_with(module)
        };
        file.test_only |= declared.iter().any(is_declared);
    }
    Ok(files)
}

/// Lists the files of a checkout: tracked ones, and new ones that are not ignored.
///
/// # Errors
///
/// Fails when git does.
pub fn tracked(root: &Path) -> io::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let mut paths: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    paths.retain(|path| root.join(path).exists());
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Returns the workspace's root: the parent of this crate's folder.
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn module_of(path: &str, src: &str) -> Vec<String> {
    let inner = path.strip_prefix(src).unwrap_or(path).trim_start_matches('/').trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// Modules declared under `#[cfg(test)]`.
fn test_modules(files: &[SourceFile]) -> Vec<(Option<usize>, Vec<String>)> {
    let mut modules = Vec::new();
    for file in files.iter().filter(|file| file.package.is_some()) {
        for item in &file.syntax.items {
            if let syn::Item::Mod(declared) = item
                && is_test(&declared.attrs)
                && declared.content.is_none()
            {
                let mut module = file.module.clone();
                module.push(declared.ident.to_string());
                modules.push((file.package, module));
            }
        }
    }
    modules
}

/// Whether an item's attributes limit it to tests.
pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}
