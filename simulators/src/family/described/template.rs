//! Templates: JSON or text with placeholders such as `{id}`. Text that fills a placeholder is never
//! expanded again.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::contract::Context;

/// Placeholders that every template may hold, beside the names of credentials.
const NAMES: [&str; 20] = [
    "base",
    "code",
    "file_bytes",
    "file_name",
    "file_type",
    "file_url",
    "from",
    "from_digits",
    "hex32",
    "id",
    "reason",
    "rfc3339",
    "seconds",
    "serial",
    "status",
    "text",
    "to",
    "to_digits",
    "uuid",
    "word",
];
/// Ends a placeholder that becomes a JSON number.
const AS_NUMBER: &str = ":number";

/// The values of placeholders.
pub(super) struct Values<'a> {
    cx: &'a Context<'a>,
    /// Keeps the random values of one event apart.
    salt: u64,
    named: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Values<'a> {
    pub(super) fn new(cx: &'a Context<'a>, salt: u64) -> Self {
        Self { cx, salt, named: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        self.named.push((name, value.into()));
        self
    }

    /// Adds `from` and `to`, as E.164 and as digits alone.
    pub(super) fn with_addresses(self, from: &'a str, to: &'a str) -> Self {
        let digits = |number: &'a str| number.trim_start_matches('+');
        self.with("from_digits", digits(from))
            .with("to_digits", digits(to))
            .with("from", plus(from))
            .with("to", plus(to))
    }

    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some((_, value)) = self.named.iter().find(|(key, _)| *key == name) {
            return Some(Cow::Borrowed(value));
        }
        Some(match name {
            "base" => self.cx.base.into(),
            "hex32" => self.cx.hex(self.salt, 32).into(),
            "rfc3339" => self.cx.rfc3339().into(),
            "seconds" => self.cx.seconds().to_string().into(),
            "serial" => self.cx.growing().to_string().into(),
            "uuid" => self.cx.uuid(self.salt).into(),
            name if NAMES.contains(&name) => "".into(),
            name => self.cx.credentials.get(name)?.as_str().into(),
        })
    }

    /// Fills the placeholders of a text.
    pub(super) fn fill_text(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len());
        for piece in pieces(template) {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Placeholder(name) => out.push_str(&self.get(name).unwrap_or_default()),
            }
        }
        out
    }

    /// Fills every text of a JSON value.
    pub(super) fn fill(&self, template: &Value) -> Value {
        match template {
            Value::String(text) => {
                match text.strip_suffix(":number}").and_then(|rest| rest.strip_prefix('{')) {
                    Some(name) => {
                        self.get(name).unwrap_or_default().parse::<u64>().unwrap_or_default().into()
                    }
                    None => self.fill_text(text).into(),
                }
            }
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(map) => {
                let filled = map.iter().map(|(key, value)| (key.clone(), self.fill(value)));
                Value::Object(filled.collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }
}

/// Returns a number with its `+`; anything that is not made of digits stays as it is.
fn plus(number: &str) -> Cow<'_, str> {
    let bare = !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit());
    if bare { format!("+{number}").into() } else { number.into() }
}

/// Returns the first placeholder in `template` that is neither known nor one of `credentials`.
pub(super) fn unknown_placeholder(template: &Value, credentials: &[&str]) -> Option<String> {
    match template {
        Value::String(text) => pieces(text).find_map(|piece| match piece {
            Piece::Placeholder(name) => {
                let name = name.strip_suffix(AS_NUMBER).unwrap_or(name);
                (!NAMES.contains(&name) && !credentials.contains(&name)).then(|| name.to_owned())
            }
            Piece::Text(_) => None,
        }),
        Value::Array(items) => items.iter().find_map(|item| unknown_placeholder(item, credentials)),
        Value::Object(map) => map.values().find_map(|value| unknown_placeholder(value, credentials)),
        _ => None,
    }
}

enum Piece<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

/// Cuts a template at its placeholders. Braces around anything but a name are text.
fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let is_name = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|o| o.is_ascii_lowercase() || o.is_ascii_digit() || o == b'_' || o == b':')
        };
        if let Some((name, after)) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'))
            && is_name(name)
        {
            rest = after;
            return Some(Piece::Placeholder(name));
        }
        let next =
            rest.char_indices().skip(1).find(|(_, char)| *char == '{').map_or(rest.len(), |(at, _)| at);
        let (text, after) = rest.split_at_checked(next)?;
        rest = after;
        Some(Piece::Text(text))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filled_text_is_not_expanded_again() {
        let (credentials, media) = ([("key", "k".to_owned())].into(), Default::default());
        let cx = Context::sample(&credentials, &media);
        let values = Values::new(&cx, 1).with("text", "{id} {").with("id", "7");
        assert_eq!(values.fill_text("{text}{key}{}{Odd} {id}"), "{id} {k{}{Odd} 7");
        assert_eq!(values.fill(&json!([{"a": "{id:number}"}, true])), json!([{"a": 7}, true]));
        assert_eq!(values.fill_text("{code}"), "", "a placeholder without a value is empty");
    }

    #[test]
    fn a_mistyped_placeholder_is_found() {
        assert_eq!(unknown_placeholder(&json!({"a": ["{id}", "{txet}"]}), &[]), Some("txet".to_owned()));
        assert_eq!(unknown_placeholder(&json!({"a": "{key} {id:number} {x y}"}), &["key"]), None);
    }
}
