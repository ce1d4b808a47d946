//! Changes of the configuration while messages flow: starts and stops only the channels and
//! destinations that differ. A channel is drained before its next form starts, and its messages
//! wait meanwhile. Each step is a change of one thing, wherever it comes from.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use message::{ChannelId, DestinationId};
use ractor::ActorRef;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    actor::root::{Role, RootMessage},
    config::{ChannelConfig, ChannelIx, DestinationConfig, DestinationIx, Tunable},
    context::Context,
    error::StartError,
    protocol::{channel::ChannelMessage, destination::DestinationMessage, host::HostMessage},
};

/// How long an actor may take to start or to end, beside what is awaited for the provider.
const ACTOR_WAIT: Duration = Duration::from_secs(10);

/// A change of the configuration. Things that it does not name go on untouched.
#[derive(Clone, Debug, Default)]
pub struct Reconfiguration {
    /// Channels to add, or to give another configuration.
    pub channels: Vec<ChannelConfig>,
    /// Channels to remove. Their messages wait until a channel of that name comes back.
    pub removed_channels: Vec<ChannelId>,
    /// The order in which channels are chosen; those that it does not name follow.
    pub order: Vec<ChannelId>,
    /// Destinations to add, or to give other settings.
    pub destinations: Vec<DestinationConfig>,
    /// Destinations to remove. What names them goes to the destination of its DID.
    pub removed_destinations: Vec<DestinationId>,
    /// Settings that hold at once; `None` if they stay.
    pub tunable: Option<Tunable>,
    /// How long a drain may take; after that, what is unanswered is in doubt.
    pub grace: Duration,
}

/// The outcome of a change that was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconfigured {
    /// Things that did not go as usual, in words.
    pub remarks: Vec<String>,
}

/// Performs a change.
///
/// # Errors
///
/// Returns an error, and has changed nothing, if the change contradicts itself.
pub(crate) async fn perform(
    context: &Arc<Context>,
    root: &ActorRef<RootMessage>,
    change: Reconfiguration,
) -> Result<Reconfigured, StartError> {
    let _one_at_a_time = context.changing.lock().await;
    check(context, &change)?;
    let run = Run { context, root, grace: change.grace };
    if let Some(tunable) = change.tunable {
        context.tune(tunable);
    }
    let mut remarks = Vec::new();
    for destination in &change.destinations {
        remarks.extend(run.put_destination(destination).await?);
    }
    let changed = change.channels.iter().map(|config| run.put_channel(config));
    let removed = change.removed_channels.iter().map(|id| run.remove_channel(id));
    let (changed, removed) = tokio::join!(join_all(changed), join_all(removed));
    for done in changed {
        remarks.extend(done?);
    }
    remarks.extend(removed.into_iter().flatten());
    context.directory.order_channels(&change.order);
    for id in &change.removed_destinations {
        run.remove_destination(id).await;
    }
    Ok(Reconfigured { remarks })
}

/// Checks a change before anything is begun.
fn check(context: &Context, change: &Reconfiguration) -> Result<(), StartError> {
    let wrong = |text: String| Err(StartError::Config(text));
    let mut channels = BTreeSet::new();
    for channel in &change.channels {
        if !channels.insert(&channel.id) {
            return wrong(format!("two channels have the id {}", channel.id));
        }
        if channel.dids.is_empty() {
            return wrong(format!("channel {} has no dids", channel.id));
        }
        let is_known = |id: &DestinationId| {
            let is_added = change.destinations.iter().any(|added| added.id == *id);
            let stays =
                context.directory.destination_ix(id).is_some() && !change.removed_destinations.contains(id);
            is_added || stays
        };
        if let Some(did) = channel.dids.iter().find(|did| !is_known(&did.destination)) {
            return wrong(format!("channel {}: unknown destination {}", channel.id, did.destination));
        }
    }
    if context.directory.room() < change.channels.len().max(change.destinations.len()) {
        return wrong("too many changes since the start: restart Patchbay".to_owned());
    }
    if context.lifecycle.is_draining() {
        return wrong("Patchbay is stopping".to_owned());
    }
    Ok(())
}

/// One change in progress.
struct Run<'a> {
    context: &'a Arc<Context>,
    root: &'a ActorRef<RootMessage>,
    grace: Duration,
}

