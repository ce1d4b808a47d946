//! A provider's fixture file: its account and its cases (`fixtures/<name>.toml`), and the recorded
//! outcomes (`fixtures/<name>.out`). The only file here that reads and writes fixtures.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use channels::Provider;
use serde::Deserialize;

use crate::case::Case;

/// A fixture file as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Takes account and cases from the file of another provider. Nothing else may then be given.
    include: Option<String>,
    /// Whether the provider never puts several items into one webhook.
    #[serde(default)]
    one_item_per_webhook: bool,
    #[serde(default)]
    account: toml::Table,
    /// Keys of every `send` case that does not give them itself.
    #[serde(default)]
    send: toml::Table,
    #[serde(default)]
    case: Vec<toml::Table>,
    /// The simulated side of the provider, which the crate `simulators` reads.
    #[serde(default, rename = "simulator")]
    _simulator: toml::Table,
}

/// The fixtures of one provider.
pub(crate) struct Fixture {
    /// The account of every case, before a case lays its own keys over it.
    pub(crate) account: toml::Table,
    /// Whether the provider never puts several items into one webhook.
    pub(crate) one_item_per_webhook: bool,
    /// In the order of the file.
    pub(crate) cases: Vec<Case>,
    /// Where the outcomes are.
    outcomes: PathBuf,
}

/// Opens a case's section in a file of outcomes. The name of the case follows.
const SECTION: &str = "=== ";

impl Fixture {
    /// Reads the fixtures of a provider.
    pub(crate) fn read(provider: &'static Provider) -> Self {
        let (mut name, mut file) = (provider.name.to_owned(), read(provider.name));
        if let Some(other) = file.include.take() {
            file = read(&other);
            assert!(file.include.is_none(), "{name}.toml includes {other}.toml, which includes another file");
            name = other;
        }
        let case = |table| Case::new(provider, &file.account, &file.send, table);
        let cases: Vec<Case> = file.case.into_iter().map(case).collect();
        let outcomes = path(&name).with_extension("out");
        let fixture =
            Self { account: file.account, one_item_per_webhook: file.one_item_per_webhook, cases, outcomes };
        let unique: std::collections::BTreeSet<&str> = fixture.cases.iter().map(|case| &*case.name).collect();
        assert_eq!(unique.len(), fixture.cases.len(), "{name}.toml has two cases of one name");
        fixture
    }

    /// Returns the case of this name.
    pub(crate) fn case(&self, name: &str) -> &Case {
        let found = self.cases.iter().find(|case| case.name == name);
        found.unwrap_or_else(|| panic!("no case {name:?} beside {}", self.outcomes.display()))
    }

    /// Reads the recorded outcomes, by case.
    pub(crate) fn recorded(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(&self.outcomes).unwrap_or_default();
        let mut recorded = BTreeMap::new();
        let mut current = String::new();
        for line in text.split_inclusive('\n') {
            match line.strip_prefix(SECTION) {
                Some(name) => current = name.trim_end().to_owned(),
                None => recorded.entry(current.clone()).or_insert_with(String::new).push_str(line),
            }
        }
        recorded
    }

    /// Records these outcomes: name and text of each case, in order.
    pub(crate) fn record(&self, outcomes: &[(&str, String)]) {
        let mut text = String::new();
        for (name, outcome) in outcomes {
            assert!(!outcome.lines().any(|line| line.starts_with(SECTION)), "{name} cannot be recorded");
            _ = write!(text, "{SECTION}{name}\n{outcome}");
        }
        fs::write(&self.outcomes, text).unwrap();
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).with_extension("toml")
}

fn read(name: &str) -> File {
    let path = path(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
