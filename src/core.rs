//! What HTTP and the web page need of the router, as a trait: the router in the process, and in tests one that
//! answers whatever the test wants to see mapped.

#[cfg(test)]
pub(crate) mod fake;

use std::sync::Arc;

use actors::{
    Acceptance, MediaFile, NoFile, OpenSession, Origin, Page, Refusal, Router, TailEvent,
    seams::BoxFuture,
    view::{
        ChannelView, DeadLetterView, DestinationView, DoubtView, ExchangeView, MessageView, PlanView,
        SessionView, UnmatchedView,
    },
    webhook,
};
use message::{ChannelId, MessageId, Seq, SessionId, Timestamp, cim::Message, event::DoubtSettlement};
use tokio::sync::broadcast;

/// An answer that comes later.
pub type Later<'a, T> = BoxFuture<'a, T>;

/// The router as seen from outside. Each method is the router's of the same name.
#[allow(missing_docs, reason = "documented on the router")]
pub trait Core: Send + Sync + 'static {
    fn accept<'a>(
        &'a self,
        messages: Vec<Message>,
        origin: &'a Origin,
    ) -> Later<'a, Vec<Result<Acceptance, Refusal>>>;
    fn plan<'a>(&'a self, message: Message, origin: &'a Origin) -> Later<'a, Result<PlanView, Refusal>>;
    fn message<'a>(&'a self, id: &'a MessageId) -> Later<'a, Result<MessageView, Refusal>>;
    fn exchanges(
        &self,
        channel: &ChannelId,
        message: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<Arc<ExchangeView>>, Refusal>;
    fn cancel<'a>(&'a self, id: &'a MessageId) -> Later<'a, Result<(), Refusal>>;
    fn open_session(&self, request: OpenSession) -> Later<'_, Result<SessionView, Refusal>>;
    fn session(&self, id: SessionId, at: Option<Timestamp>) -> Later<'_, Result<SessionView, Refusal>>;
    fn end_session(&self, id: SessionId) -> Later<'_, Result<(), Refusal>>;
    fn sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Later<'_, Result<Page<SessionView>, Refusal>>;
    fn channels(&self) -> Later<'_, Vec<ChannelView>>;
    fn destinations(&self) -> Later<'_, Vec<DestinationView>>;
    fn restart_channel<'a>(&'a self, id: &'a ChannelId) -> Later<'a, Result<(), Refusal>>;
    fn unmatched<'a>(
        &'a self,
        channel: Option<&'a ChannelId>,
        after: u32,
        limit: usize,
    ) -> Later<'a, Vec<UnmatchedView>>;
    fn in_doubt(&self, after: Option<SessionId>, limit: usize)
    -> Later<'_, Result<Page<DoubtView>, Refusal>>;
    fn settle_doubt<'a>(
        &'a self,
        id: &'a MessageId,
        part: u16,
        by: DoubtSettlement,
    ) -> Later<'a, Result<(), Refusal>>;
    fn dead_letters(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Later<'_, Result<Page<DeadLetterView>, Refusal>>;
    fn replay_dead_letter<'a>(&'a self, id: &'a str) -> Later<'a, Result<(), Refusal>>;
    fn tail(&self) -> broadcast::Receiver<Arc<TailEvent>>;
    fn accepting(&self) -> Result<(), Refusal>;
    fn webhook_bytes_max(&self, channel: &ChannelId) -> Option<usize>;
    fn webhook<'a>(&'a self, channel: &'a ChannelId, call: &'a webhook::Call) -> Later<'a, webhook::Answer>;
    fn shared_webhook<'a>(&'a self, call: &'a webhook::Call) -> Later<'a, webhook::Answer>;
    fn media<'a>(&'a self, channel: &'a ChannelId, token: &'a str) -> Later<'a, Result<MediaFile, NoFile>>;
    fn committed(&self) -> Seq;
}

