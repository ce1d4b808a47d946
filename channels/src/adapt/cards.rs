//! CAROUSEL bodies: sent as one or several carousels, as a message for each card, or as a numbered
//! list, depending on the channel. The order of the cards is kept.

use message::{
    BodyType, Content,
    cim::{
        Object, Rule,
        body::{Button, Card, Carousel, Press},
        markdown,
    },
};
use serde_json::{Value, json};

use super::{
    apart::add_file,
    buttons::{Shape, above, add_buttons, add_details, edit_buttons, edit_plain, fit, shape},
    draft::{Draft, Lines, read, refused},
};
use crate::{contract::Rejection, toolkit::json};

/// Appends a CAROUSEL body.
pub(super) fn add_carousel(draft: &mut Draft<'_>, json: &str, content: &Content) -> Result<(), Rejection> {
    let body: Carousel<'_> = read(json)?;
    let cards = &*body.elements;
    let carousels = draft.capabilities.carries(BodyType::Carousel) && draft.capabilities.cards_max > 0;
    if carousels && !cards.is_empty() && cards.iter().all(|card| is_card(draft, card)) {
        add_words_above(draft, &body)?;
        return add_carousels(draft, json, cards);
    }
    // Without pictures and buttons, one text for all cards reads better than one each.
    let gains = cards.iter().any(|card| shows_picture(draft, card) || has_buttons(draft, card));
    if !gains || !cards.iter().all(|card| is_message(draft, card)) {
        return draft.push_words(content);
    }
    add_words_above(draft, &body)?;
    let number = cards.len();
    draft.note(Rule::CardMessages, format_args!("{number} cards were sent as messages of their own"));
    let values: Value = serde_json::from_str(json).map_err(refused)?;
    for (index, card) in cards.iter().enumerate() {
        let buttons = json::at(&values, &format!("/elements/{index}/buttons"));
        add_card(draft, card, buttons.cloned().unwrap_or_default())?;
    }
    Ok(())
}

fn add_words_above(draft: &mut Draft<'_>, body: &Carousel<'_>) -> Result<(), Rejection> {
    let words = body.markdown_text.trim();
    if words.is_empty() {
        return Ok(());
    }
    let said = draft.render(words);
    draft.note(Rule::WordsApart, "the words above the cards were sent before them");
    draft.push_text(&said)
}

/// Returns whether a card fits into a carousel unchanged.
fn is_card(draft: &Draft<'_>, card: &Card<'_>) -> bool {
    let fits = |words: &str| {
        let plain = markdown::plain(words);
        draft.capabilities.units.of(plain.trim()) <= draft.capabilities.card_text_characters_max
    };
    let details = |button: &Object<Button<'_>>| {
        let details = &button.additional_button_details;
        details.description.trim().is_empty() && details.section_title.trim().is_empty()
    };
    !markdown::plain(&card.text).trim().is_empty()
        && fits(&card.text)
        && fits(&card.additional_carousel_element_details.subtitle)
        && card.buttons.iter().all(details)
        && (card.buttons.is_empty()
            || fit(&card.buttons, draft.capabilities.card_buttons_max, draft.capabilities))
}

/// Appends the cards as carousels of at most `cards_max` each.
fn add_carousels(draft: &mut Draft<'_>, json: &str, cards: &[Object<Card<'_>>]) -> Result<(), Rejection> {
    for card in cards {
        draft.plain(&card.text);
        draft.plain(&card.additional_carousel_element_details.subtitle);
    }
    let max = draft.capabilities.cards_max;
    let number = cards.len().div_ceil(max);
    if number > 1 {
        draft.note(
            Rule::SeveralCarousels,
            format_args!("{} cards were sent as {number} carousels", cards.len()),
        );
    }
    for first in (0..cards.len()).step_by(max) {
        draft.push_edited(BodyType::Carousel, json, |body| {
            body.insert("markdownText".into(), Value::Null);
            if let Some(Value::Array(elements)) = body.get_mut("elements") {
                *elements = elements.drain(..).skip(first).take(max).collect();
                elements.iter_mut().for_each(edit_card);
            }
        })?;
    }
    Ok(())
}

/// Returns whether a card can be a message of its own; its replies need buttons.
fn is_message(draft: &Draft<'_>, card: &Card<'_>) -> bool {
    let replies = card.buttons.iter().any(|button| button.press() == Press::Reply);
    !replies || has_buttons(draft, card)
}

fn shows_picture(draft: &Draft<'_>, card: &Card<'_>) -> bool {
    draft.capabilities.carries(BodyType::Image) && !card.url.trim().is_empty()
}

/// Returns whether a card's buttons can stand below its words, as [`add_buttons`] will place them.
fn has_buttons(draft: &Draft<'_>, card: &Card<'_>) -> bool {
    let shape = shape(&card.buttons, false, draft.capabilities);
    let Some(shape) = shape.filter(|_| draft.capabilities.carries(BodyType::Button)) else { return false };
    let mut lines = words(card, true);
    if shape == Shape::Buttons {
        add_details(&mut lines, &card.buttons);
    }
    above(draft, draft.rendered(&lines.0).trim()).is_some()
}

/// Appends a card as messages: picture, words, buttons.
fn add_card(draft: &mut Draft<'_>, card: &Card<'_>, buttons: Value) -> Result<(), Rejection> {
    let has_buttons = has_buttons(draft, card);
    let mut lines = words(card, has_buttons);
    let picture = card.url.trim();
    let shows = shows_picture(draft, card);
    if !shows {
        lines.push(picture);
    }
    if shows {
        let caption = if has_buttons { "" } else { &*lines.0 };
        let image = json!({ "type": "IMAGE", "caption": caption, "attachment": { "mediaUrl": picture } });
        let image = image.to_string();
        let content = Content::Rich { body_type: BodyType::Image, json: image.as_str().into() };
        add_file(draft, BodyType::Image, &image, &content)?;
    }
    if has_buttons {
        let body = json!({ "type": "BUTTON", "markdownText": lines.0, "buttons": buttons });
        let body = body.to_string();
        let content = Content::Rich { body_type: BodyType::Button, json: body.as_str().into() };
        return add_buttons(draft, &body, &content);
    }
    if shows || lines.0.is_empty() {
        return Ok(());
    }
    let said = draft.render(&lines.0).into_owned();
    draft.push_text(&said)
}

/// Returns a card's words, and the titles and payloads of its buttons unless the buttons are shown.
fn words(card: &Card<'_>, has_buttons: bool) -> Lines {
    let mut lines = Lines::default();
    lines.push(&card.text);
    lines.push(&card.additional_carousel_element_details.subtitle);
    let opened = &*card.default_action.url;
    if !card.buttons.iter().any(|button| *button.payload == *opened) {
        lines.push(opened);
    }
    if has_buttons {
        return lines;
    }
    for button in card.buttons.iter() {
        let mut line = format!("{}: {}", button.title.trim(), button.payload.trim());
        let description = button.additional_button_details.description.trim();
        if !description.is_empty() {
            line.push_str(" - ");
            line.push_str(description);
        }
        lines.push(&line);
    }
    lines
}

/// Removes Markdown from a card.
fn edit_card(card: &mut Value) {
    edit_plain(card.pointer_mut("/text"));
    edit_plain(card.pointer_mut("/additionalCarouselElementDetails/subtitle"));
    edit_buttons(card.pointer_mut("/buttons"), false);
}
