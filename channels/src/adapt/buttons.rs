//! BUTTON: as buttons, as a list of rows, or as a numbered list, by what the channel can show. A payload or a title
//! is never shortened: what does not fit goes as words.

use std::collections::BTreeSet;

use message::{
    BodyType, Content,
    cim::{
        List, Object, Rule,
        body::{Button, Buttons, Press},
        markdown,
    },
};
use serde_json::{Map, Value};

use super::{Draft, Lines, read};
use crate::contract::{
    Capabilities, Rejection,
    capability::{self, LongText, Opens},
};

/// The longest payload of a row, in octets: WhatsApp's, where it is shorter than that of a button.
const ROW_PAYLOAD_BYTES_MAX: usize = 200;
/// The longest words below the title of a row, and the longest title of a section and of the list (WhatsApp).
const ROW_DETAILS_CHARACTERS_MAX: usize = 72;
const SECTION_CHARACTERS_MAX: usize = 24;
const LIST_CHARACTERS_MAX: usize = 20;

/// How buttons are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As buttons.
    Buttons,
    /// As rows of a list that opens.
    Rows,
}

impl Draft<'_> {
    /// A BUTTON body that the channel may carry.
    pub(super) fn buttons(&mut self, json: &str, content: &Content) -> Result<(), Rejection> {
        let body: Buttons<'_> = read(json)?;
        let frame = &body.additional_details.interactive;
        let wants_rows = frame.kind.eq_ignore_ascii_case("list");
        let Some(shape) = shape(&body.buttons, wants_rows, self.capabilities) else {
            return self.words(content);
        };
        let is_kept =
            |words: &str| self.capabilities.units.of(words) <= self.capabilities.frame_characters_max;
        let (header, footer) = (is_kept(&frame.header.text), is_kept(&frame.footer.text));
        let main = if body.markdown_text.is_empty() { &frame.body.text } else { &body.markdown_text };
        let mut lines = Lines::default();
        lines.push(if header { "" } else { &frame.header.text });
        lines.push(main);
        if shape == Shape::Buttons && lines.details(&body.buttons) {
            self.note(Rule::ButtonDetails, "the details of the buttons were put above them");
        }
        lines.push(if footer { "" } else { &frame.footer.text });
        let said = self.said(&lines.0).trim().to_owned();
        let Some(above) = self.above(&said) else { return self.words(content) };
        let (before, above) = said.split_at_checked(above).unwrap_or(("", &said));
        if !before.is_empty() {
            self.note(Rule::ButtonWords, "words too long to stand above the buttons were sent before them");
            self.text(before.trim_end())?;
        }
        let title = self.capabilities.units.of(&frame.button) <= LIST_CHARACTERS_MAX;
        self.push_edited(BodyType::Button, json, |body| {
            body.insert("markdownText".into(), above.into());
            let interactive =
                object(body, "additionalDetails").and_then(|details| object(details, "interactive"));
            if let Some(interactive) = interactive {
                edit_frame(interactive, shape, [("header", header), ("footer", footer), ("button", title)]);
            }
            edit_buttons(body.get_mut("buttons"), shape == Shape::Rows);
        })
    }

    /// Where the words that may stand above buttons begin, so that what is before them can go before; `None`
    /// when there must be words and are none, or they are too long for that.
    pub(super) fn above(&self, words: &str) -> Option<usize> {
        let max = self.capabilities.buttons.text_characters_max;
        if words.trim().is_empty() || max == 0 {
            return None;
        }
        if self.capabilities.units.of(words) <= max {
            return Some(0);
        }
        if self.capabilities.long_text == LongText::Refuse || !self.capabilities.carries(BodyType::Plain) {
            return None;
        }
        let last = self.cut(words, max)?.pop()?;
        // One character may be larger than all that may stand there.
        let fits = self.capabilities.units.of(words.get(last.clone())?) <= max;
        (fits && last.end == words.len()).then_some(last.start)
    }
}

impl Lines {
    /// What a channel does not show on buttons; whether there was anything.
    fn details(&mut self, buttons: &List<Object<Button<'_>>>) -> bool {
        let before = self.0.len();
        let mut section = "";
        for button in buttons.iter() {
            let details = &button.additional_button_details;
            if *details.section_title != *section {
                self.push(&details.section_title);
                section = &details.section_title;
            }
            if !details.description.trim().is_empty() {
                self.push(&format!("{} - {}", &*button.title, details.description.trim()));
            }
        }
        self.0.len() > before
    }
}

/// Says how the buttons are shown, and takes away of their frame what does not stay.
fn edit_frame(frame: &mut Map<String, Value>, shape: Shape, stays: [(&str, bool); 3]) {
    let kind = if shape == Shape::Rows { "list" } else { "button" };
    frame.insert("type".into(), kind.into());
    frame.remove("body");
    for (key, stays) in stays {
        if !stays {
            frame.remove(key);
        } else {
            edit_plain(frame.get_mut(key).and_then(|words| words.get_mut("text")));
        }
    }
}

