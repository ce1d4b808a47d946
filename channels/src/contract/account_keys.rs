//! The keys of `[channel.account]`: meaning, type, bounds and default. They describe an account to
//! people and as JSON Schema, and every table is checked against them before a provider reads it,
//! so that all its problems are told at once and in the words of the configuration.

use serde_json::{Map, json};

use super::{AccountError, nearest::suggestion};

/// Maximum number of characters of a value that an error quotes; a longer one is cut.
const FOUND_CHARACTERS_MAX: usize = 60;

/// A key of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKey {
    /// The word in the configuration.
    pub name: Box<str>,
    /// Its meaning, for people.
    pub about: Box<str>,
    /// The type and the bounds.
    pub value: AccountValue,
    /// The value in its absence, as TOML writes it.
    pub default: Option<Box<str>>,
    /// Whether an account without it is refused.
    pub is_required: bool,
    /// Whether its value is never shown.
    pub is_secret: bool,
}

/// The type of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountValue {
    /// Any text.
    Text,
    /// A duration such as `30s`.
    Duration,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Number {
        /// The smallest.
        least: i64,
        /// The largest.
        most: i64,
    },
    /// One of these words, each with its meaning, which may be empty.
    Word(Vec<(Box<str>, Box<str>)>),
    /// Several values of one type.
    List(Box<AccountValue>),
    /// A table with keys of the user's own.
    Map(Box<AccountValue>),
    /// A table with these keys.
    Table(Vec<AccountKey>),
    /// A text or a whole number.
    TextOrNumber,
    /// A value that only its provider understands.
    Other,
}

impl AccountValue {
    /// Returns the type in words, as in "expected ...".
    pub fn expected(&self) -> String {
        match self {
            Self::Text => "a text in quotes".into(),
            Self::Duration => "a duration such as \"500ms\", \"30s\" or \"5m\"".into(),
            Self::Flag => "true or false".into(),
            Self::Number { least, most: i64::MAX } => format!("a whole number, {least} or more"),
            Self::Number { least, most } => format!("a whole number from {least} to {most}"),
            Self::Word(words) => {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                    _ => words.concat(),
                }
            }
            Self::List(item) => format!("a list: [{}, ...]", item.expected()),
            Self::Map(item) => format!("a table: {{ name = {} }}", item.expected()),
            Self::Table(keys) => {
                let keys: Vec<&str> = keys.iter().map(|key| &*key.name).collect();
                format!("a table with the keys {}", keys.join(", "))
            }
            Self::TextOrNumber => "a text or a whole number".into(),
            Self::Other => "a value".into(),
        }
    }

    fn schema(&self) -> serde_json::Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Duration => json!({"type": "string", "format": "duration", "examples": ["30s"]}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Number { least, most: i64::MAX } => json!({"type": "integer", "minimum": least}),
            Self::Number { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
            Self::Word(words) => {
                let word = |(word, about): &(Box<str>, Box<str>)| match about.is_empty() {
                    true => json!({"const": word}),
                    false => json!({"const": word, "description": about}),
                };
                json!({"type": "string", "oneOf": words.iter().map(word).collect::<Vec<_>>()})
            }
            Self::List(item) => json!({"type": "array", "items": item.schema()}),
            Self::Map(item) => json!({"type": "object", "additionalProperties": item.schema()}),
            Self::Table(keys) => schema(keys),
            Self::TextOrNumber => json!({"type": ["string", "integer"]}),
            Self::Other => json!({}),
        }
    }

    /// Adds the problems of a value. A secret value is never quoted.
    fn check(&self, path: &str, value: &toml::Value, is_secret: bool, problems: &mut Vec<AccountError>) {
        let mut wrong = |hint: String| {
            let found = if is_secret { String::new() } else { format!("found {}; ", shown(value)) };
            let problem = format!("{found}expected {}{hint}", self.expected());
            problems.push(AccountError { key: path.into(), problem });
        };
        match (self, value) {
            (Self::Text, toml::Value::String(_))
            | (Self::TextOrNumber, toml::Value::String(_) | toml::Value::Integer(_))
            | (Self::Flag, toml::Value::Boolean(_))
            | (Self::Other, _) => {}
            (Self::Duration, toml::Value::String(text)) => {
                if humantime_serde::re::humantime::parse_duration(text).is_err() {
                    wrong(String::new());
                }
            }
            (Self::Number { least, most }, toml::Value::Integer(number)) => {
                if !(least..=most).contains(&number) {
                    wrong(String::new());
                }
            }
            (Self::Word(words), toml::Value::String(text)) => {
                if !words.iter().any(|(word, _)| **word == **text) {
                    let near = suggestion(text, words.iter().map(|(word, _)| &**word));
                    wrong(if near.contains("did you mean") { near } else { String::new() });
                }
            }
            (Self::List(item), toml::Value::Array(values)) => {
                for (index, value) in values.iter().enumerate() {
                    item.check(&format!("{path}.{index}"), value, is_secret, problems);
                }
            }
            (Self::Map(item), toml::Value::Table(table)) => {
                for (key, value) in table {
                    item.check(&format!("{path}.{key}"), value, is_secret, problems);
                }
            }
            (Self::Table(keys), toml::Value::Table(table)) => check_below(path, keys, table, problems),
            (Self::Number { .. } | Self::Flag, toml::Value::String(text)) => {
                // The usual mistake: the right value in quotes.
                let is_meant = match self {
                    Self::Flag => matches!(&**text, "true" | "false"),
                    _ => text.trim().parse::<i64>().is_ok(),
                };
                wrong(if is_meant { "; remove the quotes".into() } else { String::new() });
            }
            (Self::Text, toml::Value::Integer(_)) => wrong("; add quotes".into()),
            (Self::Duration, toml::Value::Integer(_)) => wrong("; add a unit and quotes".into()),
            _ => wrong(String::new()),
        }
    }
}

