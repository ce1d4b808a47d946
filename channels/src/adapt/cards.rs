//! CAROUSEL: as one or several carousels, as a message for each card, or as a numbered list, by what the channel can
//! show. The order of the cards is kept.

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
    Draft, Lines,
    buttons::{edit_buttons, edit_plain, fit, shape},
    read,
};

use crate::{contract::Rejection, toolkit::json};

impl Draft<'_> {
    /// A CAROUSEL body.
    pub(super) fn cards(&mut self, json: &str, content: &Content) -> Result<(), Rejection> {
        let body: Carousel<'_> = read(json)?;
        let cards = &*body.elements;
        let carousels = self.capabilities.carries(BodyType::Carousel) && self.capabilities.cards_max > 0;
        if carousels && !cards.is_empty() && cards.iter().all(|card| self.is_card(card)) {
            self.words_above(&body)?;
            return self.carousels(json, cards);
        }
        // Without pictures and buttons one text for all is worth more than many.
        let gains = cards.iter().any(|card| self.shows_picture(card) || self.has_buttons(card));
        if !gains || !cards.iter().all(|card| self.is_message(card)) {
            return self.words(content);
        }
        self.words_above(&body)?;
        let number = cards.len();
        self.note(Rule::CardMessages, format_args!("{number} cards were sent as messages of their own"));
        let values: Value = serde_json::from_str(json).map_err(super::refused)?;
        for (index, card) in cards.iter().enumerate() {
            let buttons = json::at(&values, &format!("/elements/{index}/buttons"));
            self.card(card, buttons.cloned().unwrap_or_default())?;
        }
        Ok(())
    }

    fn words_above(&mut self, body: &Carousel<'_>) -> Result<(), Rejection> {
        let words = body.markdown_text.trim();
        if words.is_empty() {
            return Ok(());
        }
        let said = self.said(words);
        self.note(Rule::WordsApart, "the words above the cards were sent before them");
        self.text(&said)
    }

    /// Whether a card is one of a carousel as it is.
    fn is_card(&self, card: &Card<'_>) -> bool {
        let fits = |words: &str| {
            let plain = markdown::plain(words);
            self.capabilities.units.of(plain.trim()) <= self.capabilities.card_text_characters_max
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
                || fit(&card.buttons, self.capabilities.card_buttons_max, self.capabilities))
    }

    /// As many carousels as the cards need.
    fn carousels(&mut self, json: &str, cards: &[Object<Card<'_>>]) -> Result<(), Rejection> {
        for card in cards {
            self.plain(&card.text);
            self.plain(&card.additional_carousel_element_details.subtitle);
        }
        let max = self.capabilities.cards_max;
        let number = cards.len().div_ceil(max);
        if number > 1 {
            self.note(
                Rule::SeveralCarousels,
                format_args!("{} cards were sent as {number} carousels", cards.len()),
            );
        }
        for first in (0..cards.len()).step_by(max) {
            self.push_edited(BodyType::Carousel, json, |body| {
                body.insert("markdownText".into(), Value::Null);
                if let Some(Value::Array(elements)) = body.get_mut("elements") {
                    *elements = elements.drain(..).skip(first).take(max).collect();
                    elements.iter_mut().for_each(edit_card);
                }
            })?;
        }
        Ok(())
    }

    /// Whether a card can be a message of its own: its replies need buttons.
    fn is_message(&self, card: &Card<'_>) -> bool {
        let replies = card.buttons.iter().any(|button| button.press() == Press::Reply);
        !replies || self.has_buttons(card)
    }

    fn shows_picture(&self, card: &Card<'_>) -> bool {
        self.capabilities.carries(BodyType::Image) && !card.url.trim().is_empty()
    }

    /// Whether a card's buttons can stand below its words.
    fn has_buttons(&self, card: &Card<'_>) -> bool {
        self.capabilities.carries(BodyType::Button)
            && shape(&card.buttons, false, self.capabilities).is_some()
            && self.above(self.would_say(&words(card, true).0).trim()).is_some()
    }

    /// A card as messages: its picture, its words, its buttons.
    fn card(&mut self, card: &Card<'_>, buttons: Value) -> Result<(), Rejection> {
        let has_buttons = self.has_buttons(card);
        let mut lines = words(card, has_buttons);
        let picture = card.url.trim();
        let shows = self.shows_picture(card);
        if !shows {
            lines.push(picture);
        }
        if shows {
            let caption = if has_buttons { "" } else { &*lines.0 };
            let image = json!({ "type": "IMAGE", "caption": caption, "attachment": { "mediaUrl": picture } });
            self.content(&rich(BodyType::Image, &image))?;
        }
        if has_buttons {
            let body = json!({ "type": "BUTTON", "markdownText": lines.0, "buttons": buttons });
            return self.content(&rich(BodyType::Button, &body));
        }
        if shows || lines.0.is_empty() {
            return Ok(());
        }
        let said = self.said(&lines.0).into_owned();
        self.text(&said)
    }
}

fn rich(body_type: BodyType, body: &Value) -> Content {
    Content::Rich { body_type, json: body.to_string().into() }
}

/// What a card says, but for its picture; with the addresses behind its buttons unless these are shown.
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

/// A card's words without Markdown.
fn edit_card(card: &mut Value) {
    edit_plain(card.pointer_mut("/text"));
    edit_plain(card.pointer_mut("/additionalCarouselElementDetails/subtitle"));
    edit_buttons(card.pointer_mut("/buttons"), false);
}
