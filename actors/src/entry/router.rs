//! The handle through which HTTP, the command line and tests use the router. Decides nothing: each
//! method asks an actor, or a function of this layer, and waits for the answer.

use std::{sync::Arc, time::Duration};

use message::{
    Address, ChannelId, DestinationId, MessageId, Seq, SessionId, StreamId, Timestamp, cim,
    event::{CloseReason, DoubtSettlement},
};
use ractor::{Actor, ActorRef};
use storage::invariant;
use tokio::{
    sync::{broadcast, oneshot},
    time::timeout,
};

use crate::{
    actor::{
        channel, media, replay,
        root::{RootActor, RootMessage},
        timers,
    },
    config::Config,
    context::{
        Context, blocking,
        media_queue::MediaQueue,
        media_store::{MediaFile, NoFile},
        series_file,
    },
    domain::session::window,
    entry::{
        accept::{self, Origin},
        ask::{self, ANSWER_WAIT},
        bulk,
        control::Control,
        past::{self, Extent},
        plan, status, waiting, webhook,
    },
    error::{Refusal, StartError},
    history::lookup,
    protocol::{
        answers::{Acceptance, Answers},
        channel::ChannelMessage,
        destination::DestinationMessage,
        task::Request,
        webhook::{WebhookAnswer, WebhookCall},
    },
    seams::Seams,
    view::{
        ChannelView, DestinationView, ExchangeView, MessageView, PlanView, SessionView, StatusView,
        TailEvent, UnmatchedView,
    },
};

/// A running router. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    pub(super) context: Arc<Context>,
    root: ActorRef<RootMessage>,
}

/// A request to open a session (START_CHAT, `POST /v1/sessions`).
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// Our own address.
    pub service_identifier: Box<str>,
    /// A provider name or channel id that narrows the choice when several channels have that
    /// address.
    pub channel: Option<Box<str>>,
    /// The customer's address.
    pub customer: Box<str>,
    /// The handler of the session.
    pub handler: Box<str>,
    /// Whether to take the session from another handler.
    pub takeover: bool,
}

impl Router {
    /// Replays the events after the last checkpoint and starts all actors. The router is ready when
    /// this returns.
    ///
    /// # Errors
    ///
    /// Returns an error if the configuration contradicts itself or the log cannot be read.
    pub async fn start(config: Config, log: storage::Log, seams: Seams) -> Result<Self, StartError> {
        let (media, fetch_requests) = config.media.as_ref().map(MediaQueue::new).unzip();
        let context = Arc::new(Context::new(config, log, seams, media)?);
        let poisoned = Arc::downgrade(&context);
        context.log.on_poison(move |reason| {
            if let Some(context) = poisoned.upgrade() {
                context.lifecycle.fail(format!("the event log: {reason}"));
            }
        });
        let replayed = context.clone();
        let replay = move || {
            series_file::restore(&replayed);
            replay::replay(&replayed)
        };
        let replayed = blocking::run(replay).await;
        replayed.unwrap_or_else(|| Err(StartError::Log("the replay panicked".to_owned())))?;
        let (root, _) = Actor::spawn(None, RootActor, context.clone())
            .await
            .map_err(|e| StartError::Actor(e.to_string()))?;
        if let Some(requests) = fetch_requests {
            #[allow(clippy::disallowed_methods, reason = "ends with the router, which holds the sender")]
            tokio::spawn(media::run(Arc::downgrade(&context), requests));
        }
        Ok(Self { context, root })
    }

    /// Accepts messages. Returns one answer for each, in order; each is durable when it is seen.
    pub async fn accept(
        &self,
        messages: Vec<cim::Message>,
        origin: &Origin,
    ) -> Vec<Result<Acceptance, Refusal>> {
        let count = messages.len();
        if let Err(refusal) = accept::wait_for_room(&self.context, count).await {
            return vec![Err(refusal); count];
        }
        let (answers, wait) = Answers::new(count);
        accept::submit(&self.context, messages, origin, &answers);
        let lost = || Err(ask::no_answer());
        match timeout(ANSWER_WAIT, wait).await {
            Ok(Ok(answers)) => {
                invariant!(answers.len() == count, "{} answers to {count}", answers.len());
                answers.into_iter().map(|a| a.unwrap_or_else(lost)).collect()
            }
            _ => (0..count).map(|_| lost()).collect(),
        }
    }

