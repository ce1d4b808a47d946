//! Imports between the files of a crate, read from `use` items and from paths in code.
//!
//! A path is followed through re-exports to the file that defines the name, so that a folder's
//! `mod.rs` is not taken for the definition. Code for tests does not count.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use crate::source::{SourceFile, is_test};

/// Maximum number of re-exports followed in a row; the file met then counts as the definition.
const REEXPORTS_MAX: usize = 8;

/// An import: `from` names `name`, which `to` defines. Places in the list of files.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Import {
    /// The file that imports.
    pub from: usize,
    /// The file that defines.
    pub to: usize,
    /// The name, for messages.
    pub name: String,
}

/// Returns every import between two files of the same crate.
pub fn imports(files: &[SourceFile]) -> BTreeSet<Import> {
    let crates = Modules::new(files);
    let mut found = BTreeSet::new();
    for (from, file) in files.iter().enumerate() {
        let Some(package) = file.package.filter(|_| !file.test_only) else { continue };
        let mut paths = Paths::default();
        paths.visit_file(&file.syntax);
        for (inner, path) in paths.found {
            let module: Vec<String> = file.module.iter().cloned().chain(inner).collect();
            let Some(absolute) = crates.absolute(package, &module, &path) else { continue };
            if let Some(to) = crates.definition(package, &absolute, REEXPORTS_MAX)
                && to != from
            {
                found.insert(Import { from, to, name: path.join("::") });
            }
        }
    }
    found
}

/// Turns a path that begins with `crate`, `self` or `super` into one from the crate's root.
fn prefixed(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut rest = path;
    let mut base: Vec<String> = match path.first().map(String::as_str)? {
        "crate" => {
            rest = rest.get(1..)?;
            Vec::new()
        }
        "self" => {
            rest = rest.get(1..)?;
            module.to_vec()
        }
        "super" => module.to_vec(),
        _ => return None,
    };
    while rest.first().is_some_and(|part| part == "super") {
        base.pop();
        rest = rest.get(1..)?;
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

/// The modules of every crate, and the names that each one hands on from elsewhere.
struct Modules {
    files: BTreeMap<(usize, Vec<String>), usize>,
    reexports: BTreeMap<(usize, Vec<String>, String), Vec<String>>,
}

impl Modules {
    fn new(files: &[SourceFile]) -> Self {
        let mut modules = Self { files: BTreeMap::new(), reexports: BTreeMap::new() };
        for (at, file) in files.iter().enumerate() {
            let Some(package) = file.package else { continue };
            modules.files.insert((package, file.module.clone()), at);
        }
        for file in files {
            let Some(package) = file.package else { continue };
            for item in &file.syntax.items {
                if let syn::Item::Use(item) = item
                    && !matches!(item.vis, syn::Visibility::Inherited)
                {
                    modules.add_reexports(package, file, &item.tree);
                }
            }
        }
        modules
    }

    fn add_reexports(&mut self, package: usize, file: &SourceFile, tree: &syn::UseTree) {
        let mut leaves = Vec::new();
        flatten(tree, &mut Vec::new(), &mut leaves);
        for (path, name) in leaves {
            if let Some(base) = self.absolute(package, &file.module, &path) {
                self.reexports.insert((package, file.module.clone(), name), base);
            }
        }
    }

    /// Turns a path as written in `module` into one from the crate's root. A path without a prefix
    /// starts at a child module; otherwise it leads to another crate or to a local name.
    fn absolute(&self, package: usize, module: &[String], path: &[String]) -> Option<Vec<String>> {
        prefixed(module, path).or_else(|| {
            let mut child = module.to_vec();
            child.push(path.first()?.clone());
            let known = self.files.contains_key(&(package, child));
            known.then(|| module.iter().cloned().chain(path.iter().cloned()).collect())
        })
    }

    /// Returns the file that defines what an absolute path names.
    fn definition(&self, package: usize, path: &[String], depth: usize) -> Option<usize> {
        let mut module: Vec<String> = Vec::new();
        for part in path {
            let mut child = module.clone();
            child.push(part.clone());
            if self.files.contains_key(&(package, child.clone())) {
                module = child;
                continue;
            }
            let key = (package, module.clone(), part.clone());
            if let Some(target) = self.reexports.get(&key).filter(|_| depth > 0)
                && target != path
            {
                return self.definition(package, target, depth.saturating_sub(1));
            }
            break;
        }
        self.files.get(&(package, module)).copied()
    }
}

/// Lists the leaves of a `use` tree: the whole path, and the name it gets here (`*` for a glob).
fn flatten(tree: &syn::UseTree, prefix: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) {
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, leaves);
            prefix.pop();
        }
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, leaves);
            }
        }
        syn::UseTree::Name(name) => {
            let mut path = prefix.clone();
            let is_self = name.ident == "self";
            if !is_self {
                path.push(name.ident.to_string());
            }
            let named = path.last().cloned().unwrap_or_default();
            leaves.push((path, named));
        }
        syn::UseTree::Rename(rename) => {
            let mut path = prefix.clone();
            path.push(rename.ident.to_string());
            leaves.push((path, rename.rename.to_string()));
        }
        syn::UseTree::Glob(_) => leaves.push((prefix.clone(), "*".to_owned())),
    }
}

/// Collects paths, with the inline modules around each.
#[derive(Default)]
struct Paths {
    inner: Vec<String>,
    found: Vec<(Vec<String>, Vec<String>)>,
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    /// `pub(super)` names no import.
    fn visit_vis_restricted(&mut self, _visibility: &'ast syn::VisRestricted) {}

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.inner.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.inner.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        // A public `use` only hands a name on; its users are counted at the definition.
        if !matches!(item.vis, syn::Visibility::Inherited) {
            return;
        }
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        for (path, _) in leaves {
            self.found.push((self.inner.clone(), path));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.found.push((self.inner.clone(), parts));
        visit::visit_path(self, path);
    }
}
