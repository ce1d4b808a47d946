//! Everything that the actors of one router share: configuration, log, seams, and the addresses of
//! one another. It holds no state of any session or channel, and imports no actor.

pub(crate) mod blocking;
pub(crate) mod directory;
pub(crate) mod entries;
pub(crate) mod forms;
pub(crate) mod hosts;
pub(crate) mod lifecycle;
pub(crate) mod media_queue;
pub(crate) mod media_store;
pub(crate) mod series_file;
pub(crate) mod tail;
pub(crate) mod tally;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::{ArcSwap, Guard};
use message::{Address, ChannelId, StreamId, Timestamp, address, event::Cause};
use storage::{Log, ReadError, invariant};

use crate::{
    config::{Config, Tunable},
    context::{
        directory::Directory, entries::ChannelEntry, hosts::Hosts, lifecycle::Lifecycle,
        media_queue::MediaQueue, tail::Tail,
    },
    domain::{
        admission::Pace,
        clock::{ClockChange, Moment, SteadyClock},
        names::{self, NameState, Names},
        pending_ids::Claims,
        session::{Identity, Session},
    },
    error::{Refusal, StartError},
    history::{lookup, reader::LogReader},
    sabotage::Sabotage,
    seams::Seams,
    view::census::Census,
};

/// The shared parts of one router.
pub(crate) struct Context {
    /// The configuration at the start; channels, destinations and [`Tunable`] may have changed.
    pub(crate) config: Config,
    tunable: ArcSwap<Tunable>,
    /// Held while the configuration changes.
    pub(crate) changing: tokio::sync::Mutex<()>,
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
    /// The last count of what waits in all sessions; taken when somebody asks.
    pub(crate) census: tokio::sync::Mutex<Option<TakenCensus>>,
    clock: Mutex<SteadyClock>,
    /// How often the clock came into doubt or out of it.
    clock_changes: AtomicU64,
    /// When this run began.
    pub(crate) begun_at: Timestamp,
    started: tokio::time::Instant,
}