    /// Returns what accepting a message would do. Changes nothing.
    ///
    /// # Errors
    ///
    /// Returns the refusal that accepting the message would return.
    pub async fn plan(&self, message: cim::Message, origin: &Origin) -> Result<PlanView, Refusal> {
        let found = self.context.directory.route(&message)?;
        let identity =
            self.context.identity_of(found.entry, &message.service_identifier, &message.customer)?;
        let stream = self.context.stream_of(&identity.address);
        let reader = &self.context.reader;
        if let Some(id) = &message.id
            && ask::find_message(&self.context, id)?.is_some()
        {
            return Err(Refusal::TooLate(
                format!("message id {id} was accepted before: nothing would be sent").into(),
            ));
        }
        let heard_at = lookup::heard_at(reader, stream, &found.entry.policy);
        let now = self.context.now();
        let from = message.scheduling.send_at.unwrap_or(now).max(now);
        if let Some(cause) = window::closed(&found.entry.policy, &message.content, heard_at, from) {
            return Err(Refusal::Unsendable(cause));
        }
        let position = ask::queue_position(&self.context, stream).await?;
        let destination = origin.destination.clone().or_else(|| {
            let ix = found.entry.destination(&identity.address.did);
            self.context.directory.destination(ix).map(|d| d.id.clone())
        });
        let customer = self.context.customer_of(&identity.address);
        plan::plan(&found, (stream, &identity), &message, position, destination, customer, now)
    }

    /// Returns a message with its timeline.
    ///
    /// # Errors
    ///
    /// Returns an error if no message had this id within retention.
    pub async fn message(&self, id: &MessageId) -> Result<MessageView, Refusal> {
        let (stream, number) = ask::locate(&self.context, id)?;
        let view = |reply| Request::ViewMessage { number, reply };
        Ok(waiting::complete(&self.context, ask::ask(&self.context, stream, view).await?).await)
    }

