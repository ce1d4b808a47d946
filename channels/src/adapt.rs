//! Named rules that fit a content to what a channel can carry: long texts are cut, files become links, buttons a
//! numbered list, cards messages. What was changed is said in words for the business; what cannot be sent is
//! refused with the reason. Nothing is changed that the channel takes as it is.

use message::{
    BodyType, Content, cim,
    event::{Cause, Split},
};
use smallvec::SmallVec;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::{
    capability::{Capabilities, Format, LongText},
    provider::{Prepared, Rejection},
};

/// The most messages one body may become.
const PARTS_MAX: usize = 64;

/// Makes a content ready for a channel with these capabilities.
///
/// # Errors
/// When it must not or cannot go to a customer there, and why.
pub fn prepare(content: &Content, capabilities: &Capabilities) -> Result<Prepared, Rejection> {
    let mut notes: SmallVec<[Box<str>; 1]> = SmallVec::new();
    let contents = match content {
        Content::Text(text) if capabilities.format == Format::Own => texts(text, capabilities, &mut notes)?,
        Content::Rich { body_type, .. } if capabilities.carries(*body_type) => vec![content.clone()],
        _ => {
            let adapted = cim::plain_text_of(content).map_err(|e| refused(&e))?;
            notes.extend(adapted.notes);
            texts(&adapted.text, capabilities, &mut notes)?
        }
    };
    let parts = u16::try_from(contents.len()).unwrap_or(u16::MAX);
    let split = Split { parts, ..Split::WHOLE };
    let content = match <[Content; 1]>::try_from(contents) {
        Ok([one]) => one,
        Err(several) => Content::Parts(several.into()),
    };
    Ok(Prepared { content, split, adapted: notes })
}

fn refused(error: &dyn std::fmt::Display) -> Rejection {
    Rejection(Cause::new("400", error.to_string()))
}

/// A text as one message, or as several.
fn texts(
    text: &str,
    capabilities: &Capabilities,
    notes: &mut SmallVec<[Box<str>; 1]>,
) -> Result<Vec<Content>, Rejection> {
    let max = capabilities.text_characters_max;
    let characters = text.chars().count();
    if characters <= max {
        return Ok(vec![Content::Text(text.into())]);
    }
    let pieces = cut(text, max);
    if capabilities.long_text == LongText::Refuse || pieces.len() > PARTS_MAX {
        let reason = format!("the text has {characters} characters, at most {max} can be sent");
        return Err(Rejection(Cause::new("400", reason)));
    }
    notes.push(format!("the text was sent as {} messages", pieces.len()).into());
    Ok(pieces.into_iter().map(|piece| Content::Text(piece.into())).collect())
}

/// Cuts at the end of a line, else of a word, else between characters as people see them.
fn cut(text: &str, max: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.chars().count() > max.max(1) {
        let window = rest.char_indices().nth(max.max(1)).map_or(rest.len(), |(at, _)| at);
        let head = rest.get(..window).unwrap_or(rest);
        let at_line = head.rfind('\n').filter(|at| *at * 2 > window).map(|at| at + 1);
        let at_word = head.rfind(char::is_whitespace).filter(|at| *at * 2 > window);
        let at_word = at_word.and_then(|at| Some(at + head.get(at..)?.chars().next()?.len_utf8()));
        let at = at_line.or(at_word).unwrap_or_else(|| grapheme_end(rest, window));
        let (piece, tail) = rest.split_at(at);
        pieces.push(piece.trim_end());
        rest = tail;
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// The last end of a grapheme at or before `window`; the window itself when one grapheme fills it.
fn grapheme_end(text: &str, window: usize) -> usize {
    let ends = text.grapheme_indices(true).map(|(at, grapheme)| at + grapheme.len());
    ends.take_while(|end| *end <= window).last().unwrap_or(window)
}

/// Whether any file of this type goes out as it is.
pub fn is_file(body_type: BodyType) -> bool {
    matches!(body_type, BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File)
}
