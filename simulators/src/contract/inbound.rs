//! Customers' messages and acts, as tests and control calls name them. Providers turn them into
//! their events; nothing here knows a provider.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A customer's message, or another act of a customer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inbound {
    /// The customer; empty: [`About::customer`](super::About::customer).
    pub from: String,
    /// The business; empty: the default sender.
    pub to: String,
    /// The part of a chat where it is written, as the provider's addresses name it (`topic=7`);
    /// empty: the chat itself.
    pub within: String,
    /// The type of the message or act.
    pub kind: Kind,
    /// The text, caption or title.
    pub text: String,
    /// The payload or id of a tapped button.
    pub payload: String,
    /// The customer's name.
    pub name: String,
    /// The message's id; empty: a new one. A given one repeats or changes an earlier message.
    pub id: String,
    /// The id of the message that is replied to, reacted to, tapped in, edited or deleted.
    pub about: String,
    /// The media type of a file; empty: a usual one.
    pub mime: String,
    /// A file's name.
    pub file_name: String,
    /// A file's content in base64; empty: a small one of its kind.
    pub content: String,
    /// Degrees.
    pub latitude: f64,
    /// Degrees.
    pub longitude: f64,
    /// Number of such messages, with a number behind the text; 0 counts as 1.
    pub count: u32,
    /// Maximum number of events in one POST; 0: as the script says.
    pub batch: usize,
    /// How the webhooks are signed.
    pub signature: Signature,
    /// Laid over the provider's event; for kind `raw`, the whole event.
    pub extra: Value,
}

impl Inbound {
    /// Returns the text of an SMS or MMS, a keyword for an opt-out or opt-in; `None` for what SMS
    /// cannot carry.
    pub(crate) fn sms_text(&self) -> Option<&str> {
        match self.kind {
            Kind::OptOut if self.text.is_empty() => Some("STOP"),
            Kind::OptIn if self.text.is_empty() => Some("START"),
            Kind::Text | Kind::OptOut | Kind::OptIn => Some(&self.text),
            kind if kind.is_file() => Some(&self.text),
            _ => None,
        }
    }
}

/// The type of a customer's message or act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    #[default]
    Text,
    Image,
    Video,
    Audio,
    Document,
    Sticker,
    Location,
    Contact,
    /// A tap on a quick reply or button.
    Button,
    /// A choice from a list.
    List,
    Reaction,
    Edit,
    Delete,
    OptIn,
    OptOut,
    /// The first contact, by a link or a start button.
    Start,
    /// A message that the provider's API cannot express.
    Unsupported,
    /// `extra` as it is.
    Raw,
}

impl Kind {
    pub(crate) fn is_file(self) -> bool {
        matches!(self, Self::Image | Self::Video | Self::Audio | Self::Document | Self::Sticker)
    }
}

/// How a webhook is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// By the provider's rules.
    #[default]
    Right,
    /// With a secret that is not the account's.
    Wrong,
    /// Not at all.
    None,
}
