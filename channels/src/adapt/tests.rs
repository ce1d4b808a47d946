//! What becomes of each body on channels like the known ones, and that random bodies on random channels lose no
//! word and stay within every limit.

use message::cim::{
    body::{Buttons, Carousel, Link, Location, Media, Press, read},
    choice, markdown,
};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::capability::{self, Opens, Units};

const ALL: &[BodyType] = &[
    BodyType::Plain,
    BodyType::Image,
    BodyType::Video,
    BodyType::Audio,
    BodyType::File,
    BodyType::Sticker,
    BodyType::Location,
    BodyType::Contact,
    BodyType::Url,
    BodyType::Button,
    BodyType::Carousel,
    BodyType::Template,
];

fn messenger() -> Capabilities {
    Capabilities {
        native: ALL,
        text_characters_max: 2_000,
        long_text: LongText::Cut,
        cards_max: 2,
        card_buttons_max: 3,
        buttons: capability::Buttons {
            max: 3,
            rows_max: 0,
            title_characters_max: 20,
            row_title_characters_max: 0,
            payload_bytes_max: 1_000,
            text_characters_max: 64,
            opens: Opens::PagesAndCalls,
        },
        ..Capabilities::TEXT
    }
}

fn whatsapp() -> Capabilities {
    Capabilities {
        native: &[BodyType::Plain, BodyType::Image, BodyType::Audio, BodyType::Button, BodyType::Template],
        format: Format::Own,
        caption_characters_max: 10,
        captionless: &[BodyType::Audio],
        frame_characters_max: 60,
        buttons: capability::Buttons {
            rows_max: 10,
            row_title_characters_max: 24,
            opens: Opens::OnePage,
            ..messenger().buttons
        },
        ..messenger()
    }
}

fn rich(json: &Value) -> Content {
    let body_type = BodyType::from_wire(json["type"].as_str().unwrap());
    Content::Rich { body_type, json: json.to_string().into() }
}

/// Each part in a line: its type and what it says.
fn shown(json: &Value, capabilities: &Capabilities) -> (Vec<String>, Vec<Choice>) {
    let prepared = match prepare(&rich(json), capabilities) {
        Ok(prepared) => prepared,
        Err(refused) => return (vec![refused.0.reason.to_string()], Vec::new()),
    };
    let mut lines: Vec<String> = parts(&prepared.content).iter().map(|part| line(part)).collect();
    lines.extend(prepared.adapted.iter().map(|note| note.split(':').next().unwrap().to_owned()));
    (lines, prepared.choices.into())
}

fn parts(content: &Content) -> Vec<&Content> {
    match content {
        Content::Parts(parts) => parts.iter().collect(),
        one => vec![one],
    }
}

fn line(part: &Content) -> String {
    match part {
        Content::Text(text) => format!("TEXT {}", text.replace('\n', " / ")),
        Content::Rich { body_type, .. } => {
            format!("{} {}", body_type.as_wire(), visible(part).join(" / ").replace('\n', " / "))
        }
        other => panic!("{other:?}"),
    }
}