/// A count of what waits, and until when it is shown.
pub(crate) struct TakenCensus {
    pub(crate) census: Arc<Census>,
    /// In milliseconds since the start.
    pub(crate) until_ms: u64,
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
        let (wall, monotonic_ms) = (seams.clock.now(), seams.clock.monotonic_ms());
        let mut clock = SteadyClock::new(wall, monotonic_ms, newest_at(&log)?);
        let begun_at = clock.read(wall, monotonic_ms).0.now;
        if let Some(ahead_ms) = clock.doubt_ms() {
            tracing::warn!(
                wall = wall.0,
                ahead_ms,
                "the clock does not fit the log: what cannot be undone waits"
            );
        }
        Ok(Self {
            directory,
            hosts: Hosts::new(config.limits.hosts),
            reader: LogReader::new(log.clone()),
            tunable: ArcSwap::from_pointee(Tunable::of(&config)),
            changing: tokio::sync::Mutex::new(()),
            config,
            log,
            seams,
            lifecycle: Lifecycle::default(),
            pending_ids: Arc::default(),
            admission: Pace::default(),
            media,
            tail: Tail::default(),
            census: tokio::sync::Mutex::default(),
            clock: Mutex::new(clock),
            clock_changes: AtomicU64::new(0),
            begun_at,
            started: tokio::time::Instant::now(),
        })
    }

    /// The settings that may change while the router runs.
    pub(crate) fn tunable(&self) -> Guard<Arc<Tunable>> {
        self.tunable.load()
    }

    /// Changes these settings.
    pub(crate) fn tune(&self, tunable: Tunable) {
        self.tunable.store(Arc::new(tunable));
    }

    /// Returns the refusal of what was not found: it may be there if the log has failed, or if a
    /// session could not be read.
    pub(crate) fn absent(&self, what: &'static str) -> Refusal {
        let busy = |reason: String| Refusal::Busy { reason: reason.into(), retry_after_s: 10 };
        match self.reader.poisoned() {
            Some(poisoned) => busy(poisoned.to_string()),
            None if self.lifecycle.has_failed() => busy("the data cannot be read now".to_owned()),
            None => Refusal::NotFound(what),
        }
    }

    /// Returns the stream of an address.
    pub(crate) fn stream_of(&self, address: &Address) -> StreamId {
        address.stream(&self.config.stream_key)
    }

    /// The time to record and to schedule by.
    pub(crate) fn now(&self) -> Timestamp {
        self.moment().now
    }

    /// The time, with its bounds while the wall clock is in doubt.
    pub(crate) fn moment(&self) -> Moment {
        let (wall, monotonic_ms) = (self.seams.clock.now(), self.seams.clock.monotonic_ms());
        if Sabotage::BelieveTheClock.is_chosen() {
            return wall.into();
        }
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let (moment, change) = clock.read(wall, monotonic_ms);
        drop(clock);
        if let Some(change) = change {
            self.clock_changes.fetch_add(1, Ordering::AcqRel);
            tell_clock(change, moment);
        }
        moment
    }

    /// Returns how often the clock came into doubt or out of it, as noticed by [`Self::moment`].
    pub(crate) fn clock_changes(&self) -> u64 {
        self.clock_changes.load(Ordering::Acquire)
    }

    /// Returns the milliseconds by which the wall clock is ahead of the believed time; `None` while
    /// it is not in doubt.
    pub(crate) fn clock_doubt_ms(&self) -> Option<i64> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).doubt_ms()
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

    /// Finds where one of a customer's names leads. A log that cannot be read fails the router.
    pub(crate) fn name_state(
        &self,
        entry: &ChannelEntry,
        did: &Arc<str>,
        name: &Arc<str>,
    ) -> Option<NameState> {
        let key = &self.config.stream_key;
        self.found(lookup::name_state(&self.reader, key, &entry.config.id, did, name))
    }

    /// Finds the canonical address at which the customer of a session is reached.
    pub(crate) fn customer_of(&self, address: &Address) -> Arc<str> {
        self.reached(address).unwrap_or_else(|| address.customer.clone())
    }

    /// Finds the address at which a customer is reached, where that is not the session's own.
    pub(crate) fn reached(&self, address: &Address) -> Option<Arc<str>> {
        let (_, entry) = self.directory.channel_by_id(&address.channel)?;
        if !entry.has_aliases {
            return None;
        }
        self.found(lookup::reached(&self.reader, self.stream_of(address)))
    }

    /// Finds the customer to whom a message went, or who wrote it, by the provider's id.
    pub(crate) fn customer_of_message(&self, channel: &ChannelId, provider_id: &str) -> Option<Arc<str>> {
        let Session { address, reached, .. } =
            self.found(lookup::session_of_message(&self.reader, channel, provider_id))?;
        self.reached(&address).or(reached).or(Some(address.customer))
    }

    fn found<T>(&self, found: Result<Option<T>, ReadError>) -> Option<T> {
        self.lifecycle.found("a customer's name", found)
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
        let customer = entry.international(customer);
        let customer = &*customer;
        let canonical = entry.channel().customer(customer).map_err(|r| Refusal::Unsendable(r.0))?;
        let mut identity = entry.identity(did, canonical.clone(), customer);
        if entry.refuses_national(customer) {
            // Who wrote from such a number is answered there.
            let stream = self.stream_of(&identity.address);
            if self.reader.find(address::heard_key(stream)).is_none() {
                return Err(national(entry, customer));
            }
        }
        if entry.has_aliases {
            let names: Names = names::names(entry.channel(), [&canonical]);
            let did = &identity.address.did;
            if let Some(known) = names.iter().find_map(|name| self.name_state(entry, did, name)) {
                identity.address = known.into_address();
                identity.reached = (identity.address.customer != canonical).then_some(canonical);
            }
        }
        Ok(identity)
    }

    /// The number of events that a start would have to replay now.
    pub(crate) fn replay_events(&self) -> u64 {
        let checkpoint = self.log.index().checkpoint_seq();
        let committed = self.log.committed();
        invariant!(checkpoint <= committed, "the index has {checkpoint}, the log {committed}");
        committed.0.saturating_sub(checkpoint.0)
    }

    /// Returns the used share of what checkpoints may be behind; at 1 or more, messages of the
    /// business must wait. Progress of the running checkpoint is subtracted, so that the value
    /// falls gradually, but events to replay never exceed their limit.
    pub(crate) fn backlog(&self) -> f64 {
        let tunable = self.tunable();
        let limits = &tunable.limits;
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

fn tell_clock(change: ClockChange, moment: Moment) {
    match change {
        ClockChange::Jumped(by_ms) => {
            metrics::counter!("patchbay_clock_jumps_total").increment(1);
            tracing::warn!(
                by_ms,
                now = moment.now.0,
                "the wall clock jumped: time goes on as before, and nothing that cannot be undone is done \
                 until the jump has lasted five minutes"
            );
        }
        ClockChange::CameBack => tracing::info!(now = moment.now.0, "the wall clock came back"),
        ClockChange::Believed => {
            tracing::warn!(now = moment.now.0, "the wall clock's jump has lasted and is believed")
        }
    }
}

/// Returns the time of the newest event.
fn newest_at(log: &Log) -> Result<Option<Timestamp>, StartError> {
    let newest = log.event(log.committed()).map_err(|error| StartError::Log(error.to_string()))?;
    Ok(newest.map(|stored| stored.at))
}

/// Returns the refusal of a national number.
fn national(entry: &ChannelEntry, customer: &str) -> Refusal {
    let channel = entry.config.id.as_str();
    let reason = format!(
        "channelCustomerIdentifier {customer:?} is a national number: write it with its country (+49...), or set \
         default_country = \"DE\" or another country in [[channel]] {channel:?}"
    );
    Refusal::Unsendable(Cause::new("400", reason))
}
