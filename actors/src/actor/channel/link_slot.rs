//! A link as its channel sees it.

use channels::smpp::ReplyToken;
use message::Timestamp;
use ractor::ActorRef;

use crate::protocol::link::{LinkMessage, LinkPart};

/// A link as its channel sees it.
pub(crate) struct LinkSlot {
    pub(super) actor: Option<ActorRef<LinkMessage>>,
    /// Parts it can take now.
    pub(crate) free: usize,
    pub(crate) batch: Vec<LinkPart>,
    pub(crate) acks: Vec<ReplyToken>,
    pub(crate) status: &'static str,
    /// The status in which it takes parts.
    pub(super) up: &'static str,
    pub(crate) reason: String,
    pub(crate) since: Timestamp,
    pub(crate) attempts: u32,
}

impl LinkSlot {
    pub(crate) fn tell(&self, message: LinkMessage) {
        if let Some(actor) = &self.actor {
            let _gone = actor.cast(message);
        }
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.status == self.up
    }
}
