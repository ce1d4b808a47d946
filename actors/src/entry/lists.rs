//! Lists for an operator: open sessions, messages, and the figures of channels.

use message::{ChannelId, SessionId};

use crate::{
    entry::{ask, figures, router::Router, search},
    error::Refusal,
    protocol::host::{Scan, Scanned},
    view::{
        DeadLetterView, DoubtView, SessionView, WaitingTotalView,
        messages::{FoundMessages, MessageQuery},
        page::Page,
        series::SeriesView,
    },
};

impl Router {
    /// Lists open sessions, of one channel or of all, in the order of their ids, from the one after
    /// `after`.
    ///
    /// # Errors
    ///
    /// Returns an error if the channel does not exist, or if a session host does not answer in time
    /// or cannot read its sessions.
    pub async fn sessions(
        &self,
        channel: Option<&ChannelId>,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Page<SessionView>, Refusal> {
        let found = self.scan(Scan::Open, channel, after, limit).await?;
        let to: Vec<_> = found.iter().map(|s| s.complete_to).collect();
        Ok(Page::of(found.into_iter().flat_map(|s| s.sessions), |s| s.session_id.0, to.into_iter(), limit))
    }

    /// Searches the sessions of one channel or of all.
    async fn scan(
        &self,
        what: Scan,
        channel: Option<&ChannelId>,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<Scanned>, Refusal> {
        if let Some(id) = channel {
            self.context.directory.channel_by_id(id).ok_or(Refusal::NotFound("channel"))?;
        }
        ask::scan(&self.context, what, channel, after.map(|id| id.stream), limit).await
    }

    /// Lists parts that are in doubt or were sent again after it, in the order of their sessions.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Router::sessions`].
    pub async fn in_doubt(
        &self,
        channel: Option<&ChannelId>,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Page<DoubtView>, Refusal> {
        let found = self.scan(Scan::Doubts, channel, after, limit).await?;
        let to: Vec<_> = found.iter().map(|s| s.complete_to).collect();
        Ok(Page::of(found.into_iter().flat_map(|s| s.doubts), |d| d.session_id.0, to.into_iter(), limit))
    }

    /// Lists deliveries that were given up, in the order of their sessions.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Router::sessions`].
    pub async fn dead_letters(
        &self,
        channel: Option<&ChannelId>,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Page<DeadLetterView>, Refusal> {
        let found = self.scan(Scan::DeadLetters, channel, after, limit).await?;
        let to: Vec<_> = found.iter().map(|s| s.complete_to).collect();
        let letters = found.into_iter().flat_map(|s| s.dead_letters);
        Ok(Page::of(letters, |d| d.session_id.0, to.into_iter(), limit))
    }

    /// Lists messages, or searches among them, for a limited time: the answer says how far it
    /// looked.
    ///
    /// # Errors
    ///
    /// Returns an error if the query contradicts itself, if the log cannot be read, or if a session
    /// host does not answer in time.
    pub async fn messages(&self, query: MessageQuery) -> Result<FoundMessages, Refusal> {
        search::messages(&self.context, query).await
    }

    /// Returns the one-minute counts of a channel, or of all together, over the last hours, at most
    /// 24.
    ///
    /// # Errors
    ///
    /// Returns an error if the channel does not exist.
    pub fn series(&self, channel: Option<&ChannelId>, hours: u64) -> Result<SeriesView, Refusal> {
        figures::series(&self.context, channel, hours)
    }

    /// Returns the messages that wait on a channel or on all, and the age of the oldest. After a
    /// start, messages are counted in steps: the number rises until all are counted.
    ///
    /// # Errors
    ///
    /// Returns an error if the channel does not exist.
    pub fn waiting(&self, channel: Option<&ChannelId>) -> Result<WaitingTotalView, Refusal> {
        figures::waiting(&self.context, channel)
    }
}
