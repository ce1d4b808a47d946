//! The messages made so far from one content, and the text they take: the state on which the rules
//! work. It knows no body type but texts.

use std::{borrow::Cow, ops::Range};

use message::{
    BodyType, Choice, Content,
    cim::{self, Marks, Rule},
    event::Cause,
};
use serde_json::{Map, Value};

use super::cut;
use crate::contract::{
    Capabilities, Rejection,
    capability::{Format, LongText},
};

/// Maximum number of messages that one body may become; a body that needs more is refused.
pub const PARTS_MAX: usize = 64;

/// Returns a final refusal with this reason.
pub(super) fn refused(reason: impl std::fmt::Display) -> Rejection {
    Rejection(Cause::new("400", reason.to_string()))
}

/// Parses a body into its type.
pub(super) fn read<'a, T: serde::Deserialize<'a> + Default>(json: &'a str) -> Result<T, Rejection> {
    cim::body::read(json).map_err(|error| refused(format_args!("the body's JSON cannot be read: {error}")))
}

/// The messages made so far.
pub(super) struct Draft<'c> {
    pub(super) capabilities: &'c Capabilities,
    pub(super) parts: Vec<Content>,
    pub(super) notes: Vec<Box<str>>,
    pub(super) choices: Vec<Choice>,
}

impl<'c> Draft<'c> {
    /// Returns a draft without messages.
    pub(super) fn new(capabilities: &'c Capabilities) -> Self {
        Self { capabilities, parts: Vec::new(), notes: Vec::new(), choices: Vec::new() }
    }

    /// Appends a message.
    ///
    /// # Errors
    /// The draft already has [`PARTS_MAX`] messages.
    pub(super) fn push(&mut self, content: Content) -> Result<(), Rejection> {
        if self.parts.len() >= PARTS_MAX {
            let reason = format!("the body would need more than {PARTS_MAX} messages: shorten it");
            return Err(refused(reason));
        }
        self.parts.push(content);
        Ok(())
    }

    /// Appends a body after `edit` changed its JSON.
    pub(super) fn push_edited(
        &mut self,
        body_type: BodyType,
        json: &str,
        edit: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<(), Rejection> {
        let mut body: Map<String, Value> = serde_json::from_str(json).map_err(refused)?;
        edit(&mut body);
        let json = Value::Object(body).to_string();
        self.push(Content::Rich { body_type, json: json.into() })
    }

    /// Notes once, for the business, that a rule was applied.
    pub(super) fn note(&mut self, rule: Rule, words: impl std::fmt::Display) {
        self.add_notes([rule.note(words)]);
    }

    fn add_notes(&mut self, notes: impl IntoIterator<Item = Box<str>>) {
        for note in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// Appends the content as text, which every content can be turned into.
    pub(super) fn push_words(&mut self, content: &Content) -> Result<(), Rejection> {
        let marks = match self.capabilities.format {
            Format::Plain => Marks::Removed,
            Format::Own => Marks::Kept,
        };
        let adapted = cim::words_of(content, marks).map_err(refused)?;
        self.add_notes(adapted.notes);
        self.choices.extend(adapted.choices);
        self.push_text(&adapted.text)
    }

    /// Returns Markdown words in the form of this channel's texts and captions, and notes
    /// formatting that was removed.
    pub(super) fn render<'t>(&mut self, markdown: &'t str) -> Cow<'t, str> {
        match self.capabilities.format {
            Format::Plain => self.plain(markdown),
            Format::Own => Cow::Borrowed(markdown),
        }
    }

    /// Returns the result of [`render`](Self::render) without a note.
    pub(super) fn rendered<'t>(&self, markdown: &'t str) -> Cow<'t, str> {
        match self.capabilities.format {
            Format::Plain => cim::markdown::plain(markdown),
            Format::Own => Cow::Borrowed(markdown),
        }
    }

    /// Removes Markdown, and notes it.
    pub(super) fn plain<'t>(&mut self, markdown: &'t str) -> Cow<'t, str> {
        let plain = cim::markdown::plain(markdown);
        if matches!(plain, Cow::Owned(_)) {
            self.note(Rule::PlainText, "formatting was removed");
        }
        plain
    }

    /// Appends a text as one message, or as several where it is too long and may be cut.
    pub(super) fn push_text(&mut self, text: &str) -> Result<(), Rejection> {
        let max = self.capabilities.text_characters_max;
        if !self.capabilities.carries(BodyType::Plain) || max == 0 {
            return Err(refused("the channel carries no texts"));
        }
        let characters = self.capabilities.units.of(text);
        if characters <= max {
            return self.push(Content::Text(text.into()));
        }
        let too_long =
            || refused(format_args!("the text has {characters} characters, at most {max} can be sent"));
        if self.capabilities.long_text == LongText::Refuse {
            return Err(too_long());
        }
        let pieces = self.cut(text, max).ok_or_else(too_long)?;
        self.note(Rule::LongText, format_args!("a text was sent as {} messages", pieces.len()));
        pieces.into_iter().try_for_each(|piece| {
            let piece = text.get(piece).unwrap_or_default();
            self.push(Content::Text(piece.into()))
        })
    }

    /// Returns the pieces of a text, each of at most `max` characters; `None` when there would be
    /// more than [`PARTS_MAX`].
    pub(super) fn cut(&self, text: &str, max: usize) -> Option<Vec<Range<usize>>> {
        let marked = match self.capabilities.format {
            Format::Plain => Vec::new(),
            Format::Own => cim::markdown::marked_ranges(text),
        };
        cut::cut(text, max, self.capabilities.units, &marked, PARTS_MAX)
    }
}

/// Lines of text; blank lines are left out.
#[derive(Default)]
pub(super) struct Lines(pub(super) String);

impl Lines {
    /// Appends a line, trimmed.
    pub(super) fn push(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(line);
    }
}
