//! A channel: pulls due parts from its sessions while a link has window and the rate allows, hands them to the
//! links, takes answers, receipts and customers' messages back to the sessions. It holds no messages that
//! the log does not: what it knows can always be told again by the hosts and the log.

mod inbound;
mod links;
mod profiles;
mod receipts;
mod send;
mod take;
pub(crate) mod view;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use channels::{InEvent, InReceipt, http::Request, smpp::ReplyToken};
use message::{Content, MessageId, MessageNo, StreamId, Timestamp, event::Split};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use smallvec::SmallVec;
use tokio::sync::oneshot;

pub(crate) use self::links::LinkSlot;
use self::send::{Outstanding, PartJob};
use crate::{
    ahead::Ahead,
    correlation::{Correlation, PartRef},
    identity::Recent,
    lanes::Lanes,
    link::{LinkEvent, LinkMessage},
    rate::Rate,
    safe::Waits,
    shared::{ChannelEntry, ChannelIx, Shared},
    view::{ChannelCounts, ChannelView, FactView, SetUpView, UnmatchedView},
};

/// What a channel is told.
pub(crate) enum ChannelMessage {
    /// What a host's batch means for it, after its flush.
    FromHost(HostBatch),
    /// What happened on a link.
    FromLink(u16, u32, Vec<LinkEvent>),
    /// Time to look at the rate again.
    Kick,
    /// Time has passed.
    Tick,
    /// What a webhook brought; whoever waits for it is told when all of it is safe.
    Events(Vec<InEvent>, Waits),
    /// A call beside messages, whose outcome changes nothing.
    Beside(Box<Request>),
    /// A receipt that names a part by our own name, which is none of this channel's.
    Astray(Box<InReceipt>, Waits),
    /// Facts of its own were flushed: these deliveries may be acknowledged.
    Acknowledge(Vec<InboundAck>),
    /// Start again after it was stopped.
    Restart(oneshot::Sender<()>),
    /// Show yourself.
    View(oneshot::Sender<ChannelView>),
    /// Show the receipts nobody knows.
    Unmatched { after: u32, limit: usize, reply: oneshot::Sender<Vec<UnmatchedView>> },
    /// Write what is to be kept into the index, then answer.
    Checkpoint(oneshot::Sender<()>),
    /// Send nothing more, wait for what is out, unbind; answer when done.
    Drain(oneshot::Sender<()>),
}

/// What a host's batch means for a channel.
#[derive(Default)]
pub(crate) struct HostBatch {
    /// Sessions that have parts to send: stream, lane, number of parts.
    pub(crate) ready: Vec<(StreamId, u8, u16)>,
    /// Parts handed over; their intent is durable.
    pub(crate) jobs: Vec<Job>,
    /// Room that was kept for a session which had nothing after all.
    pub(crate) released: usize,
    /// Deliveries that are safe now.
    pub(crate) acks: Vec<InboundAck>,
    /// Parts whose fate the provider is to be asked for.
    pub(crate) queries: Vec<Query>,
    /// Kept receipts that were tried on a session in doubt, and whether they fitted.
    pub(crate) settled: Vec<(u32, bool)>,
    /// Receipts that found their part by our own name for it.
    pub(crate) named: u64,
}

/// Parts of one message, handed over.
pub(crate) struct Job {
    pub(crate) stream: StreamId,
    pub(crate) number: MessageNo,
    pub(crate) parts: SmallVec<[u16; 4]>,
    /// The room that was kept for them.
    pub(crate) reserved: usize,
    pub(crate) message: Arc<JobMessage>,
}

/// A question to the provider: what became of a part.
pub(crate) struct Query {
    pub(crate) part: PartRef,
    pub(crate) provider_id: Arc<str>,
    pub(crate) did: Arc<str>,
}

