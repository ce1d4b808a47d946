//! Prints the figures of the working tree; `--rev REV` prints those of another commit, `--list`
//! every single finding, `--list FOLDER` those below a folder.

use std::{env, io, path::Path, process::Command};

use tidy::{figures::House, layers, names, source};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let root = source::workspace_root();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => print(&House::read(&root)?, None),
        ["--list"] => print(&House::read(&root)?, Some("")),
        ["--list", folder] => print(&House::read(&root)?, Some(folder)),
        ["--rev", revision] => {
            let checkout = env::temp_dir().join(format!("tidy-{}", std::process::id()));
            let house = git(
                &root,
                &["worktree", "add", "--quiet", "--detach", &checkout.to_string_lossy(), revision],
            )
            .and_then(|()| House::read(&checkout));
            git(&root, &["worktree", "remove", "--force", &checkout.to_string_lossy()])?;
            print(&house?, None);
        }
        _ => return Err(io::Error::other("usage: tidy [--list [FOLDER] | --rev REV]")),
    }
    Ok(())
}

fn git(root: &Path, arguments: &[&str]) -> io::Result<()> {
    let status = Command::new("git").args(arguments).current_dir(root).status()?;
    status.success().then_some(()).ok_or_else(|| io::Error::other(format!("git {arguments:?} failed")))
}

#[allow(clippy::print_stdout, reason = "it is a command")]
fn print(house: &House, list: Option<&str>) {
    print!("{house}");
    let Some(folder) = list else { return };
    for circle in house.circles() {
        if circle.iter().any(|path| path.starts_with(folder)) {
            println!("circle: {}", circle.join(" "));
            for import in &house.imports {
                let path = |at: usize| house.files.get(at).map_or("", |file| file.path.as_str());
                if circle.contains(&path(import.from)) && circle.contains(&path(import.to)) {
                    println!("  {} -> {}: {}", path(import.from), path(import.to), import.name);
                }
            }
        }
    }
    for breach in layers::breaches(&house.files, &house.imports) {
        if breach.from.starts_with(folder) {
            println!("layer: {} -> {}: {} ({})", breach.from, breach.to, breach.name, breach.reason);
        }
    }
    for found in names::repeated(&house.files) {
        if found.paths.iter().any(|path| path.starts_with(folder)) {
            println!("name: {} in {}", found.name, found.paths.join(" "));
        }
    }
    for file in house.files.iter().filter(|file| file.path.starts_with(folder) && !file.test_only) {
        for (name, lines) in tidy::figures::long_functions(file) {
            println!("function: {}: {name} has {lines} lines", file.path);
        }
    }
    for finding in house.findings.iter().filter(|finding| finding.path.starts_with(folder)) {
        println!("{}:{}: {:?}: {}", finding.path, finding.line, finding.rule, finding.text);
    }
}
