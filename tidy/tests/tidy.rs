//! The rules that every file of the workspace keeps. `cargo run -p tidy -- --list` prints each
//! place that breaks one.

#![allow(clippy::unwrap_used, reason = "tests")]

use tidy::{
    figures::{self, House},
    imports, layers, names, source,
};

fn house() -> House {
    House::read(&source::workspace_root()).unwrap()
}

fn none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}: {}\n{}", found.len(), found.join("\n"));
}

#[test]
fn imports_run_down_the_layers() {
    let house = house();
    let breaches = layers::breaches(&house.files, &house.imports);
    none("imports against the layers", breaches.iter().map(|breach| format!("{breach:?}")).collect());
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    none("circles", house().circles().iter().map(|circle| circle.join(" ")).collect());
}

#[test]
fn a_type_name_is_used_once_in_a_crate() {
    let repeated = names::repeated(&house().files);
    none(
        "repeated names",
        repeated.iter().map(|found| format!("{} {:?}", found.name, found.paths)).collect(),
    );
}

#[test]
fn comments_and_documents_are_in_plain_language() {
    let line = |finding: &tidy::language::Finding| {
        format!("{}:{}: {:?}: {}", finding.path, finding.line, finding.rule, finding.text)
    };
    none("lines against the rules of language", house().findings.iter().map(line).collect());
}

#[test]
fn functions_are_short() {
    let house = house();
    let product = house.files.iter().filter(|file| !file.test_only);
    let long = product.flat_map(|file| {
        figures::long_functions(file)
            .into_iter()
            .map(move |(name, lines)| format!("{} {name} {lines}", file.path))
    });
    none("long functions", long.collect());
}

/// Plants a `use` line, a path in code, a group, a glob and a re-export where each breaks a rule.
#[test]
fn a_planted_import_is_found() {
    let file = |module: &[&str], text: &str| source::SourceFile {
        path: format!("actors/src/{}.rs", module.join("/")),
        text: text.to_owned(),
        package: source::PACKAGES.iter().position(|package| package.name == "actors"),
        module: module.iter().map(|part| (*part).to_owned()).collect(),
        test_only: false,
        syntax: syn::parse_file(text).unwrap(),
    };
    for (planted, found) in [
        ("use crate::actor::host::Host;", true),
        ("use crate::{actor::host::{Host, Other}, domain::rate};", true),
        ("use super::super::actor::host::*;", true),
        ("fn f() { let _ = crate::actor::host::Host; }", true),
        ("use crate::view::Host;", true),
        ("#[cfg(test)] mod tests { use crate::actor::host::Host; }", false),
        ("use crate::domain::rate::Rate;", false),
    ] {
        let files = [
            file(&["domain", "lanes"], planted),
            file(&["domain", "rate"], "pub struct Rate;"),
            file(&["view"], "pub use crate::actor::host::Host;"),
            file(&["actor"], "pub mod host;"),
            file(&["actor", "host"], "pub struct Host;"),
        ];
        let rows: &[&[&str]] = &[&["actor"], &["view"], &["domain"]];
        let breaches = layers::breaches_of(&[("actors", rows)], &files, &imports::imports(&files));
        assert_eq!(!breaches.is_empty(), found, "{planted}: {breaches:?}");
    }
}