/// A message as the link needs it.
pub(crate) struct JobMessage {
    pub(crate) id: MessageId,
    pub(crate) content: Content,
    pub(crate) split: Split,
    pub(crate) did: Arc<str>,
    pub(crate) customer: Arc<str>,
    pub(crate) customer_shown: Arc<str>,
    pub(crate) expires_at: Option<Timestamp>,
    /// The provider's id of the message it answers.
    pub(crate) reply_to: Option<Arc<str>>,
}

/// Who is told once something that came in is safe.
pub(crate) enum Ack {
    /// The link it came on.
    Link(InboundAck),
    /// The caller of a webhook, or whoever asked for updates.
    Caller(Waits),
}

/// The right to acknowledge a delivery on the link it came from, once it is safe.
pub(crate) struct InboundAck {
    pub(crate) channel: ChannelIx,
    pub(crate) link: u16,
    pub(crate) token: ReplyToken,
}

/// The actor.
pub(crate) struct ChannelActor;

/// Its state.
pub(crate) struct ChannelState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ix: ChannelIx,
    pub(crate) myself: ActorRef<ChannelMessage>,
    lanes: Lanes,
    rate: Rate,
    /// Parts whose intent is durable and that wait for window and rate.
    outbox: VecDeque<PartJob>,
    /// Room kept for sessions that were asked.
    reserved: usize,
    /// What is made ready beyond the window's room.
    ahead: Ahead,
    outstanding: Outstanding,
    pub(crate) links: Vec<LinkSlot>,
    correlation: Correlation,
    own: receipts::OwnStream,
    /// The customers that wrote lately, by all their names.
    recent: Recent,
    /// What is known of customers whose messages do not name them.
    profiles: profiles::Profiles,
    /// Why nothing is sent, while something must change first.
    stopped: Option<message::event::Cause>,
    draining: Option<oneshot::Sender<()>>,
    is_draining: bool,
    kick_at_ms: u64,
    counts: ChannelCounts,
    metrics: view::Metrics,
    /// When the status last changed, and to what.
    status: (&'static str, String, Timestamp),
    set_up: Option<SetUpView>,
    /// What the provider says of the account, by what it is about.
    account: BTreeMap<Box<str>, FactView>,
}

impl Actor for ChannelActor {
    type Msg = ChannelMessage;
    type State = ChannelState;
    type Arguments = (Arc<Shared>, ChannelIx);

    async fn pre_start(
        &self,
        myself: ActorRef<ChannelMessage>,
        (shared, ix): Self::Arguments,
    ) -> Result<ChannelState, ActorProcessingErr> {
        let mut state = ChannelState::new(shared, ix, myself).ok_or("no such channel")?;
        state.load_own_stream()?;
        state.start_links().await?;
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<ChannelMessage>,
        message: ChannelMessage,
        state: &mut ChannelState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ChannelMessage::FromHost(batch) => state.host_reports(batch),
            ChannelMessage::FromLink(link, epoch, events) => state.link_reports(link, epoch, events),
            ChannelMessage::Kick => {
                state.kick_at_ms = u64::MAX;
                state.pump();
            }
            ChannelMessage::Tick => state.tick(),
            ChannelMessage::Events(events, waits) => state.take_events(events, waits),
            ChannelMessage::Beside(request) => state.beside(*request),
            ChannelMessage::Astray(receipt, waits) => state.astray(&receipt, waits),
            ChannelMessage::Acknowledge(acks) => state.acknowledge(acks),
            ChannelMessage::Restart(reply) => {
                state.restart();
                let _caller_gone = reply.send(());
            }
            ChannelMessage::View(reply) => {
                let _caller_gone = reply.send(state.view());
            }
            ChannelMessage::Unmatched { after, limit, reply } => {
                let _caller_gone = reply.send(state.unmatched(after, limit));
            }
            ChannelMessage::Checkpoint(reply) => {
                state.write_own_stream();
                let _coordinator_gone = reply.send(());
            }
            ChannelMessage::Drain(reply) => state.drain(reply),
        }
        Ok(())
    }

    /// A link that dies is started again by its own slot's rules; it never takes the channel with it.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<ChannelMessage>,
        event: SupervisionEvent,
        state: &mut ChannelState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(cell, _) | SupervisionEvent::ActorTerminated(cell, _, _) = &event
        {
            state.link_gone(cell.get_id()).await;
        }
        Ok(())
    }
}

