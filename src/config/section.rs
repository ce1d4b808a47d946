//! Reads one table of the file into typed values. Collects every problem (serde would stop at the
//! first) and reports unknown keys with the nearest known one.

use std::{cell::RefCell, net::SocketAddr, ops::Range, path::Path, time::Duration};

use secrecy::SecretString;
use storage::EngineKind;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use channels::nearest::suggestion;

use super::{problem::Problems, secret};

/// The longest part of a value that is quoted in a problem, in characters.
const FOUND_CHARS_MAX: usize = 60;

/// The longest id of a channel or destination, in bytes. Longer ids are rejected.
const ID_BYTES_MAX: usize = 64;

/// A table, with the keys that were asked for so far.
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    /// The table's place in the file.
    pub(super) span: Range<usize>,
    /// The table's name in messages: `[http]`, `[[channel]] "sms-main"`; empty for the root.
    pub(super) name: String,
    known: RefCell<Vec<&'static str>>,
    problems: &'a Problems,
    folder: &'a Path,
}

/// A type that a value of the file can be read as.
pub(super) trait Value: Sized {
    /// Describes the expected value, for messages.
    const EXPECTED: &'static str;
    /// Reads the value; `None` when it has another type or form.
    fn read(value: &DeValue<'_>) -> Option<Self>;
}

impl Value for EngineKind {
    const EXPECTED: &'static str = "\"sled\" or \"file\"";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

impl<'a> Section<'a> {
    pub(super) fn new(
        table: &'a DeTable<'a>,
        span: Range<usize>,
        name: impl Into<String>,
        problems: &'a Problems,
        folder: &'a Path,
    ) -> Self {
        Self { table, span, name: name.into(), known: RefCell::default(), problems, folder }
    }

    /// Returns a sub-table; `None` when it is missing.
    pub(super) fn table(&self, key: &'static str) -> Option<Section<'a>> {
        let value = self.get(key)?;
        match value.get_ref().as_table() {
            Some(table) => {
                let name = if self.name.is_empty() { format!("[{key}]") } else { self.below(key) };
                Some(Section::new(table, value.span(), name, self.problems, self.folder))
            }
            None => {
                self.wrong(key, value, "a table");
                None
            }
        }
    }

    /// Names a sub-table after its parent, so that a message says which channel is meant.
    fn below(&self, key: &str) -> String {
        format!("{} {key}", self.name)
    }

    /// Returns the tables of an array.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let items = value.get_ref().as_array().map(|a| a.iter().collect::<Vec<_>>());
        let tables: Option<Vec<_>> =
            items.and_then(|items| items.iter().map(|i| Some((i.get_ref().as_table()?, i.span()))).collect());
        match tables {
            Some(tables) => tables
                .into_iter()
                .map(|(table, span)| {
                    let id = table.get("id").and_then(|id| id.get_ref().as_str());
                    let name = match id {
                        Some(id) => format!("[[{key}]] {id:?}"),
                        None => format!("[[{key}]]"),
                    };
                    Section::new(table, span, name, self.problems, self.folder)
                })
                .collect(),
            None => {
                self.wrong(key, value, &format!("one or more [[{key}]] tables"));
                Vec::new()
            }
        }
    }

    /// Reads a value that may be missing.
    pub(super) fn optional<T: Value>(&self, key: &'static str) -> Option<T> {
        let value = self.get(key)?;
        let read = T::read(value.get_ref());
        if read.is_none() {
            self.wrong(key, value, T::EXPECTED);
        }
        read
    }

    /// Reads a value, or returns its default.
    pub(super) fn or<T: Value>(&self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// Reads a value; reports a problem when it is missing.
    pub(super) fn required<T: Value>(&self, key: &'static str) -> Option<T> {
        if self.get(key).is_none() {
            self.problem(key, format!("is missing; expected {}", T::EXPECTED));
        }
        self.optional(key)
    }

    /// Reads a whole number within limits.
    pub(super) fn number(
        &self,
        key: &'static str,
        bounds: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(value) = self.get(key) else { return default };
        match u64::read(value.get_ref()) {
            Some(number) if bounds.contains(&number) => number,
            _ => {
                let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
                self.wrong(key, value, &expected);
                default
            }
        }
    }

    /// Reads a secret: `env:NAME`, `file:PATH` or literal. Problems never quote its value.
    pub(super) fn secret(&self, key: &'static str) -> Option<SecretString> {
        let value = self.get(key)?;
        self.secret_of(key, value)
    }

    /// Reads a list of secrets.
    pub(super) fn secrets(&self, key: &'static str) -> Vec<SecretString> {
        let Some(value) = self.get(key) else { return Vec::new() };
        match value.get_ref().as_array() {
            Some(items) => items.iter().filter_map(|item| self.secret_of(key, item)).collect(),
            None => {
                self.problem(
                    key,
                    "expected a list of secrets, each \"env:NAME\", \"file:PATH\" or the secret itself",
                );
                Vec::new()
            }
        }
    }

    fn secret_of(&self, key: &'static str, value: &Spanned<DeValue<'_>>) -> Option<SecretString> {
        let Some(text) = value.get_ref().as_str() else {
            self.add(&value.span(), key, "expected \"env:NAME\", \"file:PATH\" or the secret itself");
            return None;
        };
        match secret::resolve(text, self.folder) {
            Ok(secret) => Some(secret),
            Err(why) => {
                self.add(&value.span(), key, why);
                None
            }
        }
    }

    /// Reads a path, relative to the folder of the configuration file.
    pub(super) fn path(&self, key: &'static str) -> Option<std::path::PathBuf> {
        self.optional::<String>(key).map(|path| self.folder.join(path))
    }

    /// Returns the raw value and marks the key as known.
    pub(super) fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        self.table.get(key)
    }

