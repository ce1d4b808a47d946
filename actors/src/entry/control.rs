//! The actions of an operator on channels and destinations: pause, restart, try now, withdraw what
//! is queued, replay dead letters, change the configuration.

use std::sync::Arc;

use message::{ChannelId, DestinationId, Timestamp};
use ractor::ActorRef;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    actor::root::RootMessage,
    context::{Context, entries::ChannelEntry},
    entry::{
        ask::{self, ANSWER_WAIT},
        bulk::{self, DeadLetterFilter, Done, Replayed},
        reconfigure::{self, Reconfiguration, Reconfigured},
    },
    error::{Refusal, StartError},
    protocol::{channel::ChannelMessage, destination::DestinationMessage},
};

/// The actions that change how channels and destinations work.
pub struct Control<'a> {
    pub(super) context: &'a Arc<Context>,
    pub(super) root: &'a ActorRef<RootMessage>,
}

impl Control<'_> {
    /// Starts a channel again that stopped because its credentials were refused.
    ///
    /// # Errors
    ///
    /// Returns an error if the channel does not exist.
    pub async fn restart(&self, id: &ChannelId) -> Result<(), Refusal> {
        self.ask_channel(id, ChannelMessage::Restart).await
    }

    /// Ends the pauses after failures and throttling: links connect now, and deferred messages may
    /// be sent. Returns how many messages no longer wait for their next try.
    ///
    /// # Errors
    ///
    /// Returns an error if the channel does not exist.
    pub async fn try_now(&self, id: &ChannelId) -> Result<Done, Refusal> {
        self.ask_channel(id, ChannelMessage::TryNow).await?;
        bulk::retry_now(self.context, id).await
    }

    /// Pauses a channel, or ends its pause: nothing is sent meanwhile, and receipts and customers'
    /// messages come as before. A restart keeps the pause. Returns its beginning; `None`: the
    /// channel is not paused.
    ///
    /// # Errors
    ///
    /// Returns an error if the channel does not exist.
    pub async fn pause(&self, id: &ChannelId, wanted: bool) -> Result<Option<Timestamp>, Refusal> {
        self.ask_channel(id, |reply| ChannelMessage::Pause { wanted, reply }).await
    }

    /// Withdraws every message of a channel of which no part was sent yet, also of a channel that
    /// was removed. The business is notified of each.
    ///
    /// # Errors
    ///
    /// Returns an error if the channel never existed in this run.
    pub async fn cancel_queued(&self, id: &ChannelId) -> Result<Done, Refusal> {
        self.context.directory.channel_by_id(id).ok_or(Refusal::NotFound("channel"))?;
        bulk::cancel_queued(self.context, id).await
    }

    /// Ends every pause of a destination that failures have caused.
    ///
    /// # Errors
    ///
    /// Returns an error if the destination does not exist.
    pub fn try_destination_now(&self, id: &DestinationId) -> Result<(), Refusal> {
        let directory = &self.context.directory;
        let ix = directory.destination_ix(id).ok_or(Refusal::NotFound("destination"))?;
        if let Some(entry) = directory.destination(ix) {
            entry.tell(DestinationMessage::TryNow);
        }
        Ok(())
    }

    /// Queues dead letters for delivery again.
    ///
    /// # Errors
    ///
    /// Returns an error if a session host does not answer in time.
    pub async fn replay_dead_letters(&self, filter: &DeadLetterFilter) -> Result<Replayed, Refusal> {
        bulk::replay_dead_letters(self.context, filter).await
    }

    /// Changes the configuration while messages flow. One change at a time.
    ///
    /// # Errors
    ///
    /// Returns an error, and has changed nothing, if the change contradicts itself.
    pub async fn reconfigure(&self, change: Reconfiguration) -> Result<Reconfigured, StartError> {
        reconfigure::perform(self.context, self.root, change).await
    }

    fn configured(&self, id: &ChannelId) -> Result<&ChannelEntry, Refusal> {
        let found = self.context.directory.configured(id);
        found.map(|(_, entry)| entry).ok_or(Refusal::NotFound("channel"))
    }

    async fn ask_channel<T>(
        &self,
        id: &ChannelId,
        message: impl FnOnce(oneshot::Sender<T>) -> ChannelMessage,
    ) -> Result<T, Refusal> {
        let (reply, wait) = oneshot::channel();
        self.configured(id)?.tell(message(reply));
        timeout(ANSWER_WAIT, wait).await.map_err(|_| ask::no_answer())?.map_err(|_| ask::no_answer())
    }
}
