//! Files, stickers, places, persons and pages, and the words beside them.

use message::{
    BodyType, Content,
    cim::{
        Rule,
        body::{Contact, Contacts, Link, Location, Media},
    },
};
use serde_json::Value;

use super::draft::{Draft, read};
use crate::{
    contract::{Capabilities, Rejection},
    toolkit::inbound_body,
};

/// Appends a file with its words; words that do not fit beside it follow it.
pub(super) fn add_file(
    draft: &mut Draft<'_>,
    body_type: BodyType,
    json: &str,
    content: &Content,
) -> Result<(), Rejection> {
    let body: Media<'_> = read(json)?;
    let capabilities = draft.capabilities;
    let carried = carried_as(body_type, &body.attachment.mime_type, capabilities);
    let (Some(carried), false) = (carried, body.attachment.media_url.trim().is_empty()) else {
        return draft.push_words(content);
    };
    if carried != body_type {
        draft.note(Rule::FileType, format_args!("the file was sent as {}", carried.as_wire()));
    }
    let words = body.words().trim();
    let said = draft.render(words);
    let beside = !capabilities.captionless.contains(&carried)
        && capabilities.units.of(&said) <= capabilities.caption_characters_max;
    let caption = if beside || said.is_empty() { &*said } else { "" };
    if carried == body_type && *caption == *body.caption && body.markdown_text.is_empty() {
        return draft.push(content.clone());
    }
    draft.push_edited(carried, json, |body| {
        body.insert("type".into(), carried.as_wire().into());
        body.insert("caption".into(), if caption.is_empty() { Value::Null } else { caption.into() });
        body.insert("markdownText".into(), Value::Null);
    })?;
    if said.is_empty() || beside {
        return Ok(());
    }
    let what = carried.as_wire().to_lowercase();
    draft.note(Rule::CaptionApart, format_args!("the words beside the {what} were sent after it"));
    draft.push_text(&said)
}

/// Appends a body that carries no words, after its words.
pub(super) fn add_after_words(
    draft: &mut Draft<'_>,
    body_type: BodyType,
    json: &str,
    content: &Content,
) -> Result<(), Rejection> {
    let (words, is_whole) = match body_type {
        BodyType::Location => {
            let body: Location<'_> = read(json)?;
            let within = |degrees: Option<f64>, max: f64| degrees.is_some_and(|d| d.abs() <= max);
            let point = &body.location;
            (body.markdown_text, within(point.latitude.0, 90.0) && within(point.longitude.0, 180.0))
        }
        BodyType::Contact => {
            let body: Contacts<'_> = read(json)?;
            let named = |contact: &Contact<'_>| !contact.name.formatted_name.trim().is_empty();
            let is_whole = !body.contacts.is_empty() && body.contacts.iter().all(|c| named(c));
            (body.markdown_text, is_whole)
        }
        _ => {
            let body: Link<'_> = read(json)?;
            let sticker = body_type == BodyType::Sticker && !body.sticker_id.trim().is_empty();
            let is_whole = sticker || !body.media_url.trim().is_empty();
            (body.markdown_text, is_whole)
        }
    };
    if !is_whole {
        return draft.push_words(content);
    }
    let words = words.trim();
    if words.is_empty() {
        return draft.push(content.clone());
    }
    let said = draft.render(words);
    let what = body_type.as_wire().to_lowercase();
    draft.note(Rule::WordsApart, format_args!("the words beside the {what} were sent before it"));
    draft.push_text(&said)?;
    draft.push_edited(body_type, json, |body| {
        body.insert("markdownText".into(), Value::Null);
    })
}

/// Returns the body type as which a file is sent, if the channel carries one for it.
fn carried_as(body_type: BodyType, mime_type: &str, capabilities: &Capabilities) -> Option<BodyType> {
    if capabilities.carries(body_type) {
        return Some(body_type);
    }
    if body_type != BodyType::Multimedia {
        return None;
    }
    let by_kind = inbound_body::file_type(mime_type);
    capabilities.carries(by_kind).then_some(by_kind)
}
