//! Settings of a simulator's script: from a file, and from `--set` on top of it.

use std::path::Path;

use serde_json::{Map, Value};

use crate::run::Failure;

/// Reads the settings of a script file; none without a file.
pub(super) fn from_file(path: Option<&Path>) -> Result<Map<String, Value>, Failure> {
    let Some(path) = path else { return Ok(Map::new()) };
    let named = |e: &dyn std::fmt::Display| Failure::Usage(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| named(&e))?;
    let table: toml::Table = text.parse().map_err(|e| named(&e))?;
    as_map(&table)
}

/// Sets every `--set key=value` in a script.
pub(super) fn apply(
    map: &mut Map<String, Value>,
    defaults: &Map<String, Value>,
    settings: &[String],
) -> Result<(), Failure> {
    for setting in settings {
        let usage = || Failure::Usage(format!("--set {setting:?}: expected key=value"));
        let (key, value) = setting.split_once('=').ok_or_else(usage)?;
        map.insert(key.trim().into(), typed(defaults.get(key.trim()), value.trim()));
    }
    Ok(())
}

/// Reads a value with the type that the default of its key has.
fn typed(default: Option<&Value>, text: &str) -> Value {
    match default {
        Some(Value::String(_)) => text.into(),
        Some(Value::Array(_)) if !text.starts_with('[') => {
            text.split(',').map(|item| Value::from(item.trim())).collect()
        }
        _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

/// Turns a script into a map from key to value.
pub(super) fn as_map<T: serde::Serialize>(value: &T) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(value).map_err(Failure::running)? {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}