impl Core for Router {
    fn accept<'a>(
        &'a self,
        messages: Vec<Message>,
        origin: &'a Origin,
    ) -> Later<'a, Vec<Result<Acceptance, Refusal>>> {
        Box::pin(Router::accept(self, messages, origin))
    }
    fn plan<'a>(&'a self, message: Message, origin: &'a Origin) -> Later<'a, Result<PlanView, Refusal>> {
        Box::pin(Router::plan(self, message, origin))
    }
    fn message<'a>(&'a self, id: &'a MessageId) -> Later<'a, Result<MessageView, Refusal>> {
        Box::pin(Router::message(self, id))
    }
    fn exchanges(
        &self,
        channel: &ChannelId,
        message: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<Arc<ExchangeView>>, Refusal> {
        Router::exchanges(self, channel, message, limit)
    }
    fn cancel<'a>(&'a self, id: &'a MessageId) -> Later<'a, Result<(), Refusal>> {
        Box::pin(Router::cancel(self, id))
    }
    fn open_session(&self, request: OpenSession) -> Later<'_, Result<SessionView, Refusal>> {
        Box::pin(Router::open_session(self, request))
    }
    fn session(&self, id: SessionId, at: Option<Timestamp>) -> Later<'_, Result<SessionView, Refusal>> {
        Box::pin(Router::session(self, id, at))
    }
    fn end_session(&self, id: SessionId) -> Later<'_, Result<(), Refusal>> {
        Box::pin(Router::end_session(self, id))
    }
    fn sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Later<'_, Result<Page<SessionView>, Refusal>> {
        Box::pin(Router::sessions(self, after, limit))
    }
    fn channels(&self) -> Later<'_, Vec<ChannelView>> {
        Box::pin(Router::channels(self))
    }
    fn destinations(&self) -> Later<'_, Vec<DestinationView>> {
        Box::pin(Router::destinations(self))
    }
    fn restart_channel<'a>(&'a self, id: &'a ChannelId) -> Later<'a, Result<(), Refusal>> {
        Box::pin(Router::restart_channel(self, id))
    }
    fn unmatched<'a>(
        &'a self,
        channel: Option<&'a ChannelId>,
        after: u32,
        limit: usize,
    ) -> Later<'a, Vec<UnmatchedView>> {
        Box::pin(Router::unmatched(self, channel, after, limit))
    }
    fn in_doubt(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Later<'_, Result<Page<DoubtView>, Refusal>> {
        Box::pin(Router::in_doubt(self, after, limit))
    }
    fn settle_doubt<'a>(
        &'a self,
        id: &'a MessageId,
        part: u16,
        by: DoubtSettlement,
    ) -> Later<'a, Result<(), Refusal>> {
        Box::pin(Router::settle_doubt(self, id, part, by))
    }
    fn dead_letters(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Later<'_, Result<Page<DeadLetterView>, Refusal>> {
        Box::pin(Router::dead_letters(self, after, limit))
    }
    fn replay_dead_letter<'a>(&'a self, id: &'a str) -> Later<'a, Result<(), Refusal>> {
        Box::pin(Router::replay_dead_letter(self, id))
    }
    fn tail(&self) -> broadcast::Receiver<Arc<TailEvent>> {
        Router::tail(self)
    }
    fn accepting(&self) -> Result<(), Refusal> {
        Router::accepting(self)
    }
    fn webhook_bytes_max(&self, channel: &ChannelId) -> Option<usize> {
        Router::webhook_bytes_max(self, channel)
    }
    fn webhook<'a>(&'a self, channel: &'a ChannelId, call: &'a webhook::Call) -> Later<'a, webhook::Answer> {
        Box::pin(Router::webhook(self, channel, call))
    }
    fn shared_webhook<'a>(&'a self, call: &'a webhook::Call) -> Later<'a, webhook::Answer> {
        Box::pin(Router::shared_webhook(self, call))
    }
    fn media<'a>(&'a self, channel: &'a ChannelId, token: &'a str) -> Later<'a, Result<MediaFile, NoFile>> {
        Box::pin(Router::media(self, channel, token))
    }
    fn committed(&self) -> Seq {
        Router::committed(self)
    }
}
