//! WhatsApp's rules for messages: the types, their fields and their limits, as Meta documents them.

use serde_json::Value;

use crate::{
    contract::Message,
    toolkit::{http::text, media::Media},
};

/// The reason for a refusal.
pub(crate) struct WhatsAppError {
    pub(crate) code: u64,
    pub(crate) message: String,
}

impl WhatsAppError {
    fn new(code: u64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

const TYPES: [&str; 12] = [
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "reaction",
    "interactive",
    "template",
    "address",
];

fn missing(field: &str) -> WhatsAppError {
    WhatsAppError::new(131_008, format!("Required parameter is missing: {field}"))
}

fn invalid(field: &str) -> WhatsAppError {
    WhatsAppError::new(131_009, format!("Parameter value is not valid: {field}"))
}

/// Returns a text of `least` to `most` characters; it may be missing if `least` is 0.
fn words<'a>(value: &'a Value, pointer: &str, least: usize, most: usize) -> Result<&'a str, WhatsAppError> {
    let Some(text) = text(value, pointer) else {
        return if least > 0 { Err(missing(pointer)) } else { Ok("") };
    };
    let length = text.chars().count();
    if length < least {
        return Err(missing(pointer));
    }
    if length > most {
        return Err(WhatsAppError::new(
            100,
            format!("Param {pointer} must be at most {most} characters long."),
        ));
    }
    Ok(text)
}

/// Returns the message without its id, or why it is refused.
pub(crate) fn check(body: &Value, media: &Media) -> Result<Message, WhatsAppError> {
    if text(body, "/messaging_product") != Some("whatsapp") {
        return Err(WhatsAppError::new(100, "The parameter messaging_product is required."));
    }
    let to = text(body, "/to").or_else(|| text(body, "/recipient"));
    let to = to.ok_or_else(|| WhatsAppError::new(100, "The parameter to is required."))?;
    let digits: String = to.chars().filter(|c| !" -()+".contains(*c)).collect();
    let number = (7..=15).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit());
    let opaque = to.split_once('.').is_some_and(|(country, id)| country.len() == 2 && !id.is_empty());
    let group = text(body, "/recipient_type") == Some("group");
    if !number && !opaque && !group {
        return Err(invalid("to"));
    }
    let kind = text(body, "/type").unwrap_or("text");
    if !TYPES.contains(&kind) {
        return Err(WhatsAppError::new(100, format!("Param type must be one of {{{}}}", TYPES.join(", "))));
    }
    if body.get("context").is_some() {
        words(body, "/context/message_id", 1, 1_000)?;
    }
    let object = body.get(kind).filter(|value| value.is_object() || value.is_array());
    let object =
        object.ok_or_else(|| WhatsAppError::new(100, format!("The parameter {kind} is required.")))?;
    let mut message = Message {
        to: if number { digits } else { to.to_owned() },
        kind: kind.to_owned(),
        request: body.clone(),
        ..Message::default()
    };
    match kind {
        "text" => words(object, "/body", 1, 4_096)?.clone_into(&mut message.text),
        "image" | "video" | "audio" | "document" | "sticker" => file(object, kind, media, &mut message)?,
        "location" => {
            for field in ["latitude", "longitude"] {
                let value = object.get(field).ok_or_else(|| missing(field))?;
                let degrees = value.as_f64().or_else(|| value.as_str()?.parse().ok());
                degrees.filter(|degrees| degrees.abs() <= 180.0).ok_or_else(|| invalid(field))?;
            }
            text(object, "/name").unwrap_or_default().clone_into(&mut message.text);
        }
        "contacts" => {
            let first = text(object, "/0/name/formatted_name").ok_or_else(|| missing("contacts"))?;
            first.clone_into(&mut message.text);
        }
        "reaction" => {
            words(object, "/message_id", 1, 1_000)?;
            text(object, "/emoji").unwrap_or_default().clone_into(&mut message.text);
        }
        "template" => {
            words(object, "/name", 1, 512)?.clone_into(&mut message.text);
            words(object, "/language/code", 1, 15)?;
        }
        _ => interactive(object, &mut message)?,
    }
    Ok(message)
}

