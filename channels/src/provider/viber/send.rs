//! Messages to Viber: each native body as JSON, buttons as a keyboard, cards as rich media. Nothing
//! is cut or adapted here: the content already fits.

use message::{
    BodyType, Content,
    cim::{
        self, Marks,
        body::{self, Button, Buttons, Card, Carousel, Contacts, Link, Location, Press},
    },
    event::Cause,
};
use serde_json::{Value, json};

use crate::{
    contract::SendError,
    toolkit::{json, upload::File},
};

/// Returns the message without sender and recipient.
///
/// # Errors
/// The content cannot be expressed as a message.
pub(super) fn message(content: &Content) -> Result<Value, SendError> {
    let (body_type, json) = match content {
        Content::Text(text) => return Ok(text_message(text)),
        Content::Rich { body_type, json } => (*body_type, &**json),
        _ => return Err(rejected("octets cannot be sent here")),
    };
    Ok(match body_type {
        BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File => file(body_type, json),
        BodyType::Sticker => sticker(&body::read(json).unwrap_or_default()),
        BodyType::Location => {
            let body: Location<'_> = body::read(json).unwrap_or_default();
            let place = &body.additional_details;
            // A location has no name at Viber: further details are sent as words.
            if [&place.name, &place.address, &place.url].iter().any(|words| !words.is_empty()) {
                return worded(content);
            }
            let degrees = |n: Option<f64>| n.unwrap_or_default();
            let (lat, lon) = (degrees(body.location.latitude.0), degrees(body.location.longitude.0));
            json!({"type": "location", "location": {"lat": lat, "lon": lon}})
        }
        BodyType::Contact => match contact(&body::read(json).unwrap_or_default()) {
            Some(contact) => json!({"type": "contact", "contact": contact}),
            // Several contacts, or one with more than a name and a number, have no type.
            None => return worded(content),
        },
        BodyType::Url => {
            let body: Link<'_> = body::read(json).unwrap_or_default();
            json!({"type": "url", "media": &*body.media_url})
        }
        BodyType::Button => {
            let body: Buttons<'_> = body::read(json).unwrap_or_default();
            let mut message = text_message(&body.markdown_text);
            json::set(&mut message, "keyboard", keyboard(&body));
            message
        }
        BodyType::Carousel => carousel(&body::read(json).unwrap_or_default()),
        BodyType::Custom => return custom(json),
        _ => return Err(rejected("this body type cannot be sent here")),
    })
}

fn rejected(reason: &str) -> SendError {
    SendError::Rejected(Cause::new("400", reason))
}

/// Returns the content as words.
fn worded(content: &Content) -> Result<Value, SendError> {
    let words = cim::words_of(content, Marks::Removed).map_err(|e| rejected(&e.to_string()))?;
    Ok(text_message(&words.text))
}

