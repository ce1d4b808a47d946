//! The root supervisor: starts all actors, restarts channels, destinations and timers with backoff,
//! and starts and stops channels and destinations when the configuration changes. A dead session
//! host shuts the router down.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;

use crate::{
    actor::{
        channel::ChannelActor,
        destination::DestinationActor,
        host::SessionHost,
        timers::{TimersActor, TimersMessage},
    },
    config::{ChannelIx, DestinationIx},
    context::Context,
    domain::backoff::Backoff,
    protocol::{host::HostMessage, inbox::Inbox, recipient::Recipient},
};

/// Number of failures in a row after which an actor is not restarted any more.
const FAILURES_MAX: u32 = 10;
/// First pause before a restart, in milliseconds.
const BACKOFF_FIRST_MS: u64 = 200;
/// Longest pause before a restart, in milliseconds.
const BACKOFF_MAX_MS: u64 = 30_000;

/// The role of an actor below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Host(usize),
    Channel(ChannelIx),
    Destination(DestinationIx),
    Timers,
}

/// Input of the root's actor: its own notes, and changes of the configuration.
pub(crate) enum RootMessage {
    /// The pause before the restart of an actor is over.
    RestartDue(Role),
    /// Starts an actor. Answers with the reason if it cannot be started; it is tried again then.
    Start(Role, oneshot::Sender<Result<(), String>>),
    /// Stops an actor for good, and answers when it has ended.
    Stop(Role, oneshot::Sender<()>),
    /// Has the sessions looked at that are not in memory: there are other channels now.
    Rescan,
}

pub(crate) struct RootActor;

pub(crate) struct RootState {
    context: Arc<Context>,
    myself: ActorRef<RootMessage>,
    roles: HashMap<ActorId, Role>,
    actors: HashMap<Role, ActorCell>,
    /// Actors that were told to stop.
    stopping: HashMap<ActorId, oneshot::Sender<()>>,
    /// Actors that are not started again by themselves.
    stopped: HashSet<Role>,
    backoffs: HashMap<Role, Backoff>,
    timers: Option<ActorRef<TimersMessage>>,
}