    /// Lists HTTP calls between a channel and its provider, the newest first, for one message or
    /// all.
    ///
    /// # Errors
    ///
    /// Returns an error if the channel does not exist.
    pub fn exchanges(
        &self,
        channel: &ChannelId,
        message: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<Arc<ExchangeView>>, Refusal> {
        let found = self.context.directory.configured(channel);
        let (_, entry) = found.ok_or(Refusal::NotFound("channel"))?;
        Ok(entry.trace.list(message, limit))
    }

    /// Withdraws a message of which no part was sent yet.
    ///
    /// # Errors
    ///
    /// Returns an error if the message is being sent or is settled.
    pub async fn cancel(&self, id: &MessageId) -> Result<(), Refusal> {
        let (stream, number) = ask::locate(&self.context, id)?;
        ask::ask(&self.context, stream, |reply| Request::Cancel { number, reply }).await
    }

    /// Opens a session, or takes it over.
    ///
    /// # Errors
    ///
    /// Returns an error if another handler has the session and takeover was not requested.
    pub async fn open_session(&self, request: OpenSession) -> Result<SessionView, Refusal> {
        self.context.accepting()?;
        let found =
            self.context.directory.find_channel(&request.service_identifier, request.channel.as_deref())?;
        let identity =
            self.context.identity_of(found.entry, &request.service_identifier, &request.customer)?;
        let OpenSession { handler, takeover, .. } = request;
        let stream = self.context.stream_of(&identity.address);
        ask::ask(&self.context, stream, |reply| Request::Open { identity, handler, takeover, reply }).await
    }

    /// Returns an error unless the customers of a session to be opened write to a destination.
    pub(crate) fn own_channel(&self, request: &OpenSession, only: &DestinationId) -> Result<(), Refusal> {
        let directory = &self.context.directory;
        let found = directory.find_channel(&request.service_identifier, request.channel.as_deref())?;
        let did = found.entry.channel().did(&request.service_identifier);
        let own = directory.destination(found.entry.destination(&did));
        if own.is_some_and(|own| own.id == *only) {
            return Ok(());
        }
        Err(directory.unknown_channel(&request.service_identifier, Some(only)))
    }

    /// Returns the milliseconds by which the wall clock is ahead of the believed time; `None` while
    /// it is not in doubt.
    pub fn clock_doubt_ms(&self) -> Option<i64> {
        self.context.clock_doubt_ms()
    }

    /// Returns a session with its newest events, or its state at the instant `at`.
    ///
    /// # Errors
    ///
    /// Returns an error if no session has this id.
    pub async fn session(&self, id: SessionId, at: Option<Timestamp>) -> Result<SessionView, Refusal> {
        past::session(&self.context, id, Extent { at, before: None }).await
    }

    /// Returns a session with its newest events before one of them: the next page of its past.
    ///
    /// # Errors
    ///
    /// Returns an error if no session has this id.
    pub async fn session_before(&self, id: SessionId, before: Seq) -> Result<SessionView, Refusal> {
        past::session(&self.context, id, Extent { at: None, before: Some(before) }).await
    }

    /// Finds a customer's open session by the addresses that the business uses.
    ///
    /// # Errors
    ///
    /// Returns an error if the channel does not exist or no session is open.
    pub async fn find_session(&self, service_identifier: &str, customer: &str) -> Result<SessionId, Refusal> {
        let entry = self.context.directory.find_channel(service_identifier, None)?.entry;
        let identity = self.context.identity_of(entry, service_identifier, customer)?;
        let stream = self.context.stream_of(&identity.address);
        let position = ask::queue_position(&self.context, stream).await?;
        if !position.open {
            return Err(Refusal::NotFound("open session"));
        }
        Ok(SessionId { stream, ordinal: position.ordinal })
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// Returns an error if the session is not open.
    pub async fn end_session(&self, id: SessionId) -> Result<(), Refusal> {
        let end = |reply| Request::End { id, reason: CloseReason::Business, reply };
        ask::ask(&self.context, id.stream, end).await
    }

    /// Returns the state of all channels.
    pub async fn channels(&self) -> Vec<ChannelView> {
        let mut views = Vec::new();
        for (_, entry) in self.context.directory.channels() {
            let (reply, wait) = oneshot::channel();
            entry.tell(ChannelMessage::View(reply));
            match timeout(ANSWER_WAIT, wait).await {
                Ok(Ok(view)) => views.push(view),
                _ => views.push(channel::view::failed(entry, self.context.now())),
            }
        }
        views
    }

    /// Returns the problems of the node, and what waits.
    pub async fn status(&self) -> StatusView {
        status::status(&self.context, &self.channels().await, &self.destinations().await).await
    }

    /// Returns when this run began.
    pub fn started_at(&self) -> Timestamp {
        self.context.begun_at
    }

    /// Returns the state of all destinations.
    pub async fn destinations(&self) -> Vec<DestinationView> {
        let mut views = Vec::new();
        for (_, entry) in self.context.directory.destinations() {
            let (reply, wait) = oneshot::channel();
            entry.tell(DestinationMessage::View(reply));
            if let Ok(Ok(view)) = timeout(ANSWER_WAIT, wait).await {
                views.push(view);
            }
        }
        views
    }

    /// The actions that change how channels and destinations work.
    pub fn control(&self) -> Control<'_> {
        Control { context: &self.context, root: &self.root }
    }

    /// Lists receipts without a known part, oldest first in each channel, with numbers above
    /// `after`.
    pub async fn unmatched(
        &self,
        channel: Option<&ChannelId>,
        after: u32,
        limit: usize,
    ) -> Vec<UnmatchedView> {
        let mut all = Vec::new();
        for (_, entry) in self.context.directory.channels() {
            if channel.is_some_and(|id| *id != entry.config.id) {
                continue;
            }
            let (reply, wait) = oneshot::channel();
            entry.tell(ChannelMessage::Unmatched { after, limit: limit.saturating_sub(all.len()), reply });
            if let Ok(Ok(unmatched)) = timeout(ANSWER_WAIT, wait).await {
                all.extend(unmatched);
            }
        }
        all
    }

    /// Settles a held part, numbered from 1, that is in doubt.
    ///
    /// # Errors
    ///
    /// Returns an error if the part is not held.
    pub async fn settle_doubt(&self, id: &MessageId, part: u16, by: DoubtSettlement) -> Result<(), Refusal> {
        let (stream, number) = ask::locate(&self.context, id)?;
        let part = part.checked_sub(1).ok_or(Refusal::NotFound("part; the first is 1"))?;
        ask::ask(&self.context, stream, |reply| Request::SettleDoubt { number, part, by, reply }).await
    }

    /// Puts a dead letter back into its session's deliveries.
    ///
    /// # Errors
    ///
    /// Returns an error if no dead letter has this id.
    pub async fn replay_dead_letter(&self, id: &str) -> Result<(), Refusal> {
        bulk::replay_dead_letter(&self.context, id).await
    }

    /// Subscribes to committed events. A slow reader loses some and is told how many.
    pub fn tail(&self) -> broadcast::Receiver<Arc<TailEvent>> {
        self.context.tail.subscribe()
    }

    /// Returns whether messages are accepted now.
    ///
    /// # Errors
    ///
    /// Returns a refusal with the reason if they are not.
    pub fn accepting(&self) -> Result<(), Refusal> {
        self.context.accepting()
    }

    /// Waits until the router cannot continue, and returns the reason. The process then exits with
    /// 1.
    pub async fn failed(&self) -> String {
        self.context.lifecycle.failed().await
    }

    /// Returns the log's watermark: the last flushed event.
    pub fn committed(&self) -> Seq {
        self.context.log.committed()
    }

    /// Returns the maximum size of a webhook's body for this channel, in bytes; `None` if the
    /// channel is unknown or takes no webhooks.
    pub fn webhook_bytes_max(&self, channel: &ChannelId) -> Option<usize> {
        webhook::bytes_max(&self.context, channel)
    }

    /// Returns whether any channel takes webhooks at the address that all accounts of a Meta app
    /// share.
    pub fn shares_webhooks(&self) -> bool {
        webhook::is_shared(&self.context)
    }

    /// Handles a provider's call. Its events are durable when the answer is
    /// [`WebhookAnswer::Reply`]; otherwise the provider must repeat the call, which changes nothing
    /// if it was stored after all.
    pub async fn webhook(&self, channel: &ChannelId, call: &WebhookCall) -> WebhookAnswer {
        webhook::handle(&self.context, channel, call).await
    }

    /// Handles a call to the address that all accounts of a Meta app share.
    pub async fn shared_webhook(&self, call: &WebhookCall) -> WebhookAnswer {
        webhook::handle_shared(&self.context, call).await
    }

    /// Returns a customer's file by its address, from the disk or from the provider.
    ///
    /// # Errors
    ///
    /// Returns the reason if the address is unknown or the file cannot be given now.
    pub async fn media(&self, channel: &ChannelId, token: &str) -> Result<MediaFile, NoFile> {
        media::file(&self.context, channel, token).await
    }

    /// Stops accepting, waits up to `grace_ms` for answers to what was sent, unbinds, and writes a
    /// last checkpoint. The caller closes the log.
    pub async fn drain(&self, grace_ms: u64) {
        self.context.lifecycle.drain();
        let mut waits = Vec::new();
        for (_, entry) in self.context.directory.channels() {
            let (reply, wait) = oneshot::channel();
            entry.tell(ChannelMessage::Drain(reply));
            waits.push(wait);
        }
        for (_, entry) in self.context.directory.destinations() {
            let (reply, wait) = oneshot::channel();
            entry.tell(DestinationMessage::Drain(reply));
            waits.push(wait);
        }
        let all = async {
            for wait in waits {
                let _actor_gone = wait.await;
            }
        };
        let _late = timeout(Duration::from_millis(grace_ms), all).await;
        let _late = timeout(ANSWER_WAIT, timers::checkpoint(&self.context)).await;
        let context = self.context.clone();
        let _panicked = blocking::run(move || series_file::store(&context)).await;
        self.root.stop(Some("drained".to_owned()));
    }

    /// Returns the stream of an address, for tests and tools.
    pub fn stream_of(&self, channel: &ChannelId, did: &str, customer: &str) -> Option<StreamId> {
        let (_, entry) = self.context.directory.channel_by_id(channel)?;
        let customer = entry.channel().customer(customer).ok()?;
        let address = Address { channel: channel.clone(), did: entry.channel().did(did), customer };
        Some(self.context.stream_of(&address))
    }
}
