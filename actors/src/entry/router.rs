//! The handle through which HTTP, CLI and tests use the router.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use message::{
    Address, ChannelId, DestinationId, MessageId, MessageNo, Seq, SessionId, StreamId, Timestamp, address,
    cim,
    event::{CloseReason, DoubtSettlement},
};
use ractor::{Actor, ActorRef};
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
    context::{Shared, media_queue::Files},
    domain::session::window,
    entry::{accept::Posted, plan},
    error::{Refusal, StartError},
    protocol::{
        answers::{Acceptance, Answers, Reply},
        channel::ChannelMessage,
        destination::DestinationMessage,
        host::{HostMessage, Op, Request, Scan, Scanned, Task},
    },
    seams::Seams,
    view::{
        ChannelView, DeadLetterView, DestinationView, DoubtView, ExchangeView, MessageView, PlanView,
        SessionView, TailEvent, UnmatchedView, page::Page,
    },
};

/// How long an answer from the actors is waited for before the caller is told to come again.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// A running router. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    pub(crate) shared: Arc<Shared>,
    root: ActorRef<RootMessage>,
}

/// Who a message came from, as far as the router cares.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Where its notifications go when not to the DID's destination.
    pub destination: Option<DestinationId>,
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

impl Router {
    /// Replays what the last run left and starts all actors. Ready when this returns.
    ///
    /// # Errors
    /// The configuration contradicts itself, or the log cannot be read.
    pub async fn start(config: Config, log: storage::Log, seams: Seams) -> Result<Self, StartError> {
        let (files, wanted) = config.media.as_ref().map(Files::new).unzip();
        let shared = Arc::new(Shared::new(config, log, seams, files)?);
        let poisoned = Arc::downgrade(&shared);
        shared.log.on_poison(move |reason| {
            if let Some(shared) = poisoned.upgrade() {
                shared.fail(format!("the event log: {reason}"));
            }
        });
        replay::replay(&shared)?;
        let (root, _) = Actor::spawn(None, RootActor, shared.clone())
            .await
            .map_err(|e| StartError::Actor(e.to_string()))?;
        if let Some(wanted) = wanted {
            #[allow(clippy::disallowed_methods, reason = "ends with the router, which holds the other end")]
            tokio::spawn(media::run(Arc::downgrade(&shared), wanted));
        }
        Ok(Self { shared, root })
    }

    /// Takes messages; one answer for each, in order. Each answer is durable when it is seen.
    pub async fn accept(
        &self,
        messages: Vec<cim::Message>,
        origin: &Origin,
    ) -> Vec<Result<Acceptance, Refusal>> {
        let count = messages.len();
        if let Err(refusal) = self.may_accept(count).await {
            return vec![Err(refusal); count];
        }
        let (answers, wait) = Answers::new(count);
        let hosts = self.shared.config.limits.hosts.max(1);
        let mut tasks: Vec<Vec<Task>> = Vec::new();
        tasks.resize_with(hosts, Vec::new);
        for (place, message) in messages.into_iter().enumerate() {
            let id = message.id.clone();
            match self.posted(message, origin, answers.clone(), place) {
                Ok(Posted::Done(acceptance)) => answers.put(place, Ok(acceptance)),
                Ok(Posted::Task(task)) => {
                    // The log knows an id only once it is appended.
                    if let Some(id) = id {
                        let Some(claim) = self.shared.claims.claim(id.clone(), task.stream) else {
                            answers.put(place, Err(Refusal::IdTaken(id)));
                            continue;
                        };
                        answers.hold(claim);
                    }
                    if let Some(tasks) = tasks.get_mut(self.shared.host_of(task.stream)) {
                        tasks.push(task);
                    }
                }
                Err(refusal) => answers.put(place, Err(refusal)),
            }
        }
        drop(answers);
        for (host, tasks) in tasks.into_iter().enumerate().filter(|(_, tasks)| !tasks.is_empty()) {
            self.shared.work_for(host, tasks);
        }
        let lost = || Err(no_answer());
        match timeout(ANSWER_WAIT, wait).await {
            Ok(Ok(answers)) => answers.into_iter().map(|a| a.unwrap_or_else(lost)).collect(),
            _ => (0..count).map(|_| lost()).collect(),
        }
    }

