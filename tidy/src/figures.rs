//! The figures of a checkout: its size, its arrows and circles, and how many lines break a rule of
//! language.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::Path,
};

use syn::visit::{self, Visit};

use crate::{
    graph,
    imports::{self, Import},
    language::{self, Finding, Rule},
    layers, names,
    source::{self, PACKAGES, SourceFile, is_test},
};

/// Longest function that passes without a reason, in lines.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Longest file that passes without a reason, in lines.
pub const FILE_LINES_MAX: usize = 500;

/// A checkout, read and measured.
pub struct House {
    /// How many files git tracks.
    pub tracked: usize,
    /// The Rust files.
    pub files: Vec<SourceFile>,
    /// The imports between files of the same crate.
    pub imports: BTreeSet<Import>,
    /// The lines that break a rule of language, in code and documents.
    pub findings: Vec<Finding>,
}

/// The figures of one crate.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Files outside of tests.
    pub files: usize,
    /// Lines outside of tests.
    pub lines: usize,
    /// Arrows between folders below `src`.
    pub folder_arrows: usize,
    /// Imports that run against the crate's layers; `None` without a table of layers.
    pub up: Option<usize>,
    /// Circles between files.
    pub circles: usize,
    /// Files in these circles.
    pub in_circles: usize,
    /// The type whose methods stand in the most files, and in how many.
    pub widest_impl: (String, usize),
    /// Functions of more than [`FUNCTION_LINES_MAX`] lines.
    pub long_functions: usize,
    /// Files of more than [`FILE_LINES_MAX`] lines.
    pub long_files: usize,
    /// Type names used more than once.
    pub repeated_names: usize,
    /// Comment lines over the width.
    pub wide_comments: usize,
    /// Banned phrases, bad openings, and comments that repeat a name.
    pub phrases: usize,
}

impl House {
    /// Reads the checkout at `root`.
    ///
    /// # Errors
    ///
    /// Fails when files cannot be listed, read or parsed.
    pub fn read(root: &Path) -> io::Result<Self> {
        let tracked = source::tracked(root)?;
        let files = source::read(root)?;
        let imports = imports::imports(&files);
        let mut findings: Vec<Finding> = files.iter().flat_map(language::of_code).collect();
        for path in tracked.iter().filter(|path| path.ends_with(".md")) {
            findings.extend(language::of_document(path, &fs::read_to_string(root.join(path))?));
        }
        Ok(Self { tracked: tracked.len(), files, imports, findings })
    }

    /// Returns the circles between files, as their paths.
    pub fn circles(&self) -> Vec<Vec<&str>> {
        let arrows = self.imports.iter().map(|import| (import.from, import.to)).collect();
        let path = |at: usize| self.files.get(at).map(|file| file.path.as_str());
        graph::circles(&arrows)
            .into_iter()
            .map(|circle| circle.into_iter().filter_map(path).collect())
            .collect()
    }

    /// Counts one crate.
    pub fn figures(&self, package: usize) -> Figures {
        let own = || self.files.iter().filter(move |file| file.package == Some(package) && !file.test_only);
        let name = PACKAGES.get(package).map_or("", |package| package.name);
        let folder = PACKAGES.get(package).map_or("", |package| package.src);
        let (widest, places) = names::widest_impl(&self.files, package);
        let circles: Vec<_> = self
            .circles()
            .into_iter()
            .filter(|circle| circle.iter().any(|path| own().any(|file| file.path == *path)))
            .collect();
        let top = folder.split('/').next().unwrap_or(folder);
        let found = |rules: &[Rule]| {
            self.findings
                .iter()
                .filter(|finding| rules.contains(&finding.rule))
                .filter(|finding| finding.path.split('/').next() == Some(top))
                .count()
        };
        Figures {
            files: own().count(),
            lines: own().map(|file| file.text.lines().count()).sum(),
            folder_arrows: self.folder_arrows(package),
            up: layers::LAYERS.iter().any(|(listed, _)| *listed == name).then(|| self.up(package)),
            circles: circles.len(),
            in_circles: circles.iter().map(Vec::len).sum(),
            widest_impl: (widest, places.len()),
            long_functions: own().map(|file| long_functions(file).len()).sum(),
            long_files: own().filter(|file| file.text.lines().count() > FILE_LINES_MAX).count(),
            repeated_names: names::repeated(&self.files).iter().filter(|found| found.package == name).count(),
            wide_comments: found(&[Rule::Width]),
            phrases: found(&[Rule::Phrase, Rule::Opening, Rule::RepeatsName]),
        }
    }

