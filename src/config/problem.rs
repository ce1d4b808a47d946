//! Problems of a configuration: file, line, key, the value found and the value expected. Never
//! holds the value of a secret.

use std::{cell::RefCell, fmt, ops::Range};

/// The largest number of problems reported at once; further ones are dropped.
const PROBLEMS_MAX: usize = 50;

/// All problems of a configuration file.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// The file's name as given on the command line.
    pub file: String,
    /// The line (0 for the whole file) and the text of each problem, in the order of the file.
    pub problems: Vec<(usize, String)>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (line, text)) in self.problems.iter().enumerate() {
            let new_line = if at == 0 { "" } else { "\n" };
            match line {
                0 => write!(f, "{new_line}{}: {text}", self.file)?,
                _ => write!(f, "{new_line}{}:{line}: {text}", self.file)?,
            }
        }
        Ok(())
    }
}

/// Collects problems while a file is read.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<(usize, String)>>);

impl Problems {
    /// Adds a problem at a place in the file.
    pub(super) fn add(&self, span: &Range<usize>, text: impl Into<String>) {
        let mut all = self.0.borrow_mut();
        if all.len() < PROBLEMS_MAX {
            all.push((span.start, text.into()));
        }
    }

    /// Returns whether no problem was found.
    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Converts the collected problems into an error, with offsets turned into lines.
    pub(super) fn into_error(self, file: &str, text: &str) -> ConfigError {
        let mut problems = self.0.into_inner();
        problems.sort();
        problems.dedup();
        let with_lines =
            problems.into_iter().map(|(offset, problem)| (line_of(text, offset), problem)).collect();
        ConfigError { file: file.into(), problems: with_lines }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset.min(text.len())).unwrap_or_default();
    before.iter().filter(|b| **b == b'\n').count() + 1
}
