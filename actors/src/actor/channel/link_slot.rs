//! A link as its channel sees it.

use channels::smpp::ReplyToken;
use message::Timestamp;
use ractor::ActorId;

use crate::protocol::{
    link::{LinkCommand, LinkPart, LinkStatus},
    recipient::Recipient,
};

/// One link of a channel.
pub(crate) struct LinkSlot {
    /// The link's actor, while it runs.
    pub(crate) actor: Option<LinkActor>,
    /// The number of times its actor was started; reports of an earlier run are ignored.
    pub(crate) run: u32,
    /// The number of parts that it accepts now.
    pub(crate) free: usize,
    /// Parts to be submitted together.
    pub(crate) batch: Vec<LinkPart>,
    /// Deliveries to be acknowledged together.
    pub(crate) acks: Vec<ReplyToken>,
    pub(crate) status: LinkStatus,
    /// Why it is not up, in words.
    pub(crate) reason: String,
    /// When status or reason last changed.
    pub(crate) since: Timestamp,
    pub(crate) attempts: u32,
    /// When the next attempt is due.
    pub(crate) next_try: Option<Timestamp>,
}

/// The running actor of a link.
pub(crate) struct LinkActor {
    pub(crate) id: ActorId,
    pub(crate) commands: Recipient<LinkCommand>,
}

impl LinkSlot {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            actor: None,
            run: 0,
            free: 0,
            batch: Vec::new(),
            acks: Vec::new(),
            status: LinkStatus::Connecting,
            reason: String::new(),
            since: now,
            attempts: 0,
            next_try: None,
        }
    }

    /// Sends a command, unless the actor is being restarted.
    pub(crate) fn tell(&self, command: LinkCommand) {
        if let Some(actor) = &self.actor {
            actor.commands.tell(command);
        }
    }

    /// Whether it accepts parts.
    pub(crate) fn is_up(&self) -> bool {
        self.status.is_up()
    }

    /// Sets status and reason, and notes when either changed.
    pub(crate) fn set_status(&mut self, status: LinkStatus, reason: String, now: Timestamp) {
        if self.status != status || self.reason != reason {
            (self.status, self.reason, self.since) = (status, reason, now);
        }
    }
}