/// What a customer sees of a part.
fn visible(part: &Content) -> Vec<String> {
    let (body_type, json) = match part {
        Content::Text(text) => return vec![text.to_string()],
        Content::Rich { body_type, json } => (*body_type, json),
        other => panic!("{other:?}"),
    };
    let mut seen: Vec<String> = Vec::new();
    let mut see = |text: &str| {
        if !text.is_empty() {
            seen.push(text.to_owned());
        }
    };
    match body_type {
        BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File => {
            let body: Media<'_> = read(json).unwrap();
            see(&body.caption);
            see(&body.attachment.media_url);
        }
        BodyType::Button => {
            let body: Buttons<'_> = read(json).unwrap();
            let frame = &body.additional_details.interactive;
            [&*frame.header.text, &body.markdown_text, &frame.footer.text].into_iter().for_each(&mut see);
            for button in body.buttons.iter() {
                see(&format!("[{}]", &*button.title));
                if &*frame.kind == "list" {
                    see(&button.additional_button_details.section_title);
                    see(&button.additional_button_details.description);
                }
            }
        }
        BodyType::Carousel => {
            let body: Carousel<'_> = read(json).unwrap();
            for card in body.elements.iter() {
                let below = &card.additional_carousel_element_details.subtitle;
                [&*card.text, below, &card.url].into_iter().for_each(&mut see);
                card.buttons.iter().for_each(|button| see(&format!("[{}]", &*button.title)));
            }
        }
        BodyType::Location => {
            let place: Location<'_> = read(json).unwrap();
            see(&place.additional_details.name);
        }
        BodyType::Sticker | BodyType::Url => see(&read::<Link<'_>>(json).unwrap().media_url),
        _ => see(json),
    }
    seen
}

fn reply(title: &str) -> Value {
    json!({ "type": "reply", "title": title, "payload": format!("p-{title}") })
}

#[test]
fn each_body_goes_as_the_channel_can_show_it() {
    let long = "A line that says what there is.\nAnd one that asks what it shall be for you:";
    let buttons =
        json!({ "type": "BUTTON", "markdownText": "**Which?**", "buttons": [reply("Red"), reply("Blue")] });
    let mut asked = buttons.clone();
    asked["markdownText"] = long.into();
    asked["additionalDetails"] = json!({ "interactive": { "header": { "type": "text", "text": "Hello" } } });
    let many = json!({ "type": "BUTTON", "markdownText": "Which?",
        "buttons": (1..=4).map(|n| reply(&format!("No {n}"))).collect::<Vec<_>>() });
    let mut detailed = buttons.clone();
    detailed["buttons"][0]["additionalButtonDetails"] = json!({ "description": "like wine" });
    let cards = json!({ "type": "CAROUSEL", "markdownText": "Ours", "elements": [
        { "text": "Hat", "url": "https://x.example/1.png", "buttons": [reply("Buy")] },
        { "text": "Shoe", "url": "https://x.example/2.png", "buttons": [{ "type": "url", "title": "See", "payload": "https://x.example/2" }] },
        { "text": "Coat" }] });
    let image = json!({ "type": "IMAGE", "caption": "a shelf of books",
        "attachment": { "mediaUrl": "https://x.example/s.png", "mediaLabel": "Shelf" } });
    let place = json!({ "type": "LOCATION", "markdownText": "Here", "location": { "latitude": 50, "longitude": 7 },
        "additionalDetails": { "name": "Office" } });
    for (body, capabilities, expected) in [
        (&buttons, messenger(), vec!["BUTTON Which? / [Red] / [Blue]", "plain-text"]),
        (&buttons, whatsapp(), vec!["BUTTON **Which?** / [Red] / [Blue]"]),
        (&buttons, Capabilities::TEXT, vec!["TEXT Which? / 1. Red / 2. Blue", "numbered-list", "plain-text"]),
        (
            &asked,
            messenger(),
            vec![
                "TEXT Hello / A line that says what there is.",
                "BUTTON And one that asks what it shall be for you: / [Red] / [Blue]",
                "button-words",
            ],
        ),
        (&many, messenger(), vec!["TEXT Which? / 1. No 1 / 2. No 2 / 3. No 3 / 4. No 4", "numbered-list"]),
        (&many, whatsapp(), vec!["BUTTON Which? / [No 1] / [No 2] / [No 3] / [No 4]"]),
        (
            &detailed,
            messenger(),
            vec!["BUTTON Which? / Red - like wine / [Red] / [Blue]", "button-details", "plain-text"],
        ),
        (&detailed, whatsapp(), vec!["BUTTON **Which?** / [Red] / like wine / [Blue]"]),
        (
            &cards,
            messenger(),
            vec![
                "TEXT Ours",
                "CAROUSEL Hat / https://x.example/1.png / [Buy] / Shoe / https://x.example/2.png / [See]",
                "CAROUSEL Coat",
                "words-apart",
                "several-carousels",
            ],
        ),
        (
            &cards,
            whatsapp(),
            vec![
                "TEXT Ours",
                "IMAGE https://x.example/1.png",
                "BUTTON Hat / [Buy]",
                "IMAGE https://x.example/2.png",
                "BUTTON Shoe / [See]",
                "TEXT Coat",
                "words-apart",
                "card-messages",
            ],
        ),
        (
            &cards,
            Capabilities::TEXT,
            vec![
                "TEXT Ours / 1. Hat / https://x.example/1.png / 1a. Buy / 2. Shoe / https://x.example/2.png / See: https://x.example/2 / 3. Coat",
                "numbered-list",
            ],
        ),
        (&image, whatsapp(), vec!["IMAGE https://x.example/s.png", "TEXT a shelf of books", "caption-apart"]),
        (
            &image,
            Capabilities::TEXT,
            vec!["TEXT a shelf of books / Shelf: https://x.example/s.png", "file-link"],
        ),
        (&place, messenger(), vec!["TEXT Here", "LOCATION Office", "words-apart"]),
        (&place, whatsapp(), vec!["TEXT Here / Office / 50,7", "as-words"]),
        (
            &json!({ "type": "WRAPUP", "note": "x" }),
            Capabilities { native: &[BodyType::Plain, BodyType::WrapUp], ..messenger() },
            vec!["a WRAPUP body is not sent as text: it is internal"],
        ),
    ] {
        assert_eq!(shown(body, &capabilities).0, expected, "{body}");
    }
    let choices = shown(&many, &messenger()).1;
    assert_eq!(choice(&choices, "2").map(|at| &*choices[at].payload), Some("p-No 2"));
    let choices = shown(&cards, &Capabilities::TEXT).1;
    assert_eq!(choice(&choices, "1").map(|at| &*choices[at].payload), Some("p-Buy"));
}

/// Makes bodies and channels from octets; remembers every word it said.
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
            // What a button opens is not seen.
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

/// Everything a provider relies on.
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
            prop_assert_eq!(choice(&prepared.choices, &one.label), Some(at));
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
