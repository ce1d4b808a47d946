//! What a message says. Plain text is kept as text; every other CIM body is kept as the JSON it came as, so
//! that nothing a newer peer sends is lost, and is read into its type where it is needed.

use serde::{Deserialize, Serialize};

/// The kinds of CIM body (`body.type`).
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
    /// A type this version does not know: kept, passed on, never sent to a customer.
    Unknown,
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// A PLAIN body: its text (Markdown allowed by CIM).
    Text(Box<str>),
    /// Any other body.
    Rich {
        /// Its type.
        body_type: BodyType,
        /// The whole CIM body object as it came.
        json: Box<str>,
    },
    /// Octets without a character set (SMPP data_coding 2, 4, 0xF5): hexadecimal when shown.
    Binary(Box<[u8]>),
    /// Several contents, each one call to a provider: what adapting or cutting made of one body.
    Parts(Box<[Content]>),
}

impl Content {
    /// Content `index` (from 0) of several; the whole when there is but one.
    pub fn part(&self, index: u16) -> Option<&Self> {
        match self {
            Self::Parts(parts) => parts.get(usize::from(index)),
            whole => (index == 0).then_some(whole),
        }
    }
}
