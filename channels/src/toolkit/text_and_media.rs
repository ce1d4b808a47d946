//! A message between two numbers: words, a file, or both.

use std::borrow::Cow;

use message::{Content, cim::body, event::Cause};

use crate::contract::SendError;

/// The content of a text message, or of a message with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextAndMedia<'a> {
    /// The words; empty when a file stands alone.
    pub text: Cow<'a, str>,
    /// The address of the file.
    pub file: Option<String>,
}

impl<'a> TextAndMedia<'a> {
    /// Reads a text or a file.
    ///
    /// # Errors
    /// Rejects octets, which no text message carries.
    pub fn of(content: &'a Content) -> Result<Self, SendError> {
        match content {
            Content::Text(text) => Ok(Self { text: Cow::Borrowed(text), file: None }),
            Content::Rich { json, .. } => {
                let media: body::Media<'_> = body::read(json).unwrap_or_default();
                Ok(Self {
                    text: Cow::Owned(media.words().to_owned()),
                    file: Some(media.attachment.media_url.to_string()),
                })
            }
            _ => Err(SendError::Rejected(Cause::new("400", "octets cannot be sent here"))),
        }
    }
}