    /// What accepting a message would do. Changes nothing.
    ///
    /// # Errors
    /// As accepting it.
    pub async fn plan(&self, message: cim::Message, origin: &Origin) -> Result<PlanView, Refusal> {
        let found = self.shared.route(&message)?;
        let identity =
            self.shared.identity_of(found.entry, &message.service_identifier, &message.customer)?;
        if let Some(id) = &message.id
            && self.shared.log.find(address::message_key(id.as_str())).is_some()
        {
            return Err(Refusal::TooLate(
                format!("message id {id} was accepted before: nothing would be sent").into(),
            ));
        }
        let now = self.shared.now();
        let heard_at = self.shared.heard_at(identity.address.stream(), &found.entry.policy);
        let from = message.scheduling.send_at.unwrap_or(now).max(now);
        if let Some(cause) = window::closed(&found.entry.policy, &message.content, heard_at, from) {
            return Err(Refusal::Unsendable(cause));
        }
        let ahead = self.ask(identity.address.stream(), |reply| Request::Ahead { reply }).await?;
        let destination = origin.destination.clone().or_else(|| {
            let ix = found.entry.destination(&identity.address.did);
            self.shared.destinations.get(ix).map(|d| d.config.id.clone())
        });
        plan::plan(&found, &identity, &message, ahead, destination)
    }

    /// Where a message's stream and number are, by the business's id.
    fn locate(&self, id: &MessageId) -> Result<(StreamId, MessageNo), Refusal> {
        let found = self.shared.log.find(address::message_key(id.as_str()));
        let found = found.ok_or(Refusal::NotFound("message"))?;
        Ok((StreamId(found.a), MessageNo(u32::try_from(found.b).unwrap_or(u32::MAX))))
    }

