//! Names of types: used once within a crate; and how far a type's methods are spread over files.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{PACKAGES, SourceFile, is_test};

/// A type name that several files of one crate define.
#[derive(Debug, Eq, PartialEq)]
pub struct Repeated {
    /// The crate.
    pub package: &'static str,
    /// The name that is used more than once.
    pub name: String,
    /// Where it is defined.
    pub paths: Vec<String>,
}

/// Returns the names that more than one type of the same crate bears, tests aside.
pub fn repeated(files: &[SourceFile]) -> Vec<Repeated> {
    let mut places: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.test_only) {
        let Some(package) = file.package else { continue };
        for name in types(&file.syntax.items) {
            places.entry((package, name)).or_default().push(file.path.clone());
        }
    }
    let several = places.into_iter().filter(|(_, paths)| paths.len() > 1);
    several
        .filter_map(|((package, name), paths)| {
            Some(Repeated { package: PACKAGES.get(package)?.name, name, paths })
        })
        .collect()
}

/// Returns the type of a crate whose inherent `impl` blocks stand in the most files, and these
/// files.
pub fn widest_impl(files: &[SourceFile], package: usize) -> (String, BTreeSet<String>) {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.package == Some(package) && !file.test_only) {
        for item in &file.syntax.items {
            if let syn::Item::Impl(block) = item
                && block.trait_.is_none()
                && !is_test(&block.attrs)
                && let syn::Type::Path(named) = &*block.self_ty
                && let Some(last) = named.path.segments.last()
            {
                places.entry(last.ident.to_string()).or_default().insert(file.path.clone());
            }
        }
    }
    places.into_iter().max_by_key(|(_, paths)| paths.len()).unwrap_or_default()
}

fn types(items: &[syn::Item]) -> Vec<String> {
    let mut names = Vec::new();
    for item in items {
        match item {
            syn::Item::Struct(item) if !is_test(&item.attrs) => names.push(item.ident.to_string()),
            syn::Item::Enum(item) if !is_test(&item.attrs) => names.push(item.ident.to_string()),
            syn::Item::Trait(item) if !is_test(&item.attrs) => names.push(item.ident.to_string()),
            syn::Item::Type(item) if !is_test(&item.attrs) => names.push(item.ident.to_string()),
            syn::Item::Mod(module) if !is_test(&module.attrs) => {
                names.extend(module.content.iter().flat_map(|(_, items)| types(items)));
            }
            _ => {}
        }
    }
    names
}