    fn folder_arrows(&self, package: usize) -> usize {
        let mut arrows = BTreeSet::new();
        for import in &self.imports {
            let (Some(from), Some(to)) = (self.files.get(import.from), self.files.get(import.to)) else {
                continue;
            };
            if from.package == Some(package) && layers::layer(from) != layers::layer(to) {
                arrows.insert((layers::layer(from), layers::layer(to)));
            }
        }
        arrows.len()
    }

    fn up(&self, package: usize) -> usize {
        let src = PACKAGES.get(package).map_or("", |package| package.src);
        let breaches = layers::breaches(&self.files, &self.imports);
        breaches.iter().filter(|breach| breach.from.starts_with(src)).count()
    }
}

/// Returns the functions of more than [`FUNCTION_LINES_MAX`] lines: name and lines.
pub fn long_functions(file: &SourceFile) -> Vec<(String, usize)> {
    let mut functions = Functions::default();
    functions.visit_file(&file.syntax);
    functions.long
}

#[derive(Default)]
struct Functions {
    long: Vec<(String, usize)>,
}

impl Functions {
    fn measure(&mut self, name: &syn::Ident, block: &syn::Block) {
        let span = block.brace_token.span;
        let lines = span.close().start().line.saturating_sub(span.open().start().line) + 1;
        if lines > FUNCTION_LINES_MAX {
            self.long.push((name.to_string(), lines));
        }
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_test(&function.attrs) {
            self.measure(&function.sig.ident, &function.block);
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }
}

impl fmt::Display for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tracked files: {}", self.tracked)?;
        writeln!(
            f,
            "{:<11}{:>6}{:>8}{:>8}{:>6}{:>9}{:>10}{:>22}{:>7}{:>7}{:>7}{:>7}{:>9}",
            "crate",
            "files",
            "lines",
            "arrows",
            "up",
            "circles",
            "in them",
            "widest impl",
            "fn>70",
            "f>500",
            "names",
            "wide",
            "phrases"
        )?;
        for (at, package) in PACKAGES.iter().enumerate() {
            let figures = self.figures(at);
            if figures.files == 0 {
                continue;
            }
            let up = figures.up.map_or("-".to_owned(), |up| up.to_string());
            let widest = format!("{} {}", figures.widest_impl.0, figures.widest_impl.1);
            writeln!(
                f,
                "{:<11}{:>6}{:>8}{:>8}{:>6}{:>9}{:>10}{:>22}{:>7}{:>7}{:>7}{:>7}{:>9}",
                package.name,
                figures.files,
                figures.lines,
                figures.folder_arrows,
                up,
                figures.circles,
                figures.in_circles,
                widest,
                figures.long_functions,
                figures.long_files,
                figures.repeated_names,
                figures.wide_comments,
                figures.phrases,
            )?;
        }
        let mut rest: BTreeMap<&str, usize> = BTreeMap::new();
        let tops: Vec<&str> = PACKAGES.iter().filter_map(|package| package.src.split('/').next()).collect();
        for finding in &self.findings {
            let top = finding.path.split('/').next().unwrap_or_default();
            if !tops.contains(&top) {
                *rest.entry(top).or_default() += 1;
            }
        }
        for (top, count) in rest {
            writeln!(f, "{top}: {count} lines against the rules of language")?;
        }
        Ok(())
    }
}
