//! The whole command line: every command has a help with examples that are right.

use std::collections::BTreeSet;

use clap::{CommandFactory, Parser};

use super::Arguments;

/// Splits a line as a shell does, up to what the shell itself would read.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quote = None;
    let mut open = false;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                if !open {
                    words.push(String::new());
                    open = true;
                }
            }
            (None, ' ') => open = false,
            (_, c) => {
                if !open {
                    words.push(String::new());
                    open = true;
                }
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    let ends = words.iter().position(|word| matches!(word.as_str(), ">" | "|" | "&&"));
    words.truncate(ends.unwrap_or(words.len()));
    words
}

/// Returns every command with its whole name.
fn all(command: &clap::Command, name: &str, found: &mut Vec<(String, clap::Command)>) {
    found.push((name.to_owned(), command.clone()));
    for one in command.get_subcommands() {
        all(one, &format!("{name} {}", one.get_name()), found);
    }
}

#[test]
fn every_command_has_two_examples_and_each_is_right() {
    let mut found = Vec::new();
    all(&Arguments::command(), "patchbay", &mut found);
    assert!(found.len() > 40, "{}", found.len());
    for (name, command) in found {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) =
            help.split_once("Examples:\n").unwrap_or_else(|| panic!("{name} has no examples"));
        let examples: Vec<&str> = examples.lines().take_while(|line| line.starts_with("  ")).collect();
        assert!(examples.len() >= 2, "{name}: {examples:?}");
        for example in examples {
            // What stands before belongs to the shell: a pipe or a variable.
            let at = example.find("patchbay ").unwrap_or_else(|| panic!("{name}: {example}"));
            let arguments = words(&example[at..]);
            if let Err(e) = Arguments::try_parse_from(&arguments) {
                let is_help = e.kind() == clap::error::ErrorKind::DisplayHelp;
                assert!(is_help, "{name}: {example}: {e}");
            }
        }
    }
}

#[test]
fn every_command_that_prints_data_can_print_json() {
    let mut found = Vec::new();
    all(&Arguments::command(), "patchbay", &mut found);
    let without: BTreeSet<String> = found
        .into_iter()
        .filter(|(_, command)| command.get_subcommands().next().is_none())
        .filter(|(_, command)| !command.get_arguments().any(|argument| argument.get_id() == "json"))
        .map(|(name, _)| name)
        .collect();
    // The OpenAPI document is JSON itself.
    let told = ["patchbay completions", "patchbay demo", "patchbay man", "patchbay openapi", "patchbay run"];
    assert_eq!(without, told.map(str::to_owned).into());
}