impl Run<'_> {
    /// Starts a channel, or replaces its form after a drain.
    async fn put_channel(&self, config: &ChannelConfig) -> Result<Option<String>, StartError> {
        let context = self.context;
        let before = context.directory.configured(&config.id).map(|(ix, _)| ix);
        let limit = context.config.limits.session_queue_max;
        let form = context.directory.add_form(config, limit)?;
        let mut remark = None;
        if let Some(before) = before {
            remark = self.retire(before, Some(form)).await;
        }
        // What a form before, perhaps one that was removed, did not acknowledge is brought again.
        if let Some(entry) = context.directory.channel(form) {
            entry.note_loss(context.now());
        }
        if context.lifecycle.is_draining() {
            return Ok(Some(format!("channel {}: not started, because Patchbay is stopping", config.id)));
        }
        // Before any session knows it, so that none is announced to nobody.
        let started = self.start(Role::Channel(form)).await;
        context.directory.switch(form);
        context.hosts.tell_all(|| HostMessage::ChannelChanged { id: config.id.clone(), form });
        self.rescan();
        let failed = started.err().map(|why| format!("channel {}: {why}", config.id));
        Ok(failed.or(remark))
    }

    async fn remove_channel(&self, id: &ChannelId) -> Option<String> {
        let (form, entry) = self.context.directory.configured(id)?;
        // First, so that no message is routed to a channel that goes.
        self.context.directory.remove_channel(id);
        let remark = self.retire(form, None).await;
        let waiting = entry.waiting.load(std::sync::atomic::Ordering::Relaxed);
        let waits = (waiting > 0).then(|| {
            format!(
                "channel {id}: {waiting} sessions still have messages; they wait until a channel of that name \
                 comes back, expire, or can be cancelled"
            )
        });
        waits.or(remark)
    }

    /// Drains a form and ends its actor. Returns a remark if the drain took too long.
    async fn retire(&self, form: ChannelIx, next: Option<ChannelIx>) -> Option<String> {
        let directory = &self.context.directory;
        let entry = directory.channel(form)?;
        let (reply, wait) = oneshot::channel();
        entry.tell(ChannelMessage::Retire(reply));
        let drained = timeout(self.grace, wait).await;
        if let (Ok(Ok(counts)), Some(next)) = (&drained, next.and_then(|next| directory.channel(next))) {
            let _is_new = next.counts_before.set(*counts);
        }
        self.stop(Role::Channel(form)).await;
        if let Some(next) = next.and_then(|next| directory.channel(next)) {
            // The provider repeats what was not acknowledged.
            next.note_loss(self.context.now());
        }
        // The next form reads the channel's stream: what was appended must be readable.
        self.flush().await;
        drained.is_err().then(|| {
            let seconds = self.grace.as_secs_f32();
            format!(
                "channel {}: not drained after {seconds} s; what is unanswered is in doubt",
                entry.config.id
            )
        })
    }

    /// Starts a destination, or starts it again with other settings.
    async fn put_destination(&self, config: &DestinationConfig) -> Result<Option<String>, StartError> {
        if let Some(ix) = self.context.directory.destination_ix(&config.id) {
            self.end_destination(ix).await;
        }
        let ix = self.context.directory.put_destination(config)?;
        let started = self.start(Role::Destination(ix)).await;
        Ok(started.err().map(|why| format!("destination {}: {why}", config.id)))
    }

    async fn remove_destination(&self, id: &DestinationId) {
        let Some(ix) = self.context.directory.destination_ix(id) else { return };
        self.context.directory.remove_destination(id);
        self.end_destination(ix).await;
        self.context.hosts.tell_all(|| HostMessage::DestinationRestarted(ix));
        self.rescan();
    }

    /// Waits for the POSTs in flight and ends the actor.
    async fn end_destination(&self, ix: DestinationIx) {
        if let Some(entry) = self.context.directory.destination(ix) {
            let (reply, wait) = oneshot::channel();
            entry.tell(DestinationMessage::Drain(reply));
            let _late = timeout(self.grace, wait).await;
        }
        self.stop(Role::Destination(ix)).await;
    }

    async fn start(&self, role: Role) -> Result<(), String> {
        let (reply, wait) = oneshot::channel();
        let _root_gone = self.root.cast(RootMessage::Start(role, reply));
        match timeout(ACTOR_WAIT, wait).await {
            Ok(Ok(started)) => started,
            _ => Err("its actor did not start in time".to_owned()),
        }
    }

    async fn stop(&self, role: Role) {
        let (reply, wait) = oneshot::channel();
        let _root_gone = self.root.cast(RootMessage::Stop(role, reply));
        let _late = timeout(ACTOR_WAIT, wait).await;
    }

    async fn flush(&self) {
        let (reply, wait) = oneshot::channel();
        self.context.log.after(Box::new(move |_| {
            let _caller_gone = reply.send(());
        }));
        let _late = timeout(ACTOR_WAIT, wait).await;
    }

    fn rescan(&self) {
        let _root_gone = self.root.cast(RootMessage::Rescan);
    }
}