impl ChannelState {
    fn new(shared: Arc<Shared>, ix: ChannelIx, myself: ActorRef<ChannelMessage>) -> Option<Self> {
        let entry = shared.channels.get(ix)?;
        let now_ms = shared.monotonic_ms();
        let base = send::id_base(entry);
        let id = entry.config.id.clone();
        // What one before it set aside went with it.
        entry.credit.withdraw();
        Some(Self {
            lanes: Lanes::default(),
            rate: Rate::resumed(entry.config.send_rate, now_ms),
            outbox: VecDeque::new(),
            reserved: 0,
            ahead: Ahead::default(),
            outstanding: Outstanding::default(),
            links: Vec::new(),
            correlation: Correlation::new(id.clone(), base, shared.config.limits.unmatched_max),
            own: receipts::OwnStream::new(&id),
            recent: Recent::default(),
            profiles: profiles::Profiles::default(),
            stopped: None,
            draining: None,
            is_draining: false,
            kick_at_ms: u64::MAX,
            counts: ChannelCounts::default(),
            metrics: view::Metrics::of(&id),
            status: ("connecting", String::new(), shared.now()),
            set_up: None,
            account: BTreeMap::new(),
            shared,
            ix,
            myself,
        })
    }

    pub(crate) fn entry(&self) -> Option<&ChannelEntry> {
        self.shared.channels.get(self.ix)
    }

    fn host_reports(&mut self, batch: HostBatch) {
        for (stream, lane, parts) in batch.ready {
            self.lanes.push(stream, lane, parts);
        }
        self.reserved = self.reserved.saturating_sub(batch.released);
        for job in batch.jobs {
            self.take_job(job);
        }
        self.acknowledge(batch.acks);
        self.query(batch.queries);
        self.doubts_settled(batch.settled);
        self.counts.receipts += batch.named;
        self.metrics.receipts.increment(batch.named);
        self.pump();
        if let Some(entry) = self.entry() {
            entry.waiting.store(self.lanes.len(), Ordering::Relaxed);
        }
    }

    fn tick(&mut self) {
        self.retry_parked();
        self.pump();
        if let Some(entry) = self.entry() {
            entry.waiting.store(self.lanes.len(), Ordering::Relaxed);
        }
        self.show_status();
    }

    fn acknowledge(&mut self, acks: Vec<InboundAck>) {
        for link in &mut self.links {
            link.acks.clear();
        }
        for ack in acks {
            if let Some(link) = self.links.get_mut(usize::from(ack.link)) {
                link.acks.push(ack.token);
            }
        }
        for link in &mut self.links {
            if !link.acks.is_empty() {
                let acks = std::mem::take(&mut link.acks);
                link.tell(LinkMessage::Acknowledge(acks));
            }
        }
    }

    fn restart(&mut self) {
        if self.stopped.take().is_some() {
            self.append_own(message::Event::ChannelStarted, None);
        }
        for link in &self.links {
            link.tell(LinkMessage::Restart);
        }
        self.pump();
        self.show_status();
    }

    fn drain(&mut self, reply: oneshot::Sender<()>) {
        self.is_draining = true;
        self.draining = Some(reply);
        self.withdraw_credit();
        self.finish_drain();
    }

    /// Once nothing is out any more, the links unbind.
    fn finish_drain(&mut self) {
        if self.is_draining && self.outstanding.is_empty() && self.reserved == 0 && self.outbox.is_empty() {
            for link in &self.links {
                link.tell(LinkMessage::Stop);
            }
            if let Some(reply) = self.draining.take() {
                let _caller_gone = reply.send(());
            }
        }
    }
}
