//! The input of a channel's actor: messages of others, and its own notes.

use crate::protocol::channel::ChannelMessage;

/// Input of a channel's actor.
pub(crate) enum ChannelInput {
    Message(ChannelMessage),
    /// The rate allows another part.
    SendDue,
}

impl From<ChannelMessage> for ChannelInput {
    fn from(message: ChannelMessage) -> Self {
        Self::Message(message)
    }
}
