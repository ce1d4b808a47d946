//! Events of a running demo, as its players report them to the script.

use super::channel::Channel;

/// The largest number of facts that wait for the script.
pub(super) const FACTS_MAX: usize = 10_000;

/// An event of the demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// The router has logged in at the SMSC.
    Bound,
    /// The bot received a customer's message.
    BotHeard { channel: Channel, heard: Heard },
    /// The bot failed to reply; the router will deliver again.
    BotFailed { why: String },
    /// A whole message reached the provider: the customer sees it.
    Shown { channel: Channel, shown: Shown },
    /// The bot was notified of a message's status.
    BotTold { channel: Channel, id: String, status: String, reason: String },
}

/// A customer's message, as the bot received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) id: String,
    pub(super) customer: String,
    pub(super) text: String,
    /// The payload of the button that was tapped.
    pub(super) payload: String,
    pub(super) picture: Option<Picture>,
}

/// A file that the bot fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) url: String,
    pub(super) kind: String,
    pub(super) bytes: usize,
}

/// A message, as the customer sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// The provider's id of the message.
    pub(super) id: String,
    pub(super) to: String,
    pub(super) text: String,
    /// The titles of the buttons.
    pub(super) buttons: Vec<String>,
    /// The number of SMS segments; 1 on other channels.
    pub(super) parts: u8,
}
