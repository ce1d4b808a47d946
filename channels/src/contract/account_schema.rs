//! Reads the keys of an account from its type: `schemars` knows its doc comments, types, bounds and
//! defaults.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use super::account_keys::{AccountKey, AccountValue};

/// Returns the keys of an account's type: the required ones first, then by name.
pub fn keys_of<T: JsonSchema>() -> Vec<AccountKey> {
    let mut settings = SchemaSettings::default();
    settings.inline_subschemas = true;
    keys(settings.into_generator().into_root_schema_for::<T>().as_value())
}

fn keys(table: &Value) -> Vec<AccountKey> {
    let Some(properties) = table.get("properties").and_then(Value::as_object) else { return Vec::new() };
    let required: Vec<&str> = texts(table.get("required"));
    let mut keys: Vec<AccountKey> = properties
        .iter()
        .map(|(name, of)| AccountKey {
            name: (&**name).into(),
            about: about(of),
            value: value(of),
            default: of.get("default").filter(|default| has_meaning(default)).map(|d| d.to_string().into()),
            is_required: required.contains(&&**name),
            is_secret: false,
        })
        .collect();
    keys.sort_by_key(|key| !key.is_required);
    keys
}

/// Whether a default says more than that nothing is set.
fn has_meaning(default: &Value) -> bool {
    match default {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn about(of: &Value) -> Box<str> {
    let text = of.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "\"").into()
}

fn value(of: &Value) -> AccountValue {
    let words: Vec<(Box<str>, Box<str>)> = match (of.get("enum"), alternatives(of)) {
        (Some(words), _) => texts(Some(words)).into_iter().map(|word| (word.into(), "".into())).collect(),
        (None, alternatives) => {
            let word = |one: &Value| Some((one.get("const")?.as_str()?.into(), about(one)));
            alternatives.iter().filter_map(word).collect()
        }
    };
    if !words.is_empty() {
        return AccountValue::Word(words);
    }
    // An optional value of a type that is described by itself.
    if let [one] = alternatives(of)
        .iter()
        .filter(|one| one.get("type").and_then(Value::as_str) != Some("null"))
        .collect::<Vec<_>>()[..]
    {
        return value(one);
    }
    let bound = |key: &str| of.get(key).and_then(Value::as_i64);
    match kind(of) {
        Some("string") if of.get("format").and_then(Value::as_str) == Some("duration") => {
            AccountValue::Duration
        }
        Some("string") => AccountValue::Text,
        Some("boolean") => AccountValue::Flag,
        Some("integer") => AccountValue::Number {
            least: bound("minimum").unwrap_or(i64::MIN),
            most: bound("maximum").unwrap_or(i64::MAX),
        },
        Some("array") => AccountValue::List(Box::new(of.get("items").map_or(AccountValue::Other, value))),
        Some("object") if of.get("properties").is_some() => AccountValue::Table(keys(of)),
        Some("object") => {
            let items = of.get("additionalProperties").filter(|items| items.is_object());
            AccountValue::Map(Box::new(items.map_or(AccountValue::Other, value)))
        }
        _ => AccountValue::Other,
    }
}

fn alternatives(of: &Value) -> &[Value] {
    let found = of.get("oneOf").or_else(|| of.get("anyOf")).and_then(Value::as_array);
    found.map(Vec::as_slice).unwrap_or_default()
}

/// Returns the type, that of an optional value without `null`.
fn kind(of: &Value) -> Option<&str> {
    match of.get("type")? {
        Value::String(kind) => Some(kind),
        kinds => texts(Some(kinds)).into_iter().find(|kind| *kind != "null"),
    }
}

fn texts(list: Option<&Value>) -> Vec<&str> {
    let items = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).collect()
}
