//! Tables and times for people.

use std::time::Duration;

use message::Timestamp;
use serde_json::Value;

use crate::{console, instant};

/// Prints rows in columns; the first is the heading. The last column is as wide as its words.
pub(super) fn print(heading: &[&str], rows: &[Vec<String>]) {
    for line in lines(heading, rows) {
        console::line(line);
    }
}

fn lines(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heading: Vec<String> = heading.iter().map(|word| word.to_uppercase()).collect();
    let all = || std::iter::once(&heading).chain(rows);
    let widths: Vec<usize> = (0..heading.len())
        .map(|at| all().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    all()
        .map(|row| {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
            line.join("  ").trim_end().to_owned()
        })
        .collect()
}

/// Returns a member as words: a text as it is, a list with commas, nothing for nothing.
pub(super) fn word(of: &Value, key: &str) -> String {
    plain(of.get(key).unwrap_or(&Value::Null))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Returns a number; 0 when it is missing.
pub(super) fn number(of: &Value, key: &str) -> u64 {
    of.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// Returns the members of a list.
pub(super) fn items(of: &Value) -> &[Value] {
    of.as_array().map_or(&[], Vec::as_slice)
}

/// Returns an instant, which is milliseconds since 1970 or a text, to the second.
pub(super) fn at(of: &Value, key: &str) -> String {
    match of.get(key) {
        Some(Value::Number(ms)) => {
            let text = instant::rfc3339(Timestamp(ms.as_u64().unwrap_or_default()));
            text.split_once('.').map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
        }
        Some(Value::String(text)) => text.split_once('.').map_or(text.clone(), |(s, _)| format!("{s}Z")),
        _ => String::new(),
    }
}

/// Returns a time in at most two units: `3h 20m`.
pub(super) fn time(seconds: u64) -> String {
    let rough = match seconds {
        0..3_600 => seconds,
        3_600..86_400 => seconds / 60 * 60,
        _ => seconds / 3_600 * 3_600,
    };
    humantime::format_duration(Duration::from_secs(rough)).to_string()
}

/// Returns the first line of a text, cut to a width.
pub(super) fn short(text: &str, width: usize) -> String {
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    let mut cut: String = line.chars().take(width).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let told = lines(&["id", "state"], &[row(&["sms-main", "up"]), row(&["ß", "down for long"])]);
        assert_eq!(told, ["ID        STATE", "sms-main  up", "ß         down for long"]);
    }

    #[test]
    fn times_and_texts_are_told_shortly() {
        assert_eq!(time(27), "27s");
        assert_eq!(time(12_019), "3h 20m");
        assert_eq!(time(200_000), "2days 7h");
        assert_eq!(short("one\ntwo", 9), "one…");
        assert_eq!(short("übermut", 4), "über…");
        assert_eq!(short("all", 3), "all");
        let view =
            json!({"a": 1_760_000_000_123_u64, "b": "2026-01-31T12:00:00.5Z", "c": ["x", 1], "d": null});
        assert_eq!(
            (at(&view, "a"), at(&view, "b")),
            ("2025-10-09T08:53:20Z".into(), "2026-01-31T12:00:00Z".into())
        );
        assert_eq!((word(&view, "c"), word(&view, "d")), ("x, 1".into(), String::new()));
    }
}
