//! Reads providers' JSON by path, lenient about numbers written as texts and texts as numbers,
//! since both occur. A value that is absent, null or of another kind is `None`; nothing fails
//! otherwise.

use std::borrow::Cow;

use message::Timestamp;
use serde_json::Value;

use crate::{
    contract::{Attribute, http::Response},
    toolkit::mend,
};

/// Parses a body as JSON, mended where a strict parser refuses it (see [`mend`]). Clean bodies,
/// which are nearly all, are parsed as they are.
pub fn parse(body: &[u8]) -> Option<Value> {
    if !mend::has_long_number(body)
        && let Ok(value) = serde_json::from_slice(body)
    {
        return Some(value);
    }
    serde_json::from_slice(&mend::mend(body)).ok()
}

/// Puts a member into an object; other values stay unchanged.
pub fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(members) = object.as_object_mut() {
        members.insert(key.into(), value.into());
    }
}

/// Returns the value at a path of names and indices (`/data/0/id`): a JSON pointer without escapes,
/// which no provider's names need and which cost a copy of every name.
pub fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let Some(names) = path.strip_prefix('/') else { return path.is_empty().then_some(value) };
    names.split('/').try_fold(value, |value, name| match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Returns the text or number at a path (`/data/0/id`); an empty text is returned as it is.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<Cow<'a, str>> {
    match at(value, pointer)? {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// Returns the text, number or boolean at a path.
pub fn text_of<'a>(value: &'a Value, pointer: &str) -> Option<Cow<'a, str>> {
    match at(value, pointer)? {
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        _ => text(value, pointer),
    }
}

/// Returns the text or number at a path unless it is empty.
pub fn some_text<'a>(value: &'a Value, pointer: &str) -> Option<Cow<'a, str>> {
    text(value, pointer).filter(|text| !text.is_empty())
}

/// Returns the integer at a path, also when it is written as a text.
pub fn number(value: &Value, pointer: &str) -> Option<i64> {
    match at(value, pointer)? {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|f| f as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Returns the number at a path, also when it is written as a text.
pub fn float(value: &Value, pointer: &str) -> Option<f64> {
    let number = match at(value, pointer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// Returns whether the value at a path is true, also when it is written as a text or as 1.
pub fn flag(value: &Value, pointer: &str) -> bool {
    match at(value, pointer) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true") || text == "1",
        Some(Value::Number(number)) => number.as_u64() == Some(1),
        _ => false,
    }
}

/// Returns the items of the array at a path; a single object counts as an array of one. Empty
/// without either.
pub fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    match at(value, pointer) {
        Some(Value::Array(items)) => items,
        Some(object @ Value::Object(_)) => std::slice::from_ref(object),
        _ => &[],
    }
}

/// Returns the text at `member` of each item of the array at a path.
pub fn texts(value: &Value, pointer: &str, member: &str) -> Vec<Box<str>> {
    let texts = items(value, pointer).iter().filter_map(|item| some_text(item, member));
    texts.map(|text| (&*text).into()).collect()
}

/// Returns the non-empty members of an answer by name: facts about an account, for people.
pub fn members(response: &Response, names: &[&str]) -> Vec<Attribute> {
    let said = parse(&response.body).unwrap_or_default();
    let member = |name: &&str| Some(((*name).into(), (&*some_text(&said, &format!("/{name}"))?).into()));
    names.iter().filter_map(member).collect()
}

/// Parses an RFC 3339 time, or seconds or milliseconds since 1970 as number or text.
pub fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    let text = text(value, pointer)?;
    let text = text.trim();
    // A whole number may be written with a fraction or an exponent.
    let whole = || text.parse::<f64>().ok().filter(|number| (0.0..1e15).contains(number)).map(|f| f as u64);
    if let Some(number) = text.parse::<u64>().ok().or_else(whole) {
        return Some(Timestamp(if number < MILLISECONDS_FROM { number.checked_mul(1_000)? } else { number }));
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp)
}

/// Numbers from here on are milliseconds: as seconds they would lie beyond the year 5000.
const MILLISECONDS_FROM: u64 = 100_000_000_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::toolkit::json::*;

    #[test]
    fn a_path_leads_where_the_pointer_of_the_same_words_leads() {
        let value = json!({ "a": [{ "b": "x" }, { "": 1 }], "c": null });
        for path in ["", "/a", "/a/0/b", "/a/1/", "/a/2", "/a/x", "/a/0/b/c", "/c", "/c/d", "/none", "a"] {
            assert_eq!(at(&value, path), value.pointer(path), "{path:?}");
        }
    }
}
