//! The adaptation of each body on channels like the known ones.

mod random;

use message::{
    BodyType, Choice, Content,
    cim::{
        body::{Buttons, Carousel, Link, Location, Media, read},
        choice,
    },
};
use serde_json::{Value, json};

use super::prepare;
use crate::contract::{
    Capabilities,
    capability::{self, Format, LongText, Opens},
};

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

/// Returns a line for each part: its type and its words.
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

/// Returns the words that a customer sees of a part.
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
fn buttons_go_as_the_channel_can_show_them() {
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
    ] {
        assert_eq!(shown(body, &capabilities).0, expected, "{body}");
    }
    let choices = shown(&many, &messenger()).1;
    assert_eq!(choice(&choices, "2").map(|at| &*choices[at].payload), Some("p-No 2"));
}

#[test]
fn cards_go_as_the_channel_can_show_them() {
    let cards = json!({ "type": "CAROUSEL", "markdownText": "Ours", "elements": [
        { "text": "Hat", "url": "https://x.example/1.png", "buttons": [reply("Buy")] },
        { "text": "Shoe", "url": "https://x.example/2.png", "buttons": [{ "type": "url", "title": "See", "payload": "https://x.example/2" }] },
        { "text": "Coat" }] });
    for (body, capabilities, expected) in [
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
    ] {
        assert_eq!(shown(body, &capabilities).0, expected, "{body}");
    }
    let choices = shown(&cards, &Capabilities::TEXT).1;
    assert_eq!(choice(&choices, "1").map(|at| &*choices[at].payload), Some("p-Buy"));
}

#[test]
fn files_and_places_go_as_the_channel_can_show_them() {
    let image = json!({ "type": "IMAGE", "caption": "a shelf of books",
        "attachment": { "mediaUrl": "https://x.example/s.png", "mediaLabel": "Shelf" } });
    let place = json!({ "type": "LOCATION", "markdownText": "Here", "location": { "latitude": 50, "longitude": 7 },
        "additionalDetails": { "name": "Office" } });
    for (body, capabilities, expected) in [
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
}
