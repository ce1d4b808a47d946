//! Named rules ([`Rule`]) that fit a content to what a channel can carry: long texts are cut, files become links,
//! buttons a numbered list, cards messages. What was changed is said in notes for the business; what cannot be sent
//! is refused with the reason. No word of the business is lost.
//!
//! What a channel gets is always in one form, so that its provider need not look twice:
//!
//! - a text, a caption: without Markdown where the format is plain, with it where the provider translates it;
//! - a file: its words in `caption`, or none at all;
//! - a sticker, place, person or URL: no words, they stand in a message before it;
//! - BUTTON: its words in `markdownText`, at least one; titles without Markdown, all different;
//!   `additionalDetails.interactive.type` is `button` or `list`, its header and footer are there only within
//!   `frame_characters_max`; details of buttons only in a list, and then a section for all of them or for none;
//! - CAROUSEL: no words above, each card with a text without Markdown.

mod apart;
mod buttons;
mod cards;
mod channel;
mod cut;

use std::borrow::Cow;

use message::{
    BodyType, Content,
    cim::{self, Choice, Marks, Rule},
    event::{Cause, Split},
};
use serde_json::{Map, Value};

use crate::contract::{
    Capabilities, Prepared, Rejection,
    capability::{Format, LongText},
};

/// The most messages one body may become.
pub const PARTS_MAX: usize = 64;

/// Makes a content ready for a channel with these capabilities.
///
/// # Errors
/// When it must not or cannot go to a customer there, and why.
pub fn prepare(content: &Content, capabilities: &Capabilities) -> Result<Prepared, Rejection> {
    let mut draft = Draft { capabilities, parts: Vec::new(), notes: Vec::new(), choices: Vec::new() };
    draft.content(content)?;
    if draft.parts.is_empty() {
        return Err(refused("there is nothing in it that can be sent"));
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

/// Whether this is a file: what has an attachment and a caption.
pub fn is_file(body_type: BodyType) -> bool {
    matches!(body_type, BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File)
}

fn refused(reason: impl std::fmt::Display) -> Rejection {
    Rejection(Cause::new("400", reason.to_string()))
}

/// Reads a body into its type.
fn read<'a, T: serde::Deserialize<'a> + Default>(json: &'a str) -> Result<T, Rejection> {
    cim::body::read(json).map_err(|error| refused(format_args!("its JSON cannot be read: {error}")))
}

/// The messages made so far.
struct Draft<'c> {
    capabilities: &'c Capabilities,
    parts: Vec<Content>,
    notes: Vec<Box<str>>,
    choices: Vec<Choice>,
}

impl Draft<'_> {
    fn content(&mut self, content: &Content) -> Result<(), Rejection> {
        let Content::Rich { body_type, json } = content else { return self.words(content) };
        let native = self.capabilities.carries(*body_type);
        match body_type {
            BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File | BodyType::Multimedia => {
                self.file(*body_type, json, content)
            }
            BodyType::Sticker | BodyType::Location | BodyType::Contact | BodyType::Url if native => {
                self.apart(*body_type, json, content)
            }
            BodyType::Button if native => self.buttons(json, content),
            BodyType::Carousel => self.cards(json, content),
            BodyType::Template
            | BodyType::Custom
            | BodyType::Email
            | BodyType::Comment
            | BodyType::Receipt
                if native =>
            {
                self.push(content.clone())
            }
            _ => self.words(content),
        }
    }

    /// One more message.
    fn push(&mut self, content: Content) -> Result<(), Rejection> {
        if self.parts.len() >= PARTS_MAX {
            let reason = format!("it would take more than {PARTS_MAX} messages: shorten it");
            return Err(refused(reason));
        }
        self.parts.push(content);
        Ok(())
    }

    /// A body as its JSON was changed.
    fn push_edited(
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

    /// Says once that a rule was applied.
    fn note(&mut self, rule: Rule, words: impl std::fmt::Display) {
        self.notes_of([rule.note(words)]);
    }

    fn notes_of(&mut self, notes: impl IntoIterator<Item = Box<str>>) {
        for note in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// The content as text: what always goes.
    fn words(&mut self, content: &Content) -> Result<(), Rejection> {
        let marks = match self.capabilities.format {
            Format::Plain => Marks::Removed,
            Format::Own => Marks::Kept,
        };
        let adapted = cim::words_of(content, marks).map_err(refused)?;
        self.notes_of(adapted.notes);
        self.choices.extend(adapted.choices);
        self.text(&adapted.text)
    }

    /// Words that may hold Markdown, as this channel's texts and captions have them.
    fn said<'t>(&mut self, markdown: &'t str) -> Cow<'t, str> {
        match self.capabilities.format {
            Format::Plain => self.plain(markdown),
            Format::Own => Cow::Borrowed(markdown),
        }
    }

    /// The same, before it is decided.
    fn would_say<'t>(&self, markdown: &'t str) -> Cow<'t, str> {
        match self.capabilities.format {
            Format::Plain => cim::markdown::plain(markdown),
            Format::Own => Cow::Borrowed(markdown),
        }
    }

    /// Words without Markdown.
    fn plain<'t>(&mut self, markdown: &'t str) -> Cow<'t, str> {
        let plain = cim::markdown::plain(markdown);
        if matches!(plain, Cow::Owned(_)) {
            self.note(Rule::PlainText, "formatting was removed");
        }
        plain
    }

    /// A text as one message, or as several.
    fn text(&mut self, text: &str) -> Result<(), Rejection> {
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

    /// Where a text is cut; `None` when there are too many pieces.
    fn cut(&self, text: &str, max: usize) -> Option<Vec<std::ops::Range<usize>>> {
        let marked = match self.capabilities.format {
            Format::Plain => Vec::new(),
            Format::Own => cim::markdown::marked_ranges(text),
        };
        cut::cut(text, max, self.capabilities.units, &marked)
    }
}

/// Lines, one below the other; blank ones leave no trace.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn push(&mut self, line: &str) {
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

#[cfg(test)]
mod tests;