impl Actor for RootActor {
    type Msg = RootMessage;
    type State = RootState;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<RootMessage>,
        context: Arc<Context>,
    ) -> Result<RootState, ActorProcessingErr> {
        let mut state = RootState {
            context,
            myself,
            roles: HashMap::new(),
            actors: HashMap::new(),
            stopping: HashMap::new(),
            stopped: HashSet::new(),
            backoffs: HashMap::new(),
            timers: None,
        };
        state.start_hosts().await?;
        let destinations: Vec<_> = state.context.directory.destinations().map(|(ix, _)| ix).collect();
        for destination in destinations {
            state.start_destination(destination).await?;
        }
        let channels: Vec<_> = state.context.directory.channels().map(|(ix, _)| ix).collect();
        for channel in channels {
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
        match message {
            RootMessage::RestartDue(role) if state.stopped.contains(&role) => {}
            RootMessage::RestartDue(role) => _ = state.start_again(role).await,
            RootMessage::Start(role, reply) => {
                state.stopped.remove(&role);
                let _caller_gone = reply.send(state.start_again(role).await);
            }
            RootMessage::Stop(role, reply) => state.stop(role, reply),
            RootMessage::Rescan => state.rescan(),
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
        let Some(role) = state.roles.remove(&cell.get_id()) else { return Ok(()) };
        state.actors.remove(&role);
        match state.stopping.remove(&cell.get_id()) {
            Some(reply) => state.on_stopped(role, reply),
            None => state.on_actor_gone(role, &why),
        }
        Ok(())
    }
}

impl RootState {
    /// Starts an actor below the root.
    async fn start<A: Actor>(
        &mut self,
        role: Role,
        actor: A,
        arguments: A::Arguments,
    ) -> Result<ActorRef<A::Msg>, ActorProcessingErr> {
        let (actor, _) = Actor::spawn_linked(None, actor, arguments, self.myself.get_cell()).await?;
        self.roles.insert(actor.get_id(), role);
        self.actors.insert(role, actor.get_cell());
        Ok(actor)
    }

    /// Returns an actor's name for people.
    fn named(&self, role: Role) -> String {
        let directory = &self.context.directory;
        match role {
            Role::Host(n) => format!("session host {n}"),
            Role::Channel(ix) => {
                directory.channel(ix).map_or_else(String::new, |entry| format!("channel {}", entry.config.id))
            }
            Role::Destination(ix) => directory
                .destination(ix)
                .map_or_else(String::new, |entry| format!("destination {}", entry.id)),
            Role::Timers => "timers".to_owned(),
        }
    }

    /// Starts an actor that is not running. One that cannot be started is tried again later.
    async fn start_again(&mut self, role: Role) -> Result<(), String> {
        let started = match role {
            Role::Host(_) => return Ok(()),
            Role::Channel(channel) => self.start_channel(channel).await,
            Role::Destination(destination) => self.start_destination(destination).await,
            Role::Timers => self.start_timers().await,
        };
        match started {
            Ok(()) => {
                self.announce_restart(role);
                Ok(())
            }
            Err(error) => {
                let actor = self.named(role);
                tracing::error!(actor, %error, "actor cannot be started");
                self.restart_later(role);
                Err(error.to_string())
            }
        }
    }

    fn stop(&mut self, role: Role, reply: oneshot::Sender<()>) {
        self.stopped.insert(role);
        match self.actors.get(&role) {
            Some(cell) => {
                self.stopping.insert(cell.get_id(), reply);
                cell.stop(Some("the configuration changed".to_owned()));
            }
            None => self.on_stopped(role, reply),
        }
    }

    fn on_stopped(&mut self, role: Role, reply: oneshot::Sender<()>) {
        self.backoffs.remove(&role);
        self.forget_actor(role);
        let _caller_gone = reply.send(());
    }

    /// Forgets the address of a channel or destination that has ended.
    fn forget_actor(&self, role: Role) {
        match role {
            Role::Channel(channel) => {
                if let Some(entry) = self.context.directory.channel(channel) {
                    entry.actor.store(None);
                }
            }
            Role::Destination(destination) => {
                if let Some(entry) = self.context.directory.destination(destination) {
                    entry.actor.store(None);
                }
            }
            Role::Host(_) | Role::Timers => {}
        }
    }

    async fn start_hosts(&mut self) -> Result<(), ActorProcessingErr> {
        let mut inboxes = Vec::new();
        for n in 0..self.context.hosts.count() {
            let arguments = (self.context.clone(), n);
            let host = self.start(Role::Host(n), SessionHost, arguments).await?;
            inboxes.push(Inbox::new(Recipient::of(host)));
        }
        self.context.hosts.set(inboxes).then_some(()).ok_or_else(|| "hosts are started once".into())
    }

    async fn start_channel(&mut self, channel: ChannelIx) -> Result<(), ActorProcessingErr> {
        let arguments = (self.context.clone(), channel);
        let role = Role::Channel(channel);
        let actor = self.start(role, ChannelActor, arguments).await?;
        if let Some(entry) = self.context.directory.channel(channel) {
            entry.actor.store(Some(Arc::new(Recipient::of(actor))));
        }
        Ok(())
    }

    async fn start_destination(&mut self, destination: DestinationIx) -> Result<(), ActorProcessingErr> {
        let arguments = (self.context.clone(), destination);
        let actor = self.start(Role::Destination(destination), DestinationActor, arguments).await?;
        if let Some(entry) = self.context.directory.destination(destination) {
            entry.actor.store(Some(Arc::new(Recipient::of(actor))));
        }
        Ok(())
    }

    async fn start_timers(&mut self) -> Result<(), ActorProcessingErr> {
        let context = self.context.clone();
        self.timers = Some(self.start(Role::Timers, TimersActor, context).await?);
        Ok(())
    }

    fn on_actor_gone(&mut self, role: Role, why: &str) {
        metrics::counter!("patchbay_actor_restarts_total").increment(1);
        tracing::error!(actor = self.named(role), why, "actor ended");
        // A host's memory is ahead of the index; only a new start replays the log.
        if let Role::Host(n) = role {
            return self.context.lifecycle.fail(format!("session host {n} ended: {why}"));
        }
        self.forget_actor(role);
        self.restart_later(role);
    }

    /// Restarts an actor after a pause that grows with each failure.
    fn restart_later(&mut self, role: Role) {
        let backoff =
            self.backoffs.entry(role).or_insert_with(|| Backoff::new(BACKOFF_FIRST_MS, BACKOFF_MAX_MS));
        if backoff.failures() >= FAILURES_MAX {
            let actor = self.named(role);
            tracing::error!(actor, "failed {FAILURES_MAX} times in a row; not restarted any more");
            return;
        }
        let pause = self.context.with_jitter(backoff.next_ms());
        self.myself.send_after(Duration::from_millis(pause), move || RootMessage::RestartDue(role));
    }

    /// Makes hosts announce to a new actor what they have for it. Timers wake the sessions that are
    /// not in memory.
    fn announce_restart(&self, role: Role) {
        match role {
            Role::Channel(channel) => {
                self.context.hosts.tell_all(|| HostMessage::ChannelRestarted(channel));
            }
            Role::Destination(destination) => {
                self.context.hosts.tell_all(|| HostMessage::DestinationRestarted(destination));
            }
            Role::Host(_) | Role::Timers => {}
        }
        self.rescan();
    }

    fn rescan(&self) {
        if let Some(timers) = &self.timers {
            let _timers_gone = timers.cast(TimersMessage::Rescan);
        }
    }
}
