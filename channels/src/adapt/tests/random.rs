//! Random bodies on random channels lose no word and stay within every limit.

use message::{
    BodyType, Content,
    cim::{
        self, Rule,
        body::{Buttons, Carousel, Link, Media, Press, read},
        choice, markdown,
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ALL, parts, rich, visible};
use crate::{
    adapt::{PARTS_MAX, prepare},
    contract::{
        Capabilities, Rejection,
        capability::{self, Format, LongText, Opens, Units},
    },
};

/// Generates bodies and channels from octets; remembers every word it used.
struct Dice<'a> {
    octets: std::slice::Iter<'a, u8>,
    words: Vec<String>,
}

impl Dice<'_> {
    fn roll(&mut self, sides: usize) -> usize {
        usize::from(self.octets.next().copied().unwrap_or(0)) % sides
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }

    fn word(&mut self) -> String {
        let word = format!("w{}q", self.words.len());
        self.words.push(word.clone());
        word
    }

    fn text(&mut self, least: usize, most: usize) -> String {
        let number = least + self.roll(most - least + 1);
        let mut text = String::new();
        for _ in 0..number {
            if !text.is_empty() {
                text.push_str(self.one(&[" ", " ", "\n", " 👨‍👩‍👧 ", "  "]));
            }
            let word = self.word();
            text.push_str(&match self.roll(6) {
                0 => format!("**{word}**"),
                1 => format!("_{word}_"),
                _ => word,
            });
        }
        text
    }

    fn address(&mut self) -> String {
        format!("https://x.example/{}", self.word())
    }

    fn button(&mut self, number: usize, sections: bool) -> Value {
        let title = self.text(1, 3);
        let (kind, payload) = match self.roll(6) {
            0 => ("url", self.address()),
            1 => ("phone", format!("+49{}", 100 + self.words.len())),
            _ => ("reply", format!("p{number}{}", "x".repeat(self.roll(30)))),
        };
        if kind == "url" {
            // The target of a button is not visible.
            self.words.pop();
        }
        let mut button = json!({ "type": kind, "title": title, "payload": payload });
        if self.roll(5) == 0 {
            let details = json!({ "description": self.text(0, 4), "sectionTitle": self.text(0, usize::from(sections)) });
            button["additionalButtonDetails"] = details;
        }
        button
    }

    fn buttons(&mut self, most: usize, sections: bool) -> Value {
        let number = self.roll(most + 1);
        (0..number).map(|at| self.button(at, sections)).collect()
    }

    fn card(&mut self) -> Value {
        let url = if self.roll(2) == 0 { self.address() } else { String::new() };
        json!({ "text": self.text(1, 8), "url": url, "buttons": self.buttons(3, false),
            "additionalCarouselElementDetails": { "subtitle": self.text(0, 4) } })
    }

    fn body(&mut self) -> Value {
        match self.roll(8) {
            0 => json!({ "type": "PLAIN", "markdownText": self.text(1, 90) }),
            1 | 2 => {
                let kind = self.one(&["IMAGE", "VIDEO", "AUDIO", "FILE", "MULTIMEDIA"]);
                json!({ "type": kind, "caption": self.text(0, 40),
                    "attachment": { "mediaUrl": self.address(), "mimeType": self.one(&["image/png", "x"]) } })
            }
            3 => json!({ "type": "LOCATION", "markdownText": self.text(0, 9),
                "location": { "latitude": self.roll(99), "longitude": 7 },
                "additionalDetails": { "name": self.word() } }),
            4 => json!({ "type": self.one(&["URL", "STICKER"]), "markdownText": self.text(0, 9),
                "mediaUrl": self.address() }),
            5 | 6 => {
                let frame = json!({ "type": self.one(&["", "list"]), "header": { "text": self.text(0, 2) },
                    "footer": { "text": self.text(0, 2) } });
                let words = self.text(0, 30);
                json!({ "type": "BUTTON", "markdownText": words, "buttons": self.buttons(12, true),
                    "additionalDetails": { "interactive": frame } })
            }
            _ => {
                let words = self.text(0, 9);
                let number = self.roll(14);
                let cards: Value = (0..number).map(|_| self.card()).collect();
                json!({ "type": "CAROUSEL", "markdownText": words, "elements": cards })
            }
        }
    }

    fn capabilities(&mut self) -> Capabilities {
        let native: Vec<BodyType> = ALL.iter().copied().filter(|_| self.roll(4) > 0).collect();
        let limit = |dice: &mut Self| dice.one(&[0, 9, 20, 60, 300, 4_000]);
        Capabilities {
            native: native.leak(),
            units: self.one(&[Units::CodePoints, Units::Utf16]),
            text_characters_max: limit(self),
            long_text: self.one(&[LongText::Cut, LongText::Cut, LongText::Refuse]),
            format: self.one(&[Format::Plain, Format::Own]),
            caption_characters_max: limit(self),
            captionless: self.one(&[&[], &[BodyType::Audio]]),
            frame_characters_max: self.one(&[0, 10]),
            cards_max: self.one(&[0, 1, 3, 10]),
            card_text_characters_max: limit(self),
            card_buttons_max: self.one(&[0, 1, 3]),
            buttons: capability::Buttons {
                max: self.one(&[0, 3, 13]),
                rows_max: self.one(&[0, 10]),
                title_characters_max: limit(self),
                row_title_characters_max: limit(self),
                payload_bytes_max: limit(self),
                text_characters_max: limit(self),
                opens: self.one(&[Opens::No, Opens::OnePage, Opens::Pages, Opens::PagesAndCalls]),
            },
            ..Capabilities::TEXT
        }
    }
}

