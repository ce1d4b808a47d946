//! What all actors of one router share: the checked configuration, the log, the seams, and the addresses of
//! one another. Addresses of actors that are restarted are replaced here.

pub(crate) mod directory;
pub(crate) mod media_queue;
pub(crate) mod media_store;
pub(crate) mod tail;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use channels::{Channel, LinkKind};
use message::{Address, ChannelId, DestinationId, StreamId, Timestamp};
use ractor::ActorRef;
use storage::Log;
use tokio::sync::{broadcast, watch};

use crate::error::StartError;
use crate::{
    config::{ChannelConfig, ChannelIx, Config, DestinationIx},
    context::{directory::Routes, media_queue::Files},
    domain::{
        admission::Pace,
        credit::Credit,
        pending_ids::Claims,
        session::{Identity, policy::Policy},
    },
    protocol::{
        channel::ChannelMessage,
        destination::DestinationMessage,
        host::{HostMessage, Task},
        inbox::Inbox,
        webhook::Outcomes,
    },
    seams::Seams,
    view::{TailEvent, http_trace::Exchanges},
};

/// A configured channel and its actor.
pub(crate) struct ChannelEntry {
    pub(crate) config: ChannelConfig,
    pub(crate) policy: Policy,
    /// Whether its customers have several names.
    pub(crate) has_aliases: bool,
    /// Canonical DID, DID as configured, destination.
    pub(crate) dids: Vec<(Arc<str>, Arc<str>, DestinationIx)>,
    /// Room that its sessions may take without asking.
    pub(crate) credit: Credit,
    /// Sessions that wait for their turn on it.
    pub(crate) waiting: AtomicUsize,
    /// How its webhooks were answered, once there was one.
    pub(crate) webhooks: OnceLock<Outcomes>,
    pub(crate) actor: ArcSwapOption<ActorRef<ChannelMessage>>,
}

impl ChannelEntry {
    /// The provider's side.
    pub(crate) fn channel(&self) -> &dyn Channel {
        &*self.config.channel
    }

    /// Where a DID's deliveries go; those of a DID that is not configured go where the first one's do, for
    /// nothing may be lost.
    pub(crate) fn destination(&self, did: &str) -> DestinationIx {
        let known = self.dids.iter().find(|(canonical, _, _)| **canonical == *did);
        known.or(self.dids.first()).map_or(0, |(_, _, destination)| *destination)
    }

    /// A DID as a provider names it; the first one when it names none.
    pub(crate) fn did_or_only(&self, did: &Arc<str>) -> Arc<str> {
        let only = self.config.dids.first().filter(|_| did.is_empty());
        only.map_or_else(|| did.clone(), |only| only.number.clone())
    }

    /// Tells its actor; without one (it is being restarted) the message is dropped, and the restart asks anew.
    pub(crate) fn cast(&self, message: ChannelMessage) {
        if let Some(actor) = &*self.actor.load() {
            let _gone = actor.cast(message);
        }
    }
}

/// A configured destination and its actor.
pub(crate) struct DestinationEntry {
    pub(crate) config: crate::config::DestinationConfig,
    pub(crate) actor: ArcSwapOption<ActorRef<DestinationMessage>>,
}

impl DestinationEntry {
    pub(crate) fn cast(&self, message: DestinationMessage) {
        if let Some(actor) = &*self.actor.load() {
            let _gone = actor.cast(message);
        }
    }
}

/// What all share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) log: Log,
    /// Message ids that the log does not know yet.
    pub(crate) claims: Arc<Claims>,
    pub(crate) seams: Seams,
    pub(crate) channels: Vec<ChannelEntry>,
    /// Customers' files.
    pub(crate) files: Option<Files>,
    /// What each channel and its provider said, in the order of `channels`.
    pub(crate) exchanges: Vec<Exchanges>,
    pub(crate) channel_ix: BTreeMap<ChannelId, ChannelIx>,
    pub(crate) routes: Routes,
    pub(crate) destinations: Vec<DestinationEntry>,
    pub(crate) destination_ix: BTreeMap<DestinationId, DestinationIx>,
    pub(crate) hosts: OnceLock<Vec<Inbox>>,
    pub(crate) tail: broadcast::Sender<Arc<TailEvent>>,
    /// In which messages of the business wait while checkpoints are behind.
    pub(crate) pace: Pace,
    /// Set once, with the reason, when the router can no longer run.
    pub(crate) failure: watch::Sender<Option<String>>,
    /// Messages are refused while it drains.
    pub(crate) draining: AtomicBool,
    /// The highest sequence number any actor was given.
    pub(crate) appended: AtomicU64,
    started: tokio::time::Instant,
}

