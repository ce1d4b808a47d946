//! Reads the webhooks of a manifest provider: customers' messages and receipts, by pointers.

use std::borrow::Cow;

use message::Content;
use serde_json::{Map, Value};

use super::file::{Condition, InboundRule, ManifestFile, MediaRule, OptOutRule, PayloadFormat, ReceiptRule};
use crate::{
    contract::{
        InEvent, InMessage, InReceipt, MediaRef, Received, Report,
        events::note_unknown,
        http::{Malformed, Reply, Webhook},
    },
    toolkit::{auth, inbound_body, json},
};

/// Maximum number of receipts or files in one webhook. Further ones are not read.
const ITEMS_MAX: usize = 1_000;

/// Reads a webhook.
///
/// # Errors
/// When it has another format, or lacks what every message has.
pub(super) fn receive(file: &ManifestFile, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
    let Some(inbound) = &file.inbound else {
        return Err(Malformed::new("this provider's manifest has no [inbound]: nothing is read"));
    };
    let said = read(&inbound.formats, webhook)?;
    let reply = inbound.reply.as_deref().map(Reply::text);
    let mut received = Received { reply, ..Received::default() };
    let wanted = |when: &Option<Condition>| when.as_ref().is_none_or(|when| holds(when, &said));
    // Without a condition every webhook other than a message is a receipt.
    if wanted(&inbound.when) {
        match &inbound.unless {
            Some(unless) if holds(unless, &said) => received.ignored = 1,
            _ => received.events = written(inbound, &said)?,
        }
    } else if let Some(receipt) = file.receipt.as_ref().filter(|receipt| wanted(&receipt.when)) {
        received.events = reported(receipt, &said, webhook);
    } else if let Some(when) = &inbound.when {
        let word = word_of(when, &said).unwrap_or("missing".into());
        note_unknown(&mut received.unknown, place(when), &word);
    }
    Ok(received)
}

fn read(formats: &[PayloadFormat], webhook: &Webhook<'_>) -> Result<Value, Malformed> {
    let object = |fields: Vec<(String, String)>| {
        Value::Object(fields.into_iter().map(|(name, value)| (name, value.into())).collect::<Map<_, _>>())
    };
    if webhook.method == "GET" {
        let accepted = formats.contains(&PayloadFormat::Query);
        return if accepted {
            Ok(object(webhook.parameters()))
        } else {
            Err(Malformed::new("a GET says nothing"))
        };
    }
    if formats.contains(&PayloadFormat::Json)
        && let Some(said) = json::parse(webhook.body).filter(|said| said.is_object() || said.is_array())
    {
        return Ok(said);
    }
    if formats.contains(&PayloadFormat::Form) {
        return Ok(object(webhook.form()));
    }
    Err(Malformed::new("the body is not valid JSON"))
}

/// Returns whether the first value that exists is among the texts, in any case; a missing value is
/// the empty text.
pub(super) fn holds(condition: &Condition, said: &Value) -> bool {
    let found = word_of(condition, said).unwrap_or_default();
    condition.is.iter().any(|text| text.eq_ignore_ascii_case(&found))
}

fn word_of<'v>(condition: &Condition, said: &'v Value) -> Option<Cow<'v, str>> {
    condition.at.iter().find_map(|path| json::text_of(said, path))
}

/// Returns the name of the member that a condition is about, for the table of events.
pub(super) fn place(condition: &Condition) -> &str {
    condition.at.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default()
}

fn first<'v>(said: &'v Value, paths: &[String]) -> Option<Cow<'v, str>> {
    paths.iter().find_map(|path| json::some_text(said, path))
}

fn written(rule: &InboundRule, said: &Value) -> Result<Vec<InEvent>, Malformed> {
    let needed = |what: &str, paths: &[String]| {
        first(said, paths)
            .ok_or_else(|| Malformed::new(format!("{what} is missing at {}", paths.join(" or "))))
    };
    let (from, to) = (needed("the sender", &rule.from)?, needed("the recipient", &rule.to)?);
    let id = match first(said, &rule.id) {
        Some(id) => id,
        None if rule.id_of.is_empty() => needed("the id", &rule.id)?,
        None => Cow::Owned(hash(rule, said)),
    };
    let text = first(said, &rule.text).unwrap_or_default();
    let mut message = InMessage::new(&to, &from, &id, Content::Text("".into()));
    message.time = rule.time.iter().find_map(|path| json::time(said, path));
    let files = rule.media.iter().map(|media| files(media, said)).find(|files| !files.is_empty());
    let mut events = inbound_body::messages(message, &text, files.unwrap_or_default());
    if let Some(out) = rule.opt_out.as_ref().and_then(|rule| opted(rule, said)) {
        let (did, customer, id) = ((&*to).into(), (&*from).into(), (&*id).into());
        events.push(InEvent::OptOut { did, customer, out, id });
    }
    Ok(events)
}