/// Checks everything that a provider relies on.
fn check(part: &Content, of: &Capabilities) -> Result<(), TestCaseError> {
    let (body_type, json) = match part {
        Content::Text(text) => {
            prop_assert!(of.carries(BodyType::Plain) && of.units.of(text) <= of.text_characters_max);
            return Ok(());
        }
        Content::Rich { body_type, json } => (*body_type, json),
        other => return Err(TestCaseError::fail(format!("{other:?}"))),
    };
    prop_assert!(of.carries(body_type), "{body_type:?}");
    match body_type {
        BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File => {
            let body: Media<'_> = read(json).unwrap();
            let max = if of.captionless.contains(&body_type) { 0 } else { of.caption_characters_max };
            prop_assert!(of.units.of(&body.caption) <= max && body.markdown_text.is_empty());
        }
        BodyType::Button => {
            let body: Buttons<'_> = read(json).unwrap();
            let frame = &body.additional_details.interactive;
            let limits = &of.buttons;
            let rows = &*frame.kind == "list";
            let title_max = if rows { limits.row_title_characters_max } else { limits.title_characters_max };
            prop_assert!(of.units.of(&body.markdown_text) <= limits.text_characters_max);
            prop_assert!(!body.markdown_text.trim().is_empty() && !body.buttons.is_empty());
            prop_assert!(of.units.of(&frame.header.text) <= of.frame_characters_max);
            prop_assert!(of.units.of(&frame.footer.text) <= of.frame_characters_max);
            let most = if rows { limits.rows_max } else { limits.max };
            prop_assert!(body.buttons.len() <= most);
            buttons_fit(&body.buttons, title_max, rows, of)?;
        }
        BodyType::Carousel => {
            let body: Carousel<'_> = read(json).unwrap();
            prop_assert!(body.markdown_text.is_empty() && body.elements.len() <= of.cards_max);
            for card in body.elements.iter() {
                let words = [&*card.text, &*card.additional_carousel_element_details.subtitle];
                prop_assert!(words.iter().all(|w| of.units.of(w) <= of.card_text_characters_max));
                prop_assert!(card.buttons.len() <= of.card_buttons_max);
                buttons_fit(&card.buttons, of.buttons.title_characters_max, false, of)?;
            }
        }
        _ => {
            let body: Link<'_> = read(json).unwrap();
            prop_assert!(body.markdown_text.trim().is_empty());
        }
    }
    Ok(())
}