/// The object under a key, an empty one if there is none.
fn object<'v>(of: &'v mut Map<String, Value>, key: &str) -> Option<&'v mut Map<String, Value>> {
    let value = of.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// Titles and details without Markdown; details only where they are shown.
pub(super) fn edit_buttons(buttons: Option<&mut Value>, details: bool) {
    const WORDS: [&str; 3] =
        ["/title", "/additionalButtonDetails/description", "/additionalButtonDetails/sectionTitle"];
    let Some(Value::Array(buttons)) = buttons else { return };
    for button in buttons {
        if let Some(button) = button.as_object_mut().filter(|_| !details) {
            button.insert("additionalButtonDetails".into(), Value::Null);
        }
        WORDS.iter().for_each(|path| edit_plain(button.pointer_mut(path)));
    }
}

/// Takes the Markdown out of a text.
pub(super) fn edit_plain(text: Option<&mut Value>) {
    if let Some(Value::String(text)) = text {
        *text = markdown::plain(text).trim().to_owned();
    }
}

/// How these buttons are shown on a channel; `None`: not at all.
pub(super) fn shape(
    buttons: &[Object<Button<'_>>],
    wants_rows: bool,
    capabilities: &Capabilities,
) -> Option<Shape> {
    let limits = &capabilities.buttons;
    let detailed = buttons.iter().any(|button| {
        let details = &button.additional_button_details;
        !details.description.trim().is_empty() || !details.section_title.trim().is_empty()
    });
    let as_rows = buttons.len() <= limits.rows_max && are_rows(buttons, capabilities);
    let as_buttons = fit(buttons, limits.max, capabilities);
    match (as_rows, as_buttons) {
        (true, false) => Some(Shape::Rows),
        (true, true) if wants_rows || detailed => Some(Shape::Rows),
        (_, true) => Some(Shape::Buttons),
        (false, false) => None,
    }
}

/// Whether these can be at most `max` buttons of a message or a card.
pub(super) fn fit(buttons: &[Object<Button<'_>>], max: usize, capabilities: &Capabilities) -> bool {
    let limits = &capabilities.buttons;
    !buttons.is_empty()
        && buttons.len() <= max
        && opens(buttons, limits.opens)
        && are_told_apart(buttons, limits.title_characters_max, limits.payload_bytes_max, capabilities)
}

fn are_rows(buttons: &[Object<Button<'_>>], capabilities: &Capabilities) -> bool {
    let capability::Buttons { row_title_characters_max, payload_bytes_max, .. } = capabilities.buttons;
    let units = capabilities.units;
    let sectioned = buttons
        .iter()
        .filter(|button| !button.additional_button_details.section_title.trim().is_empty())
        .count();
    !buttons.is_empty()
        && (sectioned == 0 || sectioned == buttons.len())
        && buttons.iter().all(|button| {
            let details = &button.additional_button_details;
            button.press() == Press::Reply
                && units.of(&details.description) <= ROW_DETAILS_CHARACTERS_MAX
                && units.of(&details.section_title) <= SECTION_CHARACTERS_MAX
        })
        && are_told_apart(
            buttons,
            row_title_characters_max,
            payload_bytes_max.min(ROW_PAYLOAD_BYTES_MAX),
            capabilities,
        )
}

/// Whether all have a title and a payload of their own, within the limits.
fn are_told_apart(
    buttons: &[Object<Button<'_>>],
    title_max: usize,
    payload_bytes_max: usize,
    capabilities: &Capabilities,
) -> bool {
    let mut titles = BTreeSet::new();
    let mut payloads = BTreeSet::new();
    buttons.iter().all(|button| {
        let title = markdown::plain(&button.title).trim().to_owned();
        let payload = &*button.payload;
        !title.is_empty()
            && capabilities.units.of(&title) <= title_max
            && !payload.trim().is_empty()
            && (button.press() != Press::Reply || payload.len() <= payload_bytes_max)
            && titles.insert(title)
            && payloads.insert(payload)
    })
}

/// Whether the buttons that do more than reply are of a kind that the channel has.
fn opens(buttons: &[Object<Button<'_>>], opens: Opens) -> bool {
    let is_page = |button: &Button<'_>| {
        let payload = &*button.payload;
        let address = ["https://", "http://"].iter().find_map(|scheme| payload.strip_prefix(scheme));
        address.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
    };
    let fits = |button: &Button<'_>| match button.press() {
        Press::Reply => true,
        Press::Open => opens != Opens::No && is_page(button),
        Press::Call => {
            opens == Opens::PagesAndCalls && button.payload.bytes().any(|byte| byte.is_ascii_digit())
        }
    };
    let more = buttons.iter().filter(|button| button.press() != Press::Reply).count();
    buttons.iter().all(|button| fits(button)) && (opens != Opens::OnePage || more == 0 || buttons.len() == 1)
}