impl Shared {
    #[allow(clippy::too_many_arguments, reason = "each is a different thing, given once")]
    pub(crate) fn new(
        config: Config,
        log: Log,
        seams: Seams,
        files: Option<Files>,
    ) -> Result<Self, StartError> {
        let mut destination_ix = BTreeMap::new();
        let mut destinations = Vec::new();
        for destination in &config.destinations {
            if destination_ix.insert(destination.id.clone(), destinations.len()).is_some() {
                return Err(StartError::Config(format!("two destinations have the id {}", destination.id)));
            }
            destinations
                .push(DestinationEntry { config: destination.clone(), actor: ArcSwapOption::empty() });
        }
        let mut channel_ix = BTreeMap::new();
        let mut channels = Vec::new();
        for channel in &config.channels {
            if channel_ix.insert(channel.id.clone(), channels.len()).is_some() {
                return Err(StartError::Config(format!("two channels have the id {}", channel.id)));
            }
            let dids = channel.dids.iter().map(|did| {
                let ix = destination_ix.get(&did.destination).copied();
                ix.map(|ix| (channel.channel.did(&did.number), did.number.clone(), ix)).ok_or_else(|| {
                    StartError::Config(format!("channel {}: no destination {}", channel.id, did.destination))
                })
            });
            let dids = dids.collect::<Result<Vec<_>, _>>()?;
            if dids.is_empty() {
                return Err(StartError::Config(format!("channel {} has no dids", channel.id)));
            }
            channels.push(ChannelEntry {
                has_aliases: matches!(channel.channel.link(), LinkKind::Http(_)),
                policy: Policy::of(channel, config.limits.session_queue_max),
                webhooks: OnceLock::new(),
                config: channel.clone(),
                dids,
                credit: Credit::default(),
                waiting: AtomicUsize::new(0),
                actor: ArcSwapOption::empty(),
            });
        }
        Ok(Self {
            config,
            log,
            claims: Arc::default(),
            seams,
            files,
            exchanges: channels.iter().map(|_| Exchanges::default()).collect(),
            channels,
            channel_ix,
            routes: Routes::default(),
            destinations,
            destination_ix,
            hosts: OnceLock::new(),
            tail: broadcast::channel(TAIL_EVENTS_MAX).0,
            pace: Pace::default(),
            failure: watch::channel(None).0,
            draining: AtomicBool::new(false),
            appended: AtomicU64::new(0),
            started: tokio::time::Instant::now(),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.seams.clock.now()
    }

    /// Milliseconds since the start, on a clock that never goes back.
    pub(crate) fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The host that runs a stream's sessions.
    pub(crate) fn host_of(&self, stream: StreamId) -> usize {
        (stream.0 % self.config.limits.hosts.max(1) as u128) as usize
    }

    pub(crate) fn cast_host(&self, host: usize, message: HostMessage) {
        if let Some(inbox) = self.hosts.get().and_then(|hosts| hosts.get(host)) {
            inbox.tell(message);
        }
    }

    /// Gives a host work: with what it was given before and has not begun, if there is such.
    pub(crate) fn work_for(&self, host: usize, tasks: Vec<Task>) {
        if let Some(inbox) = self.hosts.get().and_then(|hosts| hosts.get(host)) {
            inbox.work(tasks);
        }
    }

    pub(crate) fn channel(&self, id: &ChannelId) -> Option<(ChannelIx, &ChannelEntry)> {
        let ix = *self.channel_ix.get(id)?;
        Some((ix, self.channels.get(ix)?))
    }

    /// Who a session on these addresses belongs to.
    pub(crate) fn identity(
        &self,
        channel: &ChannelEntry,
        did: &str,
        customer: Arc<str>,
        shown: &str,
    ) -> Identity {
        let canonical = channel.channel().did(did);
        let known = channel.dids.iter().find(|(c, _, _)| *c == canonical);
        Identity {
            did_shown: known.map_or_else(|| Arc::from(did), |(_, shown, _)| shown.clone()),
            address: Address { channel: channel.config.id.clone(), did: canonical, customer },
            customer_shown: Arc::from(shown),
        }
    }

    /// Events that a start would have to replay now.
    pub(crate) fn replay_events(&self) -> u64 {
        self.log.committed().0.saturating_sub(self.log.index().checkpoint_seq().0)
    }

    /// How far checkpoints are behind: the share that is used of what they may be, 1 or more when messages of the business
    /// have to wait. What the one under way has written already counts no more, so that this goes down evenly; but
    /// what a start would have to replay is never more than its bound.
    pub(crate) fn backlog(&self) -> f64 {
        let limits = &self.config.limits;
        let delta = self.log.index().delta();
        let replay = self.replay_events();
        let used = |n: f64, max: u64| n / max.max(1) as f64;
        if replay > limits.replay_events_max {
            return used(replay as f64, limits.replay_events_max);
        }
        let bytes = delta.live_bytes as f64 + delta.frozen_bytes as f64 * (1.0 - delta.moved);
        let passed = delta.moving_to.0.saturating_sub(self.log.index().checkpoint_seq().0) as f64;
        let events = replay as f64 - passed * delta.moved;
        used(bytes, limits.unwritten_bytes_max).max(used(events, limits.replay_events_max))
    }

    /// The router cannot go on: the first reason is kept.
    pub(crate) fn fail(&self, reason: String) {
        tracing::error!(reason, "the router cannot go on");
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(reason);
            first
        });
    }

    /// Notes a number given out by the log.
    pub(crate) fn appended(&self, seq: message::Seq) {
        self.appended.fetch_max(seq.0, Ordering::AcqRel);
    }
}

/// Events a slow reader of the tail may be behind.
const TAIL_EVENTS_MAX: usize = 4_096;
