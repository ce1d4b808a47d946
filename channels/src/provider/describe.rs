//! Descriptions of providers for people, before any account exists: the README's table, and the
//! keys of an account. Everything is read from the providers and accounts themselves.

use std::fmt::Write as _;

use message::BodyType;

use super::PROVIDERS;
use crate::contract::{
    AccountKey, AccountValue, Capabilities, Provider, Signature, account_keys,
    capability::{DefaultRate, Format, LongText, Units},
};

/// Returns every provider as a Markdown table.
pub fn table() -> String {
    let mut out = String::from(
        "| provider | goes out as it is | comes in | receipts | limits | what is adapted |\n|---|---|---|---|---|---|\n",
    );
    for provider in PROVIDERS.iter() {
        let capabilities = provider.capabilities;
        let name = format!("`{}`<br>{}", provider.name, provider.summary);
        let cells = [
            name,
            words(capabilities.native),
            if capabilities.inbound { words(capabilities.inbound_types) } else { "nothing".into() },
            receipts(&capabilities).into(),
            limits(&capabilities).join("; "),
            adapted(&capabilities).join("; "),
        ];
        _ = writeln!(out, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    out
}

/// Returns body types in lower case, separated by commas.
pub fn words(types: &[BodyType]) -> String {
    let word = |body_type: &BodyType| match body_type {
        BodyType::Plain => "text".to_owned(),
        other => other.as_wire().to_lowercase(),
    };
    types.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// Returns the receipts that come back.
pub fn receipts(capabilities: &Capabilities) -> &'static str {
    match (capabilities.receipts, capabilities.read_receipts) {
        (false, false) => "none",
        (false, true) => "read",
        (true, false) => "delivered, failed",
        (true, true) => "delivered, read, failed",
    }
}

/// Returns the limits as numbers with units.
pub fn limits(capabilities: &Capabilities) -> Vec<String> {
    let unit = match capabilities.units {
        Units::CodePoints => "characters",
        Units::Utf16 => "UTF-16 units",
        Units::Octets => "octets",
    };
    let mut limits = vec![format!("text {} {unit}", capabilities.text_characters_max)];
    let mut more = |is: bool, limit: String| limits.extend(is.then_some(limit));
    let captions = capabilities.caption_characters_max;
    more(captions > 0 && captions != capabilities.text_characters_max, format!("caption {captions}"));
    let buttons = capabilities.buttons;
    more(buttons.max > 0, format!("{} buttons of {}", buttons.max, buttons.title_characters_max));
    more(buttons.rows_max > 0, format!("{} rows of {}", buttons.rows_max, buttons.row_title_characters_max));
    more(capabilities.cards_max > 0, format!("{} cards", capabilities.cards_max));
    let hours = capabilities.window_hours.unwrap_or_default();
    more(hours > 0, format!("{hours} h after the customer's last message"));
    limits
}

/// Returns the send rate of a channel whose configuration gives none, and its basis.
pub fn send_rate(capabilities: &Capabilities) -> String {
    let DefaultRate { per_second, basis } = capabilities.send_rate;
    let rate = if per_second == 0 { "unlimited".into() } else { format!("{per_second} parts per second") };
    format!("{rate} unless send_rate is set: {basis}")
}

/// Returns the adaptations that apply.
pub fn adapted(capabilities: &Capabilities) -> Vec<String> {
    let carries = |body_type| capabilities.carries(body_type);
    let rules = [
        ("formatting is removed", capabilities.format == Format::Plain && carries(BodyType::Plain)),
        ("long texts are cut", capabilities.long_text == LongText::Cut),
        ("long texts are refused", capabilities.long_text == LongText::Refuse),
        (
            "files become links",
            ![BodyType::Image, BodyType::Video, BodyType::Audio, BodyType::File].into_iter().any(carries),
        ),
        ("buttons become a numbered list", !carries(BodyType::Button)),
        ("cards become messages", !carries(BodyType::Carousel)),
        ("places become text", !carries(BodyType::Location)),
        ("contacts become text", !carries(BodyType::Contact)),
    ];
    rules.into_iter().filter(|(_, applies)| *applies).map(|(words, _)| words.to_owned()).collect()
}

/// Returns how webhooks are authenticated, in words.
pub fn signature(signature: Signature) -> String {
    match signature {
        Signature::NoWebhooks => "none".into(),
        Signature::None => "never signed; the channel must have `unsigned = true`".into(),
        Signature::Optional(key) => {
            format!("checked by `{key}`; without it the channel must have `unsigned = true`")
        }
        Signature::Required(key) => format!("always checked, by `{key}`"),
    }
}

/// Returns the keys of `[channel.account]`, one line each: the name, whether it is needed, the
/// type, the default and the meaning.
pub fn account_keys(provider: &Provider) -> Vec<String> {
    let line = |key: &AccountKey| {
        let mut notes = vec![match &key.value {
            // The words follow with their meanings.
            AccountValue::Word(_) => "a word".to_owned(),
            value => value.expected(),
        }];
        match (&key.default, key.is_required) {
            (Some(default), _) => notes.push(format!("default {default}")),
            (None, true) => notes.insert(0, "required".into()),
            (None, false) => notes.insert(0, "optional".into()),
        }
        if key.is_secret {
            notes.push("secret: \"env:NAME\" or \"file:PATH\"".into());
        }
        let words = match &key.value {
            AccountValue::Word(words) => words.iter().map(word_and_meaning).collect::<Vec<_>>().join("; "),
            _ => String::new(),
        };
        let colon = if words.is_empty() { "" } else { " " };
        format!("{} ({}): {}{colon}{words}", key.name, notes.join(", "), key.about)
    };
    provider.account_keys().iter().map(line).collect()
}

fn word_and_meaning((word, meaning): &(Box<str>, Box<str>)) -> String {
    match meaning.trim_end_matches('.') {
        "" => format!("{word:?}"),
        meaning => format!("{word:?}: {meaning}"),
    }
}

/// Returns the keys of `[channel.account]` as JSON Schema.
pub fn account_schema(provider: &Provider) -> serde_json::Value {
    let mut schema = account_keys::schema(&provider.account_keys());
    if let Some(members) = schema.as_object_mut() {
        members.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        members.insert("title".into(), format!("[channel.account] of {}", provider.name).into());
    }
    schema
}
