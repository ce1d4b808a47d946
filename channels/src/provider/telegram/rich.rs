//! Formatted text at Telegram: entities beside a text, and the blocks of a rich message. Both
//! become Markdown.

use serde_json::Value;

use crate::{
    text::entities::{self, Mark, Span},
    toolkit::json,
};

/// Returns a text of a message, or another object, with its entities as Markdown.
pub(super) fn text(item: &Value, text: &str, entities: &str) -> String {
    let said = json::text(item, text).unwrap_or_default();
    let entities = json::items(item, entities);
    if entities.is_empty() {
        return said.into_owned();
    }
    let people: Vec<String> = entities.iter().map(mentioned).collect();
    let spans = entities.iter().zip(&people).filter_map(|(entity, person)| {
        let number = |key: &str| json::number(entity, key).and_then(|n| usize::try_from(n).ok());
        let of = |key: &str| json::at(entity, key).and_then(Value::as_str).unwrap_or_default();
        let address = if of("/type") == "text_mention" { person.as_str() } else { of("/url") };
        let mark = mark(of("/type"), address, of("/language"))?;
        Some(Span { offset: number("/offset")?, length: number("/length")?, mark })
    });
    entities::markdown(&said, &spans.collect::<Vec<_>>())
}

/// Returns the address of a mentioned person who has no public name.
fn mentioned(entity: &Value) -> String {
    let id = json::some_text(entity, "/user/id");
    id.map(|id| format!("tg://user?id={id}")).unwrap_or_default()
}

/// Returns the mark of a kind of entity; `None` for a kind that its words tell already (mentions,
/// commands, plain addresses), or that Markdown does not have (underlined words, spoilers).
fn mark<'a>(kind: &str, address: &'a str, language: &'a str) -> Option<Mark<'a>> {
    Some(match kind {
        "bold" => Mark::Bold,
        "italic" => Mark::Italic,
        "strikethrough" => Mark::Struck,
        "code" => Mark::Code,
        "pre" => Mark::Block(language),
        "blockquote" | "expandable_blockquote" => Mark::Quote,
        "text_link" | "text_mention" | "url" if !address.is_empty() => Mark::Link(address),
        _ => return None,
    })
}

/// Maximum depth of blocks and of marks that is read; what is deeper is left out.
const DEPTH_MAX: u8 = 16;

/// Returns the blocks of a rich message as Markdown.
pub(super) fn message(rich: &Value) -> String {
    let mut out = String::new();
    blocks(json::items(rich, "/blocks"), "", 0, &mut out);
    out.trim_end().to_owned()
}

/// Writes blocks, each on lines of its own that begin with `prefix`.
fn blocks(all: &[Value], prefix: &str, depth: u8, out: &mut String) {
    if depth >= DEPTH_MAX {
        return;
    }
    for block in all {
        let words = |key: &str| styled(json::at(block, key).unwrap_or(&Value::Null));
        let kind = json::text(block, "/type").unwrap_or_default();
        match &*kind {
            "heading" => {
                let size = json::number(block, "/size").and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
                lines(&format!("{} {}", "#".repeat(size.clamp(1, 6)), words("/text")), prefix, out);
            }
            "pre" => {
                let code = plain(json::at(block, "/text").unwrap_or(&Value::Null));
                let language = json::text(block, "/language").unwrap_or_default();
                let span = Span { offset: 0, length: code.len(), mark: Mark::Block(&language) };
                lines(&entities::markdown(&code, &[span]), prefix, out);
            }
            "list" => {
                for item in json::items(block, "/items") {
                    let label = json::text(item, "/label").unwrap_or_default();
                    let mut own = String::new();
                    blocks(json::items(item, "/blocks"), "", depth + 1, &mut own);
                    lines(&format!("{label} {}", own.trim_end()), prefix, out);
                }
            }
            "table" => {
                for row in json::items(block, "/cells") {
                    let cells = json::items(row, "").iter();
                    let cells = cells.map(|cell| styled(json::at(cell, "/text").unwrap_or(&Value::Null)));
                    lines(&cells.collect::<Vec<_>>().join(" | "), prefix, out);
                }
            }
            "blockquote" | "expandable_blockquote" | "pullquote" => {
                let prefix = format!("{prefix}> ");
                lines(&words("/text"), &prefix, out);
                blocks(json::items(block, "/blocks"), &prefix, depth + 1, out);
            }
            "mathematical_expression" => lines(&words("/expression"), prefix, out),
            _ => {
                lines(&words("/summary"), prefix, out);
                lines(&words("/text"), prefix, out);
                blocks(json::items(block, "/blocks"), prefix, depth + 1, out);
                lines(&words("/caption/text"), prefix, out);
            }
        }
    }
}

fn lines(text: &str, prefix: &str, out: &mut String) {
    for line in text.lines().filter(|_| !text.trim().is_empty()) {
        out.push_str(prefix);
        out.push_str(line);
        out.push('\n');
    }
}

/// A rich text as words with marks.
#[derive(Default)]
struct Words {
    text: String,
    units: usize,
    /// Kind, address and range of each mark.
    marks: Vec<(String, String, usize, usize)>,
}

fn styled(rich: &Value) -> String {
    let mut words = Words::default();
    gather(rich, 0, &mut words);
    let spans = words.marks.iter().filter_map(|(kind, address, offset, end)| {
        let mark = mark(kind, address, "")?;
        Some(Span { offset: *offset, length: end - offset, mark })
    });
    entities::markdown(&words.text, &spans.collect::<Vec<_>>())
}

fn plain(rich: &Value) -> String {
    let mut words = Words::default();
    gather(rich, 0, &mut words);
    words.text
}

fn gather(rich: &Value, depth: u8, words: &mut Words) {
    if depth >= DEPTH_MAX {
        return;
    }
    match rich {
        Value::String(text) => {
            words.text.push_str(text);
            words.units += text.encode_utf16().count();
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, depth + 1, words)),
        Value::Object(_) => {
            let from = words.units;
            let inner = ["/text", "/alternative_text", "/expression"].iter();
            if let Some(inner) = inner.filter_map(|key| json::at(rich, key)).next() {
                gather(inner, depth + 1, words);
            }
            let kind = json::text(rich, "/type").unwrap_or_default().into_owned();
            let address = match json::some_text(rich, "/url") {
                Some(address) => address.into_owned(),
                None => mentioned(rich),
            };
            words.marks.push((kind, address, from, words.units));
        }
        _ => {}
    }
}
