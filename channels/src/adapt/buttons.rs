//! BUTTON bodies: sent as buttons, as a list of rows, or as a numbered list, depending on the
//! channel. A payload or a title is never shortened: buttons that do not fit are sent as words.

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

use super::draft::{Draft, Lines, read};
use crate::contract::{
    Capabilities, Rejection,
    capability::{self, LongText, Opens},
};

/// Maximum length of a row's payload, in octets (WhatsApp: shorter than that of a button). Longer
/// payloads are sent as a numbered list.
const ROW_PAYLOAD_BYTES_MAX: usize = 200;
/// Maximum length of the words below a row's title, in characters (WhatsApp).
const ROW_DETAILS_CHARACTERS_MAX: usize = 72;
/// Maximum length of a section's title, in characters (WhatsApp).
const SECTION_CHARACTERS_MAX: usize = 24;
/// Maximum length of the word that opens the list, in characters (WhatsApp); a longer one is
/// dropped.
const LIST_CHARACTERS_MAX: usize = 20;

/// The form in which buttons are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Buttons below the text.
    Buttons,
    /// Rows of a list that opens.
    Rows,
}

/// Appends a BUTTON body, as buttons if they fit the channel, else as words.
pub(super) fn add_buttons(draft: &mut Draft<'_>, json: &str, content: &Content) -> Result<(), Rejection> {
    let body: Buttons<'_> = read(json)?;
    let frame = &body.additional_details.interactive;
    let wants_rows = frame.kind.eq_ignore_ascii_case("list");
    let Some(shape) = shape(&body.buttons, wants_rows, draft.capabilities) else {
        return draft.push_words(content);
    };
    let is_kept = |words: &str| draft.capabilities.units.of(words) <= draft.capabilities.frame_characters_max;
    let (header, footer) = (is_kept(&frame.header.text), is_kept(&frame.footer.text));
    let main = if body.markdown_text.is_empty() { &frame.body.text } else { &body.markdown_text };
    let mut lines = Lines::default();
    lines.push(if header { "" } else { &frame.header.text });
    lines.push(main);
    if shape == Shape::Buttons && add_details(&mut lines, &body.buttons) {
        draft.note(Rule::ButtonDetails, "the details of the buttons were put above them");
    }
    lines.push(if footer { "" } else { &frame.footer.text });
    let said = draft.render(&lines.0).trim().to_owned();
    let Some(above) = above(draft, &said) else { return draft.push_words(content) };
    let (before, above) = said.split_at_checked(above).unwrap_or(("", &said));
    if !before.is_empty() {
        draft.note(Rule::ButtonWords, "words too long to stand above the buttons were sent before them");
        draft.push_text(before.trim_end())?;
    }
    let title = draft.capabilities.units.of(&frame.button) <= LIST_CHARACTERS_MAX;
    draft.push_edited(BodyType::Button, json, |body| {
        body.insert("markdownText".into(), above.into());
        let interactive =
            object(body, "additionalDetails").and_then(|details| object(details, "interactive"));
        if let Some(interactive) = interactive {
            edit_frame(interactive, shape, [("header", header), ("footer", footer), ("button", title)]);
        }
        edit_buttons(body.get_mut("buttons"), shape == Shape::Rows);
    })
}

/// Returns the offset of the words that may stand above buttons; the words before it are sent
/// first. `None` when words are required and missing, or cannot be cut to fit.
pub(super) fn above(draft: &Draft<'_>, words: &str) -> Option<usize> {
    let max = draft.capabilities.buttons.text_characters_max;
    if words.trim().is_empty() || max == 0 {
        return None;
    }
    if draft.capabilities.units.of(words) <= max {
        return Some(0);
    }
    if draft.capabilities.long_text == LongText::Refuse || !draft.capabilities.carries(BodyType::Plain) {
        return None;
    }
    let last = draft.cut(words, max)?.pop()?;
    // A single character may exceed the limit.
    let fits = draft.capabilities.units.of(words.get(last.clone())?) <= max;
    (fits && last.end == words.len()).then_some(last.start)
}

/// Appends details that the channel does not show on buttons; returns whether there were any.
pub(super) fn add_details(lines: &mut Lines, buttons: &List<Object<Button<'_>>>) -> bool {
    let before = lines.0.len();
    let mut section = "";
    for button in buttons.iter() {
        let details = &button.additional_button_details;
        if *details.section_title != *section {
            lines.push(&details.section_title);
            section = &details.section_title;
        }
        if !details.description.trim().is_empty() {
            lines.push(&format!("{} - {}", &*button.title, details.description.trim()));
        }
    }
    lines.0.len() > before
}

/// Sets the kind of the frame around the buttons, and removes the parts that do not stay.
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

/// Returns the object under a key; inserts an empty one if it is missing.
fn object<'v>(of: &'v mut Map<String, Value>, key: &str) -> Option<&'v mut Map<String, Value>> {
    let value = of.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// Removes Markdown from titles and details, and the details where they are not shown.
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

/// Removes Markdown from a text.
pub(super) fn edit_plain(text: Option<&mut Value>) {
    if let Some(Value::String(text)) = text {
        *text = markdown::plain(text).trim().to_owned();
    }
}

/// Returns the form in which a channel can show these buttons; `None` if it cannot.
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

/// Returns whether these can be the buttons of a message or a card with at most `max` of them.
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

/// Returns whether all titles and payloads are present, different, and within the limits.
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

/// Returns whether the channel supports the buttons that do more than reply.
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