/// Returns an id for a message that has none: repetitions hash to the same.
fn hash(rule: &InboundRule, said: &Value) -> String {
    let fields = rule.id_of.iter().map(|path| match json::at(said, path) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    });
    let whole = fields.collect::<Vec<_>>().join("\u{1f}");
    auth::hex(auth::sha256(whole.as_bytes()).get(..16).unwrap_or_default())
}

fn files(rule: &MediaRule, said: &Value) -> Vec<MediaRef> {
    let items = match json::at(said, &rule.items) {
        Some(Value::Array(items)) => items.as_slice(),
        Some(item) => std::slice::from_ref(item),
        None => &[],
    };
    let file = |item: &Value| {
        let owned = |path: &str| json::some_text(item, path).map(|text| Box::from(&*text));
        Some(MediaRef {
            locator: owned(&rule.url)?,
            content_type: rule.content_type.as_deref().and_then(owned),
            file_name: rule.file_name.as_deref().and_then(owned),
        })
    };
    items.iter().take(ITEMS_MAX).filter_map(file).collect()
}

/// Returns whether a message opts out (`true`) or in again.
fn opted(rule: &OptOutRule, said: &Value) -> Option<bool> {
    let word = first(said, &rule.at)?.trim().to_lowercase();
    let among = |words: &[String]| words.iter().any(|known| known.to_lowercase() == word);
    if among(&rule.out) { Some(true) } else { among(&rule.back).then_some(false) }
}

fn reported(rule: &ReceiptRule, said: &Value, webhook: &Webhook<'_>) -> Vec<InEvent> {
    let items = match &rule.each {
        Some(path) => json::items(said, path),
        None => std::slice::from_ref(said),
    };
    items.iter().take(ITEMS_MAX).flat_map(|item| receipt(rule, said, item, webhook)).collect()
}

fn receipt(rule: &ReceiptRule, said: &Value, item: &Value, webhook: &Webhook<'_>) -> Vec<InEvent> {
    let value = |paths: &[String]| {
        paths.iter().find_map(|path| match (path.strip_prefix('@'), path.strip_prefix('?')) {
            (Some(path), _) => json::some_text(item, path).map(Cow::into_owned),
            (None, Some(name)) => webhook.parameter(name).filter(|value| !value.is_empty()),
            (None, None) => json::some_text(said, path).map(Cow::into_owned),
        })
    };
    let broken = |what: &str, paths: &[String]| {
        vec![InEvent::Broken(format!("{what} is missing at {}", paths.join(" or ")).into())]
    };
    let (id, reference) = (value(&rule.id), value(&rule.reference));
    if id.is_none() && reference.is_none() {
        return broken("the id", &rule.id);
    }
    let Some(word) = value(&rule.status) else { return broken("the status", &rule.status) };
    let report = report(rule, &word);
    let code = value(&rule.code).filter(|_| report == Report::Failed);
    let opted_out = code.as_ref().is_some_and(|code| rule.opted_out.contains(code));
    let code = match (code, value(&rule.text)) {
        (Some(code), words) => format!("{code}: {}", words.unwrap_or_default()),
        (None, _) => word,
    };
    let text = |paths: &[String]| value(paths).unwrap_or_default().into();
    let receipt = InReceipt {
        reference: reference.map(Into::into),
        id: id.unwrap_or_default().into(),
        report,
        code: code.into(),
        did: text(&rule.from),
        customer: text(&rule.to),
        watermark_ms: None,
    };
    let opt_out = opted_out.then(|| InEvent::OptOut {
        did: receipt.did.clone(),
        customer: receipt.customer.clone(),
        out: true,
        id: receipt.id.clone(),
    });
    [Some(InEvent::Receipt(Box::new(receipt))), opt_out].into_iter().flatten().collect()
}

/// Returns the meaning of a word: the longest pattern that matches counts.
fn report(rule: &ReceiptRule, word: &str) -> Report {
    let word = word.trim().to_lowercase();
    let patterns =
        rule.statuses.iter().flat_map(|(report, words)| words.iter().map(move |word| (word, report)));
    let matching = patterns.filter(|(pattern, _)| matches(&pattern.to_lowercase(), &word));
    let longest = matching.max_by_key(|(pattern, _)| pattern.len());
    longest.map_or(Report::Nothing, |(_, report)| report.report())
}

/// Returns whether a word matches a pattern, which may have a `*` at either end.
fn matches(pattern: &str, word: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), None) => word.ends_with(end),
        (None, Some(start)) => word.starts_with(start),
        (Some(_), Some(_)) => word.contains(pattern.trim_matches('*')),
        (None, None) => word == pattern,
    }
}
