//! The content of a message. Plain text is kept as text. Every other CIM body is kept as the JSON
//! that came, so that fields of newer peers are not lost, and is parsed where it is needed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of CIM body (`body.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the wire's own words")]
pub enum BodyType {
    Plain,
    Image,
    Video,
    Audio,
    File,
    Multimedia,
    Sticker,
    Location,
    Contact,
    Url,
    Button,
    Carousel,
    Template,
    Receipt,
    Email,
    Comment,
    WrapUp,
    DeliveryNotification,
    DeletedNotification,
    Notification,
    Action,
    Activity,
    Custom,
    Voice,
    /// A type that this version does not know: kept and passed on, never sent to a customer.
    Unknown,
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// The text of a PLAIN body; CIM allows Markdown in it.
    Text(Box<str>),
    /// Any other body.
    Rich {
        /// The kind of body.
        body_type: BodyType,
        /// The complete CIM body object as it came.
        json: Box<str>,
    },
    /// Octets without a character set (SMPP data_coding 2, 4, 0xF5); shown in hexadecimal.
    Binary(Box<[u8]>),
    /// Several contents that one body was adapted or cut to; each is one call to the provider.
    Parts(Box<[Content]>),
}

/// A line of a numbered list that a customer can choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// The label in front of the line: `2`, or `2a` on a card.
    pub label: Box<str>,
    /// The words that the customer sees.
    pub title: Box<str>,
    /// The payload that is delivered to the business when it is chosen.
    pub payload: Box<str>,
}

impl Content {
    /// Returns content `index`, from 0. A content that is not [`Content::Parts`] is its own part 0.
    pub fn part(&self, index: u16) -> Option<&Self> {
        match self {
            Self::Parts(parts) => parts.get(usize::from(index)),
            whole => (index == 0).then_some(whole),
        }
    }
}
