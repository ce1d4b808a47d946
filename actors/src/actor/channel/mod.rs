//! A channel: pulls due parts from its sessions while a link has window and the rate allows, hands them to the
//! links, takes answers, receipts and customers' messages back to the sessions. It holds no messages that
//! the log does not: what it knows can always be told again by the hosts and the log.

mod http_inbound;
mod link_slot;
mod links;
mod metrics;
mod outbox;
mod own_stream;
mod profiles;
mod receipts;
mod recent;
mod send;
mod smpp_inbound;
mod state;
pub(crate) mod view;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;

use crate::{
    actor::channel::{outbox::Outstanding, recent::Recent, state::ChannelState},
    config::ChannelIx,
    context::{ChannelEntry, Shared},
    domain::{correlation::Correlation, lanes::Lanes, prefetch::Ahead, rate::Rate},
    protocol::{
        channel::{ChannelMessage, HostBatch},
        link::LinkMessage,
        part::InboundAck,
    },
    view::ChannelCounts,
};

/// The actor.
pub(crate) struct ChannelActor;

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
        let base = outbox::id_base(entry);
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
            own: own_stream::OwnStream::new(&id),
            recent: Recent::default(),
            profiles: profiles::Profiles::default(),
            stopped: None,
            draining: None,
            is_draining: false,
            kick_at_ms: u64::MAX,
            counts: ChannelCounts::default(),
            metrics: metrics::Metrics::of(&id),
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