/// Returns every problem of a table: unknown and missing keys, wrong types and values. The keys of
/// nested tables are written `errors.0x58`.
pub fn check(keys: &[AccountKey], table: &toml::Table) -> Vec<AccountError> {
    let mut problems = Vec::new();
    check_below("", keys, table, &mut problems);
    problems
}

fn check_below(path: &str, keys: &[AccountKey], table: &toml::Table, problems: &mut Vec<AccountError>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (name, value) in table {
        match keys.iter().find(|key| *key.name == **name) {
            Some(key) => key.value.check(&below(name), value, key.is_secret, problems),
            None => {
                let hint = suggestion(name, keys.iter().map(|key| &*key.name));
                problems.push(AccountError { key: below(name), problem: format!("unknown key{hint}") });
            }
        }
    }
    for key in keys.iter().filter(|key| key.is_required && !table.contains_key(&*key.name)) {
        let about = key.about.split(". ").next().unwrap_or_default().trim_end_matches('.');
        let about = if about.is_empty() { key.value.expected() } else { about.to_owned() };
        problems.push(AccountError { key: below(&key.name), problem: format!("is missing: {about}") });
    }
}

/// Returns keys as JSON Schema.
pub fn schema(keys: &[AccountKey]) -> serde_json::Value {
    let mut properties = Map::new();
    for key in keys {
        let mut value = key.value.schema();
        if let Some(value) = value.as_object_mut() {
            if !key.about.is_empty() {
                value.insert("description".into(), (&*key.about).into());
            }
            if let Some(default) = key.default.as_deref().and_then(|text| serde_json::from_str(text).ok()) {
                value.insert("default".into(), default);
            }
            if key.is_secret {
                value.insert("writeOnly".into(), true.into());
            }
        }
        properties.insert((&*key.name).into(), value);
    }
    let required: Vec<&str> = keys.iter().filter(|key| key.is_required).map(|key| &*key.name).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// Formats a value for an error, cut.
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) if text.chars().count() > FOUND_CHARACTERS_MAX => {
            format!("{:?}...", text.chars().take(FOUND_CHARACTERS_MAX).collect::<String>())
        }
        toml::Value::String(text) => format!("{text:?}"),
        toml::Value::Array(_) => "a list".into(),
        toml::Value::Table(_) => "a table".into(),
        other => other.to_string(),
    }
}