    /// Returns the raw table.
    pub(super) fn raw(&self) -> &'a DeTable<'a> {
        self.table
    }

    /// Returns the folder of the configuration file.
    pub(super) fn folder(&self) -> &'a Path {
        self.folder
    }

    /// Reports a problem with a key. A key of a nested table is named with those above it
    /// (`errors.0x58`).
    pub(super) fn problem(&self, key: &str, text: impl AsRef<str>) {
        self.add(&self.span_of(key), key, text);
    }

    /// Returns the place of a key's value, else that of the table above it.
    pub(super) fn span_of(&self, path: &str) -> Range<usize> {
        let mut span = self.span.clone();
        let mut at: Option<&Spanned<DeValue<'_>>> = None;
        for key in path.split('.') {
            let below = match at.map(Spanned::get_ref) {
                None => self.table.get(key),
                Some(DeValue::Table(table)) => table.get(key),
                Some(DeValue::Array(items)) => key.parse().ok().and_then(|n: usize| items.get(n)),
                Some(_) => None,
            };
            let Some(found) = below else { break };
            span = found.span();
            at = Some(found);
        }
        span
    }

    /// Reports a problem with a part of a key's value.
    pub(super) fn problem_at(&self, span: &Range<usize>, key: &str, text: impl AsRef<str>) {
        self.add(span, key, text);
    }

    /// Reports a value that is not as expected, and quotes it.
    pub(super) fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = shown(value.get_ref());
        self.add(&value.span(), key, format!("found {found}; expected {expected}"));
    }

    /// Reports a problem whose text names its table itself.
    pub(super) fn report(&self, span: &Range<usize>, text: impl Into<String>) {
        self.problems.add(span, text);
    }

    fn add(&self, span: &Range<usize>, key: &str, text: impl AsRef<str>) {
        let gap = if self.name.is_empty() { "" } else { " " };
        self.problems.add(span, format!("{}{gap}{key}: {}", self.name, text.as_ref()));
    }

    /// Reports every key that was never asked for.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let text = format!("unknown key{}", suggestion(name, known.iter().copied()));
                self.add(&key.span(), name, text);
            }
        }
    }
}

/// Reads `id`. Ids become parts of URLs, metric labels and file names.
pub(super) fn id(section: &Section<'_>) -> Option<String> {
    let id: String = section.required("id")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.len() <= ID_BYTES_MAX && id.chars().all(plain) {
        return Some(id);
    }
    section.problem("id", format!("found {id:?}; expected at most {ID_BYTES_MAX} letters, digits, - _ ."));
    None
}

/// Formats a value for a message, shortened.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() > FOUND_CHARS_MAX => {
            format!("{:?}...", text.chars().take(FOUND_CHARS_MAX).collect::<String>())
        }
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

impl Value for String {
    const EXPECTED: &'static str = "a string that is not empty";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(Into::into)
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl Value for u64 {
    const EXPECTED: &'static str = "a whole number, 0 or more";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        let number = value.as_integer()?;
        u64::from_str_radix(number.as_str(), number.radix()).ok()
    }
}

impl Value for f64 {
    const EXPECTED: &'static str = "a number";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        let whole = || value.as_integer().and_then(|n| n.as_str().parse().ok());
        value.as_float().and_then(|n| n.as_str().parse().ok()).or_else(whole)
    }
}

impl Value for SocketAddr {
    const EXPECTED: &'static str = "an address and port such as \"127.0.0.1:8080\" or \"[::]:8080\"";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

impl Value for Duration {
    const EXPECTED: &'static str = "a duration such as \"500ms\", \"30s\", \"15m\", \"12h\" or \"30d\"";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        humantime::parse_duration(value.as_str()?).ok().filter(|d| !d.is_zero())
    }
}

/// A duration, or `None` for "off".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OrOff(pub(super) Option<Duration>);

impl Value for OrOff {
    const EXPECTED: &'static str = "a duration such as \"30s\", \"15m\" or \"30d\", or \"off\"";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        if value.as_str()?.eq_ignore_ascii_case("off") {
            return Some(Self(None));
        }
        Duration::read(value).map(|d| Self(Some(d)))
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl Value for Size {
    const EXPECTED: &'static str = "a size such as \"64KB\", \"5MB\" or \"2GB\"";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        if let Some(bytes) = u64::read(value) {
            return Some(Self(bytes));
        }
        let text = value.as_str()?.trim();
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(split)?;
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}
