//! The handle through which HTTP, CLI and tests use the router.

use std::sync::Arc;

use message::{ChannelId, DestinationId, MessageId, Seq, SessionId, Timestamp, event::DoubtSettlement};
use tokio::sync::broadcast;

use crate::{
    config::Config,
    error::{Refusal, StartError},
    seams::Seams,
    view::{
        ChannelView, DeadLetterView, DestinationView, DoubtView, EventView, MessageView, PlanView,
        SessionView, UnmatchedView,
    },
};

/// A running router. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    inner: Arc<()>,
}

/// Who a message came from, as far as the router cares.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Where its notifications go when not to the DID's destination.
    pub destination: Option<DestinationId>,
}

/// A message was taken (or had been before): durable when this is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Its id: the one given, or the one drawn.
    pub message_id: MessageId,
    /// Whether the same id had been accepted before: nothing was sent for this one.
    pub duplicate: bool,
    /// Its session.
    pub session: SessionId,
}

/// The request to open a session (START_CHAT, `POST /v1/sessions`).
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// Our own address.
    pub service_identifier: Box<str>,
    /// Narrows the channel when several have that address: a provider name or channel id.
    pub channel: Option<Box<str>>,
    /// The customer.
    pub customer: Box<str>,
    /// Who will handle it.
    pub handler: Box<str>,
    /// Take it from another handler.
    pub takeover: bool,
}

/// An event as the tail shows it, with what a filter needs.
#[derive(Clone, Debug)]
pub struct TailEvent {
    /// The event.
    pub event: EventView,
    /// The channel, when known.
    pub channel: Option<ChannelId>,
    /// The session, when it is one's.
    pub session: Option<SessionId>,
    /// The message's id, when known.
    pub message_id: Option<MessageId>,
}

#[allow(clippy::todo, reason = "being written")]
#[allow(missing_docs, unused_variables, clippy::unused_async, reason = "being written")]
impl Router {
    /// Replays what the last run left, starts all actors. Ready when this returns.
    pub async fn start(config: Config, log: storage::Log, seams: Seams) -> Result<Self, StartError> {
        todo!()
    }
    /// Takes messages; one answer for each, in order. Each answer is durable. At most `ACCEPT_MAX` at once.
    pub async fn accept(
        &self,
        messages: Vec<message::cim::Message>,
        origin: &Origin,
    ) -> Vec<Result<Acceptance, Refusal>> {
        todo!()
    }
    /// What accepting it would do. Changes nothing.
    pub async fn plan(&self, message: message::cim::Message, origin: &Origin) -> Result<PlanView, Refusal> {
        todo!()
    }
    /// A message with its timeline.
    pub async fn message(&self, id: &MessageId) -> Result<MessageView, Refusal> {
        todo!()
    }
    /// Withdraws a message of which nothing was sent yet.
    pub async fn cancel(&self, id: &MessageId) -> Result<(), Refusal> {
        todo!()
    }
    pub async fn open_session(&self, request: OpenSession) -> Result<SessionView, Refusal> {
        todo!()
    }
    /// `at`: as it was then.
    pub async fn session(&self, id: SessionId, at: Option<Timestamp>) -> Result<SessionView, Refusal> {
        todo!()
    }
    pub async fn end_session(&self, id: SessionId) -> Result<(), Refusal> {
        todo!()
    }
    /// Open sessions, in the order of their ids, after a given one.
    pub async fn sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionView>, Refusal> {
        todo!()
    }
    pub async fn channels(&self) -> Vec<ChannelView> {
        todo!()
    }
    pub async fn destinations(&self) -> Vec<DestinationView> {
        todo!()
    }
    /// Starts a stopped channel again (after credentials were refused).
    pub async fn restart_channel(&self, id: &ChannelId) -> Result<(), Refusal> {
        todo!()
    }
    pub async fn unmatched(&self, channel: Option<&ChannelId>, limit: usize) -> Vec<UnmatchedView> {
        todo!()
    }
    pub async fn in_doubt(&self, limit: usize) -> Result<Vec<DoubtView>, Refusal> {
        todo!()
    }
    pub async fn settle_doubt(&self, id: &MessageId, part: u16, by: DoubtSettlement) -> Result<(), Refusal> {
        todo!()
    }
    pub async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterView>, Refusal> {
        todo!()
    }
    /// Puts a dead letter back into its session's deliveries.
    pub async fn replay_dead_letter(&self, id: &str) -> Result<(), Refusal> {
        todo!()
    }
    /// Committed events as they happen; a slow reader misses some and is told how many.
    pub fn tail(&self) -> broadcast::Receiver<Arc<TailEvent>> {
        todo!()
    }
    /// Whether messages are accepted now, and if not, why.
    pub fn accepting(&self) -> Result<(), Refusal> {
        todo!()
    }
    /// Resolves when the router can no longer run (the log was poisoned, a host died): exit 1 with this text.
    pub async fn failed(&self) -> String {
        todo!()
    }
    /// Stops accepting, lets outstanding submits be answered up to `grace_ms`, writes a last checkpoint, closes the log.
    pub async fn drain(&self, grace_ms: u64) {
        todo!()
    }
    pub fn committed(&self) -> Seq {
        todo!()
    }
}