fn text_message(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// Maximum size of a video at Viber, in octets, and below of a file; larger ones are sent as an
/// address.
const VIDEO_BYTES_MAX: u64 = 26 * 1024 * 1024;
const FILE_BYTES_MAX: u64 = 50 * 1024 * 1024;
/// Maximum length of a file's name, in characters; a longer one is cut.
const FILE_NAME_CHARACTERS_MAX: usize = 256;

/// Returns a file by its address. Videos and files need their size as well: without it, or too
/// large, they are sent as words and an address.
fn file(body_type: BodyType, json: &str) -> Value {
    let body: body::Media<'_> = body::read(json).unwrap_or_default();
    let file = File::of(&body);
    let has_extension = file.name.contains('.') && file.name.chars().count() <= FILE_NAME_CHARACTERS_MAX;
    let mut message = match (body_type, file.size) {
        (BodyType::Image, _) => json!({"type": "picture", "text": body.words(), "media": file.link}),
        (BodyType::Video, Some(size)) if size <= VIDEO_BYTES_MAX => {
            json!({"type": "video", "text": body.words(), "media": file.link, "size": size})
        }
        (_, Some(size)) if body_type != BodyType::Video && size <= FILE_BYTES_MAX && has_extension => {
            json!({"type": "file", "media": file.link, "size": size, "file_name": file.name})
        }
        _ => return text_message(format!("{}\n{}", body.words(), file.link).trim_start()),
    };
    if !body.attachment.thumbnail.is_empty() && body_type != BodyType::File && body_type != BodyType::Audio {
        json::set(&mut message, "thumbnail", &*body.attachment.thumbnail);
    }
    message
}

/// Stickers are Viber's own, by number; others become pictures.
fn sticker(body: &Link<'_>) -> Value {
    match body.sticker_id.parse::<u64>() {
        Ok(id) => json!({"type": "sticker", "sticker_id": id}),
        Err(_) => json!({"type": "picture", "text": "", "media": &*body.media_url}),
    }
}

/// Maximum length of a contact's name and number, in characters; a longer one is cut.
const CONTACT_NAME_CHARACTERS_MAX: usize = 28;
const CONTACT_PHONE_CHARACTERS_MAX: usize = 18;

fn contact(body: &Contacts<'_>) -> Option<Value> {
    let [contact] = &*body.contacts else { return None };
    let [phone] = &*contact.phones else { return None };
    let name = &*contact.name.formatted_name;
    let details = &contact.additional_contact_details;
    let fits = name.chars().count() <= CONTACT_NAME_CHARACTERS_MAX
        && phone.phone.chars().count() <= CONTACT_PHONE_CHARACTERS_MAX;
    let whole = details.emails.is_empty() && details.urls.is_empty() && !phone.phone.is_empty();
    (fits && whole).then(|| json!({"name": name, "phone_number": &*phone.phone}))
}

/// Number of buttons from which on two stand in a row.
const FULL_ROWS_MAX: usize = 6;
/// Columns of a keyboard.
const COLUMNS: usize = 6;

fn keyboard(body: &Buttons<'_>) -> Value {
    let columns = if body.buttons.len() > FULL_ROWS_MAX { COLUMNS / 2 } else { COLUMNS };
    let buttons: Vec<Value> = body.buttons.iter().map(|b| button(b, columns)).collect();
    json!({"Type": "keyboard", "DefaultHeight": false, "Buttons": buttons})
}

fn button(button: &Button<'_>, columns: usize) -> Value {
    let action = if button.press() == Press::Open { "open-url" } else { "reply" };
    json!({"Columns": columns, "Rows": 1, "ActionType": action, "ActionBody": &*button.payload,
        "Text": escaped(&button.title), "TextSize": "regular", "Silent": action == "open-url"})
}

/// Titles are interpreted as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Number of rows of every card.
const CARD_ROWS: usize = 7;
/// Rows that a card's picture takes.
const PICTURE_ROWS: usize = 3;

/// Cards stand side by side: each takes the same cells, or the next would begin inside it.
fn carousel(body: &Carousel<'_>) -> Value {
    let cells: Vec<Value> = body.elements.iter().flat_map(|card| self::card(card)).collect();
    let words: Vec<&str> = body.elements.iter().map(|card| &*card.text.0).collect();
    json!({"type": "rich_media", "min_api_version": 7, "alt_text": words.join("\n"),
        "rich_media": {"Type": "rich_media", "ButtonsGroupColumns": COLUMNS, "ButtonsGroupRows": CARD_ROWS,
            "BgColor": "#FFFFFF", "Buttons": cells}})
}

fn card(card: &Card<'_>) -> Vec<Value> {
    let opened = &*card.default_action.url;
    let action = |mut cell: Value| {
        let kind = if opened.is_empty() { "none" } else { "open-url" };
        json::set(&mut cell, "ActionType", kind);
        json::set(&mut cell, "ActionBody", if opened.is_empty() { "none" } else { opened });
        cell
    };
    let mut cells = Vec::new();
    let mut left = CARD_ROWS.saturating_sub(card.buttons.len());
    if !card.url.is_empty() {
        cells.push(action(json!({"Columns": COLUMNS, "Rows": PICTURE_ROWS, "Image": &*card.url})));
        left = left.saturating_sub(PICTURE_ROWS);
    }
    let subtitle = &*card.additional_carousel_element_details.subtitle;
    let mut words = format!("<b>{}</b>", escaped(&card.text));
    if !subtitle.is_empty() {
        words.push_str("<br>");
        words.push_str(&escaped(subtitle));
    }
    cells.push(action(json!({"Columns": COLUMNS, "Rows": left, "Text": words, "TextSize": "regular",
        "TextHAlign": "left", "TextVAlign": "middle"})));
    cells.extend(card.buttons.iter().map(|b| button(b, COLUMNS)));
    cells
}

/// CUSTOM: `jsonNode` is the message's own part of the call, with its `type`; sender and recipient
/// stay ours. Without it the words are sent.
fn custom(json: &str) -> Result<Value, SendError> {
    let body: Value = serde_json::from_str(json).unwrap_or_default();
    let node = json::at(&body, "/jsonNode").and_then(Value::as_object);
    if let Some(mut node) = node.filter(|n| n.contains_key("type") || n.contains_key("keyboard")).cloned() {
        node.remove("auth_token");
        node.remove("broadcast_list");
        return Ok(node.into());
    }
    let words = json::some_text(&body, "/markdownText");
    words
        .map(|words| text_message(&words))
        .ok_or_else(|| rejected("the CUSTOM body has no jsonNode with a type, and no words"))
}