fn buttons_fit(
    buttons: &[cim::Object<cim::body::Button<'_>>],
    title_max: usize,
    rows: bool,
    of: &Capabilities,
) -> Result<(), TestCaseError> {
    for button in buttons {
        prop_assert!(of.units.of(&button.title) <= title_max);
        prop_assert_eq!(&*markdown::plain(&button.title), &*button.title);
        let press = button.press();
        prop_assert!(press != Press::Reply || button.payload.len() <= of.buttons.payload_bytes_max);
        prop_assert!(press == Press::Reply || (!rows && of.buttons.opens != Opens::No));
        prop_assert!(press != Press::Call || of.buttons.opens == Opens::PagesAndCalls);
        prop_assert!(rows || button.additional_button_details.description.is_empty());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_body_goes_whole_and_within_the_limits(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut dice = Dice { octets: octets.iter(), words: Vec::new() };
        let capabilities = dice.capabilities();
        let body = dice.body();
        let content = match body["type"].as_str() {
            Some("PLAIN") => Content::Text(body["markdownText"].as_str().unwrap().into()),
            _ => rich(&body),
        };
        let prepared = match prepare(&content, &capabilities) {
            Ok(prepared) => prepared,
            Err(Rejection(cause)) => {
                let roomy = capabilities.carries(BodyType::Plain)
                    && capabilities.long_text == LongText::Cut
                    && capabilities.text_characters_max >= 300;
                prop_assert!(dice.words.is_empty() || !roomy, "{}: {}", cause.reason, body);
                return Ok(());
            }
        };
        let parts = parts(&prepared.content);
        prop_assert!(parts.len() == usize::from(prepared.split.parts) && parts.len() <= PARTS_MAX);
        let mut said = String::new();
        for part in &parts {
            check(part, &capabilities)?;
            said.extend(visible(part));
        }
        said.retain(|c| !c.is_whitespace());
        for word in &dice.words {
            prop_assert!(said.contains(word), "{word} is lost: {said}");
        }
        for note in &prepared.adapted {
            let name = note.split(": ").next();
            prop_assert!(Rule::ALL.iter().any(|rule| Some(rule.name()) == name));
        }
        if capabilities.format == Format::Plain {
            prop_assert!(!said.contains("**"), "{said}");
        }
        for (at, one) in prepared.choices.iter().enumerate() {
            prop_assert_eq!(choice(&prepared.choices, &one.label), Some(at), "{:?}", prepared.choices);
        }
    }

    #[test]
    fn any_json_is_adapted_or_refused(
        octets in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        junk in prop::sample::select(vec!["null", "[]", "{}", "0", "\"\"", "\" \"", "[{}]", "[1]", "\"*\"", "-1e300"]),
    ) {
        let mut dice = Dice { octets: octets.iter(), words: Vec::new() };
        let capabilities = dice.capabilities();
        let mut body = dice.body();
        let mut paths = Vec::new();
        paths_of(&body, "", &mut paths);
        *body.pointer_mut(&paths[at.index(paths.len())]).unwrap() = serde_json::from_str(junk).unwrap();
        let body_type = BodyType::from_wire(body["type"].as_str().unwrap_or("CAROUSEL"));
        let content = Content::Rich { body_type, json: body.to_string().into() };
        if let Ok(prepared) = prepare(&content, &capabilities) {
            for part in parts(&prepared.content) {
                check(part, &capabilities)?;
            }
        }
    }
}

fn paths_of(value: &Value, at: &str, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            paths.push(format!("{at}/{key}"));
            paths_of(value, &format!("{at}/{key}"), paths);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
            paths.push(format!("{at}/{index}"));
            paths_of(item, &format!("{at}/{index}"), paths);
        }),
        _ => {}
    }
}
