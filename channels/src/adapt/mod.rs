//! Fits a content to a channel's capabilities by named rules ([`Rule`](message::cim::Rule)): long
//! texts are cut, files become links, buttons a numbered list, cards messages. Every change is
//! noted for the business; a content that cannot be sent is refused with the reason. No word of the
//! business is lost.
//!
//! A provider always receives a body in one form, so that it need not check again:
//!
//! - a text, a caption: without Markdown where the format is plain, with it where the provider
//!   translates it;
//! - a file: its words in `caption`, or none at all;
//! - a sticker, place, person or URL: without words, which stand in a message before it;
//! - BUTTON: its words in `markdownText`, at least one; titles without Markdown, all different;
//!   `additionalDetails.interactive.type` is `button` or `list`; header and footer are present only
//!   within `frame_characters_max`; details of buttons only in a list, and then a section for all
//!   of them or for none;
//! - CAROUSEL: without words above, each card with a text without Markdown.

mod apart;
mod buttons;
mod cards;
mod channel;
mod cut;
mod draft;

use message::{BodyType, Content, event::Split};

pub use self::draft::PARTS_MAX;
use self::draft::{Draft, refused};
use crate::contract::{Capabilities, Prepared, Rejection};

/// Prepares a content for a channel with these capabilities.
///
/// # Errors
/// The content must not or cannot be sent to a customer there; the rejection says why.
pub fn prepare(content: &Content, capabilities: &Capabilities) -> Result<Prepared, Rejection> {
    let mut draft = Draft::new(capabilities);
    add(&mut draft, content)?;
    if draft.parts.is_empty() {
        return Err(refused("the content has nothing that can be sent"));
    }
    let parts = u16::try_from(draft.parts.len()).unwrap_or(u16::MAX);
    let content = match <[Content; 1]>::try_from(draft.parts) {
        Ok([one]) => one,
        Err(several) => Content::Parts(several.into()),
    };
    Ok(Prepared {
        content,
        split: Split { parts, ..Split::WHOLE },
        adapted: draft.notes.into(),
        choices: draft.choices.into(),
    })
}

/// Returns whether the body is a file: it has an attachment and a caption.
pub fn is_file(body_type: BodyType) -> bool {
    matches!(body_type, BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File)
}

/// Applies the rule for the content's type.
fn add(draft: &mut Draft<'_>, content: &Content) -> Result<(), Rejection> {
    let Content::Rich { body_type, json } = content else { return draft.push_words(content) };
    let native = draft.capabilities.carries(*body_type);
    match body_type {
        BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File | BodyType::Multimedia => {
            apart::add_file(draft, *body_type, json, content)
        }
        BodyType::Sticker | BodyType::Location | BodyType::Contact | BodyType::Url if native => {
            apart::add_after_words(draft, *body_type, json, content)
        }
        BodyType::Button if native => buttons::add_buttons(draft, json, content),
        BodyType::Carousel => cards::add_carousel(draft, json, content),
        BodyType::Template | BodyType::Custom | BodyType::Email | BodyType::Comment | BodyType::Receipt
            if native =>
        {
            draft.push(content.clone())
        }
        _ => draft.push_words(content),
    }
}

#[cfg(test)]
mod tests;