    async fn ask<T>(
        &self,
        stream: StreamId,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, Refusal> {
        let (reply, wait) = oneshot::channel();
        let task = Task { stream, op: Op::Request(request(reply)) };
        self.shared.work_for(self.shared.host_of(stream), vec![task]);
        match timeout(ANSWER_WAIT, wait).await {
            Ok(Ok(answer)) => answer,
            _ => Err(no_answer()),
        }
    }

    /// A message with its timeline.
    ///
    /// # Errors
    /// When no message had this id within retention.
    pub async fn message(&self, id: &MessageId) -> Result<MessageView, Refusal> {
        let (stream, number) = self.locate(id)?;
        self.ask(stream, |reply| Request::ViewMessage { number, reply }).await
    }

    /// What a channel and its provider said over HTTP, the newest first, of one message or of all.
    ///
    /// # Errors
    /// When there is no such channel.
    pub fn exchanges(
        &self,
        channel: &ChannelId,
        message: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<Arc<ExchangeView>>, Refusal> {
        let (ix, _) = self.shared.channel(channel).ok_or(Refusal::NotFound("channel"))?;
        Ok(self.shared.exchanges.get(ix).map(|kept| kept.list(message, limit)).unwrap_or_default())
    }

    /// Withdraws a message of which nothing was sent yet.
    ///
    /// # Errors
    /// When it is under way or settled.
    pub async fn cancel(&self, id: &MessageId) -> Result<(), Refusal> {
        let (stream, number) = self.locate(id)?;
        self.ask(stream, |reply| Request::Cancel { number, reply }).await
    }

    /// Opens a session, or takes it over.
    ///
    /// # Errors
    /// When another handler has it and takeover was not asked for.
    pub async fn open_session(&self, request: OpenSession) -> Result<SessionView, Refusal> {
        self.accepting()?;
        let entry = self.shared.find_channel(&request.service_identifier, request.channel.as_deref())?.entry;
        let identity = self.shared.identity_of(entry, &request.service_identifier, &request.customer)?;
        let OpenSession { handler, takeover, .. } = request;
        let stream = identity.address.stream();
        self.ask(stream, |reply| Request::Open { identity, handler, takeover, reply }).await
    }

    /// A session; with `at`, as it was then.
    ///
    /// # Errors
    /// When there is none of this id.
    pub async fn session(&self, id: SessionId, at: Option<Timestamp>) -> Result<SessionView, Refusal> {
        self.ask(id.stream, |reply| Request::View { id, at, reply }).await
    }

    /// The open session of a customer, as the business names both sides.
    ///
    /// # Errors
    /// When there is no such channel or no open session.
    pub async fn find_session(&self, service_identifier: &str, customer: &str) -> Result<SessionId, Refusal> {
        let entry = self.shared.find_channel(service_identifier, None)?.entry;
        let identity = self.shared.identity_of(entry, service_identifier, customer)?;
        let stream = identity.address.stream();
        let ahead = self.ask(stream, |reply| Request::Ahead { reply }).await?;
        if !ahead.open {
            return Err(Refusal::NotFound("open session"));
        }
        Ok(SessionId { stream, ordinal: ahead.ordinal })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When it is not open.
    pub async fn end_session(&self, id: SessionId) -> Result<(), Refusal> {
        let end = |reply| Request::End { id, reason: CloseReason::Business, reply };
        self.ask(id.stream, end).await
    }

    async fn scan(&self, what: Scan, after: Option<StreamId>, limit: usize) -> Result<Vec<Scanned>, Refusal> {
        let mut all = Vec::new();
        for host in 0..self.shared.config.limits.hosts.max(1) {
            let (reply, wait) = oneshot::channel();
            self.shared.cast_host(host, HostMessage::Scan { what, after, limit, reply });
            match timeout(ANSWER_WAIT, wait).await {
                Ok(Ok(scanned)) => all.push(scanned),
                _ => return Err(no_answer()),
            }
        }
        Ok(all)
    }

    /// Open sessions in the order of their ids, after a given one.
    ///
    /// # Errors
    /// When the hosts do not answer in time.
    pub async fn sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Page<SessionView>, Refusal> {
        let found = self.scan(Scan::Open, after.map(|id| id.stream), limit).await?;
        let to: Vec<_> = found.iter().map(|s| s.complete_to).collect();
        Ok(Page::of(found.into_iter().flat_map(|s| s.sessions), |s| s.session_id.0, to.into_iter(), limit))
    }

    /// Parts in doubt, or sent again after it, in the order of their sessions, after a given one.
    ///
    /// # Errors
    /// When the hosts do not answer in time.
    pub async fn in_doubt(&self, after: Option<SessionId>, limit: usize) -> Result<Page<DoubtView>, Refusal> {
        let found = self.scan(Scan::Doubts, after.map(|id| id.stream), limit).await?;
        let to: Vec<_> = found.iter().map(|s| s.complete_to).collect();
        Ok(Page::of(found.into_iter().flat_map(|s| s.doubts), |d| d.session_id.0, to.into_iter(), limit))
    }

    /// Deliveries that were given up, likewise.
    ///
    /// # Errors
    /// When the hosts do not answer in time.
    pub async fn dead_letters(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Page<DeadLetterView>, Refusal> {
        let found = self.scan(Scan::DeadLetters, after.map(|id| id.stream), limit).await?;
        let to: Vec<_> = found.iter().map(|s| s.complete_to).collect();
        Ok(Page::of(
            found.into_iter().flat_map(|s| s.dead_letters),
            |d| d.session_id.0,
            to.into_iter(),
            limit,
        ))
    }

    /// All channels.
    pub async fn channels(&self) -> Vec<ChannelView> {
        let mut views = Vec::new();
        for entry in &self.shared.channels {
            let (reply, wait) = oneshot::channel();
            entry.cast(ChannelMessage::View(reply));
            match timeout(ANSWER_WAIT, wait).await {
                Ok(Ok(view)) => views.push(view),
                _ => views.push(channel::view::failed(entry, self.shared.now())),
            }
        }
        views
    }

    /// All destinations.
    pub async fn destinations(&self) -> Vec<DestinationView> {
        let mut views = Vec::new();
        for entry in &self.shared.destinations {
            let (reply, wait) = oneshot::channel();
            entry.cast(DestinationMessage::View(reply));
            if let Ok(Ok(view)) = timeout(ANSWER_WAIT, wait).await {
                views.push(view);
            }
        }
        views
    }

    /// Starts a stopped channel again (after credentials were refused).
    ///
    /// # Errors
    /// When there is no such channel.
    pub async fn restart_channel(&self, id: &ChannelId) -> Result<(), Refusal> {
        let (_, entry) = self.shared.channel(id).ok_or(Refusal::NotFound("channel"))?;
        let (reply, wait) = oneshot::channel();
        entry.cast(ChannelMessage::Restart(reply));
        timeout(ANSWER_WAIT, wait).await.map_err(|_| no_answer())?.map_err(|_| no_answer())
    }

    /// Receipts whose part is not known, oldest first in each channel, with greater numbers than `after`.
    pub async fn unmatched(
        &self,
        channel: Option<&ChannelId>,
        after: u32,
        limit: usize,
    ) -> Vec<UnmatchedView> {
        let mut all = Vec::new();
        for entry in &self.shared.channels {
            if channel.is_some_and(|id| *id != entry.config.id) {
                continue;
            }
            let (reply, wait) = oneshot::channel();
            entry.cast(ChannelMessage::Unmatched { after, limit: limit.saturating_sub(all.len()), reply });
            if let Ok(Ok(unmatched)) = timeout(ANSWER_WAIT, wait).await {
                all.extend(unmatched);
            }
        }
        all
    }

    /// Settles a held part (from 1) in doubt.
    ///
    /// # Errors
    /// When it is not held.
    pub async fn settle_doubt(&self, id: &MessageId, part: u16, by: DoubtSettlement) -> Result<(), Refusal> {
        let (stream, number) = self.locate(id)?;
        let part = part.checked_sub(1).ok_or(Refusal::NotFound("part; the first is 1"))?;
        self.ask(stream, |reply| Request::SettleDoubt { number, part, by, reply }).await
    }

    /// Puts a dead letter back into its session's deliveries.
    ///
    /// # Errors
    /// When there is none of this id.
    pub async fn replay_dead_letter(&self, id: &str) -> Result<(), Refusal> {
        let parsed = id.split_once('-').and_then(|(stream, delivery)| {
            let stream = u128::from_str_radix(stream, 16).ok()?;
            Some((StreamId(stream), delivery.parse::<u32>().ok()?))
        });
        let (stream, delivery) = parsed.ok_or(Refusal::NotFound("dead letter"))?;
        self.ask(stream, |reply| Request::Replay { delivery, reply }).await
    }

    /// Committed events as they happen; a slow reader misses some and is told how many.
    pub fn tail(&self) -> broadcast::Receiver<Arc<TailEvent>> {
        self.shared.tail.subscribe()
    }

    /// Whether messages are accepted now, and if not, why.
    ///
    /// # Errors
    /// Why not.
    pub fn accepting(&self) -> Result<(), Refusal> {
        if self.shared.draining.load(Ordering::Acquire) {
            return Err(Refusal::Busy { reason: "shutting down".into(), retry_after_s: 5 });
        }
        self.shared
            .log
            .room()
            .map_err(|no_room| Refusal::Busy { reason: no_room.to_string().into(), retry_after_s: 10 })
    }

    /// Resolves when the router can no longer run: exit 1 with this text.
    pub async fn failed(&self) -> String {
        let mut failure = self.shared.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the router is gone".to_owned(),
        }
    }

    /// The log's watermark.
    pub fn committed(&self) -> Seq {
        self.shared.log.committed()
    }

    /// Stops accepting, lets what is out be answered for up to `grace_ms`, unbinds, writes a last checkpoint.
    /// The log is closed by the caller.
    pub async fn drain(&self, grace_ms: u64) {
        self.shared.draining.store(true, Ordering::Release);
        let mut waits = Vec::new();
        for entry in &self.shared.channels {
            let (reply, wait) = oneshot::channel();
            entry.cast(ChannelMessage::Drain(reply));
            waits.push(wait);
        }
        for entry in &self.shared.destinations {
            let (reply, wait) = oneshot::channel();
            entry.cast(DestinationMessage::Drain(reply));
            waits.push(wait);
        }
        let all = async {
            for wait in waits {
                let _actor_gone = wait.await;
            }
        };
        let _late = timeout(Duration::from_millis(grace_ms), all).await;
        let _late = timeout(ANSWER_WAIT, timers::checkpoint(&self.shared)).await;
        self.root.stop(Some("drained".to_owned()));
    }

    /// The address's stream, for tests and tools.
    pub fn stream_of(&self, channel: &ChannelId, did: &str, customer: &str) -> Option<StreamId> {
        let (_, entry) = self.shared.channel(channel)?;
        let customer = entry.channel().customer(customer).ok()?;
        Some(Address { channel: channel.clone(), did: entry.channel().did(did), customer }.stream())
    }
}

fn no_answer() -> Refusal {
    Refusal::Busy { reason: "the router did not answer in time".into(), retry_after_s: 5 }
}