fn file(object: &Value, kind: &str, media: &Media, message: &mut Message) -> Result<(), WhatsAppError> {
    let known = match (text(object, "/link"), text(object, "/id")) {
        (Some(link), None) if link.starts_with("http") => link,
        (Some(_), None) => return Err(invalid("link")),
        (None, Some(id)) if media.get(id).is_some() => id,
        (None, Some(_)) => {
            return Err(WhatsAppError::new(131_009, "Parameter value is not valid: the media id is unknown"));
        }
        (None, None) => return Err(missing("id or link")),
        (Some(_), Some(_)) => return Err(WhatsAppError::new(100, "Only one of id and link may be given.")),
    };
    message.media.push(known.to_owned());
    if matches!(kind, "audio" | "sticker") && object.get("caption").is_some() {
        return Err(WhatsAppError::new(100, format!("Unexpected key \"caption\" on param \"{kind}\".")));
    }
    words(object, "/caption", 0, 1_024)?.clone_into(&mut message.text);
    Ok(())
}

fn interactive(object: &Value, message: &mut Message) -> Result<(), WhatsAppError> {
    let kind = text(object, "/type").ok_or_else(|| missing("interactive.type"))?;
    let most = if kind == "list" { 4_096 } else { 1_024 };
    let least = usize::from(!matches!(kind, "product"));
    words(object, "/body/text", least, most)?.clone_into(&mut message.text);
    words(object, "/header/text", 0, 60)?;
    words(object, "/footer/text", 0, 60)?;
    match kind {
        "button" => {
            let buttons = object.pointer("/action/buttons").and_then(Value::as_array);
            let buttons = buttons.filter(|all| (1..=3).contains(&all.len()));
            for button in buttons.ok_or_else(|| invalid("action.buttons: 1 to 3"))? {
                words(button, "/reply/id", 1, 256)?;
                let title = words(button, "/reply/title", 1, 20)?.to_owned();
                if text(button, "/type") != Some("reply") || message.buttons.contains(&title) {
                    return Err(invalid("action.buttons"));
                }
                message.buttons.push(title);
            }
            Ok(())
        }
        "list" => list(object, message),
        "cta_url" => {
            let title = words(object, "/action/parameters/display_text", 1, 20)?;
            message.buttons.push(title.to_owned());
            let url = text(object, "/action/parameters/url").unwrap_or_default();
            if url.starts_with("http") { Ok(()) } else { Err(invalid("action.parameters.url")) }
        }
        "flow" => {
            words(object, "/action/parameters/flow_id", 1, 100)?;
            message.buttons.push(words(object, "/action/parameters/flow_cta", 1, 30)?.to_owned());
            Ok(())
        }
        "location_request_message" | "product" | "product_list" | "catalog_message" => Ok(()),
        _ => Err(invalid("interactive.type")),
    }
}

fn list(object: &Value, message: &mut Message) -> Result<(), WhatsAppError> {
    words(object, "/action/button", 1, 20)?;
    let sections = object.pointer("/action/sections").and_then(Value::as_array);
    let sections = sections.filter(|all| (1..=10).contains(&all.len()));
    let sections = sections.ok_or_else(|| invalid("action.sections: 1 to 10"))?;
    for section in sections {
        words(section, "/title", usize::from(sections.len() > 1), 24)?;
        let rows = section.get("rows").and_then(Value::as_array).filter(|rows| !rows.is_empty());
        for row in rows.ok_or_else(|| missing("rows"))? {
            words(row, "/id", 1, 200)?;
            words(row, "/description", 0, 72)?;
            message.buttons.push(words(row, "/title", 1, 24)?.to_owned());
        }
    }
    if message.buttons.len() > 10 { Err(invalid("action.sections: at most 10 rows")) } else { Ok(()) }
}
