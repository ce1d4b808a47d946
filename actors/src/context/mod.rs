//! Everything that the actors of one router share: configuration, log, seams, and the addresses of
//! one another. It holds no state of any session or channel, and imports no actor.

pub(crate) mod blocking;
pub(crate) mod directory;
pub(crate) mod hosts;
pub(crate) mod lifecycle;
pub(crate) mod media_queue;
pub(crate) mod media_store;
pub(crate) mod tail;

use std::sync::Arc;

use message::{Address, Timestamp};
use storage::Log;

use crate::{
    config::Config,
    context::{
        directory::{ChannelEntry, Directory},
        hosts::Hosts,
        lifecycle::Lifecycle,
        media_queue::MediaQueue,
        tail::Tail,
    },
    domain::{
        admission::Pace,
        names::{self, Names},
        pending_ids::Claims,
        session::Identity,
    },
    error::{Refusal, StartError},
    history::{lookup, reader::LogReader},
    seams::Seams,
};

/// The shared parts of one router.
pub(crate) struct Context {
    pub(crate) config: Config,
    /// For appending and maintenance; reads go through `reader`.
    pub(crate) log: Log,
    pub(crate) reader: LogReader,
    pub(crate) seams: Seams,
    pub(crate) directory: Directory,
    pub(crate) hosts: Hosts,
    pub(crate) lifecycle: Lifecycle,
    /// Message ids that the log does not know yet.
    pub(crate) pending_ids: Arc<Claims>,
    /// The queue in which messages of the business wait while checkpoints are behind.
    pub(crate) admission: Pace,
    /// Customers' files; `None` when they are not kept.
    pub(crate) media: Option<MediaQueue>,
    pub(crate) tail: Tail,
    started: tokio::time::Instant,
}

impl Context {
    /// # Errors
    ///
    /// Returns an error if the configuration contradicts itself.
    pub(crate) fn new(
        config: Config,
        log: Log,
        seams: Seams,
        media: Option<MediaQueue>,
    ) -> Result<Self, StartError> {
        let directory = Directory::new(&config)?;
        Ok(Self {
            directory,
            hosts: Hosts::new(config.limits.hosts),
            reader: LogReader::new(log.clone()),
            config,
            log,
            seams,
            lifecycle: Lifecycle::default(),
            pending_ids: Arc::default(),
            admission: Pace::default(),
            media,
            tail: Tail::default(),
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

    /// Returns `pause_ms` with random jitter added, so that what failed together is not retried
    /// together.
    pub(crate) fn with_jitter(&self, pause_ms: u64) -> u64 {
        pause_ms + self.seams.ids.jitter(crate::domain::backoff::jitter_of(pause_ms))
    }

    /// Finds the address of the session to which one of a customer's names leads. A log that cannot
    /// be read fails the router.
    pub(crate) fn address_of(
        &self,
        entry: &ChannelEntry,
        did: &Arc<str>,
        name: &Arc<str>,
    ) -> Option<Address> {
        lookup::address_of(&self.reader, &entry.config.id, did, name).unwrap_or_else(|error| {
            self.lifecycle.fail(format!("a customer's name cannot be looked up: {error}"));
            None
        })
    }

    /// Finds the session's identity for a customer that the business names. Reads the log on
    /// channels whose customers have several names.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the channel cannot reach such a customer.
    pub(crate) fn identity_of(
        &self,
        entry: &ChannelEntry,
        did: &str,
        customer: &str,
    ) -> Result<Identity, Refusal> {
        let canonical = entry.channel().customer(customer).map_err(|r| Refusal::Unsendable(r.0))?;
        let mut identity = entry.identity(did, canonical.clone(), customer);
        if entry.has_aliases {
            let names: Names = names::names(entry.channel(), [&canonical]);
            let did = &identity.address.did;
            if let Some(known) = names.iter().find_map(|name| self.address_of(entry, did, name)) {
                identity.address = known;
            }
        }
        Ok(identity)
    }

    /// The number of events that a start would have to replay now.
    pub(crate) fn replay_events(&self) -> u64 {
        self.log.committed().0.saturating_sub(self.log.index().checkpoint_seq().0)
    }

    /// Returns the used share of what checkpoints may be behind; at 1 or more, messages of the
    /// business must wait. Progress of the running checkpoint is subtracted, so that the value
    /// falls gradually, but events to replay never exceed their limit.
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

    /// Returns whether messages are accepted now.
    ///
    /// # Errors
    ///
    /// Returns a refusal with the reason while the router drains or the log has no room.
    pub(crate) fn accepting(&self) -> Result<(), Refusal> {
        if self.lifecycle.is_draining() {
            return Err(Refusal::Busy { reason: "shutting down".into(), retry_after_s: 5 });
        }
        self.log
            .room()
            .map_err(|no_room| Refusal::Busy { reason: no_room.to_string().into(), retry_after_s: 10 })
    }
}
