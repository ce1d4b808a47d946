//! Facts of a running demo, as its players report them to the script.

use super::channel::Channel;

/// The largest number of facts that wait for the script.
pub(super) const FACTS_MAX: usize = 10_000;

/// Something that happened on the demo's stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// The router logged in at the SMS centre.
    Bound,
    /// The bot got a customer's message.
    BotHeard { channel: Channel, heard: Heard },
    /// The bot could not answer; the router will come again.
    BotFailed { why: String },
    /// All of a message reached the provider: the customer sees it.
    Shown { channel: Channel, shown: Shown },
    /// The bot was told what became of its message.
    BotTold { channel: Channel, id: String, status: String, reason: String },
}

/// A customer's message, as the bot got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) id: String,
    pub(super) customer: String,
    pub(super) text: String,
    /// What a chosen button stands for.
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

/// What a customer sees of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// The provider's id of it.
    pub(super) id: String,
    pub(super) to: String,
    pub(super) text: String,
    /// What can be tapped.
    pub(super) buttons: Vec<String>,
    /// SMS segments; 1 elsewhere.
    pub(super) parts: u8,
}
