//! The root of the supervision tree: starts every other actor, starts again what may be, ends the router when
//! what may not be started again is gone.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::{
    actor::{
        channel::ChannelActor,
        destination::DestinationActor,
        host::SessionHost,
        timers::{TimersActor, TimersMessage},
    },
    config::{ChannelIx, DestinationIx},
    context::Shared,
    domain::backoff::{Backoff, jitter_of},
    protocol::{host::HostMessage, inbox::Inbox},
};

/// Restarts in a row after which a channel is left alone, marked failed.
const FAILURES_MAX: u32 = 10;
const BACKOFF_FIRST_MS: u64 = 200;
const BACKOFF_MAX_MS: u64 = 30_000;

/// Who an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Host(usize),
    Channel(ChannelIx),
    Destination(DestinationIx),
    Timers,
}

/// What the root is told.
pub(crate) enum RootMessage {
    /// Start an actor again.
    Start(Role),
}

/// The actor.
pub(crate) struct RootActor;

/// Its state.
pub(crate) struct RootState {
    shared: Arc<Shared>,
    myself: ActorRef<RootMessage>,
    roles: HashMap<ActorId, Role>,
    backoffs: HashMap<Role, Backoff>,
    timers: Option<ActorRef<TimersMessage>>,
}

impl Actor for RootActor {
    type Msg = RootMessage;
    type State = RootState;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        myself: ActorRef<RootMessage>,
        shared: Arc<Shared>,
    ) -> Result<RootState, ActorProcessingErr> {
        let mut state =
            RootState { shared, myself, roles: HashMap::new(), backoffs: HashMap::new(), timers: None };
        state.start_hosts().await?;
        for destination in 0..state.shared.destinations.len() {
            state.start_destination(destination).await?;
        }
        for channel in 0..state.shared.channels.len() {
            state.start_channel(channel).await?;
        }
        state.start_timers().await?;
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<RootMessage>,
        message: RootMessage,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        let RootMessage::Start(role) = message;
        let started = match role {
            Role::Host(_) => return Ok(()),
            Role::Channel(channel) => state.start_channel(channel).await,
            Role::Destination(destination) => state.start_destination(destination).await,
            Role::Timers => state.start_timers().await,
        };
        match started {
            Ok(()) => state.tell_restarted(role),
            Err(error) => {
                tracing::error!(?role, %error, "an actor cannot be started");
                state.again(role);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<RootMessage>,
        event: SupervisionEvent,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, why) = match &event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, reason) => {
                (cell, reason.clone().unwrap_or_else(|| "ended".to_owned()))
            }
            _ => return Ok(()),
        };
        if let Some(role) = state.roles.remove(&cell.get_id()) {
            state.gone(role, &why);
        }
        Ok(())
    }
}

impl RootState {
    async fn start_hosts(&mut self) -> Result<(), ActorProcessingErr> {
        let mut hosts = Vec::new();
        for n in 0..self.shared.config.limits.hosts.max(1) {
            let cell = self.myself.get_cell();
            let (host, _) = Actor::spawn_linked(None, SessionHost, (self.shared.clone(), n), cell).await?;
            self.roles.insert(host.get_id(), Role::Host(n));
            hosts.push(Inbox::new(host));
        }
        self.shared.hosts.set(hosts).map_err(|_| "hosts are started once".into())
    }

    async fn start_channel(&mut self, channel: ChannelIx) -> Result<(), ActorProcessingErr> {
        let cell = self.myself.get_cell();
        let (actor, _) =
            Actor::spawn_linked(None, ChannelActor, (self.shared.clone(), channel), cell).await?;
        self.roles.insert(actor.get_id(), Role::Channel(channel));
        if let Some(entry) = self.shared.channels.get(channel) {
            entry.actor.store(Some(Arc::new(actor)));
        }
        Ok(())
    }

    async fn start_destination(&mut self, destination: DestinationIx) -> Result<(), ActorProcessingErr> {
        let cell = self.myself.get_cell();
        let arguments = (self.shared.clone(), destination);
        let (actor, _) = Actor::spawn_linked(None, DestinationActor, arguments, cell).await?;
        self.roles.insert(actor.get_id(), Role::Destination(destination));
        if let Some(entry) = self.shared.destinations.get(destination) {
            entry.actor.store(Some(Arc::new(actor)));
        }
        Ok(())
    }

    async fn start_timers(&mut self) -> Result<(), ActorProcessingErr> {
        let cell = self.myself.get_cell();
        let (actor, _) = Actor::spawn_linked(None, TimersActor, self.shared.clone(), cell).await?;
        self.roles.insert(actor.get_id(), Role::Timers);
        self.timers = Some(actor);
        Ok(())
    }

    fn gone(&mut self, role: Role, why: &str) {
        metrics::counter!("patchbay_actor_restarts_total").increment(1);
        tracing::error!(?role, why, "an actor is gone");
        match role {
            // What a host has in memory is ahead of the index: only a new start replays it.
            Role::Host(n) => return self.shared.fail(format!("session host {n} is gone: {why}")),
            Role::Channel(channel) => {
                if let Some(entry) = self.shared.channels.get(channel) {
                    entry.actor.store(None);
                }
            }
            Role::Destination(destination) => {
                if let Some(entry) = self.shared.destinations.get(destination) {
                    entry.actor.store(None);
                }
            }
            Role::Timers => {}
        }
        self.again(role);
    }

    /// Starts an actor again after a growing pause.
    fn again(&mut self, role: Role) {
        let backoff =
            self.backoffs.entry(role).or_insert_with(|| Backoff::new(BACKOFF_FIRST_MS, BACKOFF_MAX_MS));
        if backoff.failures() >= FAILURES_MAX {
            tracing::error!(?role, "failed {FAILURES_MAX} times in a row: left alone until the next start");
            return;
        }
        let pause = backoff.next_ms();
        let pause = pause + self.shared.seams.ids.jitter(jitter_of(pause));
        self.myself.send_after(Duration::from_millis(pause), move || RootMessage::Start(role));
    }

    /// The hosts tell a new actor what it must know; the timers find the sessions that are not in memory.
    fn tell_restarted(&self, role: Role) {
        for host in 0..self.shared.config.limits.hosts.max(1) {
            match role {
                Role::Channel(channel) => self.shared.cast_host(host, HostMessage::ChannelRestarted(channel)),
                Role::Destination(destination) => {
                    self.shared.cast_host(host, HostMessage::DestinationRestarted(destination));
                }
                Role::Host(_) | Role::Timers => {}
            }
        }
        if let Some(timers) = &self.timers {
            let _timers_gone = timers.cast(TimersMessage::Rescan);
        }
    }
}
