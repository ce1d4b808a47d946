//! Composes CIM bodies for what customers send: files, places, contacts. Files are named
//! `media:<n>`, the n-th of the message's [`crate::contract::MediaRef`]s; their addresses for the
//! business are filled in later.

use message::{BodyType, Content};
use serde_json::{Map, Value, json};

use crate::contract::{Attribute, InEvent, InMessage, MediaRef};

/// Returns an IMAGE, VIDEO, AUDIO or FILE body with its caption.
pub fn file(body_type: BodyType, caption: &str, index: usize, media: &MediaRef) -> Content {
    let mut attachment = Map::new();
    attachment.insert("mediaUrl".into(), format!("media:{index}").into());
    if let Some(content_type) = &media.content_type {
        attachment.insert("mimeType".into(), (&**content_type).into());
    }
    if let Some(name) = &media.file_name {
        attachment.insert("mediaName".into(), (&**name).into());
    }
    rich(
        body_type,
        json!({"type": body_type.as_wire(), "caption": caption, "markdownText": Value::Null, "attachment": attachment}),
    )
}

/// Returns the body type for a media type; FILE for unknown ones.
pub fn file_type(content_type: &str) -> BodyType {
    match content_type.split('/').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "image" => BodyType::Image,
        "video" => BodyType::Video,
        "audio" => BodyType::Audio,
        _ => BodyType::File,
    }
}

/// Returns the body type for a file name's extension, where the media type is missing; FILE for
/// unknown ones.
fn named_type(address: &str) -> BodyType {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let end = path.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
    match end.as_str() {
        "jpg" | "jpeg" | "png" | "gif" | "webp" | "bmp" | "heic" => BodyType::Image,
        "mp4" | "3gp" | "3gpp" | "mov" | "webm" => BodyType::Video,
        "mp3" | "amr" | "ogg" | "oga" | "wav" | "m4a" | "aac" => BodyType::Audio,
        _ => BodyType::File,
    }
}

/// Splits a message of words and files: the words stay with the first file, each further file
/// becomes a message of its own, named `<id>#<n>`.
pub fn messages(message: InMessage, words: &str, files: Vec<MediaRef>) -> Vec<InEvent> {
    if files.is_empty() {
        return vec![InEvent::Message(Box::new(InMessage {
            content: Content::Text(words.into()),
            ..message
        }))];
    }
    let one = |(n, media): (usize, MediaRef)| {
        let words = if n == 0 { words } else { "" };
        let id = if n == 0 { message.id.clone() } else { format!("{}#{n}", message.id).into() };
        let body_type = match &media.content_type {
            Some(content_type) => file_type(content_type),
            None => named_type(&media.locator),
        };
        let content = file(body_type, words, 0, &media);
        InEvent::Message(Box::new(InMessage { id, content, media: vec![media], ..message.clone() }))
    };
    files.into_iter().enumerate().map(one).collect()
}

/// Returns a LOCATION body.
pub fn location(latitude: f64, longitude: f64, name: &str, address: &str, url: &str) -> Content {
    rich(
        BodyType::Location,
        json!({"type": "LOCATION", "markdownText": Value::Null,
            "location": {"latitude": latitude, "longitude": longitude},
            "additionalDetails": {"name": name, "address": address, "url": url}}),
    )
}

/// Returns one contact with its numbers.
pub fn contact(name: &str, phones: &[&str]) -> Value {
    let phones: Vec<Value> = phones.iter().map(|phone| json!({"phone": phone})).collect();
    json!({"name": {"formattedName": name}, "phones": phones})
}

/// Returns a CONTACT body of contacts made by [`contact`].
pub fn contacts(contacts: Vec<Value>) -> Content {
    rich(BodyType::Contact, json!({"type": "CONTACT", "markdownText": Value::Null, "contacts": contacts}))
}

/// Returns a STICKER body: a file, or an id without one.
pub fn sticker(index: Option<usize>, id: &str) -> Content {
    let url = index.map_or(Value::Null, |index| format!("media:{index}").into());
    rich(
        BodyType::Sticker,
        json!({"type": "STICKER", "markdownText": Value::Null, "mediaUrl": url, "stickerId": id}),
    )
}

/// Returns a URL body.
pub fn url(words: &str, address: &str) -> Content {
    rich(BodyType::Url, json!({"type": "URL", "markdownText": words, "mediaUrl": address}))
}

/// Returns the text of a pressed button, and its payload as an attribute where it differs from the
/// text.
pub fn pressed(title: &str, payload: &str) -> (Content, Option<Attribute>) {
    let attribute = (payload != title && !payload.is_empty()).then(|| ("payload".into(), payload.into()));
    let words = if title.is_empty() { payload } else { title };
    (Content::Text(words.into()), attribute)
}

/// Returns a body of any type.
pub fn rich(body_type: BodyType, json: Value) -> Content {
    Content::Rich { body_type, json: json.to_string().into() }
}
